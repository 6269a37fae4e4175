"""Audits that end: the CA suspends the supplier by itself, and a newer list of its overseer alone lifts that."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from ca.errors import ConflictError, NotPermittedError
from ca.profiles import Kind
from ca.suspensions import BY_ACCREDITATION, Scope
from messages.operator_token import OperatorSigner
from messages.trust_list import TRUST_LIST_KIND, Accreditation, TrustedSupplier, TrustList
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from tests.fakes.ca import ADMIN, NOW, CaHouse
from tests.fakes.pki import LEAF_USAGE, Authority, p256
from tests.unit.ca.test_revocation import crl_of, enrolled

AUDIT = Accreditation(
    scheme="SAS", certificate="SAS-17", valid_from=NOW - timedelta(days=1), valid_to=NOW + timedelta(hours=1)
)
LONGER = replace(AUDIT, certificate="SAS-18", valid_to=NOW + timedelta(days=300))
OVERSEERS, KEY = Authority.root("overseers' root"), p256()

pytestmark = [pytest.mark.requirement("R20"), pytest.mark.requirement("R26")]


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.product_line("acme")
    made.publish_manifest()
    return made


@pytest.fixture
def house(founded: CaHouse) -> CaHouse:
    made = founded.copy()
    made.overseers["overseer-1"] = [OVERSEERS.certificate]
    return made


def root_of(house: CaHouse) -> x509.Certificate:
    with house.store.reading() as records:
        root = records.root(Kind.ES_ROOT, supplier="acme")
    assert root is not None
    return root.x509()


def signed(
    house: CaHouse,
    audit: Accreditation | None = AUDIT,
    *,
    sequence: int = 1,
    days: int = 365,
    role: str = "overseer",
    name: str = "overseer-1",
    by: Authority = OVERSEERS,
    listed: bool = True,
) -> str:
    supplier = TrustedSupplier(
        name="acme", root=root_of(house), models={}, ocsp_url="http://o.example.net", accreditation=audit
    )
    content = TrustList(
        issuer=name,
        sequence=sequence,
        issued_at=house.clock(),
        expires_at=house.clock() + timedelta(days=days),
        suppliers=(supplier,) if listed else (),
    )
    certificate = by.issue(
        name,
        key=KEY.public_key(),
        eku=oids.EKU_TRUST_LIST,
        extensions=[(LEAF_USAGE, True), (OperatorRole(role=role, id=name).to_extension(), False)],
    )
    signer = OperatorSigner(key=KEY, chain=(certificate,), issuer=name)
    return signer.sign(content.claims(), typ=TRUST_LIST_KIND.typ)


def suspended(house: CaHouse) -> list[str]:
    """Who suspended what is suspended now."""
    return [each.suspended_by for each in house.suspensions.listed(caller=ADMIN) if each.lifted_at is None]


def test_an_audit_that_ends_holds_every_credential_until_a_newer_list(house: CaHouse) -> None:
    pfc = enrolled(house)
    (made,) = house.accreditations.import_list(signed(house), caller=ADMIN)
    assert made.ends_at == AUDIT.valid_to
    house.clock.advance(minutes=59)
    house.accreditations.enforce()
    assert suspended(house) == []
    house.clock.advance(minutes=1)
    for _ in range(2):
        house.accreditations.enforce()
    assert suspended(house) == [BY_ACCREDITATION]
    assert house.suspended()[1][0].issuers == (pfc.ca_id,)
    house.lists.publish_due()
    assert set(crl_of(house, pfc.ca_id)) == {pfc.serial}
    house.accreditations.import_list(signed(house, LONGER, sequence=2), caller=ADMIN)
    assert suspended(house) == []
    house.lists.publish_due()
    assert crl_of(house, pfc.ca_id) == {}
    kinds = [kind for kind, _, _ in house.audit_trail()]
    assert [each for each in kinds if each in ("suspended", "accreditation-renewed")] == [
        "suspended",
        "accreditation-renewed",
    ]


@pytest.mark.negative
def test_no_administrator_lifts_what_time_ended(house: CaHouse) -> None:
    house.accreditations.import_list(signed(house), caller=ADMIN)
    house.clock.advance(hours=2)
    house.accreditations.enforce()
    (lapse,) = house.suspensions.listed(caller=ADMIN)
    with pytest.raises(ConflictError) as caught:
        house.suspensions.lift(lapse.id, caller=ADMIN)
    assert caught.value.reason == "accreditation-ended"


@pytest.mark.negative
def test_a_newer_list_does_not_lift_what_a_person_suspended(house: CaHouse) -> None:
    house.accreditations.import_list(signed(house), caller=ADMIN)
    house.clock.advance(hours=2)
    house.accreditations.enforce()
    house.suspensions.suspend(Scope(supplier="acme"), reason="a flaw", caller=ADMIN)
    assert suspended(house) == [BY_ACCREDITATION, "admin"]
    house.accreditations.import_list(signed(house, LONGER, sequence=2), caller=ADMIN)
    assert suspended(house) == ["admin"]


@pytest.mark.negative
def test_whom_a_newer_list_leaves_out_is_accredited_no_more(house: CaHouse) -> None:
    house.accreditations.import_list(signed(house), caller=ADMIN)
    house.accreditations.import_list(signed(house, sequence=2, listed=False), caller=ADMIN)
    assert suspended(house) == [BY_ACCREDITATION]


@pytest.mark.negative
def test_a_list_that_ends_ends_the_audits_in_it(house: CaHouse) -> None:
    house.accreditations.import_list(signed(house, LONGER, days=1), caller=ADMIN)
    house.clock.advance(days=1)
    house.accreditations.enforce()
    assert suspended(house) == [BY_ACCREDITATION]


def test_whom_no_list_names_is_judged_by_none(house: CaHouse) -> None:
    assert house.accreditations.import_list(signed(house, None), caller=ADMIN) == []
    house.clock.advance(days=900)
    house.accreditations.enforce()
    assert suspended(house) == []


@pytest.mark.negative
def test_the_sequence_number_never_falls(house: CaHouse) -> None:
    house.accreditations.import_list(signed(house, sequence=5), caller=ADMIN)
    for sequence in (4, 5):
        with pytest.raises(ConflictError) as caught:
            house.accreditations.import_list(signed(house, LONGER, sequence=sequence), caller=ADMIN)
        assert caught.value.reason == "trust-list-rolled-back"


@pytest.mark.negative
def test_lists_of_strangers_are_refused(house: CaHouse) -> None:
    strangers = (
        signed(house, name="overseer-2"),
        signed(house, by=Authority.root("another root")),
        signed(house, role="pva"),
        "no list",
    )
    for token in strangers:
        with pytest.raises(NotPermittedError):
            house.accreditations.import_list(token, caller=ADMIN)
    old = signed(house, days=1)
    house.clock.advance(days=2)
    with pytest.raises(NotPermittedError):
        house.accreditations.import_list(old, caller=ADMIN)
    assert suspended(house) == []
