"""Routes declare who may call them; certificates are known by issuer and key, never by names."""

import json
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from werkzeug.test import TestResponse

from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import (
    Principal,
    PrincipalTable,
    PrincipalTableError,
    RowKey,
    UndeclaredAccessError,
    certificate_digests,
    current_principal,
    enforce_access,
    principal_or_none,
    public,
    require,
    routes_of,
)
from edge.problem_document import Problem, ProblemError
from edge.problems import register_problems
from standards.pki.extensions import Requester, Requesters
from tests.contract.certificates import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("principals"))


def app_with(certificates: Certificates, refusals: list[tuple[str, str | None]] | None = None) -> Flask:
    app = Flask("test", static_folder=None)

    @app.get("/who/<name>")
    @require("admin")
    def who(name: str) -> dict[str, str]:
        return {"name": current_principal().name, "asked": name}

    @app.get("/open")
    @public
    def open_to_all() -> dict[str, bool]:
        return {"known": principal_or_none() is not None}

    def on_refusal(problem: Problem) -> None:
        known = principal_or_none()
        if refusals is not None:
            refusals.append((problem.type, None if known is None else known.name))

    register_problems(app, {}, on_refusal=on_refusal)
    table = PrincipalTable.load(
        certificates.folder / "principals.json", anchors=certificates.folder / "anchors.pem"
    )
    enforce_access(app, principals=table)
    return app


def get(app: Flask, path: str, certificate: bytes | None) -> TestResponse:
    return app.test_client().get(path, environ_overrides={PEER_CERTIFICATE: certificate})


def der(certificates: Certificates, name: str) -> bytes:
    pem = (certificates.folder / f"{name}.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def test_a_role_opens_its_routes_and_refusals_name_who_it_was(certificates: Certificates) -> None:
    certificates.register(
        {"root": ("admin", certificates.client("root")), "shop": ("es", certificates.client("shop"))}
    )
    refusals: list[tuple[str, str | None]] = []
    app = app_with(certificates, refusals)
    assert get(app, "/who/x", der(certificates, "root")).json == {"name": "root", "asked": "x"}
    assert get(app, "/who/x", der(certificates, "shop")).status_code == 403
    assert get(app, "/who/x", None).status_code == 401
    assert get(app, "/open", None).json == {"known": False}
    assert get(app, "/nowhere", None).status_code == 404
    assert refusals == [("role-not-permitted", "shop"), ("certificate-required", None), ("not-found", None)]


@pytest.mark.negative
def test_the_same_names_under_another_key_or_root_are_nobody(certificates: Certificates) -> None:
    certificates.register({"root": ("admin", certificates.client("root"))})
    app = app_with(certificates)
    certificates.client("root")  # same subject, same issuer, another key
    again = get(app, "/who/x", der(certificates, "root"))
    assert again.status_code == 403
    assert again.json is not None
    assert "spki_sha256" in again.json["remedy"]
    certificates.client("root", certificates.foreign)
    assert get(app, "/who/x", der(certificates, "root")).status_code == 403


def test_a_row_added_or_removed_counts_at_once(certificates: Certificates) -> None:
    alice = certificates.client("alice")
    certificates.register({})
    app = app_with(certificates)
    assert get(app, "/who/x", der(certificates, "alice")).status_code == 403
    certificates.register({"alice": ("admin", alice)})
    assert get(app, "/who/x", der(certificates, "alice")).status_code == 200
    certificates.register({})
    os.utime(certificates.folder / "principals.json", ns=(1, 1))
    assert get(app, "/who/x", der(certificates, "alice")).status_code == 403


def test_who_administers_beside_the_file_is_asked_for_administrators_alone(
    certificates: Certificates,
) -> None:
    made = {name: certificates.client(name) for name in ("alice", "shop", "carol")}
    certificates.register({"alice": ("admin", made["alice"]), "shop": ("es", made["shop"])})
    keys = {name: certificate_digests(each, certificates.root.certificate) for name, each in made.items()}
    carol = Principal(role="admin", tenant="t", name="carol")
    asked: list[tuple[RowKey, str | None]] = []

    def beside(key: RowKey, listed: Principal | None) -> Principal | None:
        asked.append((key, None if listed is None else listed.name))
        return carol if key == keys["carol"] else None

    folder = certificates.folder
    table = PrincipalTable.load(folder / "principals.json", anchors=folder / "anchors.pem", beside=beside)
    # another role's row is the file's alone; an administrator of the file is asked for, and refused where he is removed
    assert table.principal_of(der(certificates, "shop")).role == "es"
    assert table.principal_of(der(certificates, "carol")).name == "carol"
    with pytest.raises(ProblemError):
        table.principal_of(der(certificates, "alice"))
    assert asked == [(keys["carol"], None), (keys["alice"], "alice")]
    assert table.listed().keys() == {keys["alice"], keys["shop"]}
    assert table.issuer_digests() == {keys["alice"][0]}


@pytest.mark.negative
def test_a_table_that_breaks_later_lets_nobody_in(certificates: Certificates) -> None:
    certificates.register({"alice": ("admin", certificates.client("alice"))})
    app = app_with(certificates)
    (certificates.folder / "principals.json").write_text("{")
    answer = get(app, "/who/x", der(certificates, "alice"))
    assert answer.status_code == 500
    assert b"principals.json" not in answer.data


@pytest.mark.negative
@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ([{"role": "root"}], "role root"),
        ([{"issuer_sha256": "ab"}], "issuer_sha256"),
        ([{"more": 1}], "more"),
        ([{}, {"name": "other"}], "share one"),
    ],
)
def test_a_bad_table_does_not_start(
    tmp_path: Path, certificates: Certificates, rows: list[dict[str, str]], word: str
) -> None:
    good = {"role": "admin", "tenant": "t", "name": "n", "issuer_sha256": "a" * 64, "spki_sha256": "b" * 64}
    path = tmp_path / "principals.json"
    path.write_text(json.dumps({"principals": [good | row for row in rows]}))
    with pytest.raises(PrincipalTableError, match=word):
        PrincipalTable.load(path, anchors=certificates.folder / "anchors.pem")
    with pytest.raises(PrincipalTableError, match=r"absent\.pem"):
        PrincipalTable.load(path, anchors=tmp_path / "absent.pem")


@pytest.mark.negative
def test_a_route_without_declared_access_does_not_start() -> None:
    app = Flask("test", static_folder=None)
    app.add_url_rule("/forgotten", view_func=lambda: "x")
    with pytest.raises(UndeclaredAccessError, match="/forgotten"):
        enforce_access(app)


@pytest.mark.negative
def test_roles_without_a_table_do_not_start() -> None:
    app = Flask("test", static_folder=None)

    @app.get("/a")
    @require("sho")
    def view() -> str:
        return ""

    with pytest.raises(UndeclaredAccessError, match="table"):
        enforce_access(app)


@pytest.mark.negative
@pytest.mark.parametrize("roles", [(), ("root",), ("admin", "public")])
def test_a_role_that_does_not_exist_is_a_mistake_of_the_program(roles: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="roles"):
        require(*roles)


def test_the_route_table_can_be_walked(certificates: Certificates) -> None:
    certificates.register({})
    assert routes_of(app_with(certificates)) == [
        ("GET", "/open", ("public",)),
        ("GET", "/who/<name>", ("admin",)),
    ]


def test_the_key_of_a_row_is_two_digests(certificates: Certificates) -> None:
    one, two = certificates.client("one"), certificates.client("two")
    first, second = (certificate_digests(each, certificates.root.certificate) for each in (one, two))
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_who_had_a_certificate_issued_says_the_certificate_and_else_the_table(
    certificates: Certificates,
) -> None:
    staff = Requester(name="staff", key_sha256="3" * 64)
    made = {
        "by-staff": certificates.client("by-staff", requesters=Requesters(line=(staff,))),
        "by-ceremony": certificates.client("by-ceremony"),
        "unknown": certificates.client("unknown", requesters=None),
    }
    certificates.register({name: ("admin", each) for name, each in made.items()})
    path = certificates.folder / "principals.json"
    table = PrincipalTable.load(path, anchors=certificates.folder / "anchors.pem")

    def lines() -> list[tuple[Requester, ...] | None]:
        return [table.principal_of(der(certificates, name)).issued_at_request_of for name in made]

    assert lines() == [(staff,), (), None]
    rows = json.loads(path.read_text())["principals"]
    said = {"issued_at_request_of": [{"name": "root", "key_sha256": "4" * 64}]}
    path.write_text(json.dumps({"principals": [{**row, **said} for row in rows]}))
    assert lines() == [(staff,), (), (Requester(name="root", key_sha256="4" * 64),)]
    wrong = {"issued_at_request_of": [{"name": "root", "key_sha256": "4"}]}
    path.write_text(json.dumps({"principals": [{**row, **wrong} for row in rows]}))
    with pytest.raises(PrincipalTableError):
        lines()
