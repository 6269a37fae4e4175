"""The SHO's two applications: routes, roles, schemas, problem documents, and the page for people."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from werkzeug.test import TestResponse

from edge.administrator_store import SqlAdministrators
from edge.caller_refusals import CallerRefusals
from edge.database import engine_for, migrate, schema_differences, transaction
from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import PrincipalTable, routes_of
from edge.process import system_random
from edge.refused import AnonymousRefusals
from messages.device_code import device_code
from operators.sho.app import MIGRATIONS
from operators.sho.lives import Step, StepKind
from operators.sho.order_states import OrderState
from operators.sho.refusals import REFUSALS, RefusalCode
from operators.sho.schema import administrators, ledger, metadata
from operators.sho.store import Store
from operators.sho.web.changes import ChangeDesks
from operators.sho.web.operator import BearerTerms, Desks, operator_app
from operators.sho.web.public import public_app
from standards.rats.fields import encode_base64url
from tests.applications import own_routes
from tests.contract.certificates import Certificates
from tests.fakes.sho_lives import TreVoice, instruction_of
from tests.fakes.sho_peers import PRODUCT, Keys
from tests.fakes.sho_world import World

CBOR = "application/cbor"
KEY = {"Idempotency-Key": "a-key-of-the-user"}
ROLES = {"drf": "drf", "pva": "pva", "dpf": "dpf", "vno": "vno", "sho": "sho", "admin": "admin"}
ROLES |= {"other-dpf": "dpf"}
DPF = "t"
"""Tenant of the operator's own DPF."""


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


class Service:
    """Both applications over one world on a database file, as people with certificates see them."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        engine = engine_for(f"sqlite:///{folder}/sho.db")
        migrate(engine, MIGRATIONS)
        self.engine = engine
        self.world = World(keys, store=Store(engine, random_bytes=system_random))
        self.anonymous = AnonymousRefusals()
        certificates = Certificates(folder)
        clients = {name: certificates.client(name) for name in ROLES}
        certificates.register(
            {name: (role, clients[name]) for name, role in ROLES.items()}, tenants={"other-dpf": "dpf-2"}
        )
        self.peers = {name: client.public_bytes(Encoding.DER) for name, client in clients.items()}
        people = SqlAdministrators(engine, administrators, ledger, random_bytes=system_random)
        self.table = PrincipalTable.load(
            folder / "principals.json", anchors=folder / "anchors.pem", beside=people.beside
        )
        bearer = BearerTerms(apn="internet", destinations=("10.0.0.1:443",), quota_bytes=1, life_s=2)
        self.public = public_app(
            self.world.registrar,
            self.world.releases,
            clock=lambda: self.world.at,
            random_bytes=self.world.random_bytes,
            anonymous=self.anonymous,
        )
        refusals = CallerRefusals(
            engine,
            ledger,
            random_bytes=system_random,
            clock=lambda: self.world.at,
            anonymous=self.anonymous,
        )
        self.operator = operator_app(
            Desks(
                dpf=DPF,
                registrar=self.world.registrar,
                validation=self.world.validation,
                states=self.world.states,
                receipts=self.world.receipts,
                updates=self.world.updates,
                lives=self.world.lives,
                mid_updates=self.world.mid_updates,
                migrations=self.world.migrations,
                changes=ChangeDesks(releases=self.world.releases, attachments=self.world.store),
                authentication=self.world.authentication,
                bearer=bearer,
                administrators=people,
            ),
            principals=self.table,
            clock=lambda: self.world.at,
            on_refusal=refusals.record,
        )

    def call(self, name: str | None, path: str, **options: Any) -> TestResponse:
        """A POST to the operator listener as somebody, or without a certificate."""
        environ = {} if name is None else {PEER_CERTIFICATE: self.peers[name]}
        return self.operator.test_client().post(path, environ_overrides=environ, **options)

    def order(self, *, headers: dict[str, str] | None = None, **changed: Any) -> TestResponse:
        """A user orders by the API."""
        body = {"subscriber": "Ada", "device_code": self.code, "product": PRODUCT, **changed}
        return self.public.test_client().post("/v1/orders", json=body, headers=headers or KEY)

    def fill_in(self, **changed: str) -> TestResponse:
        """A user fills in the form as the page gives it."""
        page = self.public.test_client().get("/register").get_data(as_text=True)
        key = re.search(r'name="idempotency_key" value="([0-9a-f]+)"', page)
        assert key is not None
        values = {
            "subscriber": "Ada",
            "device_code": self.code,
            "product": PRODUCT,
            "idempotency_key": key[1],
            **changed,
        }
        return self.public.test_client().post("/register", data=values)

    @property
    def code(self) -> str:
        """The code on the label of the device."""
        return device_code(self.world.keys.device.device_id)

    def registration(self) -> dict[str, Any]:
        """What the DRF hands on for the device."""
        device, supplier = self.world.keys.device, self.world.keys.supplier
        chain = supplier.chain(supplier.credential(device.device_id, device.ak_key.public_key()))
        return {
            "device_id": device.device_id,
            "pfc_chain": [encode_base64url(each) for each in chain],
            "ak_public": encode_base64url(device.ak.encode()),
        }

    def leaves(self) -> list[tuple[str, str]]:
        """Kind and subject of every audit leaf."""
        with transaction(self.engine, write=False) as connection:
            return [(each.kind, each.subject) for each in ledger.entries(connection)]


@pytest.fixture
def service(tmp_path: Path, keys: Keys) -> Service:
    return Service(tmp_path, keys)


def problem(response: TestResponse, code: RefusalCode) -> None:
    members: dict[str, Any] = response.get_json()
    assert response.content_type == "application/problem+json"
    assert (members["type"], members["reason"]) == (f"urn:pva:problem:{code.value}", code.value)
    assert response.status_code == REFUSALS[code].status
    assert members["subject"]
    assert members["remedy"] == REFUSALS[code].remedy


def test_every_refusal_has_a_status_and_a_remedy() -> None:
    assert set(REFUSALS) == set(RefusalCode)


def test_the_migrations_make_the_schema(service: Service) -> None:
    assert schema_differences(service.engine, metadata) == []


def test_routes_of_the_two_listeners_are_disjoint_and_declared(service: Service) -> None:
    public = routes_of(service.public)
    operator = own_routes(service.operator)
    assert public == [
        ("GET", "/register", ("public",)),
        ("GET", "/v1/orders/<order_id>", ("public",)),
        ("POST", "/register", ("public",)),
        ("POST", "/v1/orders", ("public",)),
        ("POST", "/v1/orders/<order_id>/release-decisions", ("public",)),
    ]
    assert operator == [
        ("GET", "/v1/orders/<order_id>/mid", ("admin",)),
        ("GET", "/v1/orders/<order_id>/migrations", ("admin",)),
        ("GET", "/v1/orders/<order_id>/releases", ("admin",)),
        ("GET", "/v1/orders/<order_id>/updates", ("admin",)),
        ("POST", "/v1/attachments", ("vno",)),
        ("POST", "/v1/authentication-vectors", ("vno",)),
        ("POST", "/v1/mid-steps", ("dpf",)),
        ("POST", "/v1/migrations/<migration_id>/abort", ("admin",)),
        ("POST", "/v1/orders/<order_id>/mid", ("admin",)),
        ("POST", "/v1/orders/<order_id>/migrations", ("admin",)),
        ("POST", "/v1/orders/<order_id>/releases", ("admin",)),
        ("POST", "/v1/orders/<order_id>/updates", ("admin",)),
        ("POST", "/v1/receipts", ("dpf",)),
        ("POST", "/v1/registrations", ("drf",)),
        ("POST", "/v1/releases", ("sho",)),
        ("POST", "/v1/results", ("pva",)),
        ("POST", "/v1/state-events", ("pva",)),
        ("POST", "/v1/update-approvals", ("dpf",)),
    ]


# --- the whole way ---------------------------------------------------------------------------------------


@pytest.mark.requirement("R10")
@pytest.mark.requirement("R12")
@pytest.mark.requirement("R62")
@pytest.mark.requirement("R99")
def test_from_the_form_to_the_first_vector(service: Service) -> None:
    world = service.world
    placed = service.order().get_json()
    assert placed["state"] == "ordered"
    answered = service.call("drf", "/v1/registrations", json=service.registration())
    assert answered.get_json() == {"order": world.order(placed["order_id"]).token}
    imsi = world.imsi(placed["order_id"])
    asked = {"pcid": imsi, "serving_network": "t"}
    problem(
        service.call("vno", "/v1/authentication-vectors", json=asked), RefusalCode.SUBSCRIPTION_NOT_ACTIVE
    )
    world.advance()
    assert service.call("pva", "/v1/results", json={"result": world.pva.answer_all()}).status_code == 204
    world.advance()
    shown = service.public.test_client().get(
        f"/v1/orders/{placed['order_id']}", headers={"Authorization": f"Bearer {placed['secret']}"}
    )
    assert shown.get_json() == {"order_id": placed["order_id"], "state": "authorized", "informed": []}
    receipt = service.call(
        "dpf", "/v1/receipts", data=world.message(placed["order_id"]), content_type=CBOR
    ).get_json()
    assert receipt["state"] == "active"
    assert receipt["instruction"].count(".") == 2
    vectors = service.call("vno", "/v1/authentication-vectors", json=asked).get_json()
    assert [len(vectors["vectors"][0][name]) for name in ("rand", "autn", "xres", "ck", "ik")] == [
        32,
        32,
        16,
        32,
        32,
    ]
    assert vectors["bearer"] == {
        "apn": "internet",
        "destinations": ["10.0.0.1:443"],
        "quota_bytes": 1,
        "life_s": 2,
    }
    resynchronised = {**asked, "resynchronisation": {"rand": "00" * 16, "auts": "00" * 14}}
    problem(
        service.call("vno", "/v1/authentication-vectors", json=resynchronised),
        RefusalCode.RESYNCHRONISATION_INVALID,
    )


@pytest.mark.requirement("R37", "R59")
def test_what_the_operator_wants_of_a_mid_reaches_its_device_and_the_proof_comes_back(
    service: Service,
) -> None:
    voice = TreVoice(service.world, service.world.active())
    about = f"/v1/orders/{voice.order.id}/mid"
    wanted = service.call("admin", about, json={"action": "erase", "reason": "moved"}).get_json()
    assert wanted == {"wish": "erase", "sequence": 0}
    asked: dict[str, Any] = {"order_digest": (voice.order.digest or b"").hex()}

    def step(statement: bytes | None) -> Step:
        body = asked if statement is None else {**asked, "statement": encode_base64url(statement)}
        answer = service.call("dpf", "/v1/mid-steps", json=body).get_json()
        return Step(kind=StepKind(answer["step"]), token=answer.get("token"))

    erasing = step(voice.report(step(None)))
    assert step(voice.proof(instruction_of(erasing))) == Step(kind=StepKind.DONE)
    shown = service.operator.test_client().get(
        about, environ_overrides={PEER_CERTIFICATE: service.peers["admin"]}
    )
    assert shown.get_json() == {"state": "ERASED", "reason": "-", "sequence": 42}


@pytest.mark.negative
def test_a_device_cannot_want_and_staff_cannot_speak_for_a_tre(service: Service) -> None:
    about = f"/v1/orders/{service.world.active().id}/mid"
    assert service.call("dpf", about, json={"action": "erase"}).status_code == 403
    assert service.call("admin", "/v1/mid-steps", json={"order_digest": "00" * 32}).status_code == 403
    assert service.call("admin", about, json={"action": "erase", "reason": ""}).status_code == 422
    ill = {"order_digest": "00" * 32, "statement": "A" * 5}
    assert service.call("dpf", "/v1/mid-steps", json=ill).status_code == 422


# --- the page --------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a reader of the page can reach: labels, fields, scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.labelled: set[str] = set()
        self.fields: dict[str, dict[str, str | None]] = {}
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        members = dict(attrs)
        if tag == "label":
            self.labelled.add(str(members.get("for")))
        if tag == "input":
            self.fields[str(members.get("id"))] = members
        self.scripts += tag == "script"


@pytest.mark.requirement("R10")
def test_the_page_labels_every_field_and_needs_no_script(service: Service) -> None:
    shown = service.public.test_client().get("/register")
    page = Page(shown.get_data(as_text=True))
    visible = {name for name, members in page.fields.items() if members.get("type") != "hidden"}
    assert visible == page.labelled
    assert {page.fields[name]["name"] for name in visible} == {"subscriber", "device_code", "product"}
    assert page.scripts == 0
    assert "default-src 'none'" in shown.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in shown.headers


@pytest.mark.requirement("R10")
@pytest.mark.requirement("R50")
def test_the_form_shows_the_order_code_and_what_to_do_next(service: Service) -> None:
    shown = service.fill_in()
    text = shown.get_data(as_text=True)
    (order,) = service.world.store.orders_of_code(service.code)
    assert shown.status_code == 201
    assert f'<strong id="order-code">{order.order_code}</strong>' in text
    assert service.code in text
    assert "refuse" in text
    assert service.world.secrets.order_secret(order.id) in text


@pytest.mark.negative
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"device_code": "ABCD-EFGH"}, "device_code"),
        ({"device_code": ""}, "device_code"),
        ({"subscriber": ""}, "subscriber"),
        ({"subscriber": "x" * 129}, "subscriber"),
        ({"product": "another"}, "product"),
        ({"idempotency_key": "short"}, "idempotency_key"),
    ],
)
def test_a_form_that_is_wrong_in_one_respect_comes_back_with_what_was_typed(
    service: Service, changed: dict[str, str], field: str
) -> None:
    shown = service.fill_in(**changed)
    text = shown.get_data(as_text=True)
    assert shown.status_code == 422
    assert f'<a href="#{field}">' in text
    if "subscriber" not in changed:
        assert 'value="Ada"' in text
    assert service.world.store.orders_of_code(service.code) == []


@pytest.mark.negative
def test_what_is_typed_is_text_and_nothing_else(service: Service) -> None:
    text = service.fill_in(subscriber='"><script>alert(1)</script>', device_code="no").get_data(as_text=True)
    assert Page(text).scripts == 0
    assert "&lt;script&gt;" in text


def test_a_form_that_is_sent_twice_is_one_order(service: Service) -> None:
    key = "0" * 32
    first, second = service.fill_in(idempotency_key=key), service.fill_in(idempotency_key=key)
    assert first.get_data() == second.get_data()
    changed = service.fill_in(idempotency_key=key, subscriber="Charles")
    assert changed.status_code == 422
    assert key not in changed.get_data(as_text=True)


# --- refusals --------------------------------------------------------------------------------------------


@pytest.mark.negative
def test_an_order_needs_a_key_and_a_whole_body(service: Service) -> None:
    problem(service.order(headers={"X": "y"}), RefusalCode.IDEMPOTENCY_KEY_INVALID)
    problem(service.order(device_code="ABCD"), RefusalCode.DEVICE_CODE_INVALID)
    assert service.order(surplus=1).status_code == 422
    assert service.order(subscriber="line\nfeed").status_code == 422
    assert service.anonymous.totals()["invalid-body"] == 2


@pytest.mark.negative
def test_an_order_is_shown_to_nobody_without_its_secret(service: Service) -> None:
    placed = service.order().get_json()
    path = f"/v1/orders/{placed['order_id']}"
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": placed["secret"]}):
        answer = service.public.test_client().get(path, headers=headers)
        problem(answer, RefusalCode.ORDER_UNKNOWN)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/v1/registrations", "drf"),
        ("/v1/results", "pva"),
        ("/v1/state-events", "pva"),
        ("/v1/receipts", "dpf"),
        ("/v1/authentication-vectors", "vno"),
    ],
)
def test_each_operator_route_serves_one_role(service: Service, path: str, role: str) -> None:
    assert service.call(None, path, json={}).status_code == 401
    for other in ROLES:
        assert (service.call(other, path, json={}).status_code == 403) is (ROLES[other] != role)


@pytest.mark.negative
@pytest.mark.requirement("R102")
def test_the_dpf_of_another_operator_learns_and_moves_nothing(service: Service) -> None:
    order = service.world.active()
    digest = (order.digest or b"").hex()
    update = {"order_digest": digest, "manifest_digest": "00" * 32, "tre_nonce": "00" * 32}
    receipt = service.world.message(order.id)
    before = service.world.order(order.id)
    for options in (
        {"path": "/v1/mid-steps", "json": {"order_digest": digest}},
        {"path": "/v1/update-approvals", "json": update},
        {"path": "/v1/receipts", "data": receipt, "content_type": CBOR},
    ):
        problem(service.call("other-dpf", **options), RefusalCode.FOREIGN_DPF)
    assert service.world.order(order.id) == before


@pytest.mark.negative
def test_a_network_gets_vectors_for_itself_alone(service: Service) -> None:
    asked = {"pcid": "262070000000001", "serving_network": "another"}
    problem(service.call("vno", "/v1/authentication-vectors", json=asked), RefusalCode.FOREIGN_NETWORK)
    own = {**asked, "serving_network": "t"}
    problem(service.call("vno", "/v1/authentication-vectors", json=own), RefusalCode.SUBSCRIPTION_UNKNOWN)


@pytest.mark.negative
def test_a_refused_caller_is_on_record(service: Service) -> None:
    problem(service.call("drf", "/v1/registrations", json=service.registration()), RefusalCode.NO_ORDER)
    assert service.leaves() == [("request-refused", "drf:t:drf")]


@pytest.mark.negative
def test_bodies_that_are_wrong_are_refused_before_any_use_case(service: Service) -> None:
    right = service.registration()
    wrong: list[dict[str, Any]] = [
        {**right, "device_id": right["device_id"].upper()},
        {**right, "pfc_chain": []},
        {**right, "pfc_chain": [right["pfc_chain"][0] + "="]},
        {**right, "ak_public": "A" * 2000},
        {**right, "ak_public": "AB"},
        {**right, "surplus": 1},
    ]
    for body in wrong:
        assert service.call("drf", "/v1/registrations", json=body).status_code == 422
    vectors = {"pcid": "12", "serving_network": "t"}
    assert service.call("vno", "/v1/authentication-vectors", json=vectors).status_code == 422
    assert service.call("dpf", "/v1/receipts", data=b"x", content_type="text/plain").status_code == 415


@pytest.mark.negative
@pytest.mark.requirement("R81")
def test_a_pushed_result_is_judged_for_its_signature_not_for_who_brought_it(service: Service) -> None:
    order = service.world.validating()
    problem(service.call("pva", "/v1/results", json={"result": "made.up.result"}), RefusalCode.RESULT_INVALID)
    unasked = service.call("pva", "/v1/results", json={"result": service.world.fresh(order.id)})
    assert unasked.status_code == 204
    assert service.world.state(order.id) is OrderState.VALIDATING


@pytest.mark.requirement("R29")
def test_an_operators_own_people_add_each_other_by_two(service: Service) -> None:
    [issuer] = service.table.issuer_digests()
    wish = {"name": "staff-2", "issuer_sha256": issuer, "spki_sha256": "7" * 64}
    waiting = service.call("admin", "/v1/administrators", json=wish)
    assert (waiting.status_code, waiting.get_json()["state"]) == (202, "waiting")
    again = service.call("admin", "/v1/administrators", json=wish)
    assert (again.status_code, again.get_json()["reason"]) == (409, "approver-not-another")
    [key] = [each for each, row in service.table.listed().items() if row.role == "admin"]
    removal = service.call("admin", f"/v1/administrators/{key[1]}/removal", json={"reason": "left"})
    assert (removal.status_code, removal.get_json()["reason"]) == (409, "administrators-too-few")
    with transaction(service.engine, write=False) as connection:
        kinds = [each.kind for each in ledger.entries(connection)]
    assert kinds.count("administrator-approved") == 1
