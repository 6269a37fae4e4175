"""A suspension as CA and PVA tell of it: the same words, whoever's error a malformed one is."""

from dataclasses import dataclass

from standards.rats.fields import Fields, Refusal

SUSPENSIONS_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspensionEntry:
    """What is suspended: a supplier, or one model or batch of it; `approvals` names who approved its lifting so far."""

    id: str
    supplier: str
    model: str | None
    batch: str | None
    reason: str
    suspended_by: str
    suspended_at: str
    approvals: tuple[str, ...]
    lifted_at: str | None


def read_suspension(value: object, *, refusal: Refusal) -> SuspensionEntry:
    """Read one; raises what `refusal` makes."""
    fields = Fields(value, what="suspension", refusal=refusal)
    given = fields.items("approvals", size_max=16)
    return SuspensionEntry(
        id=fields.hex("id", size_min=32, size_max=32).hex(),
        supplier=fields.text("supplier"),
        model=optional_text(fields, "model"),
        batch=optional_text(fields, "batch"),
        reason=fields.text("reason"),
        suspended_by=fields.text("suspended_by"),
        suspended_at=fields.text("suspended_at"),
        approvals=tuple(Fields(each, what="approval", refusal=refusal).text("by") for each in given),
        lifted_at=optional_text(fields, "lifted_at"),
    )


def read_suspensions(value: object, *, refusal: Refusal) -> tuple[SuspensionEntry, ...]:
    """Read a list of them; raises what `refusal` makes."""
    rows = Fields(value, what="suspensions", refusal=refusal).items("suspensions", size_max=SUSPENSIONS_MAX)
    return tuple(read_suspension(each, refusal=refusal) for each in rows)


def optional_text(fields: Fields, key: str) -> str | None:
    """A text, or None where the member is null."""
    return None if fields.raw(key) is None else fields.text(key)
