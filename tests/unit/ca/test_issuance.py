"""Certificates follow their profile or are not signed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca.errors import ProfileError
from ca.issuance import issue, name, new_serial
from ca.lint import in_time, lint_certificate
from ca.profiles import PROFILES, Kind
from ca.template import Issuer, Places, Template
from standards.pki.extensions import ExpectedSystemState
from tests.fakes.ca import NOW

PLACES = Places(
    crl_url="http://ca.example.net/crl/x.crl",
    certificate_url="http://ca.example.net/ca/x.cer",
    ocsp_url="http://ocsp.example.net/",
)
SUBJECT = name(organization="acme", common_name="acme ES root")


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def root() -> Issuer:
    key = p256()
    bare = Issuer(kind=Kind.ES_ROOT, certificate=None, key=key, places=PLACES)
    template = Template(kind=Kind.ES_ROOT, public_key=key.public_key(), subject=SUBJECT)
    return replace(bare, certificate=issue(template, issuer=bare, serial=1, at=NOW))


def batch_template() -> Template:
    return Template(
        kind=Kind.BATCH_SIGNING, public_key=p256().public_key(), subject=name(common_name="batch")
    )


@pytest.mark.check("P1")
def test_a_serial_number_has_159_bits() -> None:
    assert new_serial(b"\xff" * 20) == (1 << 159) - 1
    assert new_serial(bytes(19) + b"\x02") == 1
    for wrong in (bytes(20), b"", bytes(19), b"\xff" * 21):
        with pytest.raises(ProfileError):
            new_serial(wrong)


@pytest.mark.check("P1")
@pytest.mark.negative
@pytest.mark.parametrize("serial", [1 << 159, (1 << 159) + 1])
def test_a_longer_serial_number_is_not_signed(serial: int) -> None:
    with pytest.raises(ValueError, match="159 bits"):  # the library is the first to refuse
        issue(batch_template(), issuer=root(), serial=serial, at=NOW)


@pytest.mark.negative
def test_a_certificate_says_what_its_profile_says_and_no_more() -> None:
    state = ExpectedSystemState(manifest_id="gw/1", manifest_digest=bytes(32), svn=1)
    with pytest.raises(ProfileError, match="expected_state"):
        issue(replace(batch_template(), expected_state=state), issuer=root(), serial=1, at=NOW)
    with pytest.raises(ProfileError, match="expected subject"):
        issue(replace(batch_template(), subject=None), issuer=root(), serial=1, at=NOW)


@pytest.mark.negative
def test_a_ca_signs_only_what_is_below_it() -> None:
    wrong = replace(batch_template(), kind=Kind.TLS_CLIENT)
    with pytest.raises(ProfileError, match="not issued by"):
        issue(wrong, issuer=root(), serial=1, at=NOW)


@pytest.mark.negative
def test_the_issuers_key_is_the_one_in_its_certificate() -> None:
    with pytest.raises(ProfileError, match="not the one"):
        issue(batch_template(), issuer=replace(root(), key=p256()), serial=1, at=NOW)


@pytest.mark.negative
def test_a_root_certifies_its_own_key_only() -> None:
    issuer = root()
    stranger = Template(kind=Kind.ES_ROOT, public_key=p256().public_key(), subject=SUBJECT)
    for wrong in (replace(issuer, certificate=None), issuer):
        with pytest.raises(ProfileError):
            issue(stranger, issuer=wrong, serial=1, at=NOW)


@pytest.mark.check("P7")
def test_nothing_outlives_its_issuer() -> None:
    issuer = root()
    assert issuer.certificate is not None
    late = issuer.certificate.not_valid_after_utc - timedelta(days=1)
    made = issue(batch_template(), issuer=issuer, serial=1, at=late)
    assert made.not_valid_after_utc == issuer.certificate.not_valid_after_utc
    assert in_time(made, at=late)
    assert not in_time(made, at=late, margin=timedelta(days=2))
    with pytest.raises(ProfileError):
        issue(batch_template(), issuer=issuer, serial=1, at=late + timedelta(days=2))


@pytest.mark.negative
def test_a_name_that_is_too_long_is_not_signed() -> None:
    # the library already refuses a common name of more than 64 characters
    with pytest.raises(ValueError, match="64"):
        name(common_name="x" * 65)


@pytest.mark.negative
@pytest.mark.parametrize("kind", [each for each in Kind if each is not Kind.BATCH_SIGNING])
def test_the_lint_tells_every_other_kind_apart(kind: Kind) -> None:
    issuer = root()
    made = issue(batch_template(), issuer=issuer, serial=1, at=NOW)
    lint_certificate(made, profile=PROFILES[Kind.BATCH_SIGNING], issuer=issuer.certificate)
    with pytest.raises(ProfileError):
        lint_certificate(made, profile=PROFILES[kind], issuer=issuer.certificate)


@pytest.mark.negative
def test_the_lint_sees_another_issuer() -> None:
    made = issue(batch_template(), issuer=root(), serial=1, at=NOW)
    with pytest.raises(ProfileError, match="authority key identifier"):
        lint_certificate(made, profile=PROFILES[Kind.BATCH_SIGNING], issuer=root().certificate)


@pytest.mark.check("P3")
@pytest.mark.check("P4")
def test_only_cas_are_cas() -> None:
    for profile in PROFILES.values():
        assert profile.is_ca == ("key_cert_sign" in profile.key_usage)
        assert profile.is_ca != bool(profile.purposes)
        assert profile.never_revoked == (profile.kind is Kind.OCSP_DELEGATE)
    made = root().certificate
    assert made is not None
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).critical
    assert made.extensions.get_extension_for_class(x509.KeyUsage).critical
