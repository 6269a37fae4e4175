"""EK certificates (A12): each check refuses a certificate that is right in every other respect."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from standards.pki import oids
from standards.pki.ek_certificate import EkCertificate, validate_ek_certificate
from standards.pki.errors import DecodeError, PathError, PathFault
from standards.pki.fingerprints import certificate_der, spki_der
from standards.pki.lenient_certificate import decode_lenient
from tests.fakes.pki import (
    EXPIRED,
    ISSUER_USAGE,
    LEAF_USAGE,
    NOW,
    Authority,
    Extensions,
    issuer_extensions,
    key_usage,
    p256,
)
from tests.vectors.slow_keys import private_rsa_key

pytestmark = pytest.mark.check("A12")

ROOT = Authority.root("TPM maker root")
ISSUING = ROOT.subordinate("TPM maker CA")
BASIC = x509.BasicConstraints(ca=False, path_length=None)
MAKE = (
    (oids.TPM_MANUFACTURER, "id:00001014"),
    (oids.TPM_MODEL, "model"),
    (oids.TPM_VERSION, "id:20191023"),
)
AGREEMENT = key_usage("key_agreement")


def tpm_san(attributes: Sequence[tuple[x509.ObjectIdentifier, str]] = MAKE) -> x509.SubjectAlternativeName:
    named = [x509.NameAttribute(oid, value) for oid, value in attributes]
    return x509.SubjectAlternativeName([x509.DirectoryName(x509.Name(named))])


def extensions(**changed: tuple[x509.ExtensionType, bool] | None) -> Extensions:
    usual: dict[str, tuple[x509.ExtensionType, bool] | None] = {
        "san": (tpm_san(), True),
        "basic": (BASIC, True),
        "usage": (AGREEMENT, True),
        "eku": (x509.ExtendedKeyUsage([oids.EKU_TPM_EK]), False),
    }
    return [each for each in (usual | changed).values() if each is not None]


@dataclass(frozen=True, kw_only=True)
class Ek:
    """An EK's public key beside the certificate that is presented for it."""

    spki: bytes
    der: bytes

    @classmethod
    def under(cls, issuer: Authority, name: str = "EK", **changed: Any) -> "Ek":
        """A right certificate, but for what is `changed`."""
        key = p256().public_key()
        parts = {"extensions": extensions(), **changed}
        return cls(spki=spki_der(key), der=certificate_der(issuer.issue(name, key=key, **parts)))


def validate(ek: Ek, *sent: Authority, **changed: Any) -> EkCertificate:
    named: dict[str, Any] = {
        "roots": [certificate_der(ROOT.certificate)],
        "at": NOW,
        "ek_spki": ek.spki,
        **changed,
    }
    return validate_ek_certificate([ek.der, *(certificate_der(each.certificate) for each in sent)], **named)


def refused(ek: Ek, *sent: Authority, **changed: Any) -> PathError:
    with pytest.raises(PathError) as caught:
        validate(ek, *sent, **changed)
    assert caught.value.subject
    return caught.value


@pytest.mark.parametrize("name", ["", "EK of a TPM"])
def test_a_genuine_certificate_passes(name: str) -> None:
    ek = Ek.under(ISSUING, name)
    valid = validate(ek, ISSUING)
    assert valid.make.manufacturer == "id:00001014"
    assert valid.path == (ek.der, certificate_der(ISSUING.certificate), certificate_der(ROOT.certificate))


def test_the_intermediate_may_be_configured_instead_of_sent() -> None:
    both = [certificate_der(each.certificate) for each in (ISSUING, ROOT)]
    assert len(validate(Ek.under(ISSUING), roots=both).path) == 3


def test_padding_of_the_nv_index_is_cut_off() -> None:
    ek = Ek.under(ISSUING)
    for filling in (b"\x00", b"\xff"):
        padded = Ek(spki=ek.spki, der=ek.der + filling * 300)
        assert validate(padded, ISSUING).path[0] == ek.der
    with pytest.raises(DecodeError, match="padding"):
        validate(Ek(spki=ek.spki, der=ek.der + b"\x00\xff\x00"), ISSUING)


def test_a_certificate_that_spells_out_a_default_passes_over_its_own_bytes() -> None:
    """BasicConstraints { cA FALSE } is BER; the bytes that were signed are the bytes that are verified."""
    spelt = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x30\x03\x01\x01\x00")
    ek = Ek.under(ISSUING, extensions=extensions(basic=(spelt, True)))
    assert validate(ek, ISSUING).path[0] == ek.der


def test_no_known_end_of_validity() -> None:
    key = p256().public_key()
    builder = x509.CertificateBuilder(
        subject_name=ROOT.certificate.subject,
        issuer_name=ISSUING.certificate.subject,
        public_key=key,
        serial_number=2,
        not_valid_before=NOW,
        not_valid_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    )
    for extension, critical in extensions():
        builder = builder.add_extension(extension, critical=critical)
    ek = Ek(spki=spki_der(key), der=certificate_der(builder.sign(ISSUING.key, hashes.SHA256())))
    assert validate(ek, ISSUING).not_after.year == 9999


@pytest.mark.parametrize("scheme", [None, padding.PSS(padding.MGF1(hashes.SHA384()), 48)])
def test_issuers_with_rsa_keys(scheme: padding.PSS | None) -> None:
    builder = x509.CertificateBuilder(
        subject_name=ROOT.certificate.subject,
        issuer_name=ROOT.certificate.subject,
        public_key=private_rsa_key().public_key(),
        serial_number=1,
        not_valid_before=NOW - timedelta(days=1),
        not_valid_after=NOW + timedelta(days=1),
    ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    root = builder.sign(private_rsa_key(), hashes.SHA256())
    key = p256().public_key()
    leaf = x509.CertificateBuilder(
        subject_name=x509.Name([]),
        issuer_name=ROOT.certificate.subject,
        public_key=key,
        serial_number=2,
        not_valid_before=NOW - timedelta(days=1),
        not_valid_after=NOW + timedelta(days=1),
    )
    for extension, critical in extensions():
        leaf = leaf.add_extension(extension, critical=critical)
    signed = leaf.sign(private_rsa_key(), hashes.SHA384(), rsa_padding=scheme)
    ek = Ek(spki=spki_der(key), der=certificate_der(signed))
    assert len(validate(ek, roots=[certificate_der(root)]).path) == 2


@pytest.mark.negative
def test_k1_another_key() -> None:
    assert (
        "another key"
        in refused(Ek(spki=spki_der(p256().public_key()), der=Ek.under(ISSUING).der), ISSUING).reason
    )
    with pytest.raises(DecodeError, match="endorsement key"):
        validate(Ek(spki=b"nothing", der=Ek.under(ISSUING).der), ISSUING)


@pytest.mark.negative
@pytest.mark.parametrize("eku", [None, oids.EKU_TPM_AIK, oids.EKU_ANY])
def test_k2_purpose(eku: x509.ObjectIdentifier | None) -> None:
    other = None if eku is None else (x509.ExtendedKeyUsage([eku]), False)
    assert refused(Ek.under(ISSUING, extensions=extensions(eku=other)), ISSUING).fault is PathFault.PURPOSE


@pytest.mark.negative
def test_k3_a_ca() -> None:
    basic = (x509.BasicConstraints(ca=True, path_length=None), True)
    assert (
        refused(Ek.under(ISSUING, extensions=extensions(basic=basic)), ISSUING).fault is PathFault.CONSTRAINT
    )


@pytest.mark.negative
@pytest.mark.parametrize("usage", [LEAF_USAGE, ISSUER_USAGE])
def test_k4_use_of_the_key(usage: x509.KeyUsage) -> None:
    ek = Ek.under(ISSUING, extensions=extensions(usage=(usage, True)))
    assert refused(ek, ISSUING).fault is PathFault.PURPOSE


@pytest.mark.negative
@pytest.mark.parametrize(
    "attributes", [MAKE[:2], MAKE[1:], (*MAKE, MAKE[0]), (*MAKE[:2], (oids.TPM_VERSION, " "))]
)
def test_k5_attributes_of_the_tpm(attributes: Sequence[tuple[x509.ObjectIdentifier, str]]) -> None:
    ek = Ek.under(ISSUING, extensions=extensions(san=(tpm_san(attributes), True)))
    assert "subjectAltName" in refused(ek, ISSUING).reason


@pytest.mark.negative
def test_k5_no_name_of_a_tpm_at_all() -> None:
    assert "manufacturer" in refused(Ek.under(ISSUING, extensions=extensions(san=None)), ISSUING).reason


@pytest.mark.negative
def test_k6_time() -> None:
    assert refused(Ek.under(ISSUING, validity=EXPIRED), ISSUING).fault is PathFault.EXPIRED
    old = ROOT.subordinate("old CA", validity=EXPIRED)
    assert refused(Ek.under(old), old).fault is PathFault.EXPIRED


@pytest.mark.negative
def test_k7_unknown_critical_extensions() -> None:
    unknown = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
    assert "1.2.3.4" in refused(Ek.under(ISSUING, extensions=[*extensions(), unknown]), ISSUING).reason
    odd = ROOT.subordinate("odd CA", extensions=[*issuer_extensions(), unknown])
    assert "1.2.3.4" in refused(Ek.under(odd), odd).reason


@pytest.mark.negative
def test_k8_issuers_are_cas_with_room() -> None:
    no_ca = ROOT.subordinate("no CA", extensions=[(ISSUER_USAGE, True)])
    assert "no CA" in refused(Ek.under(no_ca), no_ca).reason
    no_signer = ROOT.subordinate(
        "no signer", extensions=[(x509.BasicConstraints(ca=True, path_length=None), True), (LEAF_USAGE, True)]
    )
    assert "no CA" in refused(Ek.under(no_signer), no_signer).reason
    short = ROOT.subordinate("short CA", path_length=0)
    below = short.subordinate("below")
    assert "path length" in refused(Ek.under(below), below, short).reason


@pytest.mark.negative
def test_k9_signatures() -> None:
    namesake = ROOT.subordinate("TPM maker CA")
    assert "signature" in refused(Ek.under(namesake), ISSUING).reason
    ek = Ek.under(ISSUING)
    flipped = ek.der.replace(b"id:00001014", b"id:00001015")
    assert "signature" in refused(Ek(spki=ek.spki, der=flipped), ISSUING).reason


@pytest.mark.negative
def test_k9_a_signature_is_whole_octets() -> None:
    made = (Ek.under(ISSUING) for _ in range(64))
    ek = next(each for each in made if each.der[-1] % 2 == 0)  # so that a dropped last bit changes no octet
    signature = decode_lenient(ek.der).signature
    at = len(ek.der) - len(signature) - 1
    assert ek.der[at] == 0
    shortened = ek.der[:at] + b"\x01" + ek.der[at + 1 :]
    with pytest.raises(DecodeError, match="whole octets"):
        decode_lenient(shortened)


@pytest.mark.negative
def test_k9_unknown_roots_and_roots_that_are_only_intermediates() -> None:
    assert refused(Ek.under(Authority.root("TPM maker root"))).fault is PathFault.UNTRUSTED
    only_intermediate = [certificate_der(ISSUING.certificate)]
    assert refused(Ek.under(ISSUING), roots=only_intermediate).fault is PathFault.UNTRUSTED
    assert refused(Ek.under(ISSUING), ISSUING, ROOT, roots=[]).fault is PathFault.UNTRUSTED


@pytest.mark.negative
def test_k10_the_known_bad_list() -> None:
    ek = Ek.under(ISSUING)
    for listed in (sha256(ek.der), sha256(ek.spki), sha256(certificate_der(ISSUING.certificate))):
        assert refused(ek, ISSUING, known_bad={listed.hexdigest()}).fault is PathFault.KNOWN_BAD


@pytest.mark.negative
def test_a_bag_of_namesakes_costs_a_bounded_number_of_signatures() -> None:
    decoys = [ISSUING] + [ROOT.subordinate("TPM maker CA") for _ in range(40)]
    named = [certificate_der(each.certificate) for each in (*decoys[1:], ROOT)]
    assert "signatures to check" in refused(Ek.under(ISSUING), roots=[*named]).reason


@pytest.mark.negative
def test_every_prefix_and_garbage_is_refused() -> None:
    der = Ek.under(ISSUING).der
    for end in range(len(der)):
        with pytest.raises(DecodeError):
            decode_lenient(der[:end])
    with pytest.raises(DecodeError):
        decode_lenient(bytes(20000))
    with pytest.raises(DecodeError):
        validate_ek_certificate([], roots=[], at=NOW, ek_spki=b"")


def test_the_key_under_rsaes_oaep_is_the_same_key() -> None:
    plain = spki_der(private_rsa_key().public_key())
    rsa_encryption, oaep = bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d010107")
    der = decode_lenient(Ek.under(ISSUING).der)
    spelt = type(der)(
        **{name: getattr(der, name) for name in der.__slots__} | {"spki": plain.replace(rsa_encryption, oaep)}
    )
    assert spelt.public_key() == private_rsa_key().public_key()
    curve = spki_der(ec.generate_private_key(ec.SECP256R1()).public_key())
    broken = type(der)(**{name: getattr(der, name) for name in der.__slots__} | {"spki": curve[:-1]})
    with pytest.raises(DecodeError):
        broken.public_key()
