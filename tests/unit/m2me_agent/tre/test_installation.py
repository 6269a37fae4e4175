"""Installation: one test for the good way, one for each way in which a package is wrong in one respect."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from m2me_agent.tre.errors import NotEnrolledError, PackageError, RateLimitError
from messages.mid_content import NetworkApplication
from messages.mid_package import PackageHeader
from messages.mid_policy import MidPolicy
from messages.statement import Receipt
from standards.pki import oids
from standards.tpm2.constants import ObjectAttributes
from standards.tpm2.import_blob import make_import_blob
from tests.fakes.network import MID_KEY, Network, Parcel, fresh, operator
from tests.fakes.pki import NOW, Authority, p256
from tests.unit.m2me_agent.tre.subscriptions import NETWORK, OPERATORS_ROOT, World

OTHER_SHO = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")
OTHER_DPF = operator(OPERATORS_ROOT, "dpf", oids.EKU_DELIVERY, issuer="dpf-2")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(folder=tmp_path)


def refused(world: World, parcel: Parcel, outcome: str, *, match: str = "") -> Receipt:
    """The receipt says no; counters, files and vault are what they were but for the allowance that it cost."""
    before = {name: value for name, value in world.storage.records.items() if name != "exchanges"}
    counters = (world.tpm.counter_value, dict(world.tpm.vault_counters))
    receipt = world.install(parcel)
    assert receipt.outcome == outcome, receipt.detail
    assert match in receipt.detail
    assert {name: value for name, value in world.storage.records.items() if name != "exchanges"} == before
    assert (world.tpm.counter_value, dict(world.tpm.vault_counters)) == counters
    return receipt


@pytest.mark.requirement("R51")
@pytest.mark.requirement("R52")
@pytest.mark.requirement("R98")
def test_a_package_is_installed_once_and_its_receipt_is_a_quote(world: World) -> None:
    generation = world.tpm.counter_value
    receipt = world.installed()
    assert receipt.installed
    assert receipt.device_id == world.target.device_id
    assert receipt.order_digest == world.network.order(world.target).digest
    assert world.tpm.counter_value == generation + 1
    assert world.device.operations.mids.rows() == [
        {
            "mid_id": "mid-1",
            "owner": "sho-1",
            "order_digest": receipt.order_digest,
            "state": "INACTIVE",
            "reason": "",
            "applications": ["001010000000001"],
            "public_identities": [],
        }
    ]


@pytest.mark.requirement("R51")
@pytest.mark.requirement("R54")
@pytest.mark.negative
def test_no_key_of_a_mid_is_in_a_file_a_repr_or_an_answer(world: World) -> None:
    world.active()
    stored = b"".join(world.storage.records.values())
    shown = (
        repr(world.device.operations.installation.vault)
        + repr(world.device.operations.installation.vault.opened("sho-1"))
        + repr(world.device.operations.mids.rows())
    )
    for secret in (MID_KEY.k, MID_KEY.opc, world.tpm.vault_keys[0][1], b"k" * 32):
        assert secret not in stored
        assert secret.hex() not in shown
        assert repr(secret) not in shown


@pytest.mark.requirement("R53")
def test_the_same_package_once_more_gives_the_same_outcome_and_changes_nothing(world: World) -> None:
    world.agree()
    parcel = world.network.good_parcel(world.target)
    first = world.install(parcel)
    again = refused(world, parcel, "installed")
    assert again == first


# --- before step 1: who sent it ---------------------------------------------------------------------------


@pytest.mark.requirement("R52")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["foreign root", "a DPF", "altered"])
def test_a_package_of_nobody_gets_no_signature(world: World, kind: str) -> None:
    world.agree()
    header, content = world.network.package(world.target)
    signers = {
        "foreign root": operator(Authority.root("operators' root"), "sho", oids.EKU_SUBSCRIPTION),
        "a DPF": replace(NETWORK.dpf, issuer="sho-1"),
        "altered": NETWORK.sho,
    }
    parcel = world.network.parcel(header, content, signer=signers[kind])
    if kind == "altered":
        parcel = replace(parcel, package=parcel.package[:-6] + "AAAAAA")
    signatures, before = world.tpm.signatures, dict(world.storage.records)
    with pytest.raises(PackageError):
        world.install(parcel)
    assert (world.tpm.signatures, world.storage.records) == (signatures, before)


@pytest.mark.requirement("R70")
@pytest.mark.negative
def test_receipts_come_out_of_the_allowance(world: World) -> None:
    world.agree()
    parcel = world.network.good_parcel(world.target)
    for _ in range(17):  # of 20; two went for enrolment and attestation
        world.install(parcel)
    with pytest.raises(RateLimitError):
        for _ in range(2):
            world.install(parcel)


@pytest.mark.requirement("R98")
@pytest.mark.negative
def test_without_a_validation_there_is_no_receipt(tmp_path: Path) -> None:
    world = World(folder=tmp_path)
    world.agree()
    past = world.device.state.exchanges()
    world.device.state.remember_exchanges(replace(past, pcr_selections=None))
    with pytest.raises(NotEnrolledError, match="answered no challenge"):
        world.install(world.network.good_parcel(world.target))


# --- step 1: device, keys, order --------------------------------------------------------------------------


@pytest.mark.requirement("R60")
@pytest.mark.requirement("R63")
@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"device_id": "00" * 32},
        {"ak_name": b"\x00\x0b" + bytes(32)},
        {"storage_key_name": b"\x00\x0b" + bytes(32)},
    ],
    ids=["device", "AK", "storage key"],
)
def test_a_package_for_a_twin_is_refused(world: World, changed: dict[str, object]) -> None:
    world.agree()
    header, content = world.network.package(world.target)
    parcel = world.network.parcel(replace(header, **changed), content)  # type: ignore[arg-type]
    refused(world, parcel, "package-refused", match="is for another")


@pytest.mark.requirement("R13")
@pytest.mark.requirement("R63")
@pytest.mark.negative
def test_an_order_that_nobody_consented_to_installs_nothing(world: World) -> None:
    parcel = world.network.good_parcel(world.target)
    refused(world, parcel, "order-refused", match="no such order")
    accepted = world.device.operations.orders.accept(**world.network.accepting(world.target))  # type: ignore[arg-type]
    refused(world, parcel, "order-refused", match="agreed")
    world.device.operations.orders.consent(accepted.digest)
    assert world.install(parcel).installed


@pytest.mark.requirement("R64")
@pytest.mark.negative
def test_a_package_of_another_operator_for_this_order_is_refused(world: World) -> None:
    world.agree()
    header, content = world.network.package(world.target)
    parcel = world.network.parcel(header, content, signer=OTHER_SHO)
    refused(world, parcel, "order-refused", match="no such order of this operator")


@pytest.mark.requirement("R53")
@pytest.mark.negative
def test_a_package_that_is_over_is_refused(world: World) -> None:
    world.agree()
    header, content = world.network.package(world.target)
    over = replace(header, issued_at=NOW - timedelta(hours=2), expires_at=NOW - timedelta(seconds=1))
    with pytest.raises(PackageError, match="not over"):
        world.install(world.network.parcel(over, content))


# --- step 2: delivery -------------------------------------------------------------------------------------


@pytest.mark.requirement("R52")
@pytest.mark.requirement("R53")
@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"device_id": "00" * 32},
        {"order_digest": bytes(32)},
        {"package_digest": bytes(32)},
        {"issued_at": NOW - timedelta(hours=2), "expires_at": NOW - timedelta(hours=1)},
        {"sender": OTHER_DPF},
        {"sender": OTHER_SHO},
    ],
    ids=["device", "order", "package", "over", "another DPF", "no DPF"],
)
def test_a_delivery_of_something_else_is_refused(world: World, changed: dict[str, object]) -> None:
    world.agree()
    header, content = world.network.package(world.target)
    parcel = world.network.parcel(header, content, **changed)  # type: ignore[arg-type]
    refused(world, parcel, "package-refused")


@pytest.mark.requirement("R53")
@pytest.mark.negative
def test_a_package_for_another_dpf_than_the_order_names_is_refused(world: World) -> None:
    world.agree()
    header, content = world.network.package(world.target, dpf="dpf-2")
    parcel = world.network.parcel(header, content, sender=OTHER_DPF)
    refused(world, parcel, "package-refused", match="the order names")


# --- step 3: content --------------------------------------------------------------------------------------


@pytest.mark.requirement("R54")
@pytest.mark.negative
@pytest.mark.parametrize(
    "swap", [lambda one: one[:-1], lambda one: one + b"\x00", lambda one: bytes(len(one))]
)
def test_swapped_content_is_refused(world: World, swap: Callable[[bytes], bytes]) -> None:
    world.agree()
    parcel = world.network.good_parcel(world.target)
    refused(world, replace(parcel, content=swap(parcel.content)), "content-refused")


# --- step 4: replay ---------------------------------------------------------------------------------------


@pytest.mark.requirement("R64")
@pytest.mark.negative
def test_another_package_of_an_installed_order_is_a_replay(world: World) -> None:
    world.installed()
    world.agree()
    header, content = world.network.package(world.target, package_id="package-7", mid_id="mid-7")
    refused(world, world.network.parcel(header, content), "replayed", match="installed before")


@pytest.mark.requirement("R64")
@pytest.mark.negative
def test_an_older_package_after_another_was_installed_is_a_replay(world: World) -> None:
    older = world.network.good_parcel(world.target)
    world.network.number = 2
    world.installed()
    world.network.number = 1
    world.agree()
    refused(world, older, "replayed", match="generations")


@pytest.mark.requirement("R64")
@pytest.mark.negative
def test_a_second_mid_of_the_same_id_is_refused(world: World) -> None:
    world.installed()
    world.network.number = 2
    world.agree()
    header, content = world.network.package(world.target, mid_id="mid-1")
    refused(world, world.network.parcel(header, content), "content-refused", match="here already")


# --- step 5: the blob and its approvals -------------------------------------------------------------------


@pytest.mark.check("A31")
@pytest.mark.requirement("R51")
@pytest.mark.negative
@pytest.mark.parametrize("attributes", [0x4C0, 0x400, 0x080, 0xC80, 0x482])
def test_a_blob_with_other_attributes_is_refused(world: World, attributes: int) -> None:
    world.agree()
    blob = world.network.sealed(world.target, secret=b"k" * 32)
    wrong = replace(blob, public=replace(blob.public, attributes=ObjectAttributes(attributes)))
    header, content = world.network.package(world.target, blob=wrong)
    refused(world, world.network.parcel(header, content), "package-refused", match="attributes")


@pytest.mark.check("A31")
@pytest.mark.requirement("R64")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["another order", "the vault", "another root"])
def test_a_blob_under_another_policy_is_refused(world: World, kind: str) -> None:
    world.agree()
    use, root = world.network.use(world.target), world.network.policy_root
    policies = {
        "another order": replace(use, order_digest=bytes(32)).sealed_policy(root),
        "the vault": world.network.use(world.target, vault=True).sealed_policy(root),
        "another root": use.sealed_policy(replace(world.network, policy_root_key=p256()).policy_root),
    }
    blob = make_import_blob(world.target.storage, secret=b"k" * 32, auth_policy=policies[kind], fresh=fresh())
    header, content = world.network.package(world.target, blob=blob)
    refused(world, world.network.parcel(header, content), "package-refused", match="authPolicy")


@pytest.mark.requirement("R53")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["order", "device", "operator", "counter", "day key", "delegation"])
def test_an_approval_for_something_else_is_refused(world: World, kind: str) -> None:
    world.agree()
    network, target = world.network, world.target
    use, state = network.use(target), target.state
    forged = replace(network, day_key=p256())
    wrong = {
        "order": network.approve(replace(use, order_digest=bytes(32)), state),
        "device": network.approve(replace(use, device_id="00" * 32), state),
        "operator": network.approve(replace(use, sho="sho-2"), state),
        "counter": network.approve(use, replace(state, counter_name=b"\x00\x0b" + bytes(32))),
        "day key": replace(
            network.approve(use, state), approval=_signed_by_another(network.approve(use, state).approval)
        ),
        "delegation": replace(network.approve(use, state), delegation=forged.approve(use, state).delegation),
    }
    approvals = (wrong[kind], *network.approvals(target)[1:])
    header, content = network.package(target, approvals=approvals)
    refused(
        world,
        network.parcel(header, content),
        "package-refused",
        match="approval" if kind != "delegation" else "delegation",
    )


def _signed_by_another(approval: bytes) -> bytes:
    flipped = bytearray(approval)
    flipped[-1] ^= 1
    return bytes(flipped)


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_the_first_install_pins_the_operators_policy_root(world: World) -> None:
    world.installed()
    world.network.number = 2
    world.network.policy_root_key = p256()
    world.agree()
    refused(world, world.network.good_parcel(world.target), "package-refused", match="pinned")


# --- step 6: the state ------------------------------------------------------------------------------------


@pytest.mark.requirement("R51")
@pytest.mark.negative
def test_a_package_does_not_open_in_another_state(world: World) -> None:
    world.agree()
    parcel = world.network.good_parcel(world.target)
    world.tpm.registers = b"something else booted"
    refused(world, parcel, "state-refused")
    world.tpm.registers = b"approved"
    assert world.install(parcel).installed


@pytest.mark.requirement("R51")
@pytest.mark.negative
def test_a_package_whose_counter_went_on_is_a_replay(world: World) -> None:
    world.agree()
    parcel = world.network.good_parcel(world.target)
    world.tpm.counter_value += 1
    refused(world, parcel, "replayed")


@pytest.mark.requirement("R51")
@pytest.mark.negative
def test_a_package_for_a_generation_to_come_does_not_open_yet(world: World) -> None:
    world.agree()
    target = world.target.at(world.tpm.counter_value + 3)
    refused(world, world.network.good_parcel(target), "state-refused")


@pytest.mark.check("A30")
@pytest.mark.requirement("R60")
@pytest.mark.negative
def test_a_blob_for_another_storage_key_is_not_taken(world: World) -> None:
    world.agree()
    other = replace(
        world.target.storage, unique=World(folder=world.folder, is_twin=True).target.storage.unique
    )
    blob = world.network.sealed(replace(world.target, storage=other), secret=b"k" * 32)
    header, content = world.network.package(world.target, blob=blob)
    refused(world, world.network.parcel(header, content), "package-refused")


# --- step 7: the content ----------------------------------------------------------------------------------


@pytest.mark.requirement("R54")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["another package", "another key", "no MID", "another MID", "keys", "RES"])
def test_content_that_is_not_what_the_package_says_is_refused(world: World, kind: str) -> None:
    world.agree()
    network, target = world.network, world.target
    content = network.content()
    (usim,) = content.applications
    tuak = NetworkApplication(
        kind="usim",
        access="cellular",
        identity=usim.identity,
        public_identities=(),
        algorithm="tuak",
        k=b"k" * 32,
        opc=b"o" * 32,
    )
    clear = {
        "no MID": b"\xa0",
        "another MID": replace(content, mid_id="mid-9").encode(),
        "keys": replace(
            content,
            applications=(replace(tuak, opc=b"o" * 16),),
            policy=MidPolicy(algorithms=("tuak",)),
        ).encode(),
        "RES": replace(content, applications=(replace(usim, res_bytes=16),)).encode(),
    }
    header, encrypted = network.package(target, content=clear.get(kind))
    if kind == "another package":
        _, encrypted = network.package(target, version=2)
        header = _naming(header, encrypted)
    if kind == "another key":
        blob = network.sealed(target, secret=b"x" * 32)
        header, encrypted = network.package(target, blob=blob)
    refused(world, network.parcel(header, encrypted), "content-refused")


def _naming(header: PackageHeader, content: bytes) -> PackageHeader:
    return replace(header, content_size=len(content), content_sha256=hashlib.sha256(content).digest())


# --- step 8: the vault ------------------------------------------------------------------------------------


@pytest.mark.requirement("R55")
@pytest.mark.negative
def test_a_package_without_an_approval_for_the_vault_afterwards_is_refused(world: World) -> None:
    world.agree()
    approvals = world.network.approvals(world.target)[:2]
    header, content = world.network.package(world.target, approvals=approvals)
    refused(world, world.network.parcel(header, content), "package-refused", match="vault")


def test_a_second_mid_of_an_operator_goes_into_the_same_compartment(world: World) -> None:
    world.installed()
    world.network.number = 2
    world.installed()
    world.restart()
    assert [row["state"] for row in world.device.operations.mids.rows()] == ["INACTIVE", "INACTIVE"]
    assert list(world.tpm.vault_keys) == [0]


def test_each_operator_has_a_compartment_of_its_own(world: World) -> None:
    world.installed()
    other = Network(root=OPERATORS_ROOT, number=2, day_key=world.network.day_key)
    other.sho, other.dpf, other.drf = OTHER_SHO, NETWORK.dpf, NETWORK.drf
    world.network = other
    world.installed()
    assert [row["owner"] for row in world.device.operations.mids.rows()] == ["sho-1", "sho-2"]
    (policy, key), (other_policy, other_key) = world.tpm.vault_keys.values()
    assert key != other_key
    assert policy != other_policy
