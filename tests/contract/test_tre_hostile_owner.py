"""Whoever reaches the TPM as its owner, with everything that the agent carries, but not the TRE's files: no vault opens for him.

He takes the generation counter away, and defines one of the same Name with an authValue of his own. A counter comes back higher than any that
was there; where that is a value for which the vault is still approved, every assertion of the policy but the vault's own holds.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from m2me_agent.tre.approvals import permits_at, read_permits
from m2me_agent.tre.connected_tpm import EK_PROFILES, ConnectedTpm
from m2me_agent.tre.enrollment import key_access
from m2me_agent.tre.errors import TpmDeviceError
from m2me_agent.tre.tpm_device import Authorization, KeyAccess
from messages.approval import VAULT_REACH
from standards.tpm2 import templates
from standards.tpm2.constants import Handle
from standards.tpm2.sessions import Password
from tests.contract.tpm_devices import RunningTpm
from tests.contract.tre_world import TreWorld

HIS = Authorization(ak=b"a" * 32, storage=b"s" * 32, counter=b"c" * 32)


@pytest.fixture
def world(device: RunningTpm, tmp_path: Path) -> Iterator[TreWorld]:
    made = TreWorld(device, tmp_path)
    yield made
    with suppress(TpmDeviceError):
        made.close()


@pytest.mark.negative
@pytest.mark.requirement("R41")
def test_an_owner_who_defines_the_counter_anew_opens_no_vault(world: TreWorld) -> None:
    world.agree()
    target = world.target
    parcel = world.network.parcel(*(package := world.network.package(target)))
    assert world.install(parcel).outcome == "installed"
    access = key_access(world.state, world.device)
    with world.device.unlock(access) as keys:
        before = keys.read_generation_counter()
    connection, index = world.connection, templates.GENERATION_COUNTER
    connection.nv_undefine_space(Handle.OWNER, index=index.written())
    connection.nv_define_space(Handle.OWNER, public=index, auth_value=HIS.counter)
    connection.nv_increment(index, auth=Password(value=HIS.counter))
    value = connection.nv_read_counter(index.written(), auth=Password(value=HIS.counter))
    header = package[0]
    use = world.network.use(target, vault=True)
    permits = read_permits(
        header.approvals,
        policy_root=world.network.policy_root,
        uses=(use, world.network.use(target)),
        counter_name=access.keys.counter.name,
    )
    his = KeyAccess(keys=access.keys, authorization=HIS)
    found = permits_at(permits, use, counter=value)
    assert before < value <= before - 1 + VAULT_REACH
    assert len(found) == 1
    his_tre = ConnectedTpm(connection, profile=EK_PROFILES["ecc-p384"])
    his_tre.take_over()
    with pytest.raises(TpmDeviceError, match="authValue"), his_tre.unlock(his) as keys:
        keys.open_vault_key(0, permit=found[0])
    with pytest.raises(TpmDeviceError, match="authValue"), his_tre.unlock(his) as keys:
        keys.change_vault_key(0, permit=found[0], fresh=bytes(32))
