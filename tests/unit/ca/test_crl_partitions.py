"""Partitioned CRLs: every unexpired revoked certificate in exactly one current list, at the URL that it names (P12)."""

import random
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca.errors import ConflictError, InvalidInputError, NotFoundError, ProfileError
from ca.lint import lint_revocation_list
from ca.list_building import ListHead, build_revocation_list, distribution_scope
from ca.names import crl_name, read_crl_name
from ca.profiles import Kind
from ca.records import Authority
from ca.signing import Holder
from ca.template import Template
from standards.pki import oids
from standards.pki.crl import verify_crl
from standards.pki.errors import RevocationError
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName
from tests.fakes.ca import ADMIN, NOW, PUBLIC_URL, CaHouse, supplier

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.product_line()
    return made


@pytest.fixture
def house(founded: CaHouse) -> CaHouse:
    return founded.copy()


def issuing_ca(house: CaHouse) -> Authority:
    with house.store.reading() as records:
        return records.authorities(Kind.ISSUING_CA)[0]


def issue(house: CaHouse) -> x509.Certificate:
    with house.store.writing() as records:
        template = Template(
            kind=Kind.PLATFORM_CREDENTIAL,
            public_key=KEY,
            tre_level=2,
            hardware_module=HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=bytes(32)),
            expected_state=ExpectedSystemState(manifest_id="gw/1", manifest_digest=bytes(32), svn=1),
        )
        by = records.authorities(Kind.ISSUING_CA)[0]
        return house.signing.certify(
            records, template, by=by, holder=Holder(subject="device"), at=house.clock()
        )


def distribution_point(certificate: x509.Certificate) -> str:
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    [point] = points
    assert point.full_name is not None
    return str(point.full_name[0].value)


def current_lists(house: CaHouse) -> dict[str, x509.CertificateRevocationList]:
    """URL -> current list, as the public listener gives them out."""
    authority = issuing_ca(house)
    names = [crl_name(authority.ca_id, each) for each in range(authority.crl_partitions)]
    return {
        f"{PUBLIC_URL}/crl/{each}.crl": x509.load_der_x509_crl(house.lists.published(each).der)
        for each in names
    }


def scope_of(crl: x509.CertificateRevocationList) -> list[str]:
    scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert scope.critical
    return [each.value for each in scope.value.full_name or ()]


@pytest.mark.check("P12")
@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_each_revoked_certificate_is_in_exactly_one_list(house: CaHouse, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311, an example, not a secret
    issued: list[x509.Certificate] = []
    revoked: set[int] = set()
    count = 1
    for _ in range(40):
        step = chance.choice(["issue", "issue", "revoke", "divide", "wait"])
        if step == "issue":
            issued.append(issue(house))
        elif step == "divide" and count < 9:
            count += chance.randint(1, 3)
            house.lists.divide(issuing_ca(house).ca_id, count=count, caller=ADMIN)
        elif step == "wait":
            house.clock.advance(hours=13)
            house.lists.publish_due()
        elif open_ones := [each for each in issued if each.serial_number not in revoked]:
            chosen = chance.choice(open_ones)
            house.revocation.revoke(
                issuing_ca(house).ca_id, chosen.serial_number, reason="superseded", caller=ADMIN
            )
            revoked.add(chosen.serial_number)
    lists = current_lists(house)
    for certificate in issued:
        naming = [url for url, crl in lists.items() if _lists(crl, certificate)]
        assert naming == ([distribution_point(certificate)] if certificate.serial_number in revoked else [])
    if count > 1:
        assert all(scope_of(crl) == [url] for url, crl in lists.items())


def _lists(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    return crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None


@pytest.mark.check("P12")
def test_a_list_speaks_for_the_certificates_that_name_it_and_no_others(house: CaHouse) -> None:
    authority = house.lists.divide(issuing_ca(house).ca_id, count=2, caller=ADMIN)
    certificate = issue(house)
    while distribution_point(certificate).endswith("-1.crl"):
        certificate = issue(house)
    house.revocation.revoke(authority.ca_id, certificate.serial_number, reason="superseded", caller=ADMIN)
    own = house.lists.published(authority.ca_id).der
    issuer, at = authority.x509(), house.clock()
    verified = verify_crl(own, issuer=issuer, at=at, distribution_point=distribution_point(certificate))
    assert certificate.serial_number in verified.revoked
    other = house.lists.published(crl_name(authority.ca_id, 1)).der
    with pytest.raises(RevocationError):
        verify_crl(other, issuer=issuer, at=at, distribution_point=distribution_point(certificate))


@pytest.mark.check("P9")
def test_a_revocation_renews_the_list_that_it_belongs_to_alone(house: CaHouse) -> None:
    ca_id = house.lists.divide(issuing_ca(house).ca_id, count=4, caller=ADMIN).ca_id
    before = {partition: house.lists.published(crl_name(ca_id, partition)).number for partition in range(4)}
    certificate = issue(house)
    house.revocation.revoke(ca_id, certificate.serial_number, reason="superseded", caller=ADMIN)
    after = {partition: house.lists.published(crl_name(ca_id, partition)).number for partition in range(4)}
    moved = [partition for partition in range(4) if after[partition] != before[partition]]
    assert [f"{PUBLIC_URL}/crl/{crl_name(ca_id, each)}.crl" for each in moved] == [
        distribution_point(certificate)
    ]
    assert all(after[each] > before[each] for each in moved)


@pytest.mark.check("P15")
def test_an_entry_of_a_partition_stays_for_one_list_after_expiry(house: CaHouse) -> None:
    ca_id = house.lists.divide(issuing_ca(house).ca_id, count=2, caller=ADMIN).ca_id
    certificate = issue(house)
    house.revocation.revoke(ca_id, certificate.serial_number, reason="superseded", caller=ADMIN)
    url = distribution_point(certificate)
    house.clock.at = certificate.not_valid_after_utc + timedelta(hours=1)
    house.lists.publish_due()
    assert _lists(current_lists(house)[url], certificate)
    house.clock.advance(hours=13)
    house.lists.publish_due()
    assert not _lists(current_lists(house)[url], certificate)


@pytest.mark.negative
def test_lists_become_more_and_never_fewer(house: CaHouse) -> None:
    ca_id = issuing_ca(house).ca_id
    house.lists.divide(ca_id, count=3, caller=ADMIN)
    for count in (2, 3):
        with pytest.raises(ConflictError):
            house.lists.divide(ca_id, count=count, caller=ADMIN)
    for count in (-1, 0, 1, 257):
        with pytest.raises(InvalidInputError):
            house.lists.divide(ca_id, count=count, caller=ADMIN)
    for other in (house.es_root().ca_id, "0" * 32):
        with pytest.raises(NotFoundError):
            house.lists.divide(other, count=8, caller=ADMIN)
    assert issuing_ca(house).crl_partitions == 3
    with pytest.raises(NotFoundError):
        house.lists.published(crl_name(ca_id, 3))


@pytest.mark.negative
@pytest.mark.parametrize(
    "text", ["", "x", "0" * 31, "0" * 32 + "-", "0" * 32 + "-0", "0" * 32 + "-01", "A" * 32]
)
def test_other_names_are_no_lists(house: CaHouse, text: str) -> None:
    assert read_crl_name(text) is None
    with pytest.raises(NotFoundError):
        house.lists.published(text)


@pytest.mark.negative
@pytest.mark.check("P12")
def test_a_list_of_another_scope_is_not_signed(house: CaHouse) -> None:
    authority = issuing_ca(house)
    issuer = house.signing.issuer(authority)
    head = ListHead(number=1, at=NOW, life=timedelta(hours=1), scope_url="http://ca.example.net/crl/a.crl")
    made = build_revocation_list([], issuer=issuer, head=head)
    lint_revocation_list(made, issuer=authority.x509(), scope_url=head.scope_url)
    for scope_url in (None, "http://ca.example.net/crl/b.crl"):
        with pytest.raises(ProfileError, match="scope"):
            lint_revocation_list(made, issuer=authority.x509(), scope_url=scope_url)
    assert distribution_scope("http://x.example.net/").only_some_reasons is None


@pytest.mark.negative
def test_the_lint_sees_a_list_of_another_ca(house: CaHouse) -> None:
    house.hierarchy.create_es_root("other", caller=supplier("other"))
    made = house.lists.published(house.es_root("other").ca_id).der
    with pytest.raises(ProfileError, match="not the CA's subject"):
        lint_revocation_list(made, issuer=house.es_root().x509(), scope_url=None)
