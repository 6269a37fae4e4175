"""What was found wrong with MIDs, kept until their owner has surely been told: in every receipt that it gets (R33).

The rule: a row is durable before the MID is refused, and nothing but newer rows takes its place. The agent carries
receipts and may lose them; so they say it again and again, and an owner that reads one twice knows nothing wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from m2me_agent.tre.errors import StateError
from m2me_agent.tre.state import Storage
from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError, refusal
from messages.order import ID_MAX
from messages.statement import ANOMALIES_MAX, CODE_MAX, Anomaly
from standards.rats.fields import Fields

_RECORD = "anomalies"
_RECORD_BYTES_MAX = 1 << 14
_ROWS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    sho: str
    anomaly: Anomaly


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomalies:
    """By owner: which MID, and the code of what was wrong."""

    storage: Storage

    def of(self, sho: str) -> tuple[Anomaly, ...]:
        """An owner's, the newest last, as many as a receipt holds. Raises StateError."""
        return tuple(row.anomaly for row in self._rows() if row.sho == sho)[-ANOMALIES_MAX:]

    def keep(self, sho: str, mid_ids: Sequence[str], *, code: str) -> None:
        """Remember that this was wrong with these MIDs of an owner; the same again changes nothing. Raises StateError."""
        before = self._rows()
        new = [_Row(sho=sho, anomaly=Anomaly(mid_id=mid_id, code=code)) for mid_id in mid_ids]
        grown = [*before, *(row for row in new if row not in before)][-_ROWS_MAX:]
        if grown != list(before):
            rows = [[row.sho, row.anomaly.mid_id, row.anomaly.code] for row in grown]
            self.storage.write(_RECORD, encode_deterministic({1: rows}))

    def _rows(self) -> tuple[_Row, ...]:
        content = self.storage.read(_RECORD)
        if content is None:
            return ()
        try:
            fields = decode_fields(content, what=_RECORD, bytes_max=_RECORD_BYTES_MAX)
            rows = tuple(_read(row) for row in fields.items(1, size_max=_ROWS_MAX))
            fields.close()
        except MessageError as error:
            raise StateError(
                subject=_RECORD,
                reason=f"is whole but cannot be understood: {error}",
                remedy="install the version of the TRE that wrote it",
            ) from error
        return rows


def _read(row: object) -> _Row:
    fields = Fields(dict(enumerate(row)) if isinstance(row, list) else row, what=_RECORD, refusal=refusal)
    read = _Row(
        sho=fields.text(0, size_max=ID_MAX),
        anomaly=Anomaly(mid_id=fields.text(1, size_max=ID_MAX), code=fields.text(2, size_max=CODE_MAX)),
    )
    fields.close()
    return read
