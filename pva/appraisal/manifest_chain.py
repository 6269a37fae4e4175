"""Manifests that follow one another: which of them a device may be in the state of, and until when. Pure.

Rule: a supplier publishes an update as a new manifest that names its predecessor (SHA-256 of the signed form) and says
until when the predecessor's state is still accepted. Both are signed and absolute, so a stranger with the signed
bytes gets the same answer. A Platform Credential names one manifest; the device may be in its state or in that of
any successor that counts.

```
            from M2 on, M2 counts             M1 is over
                 |                                |
  M1 ============|================================|- - - - - - - - -  superseded-state: install release M2
  M2             |====================================================  accepted under a credential for M1, too
                 |<---------- overlap ----------->|
        rim-validity of M2 (not-before)     predecessor-until of M2
```

A line is one chain: `M1 <- M2 <- M3`. Same supplier, same line, the security version (svn) never falls, models are never
added, no manifest has two successors, at most `LINE_MAX` manifests. A digest names what was signed before, so a
circle cannot be signed; it is refused all the same. What ends a manifest (`Validity`):

| | M1 |
|---|---|
| M2 not approved here | goes on, whatever M2 says |
| M2 approved | ends at M2's predecessor-until, also when M2 was retired since: retiring takes away and never gives back |
| M3 ends M2 earlier than M2 ends M1 | ends with M2: no older state outlives a newer one |
| M2 is not for this model | goes on: the line has no successor for it |
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, unique
from typing import Protocol, Self

from edge.dual_control import Approval
from pva.appraisal.manifest_records import Retirement
from pva.refusals import RefusalCode, RefusalError
from standards.rats.corim import Manifest

LINE_MAX = 64
"""Manifests of one line; a supplier who needs more begins a new line with new Platform Credentials."""


class Link(Protocol):
    """What the rule of a line reads of a manifest; `predecessor_digest` is None in the first one."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the signed form."""

    @property
    def id(self) -> str:
        """The manifest's id."""

    @property
    def supplier(self) -> str:
        """Whose it is."""

    @property
    def line(self) -> str:
        """The line that it belongs to."""

    @property
    def svn(self) -> int:
        """Its security version."""

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it is for."""

    @property
    def predecessor_digest(self) -> bytes | None:
        """The digest of the manifest that it follows."""


def check_succession(manifest: Link, *, held: Iterable[Link]) -> None:
    """Refuse a manifest that may not follow the one that it names; `held` are those on record, without rejected ones.

    A manifest without a predecessor begins a line, and needs no more.
    """
    if manifest.predecessor_digest is None:
        return
    by_digest = {each.digest: each for each in held}
    before = by_digest.get(manifest.predecessor_digest)
    if before is None:
        raise _refused(
            RefusalCode.MANIFEST_PREDECESSOR_UNKNOWN,
            manifest,
            f"its predecessor {manifest.predecessor_digest.hex()} is not on record",
        )
    _check_pair(before, manifest)
    rival = next(
        (
            each
            for each in by_digest.values()
            if each.predecessor_digest == before.digest and each.digest != manifest.digest
        ),
        None,
    )
    if rival is not None:
        reason = f"manifest {rival.id!r} follows {before.id!r} already, with digest {rival.digest.hex()}"
        raise _refused(RefusalCode.MANIFEST_FORK, manifest, reason)
    _check_length(manifest, by_digest)


def _check_pair(before: Link, manifest: Link) -> None:
    if manifest.supplier != before.supplier:
        reason = f"its predecessor {before.id!r} is of {before.supplier!r}"
        raise _refused(RefusalCode.MANIFEST_WRONG_VENDOR, manifest, reason)
    if manifest.line != before.line:
        reason = f"expected the line {before.line!r} of its predecessor {before.id!r}, got {manifest.line!r}"
        raise _refused(RefusalCode.MANIFEST_OTHER_LINE, manifest, reason)
    if manifest.svn < before.svn:
        reason = f"expected a security version of {before.svn} or higher, got {manifest.svn}"
        raise _refused(RefusalCode.MANIFEST_SVN_FALLS, manifest, reason)
    added = sorted(set(manifest.models) - set(before.models))
    if added:
        reason = f"expected models out of {', '.join(before.models)}, got {', '.join(added)}"
        raise _refused(RefusalCode.MANIFEST_MODELS_WIDENED, manifest, reason)


def _check_length(manifest: Link, by_digest: Mapping[bytes, Link]) -> None:
    seen = {manifest.digest}
    digest = manifest.predecessor_digest
    while digest is not None:
        if digest in seen:
            raise _refused(RefusalCode.MANIFEST_FORK, manifest, "its line leads back to itself")
        seen.add(digest)
        if len(seen) > LINE_MAX:
            reason = f"a line has at most {LINE_MAX} manifests"
            raise _refused(RefusalCode.MANIFEST_LINE_TOO_LONG, manifest, reason)
        before = by_digest.get(digest)
        digest = None if before is None else before.predecessor_digest


def _refused(code: RefusalCode, manifest: Link, reason: str) -> RefusalError:
    return RefusalError(code, subject=f"manifest {manifest.id!r}", reason=reason)


@unique
class Window(IntEnum):
    """Where a manifest stands at some time, best first."""

    OPEN = 0
    NOT_YET = 1
    SUPERSEDED = 2
    EXPIRED = 3
    RETIRED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """When a manifest describes an approved state: from `starts_at` to `ends_at`, both included, None is open.

    `superseded_at` is the end that successors give it, `succeeded_at` from when one of them counts; `successor` is the
    newest one that a device may be updated to now. Whoever is `retired` affirms nobody.
    """

    starts_at: datetime | None
    expires_at: datetime | None
    superseded_at: datetime | None = None
    succeeded_at: datetime | None = None
    successor: Manifest | None = None
    retired: bool = False

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """That of a manifest which stands alone."""
        return cls(starts_at=manifest.valid_from, expires_at=manifest.valid_to)

    @property
    def ends_at(self) -> datetime | None:
        """The earlier of its own end and the one that successors give it."""
        return min((end for end in (self.expires_at, self.superseded_at) if end is not None), default=None)

    def window(self, at: datetime) -> Window:
        """Where it stands at `at`; past its own end it is superseded once a successor counts, and expired else."""
        if self.retired:
            return Window.RETIRED
        if self.starts_at is not None and at < self.starts_at:
            return Window.NOT_YET
        if self.superseded_at is not None and at > self.superseded_at:
            return Window.SUPERSEDED
        if self.expires_at is not None and at > self.expires_at:
            succeeded = self.succeeded_at is not None and at >= self.succeeded_at
            return Window.SUPERSEDED if succeeded else Window.EXPIRED
        return Window.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedManifest:
    """A manifest of a chain: its content, the SHA-256 of its signed form, and what administrators said of it.

    `imported_at` is when its signature was verified first, `approved_at` when enough administrators had approved it, None
    before; `approvals` are theirs. A retired one stays approved.
    """

    manifest: Manifest
    digest: bytes
    imported_at: datetime
    approvals: tuple[Approval, ...] = ()
    approved_at: datetime | None = None
    retirement: Retirement | None = None

    @property
    def approved(self) -> bool:
        """Whether it counts."""
        return self.approved_at is not None

    @property
    def retired(self) -> bool:
        """Whether it was withdrawn."""
        return self.retirement is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestChain:
    """The manifest that a Platform Credential names, and all its successors, oldest first.

    `permitted_models` is the name of a model -> hwType (dotted OID) of its devices, as recognised now.
    """

    links: tuple[ChainedManifest, ...]
    permitted_models: Mapping[str, str]

    @property
    def named(self) -> ChainedManifest:
        """The one that the Platform Credential names."""
        return self.links[0]

    def for_model(self, hw_type: str) -> Self:
        """The chain as far as it is for devices of one model: it ends before the first successor that is not."""
        names = {name for name, known in self.permitted_models.items() if known == hw_type}
        last = next(
            (
                number
                for number, link in enumerate(self.links)
                if number and not names & set(link.manifest.models)
            ),
            len(self.links),
        )
        return replace(self, links=self.links[:last])

    def approved(self, *, at: datetime) -> tuple[tuple[ChainedManifest, Validity], ...]:
        """Every approved manifest of the chain with its validity; what waits for approval has no say."""
        validities = _validities(self.links, at=at)
        return tuple(
            (link, validity) for link, validity in zip(self.links, validities, strict=True) if link.approved
        )

    def appraisable(self, *, at: datetime) -> tuple[ChainedManifest, ...]:
        """Those whose state is accepted at `at`: the one named, and the successors that count; oldest first."""
        return tuple(link for link, validity in self.approved(at=at) if validity.window(at) is Window.OPEN)


def _validities(links: Sequence[ChainedManifest], *, at: datetime) -> Collection[Validity]:
    """Validity of each link, from the newest to the oldest: what ends a manifest stands in those after it."""
    found: list[Validity] = []
    superseded_at: datetime | None = None
    succeeded_at: datetime | None = None
    successor: Manifest | None = None
    for link in reversed(links):
        manifest, before = link.manifest, link.manifest.predecessor
        validity = Validity(
            starts_at=manifest.valid_from,
            expires_at=manifest.valid_to,
            superseded_at=superseded_at,
            succeeded_at=succeeded_at,
            successor=successor,
            retired=link.retired,
        )
        found.append(validity)
        if link.approved and before is not None:
            superseded_at = before.until if superseded_at is None else min(superseded_at, before.until)
            starts = [each for each in (succeeded_at, manifest.valid_from) if each is not None]
            succeeded_at = min(starts, default=None)
        if successor is None and link.approved and validity.window(at) is Window.OPEN:
            successor = manifest
    return found[::-1]
