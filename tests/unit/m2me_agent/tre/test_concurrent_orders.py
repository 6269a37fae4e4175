"""Orders of two operators at once: each package is installed once, whatever comes first, and none in place of another."""

import itertools
from pathlib import Path

import pytest

from messages.statement import Receipt
from standards.pki import oids
from tests.fakes.network import Network, Parcel, operator
from tests.unit.m2me_agent.tre.subscriptions import OPERATORS_ROOT, World


def networks() -> dict[str, Network]:
    """Two operators, each with an order of its own."""
    made = {f"sho-{number}": Network(root=OPERATORS_ROOT, number=number) for number in (1, 2)}
    made["sho-2"].sho = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")
    return made


def install(world: World, network: Network, parcel: Parcel) -> Receipt:
    """As this operator's device."""
    world.network = network
    return world.install(parcel)


@pytest.mark.requirement("R37", "R64")
@pytest.mark.parametrize("order", list(itertools.permutations(["sho-1", "sho-2"])), ids="-".join)
def test_of_two_packages_for_one_generation_the_second_is_made_anew(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    world, parties = World(folder=tmp_path), networks()
    parcels = {}
    for name, network in parties.items():
        world.network = network
        world.agree()
        parcels[name] = network.good_parcel(world.target)
    first, second = order
    assert install(world, parties[first], parcels[first]).outcome == "installed"
    assert install(world, parties[second], parcels[second]).outcome == "replayed"
    again = parties[second].good_parcel(world.target)
    assert install(world, parties[second], again).outcome == "installed"
    for name, parcel in ((first, parcels[first]), (second, again)):
        assert install(world, parties[name], parcel).outcome == "installed"
    rows = {row["owner"]: row["mid_id"] for row in world.device.operations.mids.rows()}
    assert rows == {"sho-1": "mid-1", "sho-2": "mid-2"}


@pytest.mark.requirement("R64")
@pytest.mark.negative
def test_an_operators_package_is_not_installed_for_the_order_of_another(tmp_path: Path) -> None:
    world, parties = World(folder=tmp_path), networks()
    world.network = parties["sho-1"]
    world.agree()
    theirs = parties["sho-2"]
    parcel = theirs.parcel(
        *theirs.package(world.target, order_digest=parties["sho-1"].order(world.target).digest)
    )
    assert install(world, theirs, parcel).outcome == "order-refused"
    assert world.device.operations.mids.rows() == []
