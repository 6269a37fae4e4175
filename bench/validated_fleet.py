"""The service that `./dev bench service` measures, and its callers: two nodes on one PostgreSQL, and devices with software AKs.

Every node is a process as `python -m pva.app` makes it; what the callers cost is counted apart.
"""

import os
import socket
import ssl
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from bench.verify import P256_PER_SECOND
from clients.pva import PvaDeviceClient, PvaOperatorClient
from edge.http_client import HttpClient, client_context
from lab.keyring import make_log_key
from lab.postgresql import PostgreSql
from lab.processes import start_command
from messages.evidence import encode_evidence
from standards.pki.extensions import ExpectedSystemState
from tests.end_to_end.pva_service import PvaService
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import MODEL, hw_type
from tests.fakes.pva_world import reference_manifest

BARE_CALLS = 50
BARE_PAUSE_S = 0.5
SLOW_PAUSE_S = 1.0
SLOW_HEAD = b"POST /v1/evidence HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: s"
LOG = '[audit_log]\nname = "bench.example.net/log"\nkey = "log-key/log.key"\npassphrase_file = "log-key/passphrase"\n'
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_FILL = """
INSERT INTO devices SELECT encode(sha256(('bench' || number)::bytea), 'hex'), supplier, hw_type,
  decode('000b', 'hex') || sha256(('name' || number)::bytea), qualified_signer, storage_key_name,
  generation_counter_name, generation_counter, clock, reset_count, restart_count, clock_safe, unsafe_since,
  firmware_version, credential_sha256, credential_not_before, svn_highest, seen_at, revision,
  ima_count, ima_value, ima_reset_count, ima_restart_count, ima_policy
FROM (SELECT * FROM devices LIMIT 1) AS one CROSS JOIN generate_series(1, :count) AS number
"""


@dataclass(slots=True, kw_only=True)
class Member:
    """A device of the fleet with its credential."""

    device: AttestingDevice
    credential: x509.Certificate


@dataclass(slots=True)
class Run:
    """What a run counted: validations, their times at the service in milliseconds, and CPU seconds of each side."""

    seconds: float = 0.0
    times_ms: list[float] = field(default_factory=list)
    nodes_s: float = 0.0
    database_s: float = 0.0
    generator_s: float = 0.0
    bare_per_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Validations on record."""
        return len(self.times_ms)

    @property
    def per_cpu_second(self) -> float:
        """Validations a CPU second of the nodes."""
        return self.count / self.nodes_s

    @property
    def scale(self) -> float:
        """How much more than the reference core's a CPU second of this machine did, while it was measured."""
        return statistics.median(self.bare_per_s) / P256_PER_SECOND

    @property
    def scaled(self) -> float:
        """Validations a CPU second of the nodes, on the reference core."""
        return self.per_cpu_second / self.scale

    @property
    def p99_ms(self) -> float:
        """Of a hundred validations, ninety-nine took no longer."""
        ordered = sorted(self.times_ms)
        return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


class Fleet:
    """Two nodes with one store, and devices that are validated at both."""

    def __init__(self, folder: Path, database: PostgreSql, *, devices: int) -> None:
        """Start both nodes; every device is known to the responder, none was seen yet."""
        self.pva = PvaService(folder, more=LOG, start_module=start_command)
        make_log_key(folder / "log-key", "bench.example.net/log")
        config = folder / "pva.toml"
        self.url, text = database.new_database(), config.read_text()
        config.write_text(text.replace(f"sqlite:///{folder}/pva.db", self.url))
        self.postmaster = database.pid
        self.pva.start()
        first = self.pva.served
        self.pva.start()
        self.nodes = (first, self.pva.served)
        state = self._recognised()
        boots = [AttestingDevice(ek_seed=b"%d" % number) for number in range(devices)]
        self.members = [Member(device=each, credential=self.pva.credential(each, state)) for each in boots]
        self._asked = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """End everything."""
        for node in self.nodes:
            node.stop(within_s=30)
        self.pva.close()

    def fill(self, count: int) -> None:
        """Put so many other devices into the store, as if each had been validated before."""
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(_FILL), {"count": count})
        engine.dispose()
        self.settle()

    def settle(self) -> None:
        """Let the store count its rows, as it does itself a minute later: until then it reads a tenant's requests to find one."""
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text("ANALYZE"))
        engine.dispose()

    def run(self, *, seconds: float, workers: int, per_second: float | None = None) -> Run:
        """Validate for a while: as fast as the workers can, or at a steady rate."""
        made, stop = Run(), threading.Event()
        share = len(self.members) // workers
        threads = [
            threading.Thread(
                target=self._work,
                args=(made, stop, self.members[number * share : (number + 1) * share], number),
                kwargs={"pause_s": None if per_second is None else workers / per_second},
            )
            for number in range(workers)
        ]
        before, began = self._cpu(), time.perf_counter()
        for each in threads:
            each.start()
        while (left := began + seconds - time.perf_counter()) > 0 and not stop.is_set():
            made.bare_per_s.append(_bare_rate())
            stop.wait(min(left, BARE_PAUSE_S))
        stop.set()
        for each in threads:
            each.join()
        made.seconds = time.perf_counter() - began
        nodes, database, generator = (after - first for after, first in zip(self._cpu(), before, strict=True))
        made.nodes_s, made.database_s, made.generator_s = nodes, database, generator
        return made

    def rest(self, *, seconds: float) -> float:
        """CPU seconds a second that both nodes take while nobody asks."""
        before, began = self._cpu()[0], time.perf_counter()
        time.sleep(seconds)
        return (self._cpu()[0] - before) / (time.perf_counter() - began)

    @contextmanager
    def idle(self, count: int) -> Iterator[None]:
        """So many connections to each node that say nothing, not even a handshake."""
        with ExitStack() as stack:
            for node in self.nodes:
                for _ in range(count):
                    port = urlsplit(node.urls["device"]).port or 0
                    stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            yield

    @contextmanager
    def slow(self, count: int) -> Iterator[None]:
        """So many callers of each node who send a byte of their request a second, and come again when they are cut off."""
        context, stop = client_context(self.pva.certificates.tls()), threading.Event()
        ports = [urlsplit(node.urls["device"]).port or 0 for node in self.nodes for _ in range(count)]
        sending = threading.Thread(target=_trickle, args=(ports, context, stop))
        sending.start()
        try:
            yield
        finally:
            stop.set()
            sending.join()

    def _work(
        self,
        made: Run,
        stop: threading.Event,
        members: Sequence[Member],
        number: int,
        *,
        pause_s: float | None,
    ) -> None:
        here, there = self.nodes[number % 2].urls, self.nodes[(number + 1) % 2].urls
        tls = self.pva.certificates
        operator = PvaOperatorClient(HttpClient(here["operator"], tls=tls.tls("sho")))
        asking = PvaDeviceClient(HttpClient(there["device"], tls=tls.tls()))
        answering = PvaDeviceClient(HttpClient(here["device"], tls=tls.tls()))
        due = time.perf_counter()
        try:
            while not stop.is_set():
                for member in members:
                    if stop.is_set():
                        return
                    if pause_s is not None:
                        due = max(due + pause_s, time.perf_counter() - pause_s)
                        time.sleep(max(0.0, due - time.perf_counter()))
                    made.times_ms.append(self._validate(member, operator, asking, answering))
        except Exception as error:  # noqa: BLE001 - a rate that leaves out what failed would be another rate
            made.errors.append(f"{type(error).__name__}: {error}")
            stop.set()

    def _validate(
        self, member: Member, operator: PvaOperatorClient, asking: PvaDeviceClient, answering: PvaDeviceClient
    ) -> float:
        """One validation; the milliseconds that the service took for it."""
        member.device = member.device.later()
        with self._lock:
            self._asked += 1
            # scattered as an operator's random ones are: neighbours in an index would be each other's conflicts
            nonce = sha256(self._asked.to_bytes(8, "big")).digest()
        began = time.perf_counter()
        operator.request_validation(device_id=member.device.device_id, nonce=nonce, audience=["t"])
        token = asking.challenge(member.device.device_id)
        served = time.perf_counter() - began
        evidence = encode_evidence(self.pva.answer(member.device, token, member.credential))
        began = time.perf_counter()
        if answering.submit_evidence(evidence).status != "affirming":
            raise ValueError("a good device was not affirmed")
        return (served + time.perf_counter() - began) * 1000

    def _cpu(self) -> tuple[float, float, float]:
        nodes = sum(_cpu_of(node.process.pid) for node in self.nodes)
        database = sum(_cpu_of(pid) for pid in (self.postmaster, *_children(self.postmaster)))
        return nodes, database, time.process_time()

    def _recognised(self) -> ExpectedSystemState:
        now = self.pva.now().replace(microsecond=0)
        manifest = reference_manifest(
            AttestingDevice(),
            supplier="t",
            valid_from=now - timedelta(days=1),
            valid_to=now + timedelta(days=1),
        )
        root = self.pva.supplier.root.certificate.public_bytes(Encoding.PEM).decode()
        for administrator in ("admin", "admin-2"):
            self.pva.suppliers(administrator).recognise(
                supplier="t", root_pem=root, models={MODEL: hw_type()}, ocsp_url=self.pva.responder.url
            )
        entry = self.pva.operator("supplier").import_manifest(self.pva.sign(manifest))
        for administrator in ("admin", "admin-2"):
            self.pva.operator(administrator).approve_manifest(entry.digest)
        return ExpectedSystemState(
            manifest_id=entry.id, manifest_digest=bytes.fromhex(entry.digest), svn=entry.svn
        )


def _trickle(ports: Sequence[int], context: ssl.SSLContext, stop: threading.Event) -> None:
    """Send a byte on one connection to each of `ports` every second; a connection that is ended is opened anew."""
    opened: dict[int, ssl.SSLSocket] = {}
    sent = dict.fromkeys(range(len(ports)), 0)
    while not stop.is_set():
        for number, port in enumerate(ports):
            try:
                if number not in opened:
                    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
                    opened[number], sent[number] = context.wrap_socket(plain, server_hostname="127.0.0.1"), 0
                at = min(sent[number], len(SLOW_HEAD) - 1)  # its last byte is a header's, again and again
                opened[number].sendall(SLOW_HEAD[at : at + 1])
                sent[number] += 1
            except OSError:
                if number in opened:
                    opened.pop(number).close()
        stop.wait(SLOW_PAUSE_S)
    for each in opened.values():
        each.close()


def _bare_rate() -> float:
    """Bare P-256 verifications in a CPU second of this thread, at this moment of this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    signature, public = key.sign(b"", ec.ECDSA(SHA256())), key.public_key()
    began = time.thread_time()
    for _ in range(BARE_CALLS):
        public.verify(signature, b"", ec.ECDSA(SHA256()))
    return BARE_CALLS / (time.thread_time() - began)


def _cpu_of(pid: int) -> float:
    """CPU seconds of a process, and of those children of it that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(each) for each in fields[11:15]) * _TICK_S


def _children(parent: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                yield int(stat.parent.name)
        except OSError:
            continue
