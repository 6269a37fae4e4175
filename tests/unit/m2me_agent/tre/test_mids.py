"""MIDs that are installed: only their owner activates them, once, and only an active one authenticates."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from m2me_agent.tre.errors import (
    AnchorError,
    InstructionError,
    MalformedError,
    MidError,
    NetworkError,
    PolicyError,
    StateError,
)
from m2me_agent.tre.sequence_numbers import BLOCK, SequenceNumbers
from m2me_agent.tre.usim import NetworkChallenge
from m2me_agent.tre_protocol import Operation, Request, decode_response, encode_request
from messages.mid_policy import MidPolicy
from standards.aka.sequence import IND_BITS
from standards.pki import oids
from tests.fakes.network import IMSI, MID_KEY, PCID_KEY, operator, vector
from tests.fakes.pki import DEFAULT_VALIDITY, EXPIRED, Authority
from tests.fakes.tre import MemoryStorage
from tests.unit.m2me_agent.tre.subscriptions import OPERATORS_ROOT, World

OTHER_SHO = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(folder=tmp_path)


def challenge(seq: int = 1) -> NetworkChallenge:
    made = vector(MID_KEY, seq=seq)
    return NetworkChallenge(rand=made.rand, autn=made.autn)


def ask(world: World, operation: Operation, **parameters: Any) -> Any:
    payload = world.device.operations.answer(
        encode_request(Request(operation=operation, parameters=parameters))
    )
    return decode_response(payload, operation=operation)


@pytest.mark.requirement("R22")
@pytest.mark.negative
def test_identities_without_end_do_not_end_the_numbers_of_others() -> None:
    storage = MemoryStorage()
    numbers = SequenceNumbers(storage)
    numbers.remember("pcid/001019999999999", numbers.of("pcid/001019999999999").accept(1 << IND_BITS))
    with pytest.raises(StateError, match="does not fit"):
        for number in range(1_000):
            subject = f"mid/{'m' * 64}/{number:0255d}"
            numbers.remember(subject, numbers.of(subject).accept(1 << IND_BITS))
    again = SequenceNumbers(storage)
    assert max(again.of("pcid/001019999999999").highest) == 1 + BLOCK


@pytest.mark.requirement("R37")
def test_the_owners_answer_to_the_receipt_activates_the_mid_for_good(world: World) -> None:
    receipt = world.installed()
    token = world.network.instruction(world.target, receipt.tre_nonce)
    assert ask(world, Operation.INSTRUCT, instruction=token) == {"mid_id": "mid-1", "state": "ACTIVE"}
    world.restart()
    assert ask(world, Operation.MIDS)["mids"] == [
        {
            "mid_id": "mid-1",
            "owner": "sho-1",
            "order_digest": receipt.order_digest,
            "state": "ACTIVE",
            "reason": "",
            "applications": [IMSI],
            "public_identities": [],
        }
    ]


@pytest.mark.requirement("R37")
@pytest.mark.negative
def test_an_instruction_is_followed_once(world: World) -> None:
    receipt = world.installed()
    token = world.network.instruction(world.target, receipt.tre_nonce)
    world.device.operations.mids.instruct(token)
    before = dict(world.storage.records)
    with pytest.raises(MidError, match="no effect"):
        world.device.operations.mids.instruct(token)
    assert world.storage.records == before


@pytest.mark.requirement("R37")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"device_id": "00" * 32}, "another device"),
        ({"tre_nonce": b"x" * 32}, "no receipt"),
        ({"signer": OTHER_SHO}, "owner"),
        ({"mid_id": "mid-9"}, "not in this TRE"),
    ],
)
def test_an_instruction_that_is_not_the_owners_answer_is_refused(
    world: World, changed: dict[str, Any], match: str
) -> None:
    receipt = world.installed()
    token = world.network.instruction(world.target, changed.pop("tre_nonce", receipt.tre_nonce), **changed)
    before = dict(world.storage.records)
    with pytest.raises((InstructionError, MidError), match=match):
        world.device.operations.mids.instruct(token)
    assert world.storage.records == before


@pytest.mark.requirement("R37")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["foreign root", "another role", "expired"])
def test_an_instruction_of_others_is_refused(world: World, kind: str) -> None:
    receipt = world.installed()
    root = Authority.root("operators' root") if kind == "foreign root" else OPERATORS_ROOT
    role = "dpf" if kind == "another role" else "sho"
    validity = EXPIRED if kind == "expired" else DEFAULT_VALIDITY
    signer = operator(root, role, oids.EKU_SUBSCRIPTION, issuer="sho-1", validity=validity)
    token = world.network.instruction(world.target, receipt.tre_nonce, signer=signer)
    with pytest.raises(AnchorError):
        world.device.operations.mids.instruct(token)


@pytest.mark.requirement("R37")
@pytest.mark.negative
@pytest.mark.parametrize("token", ["", "e30.e30.e30", "eyJ4NWMiOlsiISJdfQ.e30.e30", "eyJ4NWMiOltdfQ.e30.e30"])
def test_what_is_no_token_instructs_nothing(world: World, token: str) -> None:
    world.installed()
    with pytest.raises(MalformedError):
        world.device.operations.mids.instruct(token)


@pytest.mark.requirement("R36")
def test_an_active_mid_authenticates_and_takes_a_number_once(world: World) -> None:
    world.active()
    made = vector(MID_KEY, seq=3)
    parameters = {"mid_id": "mid-1", "application": IMSI, "rand": made.rand, "autn": made.autn}
    answer = ask(world, Operation.AUTHENTICATE, **parameters)
    assert answer == {"res": made.xres, "ck": made.ck, "ik": made.ik}
    assert set(ask(world, Operation.AUTHENTICATE, **parameters)) == {"auts"}


@pytest.mark.requirement("R36")
@pytest.mark.negative
def test_a_mid_that_is_not_active_does_not_authenticate(world: World) -> None:
    world.installed()
    with pytest.raises(MidError, match="INACTIVE"):
        world.device.operations.mids.authenticate(challenge(), mid_id="mid-1", application=IMSI)


@pytest.mark.requirement("R36")
@pytest.mark.negative
def test_a_mid_in_a_closed_compartment_does_not_authenticate(world: World) -> None:
    world.active()
    world.tpm.registers = b"something else booted"
    world.restart()
    with pytest.raises(MidError, match="BLOCKED"):
        world.device.operations.mids.authenticate(challenge(), mid_id="mid-1", application=IMSI)


@pytest.mark.requirement("R36")
@pytest.mark.negative
@pytest.mark.parametrize(("mid_id", "application"), [("mid-2", IMSI), ("mid-1", "001010000000002")])
def test_a_mid_or_application_that_is_not_there_does_not_authenticate(
    world: World, mid_id: str, application: str
) -> None:
    world.active()
    with pytest.raises(MidError):
        world.device.operations.mids.authenticate(challenge(), mid_id=mid_id, application=application)


@pytest.mark.requirement("R54")
@pytest.mark.negative
def test_an_algorithm_that_the_policy_does_not_list_is_not_used(world: World) -> None:
    world.active()
    vault = world.device.operations.mids.vault
    opened = vault.opened("sho-1")
    assert opened is not None
    unlisted = replace(world.network.content(), policy=MidPolicy(algorithms=("tuak",)))
    vault._open["sho-1"] = replace(opened, contents={"mid-1": unlisted.encode()})  # noqa: SLF001 - as no installation leaves it
    with pytest.raises(PolicyError, match="expected algorithms tuak"):
        world.device.operations.mids.authenticate(challenge(), mid_id="mid-1", application=IMSI)


@pytest.mark.requirement("R85")
@pytest.mark.negative
def test_a_network_that_does_not_know_the_key_is_refused(world: World) -> None:
    world.active()
    made = vector(PCID_KEY, seq=1)
    stranger = NetworkChallenge(rand=made.rand, autn=made.autn)
    with pytest.raises(NetworkError) as caught:
        world.device.operations.mids.authenticate(stranger, mid_id="mid-1", application=IMSI)
    assert MID_KEY.k.hex() not in str(caught.value)


def test_what_is_asked_before_enrolment_is_refused(tmp_path: Path) -> None:
    world = World(folder=tmp_path)
    for name in ("keys", "credential"):
        world.storage.remove(name)
    assert ask(world, Operation.MIDS).code == "not-enrolled"
    assert ask(world, Operation.STATUS)["status"]["pcid"] == ""


def test_status_tells_what_registration_needs(world: World) -> None:
    connectivity = world.network.connectivity(world.target)
    ask(world, Operation.INSTALL_CONNECTIVITY, token=world.network.connectivity_token(connectivity))
    status = ask(world, Operation.STATUS)["status"]
    assert status["ak_public"] == world.tpm.keys.ak.encode().hex()
    assert status["storage_public"] == world.tpm.keys.storage.encode().hex()
    assert tuple(status["pfc_chain"]) == world.device.state.credential()
    assert status["pcid"] == connectivity.pcid
    assert status["identity"].startswith(f"0{connectivity.pcid}@wlan")


def test_every_operation_of_the_agent_has_a_use_case(world: World) -> None:
    receipt = world.installed()
    made = vector(MID_KEY, seq=1)
    network = {"rand": made.rand, "autn": made.autn}
    parcel = world.network.good_parcel(world.target)
    bringing = {"package": parcel.package, "delivery": parcel.delivery, "content": parcel.content}
    instruction = world.network.instruction(world.target, receipt.tre_nonce)
    expected: dict[Operation, tuple[dict[str, Any], str | None]] = {
        Operation.ACCEPT_ORDER: ({**world.network.accepting(world.target)}, None),
        Operation.INSTALL: (bringing, None),
        Operation.ATTACH: (network, "connectivity-refused"),
        Operation.AUTHENTICATE: ({**network, "mid_id": "mid-1", "application": IMSI}, "mid-refused"),
        Operation.INSTRUCT: ({"instruction": instruction}, None),
    }
    for operation, (parameters, code) in expected.items():
        assert getattr(ask(world, operation, **parameters), "code", None) == code
