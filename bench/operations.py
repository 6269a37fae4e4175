"""The operations that are measured; each gives an endless supply of calls that are ready to be made."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from itertools import count

import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from ca.lifecycle import Reason
from ca.list_building import ListHead, build_revocation_list
from ca.records import Revoked
from edge.database import engine_for, transaction
from edge.ledger import LedgerTable
from messages.evidence import decode_evidence, encode_evidence
from ocsp.delegates import DelegateDirectory
from ocsp.responder import respond
from standards.boot_log.decode import decode_event_log
from standards.boot_log.replay import replay
from standards.ima.decode import decode_binary_list
from standards.ima.replay import replayed_prefix
from standards.tpm2.attestation import verify_quote
from standards.tpm2.structures import Attest, PcrSelection, Public
from tests.fakes.attesting_device import SHA256
from tests.fakes.ca import NOW as CA_NOW
from tests.fakes.ca import CaHouse
from tests.fakes.ocsp import GOOD, issuer_with_delegate, store_for
from tests.fakes.pki import NOW, Authority, p256
from tests.fakes.pva_world import World
from tests.unit.standards.ima.lists import Made, encoded, ng, pcr_after

Calls = Iterator[Callable[[], object]]


def decode_evidence_message() -> Calls:
    """CBOR to values, sizes and forms checked."""
    data = encode_evidence(World().answer())
    while True:
        yield partial(decode_evidence, data)


def verify_one_quote() -> Calls:
    """A1-A8, A10 and A11 over one P-256 quote."""
    message = World().answer()
    selection = tuple(
        PcrSelection(bank=bank, indices=tuple(values)) for bank, values in message.pcr_values.items()
    )
    while True:
        yield partial(
            verify_quote,
            message.attest,
            signature=message.signature,
            ak=Public.decode(message.ak_public),
            extra_data=Attest.decode(message.attest).extra_data,
            selection=selection,
            pcr_values=message.pcr_values,
        )


def replay_one_boot_log() -> Calls:
    """Decode an event log and replay its SHA-256 bank."""
    data = World().device.boot_log
    while True:
        yield lambda: replay(decode_event_log(data), bank=SHA256)


def replay_one_ima_list() -> Calls:
    """Decode an IMA list of 10,000 entries and replay its SHA-256 bank to the value that it ends at."""
    made = [Made(data=ng(b"/usr/lib/module-%05d.so" % number)) for number in range(10_000)]
    data, target = encoded(made), pcr_after(made)
    while True:
        yield lambda: replayed_prefix(decode_binary_list(data), target, bank="sha256")


def validate_one_platform() -> Calls:
    """The eight steps, from the bytes of the evidence to the signed result; the store is in memory."""
    world = World()
    chain = world.chain()
    for number in count(1):
        device = world.device.later(number)
        world.store.results.clear()
        world.store.requests.clear()
        token, challenge = world.challenge(device=device)
        body = encode_evidence(device.evidence(challenge, token=token, chain=chain))
        yield partial(world.verifier.validate_platform, body, at=NOW)


def answer_one_ocsp_request() -> Calls:
    """Bytes to bytes, one certificate, signed for this request."""
    authority = Authority.root().subordinate("product line")
    leaf = authority.issue("leaf", key=p256().public_key(), serial=GOOD)
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, authority.certificate, hashes.SHA256())
    request = builder.build().public_bytes(Encoding.DER)
    delegates = DelegateDirectory([issuer_with_delegate(authority)])
    store = store_for(authority)
    while True:
        yield partial(respond, request, now=NOW, status_store=store, delegates=delegates)


def append_one_ledger_leaf() -> Calls:
    """One write transaction with one leaf, SQLite in memory."""
    metadata = sa.MetaData()
    ledger = LedgerTable(metadata)
    engine = engine_for("sqlite://")
    with transaction(engine) as connection:
        metadata.create_all(connection)

    def append(salt: bytes) -> None:
        with transaction(engine) as connection:
            ledger.append(connection, kind="bench", subject="d", record={"n": 1}, at=NOW, salt=salt)

    for number in count():
        yield partial(append, number.to_bytes(32, "big"))


def sign_a_list_of_100000() -> Calls:
    """A CRL with 100,000 entries: from what the store gives to the DER, examined and signed."""
    house = CaHouse()
    issuer = house.signing.issuer(house.product_line())
    entries = [
        Revoked(
            serial=number * 0x9E3779B97F4A7C15 % (1 << 159) + 1,
            reason=Reason.SUPERSEDED,
            changed_at=CA_NOW - timedelta(seconds=number),
            not_after=CA_NOW + timedelta(days=1),
        )
        for number in range(100_000)
    ]
    for number in count(1):
        head = ListHead(
            number=number, at=CA_NOW, life=timedelta(days=1), scope_url=f"{issuer.places.crl_url}"
        )
        yield partial(build_revocation_list, entries, issuer=issuer, head=head)


OPERATIONS: Mapping[str, Callable[[], Calls]] = {
    "decode-evidence": decode_evidence_message,
    "verify-quote": verify_one_quote,
    "replay-boot-log": replay_one_boot_log,
    "replay-ima-list": replay_one_ima_list,
    "validate-platform": validate_one_platform,
    "answer-ocsp": answer_one_ocsp_request,
    "append-ledger-leaf": append_one_ledger_leaf,
    "crl": sign_a_list_of_100000,
}
