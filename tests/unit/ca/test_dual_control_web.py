"""What takes two administrators, over the CA's operator listener."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca.profiles import Kind
from edge.administrators import Removal
from edge.principals import Principal, PrincipalTable
from standards.pki.fingerprints import spki_sha256
from tests.fakes.ca import SECOND, CaHouse, csr_for
from tests.fakes.ca_desk import Clients, Desk, clients_of


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    return CaHouse()


@pytest.fixture(scope="module")
def clients(founded: CaHouse, tmp_path_factory: pytest.TempPathFactory) -> Clients:
    return clients_of(founded, tmp_path_factory.mktemp("clients"))


@pytest.fixture
def house(founded: CaHouse, clients: Clients) -> CaHouse:  # noqa: ARG001, the clients are certified first
    return founded.copy()


@pytest.mark.requirement("R75")
def test_over_http_a_result_key_waits_for_another_administrator(house: CaHouse, clients: Clients) -> None:
    house.hierarchy.make_root(Kind.OPERATORS_ROOT)
    key = ec.generate_private_key(ec.SECP256R1())
    desk, digest = Desk(house, clients), spki_sha256(key.public_key())
    wish = {"role": "pva", "id": "pva-1", "purpose": "attestation-result", "csr": csr_for(key)}
    status, answer = desk.call("admin", "POST", "/v1/operator-certificates", wish)
    assert (status, answer["certificate"]) == (202, None)
    proposal = answer["proposal"]
    assert (proposal["state"], proposal["spki_sha256"]) == ("waiting", digest)
    approve = f"/v1/key-proposals/{proposal['digest']}/approvals"
    assert desk.call("admin", "POST", approve, {})[1]["reason"] == "approver-not-another"
    assert desk.call("pva", "POST", approve, {})[0] == 403
    status, listed = desk.call("auditor", "GET", "/v1/key-proposals")
    assert (status, [each["digest"] for each in listed["key_proposals"]]) == (200, [proposal["digest"]])
    house.key_registrations.approve(proposal["digest"], caller=SECOND)
    status, answer = desk.call("admin", "POST", "/v1/operator-certificates", wish)
    assert status == 201
    assert x509.load_pem_x509_certificate(answer["certificate"].encode()).public_key() == key.public_key()
    assert desk.call("admin", "POST", approve, {})[0] == 404
    again = {"label": "attestation-result", "spki_sha256": digest, "name": "pva-1", "role": "pva"}
    assert desk.call("admin", "POST", "/v1/est-enrollments", again)[1]["reason"] == "key-registered-already"
    other = {**again, "spki_sha256": "7" * 64}
    status, waiting = desk.call("admin", "POST", "/v1/est-enrollments", other)
    assert (status, waiting["state"]) == (202, "waiting")
    withdraw = f"/v1/key-proposals/{waiting['digest']}/withdrawal"
    assert desk.call("admin", "POST", withdraw, {})[0] == 204
    assert desk.call("admin", "POST", withdraw, {})[0] == 404
    plain = {"label": "tls-client", "spki_sha256": "8" * 64, "name": "sho-1"}
    status, made = desk.call("admin", "POST", "/v1/est-enrollments", plain)
    assert (status, made["state"], made.get("digest")) == (201, "registered", None)


@pytest.mark.negative
def test_a_removed_administrator_is_refused_and_on_record(house: CaHouse, clients: Clients) -> None:
    desk = Desk(house, clients)
    table = PrincipalTable.load(clients.table, anchors=clients.anchors)
    [key] = [each for each, row in table.listed().items() if row.role == "admin"]
    others = {
        (key[0], digit * 64): Principal(role="admin", tenant="", name=f"admin-{digit}") for digit in "78"
    }
    removal = Removal(by="admin-7", at=house.clock(), reason="key taken")
    house.store.administrators().remove(
        key[1], removal, tenant="", listed=lambda: {**table.listed(), **others}
    )
    status, refusal = desk.call("admin", "GET", "/v1/key-proposals")
    assert (status, refusal["reason"]) == (403, "removed")
    kind, _, record = house.audit_trail()[-1]
    assert (kind, record["role"], record["reason"]) == ("refusal", "not-admitted", "removed")
    assert key[1] in record["by"]
