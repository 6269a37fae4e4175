"""What a TRE remembers across restarts, as typed records in four files.

authorization: the authValues, made once. keys: the pinned public areas. credential: the PfC chain.
exchanges: PVA time and signature allowance. Records are deterministic CBOR maps with integer keys.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from m2me_agent.tre.errors import StateError
from m2me_agent.tre.pva_time import PvaTime
from m2me_agent.tre.rate_limit import Allowance
from m2me_agent.tre.tpm_device import AUTHORIZATION_BYTES, Authorization, DeviceKeys
from messages.encoding import decode_fields, encode_deterministic
from messages.enrollment import EnrollmentResult
from messages.errors import MessageError
from messages.pcr import PcrSelections, decode_selections, encode_selections
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.structures import NvPublic, Public

RECORD_BYTES_MAX = 1 << 16
_PUBLIC_BYTES_MAX = 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_AUTHORIZATION = "authorization"
_KEYS = "keys"
_CREDENTIAL = "credential"
_EXCHANGES = "exchanges"
_PVA_TIME, _ALLOWANCE, _SELECTIONS = 1, 2, 3  # keys of the exchanges record


class Storage(Protocol):
    """Where records are kept: each replaced as a whole, durable on return. Raises StateError."""

    def read(self, name: str) -> bytes | None:
        """Content, None when there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Replace the content."""

    def remove(self, name: str) -> None:
        """Remove it; absent is no error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanges:
    """What past exchanges left: the time that a PVA signed, and how many signatures may still be given.

    `pcr_selections` are those of the last challenge: a receipt is a quote of the same registers, so that its reader
    can compare it with the result of that validation.
    """

    pva_time: PvaTime | None = None
    allowance: Allowance | None = None
    pcr_selections: PcrSelections | None = None


class TreState:
    """The four records. Every method raises StateError."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def authorization(self) -> Authorization | None:
        """The authValues, None before they were made."""
        content = self._storage.read(_AUTHORIZATION)
        if content is None:
            return None
        try:
            fields = decode_fields(content, what=_AUTHORIZATION, bytes_max=RECORD_BYTES_MAX)
            size = AUTHORIZATION_BYTES
            values = [fields.octets(key, size_min=size, size_max=size) for key in (1, 2, 3)]
            fields.close()
        except MessageError as error:
            raise _unreadable(_AUTHORIZATION, error) from error
        return Authorization(ak=values[0], storage=values[1], counter=values[2])

    def remember_authorization(self, authorization: Authorization) -> None:
        """Keep the authValues."""
        record = {1: authorization.ak, 2: authorization.storage, 3: authorization.counter}
        self._storage.write(_AUTHORIZATION, encode_deterministic(record))

    def keys(self) -> DeviceKeys | None:
        """The pinned public areas, None before enrolment."""
        content = self._storage.read(_KEYS)
        if content is None:
            return None
        try:
            fields = decode_fields(content, what=_KEYS, bytes_max=RECORD_BYTES_MAX)
            raw = [fields.octets(key, size_min=1, size_max=_PUBLIC_BYTES_MAX) for key in (1, 2, 3, 4)]
            fields.close()
            return DeviceKeys(
                ek=Public.decode(raw[0]),
                ak=Public.decode(raw[1]),
                storage=Public.decode(raw[2]),
                counter=NvPublic.decode(raw[3]),
            )
        except (MessageError, Tpm2Error) as error:
            raise _unreadable(_KEYS, error) from error

    def remember_keys(self, keys: DeviceKeys) -> None:
        """Pin the public areas."""
        record = {
            1: keys.ek.encode(),
            2: keys.ak.encode(),
            3: keys.storage.encode(),
            4: keys.counter.encode(),
        }
        self._storage.write(_KEYS, encode_deterministic(record))

    def credential(self) -> tuple[bytes, ...] | None:
        """The PfC chain in DER, PfC first, None before it was installed."""
        content = self._storage.read(_CREDENTIAL)
        if content is None:
            return None
        try:
            return EnrollmentResult.decode(content).pfc_chain
        except MessageError as error:
            raise _unreadable(_CREDENTIAL, error) from error

    def remember_credential(self, chain: tuple[bytes, ...]) -> None:
        """Keep the PfC chain."""
        self._storage.write(_CREDENTIAL, EnrollmentResult(pfc_chain=chain).encode())

    def forget_credential(self) -> None:
        """Remove the PfC: the keys that it speaks of are gone."""
        self._storage.remove(_CREDENTIAL)

    def exchanges(self) -> Exchanges:
        """What past exchanges left; empty at first."""
        content = self._storage.read(_EXCHANGES)
        if content is None:
            return Exchanges()
        try:
            return _decode_exchanges(content)
        except (MessageError, OverflowError) as error:
            raise _unreadable(_EXCHANGES, error) from error

    def remember_exchanges(self, exchanges: Exchanges) -> None:
        """Keep what this exchange leaves; called before anything is signed."""
        record: dict[int, Any] = {}
        if exchanges.pva_time is not None:
            known = exchanges.pva_time
            record[_PVA_TIME] = {
                1: _milliseconds(known.issued_at),
                2: _milliseconds(known.at_least),
                3: known.clock_ms,
                4: known.reset_count,
            }
        if exchanges.allowance is not None:
            record[_ALLOWANCE] = {1: exchanges.allowance.credit_ms, 2: exchanges.allowance.clock_ms}
        if exchanges.pcr_selections is not None:
            record[_SELECTIONS] = encode_selections(exchanges.pcr_selections)
        self._storage.write(_EXCHANGES, encode_deterministic(record))


def _decode_exchanges(content: bytes) -> Exchanges:
    fields = decode_fields(content, what=_EXCHANGES, bytes_max=RECORD_BYTES_MAX)
    pva_time = allowance = None
    if _PVA_TIME in fields:
        times = fields.nested(_PVA_TIME)
        pva_time = PvaTime(
            issued_at=_EPOCH + times.integer(1) * _MILLISECOND,
            at_least=_EPOCH + times.integer(2) * _MILLISECOND,
            clock_ms=times.integer(3),
            reset_count=times.integer(4),
        )
        times.close()
    if _ALLOWANCE in fields:
        spent = fields.nested(_ALLOWANCE)
        allowance = Allowance(credit_ms=spent.integer(1), clock_ms=spent.integer(2))
        spent.close()
    selections = None
    if _SELECTIONS in fields:
        selections = decode_selections(fields.raw(_SELECTIONS), what=_EXCHANGES)
    fields.close()
    return Exchanges(pva_time=pva_time, allowance=allowance, pcr_selections=selections)


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _unreadable(name: str, error: Exception) -> StateError:
    return StateError(
        subject=name,
        reason=f"is whole but cannot be understood: {error}",
        remedy="install the version of the TRE that wrote it, or remove the state and enrol again",
    )
