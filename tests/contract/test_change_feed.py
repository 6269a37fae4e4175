"""The CA's own routes against the responder's own reader: delegation, feed, and what clients then hear."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography import x509
from flask import Flask
from flask.testing import FlaskClient

from ca.certification import Certification
from ca.lifecycle import Reason, Status
from ca.profiles import Kind
from ca.revocation import Revocation
from ca.signing import Holder
from ca.template import Template
from ca.web.certificate_routes import certificate_routes
from ca.web.hierarchy_routes import issuing_ca_routes
from ca.web.problems import PROBLEMS
from ca.web.status_routes import status_routes
from clients.ca_status import CaStatusClient
from edge.http_client import HttpError
from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import PrincipalTable, enforce_access
from edge.problem_document import Problem
from edge.problems import register_problems
from ocsp.delegation import LIST_EVERY, DelegateKeeper
from ocsp.feed import FeedReader
from ocsp.responder import respond
from ocsp.store import SqlStatusStore
from standards.pki import oids
from standards.pki.crl import RevocationReason
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName
from standards.pki.fingerprints import ca_id, certificate_der, spki_sha256
from standards.pki.ocsp import build_request
from standards.pki.ocsp_answer import CertStatus, StatusKind, verify_response
from tests.contract.certificates import Certificates
from tests.contract.status_engines import engine
from tests.fakes.ca import ADMIN, CaHouse
from tests.fakes.pki import p256

__all__ = ["engine"]

KEY = p256()


@dataclass
class InProcessHttp:
    """What `CaStatusClient` uses of an HttpClient, without sockets; `peer` is the proven certificate."""

    client: FlaskClient
    peer: bytes

    def get_json(self, path: str) -> Any:
        return self._json(path, self.client.get(path, environ_overrides={PEER_CERTIFICATE: self.peer}))

    def post_json(self, path: str, value: object) -> Any:
        overrides = {PEER_CERTIFICATE: self.peer}
        return self._json(path, self.client.post(path, json=value, environ_overrides=overrides))

    def _json(self, path: str, answer: Any) -> Any:
        if answer.status_code >= 400:
            raise HttpError(path, status=answer.status_code, problem=Problem.decode(answer.data))
        return answer.get_json()


class World:
    """A CA and a responder that know each other by routes only."""

    def __init__(self, folder: Path, engine: sa.Engine) -> None:
        self.books = folder / "ca.db"
        self.house = CaHouse(
            database=f"sqlite:///{self.books}", responder_keys=frozenset({spki_sha256(KEY.public_key())})
        )
        self.line = self.house.product_line().x509()
        self.revocation = Revocation(
            store=self.house.store, clock=self.house.clock, publish=self.house.lists.publish
        )
        self.http = InProcessHttp(self._app(folder).test_client(), certificate_der(self.peer))
        self.ca = CaStatusClient(self.http)  # type: ignore[arg-type]  # the two methods that it uses
        self.store = SqlStatusStore(engine)
        self.start()

    def start(self) -> None:
        """A new process over the same store."""
        self.keeper = DelegateKeeper(self.ca, self.store, key=KEY, clock=self.house.clock)
        self.reader = FeedReader(self.ca, self.store, clock=self.house.clock, heard_of=self.keeper.expect)

    def _app(self, folder: Path) -> Flask:
        certificates = Certificates(folder)
        self.peer = certificates.client("responder")
        certificates.register({"responder": ("ocsp", self.peer)})
        certification = Certification(
            store=self.house.store,
            signing=self.house.signing,
            clock=self.house.clock,
            responder_keys=self.house.responder_keys,
        )
        app = Flask("feed", static_folder=None)
        app.register_blueprint(
            issuing_ca_routes(
                self.house.hierarchy,
                lists=self.house.lists,
                rollover=self.house.rollover,
                catalogue=self.house.store,
                places=self.house.signing.places,
            )
        )
        app.register_blueprint(certificate_routes(certification, self.house.key_registrations))
        app.register_blueprint(
            status_routes(
                self.revocation,
                self.house.holds,
                self.house.renewals,
                suspensions=self.house.suspensions,
                feed=self.house.feed,
            )
        )
        register_problems(app, PROBLEMS)
        principals = PrincipalTable.load(folder / "principals.json", anchors=folder / "anchors.pem")
        enforce_access(app, principals=principals)
        return app

    def follow(self) -> None:
        """What the responder's two loops do in a moment."""
        assert self.reader.poll()
        self.keeper.renew()

    def delegate(self) -> x509.Certificate:
        """The delegate certificate that the responder now has."""
        (issuer,) = self.keeper.directory.issuers
        assert issuer.delegate is not None
        return issuer.delegate.certificate

    def issue(self) -> x509.Certificate:
        """A Platform Credential of the line, as enrolment would issue it."""
        key = p256().public_key()
        module = HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=bytes(range(32)))
        state = ExpectedSystemState(manifest_id="gw/7", manifest_digest=bytes(32), svn=7)
        with self.house.store.writing() as records:
            line = records.authority(ca_id(self.line))
            assert line is not None
            return self.house.signing.certify(
                records,
                Template(
                    kind=Kind.PLATFORM_CREDENTIAL,
                    public_key=key,
                    tre_level=2,
                    hardware_module=module,
                    expected_state=state,
                ),
                by=line,
                holder=Holder(subject="device"),
                at=self.house.clock(),
            )

    def hear(self, certificate: x509.Certificate) -> CertStatus:
        """What a client is told about a certificate of the line."""
        request = build_request(certificate, self.line, nonce=bytes(32))
        now = self.house.clock()
        data = respond(request.der, now=now, status_store=self.store, delegates=self.keeper.directory)
        return verify_response(data, request=request, issuer=self.line, at=now)


@pytest.fixture
def world(tmp_path: Path, engine: sa.Engine) -> World:
    return World(tmp_path, engine)


@pytest.mark.requirement("R101")
@pytest.mark.check("O2")
def test_the_responder_is_delegated_and_its_own_certificate_is_good(world: World) -> None:
    world.follow()
    world.follow()
    delegate = world.delegate()
    assert delegate.issuer == world.line.subject
    assert world.hear(delegate).kind is StatusKind.GOOD


@pytest.mark.requirement("R101")
@pytest.mark.check("O9")
@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("keyCompromise", RevocationReason.KEY_COMPROMISE),
        ("superseded", RevocationReason.SUPERSEDED),
        ("privilegeWithdrawn", RevocationReason.PRIVILEGE_WITHDRAWN),
        ("certificateHold", RevocationReason.CERTIFICATE_HOLD),
    ],
)
def test_a_life_is_heard_a_round_later(world: World, named: str, reason: RevocationReason) -> None:
    world.follow()
    credential = world.issue()
    assert world.hear(credential).kind is StatusKind.UNKNOWN
    world.follow()
    assert world.hear(credential).kind is StatusKind.GOOD
    world.house.clock.advance(minutes=1)
    issuer, serial = ca_id(world.line), credential.serial_number
    if reason is RevocationReason.CERTIFICATE_HOLD:
        hold(world, issuer, serial)
    else:
        world.revocation.revoke(issuer, serial, reason=named, caller=ADMIN)
    assert world.hear(credential).kind is StatusKind.GOOD
    world.follow()
    heard = world.hear(credential)
    assert heard.kind is StatusKind.REVOKED
    assert heard.revocation is not None
    assert (heard.revocation.reason, heard.revocation.at) == (reason, world.house.clock())


def hold(world: World, issuer: str, serial: int) -> None:
    """What a contraindicated platform brings about."""
    with world.house.store.writing() as records:
        issued = records.certificate(issuer, serial)
        assert issued is not None
        records.change_status(
            issued, status=Status.REVOKED, reason=Reason.CERTIFICATE_HOLD, at=world.house.clock()
        )


def test_pages_and_restarts_lose_nothing(world: World) -> None:
    world.follow()
    issued = [world.issue().serial_number for _ in range(3)]
    page = world.ca.status_changes(after=0, limit=1)
    assert (len(page.changes), page.complete) == (1, False)
    world.start()
    world.follow()
    everything = world.ca.status_changes(after=0)
    assert everything.complete
    assert world.store.next_seq() == everything.next
    assert {each.serial for each in everything.changes} >= set(issued)
    assert set(world.store.statuses(ca_id(world.line), issued)) == set(issued)


def copy_database(source: Path, target: Path) -> None:
    """What an administrator does to make a backup, and to put it back."""
    with closing(sqlite3.connect(source)) as books, closing(sqlite3.connect(target)) as copy:
        books.backup(copy)


@pytest.mark.negative
def test_a_ca_that_was_set_back_to_a_backup_hides_no_revocation(world: World, tmp_path: Path) -> None:
    known = world.issue()
    backup = tmp_path / "backup.db"
    copy_database(world.books, backup)
    for _ in range(3):
        world.issue()
    world.follow()
    copy_database(backup, world.books)
    world.house.clock.advance(minutes=1)
    world.revocation.revoke(ca_id(world.line), known.serial_number, reason="keyCompromise", caller=ADMIN)
    world.follow()
    assert world.hear(known).kind is StatusKind.REVOKED


def test_a_new_product_line_is_served_before_its_first_certificate_is_asked_for(world: World) -> None:
    world.follow()
    world.house.product_line("second", models=("gw-2",))
    world.house.clock.advance(seconds=LIST_EVERY.total_seconds())
    world.follow()
    assert len(world.keeper.directory.issuers) == 2
    assert all(each.delegate is not None for each in world.keeper.directory.issuers)


@pytest.mark.negative
def test_an_unregistered_key_gets_no_delegation(world: World) -> None:
    keeper = DelegateKeeper(world.ca, world.store, key=p256(), clock=world.house.clock)
    keeper.renew()
    assert [each.delegate for each in keeper.directory.issuers] == [None]
