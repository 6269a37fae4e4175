"""The three applications: routes, roles, schemas, problem documents, the record of refusals."""

from base64 import b64decode, b64encode
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca.callers import Caller
from ca.profiles import Kind
from ca.records import serial_text
from ca.web import device_app, public_app
from edge.client_revocation import ClientRevocation, CrlSource
from edge.principals import ROLES, routes_of
from messages.enrollment import ENROLLMENT_MEDIA_TYPE, EnrollmentChallenge, EnrollmentResult
from messages.station import BASE64_BYTES_MAX, MESSAGES_MAX, PAGE_BYTES_MAX
from standards.pki.fingerprints import ca_id, spki_sha256
from tests.fakes.ca import CaHouse, batch_of, csr_for, manifest_of
from tests.fakes.ca_desk import Clients, Desk, clients_of
from tests.fakes.enrolling_device import EnrollingDevice

ACCESS = {
    "GET /docs": " ".join(sorted(ROLES)),
    "GET /openapi.json": " ".join(sorted(ROLES)),
    "POST /v1/es-roots": "admin",
    "GET /v1/es-roots": " ".join(sorted(ROLES)),
    "POST /v1/issuing-cas": "admin",
    "GET /v1/issuing-cas": "admin es ocsp pva",
    "POST /v1/issuing-cas/<ca_id>/certificate": "admin",
    "POST /v1/issuing-cas/<ca_id>/crl-partitions": "admin",
    "POST /v1/issuing-cas/<ca_id>/rollover": "admin",
    "GET /v1/est-enrollments": "admin",
    "POST /v1/est-enrollments": "admin",
    "GET /v1/roots": " ".join(sorted(ROLES)),
    "POST /v1/roots/<ca_id>/rollover": "admin",
    "POST /v1/supplier-certificates": "admin es",
    "POST /v1/operator-certificates": "admin",
    "GET /v1/key-proposals": "admin auditor",
    "POST /v1/key-proposals/<digest>/approvals": "admin",
    "POST /v1/key-proposals/<digest>/withdrawal": "admin",
    "GET /v1/administrators": "admin auditor",
    "POST /v1/administrators": "admin",
    "POST /v1/administrators/<administrator_digest>/approvals": "admin",
    "POST /v1/administrators/<administrator_digest>/withdrawal": "admin",
    "POST /v1/administrators/<key_digest>/removal": "admin",
    "POST /v1/tls-certificates": "admin",
    "POST /v1/issuing-ca-certificates": "admin",
    "POST /v1/ocsp-delegates": "ocsp",
    "POST /v1/manifests": "es",
    "POST /v1/batches": "es",
    "POST /v1/batch-feeds": "es",
    "GET /v1/batch-feeds/<feed>": "es",
    "POST /v1/batch-feeds/<feed>/chunks/<number>": "es",
    "POST /v1/batch-feeds/<feed>/import": "es",
    "POST /v1/reissues": "admin es pva",
    "POST /v1/station-exchanges": "es",
    "POST /v1/devices/<device_id>/reopening": "es",
    "POST /v1/platform-credentials/<serial>/revocation": "admin es",
    "GET /v1/platform-credentials/<ca_id>/<serial>": "admin es",
    "POST /v1/platform-credentials/<serial>/hold": "pva",
    "POST /v1/platform-credentials/<serial>/hold-lifting": "admin",
    "POST /v1/platform-credentials/<serial>/recovery": "pva",
    "POST /v1/platform-credentials/<serial>/release": "es",
    "POST /v1/certificates/<serial>/revocation": "admin es",
    "GET /v1/status-changes": "ocsp",
    "GET /v1/suspensions": "admin auditor es",
    "POST /v1/suspensions": "admin es",
    "POST /v1/trust-lists": "admin overseer",
    "POST /v1/suspensions/<suspension_id>/lifting": "admin",
    "POST /v1/platform-credentials/<serial>/renewal": "pva",
}
"""The whole table: a route that is not in it fails the test."""


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    return CaHouse()


@pytest.fixture(scope="module")
def clients(founded: CaHouse, tmp_path_factory: pytest.TempPathFactory) -> Clients:
    return clients_of(founded, tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def open_house(founded: CaHouse, clients: Clients) -> CaHouse:  # noqa: ARG001, the clients are certified first
    return founded.copy()


@pytest.fixture(scope="module")
def desk(open_house: CaHouse, clients: Clients) -> Desk:
    return Desk(open_house, clients)


@pytest.fixture(autouse=True)
def house(founded: CaHouse, open_house: CaHouse) -> CaHouse:
    """The CA behind the desk, for which nothing has happened since the clients were certified."""
    open_house.become(founded)
    return open_house


def refusals(house: CaHouse) -> list[tuple[str, str]]:
    return [(record["by"], record["reason"]) for kind, _, record in house.audit_trail() if kind == "refusal"]


def test_the_whole_way_of_a_supplier(desk: Desk, house: CaHouse) -> None:
    status, root = desk.call("admin", "POST", "/v1/es-roots", {"supplier": "acme", "hosted": True})
    assert (status, root["hosted"]) == (201, True)
    line = {"supplier": "acme", "name": "gateways", "models": ["gw-1"], "tre_level": 2}
    status, issuing = desk.call("admin", "POST", "/v1/issuing-cas", line)
    assert (status, issuing["state"], issuing["models"]) == (201, "active", [{"model": "gw-1", "hw_type": 1}])
    signed = house.signer("manifest-signing").sign_manifest(manifest_of())
    status, manifest = desk.call("es", "POST", "/v1/manifests", signed, media_type="application/rim+cose")
    assert (status, manifest["manifest"], manifest["svn"]) == (201, "gw/1", 1)
    device = EnrollingDevice(maker=house.maker)
    token = house.signer("batch-signing").sign_batch(batch_of("acme", device.device_id))
    status, batch = desk.call("es", "POST", "/v1/batches", token.encode(), media_type="application/jose")
    assert (status, batch) == (201, {"batch": "batch-1", "supplier": "acme", "devices": 1})

    pfc = enroll(house, device)
    name = f"{issuing['ca_id']}/{serial_text(pfc.serial_number)}"
    status, shown = desk.call("es", "GET", f"/v1/platform-credentials/{name}")
    assert (status, shown["status"], shown["device_id"]) == (200, "good", device.device_id)
    status, feed = desk.call("ocsp", "GET", "/v1/status-changes?after=0&limit=10")
    assert [each["status"] for each in feed["changes"]] == ["good"]
    assert (feed["next"], feed["complete"]) == (feed["changes"][-1]["seq"], True)

    revoke = {"reason": "keyCompromise", "issuer": issuing["ca_id"]}
    path = f"/v1/platform-credentials/{pfc.serial_number:x}/revocation"
    status, revoked = desk.call("es", "POST", path, revoke)
    assert (status, revoked["status"], revoked["reason"]) == (200, "revoked", "keyCompromise")
    assert revoked["revoked_at"] == "2026-06-01T12:00:00Z"
    _, feed = desk.call("ocsp", "GET", f"/v1/status-changes?after={feed['next']}")
    assert [(each["status"], each["version"]) for each in feed["changes"]] == [("revoked", 2)]
    status, reopened = desk.call("es", "POST", f"/v1/devices/{device.device_id}/reopening", {})
    assert (status, reopened["state"]) == (200, "reopened")


def enroll(house: CaHouse, device: EnrollingDevice) -> x509.Certificate:
    client = device_app(house.enrollment, house.renewals).test_client()
    begun = client.post("/v1/enrolments", data=device.request().encode(), content_type=ENROLLMENT_MEDIA_TYPE)
    assert (begun.status_code, begun.content_type) == (201, ENROLLMENT_MEDIA_TYPE)
    activation = device.activation(EnrollmentChallenge.decode(begun.data)).encode()
    answers = [
        client.post("/v1/enrolments/activation", data=activation, content_type=ENROLLMENT_MEDIA_TYPE)
        for _ in range(2)
    ]
    assert [each.status_code for each in answers] == [200, 200]
    assert answers[0].data == answers[1].data
    return x509.load_der_x509_certificate(EnrollmentResult.decode(answers[0].data).pfc_chain[0])


@pytest.mark.negative
@pytest.mark.requirement("R102")
def test_every_route_serves_its_roles_and_nobody_else(desk: Desk) -> None:
    """Walks the route table: no certificate, an unregistered one, and every role that is not named."""
    table = routes_of(desk.app)
    assert {f"{method} {rule}": " ".join(sorted(roles)) for method, rule, roles in table} == ACCESS
    for method, rule, roles in table:
        path = rule.replace("<ca_id>", "0" * 32).replace("<serial>", "1").replace("<device_id>", "0" * 64)
        assert set(roles) <= ROLES
        assert desk.call(None, method, path)[0] == 401
        assert desk.call("stranger", method, path)[0] == 403
        for role in sorted(ROLES):
            status, answer = desk.call(role, method, path)
            refused = status == 403 and answer.get("type") == "urn:pva:problem:role-not-permitted"
            assert refused != (role in roles), (method, rule, role, status)


def test_the_listeners_share_no_route(desk: Desk, house: CaHouse) -> None:
    public = public_app(
        newest_list=house.lists.published, certificate_of=house.lists.certificate_of, clock=house.clock
    )
    device = device_app(house.enrollment, house.renewals)
    tables = [{rule for _, rule, _ in routes_of(app)} for app in (public, device, desk.app)]
    assert tables[0] == {"/crl/<ca_id>.crl", "/ca/<ca_id>.cer"}
    assert tables[1] == {"/v1/enrolments", "/v1/enrolments/activation", "/v1/devices/<device_id>/credential"}
    assert not tables[0] & tables[1] | tables[0] & tables[2] | tables[1] & tables[2]


@pytest.mark.negative
def test_a_refusal_of_somebody_known_is_on_record(desk: Desk, house: CaHouse) -> None:
    house.product_line()
    desk.call("sho", "POST", "/v1/es-roots", {"supplier": "x", "hosted": True})
    desk.call("admin", "POST", "/v1/es-roots", {"supplier": "acme", "hosted": True})
    desk.call("es", "POST", "/v1/batches", b"a.b.c", media_type="application/jose")
    assert refusals(house) == [("sho", "role"), ("admin", "exists-already"), ("es", "batch-signature")]


@pytest.mark.requirement("R102")
def test_lists_are_read_page_by_page(desk: Desk, house: CaHouse) -> None:
    for name in ("acme", "other", "third"):
        house.product_line(name, models=(f"{name}-1",))
        house.clock.advance(seconds=1)
    for member, path in (("es_roots", "/v1/es-roots"), ("issuing_cas", "/v1/issuing-cas")):
        _, whole = desk.call("admin", "GET", path)
        assert len(whole[member]) == 3
        _, first = desk.call("admin", "GET", f"{path}?limit=2")
        _, rest = desk.call("admin", "GET", f"{path}?limit=2&after={first['next']}")
        assert first[member] + rest[member] == whole[member]
        assert "next" not in rest
    _, own = desk.call("es", "GET", f"/v1/issuing-cas?after={first['next']}")
    assert own == {"issuing_cas": []}  # another one's cursor shows nothing of another's
    assert desk.call("admin", "GET", f"/v1/roots?after={first['next']}")[0] == 400


@pytest.mark.negative
def test_another_supplier_sees_and_moves_nothing(desk: Desk, house: CaHouse) -> None:
    house.product_line()
    house.publish_manifest()
    device = EnrollingDevice(maker=house.maker)
    house.list_devices(device)
    pfc = enroll(house, device)
    assert desk.call("es-other", "GET", "/v1/issuing-cas") == (200, {"issuing_cas": []})
    _, listed = desk.call("es", "GET", "/v1/issuing-cas")
    ca_id = listed["issuing_cas"][0]["ca_id"]
    name = serial_text(pfc.serial_number)
    body = {"reason": "superseded", "issuer": ca_id}
    for method, path, sent in (
        ("GET", f"/v1/platform-credentials/{ca_id}/{name}", None),
        ("POST", f"/v1/platform-credentials/{name}/revocation", body),
        ("POST", f"/v1/certificates/{name}/revocation", body),
        ("POST", f"/v1/devices/{device.device_id}/reopening", {}),
    ):
        status, answer = desk.call("es-other", method, path, sent)
        assert (status, answer["reason"]) == (403, "another-supplier"), path
    assert desk.call("es", "GET", f"/v1/platform-credentials/{ca_id}/{name}")[1]["status"] == "good"


@pytest.mark.negative
@pytest.mark.requirement("R101")
def test_a_hold_goes_over_its_routes_and_only_its_supplier_releases_it(desk: Desk, house: CaHouse) -> None:
    house.product_line()
    house.publish_manifest()
    device = EnrollingDevice(maker=house.maker)
    house.list_devices(device)
    name = serial_text(enroll(house, device).serial_number)
    issuer = desk.call("es", "GET", "/v1/issuing-cas")[1]["issuing_cas"][0]["ca_id"]
    path = f"/v1/platform-credentials/{name}"
    first, second, recovery = ("a" * 32, "b" * 32, "c" * 32)
    held = {"issuer": issuer, "results": [first, second]}
    for _ in range(2):
        status, shown = desk.call("pva", "POST", f"{path}/hold", held)
        assert (status, shown["status"], shown["reason"], shown["version"]) == (
            200,
            "revoked",
            "certificateHold",
            2,
        )
    for wrong in ([], [first, first], ["x"], first):
        assert desk.call("pva", "POST", f"{path}/hold", {**held, "results": wrong})[0] == 422
    status, answer = desk.call("es", "POST", f"{path}/release", {"issuer": issuer})
    assert (status, answer["reason"]) == (409, "not-recovered")
    status, _ = desk.call("pva", "POST", f"{path}/recovery", {"issuer": issuer, "result": recovery})
    assert status == 200
    status, answer = desk.call("es-other", "POST", f"{path}/release", {"issuer": issuer})
    assert (status, answer["reason"]) == (403, "another-supplier")
    _, shown = desk.call("es", "GET", f"/v1/platform-credentials/{issuer}/{name}")
    assert shown["hold"]["results"] == [first, second]
    assert shown["hold"]["recovery"] == recovery
    status, released = desk.call("es", "POST", f"{path}/release", {"issuer": issuer})
    assert (status, released["status"], released["version"]) == (200, "good", 3)
    _, shown = desk.call("es", "GET", f"/v1/platform-credentials/{issuer}/{name}")
    assert (shown["status"], shown["hold"]) == ("good", None)


@pytest.mark.negative
def test_who_is_not_registered_is_on_record_by_the_key(desk: Desk, house: CaHouse) -> None:
    assert desk.call("stranger", "GET", "/v1/es-roots")[0] == 403
    key = spki_sha256(x509.load_der_x509_certificate(desk.certificates["stranger"]))
    assert refusals(house) == [(f"certificate key {key}", "not-registered")]


@pytest.mark.negative
def test_a_revoked_client_certificate_opens_no_door(desk: Desk, house: CaHouse) -> None:
    stolen = x509.load_der_x509_certificate(desk.certificates["es"])
    assert desk.call("es", "GET", "/v1/es-roots")[0] == 200
    body = {"reason": "keyCompromise", "issuer": ca_id(house.hierarchy.make_root(Kind.TLS_ROOT).x509())}
    path = f"/v1/certificates/{serial_text(stolen.serial_number)}/revocation"
    assert desk.call("admin", "POST", path, body)[0] == 200
    status, answer = desk.call("es", "GET", "/v1/es-roots")
    assert (status, answer["type"]) == (403, "urn:pva:problem:certificate-revoked")
    assert refusals(house) == [(f"certificate key {spki_sha256(stolen)}", "revoked")]
    assert desk.call("admin", "GET", "/v1/es-roots")[0] == 200


@pytest.mark.negative
def test_the_list_of_the_tls_root_tells_other_services_who_is_revoked(desk: Desk, house: CaHouse) -> None:
    root = house.hierarchy.make_root(Kind.TLS_ROOT).x509()
    stolen, admin = (x509.load_der_x509_certificate(desk.certificates[name]) for name in ("es", "admin"))
    elsewhere = ClientRevocation(
        [CrlSource(name="the CA", read=lambda: house.lists.published(ca_id(root)).der)],
        issuers=[root],
        clock=house.clock,
        is_stale_refused=True,
    )
    house.lists.publish(ca_id(root))
    elsewhere.follow()
    assert not elsewhere.is_revoked(stolen, root)
    path = f"/v1/certificates/{serial_text(stolen.serial_number)}/revocation"
    assert desk.call("admin", "POST", path, {"reason": "keyCompromise", "issuer": ca_id(root)})[0] == 200
    elsewhere.follow()
    assert elsewhere.is_revoked(stolen, root)
    assert not elsewhere.is_revoked(admin, root)


@pytest.mark.negative
@pytest.mark.parametrize("level", [0, 4, -1, 10**39, 2.0, "2", True])
def test_a_level_that_no_tre_has_is_refused_without_repeating_it(desk: Desk, level: object) -> None:
    line = {"supplier": "acme", "name": "gateways", "models": ["gw-1"], "tre_level": level}
    status, answer = desk.call("admin", "POST", "/v1/issuing-cas", line)
    assert (status, answer["reason"]) == (422, "schema")
    assert answer["detail"].startswith("tre_level: ")
    assert str(10**39) not in answer["detail"]


@pytest.mark.negative
@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({}, 422, "schema"),
        ({"supplier": "acme"}, 422, "schema"),
        ({"supplier": "acme", "hosted": False}, 422, "schema"),
        ({"supplier": "acme", "hosted": True, "certificate": "x"}, 422, "schema"),
        ({"supplier": "acme", "hosted": True, "more": 1}, 422, "schema"),
        ({"supplier": 7, "hosted": True}, 422, "schema"),
        ({"supplier": "a/b", "hosted": True}, 422, "name"),
        ({"supplier": "acme", "certificate": "x"}, 422, "certificate-malformed"),
        (b"[1", 400, "json"),
        (b'{"supplier":"a","supplier":"b","hosted":true}', 400, "json"),
        (b"\xff", 400, "json"),
    ],
)
def test_wrong_bodies_are_named(desk: Desk, house: CaHouse, body: object, status: int, reason: str) -> None:
    got, answer = desk.call("admin", "POST", "/v1/es-roots", body)
    assert (got, answer["reason"]) == (status, reason)
    assert answer["remedy"]
    assert desk.call("admin", "GET", "/v1/es-roots")[1] == {"es_roots": []}
    assert house.audit_trail()[-1][0] == "refusal"


@pytest.mark.negative
@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "limit=1.5", "after=99999999999999999999", "after=\u0661"]
)
def test_a_wrong_query_is_refused(desk: Desk, query: str) -> None:
    assert desk.call("ocsp", "GET", f"/v1/status-changes?{query}")[0] == 400


@pytest.mark.negative
@pytest.mark.parametrize("serial", ["x", "1" * 41, "-1", "0x1", "%20"])
def test_a_wrong_serial_number_is_refused(desk: Desk, serial: str) -> None:
    body = {"reason": "superseded", "issuer": "0" * 32}
    assert desk.call("admin", "POST", f"/v1/certificates/{serial}/revocation", body)[0] == 422


@pytest.mark.negative
def test_the_route_of_platform_credentials_is_for_them_only(desk: Desk, house: CaHouse) -> None:
    house.product_line()
    signer = house.signer("batch-signing")
    issuer = house.es_root().ca_id
    serial = serial_text(signer.certificate.serial_number)
    body = {"reason": "superseded", "issuer": issuer}
    assert desk.call("es", "POST", f"/v1/platform-credentials/{serial}/revocation", body)[0] == 404
    assert desk.call("es", "GET", f"/v1/platform-credentials/{issuer}/{serial}")[0] == 404
    assert desk.call("es", "POST", f"/v1/certificates/{serial}/revocation", body)[0] == 200


def test_certificates_are_issued_over_http(house: CaHouse, clients: Clients) -> None:
    house.hierarchy.make_root(Kind.OPERATORS_ROOT)
    issuing = house.product_line()
    key = ec.generate_private_key(ec.SECP256R1())
    house.responder_keys = frozenset({spki_sha256(key.public_key())})
    desk, csr = Desk(house, clients), csr_for(key)
    for role, path, body in (
        ("es", "/v1/supplier-certificates", {"supplier": "acme", "purpose": "batch-signing", "csr": csr}),
        (
            "admin",
            "/v1/operator-certificates",
            {"role": "pva", "id": "pva-1", "purpose": "challenge", "csr": csr},
        ),
        ("admin", "/v1/tls-certificates", {"kind": "client", "name": "sho-1", "csr": csr}),
        ("admin", "/v1/tls-certificates", {"kind": "server", "name": "pva", "csr": csr, "ip": ["127.0.0.1"]}),
        ("ocsp", "/v1/ocsp-delegates", {"issuer": issuing.ca_id, "csr": csr}),
    ):
        status, answer = desk.call(role, "POST", path, body)
        assert status == 201, answer
        made = x509.load_pem_x509_certificate(answer["certificate"].encode())
        assert made.public_key() == key.public_key()


def test_an_administrator_speaks_for_everybody() -> None:
    Caller(name="a", role="admin", tenant="").speak_for("acme", subject="x")
    Caller(name="a", role="admin", tenant="").speak_for(None, subject="x")


@pytest.mark.requirement("R82")
def test_a_line_is_issued_anew_by_pages_of_a_thousand_at_most(desk: Desk) -> None:
    body: dict[str, Any] = {"supplier": "acme", "model": "gw-1", "manifest": "gw/1"}
    for wrong in ({"limit": 0}, {"limit": 1001}, {"after": "x"}, {"note": 1}):
        assert desk.call("pva", "POST", "/v1/reissues", {**body, **wrong})[0] == 422
    assert desk.call("es-other", "POST", "/v1/reissues", body)[0] == 403
    status, page = desk.call("pva", "POST", "/v1/reissues", body)
    assert (status, page["reason"]) == (404, "no-such-model")


def carried(device: EnrollingDevice, **message: bytes) -> dict[str, str]:
    """A message of a station's page."""
    return {
        "device_id": device.device_id,
        **{name: b64encode(data).decode() for name, data in message.items()},
    }


@pytest.mark.requirement("R80")
def test_a_stations_messages_are_answered_one_by_one(desk: Desk, house: CaHouse) -> None:
    house.product_line()
    house.publish_manifest()
    device, stranger = (EnrollingDevice(maker=house.maker) for _ in range(2))
    house.list_devices(device)
    page = {
        "messages": [
            carried(stranger, request=stranger.request().encode()),
            carried(device, request=device.request().encode()),
        ]
    }
    status, answer = desk.call("es", "POST", "/v1/station-exchanges", page)
    assert status == 200
    refused, begun = answer["answers"]
    assert (refused["device_id"], refused["challenge"], refused["result"]) == (stranger.device_id, None, None)
    assert refused["refused"]["code"] == "ek-not-listed"
    assert refused["refused"]["remedy"]
    activation = device.activation(EnrollmentChallenge.decode(b64decode(begun["challenge"]))).encode()
    ended = {"messages": [carried(device, activation=activation)]}
    results = [desk.call("es", "POST", "/v1/station-exchanges", ended)[1]["answers"][0] for _ in range(2)]
    assert results[0] == results[1]
    assert EnrollmentResult.decode(b64decode(results[0]["result"])).pfc_chain
    _, other = desk.call("es-other", "POST", "/v1/station-exchanges", page)
    assert {each["refused"]["code"] for each in other["answers"]} == {"ek-not-listed"}


@pytest.mark.negative
def test_a_page_of_a_station_is_bounded_before_it_is_read(desk: Desk, house: CaHouse) -> None:
    device = EnrollingDevice(maker=house.maker)
    good = carried(device, request=b"request")
    ids = [f"{number:064x}" for number in range(MESSAGES_MAX + 1)]
    wrong: list[list[dict[str, str]]] = [
        [],
        [good, good],
        [carried(device)],
        [carried(device, request=b"a", activation=b"b")],
        [{**good, "device_id": "x"}],
        [{**good, "request": "not base64!"}],
        [{**good, "request": ""}],
        [{**good, "request": "A" * (BASE64_BYTES_MAX + 4)}],
        [{**good, "note": "more"}],
        [{**good, "device_id": each} for each in ids],
    ]
    for messages in wrong:
        status, answer = desk.call("es", "POST", "/v1/station-exchanges", {"messages": messages})
        assert (status, answer["reason"]) == (422, "schema"), messages
    oversize = b'{"messages": [' + b" " * PAGE_BYTES_MAX + b"]}"
    assert desk.call("es", "POST", "/v1/station-exchanges", oversize)[0] == 413
