"""Connectivity: K stays in the TPM, CK and IK in the TRE, and a sequence number is taken once."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from m2me_agent.tre.errors import AnchorError, ConnectivityError, NetworkError, StateError, TreError
from m2me_agent.tre.sequence_numbers import BLOCK, SequenceNumbers
from m2me_agent.tre.usim import NetworkChallenge
from messages.attachment import attachment_key
from messages.connectivity import sealed_policy
from standards.aka.milenage import MilenageKey
from standards.aka.sequence import IND_COUNT, UsimSequence
from standards.aka.vectors import AuthenticationVector, verify_auts
from standards.pki import oids
from standards.tpm2.constants import ObjectAttributes
from standards.tpm2.import_blob import make_import_blob
from tests.fakes.network import PCID, PCID_KEY, fresh, operator, vector
from tests.fakes.pki import NOW, Authority
from tests.fakes.tre import MemoryStorage
from tests.unit.m2me_agent.tre.subscriptions import NETWORK, OPERATORS_ROOT, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(folder=tmp_path)


def install(world: World) -> None:
    connectivity = world.network.connectivity(world.target)
    world.device.operations.connectivity.install(world.network.connectivity_token(connectivity))


def challenged(made: AuthenticationVector) -> NetworkChallenge:
    return NetworkChallenge(rand=made.rand, autn=made.autn)


def refused(world: World, token: str, error: type[TreError], *, match: str) -> None:
    before = dict(world.storage.records)
    with pytest.raises(error, match=match):
        world.device.operations.connectivity.install(token)
    assert world.storage.records == before


@pytest.mark.requirement("R06")
@pytest.mark.requirement("R85")
def test_a_pcid_is_installed_and_the_device_attaches_with_it(world: World) -> None:
    install(world)
    world.restart()
    installed = world.device.operations.connectivity.installed()
    assert installed is not None
    assert installed.identity == f"0{PCID}@wlan.mnc001.mcc001.3gppnetwork.org"
    made = vector(PCID_KEY, seq=1)
    answer = world.device.operations.connectivity.attach(challenged(made))
    key = attachment_key(ck=made.ck, ik=made.ik, pcid=PCID)
    assert answer == {"res": made.xres, "attachment_key": key}
    assert made.ck not in b"".join(answer.values())


@pytest.mark.requirement("R51")
@pytest.mark.negative
def test_the_key_of_the_pcid_is_in_no_file(world: World) -> None:
    install(world)
    world.device.operations.connectivity.attach(challenged(vector(PCID_KEY, seq=1)))
    stored = b"".join(world.storage.records.values())
    assert PCID_KEY.k not in stored
    assert PCID_KEY.opc not in stored


@pytest.mark.requirement("R85")
@pytest.mark.negative
def test_a_vector_is_taken_once_and_answered_with_auts_then(world: World) -> None:
    install(world)
    connectivity = world.device.operations.connectivity
    made = vector(PCID_KEY, seq=5)
    assert set(connectivity.attach(challenged(made))) == {"res", "attachment_key"}
    again = connectivity.attach(challenged(made))
    assert set(again) == {"auts"}
    assert verify_auts(PCID_KEY, rand=made.rand, auts=again["auts"]) >> 5 == 5
    world.restart()  # what was reserved counts as used; the network goes on above it
    after = world.device.operations.connectivity.attach(challenged(vector(PCID_KEY, seq=6)))
    assert verify_auts(PCID_KEY, rand=vector(PCID_KEY, seq=6).rand, auts=after["auts"]) >> 5 == 5 + BLOCK
    later = vector(PCID_KEY, seq=6 + BLOCK)
    assert world.device.operations.connectivity.attach(challenged(later))["res"] == later.xres


@pytest.mark.requirement("R85")
@pytest.mark.negative
def test_a_network_that_does_not_know_the_key_is_refused(world: World) -> None:
    install(world)
    before = dict(world.storage.records)
    stranger = vector(MilenageKey(k=b"x" * 16, opc=PCID_KEY.opc), seq=1)
    for challenge in (
        challenged(stranger),
        NetworkChallenge(rand=b"", autn=stranger.autn),
        NetworkChallenge(rand=stranger.rand, autn=b"\x00"),
    ):
        with pytest.raises(NetworkError):
            world.device.operations.connectivity.attach(challenge)
    assert world.storage.records == before


@pytest.mark.negative
def test_nothing_is_attached_without_connectivity(world: World) -> None:
    with pytest.raises(ConnectivityError, match="none is installed"):
        world.device.operations.connectivity.attach(challenged(vector(PCID_KEY, seq=1)))


@pytest.mark.requirement("R06")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["foreign root", "another role"])
def test_connectivity_of_others_is_refused(world: World, kind: str) -> None:
    root = OPERATORS_ROOT if kind == "another role" else Authority.root("operators' root")
    role = "ccif" if kind == "foreign root" else "sho"
    try:
        world.network.ccif = operator(root, role, oids.EKU_CONNECTIVITY, issuer="ccif-1")
        token = world.network.connectivity_token(world.network.connectivity(world.target))
    finally:
        world.network.ccif = NETWORK.ccif
    refused(world, token, AnchorError, match="root")


@pytest.mark.requirement("R85")
@pytest.mark.negative
@pytest.mark.parametrize("changed", [{"device_id": "00" * 32}, {"storage_key_name": b"\x00\x0b" + bytes(32)}])
def test_connectivity_for_a_twin_is_refused(world: World, changed: dict[str, object]) -> None:
    connectivity = replace(world.network.connectivity(world.target), **changed)  # type: ignore[arg-type]
    refused(world, world.network.connectivity_token(connectivity), ConnectivityError, match="another one")


@pytest.mark.check("A31")
@pytest.mark.requirement("R85")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["userWithAuth", "policy", "altered", "size"])
def test_a_blob_that_opens_otherwise_is_refused(world: World, kind: str) -> None:
    secret, policy = PCID_KEY.k + PCID_KEY.opc, sealed_policy()
    blob = make_import_blob(
        world.target.storage,
        secret=secret,
        auth_policy=bytes(32) if kind == "policy" else policy,
        fresh=fresh(),
    )
    if kind == "userWithAuth":
        blob = replace(blob, public=replace(blob.public, attributes=ObjectAttributes(0x4C0)))
    if kind == "altered":
        blob = replace(blob, duplicate=blob.duplicate[:-1] + bytes([blob.duplicate[-1] ^ 1]))
    if kind == "size":
        blob = make_import_blob(world.target.storage, secret=b"x" * 31, auth_policy=policy, fresh=fresh())
    token = world.network.connectivity_token(world.network.connectivity(world.target, blob=blob))
    if kind == "size":
        world.device.operations.connectivity.install(token)
        with pytest.raises(ConnectivityError, match="31"):
            world.device.operations.connectivity.attach(challenged(vector(PCID_KEY, seq=1)))
        return
    refused(world, token, ConnectivityError, match=r"blob|sealed key")


@pytest.mark.requirement("R85")
@pytest.mark.negative
def test_older_connectivity_does_not_replace_newer(world: World) -> None:
    connectivity = world.network.connectivity(world.target)
    newer = replace(connectivity, issued_at=NOW + timedelta(seconds=1))
    world.device.operations.connectivity.install(world.network.connectivity_token(newer))
    refused(world, world.network.connectivity_token(connectivity), ConnectivityError, match="older")


@pytest.mark.requirement("R85")
@pytest.mark.negative
def test_connectivity_ends_with_its_storage_key(world: World, tmp_path: Path) -> None:
    install(world)
    world.tpm.storage = World(folder=tmp_path, is_twin=True).tpm.storage
    world.device.enroll()
    with pytest.raises(ConnectivityError, match="none is installed"):
        world.device.operations.connectivity.attach(challenged(vector(PCID_KEY, seq=1)))


# --- sequence numbers -------------------------------------------------------------------------------------


@pytest.mark.requirement("R85")
def test_numbers_are_reserved_in_blocks() -> None:
    storage = MemoryStorage()
    numbers = SequenceNumbers(storage)
    writes = set()
    for seq in range(1, BLOCK + 2):
        numbers.remember("pcid/1", numbers.of("pcid/1").accept(seq << 5))
        writes.add(storage.records["sequence-numbers"])
    assert len(writes) == 1
    numbers.remember("pcid/1", numbers.of("pcid/1").accept(BLOCK + 2 << 5))
    assert storage.records["sequence-numbers"] not in writes
    assert SequenceNumbers(storage).of("pcid/1") == UsimSequence(highest=(2 * BLOCK + 2,) * IND_COUNT)
    assert SequenceNumbers(storage).of("pcid/2") == UsimSequence()


@pytest.mark.negative
@pytest.mark.parametrize("content", [b"", b"\xa1\x61a\x20", b"\x80"])
def test_numbers_that_cannot_be_read_are_told(content: bytes) -> None:
    storage = MemoryStorage()
    storage.write("sequence-numbers", content)
    with pytest.raises(StateError):
        SequenceNumbers(storage).of("pcid/1")


@pytest.mark.negative
@pytest.mark.parametrize("content", [b"", b"\xa0"])
def test_connectivity_that_cannot_be_read_is_told(world: World, content: bytes) -> None:
    world.storage.records["connectivity"] = content
    with pytest.raises(StateError):
        world.device.operations.connectivity.installed()
