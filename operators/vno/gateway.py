"""The gateway: tunnels by HTTP CONNECT for whoever has a bearer, and nothing else (R08, R88, R107; D18).

Rule: it reads the head of one request and then no more: TLS ends at the services. Every connection goes through the
same steps; there is no other way to the other side.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from edge.problem_document import CONTENT_TYPE, Problem
from edge.process import Clock
from edge.refused import AnonymousRefusals, RefusedError, problem_of_refusal
from edge.stream_server import close_writer
from operators.vno.admission import BearerBook, Destination, IpNetwork, admit, proven_bearer, reachable
from operators.vno.bearers import Bearer
from operators.vno.connect_request import HEAD_BYTES_MAX, ConnectRequest, HeadParser
from operators.vno.refusals import RefusalCode, refuse
from operators.vno.tunnel import Meter, QuotaBook, Side, run_tunnel

HEAD_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 10.0
TUNNELS_OF_A_BEARER_MAX = 16
_OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


class GatewayRecords(BearerBook, QuotaBook, Protocol):
    """What the gateway needs of the store; called in threads."""

    def record_refusal(self, bearer: Bearer, problem: Problem, *, at: datetime) -> None:
        """Audit leaf for a refusal of a bearer that was proven, within a bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRules:
    """`networks`: addresses besides global ones that this network forwards to."""

    networks: tuple[IpNetwork, ...]


class Gateway:
    """Serves one connection after the other; used in one event loop."""

    def __init__(
        self, records: GatewayRecords, *, rules: GatewayRules, clock: Clock, anonymous: AnonymousRefusals
    ) -> None:
        """Work on the store's bearers."""
        self._records = records
        self._rules = rules
        self._clock = clock
        self._anonymous = anonymous
        self._tunnels: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        bearer = None
        try:
            # 1 the head of one request, soon
            request = await self._head(reader)
            # 2 a proven bearer
            bearer = await asyncio.to_thread(proven_bearer, request, book=self._records)
            # 3 to a destination that it may reach now
            destination = admit(bearer, request.target, at=self._clock())
            # 4 one tunnel more, and the other side answers
            with self._counted(bearer):
                async with self._connected(destination) as service:
                    writer.write(_OPEN)
                    await writer.drain()
                    # 5 bytes, until time or quota are up
                    await self._carry(
                        Side(reader=reader, writer=writer), service, bearer, early=request.early
                    )
        except RefusedError as refusal:
            await self._refuse(writer, refusal, bearer=bearer)

    async def _head(self, reader: asyncio.StreamReader) -> ConnectRequest:
        parser = HeadParser()
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                while (request := parser.feed(await reader.read(HEAD_BYTES_MAX))) is None:
                    pass
                return request
        except TimeoutError:
            raise refuse(
                RefusalCode.REQUEST_MALFORMED, subject="request", reason="the head did not arrive in time"
            ) from None

    @contextlib.contextmanager
    def _counted(self, bearer: Bearer) -> Iterator[None]:
        if self._tunnels[bearer.id] >= TUNNELS_OF_A_BEARER_MAX:
            raise refuse(
                RefusalCode.TOO_MANY_TUNNELS,
                subject="bearer",
                reason=f"expected at most {TUNNELS_OF_A_BEARER_MAX} tunnels at a time",
            )
        self._tunnels[bearer.id] += 1
        try:
            yield
        finally:
            self._tunnels[bearer.id] -= 1
            if not self._tunnels[bearer.id]:
                del self._tunnels[bearer.id]

    @contextlib.asynccontextmanager
    async def _connected(self, destination: Destination) -> AsyncIterator[Side]:
        address = reachable(await _addresses(destination), networks=self._rules.networks)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(address, destination.port)
        except (OSError, TimeoutError):
            raise _unreachable() from None
        try:
            yield Side(reader=reader, writer=writer)
        finally:
            await close_writer(writer)

    async def _carry(self, device: Side, service: Side, bearer: Bearer, *, early: bytes) -> None:
        meter = Meter(self._records, bearer.id, clock=self._clock)
        life_s = (bearer.expires_at - self._clock()).total_seconds()
        await run_tunnel(device, service, early=early, meter=meter, life_s=life_s)

    async def _refuse(
        self, writer: asyncio.StreamWriter, refusal: RefusedError, *, bearer: Bearer | None
    ) -> None:
        problem = problem_of_refusal(refusal)
        if bearer is None:
            self._anonymous.count(problem)
        else:
            await asyncio.to_thread(self._records.record_refusal, bearer, problem, at=self._clock())
        writer.write(_answer(problem))
        await writer.drain()


async def _addresses(destination: Destination) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            found = await loop.getaddrinfo(destination.host, destination.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        raise _unreachable() from None
    return [str(each[4][0]) for each in found]


def _unreachable() -> RefusedError:
    return refuse(
        RefusalCode.DESTINATION_UNREACHABLE, subject="destination", reason="the service cannot be reached"
    )


def _answer(problem: Problem) -> bytes:
    document = problem.encode()
    head = [
        f"HTTP/1.1 {problem.status} {problem.title}",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {len(document)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if problem.type == RefusalCode.BEARER_REQUIRED:
        head.append('Proxy-Authenticate: Basic realm="bearer"')
    if problem.type == RefusalCode.METHOD_NOT_OFFERED:
        head.append("Allow: CONNECT")
    return "\r\n".join([*head, "", ""]).encode("ascii") + document
