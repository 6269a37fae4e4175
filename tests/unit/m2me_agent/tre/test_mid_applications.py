"""A MID with several applications, several owners in one device: which one serves, under which algorithm and policy."""

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from m2me_agent.tre.errors import MidError, PolicyError, RollbackError, StateError, VaultError
from m2me_agent.tre.mid_rules import FULL_RULES, MINIMAL_RULES, Rules
from m2me_agent.tre.usim import NetworkChallenge
from m2me_agent.tre.usim_selection import UsimSelection
from m2me_agent.tre_protocol import Operation, Request, decode_response, encode_request
from messages.instruction import ACTIVATE, UNBLOCK
from messages.mid_content import MidContent, NetworkApplication
from messages.mid_policy import MidPolicy
from messages.registry import QUERY_KIND, QUERY_NONCE_SIZE, RegistryQuery, RegistryReport, decode_report
from messages.statement import decode_statement
from standards.aka.functions import AuthenticationFunctions
from standards.aka.milenage import MilenageKey
from standards.aka.sequence import sqn_of
from standards.aka.tuak import TuakKey, TuakSizes
from standards.aka.vectors import make_vector, verify_auts
from standards.pki import oids
from tests.fakes.network import AMF, IMSI, MID_KEY, operator
from tests.unit.m2me_agent.tre.subscriptions import OPERATORS_ROOT, World

TUAK_KEY = TuakKey(k=b"K of TUAK, which has 256 bits..!", topc=b"T" * 32, sizes=TuakSizes(res=16))
WLAN_KEY = MilenageKey(k=b"K of the WLAN...", opc=b"OPc of the WLAN.")
WLAN_IMSI = "001010000000002"
IMPI = f"{IMSI}@ims.example"
IMPUS = tuple(f"sip:{name}.{IMSI}@ims.example" for name in ("default", "door", "meter", "alarm"))
USIM = NetworkApplication(
    kind="usim",
    access="cellular",
    identity=IMSI,
    public_identities=(),
    algorithm="milenage",
    k=MID_KEY.k,
    opc=MID_KEY.opc,
)
WLAN_USIM = replace(USIM, access="wlan", identity=WLAN_IMSI, k=WLAN_KEY.k, opc=WLAN_KEY.opc)
ISIM = replace(USIM, kind="isim", access="ims", identity=IMPI, public_identities=IMPUS)
TUAK_USIM = replace(USIM, algorithm="tuak", k=TUAK_KEY.k, opc=TUAK_KEY.topc, res_bytes=16)
BUNDLE = MidContent(
    mid_id="mid-1", applications=(USIM, WLAN_USIM, ISIM), policy=MidPolicy(algorithms=("milenage",))
)
TUAK_MID = MidContent(mid_id="mid-1", applications=(TUAK_USIM,), policy=MidPolicy(algorithms=("tuak",)))


def world_of(folder: Path, rules: Rules = FULL_RULES) -> World:
    return World(folder=folder, rules=rules)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return world_of(tmp_path)


def asked(
    world: World, application: str, *, key: AuthenticationFunctions, seq: int = 1, mid_id: str = "mid-1"
) -> dict[str, bytes]:
    made = make_vector(key, rand=bytes(16), sqn=sqn_of(seq=seq, ind=0), amf=AMF)
    return dict(
        world.device.operations.mids.authenticate(
            NetworkChallenge(rand=made.rand, autn=made.autn), mid_id=mid_id, application=application
        )
    )


def second_operator(world: World, *, number: int = 2) -> None:
    """From now on the network is another SHO's, with a policy root of its own."""
    world.network = copy(world.network)
    world.network.number = number
    world.network.sho = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")


def at_the_mmi(world: World, operation: Operation, **parameters: Any) -> Any:
    payload = world.mmi.answer(encode_request(Request(operation=operation, parameters=parameters)))
    return decode_response(payload, operation=operation)


@pytest.mark.requirement("R11", "R16", "R17")
def test_each_application_of_a_bundle_answers_by_its_name(world: World) -> None:
    world.active(BUNDLE)
    rows = world.device.operations.mids.rows()
    assert rows[0]["applications"] == [IMSI, WLAN_IMSI, IMPI]
    for identity, key in ((IMSI, MID_KEY), (WLAN_IMSI, WLAN_KEY), (IMPI, MID_KEY)):
        made = make_vector(key, rand=bytes(16), sqn=sqn_of(seq=1, ind=0), amf=AMF)
        assert asked(world, identity, key=key) == {"res": made.xres, "ck": made.ck, "ik": made.ik}


@pytest.mark.requirement("R16")
def test_an_isim_keeps_its_many_public_identities(world: World) -> None:
    world.active(BUNDLE)
    world.restart()
    (row,) = world.device.operations.mids.rows()
    assert row["public_identities"] == list(IMPUS)


@pytest.mark.requirement("R35", "R85")
def test_a_mid_with_tuak_authenticates_and_resynchronises(world: World) -> None:
    world.active(TUAK_MID)
    answer = asked(world, IMSI, key=TUAK_KEY, seq=5)
    assert len(answer["res"]) == 16
    behind = make_vector(TUAK_KEY, rand=bytes(16), sqn=sqn_of(seq=3, ind=0), amf=AMF)
    again = asked(world, IMSI, key=TUAK_KEY, seq=3)
    assert verify_auts(TUAK_KEY, rand=behind.rand, auts=again["auts"]) == sqn_of(seq=5, ind=0)
    world.restart()
    above = asked(world, IMSI, key=TUAK_KEY, seq=6)
    told = verify_auts(TUAK_KEY, rand=bytes(16), auts=above["auts"])
    assert "res" in asked(world, IMSI, key=TUAK_KEY, seq=(told >> 5) + 1)


@pytest.mark.requirement("R36")
@pytest.mark.negative
def test_tuak_is_for_active_mids_only(world: World) -> None:
    world.installed(TUAK_MID)
    with pytest.raises(MidError, match="INACTIVE"):
        asked(world, IMSI, key=TUAK_KEY)


@pytest.mark.requirement("R45", "R54")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("rules", "content", "named"),
    [
        (replace(FULL_RULES, algorithms=frozenset({"milenage"})), TUAK_MID, "algorithms: tuak"),
        (replace(FULL_RULES, res_bytes_min=16), BUNDLE, "RES of 8 bytes"),
        (
            replace(FULL_RULES, res_bytes_min=8),
            replace(BUNDLE, policy=MidPolicy(algorithms=("milenage",), res_bytes_min=4)),
            "res_bytes_min: 4 below 8",
        ),
        (MINIMAL_RULES, BUNDLE, "3 applications"),
        (FULL_RULES, replace(TUAK_MID, policy=MidPolicy(algorithms=("milenage",))), "tuak"),
    ],
)
def test_a_package_whose_policy_widens_is_refused_by_name(
    tmp_path: Path, rules: Rules, content: MidContent, named: str
) -> None:
    world = world_of(tmp_path, rules)
    receipt = world.brought(content)
    assert receipt.outcome == "policy-refused"
    assert named in receipt.detail
    assert world.device.operations.mids.rows() == []


@pytest.mark.requirement("R30")
@pytest.mark.parametrize("rules", [FULL_RULES, MINIMAL_RULES], ids=["full", "minimal"])
def test_a_plain_usim_lives_in_either_profile(tmp_path: Path, rules: Rules) -> None:
    world = world_of(tmp_path, rules)
    world.active()
    assert "res" in asked(world, IMSI, key=MID_KEY)


@pytest.mark.requirement("R30")
@pytest.mark.negative
def test_a_minimal_device_takes_no_second_operator(tmp_path: Path) -> None:
    world = world_of(tmp_path, MINIMAL_RULES)
    world.active()
    second_operator(world)
    receipt = world.brought()
    assert (receipt.outcome, "2 operators" in receipt.detail) == ("policy-refused", True)


@pytest.mark.requirement("R45")
@pytest.mark.negative
def test_a_device_whose_policy_became_narrower_uses_no_mid_beyond_it(world: World) -> None:
    world.active(TUAK_MID)
    world.device.rules = replace(FULL_RULES, algorithms=frozenset({"milenage"}))
    world.restart()
    with pytest.raises(PolicyError, match="tuak"):
        asked(world, IMSI, key=TUAK_KEY)


@pytest.mark.requirement("R17", "R23")
def test_two_owners_each_in_its_compartment_and_one_usim_serves_an_access(world: World) -> None:
    world.active(replace(BUNDLE, applications=(USIM,)))
    second_operator(world)
    theirs = MilenageKey(k=b"K of the other..", opc=b"OPc of the other")
    other = replace(USIM, identity="001020000000001", k=theirs.k, opc=theirs.opc)
    wlan = replace(WLAN_USIM, identity="001020000000002")
    policy = MidPolicy(algorithms=("milenage",))
    world.active(MidContent(mid_id="mid-2", applications=(other, wlan), policy=policy))
    assert [row["owner"] for row in world.device.operations.mids.rows()] == ["sho-1", "sho-2"]
    assert "res" in asked(world, IMSI, key=MID_KEY)
    assert "res" in asked(world, wlan.identity, key=WLAN_KEY, mid_id="mid-2")
    with pytest.raises(MidError, match="another one serves cellular access"):
        asked(world, other.identity, key=theirs, mid_id="mid-2")
    shown = at_the_mmi(world, Operation.USIMS)["usims"]
    assert [(each["application"], each["access"], each["serves"]) for each in shown] == [
        (IMSI, "cellular", True),
        (other.identity, "cellular", False),
        (wlan.identity, "wlan", True),
    ]
    chosen = at_the_mmi(world, Operation.SELECT, mid_id="mid-2", application=other.identity)
    assert chosen == {"access": "cellular"}
    assert UsimSelection(storage=world.storage).all()["cellular"].identity == other.identity
    assert "res" in asked(world, other.identity, key=theirs, mid_id="mid-2")
    with pytest.raises(MidError, match="another one serves"):
        asked(world, IMSI, key=MID_KEY, seq=9)


@pytest.mark.requirement("R17")
@pytest.mark.negative
def test_the_agent_selects_nobody_and_a_person_only_what_is_there(world: World) -> None:
    world.active(BUNDLE)
    payload = encode_request(
        Request(operation=Operation.SELECT, parameters={"mid_id": "mid-1", "application": IMSI})
    )
    refusal = decode_response(world.device.operations.answer(payload), operation=Operation.SELECT)
    assert getattr(refusal, "code", None) == "malformed"
    for application, reason in ((IMPI, "no USIM"), ("001010000000009", "none of this identity")):
        found = at_the_mmi(world, Operation.SELECT, mid_id="mid-1", application=application)
        assert reason in found.reason
    assert "not in this TRE" in at_the_mmi(world, Operation.SELECT, mid_id="mid-9", application=IMSI).reason


@pytest.mark.requirement("R17")
@pytest.mark.negative
def test_a_mid_that_is_not_active_is_not_selected(world: World) -> None:
    world.installed(BUNDLE)
    assert "INACTIVE" in at_the_mmi(world, Operation.SELECT, mid_id="mid-1", application=IMSI).reason
    assert at_the_mmi(world, Operation.USIMS) == {"usims": []}


@pytest.mark.negative
def test_a_selection_that_cannot_be_understood_is_told(world: World) -> None:
    world.active(BUNDLE)
    for record in (b"\xa1\x61a\x80", b"\xa1\x68cellular\x81\x61x", b"no"):
        world.storage.records["usim-selection"] = record
        with pytest.raises(StateError, match="usim-selection"):
            asked(world, IMSI, key=MID_KEY)


# --- the check before a session ---------------------------------------------------------------------------

CHECKED = replace(BUNDLE, policy=MidPolicy(algorithms=("milenage",), is_checked_each_session=True))


@pytest.mark.requirement("R33")
def test_a_mid_that_is_as_it_was_stored_passes_its_check(world: World) -> None:
    world.active(CHECKED)
    assert "res" in asked(world, IMSI, key=MID_KEY)


@pytest.mark.requirement("R33")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["gone", "bit", "older", "another"])
def test_an_anomaly_blocks_the_mid_before_the_session(world: World, kind: str) -> None:
    receipt = world.installed(CHECKED)
    older = world.storage.records["vault-0"]
    world.device.operations.mids.instruct(world.network.instruction(world.target, receipt.tre_nonce))
    newest = world.storage.records["vault-0"]
    changed = {"bit": newest[:-1] + bytes([newest[-1] ^ 1]), "older": older, "another": b"\xa0"}
    if kind == "gone":
        world.storage.remove("vault-0")
    else:
        world.storage.records["vault-0"] = changed[kind]
    expected = RollbackError if kind == "older" else StateError if kind == "another" else VaultError
    with pytest.raises(expected):
        asked(world, IMSI, key=MID_KEY)
    for _ in range(2):
        with pytest.raises(MidError, match="got BLOCKED"):
            asked(world, IMSI, key=MID_KEY)
        world.restart()
    (entry,) = report(world).entries
    assert (entry.state, entry.reason) == ("BLOCKED", f"integrity: {expected.code}")
    assert report(world).transitions[-1].event == "integrity-failed"


@pytest.mark.requirement("R33")
def test_a_file_that_was_torn_hides_no_mid_that_is_open(world: World) -> None:
    world.active(CHECKED)
    world.storage.records["vault-0"] = b"no record"
    assert [row["state"] for row in world.device.operations.mids.rows()] == ["ACTIVE"]
    with pytest.raises(StateError):
        asked(world, IMSI, key=MID_KEY)
    assert [row["reason"] for row in world.device.operations.mids.rows()] == ["integrity: state"]
    assert world.storage.records["vault-0"] != b"no record"


@pytest.mark.requirement("R33")
def test_its_owner_alone_brings_it_back(world: World) -> None:
    world.active(CHECKED)
    world.storage.remove("vault-0")
    with pytest.raises(VaultError):
        asked(world, IMSI, key=MID_KEY)
    for action in (UNBLOCK, ACTIVATE):
        token = world.network.instruction(world.target, report(world).tre_nonce, action=action)
        world.device.operations.mids.instruct(token)
    assert "res" in asked(world, IMSI, key=MID_KEY)


@pytest.mark.requirement("R33")
@pytest.mark.negative
def test_every_mid_of_the_compartment_is_blocked_and_none_of_another(world: World) -> None:
    world.active(CHECKED)
    world.network.number = 2
    world.installed(replace(CHECKED, mid_id="mid-2"))
    second_operator(world, number=3)
    world.installed(replace(BUNDLE, mid_id="mid-3"))
    world.storage.remove("vault-0")
    with pytest.raises(VaultError):
        asked(world, IMSI, key=MID_KEY)
    states = {row["mid_id"]: row["state"] for row in world.device.operations.mids.rows()}
    assert states == {"mid-1": "BLOCKED", "mid-2": "BLOCKED", "mid-3": "INACTIVE"}


@pytest.mark.requirement("R33")
@pytest.mark.negative
def test_what_is_held_and_is_not_the_newest_is_closed(world: World) -> None:
    world.active(CHECKED)
    world.tpm.vault_counters[0] += 1
    with pytest.raises(RollbackError):
        asked(world, IMSI, key=MID_KEY)
    assert isinstance(world.device.operations.mids.vault.closed["sho-1"], RollbackError)
    with pytest.raises(MidError, match="BLOCKED: expected version"):
        asked(world, IMSI, key=MID_KEY)


def report(world: World) -> RegistryReport:
    """What the present owner reads of its MIDs."""
    query = RegistryQuery(
        sho=world.network.sho.issuer, device_id=world.target.device_id, nonce=bytes(QUERY_NONCE_SIZE)
    )
    token = world.network.sho.sign(query.claims(), typ=QUERY_KIND.typ)
    return decode_report(decode_statement(world.device.operations.registry.report(token)).body)


@pytest.mark.requirement("R33")
def test_a_device_s_policy_has_every_mid_checked(tmp_path: Path) -> None:
    world = world_of(tmp_path, replace(FULL_RULES, is_checked_each_session=True))
    world.active(BUNDLE)
    newest = world.storage.records["vault-0"]
    world.storage.records["vault-0"] = newest[:-1] + bytes([newest[-1] ^ 1])
    with pytest.raises(VaultError):
        asked(world, IMSI, key=MID_KEY)


@pytest.mark.requirement("R33")
def test_without_such_a_policy_nothing_is_read_again(world: World) -> None:
    world.active(BUNDLE)
    world.storage.records["vault-0"] = b"\xa0" + world.storage.records["vault-0"]
    assert "res" in asked(world, IMSI, key=MID_KEY)
