"""What `pva doctor` finds: what is wrong with this person's settings, the services, and what mends it.

Rule: a complaint names its subject, the reason, and the command that mends it; what is wrong now and what will be are
told apart. One thing that cannot be looked at hides no other.
"""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from cli.probe import Look, look_at, readiness
from cli.services_file import ServiceEntry, ServicesFile, tables_of
from cli.settings import CliSettings
from edge.keys import KeyFileError, check_private_file, load_any_private_key
from edge.process import Clock
from standards.pki.errors import PkiError
from standards.pki.fingerprints import decode_pem_certificates, spki_der

HORIZON: Final = timedelta(days=14)
SKEW_MAX_S: Final = 5.0
"""A Date has whole seconds, and an answer takes a moment; what is signed allows for minutes."""
CORE: Final = ("ca", "ocsp", "pva")
_PRIVATE = frozenset({"key", "passphrase_file", "pin_file", "key_file", "subscriber_key_file"})
_NOT_FOUND = 404
_CERTIFY = "pva certificate tls NAME --kind client --csr FILE --out {path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One thing that is wrong (`urgent`), or will be."""

    code: str
    subject: str
    reason: str
    remedy: str
    urgent: bool = True
    unreachable: bool = False


def examine_person(settings: CliSettings, *, config: Path, clock: Clock) -> Iterator[Complaint]:
    """The person's own files, and the services that they name."""
    yield from writable_by_others(config)
    mine = list(_own_files(settings, clock=clock))
    yield from mine
    if any(each.urgent for each in mine):
        return  # whatever the services said to these files would be about the files
    for name, url in (("ca", settings.ca_url), ("pva", settings.pva_url)):
        if url is None:
            yield Complaint(
                code="not-named",
                subject=f"{name}_url",
                reason=f"the settings name no {name}",
                remedy=f'add {name}_url = "https://HOST:PORT" to {config}, where you use it',
                urgent=False,
            )
        else:
            look = look_at(url, settings, clock=clock)
            yield from _complaints_about(look, name=f"{name} at {url}", settings=settings, clock=clock)


def writable_by_others(path: Path) -> Iterator[Complaint]:
    """Settings say which keys are used and where what is secret goes: only their owner may write them."""
    if stat.S_IMODE(path.stat().st_mode) & 0o022:
        yield Complaint(
            code="settings-writable",
            subject=str(path),
            reason="others may write it, and so decide whom this person or service trusts",
            remedy=f"chmod go-w {path}",
        )


def _own_files(settings: CliSettings, *, clock: Clock) -> Iterator[Complaint]:
    try:
        key = load_any_private_key(settings.key, passphrase_file=settings.passphrase_file)
        (certificate, *_) = decode_pem_certificates(settings.certificate.read_bytes())
        decode_pem_certificates(settings.tls_root.read_bytes())
    except KeyFileError as error:
        yield Complaint(code="key-file", subject=str(error.path), reason=error.reason, remedy=error.remedy)
        return
    except (PkiError, OSError) as error:
        yield Complaint(
            code="certificate-file",
            subject=f"{settings.certificate}, {settings.tls_root}",
            reason=str(error),
            remedy="put PEM certificates there: your own, and the TLS root of the installation",
        )
        return
    if spki_der(certificate) != spki_der(key.public_key()):
        yield Complaint(
            code="certificate-of-another-key",
            subject=str(settings.certificate),
            reason=f"it does not certify {settings.key}",
            remedy=f"pva key request {settings.key} --passphrase-file {settings.passphrase_file} --csr-out FILE, and "
            "have it certified",
        )
    remedy = _CERTIFY.format(path=settings.certificate)
    yield from _validity("your certificate", certificate, clock=clock, remedy=remedy)


def _validity(
    subject: str, certificate: x509.Certificate, *, clock: Clock, remedy: str
) -> Iterator[Complaint]:
    now, last = clock(), certificate.not_valid_after_utc
    if now > last:
        reason = f"it ended at {last:%Y-%m-%dT%H:%M:%SZ}"
        yield Complaint(code="certificate-expired", subject=subject, reason=reason, remedy=remedy)
    elif now > last - HORIZON:
        reason = f"it ends at {last:%Y-%m-%dT%H:%M:%SZ}"
        yield Complaint(
            code="certificate-expiring", subject=subject, reason=reason, remedy=remedy, urgent=False
        )


def _complaints_about(look: Look, *, name: str, settings: CliSettings, clock: Clock) -> Iterator[Complaint]:
    if look.unreachable is not None:
        yield Complaint(
            code="unreachable",
            subject=name,
            reason=look.unreachable,
            remedy="start it (systemctl start, pva serve), or correct the URL in the settings",
            unreachable=True,
        )
    elif look.refused_tls is not None and look.certificate is None:
        yield Complaint(
            code="server-certificate",
            subject=name,
            reason=look.refused_tls,
            remedy=f"compare its certificate with {settings.tls_root}: openssl s_client -connect HOST:PORT -showcerts",
        )
    elif look.refused_tls is not None:
        yield Complaint(
            code="client-certificate",
            subject=name,
            reason=look.refused_tls,
            remedy=f"have {settings.certificate} issued under the client anchors of that listener: "
            + _CERTIFY.format(path="FILE"),
        )
    elif look.problem is not None and look.status != _NOT_FOUND:
        yield Complaint(
            code=look.problem.type,
            subject=name,
            reason=look.problem.detail or look.problem.title,
            remedy=look.problem.remedy or "look into the log of the service",
        )
    if look.certificate is not None:
        remedy = "pva certificate tls NAME --kind server --csr FILE --host HOST --out FILE, and restart the service"
        yield from _validity(f"server certificate of {name}", look.certificate, clock=clock, remedy=remedy)
    if look.skew_s is not None and abs(look.skew_s) > SKEW_MAX_S:
        ahead = "ahead of" if look.skew_s > 0 else "behind"
        yield Complaint(
            code="clock-skew",
            subject=name,
            reason=f"its clock is {abs(look.skew_s):.0f} s {ahead} this machine's",
            remedy="timedatectl set-ntp true, on the machine whose clock is wrong",
        )


def examine_services(file: ServicesFile, *, timeout_s: float) -> Iterator[Complaint]:
    """The services of this machine: their files, and what each says of itself."""
    roles = {each.role for each in file.services.values()}
    for role in CORE:
        if role not in roles:
            yield Complaint(
                code="role-missing",
                subject=role,
                reason="no service of this file has this role, and a validation needs it",
                remedy=f"add [services.{role}] with role and config, where it does not run elsewhere",
                urgent=False,
            )
    for name, entry in file.services.items():
        yield from _service(name, entry, timeout_s=timeout_s)


def _service(name: str, entry: ServiceEntry, *, timeout_s: float) -> Iterator[Complaint]:
    try:
        tables = tables_of(entry.config)
    except (OSError, ValueError) as error:
        yield Complaint(
            code="settings-unreadable",
            subject=f"{name}: {entry.config}",
            reason=str(error),
            remedy="write the settings of the service there, as docs/OPERATIONS.md has them",
        )
        return
    folder = entry.config.parent
    yield from writable_by_others(entry.config)
    for path in sorted(set(_private_files(tables))):
        try:
            check_private_file(folder / path)
        except KeyFileError as error:
            yield Complaint(
                code="key-file", subject=f"{name}: {error.path}", reason=error.reason, remedy=error.remedy
            )
    management = tables.get("management")
    if not isinstance(management, dict):
        yield Complaint(
            code="not-observed",
            subject=name,
            reason="it has no management listener, so nobody hears before something bites",
            remedy=f'add [management] with socket = "management.sock" to {entry.config}',
            urgent=False,
        )
        return
    try:
        said = readiness(management, folder=folder, timeout_s=timeout_s)
    except OSError as error:
        yield Complaint(
            code="unreachable",
            subject=name,
            reason=f"its management listener: {error.strerror or error}",
            remedy="start it (systemctl start, pva serve), and see what its log says",
            unreachable=True,
        )
        return
    for key, urgent in (("reasons", True), ("soon", False)):
        for reason in said.get(key, ()):
            yield Complaint(
                code=str(reason["code"]),
                subject=f"{name}: {reason['subject']}",
                reason=str(reason["detail"]),
                remedy=str(reason["remedy"]),
                urgent=urgent,
            )


def _private_files(tables: Mapping[str, Any]) -> Iterator[Path]:
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from _private_files(value)
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    yield from _private_files(each)
        elif key in _PRIVATE and isinstance(value, str):
            yield Path(value)
