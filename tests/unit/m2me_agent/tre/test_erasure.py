"""An erased MID is gone: what was kept of it opens nowhere, its proof is signed once, and a cut leaves no third state."""

from dataclasses import replace
from pathlib import Path

import pytest

from m2me_agent.tre.errors import InstructionError, MidError, RateLimitError, VaultError
from m2me_agent.tre.tombstones import GRAVES_MAX, Grave, Graves
from m2me_agent.tre.vault_record import decode_compartment
from messages.instruction import BLOCK
from standards.pki import oids
from tests.fakes.network import operator
from tests.fakes.tre import MemoryStorage
from tests.unit.m2me_agent.tre.subscriptions import OPERATORS_ROOT, World
from tests.unit.m2me_agent.tre.test_power_cuts import Fuse, KilledError

OTHER_SHO = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")
STORAGE_CALLS = ("write", "remove")
TPM_CALLS = (
    "raise_vault_counter",
    "change_vault_key",
    "forget_vault_key",
    "quote",
    "read_generation_counter",
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(folder=tmp_path)
    made.active()
    return made


def mids(world: World) -> list[tuple[str, str]]:
    return [(row["mid_id"], row["state"]) for row in world.device.operations.mids.rows()]


def with_two(world: World) -> World:
    world.network.number = 2
    world.active()
    return world


def token_of(world: World, *, number: int = 1, **changed: object) -> str:
    network = world.network
    network.number = number
    return network.erasure(world.target, world.report().tre_nonce, **changed)


@pytest.mark.requirement("R59", "R98")
def test_the_proof_says_what_went_why_and_when(world: World) -> None:
    digest = world.network.order(world.target).digest
    erasure = world.erase(token_of(world, reason="change of operator"))
    assert (erasure.device_id, erasure.sho, erasure.mid_id) == (world.target.device_id, "sho-1", "mid-1")
    assert (erasure.order_digest, erasure.version) == (digest, 1)
    assert (erasure.reason, erasure.clock_ms) == ("change of operator", world.tpm.clock.clock)
    assert erasure.known_at > 0


@pytest.mark.requirement("R56", "R59")
def test_what_was_kept_of_an_erased_mid_opens_with_no_key_that_there_is(world: World) -> None:
    with_two(world)
    kept = dict(world.storage.records)
    key_before = world.tpm.vault_keys[0][1]
    opened = decode_compartment(kept["vault-0"], name="vault-0").open(key_before)
    assert set(opened.contents) == {"mid-1", "mid-2"}
    world.erase(token_of(world))
    assert mids(world) == [("mid-2", "ACTIVE")]
    key_now = world.tpm.vault_keys[0][1]
    assert key_before not in b"".join([key_now, *world.storage.records.values()])
    with pytest.raises(VaultError):
        decode_compartment(kept["vault-0"], name="vault-0").open(key_now)
    # somebody puts everything back, and the device goes on
    world.storage.records = kept
    world.restart()
    assert mids(world) == [("mid-1", "BLOCKED"), ("mid-2", "BLOCKED")]


@pytest.mark.requirement("R59")
def test_the_last_mid_takes_its_compartment_with_it(world: World) -> None:
    kept = dict(world.storage.records)
    world.erase(token_of(world))
    assert mids(world) == []
    assert "vault-0" not in world.storage.records
    assert world.tpm.vault_keys == {}
    (entry,) = world.report().entries
    assert (entry.mid_id, entry.state, entry.reason) == ("mid-1", "ERASED", "moved")
    world.storage.records = {**kept, "graves": world.storage.records["graves"]}
    world.restart()
    assert mids(world) == [("mid-1", "BLOCKED")]


@pytest.mark.requirement("R22")
def test_the_place_of_a_compartment_that_went_is_anothers_and_its_counter_goes_on(world: World) -> None:
    counter = world.tpm.vault_counters[0]
    world.erase(token_of(world))
    world.network.number = 3
    world.active()
    assert mids(world) == [("mid-3", "ACTIVE")]
    assert world.tpm.vault_counters[0] > counter
    world.restart()
    assert mids(world) == [("mid-3", "ACTIVE")]


@pytest.mark.requirement("R59", "R98")
def test_the_same_instruction_again_gives_the_same_proof(world: World) -> None:
    token = token_of(world)
    proof = world.device.operations.erasures.erase(token)
    signed = world.tpm.signatures
    world.restart()
    assert world.device.operations.erasures.erase(token) == proof
    assert world.tpm.signatures == signed


@pytest.mark.requirement("R58", "R59")
@pytest.mark.negative
def test_what_is_erased_comes_back_by_no_package_and_no_word(world: World) -> None:
    parcel = world.network.good_parcel(world.target)
    with_two(world)
    world.network.number = 1
    world.erase(token_of(world))
    world.agree()
    assert world.install(parcel).outcome == "replayed"
    assert world.install(world.network.good_parcel(world.target)).outcome == "replayed"
    with pytest.raises(MidError, match="not in this TRE"):
        world.instructed("activate")
    with pytest.raises(MidError):
        world.erase(token_of(world))


@pytest.mark.requirement("R22", "R58")
@pytest.mark.negative
def test_only_the_owner_erases_and_only_in_answer_to_this_device(world: World) -> None:
    erasures, network = world.device.operations.erasures, world.network
    before = dict(world.storage.records)
    nonce = world.report().tre_nonce
    with pytest.raises(MidError):
        erasures.erase(network.erasure(world.target, nonce, signer=OTHER_SHO))
    for changed, match in (
        ({"device_id": "00" * 32}, "another device"),
        ({"action": BLOCK, "proof_nonce": None}, "no erasure"),
        ({"tre_nonce": b"x" * 32}, "no open"),
    ):
        with pytest.raises(InstructionError, match=match):
            erasures.erase(network.erasure(world.target, **{"tre_nonce": nonce, **changed}))  # type: ignore[arg-type] # by their names
    with pytest.raises(MidError, match="not in the compartment"):
        erasures.erase(network.erasure(world.target, nonce, mid_id="mid-9"))
    assert {name: before[name] for name in ("vault-0",)} == {"vault-0": world.storage.records["vault-0"]}


@pytest.mark.requirement("R34", "R59")
@pytest.mark.negative
def test_in_a_closed_compartment_nothing_is_erased_and_nothing_proven(world: World) -> None:
    token = token_of(world)
    world.device.operations.mids.vault._open.clear()  # noqa: SLF001 - as a start in another state leaves it
    world.tpm.registers = b"something else booted"
    with pytest.raises(MidError, match="BLOCKED"):
        world.erase(token)
    assert "graves" not in world.storage.records


@pytest.mark.requirement("R59")
@pytest.mark.negative
def test_without_allowance_nothing_is_erased(world: World) -> None:
    token = token_of(world)
    while True:
        try:
            world.report()
        except RateLimitError:
            break
    token = world.network.erasure(world.target, world.device.operations.registry.nonces.give("sho-1"))
    with pytest.raises(RateLimitError):
        world.erase(token)
    assert mids(world) == [("mid-1", "ACTIVE")]


@pytest.mark.requirement("R37", "R59")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("count", [1, 2], ids=["the last MID", "one of two"])
def test_a_kill_at_any_call_is_made_up_for_by_the_same_instruction(
    tmp_path: Path, count: int, *, after: bool
) -> None:
    blows_at, finished = 1, False
    while not finished:
        world = World(folder=tmp_path)
        world.active()
        if count > 1:
            with_two(world)
        others = [] if count == 1 else [("mid-2", "ACTIVE")]
        key_before = world.tpm.vault_keys[0][1]
        kept = dict(world.storage.records)
        token = token_of(world)
        finished = not was_killed(world, token, blows_at=blows_at, after=after)
        world.restart()
        # after any cut: whole, or gone, and never a file that does not open
        assert mids(world) in ([("mid-1", "ACTIVE"), *others], others), blows_at
        if ("mid-1", "ACTIVE") in mids(world):  # nothing was durable; the nonce is gone with the process
            token = token_of(world)
        world.erase(token)
        assert mids(world) == others
        held = [key for _, key in world.tpm.vault_keys.values()]
        assert key_before not in held
        assert [each.mid_id for each in world.report().entries if each.state == "ERASED"] == ["mid-1"]
        for key in held:
            with pytest.raises(VaultError):
                decode_compartment(kept["vault-0"], name="vault-0").open(key)
        blows_at += 1
    assert blows_at > 6


def was_killed(world: World, token: str, *, blows_at: int, after: bool) -> bool:
    fuse = Fuse(blows_at, after=after, error=KilledError())
    fuse.wrap(world.storage, STORAGE_CALLS)
    fuse.wrap(world.tpm, TPM_CALLS)
    try:
        world.erase(token)
    except KilledError:
        return True
    finally:
        Fuse.remove(world.storage, STORAGE_CALLS)
        Fuse.remove(world.tpm, TPM_CALLS)
    return False


@pytest.mark.requirement("R38")
@pytest.mark.negative
def test_a_file_of_graves_that_is_none_keeps_nothing_from_starting(world: World) -> None:
    token = token_of(world)
    fuse = Fuse(1, after=False, error=KilledError())
    fuse.wrap(world.tpm, ("quote",))
    with pytest.raises(KilledError):
        world.erase(token)
    Fuse.remove(world.tpm, ("quote",))
    world.storage.records["graves"] = b"torn"
    world.restart()
    assert mids(world) == []
    world.storage.remove("graves")
    assert world.erase(token).mid_id == "mid-1"


def test_graves_are_bounded(world: World) -> None:
    world.erase(token_of(world))
    (first,) = Graves(world.storage).all()
    storage = MemoryStorage()
    graves = Graves(storage)
    for number in range(GRAVES_MAX + 1):
        tombstone = replace(first.tombstone, mid_id=f"mid-{number}")
        graves.add(Grave(sho="sho-1", tombstone=tombstone, proof=first.proof))
    assert [each.tombstone.mid_id for each in graves.all()][:1] == ["mid-1"]
    assert len(graves.all()) == GRAVES_MAX
