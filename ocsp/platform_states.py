"""The state of platforms, as the PVA's results say it: taken from the PVA, told to those whom a result was for (D6).

The one rule: a result is believed for its signature under the operators' root, and its tier is known to its audience alone,
and to auditors: how another operator's policy judged a platform is not for everybody who asks about a certificate.

Which result is the last
    The one that was issued last. Of several of one second it is the one with the least trust, so that the order in which
    they arrive decides nothing. A result that comes again changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.asn1 import encode_der

from edge.refused import RefusalRule, RefusedError
from messages.errors import MessageError
from messages.reliance import verify_result
from ocsp.delegates import Issuer
from ocsp.single_extensions import extension
from standards.pki import oids
from standards.pki.errors import DecodeError
from standards.pki.fingerprints import certificate_sha256
from standards.pki.platform_state import PlatformState
from standards.rats.ar4si import Tier
from standards.rats.ear import AttestationResult

RESULT_INVALID = "result-invalid"
REFUSALS = {
    RESULT_INVALID: RefusalRule(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        remedy="bring a result that a PVA under this installation's operators' root signed, within its life",
    )
}
_OID = encode_der(oids.OCSP_PLATFORM_STATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateName:
    """A Platform Credential: SHA-256 of its issuer's certificate in hexadecimal, and its serial number."""

    issuer_sha256: str
    serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownState:
    """What a result said of a platform, and which result."""

    state: PlatformState
    result_id: str

    @property
    def rank(self) -> tuple[datetime, int, str]:
        """The greater one is the last; two results never have the same."""
        return self.state.result_time, Tier(self.state.tier).distrust, self.result_id


class StateStore(Protocol):
    """What is kept: the last result of each certificate for each reader."""

    def keep(self, certificate: CertificateName, known: KnownState, *, readers: Sequence[str]) -> None:
        """Keep it for each of `readers` who has none of a greater rank; all or nothing."""

    def last(self, certificate: CertificateName, *, reader: str | None) -> KnownState | None:
        """The last for a reader, the last of all for None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDesk:
    """Use case: the PVA brings a result."""

    store: StateStore
    anchors: Sequence[x509.Certificate]

    def take(self, token: str, *, at: datetime) -> None:
        """Keep what a signed result says, if it is the last one. Raises RefusedError (RESULT_INVALID)."""
        try:
            result = verify_result(token, anchors=self.anchors, at=at)
            known = _known(result)
        except (MessageError, DecodeError) as error:
            raise RefusedError(
                RESULT_INVALID, REFUSALS[RESULT_INVALID], subject="result", reason=str(error)
            ) from error
        certificate = CertificateName(issuer_sha256=result.pfc.issuer_sha256.hex(), serial=result.pfc.serial)
        self.store.keep(certificate, known, readers=sorted(set(result.audience)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StatesFor:
    """What one reader may know; satisfies `ocsp.responder.StateTeller`. `reader` None may know all."""

    store: StateStore
    reader: str | None

    def said(self, issuer: Issuer, serial: int) -> bytes:
        """DER of the Extension, nothing where there was no result for this reader."""
        certificate = CertificateName(issuer_sha256=certificate_sha256(issuer.certificate), serial=serial)
        known = self.store.last(certificate, reader=self.reader)
        return b"" if known is None else extension(_OID, known.state.encode())


def _known(result: AttestationResult) -> KnownState:
    state = PlatformState(
        state_digest=result.pcr_digest, tier=result.status.value, result_time=result.issued_at
    )
    return KnownState(state=state, result_id=result.result_id)
