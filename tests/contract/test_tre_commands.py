"""Which TPM commands the TRE sends, in order, on real TPMs: docs/adr/0058-tpm-commands.md has the reasons, and why these stay."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from m2me_agent.tre.enrollment import key_access
from m2me_agent.tre.errors import TpmDeviceError
from m2me_agent.tre.tickets import TICKETS_MAX, Claim, Tickets
from m2me_agent.tre.vault_record import decode_compartment
from standards.tpm2.constants import CommandCode, Handle, StructureTag
from standards.tpm2.structures import Signature, Ticket
from tests.contract.tpm_devices import RunningTpm
from tests.contract.tre_world import TreWorld

SHOWN = ["POLICY_PCR", "POLICY_NV", "POLICY_AUTHORIZE", "POLICY_AUTHORIZE"]
VAULT_SHOWN = [*SHOWN[:2], "POLICY_AUTH_VALUE", *SHOWN[2:]]
VERIFIED = ["LOAD_EXTERNAL", "VERIFY_SIGNATURE", "FLUSH_CONTEXT"]


@pytest.fixture
def world(device: RunningTpm, tmp_path: Path) -> Iterator[TreWorld]:
    made = TreWorld(device, tmp_path)
    yield made
    with suppress(TpmDeviceError):
        made.close()


def sent(world: TreWorld, work: Callable[[], object]) -> list[str]:
    """The commands of some work."""
    world.exchanges.clear()
    work()
    return [CommandCode(int.from_bytes(each[6:10], "big")).name for each in world.exchanges[::2]]


def installing(world: TreWorld) -> list[str]:
    """The present order's package, to its receipt."""
    world.agree()
    parcel = world.network.good_parcel(world.target)
    return sent(
        world,
        lambda: world.operations.installation.install(
            package=parcel.package, delivery=parcel.delivery, content=parcel.content
        ),
    )


def starting(world: TreWorld) -> list[str]:
    """Off and on, and the vault."""
    world.close()
    world.power_on()
    commands = sent(world, world.operations.open_vault)
    assert world.states() == ["INACTIVE"]
    return commands


@pytest.mark.requirement("R37")
def test_an_installation_sends_what_it_must(world: TreWorld) -> None:
    first = installing(world)
    assert first == [
        *("READ_CLOCK", "IMPORT"),
        *("LOAD_EXTERNAL", "VERIFY_SIGNATURE", "VERIFY_SIGNATURE", "VERIFY_SIGNATURE", "FLUSH_CONTEXT"),
        *("LOAD_EXTERNAL", "VERIFY_SIGNATURE", "VERIFY_SIGNATURE", "FLUSH_CONTEXT"),
        *("LOAD", "START_AUTH_SESSION", *SHOWN, "UNSEAL", "FLUSH_CONTEXT"),
        *("NV_DEFINE_SPACE", *VAULT_SHOWN, "NV_WRITE"),
        *("NV_DEFINE_SPACE", "NV_INCREMENT", "NV_READ"),
        *("NV_INCREMENT", "NV_INCREMENT", "QUOTE"),
    ]
    world.network.number = 2
    another = installing(world)
    assert another == [
        *("READ_CLOCK", "IMPORT"),
        *("LOAD_EXTERNAL", "VERIFY_SIGNATURE", "VERIFY_SIGNATURE", "FLUSH_CONTEXT", *VERIFIED),
        *("LOAD", *SHOWN, "UNSEAL", "FLUSH_CONTEXT"),
        *("NV_INCREMENT", "NV_INCREMENT", "QUOTE"),
    ]


@pytest.mark.requirement("R37")
def test_a_start_sends_nine_commands_a_compartment_and_an_activation_two(world: TreWorld) -> None:
    receipt = world.installed()
    assert starting(world) == [
        *("START_AUTH_SESSION", "START_AUTH_SESSION", *VAULT_SHOWN),
        *("NV_READ", "NV_READ"),
    ]
    token = world.network.instruction(world.target, receipt.tre_nonce)
    commands = sent(world, lambda: world.operations.mids.instruct(token))
    assert commands == ["READ_CLOCK", "NV_INCREMENT"]


@pytest.mark.negative
def test_tickets_that_the_tpm_does_not_take_are_forgotten_and_made_again(world: TreWorld) -> None:
    world.installed()
    vault = world.operations.mids.vault
    opened = vault.opened("sho-1")
    assert opened is not None
    forged = tuple(each[:-1] + bytes([each[-1] ^ 1]) for each in opened.visible.tickets)
    altered = replace(opened.visible, version=opened.visible.version + 1, tickets=forged)
    sealed = replace(opened, visible=altered).seal(b"n" * 12)
    world.storage.write("vault-0", sealed.encode())
    with world.device.unlock(key_access(world.state, world.device)) as keys:
        keys.raise_vault_counter(0)
    commands = starting(world)
    assert commands.count("VERIFY_SIGNATURE") == 2
    assert commands.count("NV_READ") == 2
    # and the next version of the file has good ones
    world.network.number = 2
    world.installed()
    kept = decode_compartment(world.storage.read("vault-0") or b"", name="vault-0").unverified.tickets
    assert kept
    assert not set(kept) & set(forged)


def test_so_many_tickets_are_kept_with_one_use_and_no_row_that_is_none(world: TreWorld) -> None:
    tickets, key = Tickets(), world.network.policy_root
    signature = Signature.decode(world.network.approvals(world.target)[0].delegation)
    claims = [
        Claim(key=key, policy=bytes([number]) * 32, ref=b"ref", signature=signature)
        for number in range(TICKETS_MAX + 1)
    ]
    for claim in claims:
        tickets.add(claim, Ticket(tag=StructureTag.VERIFIED, hierarchy=Handle.OWNER, digest=claim.policy))
    assert tickets.find(claims[0]) is None
    assert tickets.find(claims[-1]) is not None
    others = Tickets()
    others.recall(b"ref", (b"", b"short", *tickets.told(b"ref")))
    assert others.told(b"ref") == tickets.told(b"ref")
    others.forget(b"ref")
    assert others.told(b"ref") == ()
