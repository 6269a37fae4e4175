"""Batch feeds as a supplier would make them, and what somebody on their way could make of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from messages.batch import BatchDevice
from messages.batch_feed import CHUNK_LINES, FEED_TYPE, FeedHead, chunk_digests, feed_lines
from standards.pki.jws import sign_jws
from tests.fakes.ca import NOW, SupplierSigner


def devices(count: int, *, first: int = 0, model: str = "gw-1") -> list[BatchDevice]:
    """Devices that differ in everything."""
    return [
        BatchDevice(device_id=f"{number:064x}", model=model, serial=f"s{number}")
        for number in range(first, first + count)
    ]


@dataclass(kw_only=True)
class MadeFeed:
    """A feed: its signed head, and its lines, which a test may change."""

    head: FeedHead
    token: str
    lines: list[bytes]

    @classmethod
    def of(
        cls,
        listed: Sequence[BatchDevice],
        *,
        signer: SupplierSigner,
        batch: str = "batch-1",
        name: str = "acme",
    ) -> "MadeFeed":
        """Signed as `pva batch sign-feed` does."""
        lines = list(feed_lines(listed))
        head = FeedHead(
            batch=batch,
            supplier=name,
            issued_at=NOW,
            devices=len(listed),
            chunks=tuple(chunk_digests(lines)),
        )
        token = sign_jws(head.claims(), key=signer.key, chain=[signer.certificate], typ=FEED_TYPE)
        return cls(head=head, token=token, lines=lines)

    def chunk(self, number: int) -> bytes:
        """The bytes of one chunk."""
        start = number * CHUNK_LINES
        return b"".join(line + b"\n" for line in self.lines[start : start + CHUNK_LINES])
