"""The management listener of a process: whether it lives, whether it can work, and what it has counted.

    GET /healthz   200 while the event loop turns that serves the other listeners too
    GET /readyz    200, or 503 with the reasons; both name what will bite soon
    GET /metrics   the text format of Prometheus

The one rule: it is for the machine and not for the network, so it is off unless configured, and then on a loopback
address or a UNIX socket: there is no client to authenticate, and nothing is shown that names a device or is secret.
"""

import asyncio
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Protocol, Self

import sqlalchemy as sa
from pydantic import Field, model_validator

from edge.database import engine_for
from edge.http_server import Listener
from edge.metrics import CONTENT_TYPE, ProcessMetrics
from edge.periodic import Periodic
from edge.process import Clock, logger
from edge.readiness import (
    Check,
    Reason,
    WorkWatch,
    certificate_files_check,
    certificates_in,
    disk_check,
    load_check,
    store_check,
)
from edge.request_guard import Receive, Scope, Send
from edge.settings import Settings, SettingsPath

NAME: Final = "management"
LOOK_TIMEOUT_S = 8.0
"""Longer than a connection to a store may take (`edge.database`), shorter than a prober waits."""
BODY_BYTES_MAX = 1024


class ManagementSettings(Settings):
    """Where the management listener is, and when /readyz begins to warn.

    Attributes:
        host: a loopback address, with `port`.
        port: 0 takes any free one; either this or `socket`.
        socket: a UNIX socket, for its owner and group.
        expiry_horizon_days: so long before a certificate ends it is named.
        disk_free_min_mib: what should be free where a SQLite store lies.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    socket: SettingsPath | None = None
    expiry_horizon_days: Annotated[float, Field(ge=0, le=3_650)] = 14
    disk_free_min_mib: Annotated[int, Field(ge=1, le=1 << 20)] = 512

    @model_validator(mode="after")
    def _is_for_this_machine(self) -> Self:
        if (self.port is None) == (self.socket is None):
            raise ValueError("expected either port or socket")
        if self.host != "localhost" and not _is_loopback(self.host):
            raise ValueError(
                f"host: expected a loopback address, got {self.host}: who may read it is not asked"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Managed(Protocol):
    """Settings of a process with a store that can be managed."""

    @property
    def database(self) -> str:
        """URL of its store."""

    @property
    def management(self) -> ManagementSettings | None:
        """Its management listener, if it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """What `edge.http_server.serve` needs to count and to tell; without `settings` it only counts."""

    settings: ManagementSettings | None = None
    metrics: ProcessMetrics = field(default_factory=ProcessMetrics)
    checks: list[Check] = field(default_factory=list)

    def add_check(self, check: Check) -> None:
        """Let /readyz look at this too."""
        self.checks.append(check)

    @property
    def horizon(self) -> timedelta:
        """So long before it ends a certificate is named."""
        return timedelta(days=0 if self.settings is None else self.settings.expiry_horizon_days)

    def watched(self, tasks: Iterable[Periodic]) -> tuple[Periodic, ...]:
        """The same work, counted where it fails."""
        watch = WorkWatch(self.metrics.work_failed)
        self.checks.append(watch.check)
        return tuple(watch.watched(each) for each in tasks)

    def listeners(self) -> tuple[Listener, ...]:
        """The management listener, where the settings have one."""
        if self.settings is None:
            return ()
        return (
            Listener(
                name=NAME,
                host=self.settings.host,
                port=self.settings.port or 0,
                unix_socket=self.settings.socket,
                app=ManagementApp(self),
                body_bytes_max=BODY_BYTES_MAX,
                logged=False,
            ),
        )


def open_management(settings: Settings, *, migrations: Path, clock: Clock) -> Management:
    """Everything that is looked at in every process: store, disk, certificates, load. `settings` are a `Managed`."""
    managed: Managed = settings  # type: ignore[assignment]  # one class cannot be a Settings and a Protocol
    if managed.management is None:
        return Management()
    metrics = ProcessMetrics()
    management = Management(settings=managed.management, metrics=metrics)
    # connections of its own: a pool that is full is not a store that is away
    engine = engine_for(managed.database)
    management.checks.extend(
        [
            store_check(engine, migrations),
            *_disk_checks(engine, mib_min=managed.management.disk_free_min_mib),
            certificate_files_check(
                tuple(certificates_in(settings)), horizon=management.horizon, clock=clock
            ),
            load_check(metrics.loads),
        ]
    )
    metrics.watch_pools()
    return management


def _disk_checks(engine: sa.Engine, *, mib_min: int) -> list[Check]:
    database = engine.url.database
    if engine.dialect.name != "sqlite" or database in {None, "", ":memory:"}:
        return []
    return [disk_check(Path(str(database)).parent, bytes_min=mib_min << 20)]


class ManagementApp:
    """ASGI application of the listener; what waits runs in one thread of its own, one look at a time."""

    def __init__(self, management: Management) -> None:
        """Look at nothing yet."""
        self._management = management
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="readiness")

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in {"GET", "HEAD"}:
            await _answer(send, 405, b"", "text/plain")
        elif scope["path"] == "/healthz":
            await _answer(send, 200, b"alive\n", "text/plain")
        elif scope["path"] == "/metrics":
            await _answer(send, 200, self._management.metrics.render(), CONTENT_TYPE)
        elif scope["path"] == "/readyz":
            reasons = await self._look()
            biting = [each.as_members() for each in reasons if each.bites]
            soon = [each.as_members() for each in reasons if not each.bites]
            document = {"ready": not biting, "reasons": biting, "soon": soon}
            status = 503 if biting else 200
            await _answer(send, status, json.dumps(document).encode() + b"\n", "application/json")
        else:
            await _answer(send, 404, b"", "text/plain")

    async def _look(self) -> list[Reason]:
        loop = asyncio.get_running_loop()
        look = loop.run_in_executor(self._looking, self._reasons)
        try:
            return await asyncio.wait_for(asyncio.shield(look), LOOK_TIMEOUT_S)
        except TimeoutError:
            return [
                Reason(
                    code="look-too-slow",
                    subject="readiness",
                    detail=f"looking took more than {LOOK_TIMEOUT_S:.0f} s",
                    remedy="see whether the store or the disk of this machine hangs",
                )
            ]

    def _reasons(self) -> list[Reason]:
        found: list[Reason] = []
        for check in self._management.checks:
            try:
                found += check()
            except Exception as error:  # noqa: BLE001  # a check that fails must not hide what the others see
                logger("management").error("check-failed", exc_info=error)
                found.append(
                    Reason(
                        code="check-failed",
                        subject="readiness",
                        detail=f"a check ended with {type(error).__name__}",
                        remedy="look for check-failed in the log of this process",
                    )
                )
        return found


async def _answer(send: Send, status: int, body: bytes, content_type: str) -> None:
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
