"""What must hold after every attack on a device: its own MIDs and no others, in their states, and the old one works.

Rule: all of it is asked of the TRE itself, and of the owner's AuC: a MID works when the TRE answers a fresh vector of its
operator as the operator expects.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clients.sho import ShoOperatorClient, Vector
from lab.hostile_agent.line import HostileLine
from lab.identities import VNO
from m2me_agent.tre_protocol import Operation, Refusal
from messages.errors import MessageError
from messages.mid_package import package_digest
from messages.statement import decode_receipt, decode_statement

RESYNCHRONISATIONS = 2
NOBODYS = bytes(16)
FRESH_EACH = 25
"""Looks after each of which a fresh vector is fetched and answered; at each look the key is used."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """One device under watch; `rows` are its MIDs as they must be, `installed` the packages that really were installed."""

    line: HostileLine
    person: HostileLine
    auc: ShoOperatorClient
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    known: Mapping[str, Any] = field(default_factory=dict)
    """Status and orders, as they must be."""
    installed: set[bytes] = field(default_factory=set)
    old: str = ""
    """The MID that was there before the attacks; empty where none is."""
    _looks: int = 0
    _vectors: deque[Vector] = field(default_factory=deque)

    def look_again(self) -> None:
        """What is there now is how it must be: something genuine has just happened."""
        self.rows, self.known = self._rows(), self._known()

    def took(self, package: str) -> None:
        """This package was installed, genuinely."""
        self.installed.add(package_digest(package))

    def faults(self, *, is_answered: bool) -> list[str]:
        """What does not hold; after an answer, whether it changed status or orders, too."""
        found = []
        if is_answered and (known := self._known()) != self.known:
            found += [f"{name} changed" for name in known if known[name] != self.known.get(name)]
        rows = self._rows()
        if rows != self.rows:
            found.append(f"MIDs changed from {self.rows} to {rows}")
        self._looks += 1
        if self.old and not self._is_ready(self.old):
            found.append(f"the old MID {self.old} is no longer ready to answer")
        if self.old and self._looks % FRESH_EACH == 0:
            found += self.answer_faults()
        return found

    def answer_faults(self) -> list[str]:
        """Whether the old MID answers a fresh vector of its operator's AuC."""
        if not self.old or self._answers(self.old):
            return []
        return [f"the old MID {self.old} no longer answers its operator"]

    def receipt(self, statement: bytes) -> tuple[str, str]:
        """Outcome in a statement of the TRE, and what is wrong with it: a success that did not happen."""
        try:
            receipt = decode_receipt(decode_statement(statement).body)
        except MessageError as error:
            return "no receipt", str(error)
        if receipt.installed and receipt.package_digest not in self.installed:
            return receipt.outcome, "a receipt for an installation that did not happen"
        return receipt.outcome, ""

    def _rows(self) -> list[Mapping[str, Any]]:
        said = self.line.ask(Operation.MIDS, {})
        if isinstance(said, Refusal):
            return [] if said.code == "not-enrolled" else [{"refused": said.code}]
        return list(said["mids"])

    def _known(self) -> Mapping[str, Any]:
        """Status and orders of the device."""
        orders = self.person.ask(Operation.PENDING, {})
        status = self.line.ask(Operation.STATUS, {})
        return {
            "orders": orders.code if isinstance(orders, Refusal) else orders["orders"],
            **({"status": status.code} if isinstance(status, Refusal) else status["status"]),
        }

    def _is_ready(self, mid_id: str) -> bool:
        """Whether the TRE holds a challenge against the MID's key, and finds this one to be nobody's: it costs no number."""
        row = next((each for each in self.rows if each["mid_id"] == mid_id), None)
        wrong = {"application": str(row["applications"][0]) if row else "", "rand": NOBODYS, "autn": NOBODYS}
        answer = self.line.ask(Operation.AUTHENTICATE, {"mid_id": mid_id, **wrong})
        return isinstance(answer, Refusal) and answer.code == "network-refused"

    def _answers(self, mid_id: str) -> bool:
        """Whether the TRE answers a fresh vector, after a resynchronisation where it has left numbers out."""
        row = next((each for each in self.rows if each["mid_id"] == mid_id), None)
        if row is None:
            return False
        imsi = str(row["applications"][0])
        for _ in range(RESYNCHRONISATIONS):
            if not self._vectors:
                self._vectors.extend(self.auc.authentication_vectors(imsi, serving_network=VNO).vectors)
            vector = self._vectors.popleft()
            challenge = {"rand": vector.rand, "autn": vector.autn}
            answer = self.line.ask(
                Operation.AUTHENTICATE, {"mid_id": mid_id, "application": imsi, **challenge}
            )
            if isinstance(answer, Refusal):
                return False
            if "auts" not in answer:
                return bool(answer["res"] == vector.xres)
            behind = self.auc.authentication_vectors(
                imsi, serving_network=VNO, resynchronisation=(vector.rand, answer["auts"])
            )
            self._vectors.clear()
            self._vectors.extend(behind.vectors)
        return False
