"""Platform Credentials in durable batches: `./dev bench issuance` (issue a line anew, and single enrolments beside).

Every rate is of this machine in this run, on files with synchronous=FULL and on a PostgreSQL with fsync. Beside them
stands what the processor can do at most: bare ECDSA signatures on P-256, one after the other, by the same library.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ca.bulk_issuance import PAGE_MAX, BulkIssuance, Reissue
from ca.lifecycle import DeviceState
from ca.profiles import Kind
from ca.records import Batch, Device, Intent, Signed
from ca.stencils import Filling, Stencil, full_serial
from ca.template import Template
from edge.process import system_random
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName
from standards.pki.fingerprints import spki_der
from tests.contract.postgresql import programs, running_postgresql
from tests.fakes.ca import ADMIN, NOW, CaHouse
from tests.fakes.enrolling_device import EnrollingDevice

TARGET_PER_S = 3_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured; the signatures take about a second."""

    devices: int = 5 * PAGE_MAX
    enrolments: int = 60
    signatures: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How often a second something was done, and the rate that it is held against.

    `per_cpu_second` counts this process's own work alone: it says the same on a machine that is busy with others.
    """

    name: str
    per_second: float
    per_cpu_second: float
    of_bare_signing: float
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target was reached; None without one."""
        return None if self.target is None else self.per_second >= self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """How many things took how long."""

    count: int
    seconds: float
    cpu_seconds: float

    def rate(self, name: str, *, beside: "Took", target: float | None = None) -> Rate:
        """The rates, and their part of the rate `beside`; that part is of CPU time on both sides."""
        return Rate(
            name=name,
            per_second=round(self.count / self.seconds, 1),
            per_cpu_second=round(self.count / self.cpu_seconds, 1),
            of_bare_signing=(self.count / self.cpu_seconds) / (beside.count / beside.cpu_seconds),
            target=target,
        )


class Watch:
    """A watch that may be started and stopped again and again."""

    def __init__(self) -> None:
        """Nothing has taken any time yet."""
        self.seconds = self.cpu_seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts while the block runs."""
        began, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - cpu

    def took(self, count: int) -> Took:
        """What it showed for `count` things."""
        return Took(count=count, seconds=self.seconds, cpu_seconds=self.cpu_seconds)


def bare_signing(count: int) -> Took:
    """Signatures on P-256, over as many octets as a TBSCertificate has."""
    key, data = ec.generate_private_key(ec.SECP256R1()), system_random(800)
    algorithm = ec.ECDSA(hashes.SHA256())
    watch = Watch()
    with watch.running():
        for _ in range(count):
            key.sign(data, algorithm)
    return watch.took(count)


def line_of(house: CaHouse, count: int) -> None:
    """A product line of `count` enrolled devices, each with a credential of an older manifest, and the next one."""
    line = house.product_line()
    first = house.publish_manifest()
    template = Template(
        kind=Kind.PLATFORM_CREDENTIAL,
        public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
        tre_level=line.tre_level,
        hardware_module=HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=bytes(32)),
        expected_state=ExpectedSystemState(
            manifest_id=first.manifest_id, manifest_digest=first.digest, svn=first.svn
        ),
    )
    stencil = Stencil(template, issuer=house.signing.issuer(line), at=NOW, random_bytes=system_random)
    devices = [_device(number) for number in range(count)]
    keys = [spki_der(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in devices]
    intents = [_intent(each, line.ca_id, spki) for each, spki in zip(devices, keys, strict=True)]
    signed = [
        Signed(
            ca_id=line.ca_id,
            serial=intent.serial,
            der=stencil.issue(
                Filling(
                    serial=intent.serial,
                    spki=spki,
                    device_id=bytes.fromhex(device.device_id),
                )
            ),
            not_after=stencil.not_after,
        )
        for intent, device, spki in zip(intents, devices, keys, strict=True)
    ]
    with house.store.writing() as records:
        records.add_batch(
            Batch(
                supplier="acme",
                batch="bench",
                claims_sha256="0" * 64,
                signer_sha256="0" * 64,
                devices=count,
                imported_at=NOW,
            )
        )
        records.add_devices(devices)
        records.record_intents(intents)
        records.record_certificates(signed, at=NOW)
    house.publish_manifest(manifest_id="gw/2", svn=2)


def reissue_line(house: CaHouse) -> Took:
    """From the first request to the durable record of the last credential, a page at a time."""
    bulk = BulkIssuance(store=house.store, signing=house.signing, clock=house.clock)
    asked = Reissue(supplier="acme", model="gw-1", manifest_id="gw/2")
    issued, after, watch = 0, "", Watch()
    with watch.running():
        while True:
            page = bulk.reissue(asked, after=after, caller=ADMIN)
            issued += len(page.issued)
            if page.next is None:
                break
            after = page.next
    return watch.took(issued)


def enrol_singly(house: CaHouse, count: int) -> Took:
    """Whole enrolments, two messages and three transactions each; the device's own work is not counted."""
    devices = [EnrollingDevice(maker=house.maker) for _ in range(count)]
    house.list_devices(*devices, batch="singles")
    enrollment, watch = house.enrollment, Watch()
    for device in devices:
        message = device.request().encode()
        with watch.running():
            challenge = enrollment.begin(message)
        activation = device.activation(challenge).encode()
        with watch.running():
            enrollment.activate(activation)
    return watch.took(count)


def rates(size: Size) -> Iterator[Rate]:
    """Everything, one after the other."""
    bare = bare_signing(size.signatures)
    yield bare.rate("bare P-256 signatures", beside=bare)
    for kind, store in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
        if kind == "PostgreSQL" and programs() is None:
            sys.stderr.write("PostgreSQL is not installed (apt-get install postgresql): left out\n")
            continue
        with store() as url:
            house = CaHouse(database=url)
            line_of(house, size.devices)
            several, single = reissue_line(house), enrol_singly(house, size.enrolments)
            house.close()
        yield several.rate(f"in batches of {PAGE_MAX}, {kind}", beside=bare, target=TARGET_PER_S)
        yield single.rate(f"single enrolments, {kind}", beside=bare)


def main(output: str) -> int:
    """Measure and print; 0 whether the targets were met or not, a machine under load says nothing about the code."""
    rows = []
    for rate in rates(Size()):
        row = {**asdict(rate), "met": rate.met}
        rows.append(row)
        if output == "text":
            target = (
                "" if rate.target is None else f"  target {rate.target}: {'met' if rate.met else 'NOT met'}"
            )
            sys.stdout.write(
                f"{rate.name:<36}{rate.per_second:>10.1f}/s{rate.per_cpu_second:>10.1f}/s of CPU"
                f"{rate.of_bare_signing:>8.1%} of bare{target}\n"
            )
            sys.stdout.flush()
    if output == "json":
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    return 0


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/ca.db"


@contextmanager
def _postgresql() -> Iterator[str]:
    with running_postgresql(durable=True) as server:
        yield server.new_database()


def _device(number: int) -> Device:
    return Device(
        device_id=f"{number:064x}",
        supplier="acme",
        model="gw-1",
        batch="bench",
        serial=f"s{number}",
        state=DeviceState.ENROLLED,
        ak_name=number.to_bytes(34, "big"),
        storage_name=number.to_bytes(34, "big"),
    )


def _intent(device: Device, ca_id: str, spki: bytes) -> Intent:
    return Intent(
        ca_id=ca_id,
        serial=full_serial(system_random),
        kind=Kind.PLATFORM_CREDENTIAL,
        subject=device.device_id,
        spki_sha256=sha256(spki).hexdigest(),
        issued_at=NOW,
        supplier="acme",
        device_id=device.device_id,
        ak_name=device.ak_name,
    )
