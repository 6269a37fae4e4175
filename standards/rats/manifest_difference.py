"""What differs between two reference manifests, by name.

Rule: everything that a manifest says is compared, and what is said in both alike is not named. Events of a register are
compared in their order: what both begin and end with is the same, the rest is paired place by place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from standards.boot_log.algorithms import BANKS
from standards.rats.manifest import Manifest, ReferenceEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference: `kind` is "release", "register" or "event"; `old` or `new` is None where there is none."""

    kind: str
    name: str
    old: str | None
    new: str | None


def differences(old: Manifest, new: Manifest) -> tuple[Difference, ...]:
    """Every difference between two manifests: release, registers, events."""
    return (*_of_release(old, new), *_of_registers(old, new), *_of_events(old, new))


def _of_release(old: Manifest, new: Manifest) -> Iterator[Difference]:
    before, after = _facts(old), _facts(new)
    for name, value in before.items():
        if value != after[name]:
            yield Difference(kind="release", name=name, old=value, new=after[name])


def _facts(manifest: Manifest) -> dict[str, str | None]:
    before = manifest.predecessor
    image = manifest.tre_image_digest
    return {
        "id": manifest.id,
        "supplier": manifest.supplier,
        "line": manifest.line,
        "models": ", ".join(sorted(manifest.models)),
        "svn": str(manifest.svn),
        "release": manifest.release,
        "tre image": None if image is None else image.hex(),
        "valid from": _moment(manifest.valid_from),
        "valid to": _moment(manifest.valid_to),
        "predecessor": None if before is None else before.digest.hex(),
        "predecessor until": None if before is None else _moment(before.until),
    }


def _of_registers(old: Manifest, new: Manifest) -> Iterator[Difference]:
    before, after = old.platform.registers, new.platform.registers
    for bank in sorted({*before, *after}):
        mine, theirs = before.get(bank, {}), after.get(bank, {})
        for pcr in sorted({*mine, *theirs}):
            if mine.get(pcr) != theirs.get(pcr):
                yield Difference(
                    kind="register",
                    name=f"PCR {pcr} of bank {BANKS[bank].name}",
                    old=_hex(mine.get(pcr)),
                    new=_hex(theirs.get(pcr)),
                )


def _of_events(old: Manifest, new: Manifest) -> Iterator[Difference]:
    for pcr in sorted({event.pcr for event in (*old.events, *new.events)}):
        before, after = _in_order(old, pcr), _in_order(new, pcr)
        start = _shared(before, after)
        rest = min(len(before), len(after)) - start
        end = min(_shared(before[::-1], after[::-1]), rest)
        pairs = zip_longest(before[start : len(before) - end], after[start : len(after) - end])
        for place, (was, becomes) in enumerate(pairs, start=start):
            if _said(was) != _said(becomes):
                yield Difference(
                    kind="event", name=_name(pcr, place, was, becomes), old=_said(was), new=_said(becomes)
                )


def _in_order(manifest: Manifest, pcr: int) -> list[ReferenceEvent]:
    return sorted((each for each in manifest.events if each.pcr == pcr), key=lambda each: each.position)


def _shared(one: Sequence[ReferenceEvent], other: Sequence[ReferenceEvent]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next(
        (place for place, (left, right) in pairs if _said(left) != _said(right)), min(len(one), len(other))
    )


def _name(pcr: int, place: int, old: ReferenceEvent | None, new: ReferenceEvent | None) -> str:
    names = dict.fromkeys(event.name for event in (old, new) if event is not None)
    return f"PCR {pcr}, position {place}: {' -> '.join(names)}"


def _said(event: ReferenceEvent | None) -> str | None:
    """All that an event says but for where it stands."""
    if event is None:
        return None
    digests = ", ".join(f"{BANKS[bank].name}:{value.hex()}" for bank, value in sorted(event.digest.items()))
    return f"{event.name} ({event.scope}) {digests}"


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _moment(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
