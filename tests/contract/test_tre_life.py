"""The end of a MID on real TPMs: the key that it lay under is gone from the TPM, and the old files open nowhere."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from m2me_agent.tre.enrollment import key_access
from m2me_agent.tre.errors import RollbackError, StateRefusedError, TpmDeviceError, VaultError
from m2me_agent.tre.vault_record import decode_compartment
from messages.erasure import Erasure, decode_erasure
from messages.instruction import BLOCK, UNBLOCK
from messages.registry import REGISTRY_BODY_BYTES_MAX, RegistryReport, decode_report
from messages.statement import decode_statement, verify_statement
from standards.tpm2 import templates
from standards.tpm2.constants import Handle
from standards.tpm2.errors import ResponseError
from tests.contract.tpm_devices import RunningTpm
from tests.contract.tre_world import SELECTIONS, TreWorld
from tests.fakes.network import PROOF_NONCE, QUERY_NONCE

KEY_INDEX = templates.vault_key(0, auth_policy=b"\x00" * 32).index


@pytest.fixture
def world(device: RunningTpm, tmp_path: Path) -> Iterator[TreWorld]:
    made = TreWorld(device, tmp_path)
    yield made
    with suppress(TpmDeviceError):
        made.close()


def said(world: TreWorld, encoded: bytes, *, nonce: bytes) -> bytes:
    """A statement, verified as its owner does."""
    return verify_statement(
        decode_statement(encoded, body_bytes_max=REGISTRY_BODY_BYTES_MAX),
        nonce=nonce,
        ak_name=key_access(world.state, world.device).keys.ak.name,
        pcr_selections=SELECTIONS,
        pcr_digest=world.pcr_digest,
    )


def report(world: TreWorld) -> RegistryReport:
    encoded = world.operations.registry.report(world.network.query(world.target))
    return decode_report(said(world, encoded, nonce=QUERY_NONCE))


def erase(world: TreWorld, number: int) -> Erasure:
    world.network.number = number
    token = world.network.erasure(world.target, report(world).tre_nonce)
    return decode_erasure(said(world, world.operations.erasures.erase(token), nonce=PROOF_NONCE))


def active(world: TreWorld, number: int) -> None:
    world.network.number = number
    receipt = world.installed()
    world.operations.mids.instruct(world.network.instruction(world.target, receipt.tre_nonce))


def key_of(world: TreWorld) -> bytes:
    opened = world.operations.mids.vault.opened("sho-1")
    assert opened is not None
    return opened.key


def put_back(world: TreWorld, kept: dict[str, bytes]) -> None:
    for name, content in kept.items():
        (world.folder / name).write_bytes(content)
        (world.folder / name).chmod(0o600)


@pytest.mark.requirement("R56", "R59")
@pytest.mark.negative
def test_of_two_mids_one_is_erased_and_every_old_file_opens_nowhere(world: TreWorld) -> None:
    active(world, 1)
    active(world, 2)
    kept = {path.name: path.read_bytes() for path in world.folder.iterdir()}
    key_before = key_of(world)
    sealed = decode_compartment(world.storage.read("vault-0") or b"", name="vault-0")
    assert set(sealed.open(key_before).contents) == {"mid-1", "mid-2"}
    world.exchanges.clear()
    erasure = erase(world, 1)
    assert (erasure.mid_id, erasure.sho) == ("mid-1", "sho-1")
    key_now = key_of(world)
    on_the_bus = b"".join(world.exchanges)
    for key in (key_before, key_now):
        assert key not in on_the_bus
    world.reboot()
    assert world.states() == ["ACTIVE"]
    assert key_of(world) == key_now
    with pytest.raises(VaultError):
        sealed.open(key_now)
    # every file as it was before the erasure, and the TPM as it is: nothing opens
    world.close()
    put_back(world, kept)
    world.power_on()
    world.operations.open_vault()
    assert world.states() == ["BLOCKED", "BLOCKED"]
    assert isinstance(world.operations.mids.vault.closed["sho-1"], (RollbackError, VaultError))


@pytest.mark.requirement("R59")
@pytest.mark.negative
def test_the_last_mid_takes_key_and_file_with_it_and_another_may_have_the_place(world: TreWorld) -> None:
    active(world, 1)
    kept = {path.name: path.read_bytes() for path in world.folder.iterdir() if path.name.startswith("vault")}
    assert world.connection.nv_read_public(KEY_INDEX)
    erase(world, 1)
    with pytest.raises(ResponseError):
        world.connection.nv_read_public(KEY_INDEX)
    assert world.storage.read("vault-0") is None
    assert [entry.state for entry in report(world).entries] == ["ERASED"]
    world.close()
    put_back(world, kept)
    world.power_on()
    world.operations.open_vault()
    assert world.states() == ["BLOCKED"]
    (world.folder / "vault-0").unlink()
    active(world, 2)
    world.reboot()
    assert world.states() == ["ACTIVE"]


@pytest.mark.requirement("R59")
def test_a_cut_before_the_key_is_written_over_is_finished_by_the_next_start(world: TreWorld) -> None:
    active(world, 1)
    active(world, 2)
    key_before = key_of(world)
    world.network.number = 1
    token = world.network.erasure(world.target, report(world).tre_nonce)
    vault = world.operations.mids.vault
    with world.device.unlock(key_access(world.state, world.device)) as keys:
        session_keys = type(keys)
    change = session_keys.change_vault_key
    try:
        session_keys.change_vault_key = _cut  # type: ignore[method-assign] # power goes between counter and key
        with pytest.raises(_PowerCutError):
            world.operations.erasures.erase(token)
    finally:
        session_keys.change_vault_key = change  # type: ignore[method-assign]
    assert vault is world.operations.mids.vault
    world.reboot()
    assert world.states() == ["ACTIVE"]
    assert key_of(world) != key_before
    proof = world.operations.erasures.erase(token)
    assert decode_erasure(said(world, proof, nonce=PROOF_NONCE)).mid_id == "mid-1"


class _PowerCutError(BaseException):
    """Power is off."""


def _cut(*_arguments: object, **_named: object) -> None:
    raise _PowerCutError


@pytest.mark.requirement("R34")
@pytest.mark.negative
def test_a_block_ends_only_where_the_tpm_still_opens_the_compartment(world: TreWorld) -> None:
    active(world, 1)
    token = world.network.instruction(world.target, report(world).tre_nonce, action=BLOCK)
    world.operations.mids.instruct(token)
    token = world.network.instruction(world.target, report(world).tre_nonce, action=UNBLOCK)
    world.extend(4)
    with pytest.raises(StateRefusedError):
        world.operations.mids.instruct(token)
    world.reboot()
    assert world.states() == ["BLOCKED"]
    token = world.network.instruction(world.target, report(world).tre_nonce, action=UNBLOCK)
    assert world.operations.mids.instruct(token).state.value == "INACTIVE"


@pytest.mark.negative
def test_a_key_that_is_not_there_is_not_written_over_and_may_be_forgotten_twice(world: TreWorld) -> None:
    active(world, 1)
    vault = world.operations.mids.vault
    permit = vault.opened_by("sho-1")
    assert permit is not None
    policy = permit.approval.use.sealed_policy(permit.policy_root)
    with world.device.unlock(key_access(world.state, world.device)) as keys:
        with pytest.raises(TpmDeviceError, match="none to write over"):
            keys.change_vault_key(5, permit=permit, fresh=bytes(32))
        foreign = templates.vault_key(6, auth_policy=b"\x01" * 32)
        world.connection.nv_define_space(Handle.OWNER, public=foreign)
        with pytest.raises(TpmDeviceError):
            keys.forget_vault_key(6, auth_policy=policy)
        keys.forget_vault_key(5, auth_policy=policy)
        keys.forget_vault_key(5, auth_policy=policy)
    assert len(world.connection.handles(0x02000000)) <= 2
