"""Administrators of a service: added by two, removed by one, on SQLite and PostgreSQL, and over its operator listener."""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask

from ca.store import MIGRATIONS
from ca.store.tables import administrators, ledger
from edge.administrator_pages import add_administrators
from edge.administrator_store import REMOVED, SqlAdministrators
from edge.administrators import (
    Administrator,
    AdministratorDesk,
    KeyRegisteredError,
    NoSuchAdministratorError,
    Removal,
    Standing,
    TooFewAdministratorsError,
    UnknownIssuerError,
)
from edge.database import engine_for, transaction
from edge.dual_control import (
    APPROVAL_LIFE,
    Approval,
    DependentApproverError,
    SameApproverError,
    UnknownOriginError,
)
from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import Principal, PrincipalTable, RowKey, certificate_digests, enforce_access
from edge.problem_document import ProblemError
from edge.problems import register_problems
from edge.refusal_answers import register_refusals
from standards.pki.extensions import Requester, Requesters
from tests.contract.certificates import Certificates
from tests.contract.databases import new_database

AT = datetime(2026, 3, 1, tzinfo=UTC)
ISSUER = "a" * 64
CAROL = Administrator(issuer_sha256=ISSUER, spki_sha256="3" * 64, tenant="", name="carol")

pytestmark = [pytest.mark.requirement("R29"), pytest.mark.requirement("R101")]


class PrincipalRows:
    """A file of principals that names two administrators and a responder."""

    def __init__(self) -> None:
        self.rows: dict[RowKey, Principal] = {
            (ISSUER, "1" * 64): Principal(role="admin", tenant="", name="ada"),
            (ISSUER, "2" * 64): Principal(role="admin", tenant="", name="bob"),
            (ISSUER, "8" * 64): Principal(role="ocsp", tenant="ocsp", name="ocsp"),
        }

    def listed(self) -> dict[RowKey, Principal]:
        """The rows."""
        return self.rows

    def issuer_digests(self) -> frozenset[str]:
        """One CA."""
        return frozenset({ISSUER})


def approval(
    name: str, digit: str, *, at: datetime = AT, behind: tuple[Requester, ...] | None = ()
) -> Approval:
    return Approval(approver=name, key_sha256=digit * 64, approved_at=at, issued_at_request_of=behind)


ADA, BOB = approval("ada", "1"), approval("bob", "2")


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    made = engine_for(new_database(request, request.param, MIGRATIONS))
    yield made
    made.dispose()


@pytest.fixture
def desk(engine: sa.Engine) -> AdministratorDesk:
    return reopened(engine)


def reopened(engine: sa.Engine) -> AdministratorDesk:
    """The desk of a process that has just started over this store."""
    store = SqlAdministrators(engine, administrators, ledger, random_bytes=os.urandom)
    return AdministratorDesk(store=store, file=PrincipalRows())


def states(desk: AdministratorDesk, *, at: datetime = AT) -> dict[str, str]:
    found = desk.standings(only_of=None, at=at)
    return {each.administrator.name: each.state for each in found}


def added(desk: AdministratorDesk, who: Administrator = CAROL) -> Standing:
    desk.propose(who, ADA)
    return desk.approve(who.digest, BOB, tenant="")


def beside(desk: AdministratorDesk, key: RowKey) -> Principal | None:
    return desk.store.beside(key, desk.file.listed().get(key))


def trail(engine: sa.Engine) -> list[tuple[str, dict[str, Any]]]:
    with transaction(engine, write=False) as connection:
        entries = ledger.entries(connection)
    return [(each.kind, json.loads(each.record or b"{}")["record"]) for each in entries]


def test_two_add_one_and_each_step_is_on_record(desk: AdministratorDesk, engine: sa.Engine) -> None:
    waiting = desk.propose(CAROL, ADA)
    assert waiting.state == "waiting"
    assert beside(desk, CAROL.key) is None
    done = reopened(engine).approve(CAROL.digest, BOB, tenant="")
    assert (done.state, done.added_by, done.administrator) == ("in-force", "ada, bob", CAROL)
    assert beside(desk, CAROL.key) == Principal(role="admin", tenant="", name="carol")
    # once: the same words again, and the digest, change nothing and need nobody
    assert desk.approve(CAROL.digest, ADA, tenant="").since == done.since
    assert desk.propose(CAROL, ADA).state == "in-force"
    assert states(desk) == {"ada": "in-force", "bob": "in-force", "carol": "in-force"}
    told = [(kind, record["by"], record["added"], record["spki_sha256"]) for kind, record in trail(engine)]
    assert told == [
        ("administrator-approved", "ada", False, CAROL.spki_sha256),
        ("administrator-approved", "bob", True, CAROL.spki_sha256),
    ]


@pytest.mark.negative
def test_one_administrator_adds_nobody(desk: AdministratorDesk) -> None:
    desk.propose(CAROL, ADA)
    behind = (Requester(name="ada", key_sha256="1" * 64),)
    for refused, error in (
        (ADA, SameApproverError),
        (replace(BOB, key_sha256=ADA.key_sha256), SameApproverError),
        (replace(BOB, issued_at_request_of=behind), DependentApproverError),
        (replace(BOB, issued_at_request_of=None), UnknownOriginError),
    ):
        with pytest.raises(error):
            desk.approve(CAROL.digest, refused, tenant="")
        with pytest.raises(error):
            desk.propose(CAROL, refused)
    assert states(desk)["carol"] == "waiting"
    assert beside(desk, CAROL.key) is None


@pytest.mark.negative
def test_two_who_say_different_things_add_nobody(desk: AdministratorDesk) -> None:
    desk.propose(CAROL, ADA)
    other = replace(CAROL, name="eve")
    assert desk.propose(other, BOB).state == "waiting"
    assert beside(desk, CAROL.key) is None
    # the one that both approve is registered; the other can never be, since the key has a role
    assert desk.approve(other.digest, ADA, tenant="").state == "in-force"
    with pytest.raises(KeyRegisteredError):
        desk.approve(CAROL.digest, BOB, tenant="")
    found = beside(desk, CAROL.key)
    assert found is not None
    assert found.name == "eve"


@pytest.mark.negative
def test_an_approval_waits_a_day_and_can_be_taken_back(desk: AdministratorDesk, engine: sa.Engine) -> None:
    desk.propose(CAROL, ADA)
    late = AT + APPROVAL_LIFE + timedelta(seconds=1)
    assert "carol" not in states(desk, at=late)
    assert desk.approve(CAROL.digest, replace(BOB, approved_at=late), tenant="").state == "waiting"
    desk.withdraw(CAROL.digest, tenant="", by=ADA)
    for again in (desk.withdraw, None):
        with pytest.raises(NoSuchAdministratorError):
            if again is not None:
                again(CAROL.digest, tenant="", by=ADA)
            else:
                desk.approve(CAROL.digest, ADA, tenant="")
    assert desk.propose(CAROL, ADA).state == "waiting"
    assert [kind for kind, _ in trail(engine)].count("administrator-withdrawn") == 1


@pytest.mark.negative
def test_a_key_with_a_role_and_a_foreign_issuer_are_refused(desk: AdministratorDesk) -> None:
    with pytest.raises(KeyRegisteredError, match="ocsp"):
        desk.propose(replace(CAROL, spki_sha256="8" * 64), ADA)
    with pytest.raises(KeyRegisteredError, match="ada"):
        desk.propose(replace(CAROL, spki_sha256="1" * 64), BOB)
    with pytest.raises(UnknownIssuerError):
        desk.propose(replace(CAROL, issuer_sha256="b" * 64), ADA)


@pytest.mark.negative
def test_another_tenants_administrators_are_nobodys_business(desk: AdministratorDesk) -> None:
    theirs = replace(CAROL, tenant="sho-2")
    desk.propose(theirs, ADA)
    for act in (
        lambda: desk.approve(theirs.digest, BOB, tenant=""),
        lambda: desk.withdraw(theirs.digest, tenant="", by=BOB),
        lambda: desk.remove("1" * 64, Removal(by="x", at=AT, reason="x"), tenant="sho-2"),
    ):
        with pytest.raises(NoSuchAdministratorError):
            act()
    seen = desk.standings(only_of="sho-2", at=AT)
    assert [each.administrator for each in seen] == [theirs]


def test_one_removes_at_once_whom_the_file_names_too(desk: AdministratorDesk, engine: sa.Engine) -> None:
    added(desk)
    dora = replace(CAROL, spki_sha256="4" * 64, name="dora")
    desk.propose(dora, BOB)
    removal = Removal(by="carol", at=AT, reason="left")
    assert desk.remove("2" * 64, removal, tenant="").state == "removed"
    # what he approved of others counts no more
    assert "dora" not in states(desk)
    with pytest.raises(ProblemError) as caught:
        beside(reopened(engine), (ISSUER, "2" * 64))
    assert caught.value.problem.type == REMOVED
    assert states(desk)["bob"] == "removed"
    kind, record = trail(engine)[-1]
    assert (kind, record["name"], record["by"], record["reason"]) == (
        "administrator-removed",
        "bob",
        "carol",
        "left",
    )
    # two have him back, and nothing from before counts for that
    again = Administrator(issuer_sha256=ISSUER, spki_sha256="2" * 64, tenant="", name="bob")
    assert desk.propose(again, ADA).state == "waiting"
    with pytest.raises(ProblemError):
        beside(desk, again.key)
    assert desk.approve(again.digest, approval("carol", "3"), tenant="").state == "in-force"
    assert beside(desk, again.key) == Principal(role="admin", tenant="", name="bob")


@pytest.mark.negative
def test_the_last_two_stay(desk: AdministratorDesk) -> None:
    removal = Removal(by="ada", at=AT, reason="left")
    with pytest.raises(TooFewAdministratorsError):
        desk.remove("2" * 64, removal, tenant="")
    added(desk)
    desk.remove("2" * 64, removal, tenant="")
    with pytest.raises(TooFewAdministratorsError):
        desk.remove("3" * 64, removal, tenant="")
    with pytest.raises(NoSuchAdministratorError):
        desk.remove("2" * 64, removal, tenant="")


@pytest.mark.negative
def test_two_second_approvals_at_once_have_one_effect(desk: AdministratorDesk, engine: sa.Engine) -> None:
    desk.propose(CAROL, ADA)
    others = [approval(f"admin-{digit}", digit) for digit in "4567"]
    start, ended = threading.Barrier(len(others)), []

    def approve(by: Approval) -> None:
        start.wait()
        ended.append(desk.approve(CAROL.digest, by, tenant="").state)

    threads = [threading.Thread(target=approve, args=(each,)) for each in others]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert ended == ["in-force"] * len(others)
    assert [record["added"] for _, record in trail(engine)] == [False, True]


@pytest.mark.negative
def test_two_removals_at_once_leave_two(desk: AdministratorDesk) -> None:
    added(desk)
    start, refused = threading.Barrier(2), []

    def remove(digit: str) -> None:
        start.wait()
        try:
            desk.remove(digit * 64, Removal(by="ada", at=AT, reason="left"), tenant="")
        except TooFewAdministratorsError:
            refused.append(digit)

    threads = [threading.Thread(target=remove, args=(digit,)) for digit in "23"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(refused) == 1
    assert list(states(desk).values()).count("in-force") == 2


class Listener:
    """The routes over a file of principals, as people with certificates call them."""

    def __init__(self, folder: Path, engine: sa.Engine) -> None:
        self.certificates = Certificates(folder)
        names = {"ada": "admin", "bob": "admin", "theirs": "admin", "auditor": "auditor", "sho": "sho"}
        made = {name: self.certificates.client(name) for name in names}
        self.certificates.register(
            {name: (role, made[name]) for name, role in names.items()}, tenants={"theirs": "other"}
        )
        ada = certificate_digests(made["ada"], self.certificates.root.certificate)[1]
        line = Requesters(line=(Requester(name="ada", key_sha256=ada),))
        made["carol"] = self.certificates.client("carol", requesters=line)
        self.peers = {name: each.public_bytes(Encoding.DER) for name, each in made.items()}
        self.digests = {
            name: certificate_digests(each, self.certificates.root.certificate) for name, each in made.items()
        }
        store = SqlAdministrators(engine, administrators, ledger, random_bytes=os.urandom)
        table = PrincipalTable.load(
            folder / "principals.json", anchors=folder / "anchors.pem", beside=store.beside
        )
        self.app = Flask("people", static_folder=None)
        add_administrators(self.app, AdministratorDesk(store=store, file=table), lambda: AT)
        register_refusals(self.app, on_refusal=lambda _: None)
        register_problems(self.app, {})
        enforce_access(self.app, principals=table)

    def call(self, name: str, path: str = "", body: dict[str, str] | None = None) -> tuple[int, Any]:
        """What somebody is answered: a POST where there is a body."""
        answer = self.app.test_client().open(
            f"/v1/administrators{path}",
            method="GET" if body is None else "POST",
            json=body,
            environ_overrides={PEER_CERTIFICATE: self.peers[name]},
        )
        return answer.status_code, answer.get_json(silent=True, force=True)

    def wish(self, name: str = "carol") -> dict[str, str]:
        """The body that proposes somebody."""
        issuer, spki = self.digests[name]
        return {"name": name, "issuer_sha256": issuer, "spki_sha256": spki}


@pytest.fixture
def listener(tmp_path: Path, databases: Any) -> Iterator[Listener]:
    engine = engine_for(databases.sqlite(MIGRATIONS))
    yield Listener(tmp_path, engine)
    engine.dispose()


@pytest.mark.requirement("R102")
def test_over_the_listener_two_add_one_who_then_administers(listener: Listener) -> None:
    assert listener.call("carol")[0] == 403
    status, waiting = listener.call("ada", body=listener.wish())
    assert (status, waiting["state"], waiting["approvals"][0]["by"]) == (202, "waiting", "ada")
    status, refusal = listener.call("ada", f"/{waiting['digest']}/approvals", {})
    assert (status, refusal["type"], refusal["remedy"] != "") == (
        409,
        "urn:pva:problem:approver-not-another",
        True,
    )
    assert listener.call("theirs", f"/{waiting['digest']}/approvals", {})[0] == 404
    assert listener.call("sho", f"/{waiting['digest']}/approvals", {})[0] == 403
    assert listener.call("bob", f"/{waiting['digest']}/approvals", {})[0] == 201
    status, listed = listener.call("carol")
    assert status == 200
    assert {each["name"]: each["state"] for each in listed["administrators"]} == {
        "ada": "in-force",
        "bob": "in-force",
        "carol": "in-force",
    }
    assert "theirs" in {each["name"] for each in listener.call("auditor")[1]["administrators"]}
    # whom ada had certified is no second person beside her
    dora = {**listener.wish("sho"), "name": "dora", "spki_sha256": "d" * 64}
    _, proposed = listener.call("ada", body=dora)
    status, refusal = listener.call("carol", f"/{proposed['digest']}/approvals", {})
    assert (status, refusal["reason"]) == (409, "approver-not-independent")
    assert listener.call("bob", f"/{proposed['digest']}/withdrawal", {})[0] == 204
    # one removes, at once
    status, gone = listener.call("bob", f"/{listener.digests['carol'][1]}/removal", {"reason": "left"})
    assert (status, gone["state"], gone["reason"]) == (200, "removed", "left")
    status, refusal = listener.call("carol")
    assert (status, refusal["reason"]) == (403, "removed")
    status, refusal = listener.call("bob", f"/{listener.digests['ada'][1]}/removal", {"reason": "x"})
    assert (status, refusal["reason"]) == (409, "administrators-too-few")


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed", [{"name": ""}, {"name": "a b"}, {"spki_sha256": "x"}, {"tenant": "other"}, {"role": "admin"}]
)
def test_a_proposal_of_another_shape_is_refused(listener: Listener, changed: dict[str, str]) -> None:
    assert listener.call("ada", body={**listener.wish(), **changed})[0] == 422
