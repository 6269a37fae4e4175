"""In-memory stores of ICF, CCIF and VNO: the same promises as the real ones, for tests without a database."""

from dataclasses import replace
from datetime import datetime

from edge.problem_document import Problem
from operators.ccif.connectivity import Credential
from operators.icf.subscribers import Subscriber
from operators.icf.vectors import IssuedVector
from operators.vno.bearers import Bearer, block_of
from standards.aka.errors import SequenceError
from standards.aka.sequence import HomeSequence


class Counting:
    """Random bytes that never repeat and are known."""

    def __init__(self) -> None:
        self._drawn = 0

    def __call__(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(count, "big")


class IcfMemory:
    """Subscribers and issued vectors."""

    def __init__(self) -> None:
        self.subscribers: dict[str, Subscriber] = {}
        self.vectors: dict[bytes, IssuedVector] = {}
        self.audit: list[str] = []

    def subscriber(self, pcid: str) -> Subscriber | None:
        return self.subscribers.get(pcid)

    def add_subscriber(self, subscriber: Subscriber, *, by: str, at: datetime) -> bool:
        del by, at
        if subscriber.pcid in self.subscribers:
            return False
        self.subscribers[subscriber.pcid] = subscriber
        self.audit.append("subscriber-added")
        return True

    def change_terms(self, subscriber: Subscriber, *, by: str, at: datetime) -> None:
        del by, at
        known = self.subscribers[subscriber.pcid]
        self.subscribers[subscriber.pcid] = replace(known, amf=subscriber.amf, terms=subscriber.terms)
        self.audit.append("subscriber-changed")

    def issued(self, rand: bytes) -> IssuedVector | None:
        return self.vectors.get(rand)

    def take_numbers(
        self, issued: tuple[IssuedVector, ...], *, sqn_ms: int | None, by: str, at: datetime
    ) -> HomeSequence | None:
        del by
        known = self.subscribers[issued[0].pcid]
        stood = known.sequence if sqn_ms is None else known.sequence.resynchronised(sqn_ms)
        try:
            after = stood.after(len(issued))
        except SequenceError:
            return None
        self.subscribers[known.pcid] = replace(known, sequence=after)
        self.vectors = {rand: each for rand, each in self.vectors.items() if each.expires_at > at}
        self.vectors |= {each.rand: each for each in issued}
        self.audit.append("vectors-issued")
        return stood

    def attach(self, rand: bytes, *, until: datetime, by: str, at: datetime) -> bool:
        del by, at
        known = self.vectors.get(rand)
        if known is None:
            return False
        if known.attached_until is not None:
            return known.attached_until == until
        self.vectors[rand] = replace(known, attached_until=until)
        self.audit.append("attached")
        return True

    def audit_kinds(self) -> tuple[str, ...]:
        return tuple(self.audit)


class CcifMemory:
    """Connectivity credentials."""

    def __init__(self) -> None:
        self.rows: dict[str, Credential] = {}
        self.audit: list[str] = []

    def owner(self, device_id: str) -> str | None:
        return next((each.tenant for each in self.rows.values() if each.device_id == device_id), None)

    def credential(self, device_id: str, *, storage_key_name: bytes) -> Credential | None:
        wanted = (device_id, storage_key_name)
        rows = self.rows.values()
        return next((each for each in rows if (each.device_id, each.storage_key_name) == wanted), None)

    def allot(self, credential: Credential, *, by: str, at: datetime) -> bool:
        del by, at
        known = self.credential(credential.device_id, storage_key_name=credential.storage_key_name)
        if credential.pcid in self.rows or known is not None:
            return False
        self.rows[credential.pcid] = credential
        self.audit.append("pcid-allotted")
        return True

    def issue(self, pcid: str, *, token: str, by: str, at: datetime) -> None:
        del by, at
        if self.rows[pcid].token is None:
            self.rows[pcid] = replace(self.rows[pcid], key=None, token=token)
            self.audit.append("connectivity-issued")

    def audit_kinds(self) -> tuple[str, ...]:
        return tuple(self.audit)


class VnoMemory:
    """Bearers."""

    def __init__(self) -> None:
        self.bearers: dict[str, Bearer] = {}
        self.audit: list[str] = []

    def used_bytes(self, pcid: str, *, at: datetime) -> int:
        known = self.bearers.get(pcid)
        return known.used_bytes if known is not None and known.expires_at > at else 0

    def open(self, bearer: Bearer, *, at: datetime) -> None:
        self.bearers[bearer.pcid] = replace(bearer, used_bytes=self.used_bytes(bearer.pcid, at=at))
        self.audit.append("bearer-opened")

    def bearer(self, bearer_id: str) -> Bearer | None:
        return next((each for each in self.bearers.values() if each.id == bearer_id), None)

    def set_aside(self, bearer_id: str, *, bytes_needed: int, at: datetime) -> int:
        known = self.bearer(bearer_id)
        if known is None or known.expires_at <= at:
            return 0
        granted = block_of(known.left_bytes, needed=bytes_needed)
        self._change(known, granted)
        return granted

    def give_back(self, bearer_id: str, *, bytes_unused: int) -> None:
        known = self.bearer(bearer_id)
        if known is not None:
            self._change(known, -bytes_unused)

    def record_refusal(self, bearer: Bearer, problem: Problem, *, at: datetime) -> None:
        del bearer, problem, at
        if self.audit.count("tunnel-refused") < 64:
            self.audit.append("tunnel-refused")

    def audit_kinds(self) -> tuple[str, ...]:
        return tuple(self.audit)

    def _change(self, bearer: Bearer, count: int) -> None:
        self.bearers[bearer.pcid] = replace(bearer, used_bytes=bearer.used_bytes + count)
