"""One open tunnel: bytes in both directions until either side ends, the time is up, or the quota is used.

Rule: no byte flows that was not counted before. Quota is set aside in the store in blocks, both directions of all
tunnels of a bearer from the same store; what was not used goes back when the tunnel ends.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from edge.process import Clock

CHUNK_BYTES = 16 * 1024
IDLE_S = 300.0


class QuotaBook(Protocol):
    """What a tunnel needs of the store; called in a thread."""

    def set_aside(self, bearer_id: str, *, bytes_needed: int, at: datetime) -> int:
        """Count a block as used (`operators.vno.bearers.block_of`): how many bytes; 0 when the bearer has ended."""

    def give_back(self, bearer_id: str, *, bytes_unused: int) -> None:
        """Uncount what was set aside and did not flow."""


class Meter:
    """Counts what flows in one tunnel."""

    def __init__(self, book: QuotaBook, bearer_id: str, *, clock: Clock) -> None:
        """Set nothing aside yet."""
        self._book = book
        self._bearer_id = bearer_id
        self._clock = clock
        self._lock = asyncio.Lock()
        self._left = 0

    async def count(self, size: int) -> int:
        """Count `size` bytes before they flow: how many of them may; less than `size` are the last ones."""
        async with self._lock:
            while self._left < size:
                needed = size - self._left
                granted = await asyncio.to_thread(
                    self._book.set_aside, self._bearer_id, bytes_needed=needed, at=self._clock()
                )
                if not granted:
                    break
                self._left += granted
            allowed = min(size, self._left)
            self._left -= allowed
            return allowed

    async def close(self) -> None:
        """Give back what did not flow."""
        unused, self._left = self._left, 0
        if unused:
            await asyncio.to_thread(self._book.give_back, self._bearer_id, bytes_unused=unused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One end of a tunnel."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def run_tunnel(device: Side, service: Side, *, early: bytes, meter: Meter, life_s: float) -> None:
    """Carry bytes until one side ends, `life_s` seconds have passed, nothing flows for long, or the quota is used.

    `early` came from the device already. Both sides are closed afterwards by the caller.
    """
    loop = asyncio.get_running_loop()
    moved = _Moved(loop.time())
    try:
        tasks = {
            asyncio.create_task(_carry(device.reader, service.writer, early=early, meter=meter, moved=moved)),
            asyncio.create_task(_carry(service.reader, device.writer, early=b"", meter=meter, moved=moved)),
            asyncio.create_task(_watch(moved, deadline=loop.time() + life_s)),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await asyncio.shield(meter.close())


@dataclass(slots=True)
class _Moved:
    """When bytes flowed last, on the loop's clock."""

    at: float


async def _carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, early: bytes, meter: Meter, moved: _Moved
) -> None:
    data = early or await reader.read(CHUNK_BYTES)
    while data:
        allowed = await meter.count(len(data))
        moved.at = asyncio.get_running_loop().time()
        writer.write(data[:allowed])
        try:
            await writer.drain()
        except ConnectionError:
            return
        if allowed < len(data):
            return
        data = await reader.read(CHUNK_BYTES)


async def _watch(moved: _Moved, *, deadline: float) -> None:
    loop = asyncio.get_running_loop()
    while (now := loop.time()) < min(deadline, moved.at + IDLE_S):  # noqa: ASYNC110 - waits for a time, not a state
        await asyncio.sleep(min(deadline, moved.at + IDLE_S) - now)
