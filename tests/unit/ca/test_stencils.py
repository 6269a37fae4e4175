"""Certificates from a stencil: what the builder would have made, bit by bit, but for the signature."""

import os
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca.errors import ProfileError
from ca.issuance import rehearse
from ca.lint import lint_certificate
from ca.lint_content import lint_content
from ca.profiles import PROFILES, Kind
from ca.stencils import Filling, Stencil, full_serial, p256_spki
from ca.template import Issuer, Template
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName
from standards.pki.fingerprints import certificate_der, spki_der, spki_sha256
from tests.fakes.ca import NOW, CaHouse
from tests.fakes.pki import p256

SPKI = spki_der(p256().public_key())

pytestmark = pytest.mark.requirement("R82")


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    house = CaHouse()
    return house.signing.issuer(house.product_line())


def template(*, device_id: bytes = bytes(32), spki: bytes = SPKI) -> Template:
    return Template(
        kind=Kind.PLATFORM_CREDENTIAL,
        public_key=load_der_public_key(spki),  # type: ignore[arg-type]  # an EC key
        tre_level=2,
        hardware_module=HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=device_id),
        expected_state=ExpectedSystemState(manifest_id="gw/2", manifest_digest=b"\x07" * 32, svn=2),
    )


def filling() -> Filling:
    return Filling(
        serial=full_serial(os.urandom), spki=spki_der(p256().public_key()), device_id=os.urandom(32)
    )


def stencil_of(issuer: Issuer) -> Stencil:
    return Stencil(template(), issuer=issuer, at=NOW, random_bytes=os.urandom)


def test_a_certificate_is_the_one_that_the_builder_makes(issuer: Issuer) -> None:
    stencil = stencil_of(issuer)
    assert issuer.certificate is not None
    for each in (filling() for _ in range(20)):
        made = x509.load_der_x509_certificate(stencil.issue(each))
        built = rehearse(
            template(device_id=each.device_id, spki=each.spki),
            issuer=issuer,
            serial=each.serial,
            at=NOW,
        )
        assert made.tbs_certificate_bytes == built.tbs_certificate_bytes
        assert made.signature_algorithm_oid == built.signature_algorithm_oid
        made.verify_directly_issued_by(issuer.certificate)
        profile = PROFILES[Kind.PLATFORM_CREDENTIAL]
        lint_certificate(made, profile=profile, issuer=issuer.certificate)
        said = template(device_id=each.device_id, spki=each.spki)
        lint_content(made, template=said, profile=profile, places=issuer.places)
        assert stencil.not_after == built.not_valid_after_utc


def test_a_serial_number_that_is_too_short_is_drawn_again() -> None:
    drawn = iter([bytes(20 - 18) + b"\xff" * 18, b"\x01" + b"\xff" * 19, b"\x02" + bytes(19)])
    assert full_serial(lambda _: next(drawn)) == 1 << 152


@pytest.mark.negative
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"serial": 0}, "serial number"),
        ({"serial": 1 << 151}, "serial number"),
        ({"serial": 1 << 159}, "serial number"),
        ({"device_id": bytes(31)}, "device id"),
        ({"device_id": bytes(33)}, "device id"),
        ({"spki": spki_der(ec.generate_private_key(ec.SECP384R1()).public_key())}, "P-256"),
        ({"spki": SPKI + b"\x00"}, "P-256"),
        ({"spki": SPKI[:-1]}, "P-256"),
    ],
)
def test_what_would_change_a_length_is_refused(issuer: Issuer, change: dict[str, object], named: str) -> None:
    with pytest.raises(ProfileError, match=named):
        stencil_of(issuer).issue(replace(filling(), **change))  # type: ignore[arg-type]  # one field each


@pytest.mark.negative
def test_a_field_that_stands_twice_makes_no_stencil(issuer: Issuer) -> None:
    same = iter([b"\x42" * 20, b"\x33" * 32])

    def random_bytes(size: int) -> bytes:
        return next(same, os.urandom(size))

    double = replace(
        template(), expected_state=ExpectedSystemState(manifest_id="x", manifest_digest=b"\x33" * 32, svn=1)
    )
    with pytest.raises(ProfileError, match="exactly once"):
        Stencil(double, issuer=issuer, at=NOW, random_bytes=random_bytes)


@pytest.mark.negative
def test_what_no_profile_foresees_makes_no_stencil(issuer: Issuer) -> None:
    for wrong in (replace(template(), tre_level=None), replace(template(), hardware_module=None)):
        with pytest.raises(ProfileError):
            Stencil(wrong, issuer=issuer, at=NOW, random_bytes=os.urandom)


@pytest.mark.negative
def test_an_issuer_whose_key_is_not_its_own_makes_no_stencil(issuer: Issuer) -> None:
    with pytest.raises(ProfileError, match="not the one in its certificate"):
        stencil_of(replace(issuer, key=p256()))


def test_a_key_is_taken_from_a_certificate_by_the_digest_in_the_books(issuer: Issuer) -> None:
    each = filling()
    der = stencil_of(issuer).issue(each)
    assert p256_spki(der, spki_sha256=spki_sha256(x509.load_der_x509_certificate(der))) == each.spki
    assert issuer.certificate is not None
    assert p256_spki(der, spki_sha256=spki_sha256(issuer.certificate)) is None
    assert p256_spki(b"", spki_sha256=spki_sha256(issuer.certificate)) is None
    assert p256_spki(certificate_der(issuer.certificate), spki_sha256="0" * 64) is None
