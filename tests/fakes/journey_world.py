"""Everybody whom an agent meets on its way, in memory: TRE, visited network, DRF and SHO, PVA, DPF.

The world keeps its state while agents come and go, does everything that can be repeated once, and counts what must
happen once. At any call a fault can be put, before or after its effect: a killed agent, or a network that is gone.
Tokens are written as the real ones are and signed by nobody: an agent cannot tell the difference, and need not.
"""

import base64
import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from m2me_agent.agent.attachment import AkaChallenge, Attachment
from m2me_agent.agent.attestation import NOTHING_ASKED, Verdict
from m2me_agent.agent.download import Grant, ReceiptAnswer
from m2me_agent.agent.errors import AgentError, NotReachedError, RefusedError
from m2me_agent.agent.journey import Travelling
from m2me_agent.agent.ports import Device, Pace, Patience
from m2me_agent.agent.registration import Wishes
from m2me_agent.tre_protocol import Operation, Refusal
from messages.bearer import Bearer
from tests.unit.messages import operator_samples as samples

T = TypeVar("T")

PCID = samples.CONNECTIVITY.pcid
IDENTITY = f"0{PCID}@wlan.mnc070.mcc901.3gppnetwork.org"
KEY = b"\xa7" * 32
CONTENT = bytes(range(256)) * 40
CHUNK_BYTES = 1_000
PVA_URL = "https://pva.example"
DPF_URL = "https://dpf.example"
SECRET = "a secret of the bearer"  # noqa: S105 - of a test


class KilledError(BaseException):
    """The agent's process is gone."""


def refused(code: str) -> RefusedError:
    """A refusal of some service."""
    return RefusedError(Refusal(code=code, subject="service", reason=f"it says {code}", remedy="ask it"))


def not_reached() -> NotReachedError:
    """A network that is gone."""
    return NotReachedError(Refusal(code="unreachable", subject="net", reason="no route", remedy="wait"))


def unsigned(claims: Mapping[str, Any]) -> str:
    """A token by nobody."""
    parts = [json.dumps(each).encode() for each in ({"alg": "ES256"}, dict(claims))]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + ".c2ln"


@dataclass
class MemoryShelf:
    """A folder that outlives its agent."""

    world: "World"
    kept: Grant | None = None
    contents: dict[str, bytes] = field(default_factory=dict)

    def grant(self) -> Grant | None:
        return self.kept

    def keep(self, grant: Grant) -> None:
        def effect() -> None:
            self.kept = grant

        self.world.call("shelf.keep", effect)

    def content(self, name: str) -> bytes:
        return self.contents.get(name, b"")

    def add(self, name: str, chunk: bytes) -> None:
        def effect() -> None:
            self.contents[name] = self.contents.get(name, b"") + chunk

        self.world.call("shelf.add", effect)

    def drop(self, name: str) -> None:
        self.contents.pop(name, None)

    def clear(self) -> None:
        def effect() -> None:
            self.kept = None
            self.contents.clear()

        self.world.call("shelf.clear", effect)


@dataclass
class World:
    """State and counts of everybody; see the module."""

    consent_after: int = 0
    """Times that the TRE says "awaited" first."""
    authorize_after: int = 0
    """Times that the DPF says "nothing-authorized" after the SHO's validation."""
    forward_after: int = 0
    """Times that a receipt is taken without an instruction."""
    resynchronise: int = 0
    """Times that the TRE answers a challenge with AUTS."""
    outcomes: list[str] = field(default_factory=list)
    """What the TRE says of the next packages before it installs one."""
    verdicts: list[str] = field(default_factory=list)
    """What the PVA says before it says affirming."""
    refusals: dict[str, list[AgentError]] = field(default_factory=dict)
    """By name of a call: errors that it gives first, without effect."""
    fault: tuple[int, str, BaseException] | None = None
    """Number of a call, "before" or "after" its effect, and what is raised there."""

    bearer_id: str = ""
    """The bearer that everything is to come over, where it is not that of the newest attachment."""

    cut_at: int = 0
    """Number of the request for content that is cut."""

    calls: list[str] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    waited_s: float = 0.0
    nonces: list[bytes] = field(default_factory=list)
    wishes_heard: list[Wishes] = field(default_factory=list)
    idempotency_keys: list[str] = field(default_factory=list)

    sessions: int = 0
    registrations: int = 0
    deliveries: int = 0
    grants: int = 0
    installs: int = 0
    activations: int = 0
    asked_by: list[str] = field(default_factory=list)
    authorized: bool = False
    delivery_open: bool = False
    validated: bool = False
    granted: bool = False
    done: bool = False
    receipts: int = 0
    mid_state: str = ""

    def __post_init__(self) -> None:
        header = replace(
            samples.PACKAGE, content_size=len(CONTENT), content_sha256=hashlib.sha256(CONTENT).digest()
        )
        found = replace(samples.DISCOVERY, pva_url=PVA_URL, dpf_url=DPF_URL)
        self.package = unsigned({**header.claims(), "iss": samples.SHO})
        self.delivery = unsigned({**samples.DELIVERY.claims(), "iss": samples.DPF})
        self.discovery = unsigned({**found.claims(), "iss": "drf.example"})
        self.order = unsigned({**samples.ORDER.claims(), "iss": samples.SHO})
        self.order_digest = samples.ORDER.digest
        self.shelf = MemoryShelf(self)

    def call(self, name: str, effect: Callable[[], T]) -> T:
        """One call of the agent, with its fault if one was put here."""
        self.calls.append(name)
        if self.refusals.get(name):
            raise self.refusals[name].pop(0)
        fault = self.fault if self.fault is not None and len(self.calls) == self.fault[0] else None
        if fault is None:
            return effect()
        if fault[1] == "after":
            with contextlib.suppress(AgentError):
                effect()
        raise fault[2]

    def way(self, *, total_s: float = 5.0) -> Travelling:
        """An agent that sets out in this world."""
        return Travelling(
            tre=FakeTre(self),
            network=FakeNetwork(self),
            services=FakeServices(self),
            shelf=self.shelf,
            random_bytes=bytes,
            pace=self.pace(total_s=total_s),
        )

    def pace(self, *, total_s: float = 5.0) -> Pace:
        """How it goes: no time passes, it is counted."""
        return Pace(patience=Patience(total_s=total_s), sleep=self._sleep, tell=self._tell)

    def events(self) -> list[str]:
        """What was told, as "step event"."""
        return [f"{each['step']} {each['event']}" for each in self.said]

    def _sleep(self, seconds: float) -> None:
        self.waited_s += seconds

    def _tell(self, step: int, event: str, **details: str | int) -> None:
        self.said.append({"step": step, "event": event, **details})


@dataclass
class FakeTre:
    """The TRE's side."""

    world: World

    def ask(self, operation: Operation, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        answer: Callable[[Mapping[str, Any]], Mapping[str, Any]] = getattr(self, f"_{operation.value}")
        return self.world.call(f"tre.{operation.value}", lambda: answer(parameters or {}))

    def _status(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "status": {
                "device_id": samples.DEVICE_ID,
                "credential": {},
                "storage_public": "",
                "ak_public": b"ak".hex(),
                "pfc_chain": [b"pfc", b"issuing ca"],
                "pcid": PCID,
                "identity": IDENTITY,
            }
        }

    def _mids(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        row = {"mid_id": "mid-1", "owner": samples.SHO, "state": self.world.mid_state, "applications": []}
        return {"mids": [row] if self.world.mid_state else []}

    def _install_connectivity(self, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        if sent["token"] != "a.connectivity.token":  # noqa: S105 - of a test
            raise refused("malformed")
        return {"pcid": PCID, "identity": IDENTITY}

    def _attach(self, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        assert len(sent["rand"]) == len(sent["autn"]) == 16
        if self.world.resynchronise > 0:
            self.world.resynchronise -= 1
            return {"auts": b"\xa5" * 14}
        return {"res": b"\x4e" * 8, "attachment_key": KEY}

    def _accept_order(self, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        expected = {
            "order": self.world.order,
            "discovery": self.world.discovery,
            "nonce": self.world.nonces[-1],
        }
        assert sent == expected
        self.world.consent_after -= 1
        if self.world.mid_state:  # an order that is installed is forgotten: it would be a new one
            self.world.consent_after = 1_000
        return {
            "order_digest": self.world.order_digest,
            "consent": "given" if self.world.consent_after < 0 else "awaited",
            "sho_name": samples.ORDER.sho_name,
            "order_code": samples.ORDER.order_code,
        }

    def _accept_update(self, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        assert sent == {"order": self.world.order}
        return {"order_digest": self.world.order_digest}

    def _attest(self, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"evidence": f"evidence for {sent['challenge_token']}".encode()}

    def _install(self, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        world = self.world
        expected = {"package": world.package, "delivery": world.delivery, "content": CONTENT}
        if sent != expected:
            return {"statement": b"content-refused"}
        if world.outcomes:
            return {"statement": world.outcomes.pop(0).encode()}
        if not world.mid_state:
            world.installs += 1
            world.mid_state = "INACTIVE"
        world.receipts += 1
        return {"statement": f"installed {world.receipts}".encode()}

    def _instruct(self, sent: Mapping[str, Any]) -> Mapping[str, Any]:
        world = self.world
        if sent["instruction"] != f"activate {world.receipts}":
            raise refused("instruction-refused")
        world.activations += world.mid_state != "ACTIVE"
        world.mid_state = "ACTIVE"
        return {"mid_id": "mid-1", "state": "ACTIVE"}


@dataclass
class FakeNetwork:
    """The visited network's side."""

    world: World

    def attach(self, identity: str) -> AkaChallenge:
        def effect() -> AkaChallenge:
            assert identity == IDENTITY
            self.world.sessions += 1
            return AkaChallenge(session=f"s{self.world.sessions}", rand=b"\x01" * 16, autn=b"\x02" * 16)

        return self.world.call("vno.attach", effect)

    def resynchronise(self, session: str, *, auts: bytes) -> AkaChallenge:
        def effect() -> AkaChallenge:
            assert (session, len(auts)) == (f"s{self.world.sessions}", 14)
            return AkaChallenge(session=session, rand=b"\x03" * 16, autn=b"\x04" * 16)

        return self.world.call("vno.resynchronise", effect)

    def respond(self, session: str, *, res: bytes) -> Bearer:
        def effect() -> Bearer:
            assert (session, res) == (f"s{self.world.sessions}", b"\x4e" * 8)
            return Bearer(
                id=f"bearer-{self.world.sessions}",
                secret=SECRET,
                gateway="vno.example:8443",
                apn="m2m",
                destinations=("pva.example:443",),
                quota_bytes=1 << 20,
                expires_at=datetime(2026, 6, 1, tzinfo=UTC),
            )

        return self.world.call("vno.respond", effect)


@dataclass
class FakeServices:
    """DRF, PVA and DPF behind the gateway: each is the world."""

    world: World

    def drf(self, attachment: Attachment) -> "FakeServices":
        return self._behind(attachment)

    def pva(self, attachment: Attachment, url: str) -> "FakeServices":
        assert url == PVA_URL
        return self._behind(attachment)

    def dpf(self, attachment: Attachment, url: str) -> "FakeServices":
        assert url == DPF_URL
        return self._behind(attachment)

    def _behind(self, attachment: Attachment) -> "FakeServices":
        assert attachment.bearer.id == (self.world.bearer_id or f"bearer-{self.world.sessions}")
        assert attachment.key == KEY
        return self

    def discover(self, device: Device, *, nonce: bytes, wishes: Wishes) -> str:
        def effect() -> str:
            assert (device.pcid, len(nonce)) == (PCID, 32)
            self.world.nonces.append(nonce)
            self.world.wishes_heard.append(wishes)
            return self.world.discovery

        return self.world.call("drf.discover", effect)

    def register(self, device: Device, *, sho: str, idempotency_key: str) -> str:
        def effect() -> str:
            assert (device.ak_public, sho) == (b"ak", samples.SHO)
            self.world.idempotency_keys.append(idempotency_key)
            if not self.world.registrations:
                self.world.registrations += 1
                self.world.asked_by.append("sho")
            return self.world.order

        return self.world.call("drf.register", effect)

    def challenge(self, device_id: str) -> str:
        def effect() -> str:
            assert device_id == samples.DEVICE_ID
            if not self.world.asked_by:
                raise refused(NOTHING_ASKED)
            return f"challenge by {self.world.asked_by[0]}"

        return self.world.call("pva.challenge", effect)

    def submit(self, evidence: bytes) -> Verdict:
        def effect() -> Verdict:
            by = evidence.decode().rpartition(" ")[2]
            if not self.world.asked_by or self.world.asked_by[0] != by:
                raise refused("challenge-used")
            self.world.asked_by.pop(0)
            status = self.world.verdicts.pop(0) if self.world.verdicts else "affirming"
            self.world.authorized |= by == "sho" and status == "affirming"
            self.world.validated |= by == "dpf" and status == "affirming"
            return Verdict(result_id=f"result for {by}", status=status)

        return self.world.call("pva.submit", effect)

    def request(self, device: Device, *, order_digest: bytes) -> str:
        def effect() -> str:
            world = self.world
            assert (device.pfc_chain[0], order_digest) == (b"pfc", world.order_digest)
            if world.done:
                raise refused("order-installed")
            if not world.authorized or world.authorize_after > 0:
                world.authorize_after -= world.authorized
                raise refused("nothing-authorized")
            if not world.delivery_open:
                world.deliveries += 1
                world.delivery_open, world.validated, world.granted = True, False, False
                world.asked_by.append("dpf")
            return f"delivery-{world.deliveries}"

        return self.world.call("dpf.request", effect)

    def granted(self, delivery_id: str, *, order_digest: bytes) -> Grant | None:
        def effect() -> Grant | None:
            world = self.world
            if delivery_id != f"delivery-{world.deliveries}":
                raise refused("delivery-closed")
            if not world.validated:
                return None
            world.grants += not world.granted
            world.granted = True
            return Grant(
                order_digest=order_digest,
                delivery_id=delivery_id,
                package=world.package,
                delivery=world.delivery,
                content_size=len(CONTENT),
            )

        return self.world.call("dpf.granted", effect)

    def content(self, delivery_id: str, *, offset: int) -> bytes:
        def effect() -> bytes:
            if self.world.calls.count("dpf.content") == self.world.cut_at:
                raise not_reached()
            if delivery_id != f"delivery-{self.world.deliveries}" or not self.world.granted:
                raise refused("grant-expired")
            return CONTENT[offset : offset + CHUNK_BYTES]

        return self.world.call("dpf.content", effect)

    def receipt(self, delivery_id: str, statement: bytes) -> ReceiptAnswer:
        def effect() -> ReceiptAnswer:
            world = self.world
            assert delivery_id == f"delivery-{world.deliveries}"
            outcome, _, number = statement.decode().partition(" ")
            world.done |= outcome == "installed"
            world.delivery_open = False
            world.forward_after -= 1
            instruction = None if not number or world.forward_after >= 0 else f"activate {number}"
            return ReceiptAnswer(outcome=outcome, instruction=instruction)

        return self.world.call("dpf.receipt", effect)
