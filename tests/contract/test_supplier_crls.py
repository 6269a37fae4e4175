"""Status by the CRLs of a supplier without a responder, on SQLite and PostgreSQL, up to the verdict."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from edge.http_client import UnreachableError
from edge.process import system_random
from pva.manifests.recognition import RecognitionWish
from pva.manifests.supplier_crls import RETRY, CrlBook, CrlState, HeldCrl
from pva.refusals import RefusalCode, RefusalError
from pva.store.policies import PolicyStore
from pva.store.references import ReferenceStore
from pva.store.results import ResultStore
from pva.store.supplier_crls import FELL, CrlStore
from standards.pki.fingerprints import decode_certificate
from tests.contract.test_pva_store import AuditedStore, migrated
from tests.fakes.credentials import MODEL, FakeSupplier, hw_type
from tests.fakes.pki import NOW, Authority
from tests.fakes.pva_world import ADMINISTRATORS, World
from tests.fakes.supplier_crls import HOUR, crl_of

URL = "http://crl.example.net/line.crl"

pytestmark = [pytest.mark.requirement("R74"), pytest.mark.requirement("R75")]


class Field:
    """A PVA that recognises one supplier by its CRL, and the place where that lies."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.crl: bytes | None = None
        self.asked: list[str] = []
        references = ReferenceStore(engine, random_bytes=system_random)
        self.book = CrlBook(records=CrlStore(engine), suppliers=references.suppliers, fetch=self._fetch)
        self.world = World(
            store=AuditedStore(engine),
            references=references,
            policies=PolicyStore(engine, random_bytes=system_random),
            records=ResultStore(engine, random_bytes=system_random),
            responder=self.book.status,
        )
        self.supplier = self.world.supplier
        self.chain = self.world.chain()
        self.serial = decode_certificate(self.chain[0]).serial_number
        for administrator in ADMINISTRATORS:
            self.world.recognition.recognise(self.wish(self.supplier.issuing), by=administrator, at=NOW)

    def wish(self, issuing: Authority) -> RecognitionWish:
        pems = [each.certificate.public_bytes(Encoding.PEM) for each in (self.world.supplier.root, issuing)]
        return RecognitionWish(
            name="Acme", root_pem=pems[0], models={MODEL: hw_type()}, crls=((pems[1], URL),)
        )

    def publish(
        self, *revoked: int, number: int = 1, at: datetime = NOW, by: Authority | None = None
    ) -> None:
        self.crl = crl_of(by or self.supplier.issuing, *revoked, number=number, at=at)

    def refresh(self, *, at: datetime = NOW) -> HeldCrl:
        self.book.refresh(at=at)
        (held,) = self.book.held()
        return held

    def verdict(self, *, at: datetime = NOW) -> str:
        self.world.device = self.world.device.later()
        self.world.ask(at=at)
        try:
            token, challenge = self.world.challenge(at=at)
            evidence = self.world.device.evidence(challenge, token=token, chain=self.chain)
            return self.world.validate(evidence, at=at).result.status.name.lower()
        except RefusalError as refusal:
            return refusal.code.value

    def _fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.crl is None:
            raise UnreachableError(url, reason="refused")
        return self.crl


@pytest.fixture(params=["sqlite", "postgresql"])
def field(request: pytest.FixtureRequest) -> Iterator[Field]:
    engine = migrated(request, request.param)
    yield Field(engine)
    engine.dispose()


def test_absence_from_a_current_list_is_good_and_presence_is_not(field: Field) -> None:
    field.publish()
    assert field.refresh().state(NOW) is CrlState.CURRENT
    assert field.verdict() == "affirming"
    serial = field.serial
    later = NOW + HOUR / 2
    field.publish(serial, number=2, at=later)
    assert field.refresh(at=later).number == 2
    assert field.verdict(at=later) == "pfc-revoked"


@pytest.mark.negative
def test_without_a_list_nothing_is_validated(field: Field) -> None:
    assert field.verdict() == "status-unavailable"
    held = field.refresh()
    assert (held.state(NOW), held.fault is None) == (CrlState.MISSING, False)
    assert field.verdict() == "status-unavailable"


@pytest.mark.negative
def test_a_list_that_ended_never_says_good(field: Field) -> None:
    field.publish()
    field.refresh()
    field.crl = None
    last = NOW + HOUR - timedelta(seconds=1)
    assert field.refresh(at=last).state(last) is CrlState.CURRENT
    assert field.verdict(at=last) == "affirming"
    over = NOW + HOUR
    assert field.refresh(at=over).state(over) is CrlState.STALE
    assert field.verdict(at=over) == "status-unavailable"
    field.publish(number=2, at=over)
    assert field.refresh(at=over + RETRY).state(over + RETRY) is CrlState.CURRENT
    assert field.verdict(at=over + RETRY) == "affirming"


@pytest.mark.negative
def test_the_number_of_a_list_never_falls(field: Field) -> None:
    field.publish(number=9)
    field.refresh()
    at = NOW + HOUR / 2
    field.publish(number=8, at=at)
    held = field.refresh(at=at)
    assert (held.number, held.fault) == (9, FELL)


@pytest.mark.negative
def test_a_list_of_another_key_or_that_is_none_changes_nothing(field: Field) -> None:
    field.publish()
    field.refresh()
    at = NOW + HOUR / 2
    field.publish(number=2, at=at, by=FakeSupplier.make().issuing)
    assert field.refresh(at=at).number == 1
    field.crl = b"<html>"
    held = field.refresh(at=at + RETRY)
    assert held.number == 1
    assert held.fault is not None
    assert field.verdict(at=at + RETRY) == "affirming"


@pytest.mark.negative
def test_a_row_that_was_altered_says_nothing(field: Field) -> None:
    serial = field.serial
    field.publish(serial)
    field.refresh()
    forged = crl_of(
        Authority(certificate=field.supplier.issuing.certificate, key=Authority.root().key), at=NOW
    )
    with field.engine.begin() as connection:
        connection.execute(sa.text("UPDATE supplier_crls SET der = :der"), {"der": forged})
    assert field.verdict() == "status-unavailable"


def test_a_list_is_asked_for_from_half_of_its_life_on_and_not_all_the_time(field: Field) -> None:
    field.publish()
    for seconds in range(0, 600, 60):
        field.refresh(at=NOW + timedelta(seconds=seconds))
    assert len(field.asked) == 1
    at = NOW + HOUR / 2
    field.crl = None
    for seconds in range(60):
        field.refresh(at=at + timedelta(seconds=seconds))
    assert len(field.asked) == 3


@pytest.mark.negative
def test_an_issuing_ca_of_another_root_is_not_registered(field: Field) -> None:
    with pytest.raises(RefusalError) as caught:
        field.world.recognition.recognise(
            field.wish(FakeSupplier.make("Other").issuing), by=ADMINISTRATORS[0], at=NOW
        )
    assert caught.value.code is RefusalCode.ROOT_UNACCEPTABLE


@pytest.mark.negative
def test_a_credential_of_an_issuing_ca_that_is_not_registered(field: Field) -> None:
    other = field.supplier.root.subordinate("Acme meters")
    for administrator in ADMINISTRATORS:
        field.world.recognition.recognise(field.wish(other), by=administrator, at=NOW)
    field.publish(by=other)
    field.refresh()
    assert field.verdict() == "status-unavailable"
