"""Whether a process can do its work now, and what will keep it from doing so soon.

The one rule: a reason that is true now makes the process not ready; one that will become true is told while it is
still ready, since taking every node out of service because a certificate ends next week would be the outage that the
warning is there to prevent. Every reason has a stable code, a subject and a remedy, and no secret.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from cryptography import x509

from edge.database import transaction
from edge.database_faults import DatabaseUnavailableError
from edge.metrics import ListenerLoad
from edge.periodic import Periodic
from edge.process import Clock
from edge.settings import Settings
from standards.pki.errors import PkiError
from standards.pki.fingerprints import decode_pem_certificates

FAILURES_IN_A_ROW = 3
"""One bad round may be a moment's; three are a state."""
BUSY_SHARE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a process is not ready (`bites` now), or will not be."""

    code: str
    subject: str
    detail: str
    remedy: str
    bites: bool = True

    def as_members(self) -> dict[str, str]:
        """For the answer of /readyz."""
        return {
            "code": self.code,
            "subject": self.subject,
            "detail": self.detail,
            "remedy": self.remedy,
        }


Check = Callable[[], Iterable[Reason]]
"""Looks once, and gives what it found wrong; may wait for a store, but not for a network's pleasure."""


def store_check(engine: sa.Engine, migrations: Path) -> Check:
    """Whether the store answers, with the schema that this program knows."""
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    newest, known = set(script.get_heads()), {each.revision for each in script.walk_revisions()}

    def check() -> Iterator[Reason]:
        try:
            with transaction(engine, write=False) as connection:
                found = set(MigrationContext.configure(connection).get_current_heads())
        except DatabaseUnavailableError:
            yield Reason(
                code="database-away",
                subject="store",
                detail="the store does not answer",
                remedy="start it again, or wait: this process finds it without a restart",
            )
            return
        if found == newest:
            return
        if found - known:
            yield Reason(
                code="schema-newer",
                subject="store",
                detail="a newer version of this service has migrated the store",
                remedy="finish the update of all nodes",
                bites=False,
            )
            return
        yield Reason(
            code="migrations-missing",
            subject="store",
            detail=f"the schema is at {sorted(found) or 'nothing'}, expected {sorted(newest)}",
            remedy="restart this process: it migrates its store when it starts",
        )

    return check


def disk_check(folder: Path, *, bytes_min: int) -> Check:
    """Whether the file system of `folder` has room; half of `bytes_min` bites."""

    def check() -> Iterator[Reason]:
        free = shutil.disk_usage(folder).free
        if free < bytes_min:
            yield Reason(
                code="disk-nearly-full",
                subject=str(folder),
                detail=f"{free >> 20} MiB are free, expected {bytes_min >> 20} MiB",
                remedy="make room on that file system, or move the store to a larger one",
                bites=free < bytes_min // 2,
            )

    return check


def certificates_in(settings: Settings, *, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Every setting named `certificate`, in tables within tables too, with its dotted name."""
    for name in type(settings).model_fields:
        yield from _certificates(f"{prefix}{name}", getattr(settings, name))


def _certificates(name: str, value: Any) -> Iterator[tuple[str, Path]]:
    if isinstance(value, Settings):
        yield from certificates_in(value, prefix=f"{name}.")
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _certificates(f"{name}.{key}", each)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _certificates(f"{name}.{number}", each)
    elif isinstance(value, Path) and name.rpartition(".")[2] == "certificate":
        yield name, value


def certificate_files_check(files: Sequence[tuple[str, Path]], *, horizon: timedelta, clock: Clock) -> Check:
    """Whether every certificate of these files is in time, and will be for `horizon`. Files are read at each look."""

    def check() -> Iterator[Reason]:
        for name, path in files:
            try:
                certificates = decode_pem_certificates(path.read_bytes())
            except (OSError, PkiError) as error:
                yield Reason(
                    code="certificate-unreadable",
                    subject=name,
                    detail=f"{path}: {error}",
                    remedy="put the certificate back: the next start fails without it",
                    bites=False,
                )
                continue
            yield from validity_reasons(
                name,
                certificates[0],
                at=clock(),
                horizon=horizon,
                remedy=f"issue a new certificate, write it to {path}, and restart the process",
            )

    return check


def validity_reasons(
    name: str, certificate: x509.Certificate, *, at: datetime, horizon: timedelta, remedy: str
) -> Iterator[Reason]:
    """What is wrong with the time of a certificate that this process works with."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if at < first:
        code, detail = "certificate-not-yet-valid", f"it is valid from {first:%Y-%m-%dT%H:%M:%SZ}"
        yield Reason(code=code, subject=name, detail=detail, remedy="check the clock of this machine")
    elif at > last:
        detail = f"it ended at {last:%Y-%m-%dT%H:%M:%SZ}"
        yield Reason(code="certificate-expired", subject=name, detail=detail, remedy=remedy)
    elif at > last - horizon:
        detail = f"it ends at {last:%Y-%m-%dT%H:%M:%SZ}, in {_span(last - at)}"
        yield Reason(code="certificate-expiring", subject=name, detail=detail, remedy=remedy, bites=False)


def _span(left: timedelta) -> str:
    hours = int(left.total_seconds()) // 3600
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"  # noqa: PLR2004  # below two days hours matter


def load_check(loads: Sequence[ListenerLoad]) -> Check:
    """Whether a listener is so full that it soon refuses with 503."""

    def check() -> Iterator[Reason]:
        for load in loads:
            if load.share >= BUSY_SHARE:
                yield Reason(
                    code="requests-waiting",
                    subject=f"listener {load.name}",
                    detail=f"{load.at_work} of {load.requests_max} requests are at work or wait",
                    remedy="add a node, or find out who asks so much: pva_requests_total by route",
                    bites=load.share >= 1,
                )

    return check


class WorkWatch:
    """Notes how the work beside the listeners ends, so that work which fails again and again is no secret."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        """`failed` hears of each failure."""
        self._failed = failed
        self._in_a_row: dict[str, int] = {}

    def watched(self, task: Periodic) -> Periodic:
        """The same work, watched."""
        self._in_a_row[task.name] = 0

        def work() -> None:
            try:
                task.work()
            except Exception:
                self._in_a_row[task.name] += 1
                self._failed(task.name)
                raise
            self._in_a_row[task.name] = 0

        return Periodic(name=task.name, interval_s=task.interval_s, work=work)

    def check(self) -> Iterator[Reason]:
        """Work that fails."""
        for name, failures in list(self._in_a_row.items()):
            if failures >= FAILURES_IN_A_ROW:
                yield Reason(
                    code="work-failing",
                    subject=name,
                    detail=f"the last {failures} rounds ended with an error",
                    remedy="look for periodic-work-failed in the log of this process",
                    bites=False,
                )
