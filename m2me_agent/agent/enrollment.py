"""Enrolment, as the agent sees it: three messages between the TRE and the CA, none of which it can make.

At a station without a network they wait in a folder (`messages.station`), which somebody else carries to the CA. The
rule there: what is next follows from the device's files alone, one step a run, and a run that was cut short, or comes
once more, changes nothing that is good. What the TRE signs is written down, so that repeating spends no allowance.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, Protocol, TypeVar

from edge.exchange_folder import ExchangeFolder, ExchangeFolderError
from m2me_agent.agent.errors import RefusedError
from m2me_agent.agent.ports import Sleep, Tre, repeat
from m2me_agent.tre_protocol import Operation, Refusal
from messages.enrollment import ENROLLMENT_BYTES_MAX
from messages.errors import MessageError
from messages.station import REFUSAL_BYTES_MAX, Part, StationRefusal, file_name

_NEXT_CARRY: Final = "have the folder carried: pva station exchange; then this command again"
T = TypeVar("T")


class CertificationAuthority(Protocol):
    """The device part of a CA; raises AgentError."""

    def begin_enrollment(self, request: bytes) -> bytes:
        """EnrollmentRequest to EnrollmentChallenge; opens a session, so it may be repeated."""

    def activate(self, activation: bytes) -> bytes:
        """ActivationRequest to EnrollmentResult; the very same bytes again give the very same PfC."""


def enroll(tre: Tre, ca: CertificationAuthority, *, sleep: Sleep) -> Mapping[str, Any]:
    """Carry the messages of one enrolment; what the TRE installed, described.

    Raises:
        AgentError: a party refused, or could not be reached. Nothing is lost: the whole may be repeated.
    """
    # 1 the TRE makes and names its keys
    request = tre.ask(Operation.BEGIN_ENROLLMENT)["request"]
    # 2 the CA checks EK and batch, and wraps a secret for them
    challenge = repeat(lambda: ca.begin_enrollment(request), sleep=sleep)
    # 3 the TRE recovers it and certifies its keys
    activation = tre.ask(Operation.ACTIVATE, {"challenge": challenge})["activation"]
    # 4 the CA issues the PfC
    result = repeat(lambda: ca.activate(activation), sleep=sleep)
    # 5 the TRE installs it, if it is over its own AK and under its own anchor
    credential: Mapping[str, Any] = tre.ask(Operation.INSTALL_CREDENTIAL, {"result": result})["credential"]
    return credential


class StationFiles:
    """What a station's folder holds of one device; raises RefusedError for a folder that cannot be used."""

    def __init__(self, folder: ExchangeFolder, device_id: str) -> None:
        self._folder = folder
        self._device_id = device_id

    def read(self, part: Part, *, bytes_max: int = ENROLLMENT_BYTES_MAX) -> bytes | None:
        """A part, None where it is not there."""
        name = file_name(self._device_id, part)
        return _usable(lambda: self._folder.read(name, bytes_max=bytes_max))

    def write(self, part: Part, data: bytes) -> None:
        """Leave a part, whole or not at all."""
        _usable(lambda: self._folder.write(file_name(self._device_id, part), data))

    def remove(self, *parts: Part) -> None:
        """Take parts away, one after the other."""
        for part in parts:
            name = file_name(self._device_id, part)
            _usable(lambda name=name: self._folder.remove(name))  # type: ignore[misc]  # bound now


def enroll_at_station(tre: Tre, folder: ExchangeFolder) -> Mapping[str, Any]:
    """Do what is next for this device, by the files of a station's folder; what was done, and what is needed next.

    Raises:
        RefusedError: the TRE refused, or the folder cannot be used. What was there stands; the whole may be repeated.
    """
    # 1 the TRE makes its keys once, and names them; the same keys give the same request
    request = tre.ask(Operation.BEGIN_ENROLLMENT)["request"]
    status = tre.ask(Operation.STATUS)["status"]
    files = StationFiles(folder, status["device_id"])
    named = {"device_id": status["device_id"]}
    # 2 files about other keys are of no use to these; the request last, so that a break here comes here again
    if files.read(Part.REQUEST) != request:
        files.remove(Part.INSTALLED, Part.RESULT, Part.ACTIVATION, Part.CHALLENGE, Part.REFUSED)
        files.write(Part.REQUEST, request)
        return {"outcome": "requested", **named, "next": _NEXT_CARRY}
    # 3 the PfC, once: an old one must not come back over a newer
    if files.read(Part.INSTALLED) is not None and status["credential"]:
        return {"outcome": "enrolled", **named, **status["credential"]}
    result = files.read(Part.RESULT)
    if result is not None:
        credential = tre.ask(Operation.INSTALL_CREDENTIAL, {"result": result})["credential"]
        files.write(Part.INSTALLED, b"")
        return {"outcome": "enrolled", **named, **credential}
    # 4 the CA said no: from the request on again, the refusal last
    refused = files.read(Part.REFUSED, bytes_max=REFUSAL_BYTES_MAX)
    if refused is not None:
        files.remove(Part.ACTIVATION, Part.CHALLENGE, Part.REFUSED)
        return {"outcome": "requested", **named, **_told(refused), "next": _NEXT_CARRY}
    # 5 the TRE recovers the secret and certifies its keys, once a challenge
    challenge = files.read(Part.CHALLENGE)
    if challenge is None or files.read(Part.ACTIVATION) is not None:
        awaited = Part.CHALLENGE if challenge is None else Part.RESULT
        return {"outcome": "waiting", **named, "for": str(awaited), "next": _NEXT_CARRY}
    activation = tre.ask(Operation.ACTIVATE, {"challenge": challenge})["activation"]
    files.write(Part.ACTIVATION, activation)
    return {"outcome": "activated", **named, "next": _NEXT_CARRY}


def _told(refused: bytes) -> Mapping[str, str]:
    try:
        refusal = StationRefusal.decode(refused)
    except MessageError as error:
        return {"refused_reason": str(error)}
    return {f"refused_{name}": text for name, text in asdict(refusal).items()}


def _usable(access: Callable[[], T]) -> T:
    try:
        return access()
    except ExchangeFolderError as error:
        raise RefusedError(
            Refusal(
                code="station-folder",
                subject=str(error.path),
                reason=error.reason,
                remedy="name a folder that this user may read and write; what is no message in it, remove",
            )
        ) from error
