"""The line of manifests as this CA has it: until when the state of each predecessor is accepted (R82). Pure but for its port."""

from datetime import datetime
from typing import Final, Protocol

from ca.records import ManifestRecord

LINE_MAX: Final = 64
"""Predecessors that are followed from a manifest, at most."""


class ManifestsByDigest(Protocol):
    """Port to the accepted manifests."""

    def manifest_of_digest(self, digest: bytes) -> ManifestRecord | None:
        """The accepted manifest with this digest of its signed form."""


def windows_before(records: ManifestsByDigest, manifest: ManifestRecord) -> dict[bytes, datetime]:
    """Digest of each predecessor, the nearest first, and the end of its window, as the manifest that follows it says."""
    found: dict[bytes, datetime] = {}
    link: ManifestRecord | None = manifest
    while (
        link is not None
        and link.predecessor_digest is not None
        and link.predecessor_until is not None
        and link.predecessor_digest not in found
        and len(found) < LINE_MAX
    ):
        found[link.predecessor_digest] = link.predecessor_until
        link = records.manifest_of_digest(link.predecessor_digest)
    return found
