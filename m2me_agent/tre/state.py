"""What a TRE remembers across restarts, as typed records in four files.

authorization: the authValues, made once. keys: the pinned public areas. credential: the PfC chain.
exchanges: PVA time and signature allowance. Records are deterministic CBOR maps with integer keys.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from m2me_agent.tre.pva_time import PVAS_MAX, Heard, PvaTime
from m2me_agent.tre.rate_limit import Allowance
from m2me_agent.tre.stored_rows import OLDER_VERSION, not_understood
from m2me_agent.tre.tpm_device import AUTHORIZATION_BYTES, Authorization, DeviceKeys
from messages.encoding import decode_fields, encode_deterministic
from messages.enrollment import EnrollmentResult
from messages.errors import MessageError, refusal
from messages.pcr import PcrSelections, decode_selections, encode_selections
from standards.rats.fields import Fields
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.structures import NvPublic, Public

RECORD_BYTES_MAX = 1 << 16
_REMEDY = f"{OLDER_VERSION}, or remove the state and enrol again"
_PUBLIC_BYTES_MAX = 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_AUTHORIZATION = "authorization"
_KEYS = "keys"
_CREDENTIAL = "credential"
_EXCHANGES = "exchanges"
_PVA_TIME, _ALLOWANCE, _SELECTIONS = 1, 2, 3  # keys of the exchanges record
_FLOOR, _AT_LEAST, _CLOCK, _RESETS = 1, 2, 3, 4  # keys of its PVA time
_RESTARTS, _ALONE_MAX, _LEAPT, _HEARD = 5, 6, 7, 8  # and those that old records lack
_ID_BYTES_MAX = 512  # an OperatorRole's id has at most 128 characters


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
    """What past exchanges left: the times that PVAs signed, and how many signatures may still be given.

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
            raise not_understood(_AUTHORIZATION, error, remedy=_REMEDY) from error
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
            raise not_understood(_KEYS, error, remedy=_REMEDY) from error

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
            raise not_understood(_CREDENTIAL, error, remedy=_REMEDY) from error

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
        except (MessageError, OverflowError, UnicodeDecodeError) as error:
            raise not_understood(_EXCHANGES, error, remedy=_REMEDY) from error

    def remember_exchanges(self, exchanges: Exchanges) -> None:
        """Keep what this exchange leaves; called before anything is signed."""
        record: dict[int, Any] = {}
        if exchanges.pva_time is not None:
            record[_PVA_TIME] = _time_record(exchanges.pva_time)
        if exchanges.allowance is not None:
            record[_ALLOWANCE] = {1: exchanges.allowance.credit_ms, 2: exchanges.allowance.clock_ms}
        if exchanges.pcr_selections is not None:
            record[_SELECTIONS] = encode_selections(exchanges.pcr_selections)
        self._storage.write(_EXCHANGES, encode_deterministic(record))


def _decode_exchanges(content: bytes) -> Exchanges:
    fields = decode_fields(content, what=_EXCHANGES, bytes_max=RECORD_BYTES_MAX)
    pva_time = allowance = None
    if _PVA_TIME in fields:
        pva_time = _read_time(fields.nested(_PVA_TIME))
    if _ALLOWANCE in fields:
        spent = fields.nested(_ALLOWANCE)
        allowance = Allowance(credit_ms=spent.integer(1), clock_ms=spent.integer(2))
        spent.close()
    selections = None
    if _SELECTIONS in fields:
        selections = decode_selections(fields.raw(_SELECTIONS), what=_EXCHANGES)
    fields.close()
    return Exchanges(pva_time=pva_time, allowance=allowance, pcr_selections=selections)


def _time_record(known: PvaTime) -> dict[int, Any]:
    record: dict[int, Any] = {
        _AT_LEAST: _milliseconds(known.at_least),
        _CLOCK: known.clock_ms,
        _RESETS: known.reset_count,
        _RESTARTS: known.restart_count,
        _ALONE_MAX: _milliseconds(known.alone_max),
        _LEAPT: int(known.leapt),
        # octets: an id may hold characters that are refused in the texts of messages
        _HEARD: [{1: each.pva.encode(), 2: _milliseconds(each.issued_at)} for each in known.heard],
    }
    if known.floor is not None:
        record[_FLOOR] = _milliseconds(known.floor)
    return record


def _read_time(times: Fields) -> PvaTime:
    """A record without a table was written when one issue time stood for all PVAs: it is the floor under each."""
    at_least = _moment(times, _AT_LEAST)
    is_old = _HEARD not in times
    known = PvaTime(
        at_least=at_least,
        alone_max=at_least if is_old else _moment(times, _ALONE_MAX),
        leapt=False if is_old else bool(times.integer(_LEAPT, high=1)),
        clock_ms=times.integer(_CLOCK),
        reset_count=times.integer(_RESETS),
        restart_count=0 if is_old else times.integer(_RESTARTS),
        heard=() if is_old else tuple(_heard(each) for each in times.items(_HEARD, size_max=PVAS_MAX)),
        floor=_moment(times, _FLOOR) if is_old or _FLOOR in times else None,
    )
    times.close()
    return known


def _heard(row: object) -> Heard:
    fields = Fields(row, what=_EXCHANGES, refusal=refusal)
    heard = Heard(
        pva=fields.octets(1, size_min=1, size_max=_ID_BYTES_MAX).decode(), issued_at=_moment(fields, 2)
    )
    fields.close()
    return heard


def _moment(fields: Fields, key: int) -> datetime:
    return _EPOCH + fields.integer(key) * _MILLISECOND


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
