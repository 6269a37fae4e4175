"""Who may call what: principals by certificate, and routes that declare their access.

A principal is a row (role, tenant, name) keyed by the issuer's certificate and the subject's public key,
both as SHA-256 (D12): names inside certificates decide nothing. The one rule: a route without declared
access does not start; a certificate without a row gets 403 with the two digests that would register it. A browser with a
certificate shows it for foreign pages too, so what these send changes nothing (`edge.browser_requests`).
"""

import hashlib
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask, g, request
from pydantic import Field, ValidationError

from edge.browser_requests import refuse_other_origins
from edge.http_protocol import PEER_CERTIFICATE
from edge.model_faults import faults_of
from edge.problem_document import Problem, ProblemError
from edge.rate_limits import RateLimit
from edge.request_notes import request_notes
from edge.settings import Settings
from standards.pki.errors import DecodeError
from standards.pki.extensions import Requester, Requesters
from standards.pki.fingerprints import UNREADABLE, certificate_sha256
from standards.pki.paths import is_issued_by

ROLES = frozenset(
    "sho dpf icf drf vno ccif ro-relay es overseer pva ocsp admin auditor".split()  # noqa: SIM905  # reads as the list of D12
)
NOT_REGISTERED = "principal-not-registered"
"""Problem type for a proven certificate that nobody is registered with."""
CERTIFICATE_REVOKED = "certificate-revoked"
"""Problem type for a registered certificate that is revoked."""
ADMIN = "admin"
PUBLIC = "public"
DEVICE = "device"
ENROLLING = "enrolling"
_ACCESS = "pva_access"
_TABLE_BYTES_MAX = 4 << 20
_CERTIFICATES_MAX = 1024
_Digest = Field(pattern=r"^[0-9a-f]{64}$")

RowKey = tuple[str, str]
"""SHA-256 of the issuer's certificate and of the subject's key (DER SPKI), in hexadecimal."""
IsRevoked = Callable[[x509.Certificate, x509.Certificate], bool]
View = TypeVar("View", bound=Callable[..., Any])


class PrincipalTableError(Exception):
    """The table of principals cannot be read: nobody is let in."""


class UndeclaredAccessError(Exception):
    """A route says nothing about who may call it."""


class Principal(Settings):
    """Someone known: `role` one of ROLES, `tenant` whose data (supplier, operator), `name` for logs.

    `issued_at_request_of` is who had his certificate issued, nearest first, None where nothing says it. The certificate
    says it; for one that does not, such as another CA's, whoever keeps the table may.
    """

    role: str
    tenant: str
    name: str
    issued_at_request_of: tuple[Requester, ...] | None = None


Beside = Callable[[RowKey, Principal | None], Principal | None]
"""Who has a key, from the row that the file has for it (`edge.administrators`). May raise ProblemError."""


class _Row(Principal):
    issuer_sha256: str = _Digest
    spki_sha256: str = _Digest


class _Rows(Settings):
    principals: list[_Row]


def certificate_digests(certificate: x509.Certificate, issuer: x509.Certificate) -> RowKey:
    """Key of a row: SHA-256 of the issuer's DER certificate and of the subject's DER SPKI, hexadecimal."""
    issuer_der = issuer.public_bytes(Encoding.DER)
    return hashlib.sha256(issuer_der).hexdigest(), hashlib.sha256(_spki(certificate)).hexdigest()


class PrincipalTable:
    """The rows of one listener, read from a JSON file and read again when the file changes.

    `{"principals": [{"role", "tenant", "name", "issuer_sha256", "spki_sha256"}]}`, and where a certificate does not
    say it, `"issued_at_request_of": [{"name", "key_sha256"}]` (`[]`: a ceremony); `anchors` is the PEM
    file that the listener verifies clients against, with every CA that issues to them directly.
    """

    def __init__(
        self,
        path: Path,
        *,
        anchors: Path,
        is_revoked: IsRevoked | None = None,
        limit: RateLimit | None = None,
        beside: Beside | None = None,
    ) -> None:
        """Read both files; raises PrincipalTableError.

        `is_revoked(certificate, issuer)` is asked at every request, by a service that can know. `limit` is for each
        principal, over all routes. `beside` knows administrators whom the file does not name, and who was removed.
        """
        self._limit = limit
        self._beside = beside
        self._path = path
        self._is_revoked = is_revoked
        self._issuers = _load_issuers(anchors)
        # by the octets that the handshake proved, which say all of this for ever; who is registered is looked up each time
        self._identified = lru_cache(maxsize=_CERTIFICATES_MAX)(self._identify)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._rows: Mapping[RowKey, Principal] = {}
        self._current()

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        anchors: Path,
        is_revoked: IsRevoked | None = None,
        limit: RateLimit | None = None,
        beside: Beside | None = None,
    ) -> "PrincipalTable":
        """Table from the files `path` (JSON) and `anchors` (PEM)."""
        return cls(path, anchors=anchors, is_revoked=is_revoked, limit=limit, beside=beside)

    def listed(self) -> Mapping[RowKey, Principal]:
        """The rows of the file, as it is now. Raises PrincipalTableError."""
        return self._current()

    def issuer_digests(self) -> frozenset[str]:
        """SHA-256 of the certificates of the CAs that issue to clients, in hexadecimal."""
        return frozenset(certificate_sha256(each) for each in self._issuers)

    def principal_of(self, certificate_der: bytes) -> Principal:
        """Principal of a certificate that the TLS handshake has verified.

        Raises ProblemError (403) naming what to register when there is no row for it.
        """
        certificate, issuer, key, said = self._identified(certificate_der)
        principal = self._current().get(key)
        # whom the file gives another role is nobody's but the file's: only administrators are asked for elsewhere
        if self._beside is not None and (principal is None or principal.role == ADMIN):
            principal = self._beside(key, principal)
        if principal is None:
            remedy = f"register issuer_sha256 {key[0]} with spki_sha256 {key[1]}, role, tenant and name"
            raise ProblemError(_unknown("no principal is registered for this certificate", remedy))
        if self._is_revoked is not None and self._is_revoked(certificate, issuer):
            raise ProblemError(_revoked(principal))
        return principal if said is None else principal.model_copy(update={"issued_at_request_of": said})

    def _identify(
        self, certificate_der: bytes
    ) -> tuple[x509.Certificate, x509.Certificate, RowKey, tuple[Requester, ...] | None]:
        """A certificate, the anchor that issued it, the key of its row, and who it says had it issued.

        Raises ProblemError (403).
        """
        certificate = x509.load_der_x509_certificate(certificate_der)
        issuer = next((one for one in self._issuers if is_issued_by(certificate, one)), None)
        if issuer is None:
            raise ProblemError(
                _unknown("the issuer of the certificate is no CA of the client anchors file", "")
            )
        return certificate, issuer, certificate_digests(certificate, issuer), _requesters(certificate)

    def count_request(self, principal: Principal) -> None:
        """Count a request of somebody admitted. Raises ProblemError (429) when there were too many."""
        if self._limit is not None:
            self._limit.spend(f"{principal.role}:{principal.tenant}:{principal.name}")

    def _current(self) -> Mapping[RowKey, Principal]:
        with self._lock:
            try:
                status = self._path.stat()
                stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
                if stamp != self._stamp:
                    self._rows, self._stamp = _load_rows(self._path), stamp
            except (OSError, ValueError, DecodeError) as error:
                self._stamp = None
                raise PrincipalTableError(f"{self._path}: {_why(error)}") from None
            return self._rows


def require(*roles: str) -> Callable[[View], View]:
    """Declare that a view serves principals of these roles, and nobody else."""
    unknown = set(roles) - ROLES
    if unknown or not roles:
        raise ValueError(f"expected roles out of {sorted(ROLES)}, got {sorted(unknown) or 'none'}")
    return _declare(roles)


def public(view: View) -> View:
    """Declare that a view serves everybody: nothing it does depends on who asks."""
    return _declare((PUBLIC,))(view)


def device(view: View) -> View:
    """Declare that a view serves devices: its messages authenticate themselves."""
    return _declare((DEVICE,))(view)


def enrolling(view: View) -> View:
    """Declare that a view serves whoever asks for a certificate: a registered key or an old certificate proves him."""
    return _declare((ENROLLING,))(view)


def enforce_access(app: Flask, *, principals: PrincipalTable | None = None) -> None:
    """Make every route of `app` obey its declaration; call it last in the application's factory.

    Raises UndeclaredAccessError naming routes without access, and those with roles when there is no table.
    """
    declared = {endpoint: _access(view) for endpoint, view in app.view_functions.items()}
    missing = sorted(rule.rule for rule in app.url_map.iter_rules() if not declared.get(rule.endpoint))
    if missing:
        raise UndeclaredAccessError(
            f"routes without declared access: {', '.join(missing)}; use require, public, device, enrolling"
        )
    with_roles = {endpoint for endpoint, roles in declared.items() if set(roles) & ROLES}
    if with_roles and principals is None:
        raise UndeclaredAccessError(
            f"routes with roles need a table of principals: {', '.join(sorted(with_roles))}"
        )
    app.extensions[_ACCESS] = declared

    def check() -> None:
        if request.endpoint is None:
            return  # 404 and 405 are answered without asking who it is
        roles, notes = declared[request.endpoint], request_notes()
        notes.route = None if request.url_rule is None else request.url_rule.rule
        if principals is not None and set(roles) & ROLES:
            admitted = g.pva_principal = _admitted(principals, roles)
            notes.role, notes.tenant = admitted.role, admitted.tenant
            refuse_other_origins()

    app.before_request(check)


def routes_of(app: Flask) -> list[tuple[str, str, tuple[str, ...]]]:
    """Every (method, rule, roles or ("public",) or ("device",)) of an application, sorted."""
    declared: Mapping[str, tuple[str, ...]] = app.extensions[_ACCESS]
    return sorted(
        (method, rule.rule, declared[rule.endpoint])
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


def current_principal() -> Principal:
    """Principal of the present request, in a view that requires a role."""
    principal: Principal = g.pva_principal
    return principal


def current_key_sha256() -> str:
    """SHA-256 of the key (DER SPKI) with which the present caller proved itself, in hexadecimal.

    Two principals are two people only where their keys are two: a view that needs both compares these.
    """
    certificate = x509.load_der_x509_certificate(request.environ[PEER_CERTIFICATE])
    return hashlib.sha256(_spki(certificate)).hexdigest()


def principal_or_none() -> Principal | None:
    """Principal of the present request, None where nobody has been admitted (yet)."""
    principal: Principal | None = g.get("pva_principal")
    return principal


def _admitted(principals: PrincipalTable, roles: tuple[str, ...]) -> Principal:
    certificate = request.environ.get(PEER_CERTIFICATE)
    if not isinstance(certificate, bytes):
        raise ProblemError(
            Problem(
                status=401,
                type="certificate-required",
                title="Unauthorized",
                detail="this route needs a client certificate",
                subject="client certificate",
                reason="missing",
                remedy="connect with a certificate of this installation's TLS root",
            )
        )
    principal = principals.principal_of(certificate)
    principals.count_request(principal)
    if principal.role not in roles:
        g.pva_principal = principal  # known, so the refusal is on record under this name
        raise ProblemError(
            Problem(
                status=403,
                type="role-not-permitted",
                title="Forbidden",
                detail=f"this route serves {', '.join(roles)}; {principal.name} is {principal.role}",
                subject=principal.name,
                reason="role",
                remedy=f"use a certificate registered as {' or '.join(roles)}",
            )
        )
    return principal


def _declare(roles: tuple[str, ...]) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, _ACCESS, roles)
        return view

    return mark


def _access(view: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(getattr(view, _ACCESS, ()))


def _unknown(detail: str, remedy: str) -> Problem:
    return Problem(
        status=403,
        type=NOT_REGISTERED,
        title="Forbidden",
        detail=detail,
        subject="client certificate",
        reason="not-registered",
        remedy=remedy or "use a certificate of this installation's TLS root",
    )


def _revoked(principal: Principal) -> Problem:
    return Problem(
        status=403,
        type=CERTIFICATE_REVOKED,
        title="Forbidden",
        detail=f"the certificate of {principal.name} is revoked",
        subject=principal.name,
        reason="revoked",
        remedy="have a new key certified and registered, and the old row removed",
    )


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _requesters(certificate: x509.Certificate) -> tuple[Requester, ...] | None:
    try:
        found = Requesters.of(certificate)
    except DecodeError:
        return None  # another CA's, under our identifier: it says nothing that could be relied on
    return None if found is None else found.line


def _load_issuers(anchors: Path) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(anchors.read_bytes()))
    except (OSError, *UNREADABLE) as error:
        raise PrincipalTableError(f"client anchors {anchors}: {_why(error)}") from None


def _load_rows(path: Path) -> Mapping[RowKey, Principal]:
    data = path.read_bytes()
    if len(data) > _TABLE_BYTES_MAX:
        raise ValueError(f"larger than {_TABLE_BYTES_MAX} bytes")
    rows: dict[RowKey, Principal] = {}
    for row in _Rows.model_validate_json(data).principals:
        key = (row.issuer_sha256, row.spki_sha256)
        if row.role not in ROLES:
            raise ValueError(f"role {row.role} of {row.name} is none of {sorted(ROLES)}")
        if key in rows:
            raise ValueError(f"{row.name} and {rows[key].name} share one certificate key")
        rows[key] = Principal(
            role=row.role,
            tenant=row.tenant,
            name=row.name,
            issued_at_request_of=row.issued_at_request_of,
        )
    return rows


def _why(error: Exception) -> str:
    return faults_of(error) if isinstance(error, ValidationError) else str(error)
