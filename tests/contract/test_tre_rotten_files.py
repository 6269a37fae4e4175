"""A byte that is flipped at rest, in any file of a TRE: refused by name, no wrong MID usable, the other compartments work."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import settings

from m2me_agent.tre.errors import StateError, TreError
from standards.pki import oids
from tests.contract.tpm_devices import manufactured
from tests.fakes.faulty_device import OPERATORS_ROOT, FaultyDevice, Moment, faulty_device
from tests.fakes.network import Network, operator

EXAMPLES = 100
IS_DEEP = settings().max_examples > EXAMPLES
STRIDE = 1 if IS_DEEP else 397
"""Every byte, or each so many."""
HEAD = len(b"M2ME-TRE\x00\x01")
DIGEST = hashlib.sha256().digest_size
FIRST, SECOND = "mid-1", "mid-2"
NEEDED_BY_ALL = {"authorization", "keys", "sequence-numbers"}
"""Without these nobody answers: whose keys, and which numbers were taken, is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A device with an active MID of each of two operators."""

    device: FaultyDevice
    moment: Moment


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subscribed]:
    """Two operators, a compartment each."""
    with faulty_device(
        tmp_path_factory.mktemp("rotten"), manufactured("software", tmp_path_factory)
    ) as device:
        device.enroll()
        subscribe(device)
        other = Network(root=OPERATORS_ROOT, number=2)
        other.sho = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")
        device.network = other
        subscribe(device)
        assert device.usable() == [FIRST, SECOND]
        yield Subscribed(device=device, moment=device.moment())


def subscribe(device: FaultyDevice) -> None:
    """One order, to an active MID."""
    accepted = device.operations.orders.accept(**device.network.accepting(device.target))  # type: ignore[arg-type] # by their names
    device.operations.orders.consent(accepted.digest)
    target, network = device.target, device.network
    vault = network.use(target, vault=True)
    later = [network.approve(vault, target.at(target.state.counter + number).state) for number in (2, 3)]
    approvals = (*network.approvals(target), *later)  # for what the other operator's installation will count
    receipt = device.install(network.parcel(*network.package(target, approvals=approvals)))
    assert receipt.outcome == "installed", receipt.detail
    device.operations.mids.instruct(device.network.instruction(device.target, receipt.tre_nonce))


def started_with(two: Subscribed, name: str, content: bytes) -> list[str]:
    """The usable MIDs after a reboot with other bytes in one file; what is refused is refused by that name."""
    device = two.device
    device.back_to(two.moment)
    device.disk.restore({**two.moment.files, name: content})
    device.power_on()
    with told_by(name):
        device.open_vault()
    return [mid_id for mid_id in (FIRST, SECOND) if device.answers(mid_id)]


@contextmanager
def told_by(name: str) -> Iterator[None]:
    """Nothing is refused, or this file is."""
    try:
        yield
    except StateError as error:
        if error.subject != name:
            raise


def expected(name: str) -> list[str]:
    """Who answers while a file is unreadable."""
    if name in NEEDED_BY_ALL:
        return []
    return {"vault-0": [SECOND], "vault-1": [FIRST]}.get(name, [FIRST, SECOND])


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


@pytest.mark.requirement("R37")
@pytest.mark.negative
@pytest.mark.timeout(3600)
def test_a_flipped_byte_anywhere_is_refused_by_the_name_of_its_file(two: Subscribed) -> None:
    files = two.moment.files
    assert {"authorization", "keys", "exchanges", "orders", "sequence-numbers", "vault-0", "vault-1"} <= set(
        files
    )
    for name, content in files.items():
        places = {*range(0, len(content), STRIDE), 0, HEAD, HEAD + DIGEST, len(content) - 1}
        for place in sorted(places):
            assert started_with(two, name, flipped(content, place)) == expected(name), (name, place)
            with pytest.raises(StateError) as refused:
                two.device.state._storage.read(name)  # noqa: SLF001 - as every use of the file begins
            assert refused.value.subject == name


@pytest.mark.requirement("R37")
@pytest.mark.negative
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["vault-0", "vault-1"])
def test_a_compartment_that_was_changed_with_its_digest_does_not_open(two: Subscribed, name: str) -> None:
    content = two.moment.files[name]
    start = HEAD + DIGEST
    for place in {*range(start, len(content), STRIDE), len(content) - 1}:
        inner = flipped(content, place)[start:]
        digest = hashlib.sha256(content[:HEAD] + name.encode() + b"\x00" + inner).digest()
        usable = started_with(two, name, content[:HEAD] + digest + inner)
        assert set(usable) <= {FIRST, SECOND}
        assert (FIRST if name == "vault-0" else SECOND) not in usable, place
        assert expected(name)[0] in usable, place


@pytest.mark.requirement("R32")
@pytest.mark.negative
def test_an_older_compartment_is_a_rollback_and_the_other_works(two: Subscribed) -> None:
    device = two.device
    device.back_to(two.moment)
    older = two.moment.files["vault-1"]
    device.network.number = 3
    subscribe(device)
    newest = device.moment()
    device.disk.restore({**newest.files, "vault-1": older})
    device.power_on()
    device.open_vault()
    assert device.answers(FIRST)
    assert not device.answers(SECOND)
    assert device.operations.mids.vault.closed["sho-2"].code == "rollback"


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_while_a_compartment_cannot_be_read_nothing_is_installed_over_it(two: Subscribed) -> None:
    content = two.moment.files["vault-0"]
    started_with(two, "vault-0", flipped(content, HEAD))
    device = two.device
    device.network = Network(root=OPERATORS_ROOT, number=4)
    with pytest.raises(AssertionError, match="vault-0"):
        subscribe(device)
    assert device.disk.content()["vault-0"] == flipped(content, HEAD)
    with pytest.raises(TreError) as refused:
        device.operations.mids.instruct(device.network.instruction(device.target, b"n" * 32, mid_id=FIRST))
    assert refused.value.subject == "vault-0"
    device.network = Network(root=OPERATORS_ROOT)
