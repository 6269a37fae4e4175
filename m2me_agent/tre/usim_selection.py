"""Which USIM this device uses for each kind of access, where several owners have one that is active (R17, R23).

The rule: one active USIM a kind of access. The first that is activated serves until a person at the device selects
another; no operator takes another one's place, and no agent does. A choice whose MID is gone, or is active no more,
binds nobody. ISIMs open no access of their own: all of them serve.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from m2me_agent.tre.errors import MidError, StateError
from m2me_agent.tre.state import Storage
from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError, refusal
from messages.mid_content import USIM, NetworkApplication
from messages.mid_policy import ACCESSES
from messages.order import ID_MAX
from standards.rats.fields import Fields

_RECORD = "usim-selection"
_RECORD_BYTES_MAX = 1 << 12
_IDENTITY_MAX = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One application: the MID that it is in, and its IMSI."""

    mid_id: str
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsimSelection:
    """What was selected, by kind of access; durable before it counts."""

    storage: Storage

    def all(self) -> Mapping[str, Chosen]:
        """By kind of access. Raises StateError."""
        content = self.storage.read(_RECORD)
        return {} if content is None else _decode(content)

    def take_free(
        self, mid_id: str, application: NetworkApplication, *, is_active: Callable[[str], bool]
    ) -> None:
        """Let this application serve where none of an active MID does; `is_active` by MID id. Raises StateError."""
        chosen = self.all().get(application.access)
        if application.kind == USIM and (chosen is None or not is_active(chosen.mid_id)):
            self.select(mid_id, application)

    def select(self, mid_id: str, application: NetworkApplication) -> None:
        """Let this USIM serve from now on. Raises MidError for an ISIM, StateError."""
        if application.kind != USIM:
            raise MidError(
                subject=f"application of MID {mid_id}",
                reason="is no USIM: every ISIM of an active MID serves",
                remedy="select a USIM",
            )
        chosen = Chosen(mid_id=mid_id, identity=application.identity)
        kept = {**self.all(), application.access: chosen}
        rows = {access: [each.mid_id, each.identity] for access, each in kept.items()}
        self.storage.write(_RECORD, encode_deterministic(rows))

    def check_serves(self, mid_id: str, application: NetworkApplication) -> None:
        """Raises MidError where another USIM serves this kind of access, StateError."""
        chosen = self.all().get(application.access)
        wanted = Chosen(mid_id=mid_id, identity=application.identity)
        if application.kind == USIM and chosen != wanted:
            raise MidError(
                subject=f"USIM of MID {mid_id}",
                reason=f"another one serves {application.access} access",
                remedy="have a person select it at the device",
            )


def _decode(content: bytes) -> Mapping[str, Chosen]:
    try:
        fields = decode_fields(content, what=_RECORD, bytes_max=_RECORD_BYTES_MAX)
        found = {
            access: _read(fields.items(access, size_min=2, size_max=2))
            for access in sorted(ACCESSES)
            if access in fields
        }
        fields.close()
    except MessageError as error:
        raise StateError(
            subject=_RECORD,
            reason=f"is whole but cannot be understood: {error}",
            remedy="install the version of the TRE that wrote it",
        ) from error
    return found


def _read(row: list[object]) -> Chosen:
    fields = Fields(dict(enumerate(row)), what=_RECORD, refusal=refusal)
    return Chosen(mid_id=fields.text(0, size_max=ID_MAX), identity=fields.text(1, size_max=_IDENTITY_MAX))
