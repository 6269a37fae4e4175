"""Devices that are validated again and again through the front of a service, and what each was told.

Rule: a caller behaves as callers should: what was not answered is sent again, word for word; a challenge that turns
out to be spent is looked up, and only what was never recorded is begun anew. What counts as acknowledged is what the
device was told by a 200.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from clients.pva import PvaDeviceClient, ValidationProgress
from edge.http_client import HttpError, UnreachableError
from lab.device import Refusal
from lab.parties import Operator, Question
from lab.scene import Scene

PATIENCE_S = 60.0
PAUSE_S = 0.1
SPENT = frozenset({"challenge-used", "request-closed"})
PACED = "rate-limited"
PACED_PAUSE_S, PACED_TRIES = 2.0, 10
_T = TypeVar("_T")


class EvidenceRefusedError(Exception):
    """A TRE gave no evidence where it must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """One validation that was begun: its question, the evidence that answered it, and how that ended."""

    device: str
    question: Question
    evidence: bytes
    outcome: str

    @property
    def acknowledged(self) -> bool:
        """Whether the device was told a verdict."""
        return self.outcome == "affirming"


@dataclass(slots=True)
class Load:
    """What several devices went through; `troubles` counts what they were told besides verdicts."""

    scene: Scene
    validations: list[Validation] = field(default_factory=list)
    troubles: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self, devices: Sequence[str]) -> Iterator["Load"]:
        """One caller a device, without a pause, while the block runs."""
        callers = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in devices]
        for each in callers:
            each.start()
        try:
            yield self
        finally:
            self._stop.set()
            for each in callers:
                each.join(2 * PATIENCE_S)

    def wait_for(self, more: int, *, within_s: float = PATIENCE_S) -> bool:
        """Wait until so many more validations were acknowledged."""
        target, deadline = self.count + more, time.monotonic() + within_s
        while self.count < target and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
        return self.count >= target

    @property
    def count(self) -> int:
        """Validations that were acknowledged so far."""
        with self._lock:
            return sum(each.acknowledged for each in self.validations)

    def once(self, device: str) -> Validation:
        """One validation, with all the patience that it takes. Raises whatever patience does not help against."""
        # an operator and a device of their own each time: connections are spread over the nodes
        operator = Operator("sho-1", self.scene.services)
        pva = PvaDeviceClient(self.scene.services.http("pva", "device"))
        question = self._patiently(lambda: operator.ask(self.scene.ids[device]))
        token = self._patiently(lambda: pva.challenge(self.scene.ids[device]))
        evidence = evidence_of(self.scene, device, token)
        validation = Validation(
            device=device,
            question=question,
            evidence=evidence,
            outcome=self._submitted(pva, operator, question, evidence),
        )
        with self._lock:
            self.validations.append(validation)
        return validation

    def _submitted(
        self, pva: PvaDeviceClient, operator: Operator, question: Question, evidence: bytes
    ) -> str:
        try:
            return self._patiently(lambda: pva.submit_evidence(evidence).status)
        except HttpError as error:
            code = code_of(error)
            if code not in SPENT:
                raise
        # an earlier try reached a node, and its answer was lost on the way: what came of it is on record, or nothing
        progress = self._patiently(lambda: operator.progress(question))
        return "nothing recorded" if progress.result is None else "recorded, answer lost"

    def _patiently(self, call: Callable[[], _T]) -> _T:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call()
            except UnreachableError:
                self._note("connection lost", deadline)
            except HttpError as error:
                if not _waiting_helps(error):
                    raise
                self._note(code_of(error), deadline)
            time.sleep(PAUSE_S)

    def _note(self, trouble: str, deadline: float) -> None:
        with self._lock:
            self.troubles[trouble] += 1
        if time.monotonic() > deadline:
            raise TimeoutError(f"{trouble}, for {PATIENCE_S:.0f} s")

    def _run(self, device: str) -> None:
        while not self._stop.is_set():
            try:
                self.once(device)
            except Exception as error:  # noqa: BLE001 - whatever it was, the story must tell it
                with self._lock:
                    self.failures.append(f"{device}: {type(error).__name__}: {error}")
                return


def evidence_of(scene: Scene, device: str, token: str) -> bytes:
    """A TRE's answer to a challenge; it paces whoever asks too often. Raises EvidenceRefusedError."""
    for left in reversed(range(PACED_TRIES)):
        evidence = scene.devices[device].evidence_for(token)
        if not isinstance(evidence, Refusal):
            return evidence
        if evidence.code != PACED or not left:
            raise EvidenceRefusedError(f"the TRE of {device} refused: {evidence.reason}")
        time.sleep(PACED_PAUSE_S)
    raise AssertionError("the last try returns or raises")


def _waiting_helps(error: HttpError) -> bool:
    """Whether the service said that the moment is wrong and not the request."""
    return error.status in {502, 503, 504}


def code_of(error: HttpError) -> str:
    """The stable code of a refusal."""
    return f"status {error.status}" if error.problem is None else error.problem.type


def progress_of(scene: Scene, validation: Validation) -> ValidationProgress:
    """What is on record about a validation."""
    return Operator("sho-1", scene.services).progress(validation.question)
