"""`python -m lab.recorder`: a proxy that stands before a TLS listener and keeps all that passes, in clear.

Rule: it changes nothing and decides nothing; what it kept is evidence of what left a service and what did not. It
ends TLS with a server certificate of the lab and opens TLS anew to the real listener, so it sees what the device sees.
A record is a file a connection and direction, written as it happens: `<number>.up` and `<number>.down`.
"""

import asyncio
import contextlib
import itertools
import json
import re
import signal
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge.http_client import ClientTls, client_context
from edge.http_server import ServerTls, server_context
from edge.process import configure_logging, print_ready

CHUNK_BYTES = 1 << 16
_FLAT_OBJECT = re.compile(rb"\{[^{}]*\}")
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Where the real listener is, how it is reached, and where records go."""

    host: str
    port: int
    tls: ssl.SSLContext
    records: Path
    numbers: "itertools.count[int]"

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until both ends are done."""
        number = next(self.numbers)
        try:
            inner_reader, inner_writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
        except OSError:
            writer.close()
            return
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pass(reader, inner_writer, self.records / f"{number:05}.up"))
            both.create_task(self._pass(inner_reader, writer, self.records / f"{number:05}.down"))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, record: Path) -> None:
        with record.open("ab", buffering=0) as kept, contextlib.suppress(OSError, ssl.SSLError):
            while chunk := await reader.read(CHUNK_BYTES):
                kept.write(chunk)  # before it is passed on: nothing leaves unrecorded
                writer.write(chunk)
                await writer.drain()
        writer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What a recorder has kept so far."""

    folder: Path

    def holds(self, *parts: bytes) -> tuple[bool, ...]:
        """For each of some bytes, whether they have passed in one connection and direction."""
        kept = [path.read_bytes() for path in sorted(self.folder.iterdir())]
        return tuple(any(part in one for one in kept) for part in parts)

    def answer_with(self, part: bytes) -> dict[str, Any]:
        """The flat JSON object of an answer in which some bytes stand. Raises LookupError."""
        for path in sorted(self.folder.glob("*.down")):
            for match in _FLAT_OBJECT.finditer(path.read_bytes()):
                if part in match[0]:
                    return dict(json.loads(match[0]))
        raise LookupError("no answer with these bytes was recorded")


async def serve(recorder: Recorder, *, tls: ssl.SSLContext, port: int) -> None:
    """Carry connections until SIGTERM."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = await asyncio.start_server(recorder.carry, LOOPBACK, port, ssl=tls)
    async with server:
        bound = server.sockets[0].getsockname()[1]
        print_ready("recorder", {"device": f"https://{LOOPBACK}:{bound}"})
        await stopping.wait()


@click.command()
@click.option("--port", type=int, required=True, help="where devices come")
@click.option("--to", "target", required=True, help="host:port of the real listener")
@click.option("--anchors", type=click.Path(path_type=Path), required=True, help="TLS root (PEM)")
@click.option(
    "--server", type=click.Path(path_type=Path), required=True, help="folder: server.pem, server.key"
)
@click.option("--records", type=click.Path(path_type=Path), required=True, help="folder for what passes")
def main(port: int, target: str, anchors: Path, server: Path, records: Path) -> None:
    """Entry point."""
    configure_logging(role="recorder", level="info")
    records.mkdir(mode=0o700, parents=True, exist_ok=True)
    host, _, number = target.rpartition(":")
    recorder = Recorder(
        host=host,
        port=int(number),
        tls=client_context(ClientTls(anchors=anchors)),
        records=records,
        numbers=itertools.count(),
    )
    side = ServerTls(
        certificate=server / "server.pem", key=server / "server.key", passphrase_file=server / "passphrase"
    )
    asyncio.run(serve(recorder, tls=server_context(side, name="recorder"), port=port))


if __name__ == "__main__":
    main()
