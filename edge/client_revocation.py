"""Which client certificates are revoked, by the CRLs of the CAs that a listener lets in.

The one rule: once a CRL is configured, only a list that verifies under the client's own CA and is current says that
a client may come in. What does not verify, or is older than what is known, changes nothing; where no list is current,
nobody of that CA is let in, unless the settings say that an alarm is enough.

A CRL is signed, so it is fetched over plain HTTP or read from a file. Whoever stands between can keep lists back until
the last one has ended, and no longer.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from edge.http_client import HttpClient
from edge.listener_settings import OperatorListenerSettings
from edge.periodic import Periodic
from edge.principals import Beside, PrincipalTable, PrincipalTableError
from edge.problem_document import Problem, ProblemError
from edge.process import Clock, logger
from standards.pki.crl import CRL_BYTES_MAX, VerifiedCrl, verify_crl
from standards.pki.errors import PkiError
from standards.pki.fingerprints import UNREADABLE

STATUS_UNKNOWN = "certificate-status-unknown"
"""Problem type for a certificate whose CA's CRL is configured and not current."""
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlSource:
    """Where one list comes from; `read` raises whatever keeps it from being read."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTable:
    """Principals of a listener, and the work beside it that keeps their revocation current."""

    principals: PrincipalTable
    periodic: tuple[Periodic, ...]


class ClientRevocation:
    """The newest verified list of each CA in `issuers`; may be asked by many threads."""

    def __init__(
        self,
        sources: Sequence[CrlSource],
        *,
        issuers: Sequence[x509.Certificate],
        clock: Clock,
        is_stale_refused: bool,
    ) -> None:
        """Know nothing yet: `follow` reads."""
        self._sources = tuple(sources)
        self._issuers = tuple(issuers)
        self._clock = clock
        self._is_stale_refused = is_stale_refused
        self._lock = threading.Lock()
        self._lists: dict[x509.Certificate, VerifiedCrl] = {}

    def follow(self) -> None:
        """Read every source; one that fails is a line of the log, and the others are read all the same."""
        for source in self._sources:
            try:
                self._take(source.read())
            except Exception as error:  # noqa: BLE001  # whatever is wrong there, what is known stays
                logger("principals").error("client-crl-not-read", source=source.name, reason=str(error))
        at = self._clock()
        for issuer in self._issuers:
            if self._current(issuer) is None:
                logger("principals").error(
                    "client-crl-not-current",
                    issuer=issuer.subject.rfc4514_string(),
                    at=at.isoformat(),
                    consequence="clients refused" if self._is_stale_refused else "revocation not judged",
                )

    def is_revoked(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        """Whether the list of `issuer` names the certificate. ProblemError (503) where there is no current one."""
        newest = self._current(issuer)
        if newest is None and self._is_stale_refused:
            raise ProblemError(_unknown(issuer))
        if newest is None:
            # an alarm is enough; what the list that has ended says against a certificate still holds
            newest = self._newest(issuer)
        return newest is not None and certificate.serial_number in newest.revoked

    def _take(self, der: bytes) -> None:
        issuer, found = self._verified(der)
        with self._lock:
            known = self._lists.get(issuer)
            if known is None or found.number > known.number:
                self._lists[issuer] = found

    def _verified(self, der: bytes) -> tuple[x509.Certificate, VerifiedCrl]:
        refusals: list[str] = []
        for issuer in self._issuers:
            try:
                return issuer, verify_crl(der, issuer=issuer, at=self._clock())
            except PkiError as error:
                refusals.append(str(error))
        raise ValueError("; ".join(refusals) or "the client anchors hold no CA")

    def _newest(self, issuer: x509.Certificate) -> VerifiedCrl | None:
        with self._lock:
            return self._lists.get(issuer)

    def _current(self, issuer: x509.Certificate) -> VerifiedCrl | None:
        newest = self._newest(issuer)
        return newest if newest is not None and self._clock() <= newest.next_update else None


def client_table(
    settings: OperatorListenerSettings, *, clock: Clock, beside: Beside | None = None
) -> ClientTable:
    """Principals of the settings' listener, judged by CRLs where they name some. Raises PrincipalTableError.

    `beside` knows the administrators whom the file does not name (`edge.administrators`).
    """
    if not settings.client_crl:
        table = PrincipalTable.load(
            settings.principals,
            anchors=settings.client_anchors,
            limit=settings.rate_limit(),
            beside=beside,
        )
        return ClientTable(principals=table, periodic=())
    revocation = ClientRevocation(
        [_source(each) for each in settings.client_crl],
        issuers=_issuers(settings.client_anchors),
        clock=clock,
        is_stale_refused=settings.client_crl_stale == "refuse",
    )
    return ClientTable(
        principals=PrincipalTable.load(
            settings.principals,
            anchors=settings.client_anchors,
            is_revoked=revocation.is_revoked,
            limit=settings.rate_limit(),
            beside=beside,
        ),
        periodic=(
            Periodic(name="client-crl", interval_s=settings.client_crl_interval_s, work=revocation.follow),
        ),
    )


def _source(where: str | Path) -> CrlSource:
    if isinstance(where, Path):
        return CrlSource(name=str(where), read=lambda: _read_file(where))
    url = urlsplit(where)
    client = HttpClient(
        f"{url.scheme}://{url.netloc}", timeout_s=_TIMEOUT_S, response_bytes_max=CRL_BYTES_MAX
    )
    return CrlSource(name=where, read=lambda: client.get(url.path or "/").body)


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(CRL_BYTES_MAX + 1)  # one more than a list may have: cut off, it would not be noticed


def _issuers(anchors: Path) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(anchors.read_bytes()))
    except (OSError, *UNREADABLE) as error:
        raise PrincipalTableError(f"client anchors {anchors}: {error}") from None


def _unknown(issuer: x509.Certificate) -> Problem:
    name = issuer.subject.rfc4514_string()
    return Problem(
        status=503,
        type=STATUS_UNKNOWN,
        title="Service Unavailable",
        detail=f"there is no current CRL of {name}, so nobody it certified is let in",
        subject="client certificate",
        reason="status-unknown",
        remedy="make the CRL that the setting client_crl names available, and try again",
    )
