"""A CA and responders on PostgreSQL and SQLite: a revocation is everywhere in a second, a restart of the store heals."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from clients.ca import CaOperatorClient, CaPublicClient
from clients.ocsp import OcspClient
from edge.http_client import HttpError, UnreachableError
from edge.process import system_clock, system_random
from standards.pki.errors import PkiError
from standards.pki.ocsp_answer import StatusKind
from tests.contract.postgresql import PostgreSql, running_postgresql
from tests.end_to_end.status_services import Responder, StatusServices
from tests.fakes.ca import csr_for

HEARD_WITHIN_S = 1.0
READY_WITHIN_S = 20.0
LOADERS = 4
AWAY_S = 1.5


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    """A PostgreSQL that may be stopped and started."""
    with running_postgresql() as made:
        yield made


@pytest.fixture(scope="module")
def services(server: PostgreSql, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StatusServices]:
    """A CA on PostgreSQL; one responder on SQLite, and two that share a database."""
    folder = tmp_path_factory.mktemp("status")
    shared = server.new_database()
    made = StatusServices.set_up(
        folder,
        ca_database=server.new_database(),
        responders={"alone": f"sqlite:///{folder}/alone.db", "first": shared, "second": shared},
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


def hears(responder: Responder, pfc: x509.Certificate, *, line: x509.Certificate) -> StatusKind | None:
    """What one responder says, freshly signed; None while it says nothing."""
    client = OcspClient(responder.url, random_bytes=system_random, clock=system_clock)
    try:
        return client.ask(pfc, issuer=line).kind
    except (PkiError, HttpError, UnreachableError):
        return None
    finally:
        client.close()


def until(condition: Callable[[], bool], *, seconds: float) -> float:
    """Wait for it; how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.requirement("R101")
def test_every_responder_hears_of_a_revocation_within_a_second(services: StatusServices) -> None:
    pfc = services.enrol("batch-1")

    def all_say(kind: StatusKind) -> bool:
        return all(hears(each, pfc, line=services.line) is kind for each in services.responders)

    until(lambda: all_say(StatusKind.GOOD), seconds=READY_WITHIN_S)
    heard: dict[str, float] = {}

    def listen(responder: Responder) -> None:
        heard[responder.name] = until(
            lambda: hears(responder, pfc, line=services.line) is StatusKind.REVOKED, seconds=READY_WITHIN_S
        )

    services.desk().revoke_platform_credential(services.line_id, pfc.serial_number, reason="keyCompromise")
    threads = [threading.Thread(target=listen, args=(each,)) for each in services.responders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(READY_WITHIN_S)
    assert set(heard) == {each.name for each in services.responders}
    assert max(heard.values()) < HEARD_WITHIN_S, heard


class Load:
    """Callers that ask without a pause; what each was answered, in order."""

    def __init__(self, services: StatusServices) -> None:
        self._services = services
        self._stop = threading.Event()
        self.outcomes: list[str] = []
        self._threads = [
            threading.Thread(target=self._run, args=(work,))
            for work in (self._write, self._read)
            for _ in range(LOADERS // 2)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, work: Callable[[], Callable[[], object]]) -> None:
        call = work()
        while not self._stop.is_set():
            try:
                call()
                self.outcomes.append("done")
            except HttpError as error:
                problem = error.problem
                self.outcomes.append(f"{error.status} {'' if problem is None else problem.type}".strip())
            except UnreachableError as error:
                self.outcomes.append(f"unreachable {error}")

    def _write(self) -> Callable[[], object]:
        admin = CaOperatorClient(self._services.ca.client("operator", who="admin"))
        key = ec.generate_private_key(ec.SECP256R1())
        csr = x509.load_pem_x509_csr(csr_for(key).encode())
        return lambda: admin.certify_tls("client", name="load", csr=csr)

    def _read(self) -> Callable[[], object]:
        public = CaPublicClient(self._services.ca.client("public"))
        return lambda: public.revocation_list(self._services.line_id)


def test_a_restart_of_the_store_under_load_is_said_clearly_and_heals_without_ours(
    services: StatusServices, server: PostgreSql
) -> None:
    assert services.ca.served is not None
    pfc = services.enrol("batch-2")
    until(
        lambda: all(hears(each, pfc, line=services.line) is StatusKind.GOOD for each in services.responders),
        seconds=READY_WITHIN_S,
    )
    with Load(services) as load:
        until(lambda: load.outcomes.count("done") > LOADERS, seconds=READY_WITHIN_S)
        server.stop()
        try:
            time.sleep(AWAY_S)
            said = set(load.outcomes)
            alone, first, _ = services.responders
            assert hears(alone, pfc, line=services.line) is StatusKind.GOOD
            assert hears(first, pfc, line=services.line) is None
        finally:
            server.start()
        before = len(load.outcomes)
        until(lambda: "done" in load.outcomes[before:], seconds=READY_WITHIN_S)
    assert said == {"done", "503 store-unavailable"}
    assert set(load.outcomes[before:]) <= {"done", "503 store-unavailable"}
    assert load.outcomes[-1] == "done"
    assert services.ca.served.process.poll() is None
    until(
        lambda: all(hears(each, pfc, line=services.line) is StatusKind.GOOD for each in services.responders),
        seconds=READY_WITHIN_S,
    )
    services.enrol("batch-3")
