"""The one way out for a certificate: intent, signature, record, audit leaf, all in the caller's transaction.

The one rule: whatever leaves this room is in the books under (issuer, serial) before anybody can hold it; if
the transaction fails, the signature never existed.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509

from ca.errors import ConflictError
from ca.issuance import SERIAL_BYTES, issue, new_serial
from ca.key_algorithms import KeyAlgorithm
from ca.lifecycle import AuthorityState
from ca.names import crl_name
from ca.profiles import PROFILES, Kind
from ca.records import Authority, Intent, serial_text
from ca.signing_keys import SigningKeys
from ca.template import Issuer, Places, Template
from edge.process import RandomBytes
from standards.pki.fingerprints import ca_id, certificate_der, certificate_sha256, spki_sha256


class IssuanceRecords(Protocol):
    """Port to the books of issued certificates."""

    def record_intent(self, intent: Intent) -> None:
        """Reserve (CA, serial) before anything is signed."""

    def kinds_of_key(self, spki_sha256: str) -> frozenset[Kind]:
        """Everything that a key was ever certified for here; CAs that are known here count too."""

    def record_certificate(
        self, *, ca_id: str, serial: int, der: bytes, not_after: datetime, at: datetime
    ) -> None:
        """Complete an intent; its first status is good."""

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whom a certificate is for, in the CA's books; what stands in the certificate is in the template."""

    subject: str
    supplier: str | None = None
    device_id: str | None = None
    ak_name: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Signs with the keys of this CA's authorities.

    `public_url` is where this CA's public listener is reached, `ocsp_url` the responder's; both without a
    slash at the end of the path.
    """

    keys: SigningKeys
    random_bytes: RandomBytes
    public_url: str
    ocsp_url: str

    def places(self, name: str, *, partition: int = 0) -> Places:
        """URLs of the CA with this ca_id, and of one of its CRLs."""
        return Places(
            crl_url=f"{self.public_url}/crl/{crl_name(name, partition)}.crl",
            certificate_url=f"{self.public_url}/ca/{name}.cer",
            ocsp_url=self.ocsp_url,
        )

    def issuer(self, authority: Authority, *, kind: Kind | None = None) -> Issuer:
        """`authority` ready to sign a certificate of `kind`; raises ConflictError when it may not or cannot.

        One whose key was replaced signs nothing but delegates of its responder.
        """
        signing = {AuthorityState.ACTIVE}
        if kind is Kind.OCSP_DELEGATE:
            signing.add(AuthorityState.SUPERSEDED)
        if not authority.hosted or authority.state not in signing:
            state = str(authority.state) if authority.hosted else "imported, its key is with the supplier"
            raise ConflictError(
                "issuer-cannot-sign",
                subject=authority.ca_id,
                detail=f"the CA {authority.name!r} cannot sign: {state}",
                remedy="have it signed by whoever holds the key, or complete or replace this CA",
            )
        return Issuer(
            kind=authority.kind,
            certificate=authority.x509(),
            key=self.keys.load(authority.ca_id),
            places=self.places(authority.ca_id),
        )

    def certify(
        self, records: IssuanceRecords, template: Template, *, by: Authority, holder: Holder, at: datetime
    ) -> x509.Certificate:
        """Issue one certificate in the caller's transaction."""
        serial = new_serial(self.random_bytes(SERIAL_BYTES))
        partition = by.crl_partition(serial)
        issuer = replace(
            self.issuer(by, kind=template.kind), places=self.places(by.ca_id, partition=partition)
        )
        intent = Intent(
            ca_id=by.ca_id,
            serial=serial,
            kind=template.kind,
            subject=holder.subject,
            spki_sha256=spki_sha256(template.public_key),
            issued_at=at,
            supplier=holder.supplier,
            device_id=holder.device_id,
            ak_name=holder.ak_name,
            crl_partition=partition,
        )
        _check_separation(records.kinds_of_key(intent.spki_sha256), intent=intent)
        records.record_intent(intent)
        certificate = issue(template, issuer=issuer, serial=serial, at=at)
        records.record_certificate(
            ca_id=by.ca_id,
            serial=serial,
            der=certificate_der(certificate),
            not_after=certificate.not_valid_after_utc,
            at=at,
        )
        records.audit(
            kind="certificate-issued",
            subject=holder.subject,
            record={
                "certificate_kind": str(template.kind),
                "issuer": by.ca_id,
                "serial": serial_text(serial),
                "certificate_sha256": certificate_sha256(certificate),
            },
            at=at,
        )
        return certificate

    def new_root(
        self, kind: Kind, *, subject: x509.Name, algorithm: KeyAlgorithm, at: datetime
    ) -> x509.Certificate:
        """Make a key and its self-signed certificate; the caller records it."""
        key = self.keys.create(algorithm)
        places = self.places(ca_id(key.public_key()))
        issuer = Issuer(kind=kind, certificate=None, key=key, places=places)
        template = Template(kind=kind, public_key=key.public_key(), subject=subject)
        return issue(template, issuer=issuer, serial=new_serial(self.random_bytes(SERIAL_BYTES)), at=at)


def _check_separation(kinds: frozenset[Kind], *, intent: Intent) -> None:
    """Raise ConflictError where one key would both issue and do something else (R75)."""
    mixed = {kind for kind in kinds if PROFILES[kind].is_ca is not PROFILES[intent.kind].is_ca}
    if mixed:
        raise ConflictError(
            "key-of-another-power",
            subject=intent.subject,
            detail=f"the key is that of {', '.join(sorted(mixed))} already; issuing and all else never share a key",
            remedy="make a key for this purpose alone",
        )
