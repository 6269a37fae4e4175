"""Revocation lists: what a list may be relied on for, and what it says nothing about."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from standards.pki.crl import RevocationReason, VerifiedCrl, verify_crl
from standards.pki.errors import DecodeError, RevocationError
from tests.fakes.pki import LEAF_USAGE, NOW, Authority

ROOT = Authority.root()
URL = "http://crl.invalid/1.crl"
Extensions = list[tuple[x509.ExtensionType, bool]]


def entry(serial: int, *extensions: tuple[x509.ExtensionType, bool]) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=NOW - timedelta(days=1))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.build()


def crl_of(
    *entries: x509.RevokedCertificate, signer: Authority = ROOT, extensions: Extensions | None = None
) -> bytes:
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=signer.certificate.subject,
        last_update=NOW - timedelta(hours=1),
        next_update=NOW + timedelta(hours=1),
    )
    for each in entries:
        builder = builder.add_revoked_certificate(each)
    for extension, critical in [(x509.CRLNumber(7), False)] if extensions is None else extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def scope(**changed: Any) -> x509.IssuingDistributionPoint:
    named: dict[str, Any] = {
        "full_name": [x509.UniformResourceIdentifier(URL)],
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
        **changed,
    }
    return x509.IssuingDistributionPoint(**named)


def verify(der: bytes, **changed: Any) -> VerifiedCrl:
    return verify_crl(der, **{"issuer": ROOT.certificate, "at": NOW, **changed})


def test_a_current_list_is_read() -> None:
    reason = x509.CRLReason(x509.ReasonFlags.certificate_hold)
    verified = verify(crl_of(entry(5, (reason, False)), entry(6)))
    assert verified.number == 7
    assert verified.revoked[5].reason is RevocationReason.CERTIFICATE_HOLD
    assert verified.revoked[5].at == NOW - timedelta(days=1)
    assert verified.revoked[6].reason is RevocationReason.UNSPECIFIED
    assert 8 not in verified.revoked


@pytest.mark.check("P12")
def test_a_partition_speaks_for_its_own_distribution_point() -> None:
    der = crl_of(extensions=[(x509.CRLNumber(7), False), (scope(), True)])
    assert verify(der, distribution_point=URL).revoked == {}
    for other in (None, URL + "/", URL.upper()):
        with pytest.raises(RevocationError, match="distribution point"):
            verify(der, distribution_point=other)


@pytest.mark.negative
@pytest.mark.parametrize(
    "limits",
    [
        {"indirect_crl": True},
        {"only_contains_ca_certs": True},
        {"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})},
    ],
)
def test_a_list_of_narrower_scope_is_refused(limits: dict[str, Any]) -> None:
    der = crl_of(extensions=[(x509.CRLNumber(7), False), (scope(**limits), True)])
    with pytest.raises(RevocationError, match="covers only"):
        verify(der, distribution_point=URL)


@pytest.mark.negative
@pytest.mark.check("P9")
def test_lists_that_say_nothing() -> None:
    unknown = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
    remove = (x509.CRLReason(x509.ReasonFlags.remove_from_crl), False)
    number = (x509.CRLNumber(7), False)
    no_signer = Authority(
        certificate=ROOT.issue("no signer", key=ROOT.key.public_key(), extensions=[(LEAF_USAGE, True)]),
        key=ROOT.key,
    )
    bad: list[tuple[bytes, dict[str, Any]]] = [
        (crl_of(signer=Authority.root()), {}),
        (crl_of(signer=Authority.root("other")), {}),
        (crl_of(signer=no_signer), {"issuer": no_signer.certificate}),
        (crl_of(), {"at": NOW + timedelta(hours=2)}),
        (crl_of(), {"at": NOW - timedelta(hours=2)}),
        (crl_of(extensions=[]), {}),
        (crl_of(extensions=[number, unknown]), {}),
        (crl_of(extensions=[number, (x509.DeltaCRLIndicator(1), True)]), {}),
        (crl_of(entry(5, unknown)), {}),
        (crl_of(entry(5, remove)), {}),
        (crl_of(entry(5), entry(5)), {}),
    ]
    for der, changed in bad:
        with pytest.raises(RevocationError):
            verify(der, **changed)


@pytest.mark.negative
def test_every_prefix_suffix_and_changed_byte() -> None:
    der = crl_of(entry(5))
    for end in range(len(der)):
        with pytest.raises(DecodeError):
            verify(der[:end])
    with pytest.raises(DecodeError):
        verify(der + b"\x00")
    for at in range(len(der)):
        changed = bytearray(der)
        changed[at] ^= 1
        with pytest.raises((DecodeError, RevocationError)):
            verify(bytes(changed))
