"""Building and signing one CRL: pure (RFC 5280 section 5).

The one rule: what is signed was examined first, to the byte. The list is put together and signed with a throw-away
key, `lint` has the library read that encoding back, and the CA's key then signs those very bytes; they are never
encoded again.

The library builds the list without entries. They are put in as `standards.pki.crl_entries` encodes them: its own builder
takes some ten times as long for each, and a list of 100,000 is to take less than a second.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from asn1crypto.crl import CertificateList, RevokedCertificates
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import ProfileError
from ca.issuance import authority_key_identifier, rehearsal_key
from ca.key_algorithms import CaPrivateKey, sign, signature_digest
from ca.lifecycle import REASON_CODES
from ca.lint import lint_revocation_list
from ca.records import Revoked
from ca.template import Issuer
from standards.pki.crl_entries import encode_crl_entries

_CODES = {reason.value: code for reason, code in REASON_CODES.items()}
"""By the word: an enumeration's own hash costs more than the rest of an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListHead:
    """What a list says beside its entries.

    Attributes:
        number: CRLNumber, above the one before.
        at: thisUpdate, aware UTC, whole seconds.
        life: nextUpdate - thisUpdate.
        scope_url: URL of the one distribution point that the list is about; None for all certificates of the CA.
    """

    number: int
    at: datetime
    life: timedelta
    scope_url: str | None = None


def build_revocation_list(entries: Iterable[Revoked], *, issuer: Issuer, head: ListHead) -> bytes:
    """A signed DER CRL of `issuer`. Raises ProfileError before the CA's key is touched."""
    if issuer.certificate is None:
        raise ProfileError("a CRL needs the certificate of its issuer")
    drafted = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(head.at)
        .next_update(head.at + head.life)
    )
    for value, critical in _extensions(issuer.certificate, head=head):
        drafted = drafted.add_extension(value, critical=critical)
    throw_away = rehearsal_key(issuer.key)
    without_entries = drafted.sign(throw_away, signature_digest(issuer.key))
    content = _with_entries(without_entries, entries, at=head.at)
    rehearsal = _signed(content, key=throw_away)
    lint_revocation_list(rehearsal, issuer=issuer.certificate, scope_url=head.scope_url)
    return _signed(content, key=issuer.key)


def _extensions(issuer: x509.Certificate, *, head: ListHead) -> list[tuple[x509.ExtensionType, bool]]:
    values: list[tuple[x509.ExtensionType, bool]] = [
        (authority_key_identifier(issuer), False),
        (x509.CRLNumber(head.number), False),
    ]
    if head.scope_url is not None:
        values.append((distribution_scope(head.scope_url), True))
    return values


def distribution_scope(url: str) -> x509.IssuingDistributionPoint:
    """The scope of a list that covers exactly the certificates whose CRLDP is `url` (RFC 5280 5.2.5)."""
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def _with_entries(
    without: x509.CertificateRevocationList, entries: Iterable[Revoked], *, at: datetime
) -> CertificateList:
    content = CertificateList.load(without.public_bytes(Encoding.DER), strict=True)
    # two processes' clocks may differ a little; a list speaks of nothing that comes after it
    listed = [(each.serial, min(each.changed_at, at), _CODES[each.reason.value]) for each in entries]
    if listed:  # an empty list is absent (P14)
        content["tbs_cert_list"]["revoked_certificates"] = RevokedCertificates.load(
            encode_crl_entries(listed)
        )
    return content


def _signed(content: CertificateList, *, key: CaPrivateKey) -> bytes:
    content["signature"] = sign(key, content["tbs_cert_list"].dump())
    der: bytes = content.dump()
    return der
