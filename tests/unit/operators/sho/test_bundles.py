"""What a product's MID holds: USIMs and ISIM, under MILENAGE or TUAK, and what the AuC makes of their keys."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from messages.errors import MessageError
from messages.mid_content import MidContent, decode_content
from operators.sho.bundles import Bundle, OpenedSubscription
from operators.sho.settings import BundleSettings
from operators.sho.subscriber_keys import SubscriberKey, decode_key, make_key
from operators.sho.subscriptions import Resynchronisation
from standards.aka.errors import SizeError
from standards.aka.milenage import MilenageKey
from standards.aka.sequence import UsimSequence
from standards.aka.tuak import TuakKey
from standards.aka.vectors import Authenticated, authenticate, make_auts
from tests.fakes.sho_peers import PRODUCT, Keys
from tests.fakes.sho_world import Counting, World

DOMAIN = "ims.mnc007.mcc262.3gppnetwork.org"
GATEWAY = Bundle(
    algorithm="tuak",
    res_bytes=16,
    accesses=("cellular", "wlan"),
    ims_domain=DOMAIN,
    ims_users=("door", "meter"),
    res_bytes_min=8,
    is_checked_each_session=True,
)


@pytest.fixture
def gateways(keys: Keys) -> World:
    world = World(keys)
    maker = replace(world.maker, bundles={PRODUCT: GATEWAY})
    world.maker = maker
    world.registrar = replace(world.registrar, new_subscriptions=maker.make)
    world.provisioning = replace(world.provisioning, maker=maker)
    world.authentication = replace(world.authentication, maker=maker)
    world.motor = replace(world.motor, registrar=world.registrar, provisioning=world.provisioning)
    return world


@pytest.mark.requirement("R11", "R16", "R17")
def test_a_bundle_has_a_usim_for_each_access_and_an_isim_with_its_public_identities() -> None:
    opened = [
        OpenedSubscription(
            imsi=f"26207000000000{number}",
            access=access,
            key=make_key("tuak", res_bytes=16, random_bytes=Counting()),
        )
        for number, access in enumerate(GATEWAY.accesses)
    ]
    usim, wlan, isim = GATEWAY.applications(opened)
    assert [(each.kind, each.access, each.identity) for each in (usim, wlan)] == [
        ("usim", "cellular", "262070000000000"),
        ("usim", "wlan", "262070000000001"),
    ]
    assert (isim.kind, isim.access, isim.identity, isim.k) == (
        "isim",
        "ims",
        f"262070000000000@{DOMAIN}",
        usim.k,
    )
    assert isim.public_identities == tuple(
        f"sip:{name}262070000000000@{DOMAIN}" for name in ("", "door.", "meter.")
    )
    content = MidContent(mid_id="m", applications=(usim, wlan, isim), policy=GATEWAY.policy)
    assert decode_content(content.encode()) == content


@pytest.mark.requirement("R35", "R43")
def test_the_policy_lists_what_the_bundle_needs_and_nothing_else() -> None:
    policy = GATEWAY.policy
    assert (policy.algorithms, policy.accesses) == (("tuak",), ("cellular", "wlan", "ims"))
    assert (policy.res_bytes_min, policy.is_checked_each_session) == (8, True)
    assert Bundle().policy.accesses == ("cellular",)


@pytest.mark.requirement("R17", "R85")
def test_the_auc_serves_every_usim_of_an_order_under_tuak(gateways: World) -> None:
    world = gateways
    order = world.authorized()
    world.receipts.take(world.message(order.id), at=world.at)
    cellular, wlan = world.store.subscriptions_of(order.id)
    assert (cellular.access, wlan.access) == ("cellular", "wlan")
    assert cellular.imsi != wlan.imsi
    for subscription in (cellular, wlan):
        key = world.maker.open(subscription.imsi, subscription.sealed).functions
        assert isinstance(key, TuakKey)
        first, *_ = world.authentication.vectors(subscription.imsi)
        answer = authenticate(key, rand=first.rand, autn=first.autn, sequence=UsimSequence())
        assert isinstance(answer, Authenticated)
        assert (answer.res, len(answer.res)) == (first.xres, 16)
        auts = make_auts(key, rand=first.rand, sqn_ms=7_000 << 5)
        asked = Resynchronisation(rand=first.rand, auts=auts)
        following, *_ = world.authentication.vectors(subscription.imsi, resynchronisation=asked)
        behind = UsimSequence(highest=(7_000,) * 32)
        later = authenticate(key, rand=following.rand, autn=following.autn, sequence=behind)
        assert isinstance(later, Authenticated)


def test_a_key_is_read_back_with_its_algorithm_and_32_bytes_are_milenage() -> None:
    for algorithm, kind in (("milenage", MilenageKey), ("tuak", TuakKey)):
        key = make_key(algorithm, res_bytes=8, random_bytes=Counting())
        assert decode_key(key.encode()) == key
        assert isinstance(key.functions, kind)
    old = decode_key(b"K" * 16 + b"C" * 16)
    assert old == SubscriberKey(algorithm="milenage", k=b"K" * 16, opc=b"C" * 16)


@pytest.mark.negative
def test_what_is_no_key_is_refused_and_none_is_shown() -> None:
    key = make_key("tuak", res_bytes=8, random_bytes=lambda count: b"s" * count)
    assert "sss" not in repr(key)
    for data in (b"", b"K" * 31, key.encode()[:-1], key.encode() + b"\0"):
        with pytest.raises(MessageError):
            decode_key(data)
    with pytest.raises(SizeError):
        _ = replace(key, algorithm="milenage").functions


@pytest.mark.negative
@pytest.mark.parametrize(
    "wrong",
    [
        {"res_bytes": 16},
        {"algorithm": "tuak", "res_bytes": 4, "res_bytes_min": 8},
        {"accesses": ()},
        {"ims_users": ("door",)},
        {"ims_domain": DOMAIN, "ims_users": tuple(f"u{number}" for number in range(64))},
    ],
)
def test_a_bundle_whose_parts_do_not_go_together_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|res_bytes"):
        Bundle(**wrong)  # type: ignore[arg-type] # its members


@pytest.mark.negative
@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithm": "comp128"},
        {"accesses": ["wlan", "wlan"]},
        {"ims_users": ["Door"]},
        {"ims_users": ["door", "door"]},
        {"res_bytes": 32},
        {"res_bytes_min": 2},
    ],
)
def test_settings_of_a_bundle_are_checked(wrong: dict[str, object]) -> None:
    assert BundleSettings.model_validate({"product": "Gateway"}).bundle(ims_domain=None) == Bundle()
    with pytest.raises(ValidationError):
        BundleSettings.model_validate({"product": "Gateway", **wrong})
