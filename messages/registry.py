"""The registry of a TRE: an owner asks which of its MIDs are there, and gets a signed answer (R38-R40).

Rule: the question is signed by an SHO and the answer holds that SHO's MIDs and nobody else's. The quote over the answer is
made for the nonce of the question; the answer brings a nonce of the TRE, which the owner's next instruction answers.
"""

from dataclasses import dataclass
from typing import Any, Final

from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError, refusal
from messages.instruction import REASON_MAX, TRE_NONCE_SIZE
from messages.operator_token import TokenKind
from messages.order import DIGEST_SIZE, ID_MAX
from messages.statement import RECEIPT_BODY_BYTES_MAX, STATEMENT_BYTES_MAX
from standards.pki import oids
from standards.rats.fields import Fields, encode_base64url

QUERY_KIND: Final = TokenKind(
    typ="pva-registry-query+jwt", eku=oids.EKU_SUBSCRIPTION, roles=frozenset({"sho"})
)
QUERY_NONCE_SIZE: Final = 32
REGISTRY: Final = "registry"
REGISTRY_BODY_BYTES_MAX: Final = 24_576
REPORT_STATEMENT_BYTES_MAX: Final = REGISTRY_BODY_BYTES_MAX + STATEMENT_BYTES_MAX - RECEIPT_BODY_BYTES_MAX
"""Size of a signed statement over a report, the largest that a TRE makes."""
ENTRIES_MAX: Final = 64
TRANSITIONS_MAX: Final = 32
AWAITS_CONFIRMATION: Final = "awaits-confirmation"
"""Reason of a MID that serves in place of another owner's until its own owner confirms, or its deadline is over."""
HANDED_OVER: Final = "handed-over"
"""Reason of a MID that is INACTIVE for as long as another owner's serves in its place unconfirmed."""
PASSING: Final = frozenset({AWAITS_CONFIRMATION, HANDED_OVER})
"""States with such a reason end by themselves: nothing that an owner wants is done by them."""
HAND_OVER: Final = "hand-over"
"""Event of a MID that became INACTIVE for good because another owner's, which is confirmed, serves in its place."""
_WORD_MAX: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryQuery:
    """The question of `sho` to one device."""

    sho: str
    device_id: str
    nonce: bytes

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_query` takes them back."""
        return {"sub": self.device_id, "nonce": encode_base64url(self.nonce)}


def read_query(claims: object) -> RegistryQuery:
    """Read verified claims. Raises MessageError."""
    fields = Fields(claims, what="registry query", refusal=refusal)
    query = RegistryQuery(
        sho=fields.text("iss", size_max=ID_MAX),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        nonce=fields.base64url("nonce", size_min=QUERY_NONCE_SIZE, size_max=QUERY_NONCE_SIZE),
    )
    fields.close()
    return query


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEntry:
    """One MID: the state in which it can be used or not now, and why it is blocked, erased or about to change ("-" otherwise)."""

    mid_id: str
    state: str
    reason: str
    order_digest: bytes
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of a MID, by its number in the journal of the compartment: it only grows; TPM clock and boot of it."""

    number: int
    mid_id: str
    event: str
    state: str
    clock_ms: int
    reset_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryReport:
    """What a TRE says to one owner. `sequence` is the version of its compartment, 0 where it is gone."""

    device_id: str
    sho: str
    tre_nonce: bytes
    sequence: int
    entries: tuple[RegistryEntry, ...]
    transitions: tuple[Transition, ...]

    def encode(self) -> bytes:
        """Deterministic CBOR; `decode_report` takes it back."""
        return encode_deterministic(
            {
                1: REGISTRY,
                2: bytes.fromhex(self.device_id),
                3: self.sho,
                4: self.tre_nonce,
                5: self.sequence,
                6: [_entry(each) for each in self.entries],
                7: [encode_transition(each) for each in self.transitions],
            }
        )


def decode_report(body: bytes) -> RegistryReport:
    """Read the body of a statement. Raises MessageError."""
    fields = decode_fields(body, what="registry", bytes_max=REGISTRY_BODY_BYTES_MAX)
    if fields.text(1, size_max=16) != REGISTRY:
        raise MessageError(what="registry.1", expected=REGISTRY, got="another kind of statement")
    report = RegistryReport(
        device_id=fields.octets(2, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        sho=fields.text(3, size_max=ID_MAX),
        tre_nonce=fields.octets(4, size_min=TRE_NONCE_SIZE, size_max=TRE_NONCE_SIZE),
        sequence=fields.integer(5),
        entries=tuple(_read_entry(row) for row in fields.items(6, size_max=ENTRIES_MAX)),
        transitions=tuple(
            read_transition(row, what="registry") for row in fields.items(7, size_max=TRANSITIONS_MAX)
        ),
    )
    fields.close()
    return report


def encode_transition(made: Transition) -> dict[int, Any]:
    """As it stands in a report, and in the compartment's own file."""
    return {
        1: made.number,
        2: made.mid_id,
        3: made.event,
        4: made.state,
        5: made.clock_ms,
        6: made.reset_count,
    }


def read_transition(row: object, *, what: str) -> Transition:
    """Take one back. Raises MessageError."""
    fields = Fields(row, what=what, refusal=refusal)
    made = Transition(
        number=fields.integer(1),
        mid_id=fields.text(2, size_max=ID_MAX),
        event=fields.text(3, size_max=_WORD_MAX),
        state=fields.text(4, size_max=_WORD_MAX),
        clock_ms=fields.integer(5),
        reset_count=fields.integer(6),
    )
    fields.close()
    return made


def _entry(entry: RegistryEntry) -> dict[int, Any]:
    return {
        1: entry.mid_id,
        2: entry.state,
        3: entry.reason,
        4: entry.order_digest,
        5: entry.version,
    }


def _read_entry(row: object) -> RegistryEntry:
    fields = Fields(row, what="registry", refusal=refusal)
    entry = RegistryEntry(
        mid_id=fields.text(1, size_max=ID_MAX),
        state=fields.text(2, size_max=_WORD_MAX),
        reason=fields.text(3, size_max=REASON_MAX),
        order_digest=fields.octets(4, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        version=fields.integer(5),
    )
    fields.close()
    return entry
