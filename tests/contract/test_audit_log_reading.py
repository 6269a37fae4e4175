"""A log that is published over HTTP and read by a stranger: whole, by one leaf, and from a service that lies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask

from clients.audit_log import AuditLogAnswerError, AuditLogClient
from edge.audit_log import RECORDS_PER_PAGE, AuditLog, LogSigner
from edge.database import NAMING, engine_for, transaction
from edge.http_client import HttpClient, HttpError, HttpResponse
from edge.ledger import LedgerTable
from edge.ledger_leaf import LedgerEntry, LedgerError
from edge.log_pages import add_log_pages
from edge.log_verification import LogReader, check_records, prove_leaf, verify_log
from edge.problem_document import Problem
from edge.problems import register_problems
from standards.merkle.checkpoint import Checkpoint, sign_checkpoint
from standards.merkle.tiles import TILE_WIDTH
from standards.merkle.tree import EMPTY_ROOT, MerkleError

METADATA = sa.MetaData(naming_convention=NAMING)
LEDGER = LedgerTable(METADATA)
AT = datetime(2026, 1, 2, tzinfo=UTC)
SIGNER = LogSigner(name="pva-1.example.net/log", key=Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEY = SIGNER.verifier
COUNT = TILE_WIDTH + 30


class FlaskHttp(HttpClient):
    """An HttpClient whose other end is an application in this process."""

    def __init__(self, app: Flask) -> None:
        """Connect to nothing."""
        self._client = app.test_client()

    def get(
        self,
        path: str,
        *,
        accept: str = "*/*",
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 - the parent's signature
    ) -> HttpResponse:
        answer = self._client.get(path, headers={"Accept": accept})
        if answer.status_code >= 400:
            raise HttpError(path, status=answer.status_code, problem=Problem.decode(answer.data))
        return HttpResponse(
            status=answer.status_code,
            content_type=answer.content_type,
            body=answer.data,
            headers=dict(answer.headers),
        )


@dataclass
class Service:
    """A service with a log."""

    engine: sa.Engine
    log: AuditLog
    http: FlaskHttp

    @property
    def reader(self) -> AuditLogClient:
        """Its log from outside."""
        return AuditLogClient(self.http)

    def work(self, count: int) -> list[bytes]:
        """Do things, and have them logged."""
        with transaction(self.engine) as connection:
            first = connection.execute(sa.select(sa.func.count()).select_from(LEDGER.table)).scalar_one()
            leaves = [
                LEDGER.append(
                    connection,
                    kind="result",
                    subject=f"device-{number}",
                    record={"number": number},
                    at=AT,
                    salt=number.to_bytes(32, "big"),
                )
                for number in range(first, first + count)
            ]
        self.log.sequence_all()
        return leaves


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    engine = engine_for(f"sqlite:///{tmp_path_factory.mktemp('log') / 'store.db'}")
    with transaction(engine) as connection:
        METADATA.create_all(connection)
    log = AuditLog(engine, LEDGER, signer=SIGNER, clock=lambda: AT)
    app = Flask("service")
    add_log_pages(app, log)
    register_problems(app, {})
    service = Service(engine, log, FlaskHttp(app))
    service.work(COUNT)
    yield service
    engine.dispose()


@pytest.fixture
def service(made: Service) -> Service:
    return made


def test_the_whole_log_is_verified_with_its_records(service: Service) -> None:
    verified = verify_log(service.reader, KEY, known=None)
    size = verified.checkpoint.size
    assert len(verified.leaves) == size >= COUNT
    checked = check_records(service.reader, verified)
    assert checked.kept + checked.erased == size


def test_whoever_knows_a_leafs_hash_gets_its_proof(service: Service) -> None:
    leaves = verify_log(service.reader, KEY, known=None).leaves
    for index in (0, TILE_WIDTH, len(leaves) - 1):
        proof = service.reader.proof(leaves[index])
        assert proof is not None
        assert proof.index == index
        assert proof.verify(leaves[index], KEY).size == len(leaves)
    assert service.reader.proof(bytes(32)) is None


@pytest.mark.negative
def test_a_refusal_of_another_kind_is_not_the_absence_of_a_leaf(service: Service) -> None:
    with pytest.raises(HttpError) as refusal:
        service.reader.proof(b"short")
    assert refusal.value.status == 400


@pytest.mark.requirement("R71")
def test_one_leaf_is_proven_by_a_few_tiles(service: Service) -> None:
    leaves = verify_log(service.reader, KEY, known=None).leaves
    for index in (0, TILE_WIDTH - 1, TILE_WIDTH, len(leaves) - 1):
        entry, checkpoint = prove_leaf(service.reader, KEY, leaves[index])
        assert (entry.log_index, entry.subject, checkpoint.size) == (index, f"device-{index}", len(leaves))


def test_what_grew_holds_what_was_signed_before(service: Service) -> None:
    before = verify_log(service.reader, KEY, known=None)
    service.work(3)
    after = verify_log(service.reader, KEY, known=before.note)
    assert after.checkpoint.size == before.checkpoint.size + 3
    assert after.leaves[: before.checkpoint.size] == before.leaves


def test_an_erased_record_leaves_its_leaf(service: Service) -> None:
    leaf = service.work(1)[0]
    table = LEDGER.table
    with transaction(service.engine) as connection:
        erase = sa.update(table).where(table.c.leaf_hash == leaf).values(record=None, salt=None)
        connection.execute(erase)
    verified = verify_log(service.reader, KEY, known=None)
    assert check_records(service.reader, verified).erased >= 1
    entry, _ = prove_leaf(service.reader, KEY, leaf)
    assert entry.record is None


def test_pages_are_bounded(service: Service) -> None:
    assert len(service.reader.records(first=0)) == RECORDS_PER_PAGE


@pytest.mark.negative
@pytest.mark.parametrize(
    "path",
    [
        "/v1/log/tile/0/x000/000",
        "/v1/log/tile/0/999",
        "/v1/log/tile/9/000",
        "/v1/log/tile/0/000.p/0",
        f"/v1/log/tile/0/{'x999/' * 7}999",
        "/v1/log/tile/entries/001",
        "/v1/log/tile/entries/..%2f000",
        "/v1/log/records?first=-1",
        "/v1/log/records?first=" + "9" * 30,
        "/v1/log/leaves/00",
        "/v1/log/leaves/" + "0" * 64,
        "/v1/log/proofs/" + "0" * 64,
        "/v1/log/proofs/..",
    ],
)
def test_what_is_not_there_is_refused_with_a_remedy(service: Service, path: str) -> None:
    with pytest.raises(HttpError) as refusal:
        service.http.get(path)
    assert refusal.value.status in {400, 404}


@pytest.mark.negative
def test_an_answer_of_another_shape_is_refused() -> None:
    app = Flask("other")
    app.add_url_rule("/v1/log/records", view_func=lambda: {"records": [{"kind": 1}]})
    with pytest.raises(AuditLogAnswerError):
        AuditLogClient(FlaskHttp(app)).records(first=0)


@dataclass
class Liar:
    """A log of which one answer is another one."""

    honest: LogReader
    lies: Mapping[str, Callable[[Any], Any]]

    def _said(self, name: str, answer: Any) -> Any:
        return self.lies.get(name, lambda truth: truth)(answer)

    def checkpoint(self) -> bytes:
        return self._said("checkpoint", self.honest.checkpoint())  # type: ignore[no-any-return] # a lie is of any kind

    def tile(self, level: int, number: int, *, width: int) -> bytes:
        return self._said("tile", self.honest.tile(level, number, width=width))  # type: ignore[no-any-return] # see above

    def entries(self, number: int, *, width: int) -> list[bytes]:
        return self._said("entries", self.honest.entries(number, width=width))  # type: ignore[no-any-return] # see above

    def records(self, *, first: int) -> Sequence[LedgerEntry]:
        return self._said("records", self.honest.records(first=first))  # type: ignore[no-any-return] # see above

    def leaf(self, leaf_hash: bytes) -> LedgerEntry:
        return self._said("leaf", self.honest.leaf(leaf_hash))  # type: ignore[no-any-return] # see above


def signed(size: int, root: bytes, *, key: Ed25519PrivateKey = SIGNER.key) -> bytes:
    return sign_checkpoint(Checkpoint(origin=SIGNER.name, size=size, root=root), key).encode()


@pytest.mark.negative
@pytest.mark.parametrize(
    ("name", "lie"),
    [
        ("entries", lambda entries: [bytes(32), *entries[1:]]),
        ("entries", lambda entries: [entries[1], entries[0], *entries[2:]]),
        ("entries", lambda entries: entries[:-1]),
        ("checkpoint", lambda _: signed(COUNT, bytes(32))),
        ("checkpoint", lambda _: signed(0, EMPTY_ROOT, key=Ed25519PrivateKey.generate())),
        ("checkpoint", lambda note: note[:-6]),
    ],
)
def test_a_log_that_is_not_what_was_signed_is_refused(
    service: Service, name: str, lie: Callable[[Any], Any]
) -> None:
    with pytest.raises(MerkleError):
        verify_log(Liar(service.reader, {name: lie}), KEY, known=None)


@pytest.mark.negative
def test_a_log_that_took_something_back_is_refused(service: Service) -> None:
    size = verify_log(service.reader, KEY, known=None).checkpoint.size
    with pytest.raises(MerkleError, match="as once signed"):
        verify_log(service.reader, KEY, known=signed(size + 1, bytes(32)))
    with pytest.raises(MerkleError, match="the signed root"):
        verify_log(service.reader, KEY, known=signed(size - 1, bytes(32)))


@pytest.mark.negative
@pytest.mark.parametrize(
    "lie",
    [
        lambda page: [replace(page[0], record=page[0].record[:-1] + b" "), *page[1:]],
        lambda page: [replace(page[0], salt=bytes(31) + b"\x09"), *page[1:]],
        lambda page: [replace(page[0], subject="device-x"), *page[1:]],
        lambda page: [page[1], page[0], *page[2:]],
        lambda page: page[1:],
        lambda _page: [],
    ],
)
def test_a_record_that_is_not_what_its_leaf_committed_to_is_refused(
    service: Service, lie: Callable[[Any], Any]
) -> None:
    verified = verify_log(service.reader, KEY, known=None)
    with pytest.raises((MerkleError, LedgerError)):
        check_records(Liar(service.reader, {"records": lie}), verified)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("name", "lie"),
    [
        ("tile", lambda tile: bytes(32) + tile[32:]),
        ("tile", lambda tile: tile[:-32]),
        ("tile", lambda tile: tile[:-1]),
        ("leaf", lambda entry: replace(entry, log_index=entry.log_index + 1)),
        ("leaf", lambda entry: replace(entry, log_index=None)),
        ("leaf", lambda entry: replace(entry, log_index=1 << 40)),
        ("leaf", lambda entry: replace(entry, leaf_hash=bytes(32))),
        ("leaf", lambda entry: replace(entry, record=b"{}")),
        ("checkpoint", lambda _: signed(COUNT, bytes(32))),
    ],
)
def test_a_leaf_is_not_proven_by_a_lie(service: Service, name: str, lie: Callable[[Any], Any]) -> None:
    leaf = service.reader.records(first=5)[0].leaf_hash
    with pytest.raises((MerkleError, LedgerError)):
        prove_leaf(Liar(service.reader, {name: lie}), KEY, leaf)
