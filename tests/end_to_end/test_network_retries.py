"""Links that break and messages that come twice, over the real processes: each has one effect.

One device goes its way over a link that is cut at ten points of its download; everything that was sent on that way is
then sent once more. One lab serves the whole file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from clients.dpf import DpfDeviceClient, DpfOperatorClient
from clients.drf import DrfDeviceClient, DrfOperatorClient, Registration
from clients.pva import PvaOperatorClient
from clients.result_receiver import ResultReceiverClient
from clients.sho import PlacedOrder, ShoOperatorClient
from clients.vno import VnoClient
from edge.http_client import HttpClient, HttpError
from lab.fourteen_steps import connect, order, state_of
from lab.identities import DPF, DRF, ICF, RELAY, SHO, VNO
from lab.scene import Scene
from m2me_agent.tre_protocol import Operation
from tests.end_to_end.lab_services import Way, add_devices, bring_up, rows, tapped_deliveries
from tests.fakes.tapped_link import Cut

DEVICE, OTHER = "retrying", "other"
KEY = "one-order-one-key"
SMALL_CHUNK = 64
GRANT, FIRST, SECOND, LAST = "GET /v1/deliveries/[^/]+$", "offset=0$", f"offset={SMALL_CHUNK}$", "offset=128$"
CUTS = (
    Cut(request="POST /v1/deliveries$", status=202, part=0),
    Cut(request=GRANT, part=0),
    Cut(request=GRANT, part=0.3),
    Cut(request=GRANT, part=0.99),
    Cut(request=FIRST, part=0),
    Cut(request=FIRST, part=0.9),
    Cut(request=SECOND, part=0.1),
    Cut(request=SECOND, part=0.95),
    Cut(request=LAST, part=0.5),
    Cut(request=LAST, part=0.99),
    Cut(request="/receipt$", part=0),
    Cut(request="/receipt$", part=0.7),
)
"""Ten points of package token and content, and the answers before and after them."""


@dataclass(frozen=True, kw_only=True)
class Travelled:
    """A device whose journey is over."""

    scene: Scene
    placed: PlacedOrder
    events: list[dict[str, Any]]
    cuts_left: int
    passed: list[str]

    def http(self, service: str, listener: str, *, as_whom: str = "") -> HttpClient:
        """A client of a listener, with somebody's certificate."""
        services = self.scene.services
        return services.http(service, listener, services.identity(as_whom) if as_whom else None)

    def tre(self, operation: Operation, **parameters: Any) -> dict[str, Any]:
        """What the TRE answers to its agent."""
        said = self.scene.devices[DEVICE].ask_tre(operation, parameters)
        assert isinstance(said, dict), said
        return said

    def one(self, role: str, query: str) -> tuple[Any, ...]:
        """The only row of a query about this device or order."""
        values = {"device": self.scene.ids[DEVICE], "order": self.placed.order_id}
        used = {name: value for name, value in values.items() if f":{name}" in query}
        (row,) = rows(self.scene, role, query, **used)
        return row

    def effects(self) -> dict[str, object]:
        """How often that is there which must be there once."""
        return {
            "orders": self.one(SHO, "SELECT count(*) FROM orders WHERE id = :order"),
            "subscriptions": self.one(SHO, "SELECT count(*) FROM subscriptions WHERE order_id = :order"),
            "told": self.one(SHO, "SELECT count(*) FROM informed WHERE order_id = :order"),
            "authorisations": self.one(DPF, "SELECT count(*) FROM authorizations WHERE device_id = :device"),
            "deliveries": self.one(DPF, "SELECT count(*) FROM deliveries WHERE device_id = :device"),
            "grants": self.one(DPF, "SELECT count(*) FROM grants WHERE device_id = :device"),
            "receipts": self.one(
                SHO, "SELECT count(*) FROM receipts WHERE order_id = :order AND outcome = 'installed'"
            ),
            "MIDs": [row["state"] for row in self.tre(Operation.MIDS)["mids"]],
        }


ONCE = {
    **dict.fromkeys(
        ("orders", "subscriptions", "told", "authorisations", "deliveries", "grants", "receipts"), (1,)
    ),
    "MIDs": ["ACTIVE"],
}


@pytest.fixture(scope="module")
def travelled(network: Scene) -> Iterator[Travelled]:
    scene = network
    add_devices(scene, (DEVICE, OTHER), batch="retries")
    with small_chunks(scene):
        bring_up(scene, DEVICE)
        placed = order(scene, DEVICE, key=KEY)
        with tapped_deliveries(scene) as link:
            link.cuts = list(CUTS)
            way = Way(scene=scene, name=DEVICE)
            answer = way.run()
            assert (answer.status, answer.said["outcome"]) == (0, "active"), answer
            yield Travelled(
                scene=scene,
                placed=placed,
                events=[dict(event) for event in way.events],
                cuts_left=len(link.cuts),
                passed=list(link.passed),
            )


@contextmanager
def small_chunks(scene: Scene) -> Iterator[None]:
    """Have the DPF give its content in the smallest chunks that it can."""
    settings = scene.site.role(DPF) / f"{DPF}.toml"
    before = settings.read_text()
    assert scene.network is not None
    settings.write_text(before.replace("chunk_bytes = 512", f"chunk_bytes = {SMALL_CHUNK}"))
    scene.network.restart(DPF)
    yield
    settings.write_text(before)
    scene.network.restart(DPF)


@pytest.mark.requirement("R97")
def test_a_link_cut_at_ten_points_of_the_download_costs_no_duplicate(travelled: Travelled) -> None:
    assert travelled.cuts_left == 0
    (downloaded,) = [event for event in travelled.events if event["event"] == "downloaded"]
    assert downloaded["cuts"] == len([cut for cut in CUTS if cut.request in {FIRST, SECOND, LAST}])
    # every chunk came whole once
    chunks = [line.rpartition("=")[2] for line in travelled.passed if "offset=" in line]
    assert chunks == ["0", "64", "128"]
    assert [event["event"] for event in travelled.events].count("receipt-signed") == 1
    assert travelled.effects() == ONCE
    assert state_of(travelled.scene, travelled.placed).state == "active"


def test_the_same_order_under_the_same_key_is_one_order(travelled: Travelled) -> None:
    assert order(travelled.scene, DEVICE, key=KEY).order_id == travelled.placed.order_id
    assert order(travelled.scene, DEVICE, key=KEY).secret == travelled.placed.secret
    with pytest.raises(HttpError) as another:
        order(travelled.scene, OTHER, key=KEY)
    assert another.value.status == 409
    assert travelled.effects() == ONCE


def test_the_same_connectivity_is_asked_for_and_is_one_pcid(travelled: Travelled) -> None:
    before = travelled.tre(Operation.STATUS)["status"]["pcid"]
    connect(travelled.scene, DEVICE)
    assert travelled.tre(Operation.STATUS)["status"]["pcid"] == before
    assert rows(travelled.scene, ICF, "SELECT count(*) FROM subscribers WHERE pcid = :pcid", pcid=before) == [
        (1,)
    ]


@pytest.mark.requirement("R97")
def test_a_device_that_registers_again_gets_the_same_order(travelled: Travelled) -> None:
    status = travelled.tre(Operation.STATUS)["status"]
    vno = VnoClient(travelled.http(VNO, "device"))
    challenge = vno.attach(status["identity"])
    said = travelled.tre(Operation.ATTACH, rand=challenge.rand, autn=challenge.autn)
    vno.respond(challenge.session, res=said["res"])
    drf = DrfDeviceClient(travelled.http(DRF, "device"))
    registration = Registration(
        pcid=status["pcid"],
        device_id=status["device_id"],
        sho=SHO,
        pfc_chain=tuple(status["pfc_chain"]),
        ak_public=bytes.fromhex(status["ak_public"]),
    )
    (first,) = travelled.one(DRF, 'SELECT DISTINCT "order" FROM registrations WHERE device_id = :device')
    for key in ("a-key-of-the-device", "a-key-of-the-device", "another-key-of-it"):
        assert first == drf.register(registration, attachment_key=said["attachment_key"], idempotency_key=key)
    at_the_sho = ShoOperatorClient(travelled.http(SHO, "operator", as_whom=DRF))
    assert first == at_the_sho.register(
        device_id=registration.device_id, pfc_chain=registration.pfc_chain, ak_public=registration.ak_public
    )
    assert travelled.effects() == ONCE


def test_the_same_validation_request_is_one_request(travelled: Travelled) -> None:
    token, request_id = travelled.one(
        SHO, "SELECT token, request_id FROM validation_requests WHERE order_id = :order"
    )
    count = "SELECT count(*) FROM validation_requests WHERE device_id = :device"
    before = travelled.one("pva", count)
    relay = PvaOperatorClient(travelled.http("pva", "operator", as_whom=RELAY))
    assert {relay.submit_request(token).request_id for _ in range(2)} == {request_id}
    by_the_drf = DrfOperatorClient(travelled.http(DRF, "operator", as_whom=SHO))
    assert by_the_drf.relay(token).request_id == request_id
    assert travelled.one("pva", count) == before == (2,)


@pytest.mark.parametrize("audience", [SHO, DPF])
def test_a_result_that_is_pushed_again_changes_nothing(travelled: Travelled, audience: str) -> None:
    (token,) = travelled.one(SHO, "SELECT result FROM validation_requests WHERE order_id = :order")
    receiver = ResultReceiverClient(travelled.http(audience, "operator", as_whom="pva"))
    for _ in range(2):
        receiver.push_result(token)
    assert travelled.effects() == ONCE
    assert state_of(travelled.scene, travelled.placed).state == "active"


def test_the_same_authorisation_is_one_and_opens_nothing_again(travelled: Travelled) -> None:
    authorization, token, result, package, content = travelled.one(
        DPF,
        "SELECT authorization_token, order_token, result_token, package_token, content FROM authorizations"
        " WHERE device_id = :device",
    )
    dpf = DpfOperatorClient(travelled.http(DPF, "operator", as_whom=SHO))
    said = {
        dpf.authorize(
            authorization=authorization, order=token, result=result, package=package, content=content
        ).state
        for _ in range(2)
    }
    assert said == {"installed"}
    status = travelled.tre(Operation.STATUS)["status"]
    (digest,) = travelled.one(DPF, "SELECT order_digest FROM deliveries WHERE device_id = :device")
    with pytest.raises(HttpError) as over:
        DpfDeviceClient(travelled.http(DPF, "device")).request(
            device_id=status["device_id"], order_digest=digest, pfc_chain=status["pfc_chain"]
        )
    assert over.value.problem is not None
    assert over.value.problem.reason == "order-installed"
    assert travelled.effects() == ONCE


@pytest.mark.requirement("R99")
def test_the_same_receipt_is_taken_once(travelled: Travelled) -> None:
    delivery_id, digest, statement, result = travelled.one(
        DPF,
        "SELECT r.delivery_id, r.order_digest, r.statement, r.fresh_result FROM receipts r"
        " JOIN deliveries d ON d.id = r.delivery_id WHERE d.device_id = :device",
    )
    device = DpfDeviceClient(travelled.http(DPF, "device"))
    instructions = {device.receipt(delivery_id, statement).instruction for _ in range(2)}
    sho = ShoOperatorClient(travelled.http(SHO, "operator", as_whom=DPF))
    for _ in range(2):
        answer = sho.receipt(order_digest=digest, statement=statement, result=result)
        assert answer.state == "active"
        instructions.add(answer.instruction)
    (instruction,) = instructions
    assert instruction is not None
    assert travelled.effects() == ONCE


@pytest.mark.requirement("R97")
def test_a_package_that_is_installed_again_is_one_mid(travelled: Travelled) -> None:
    package, content, delivery = travelled.one(
        DPF,
        "SELECT a.package_token, a.content, g.delivery FROM authorizations a"
        " JOIN grants g ON g.authorization_id = a.id WHERE a.device_id = :device",
    )
    before = travelled.tre(Operation.MIDS)
    assert travelled.tre(Operation.INSTALL, package=package, delivery=delivery, content=content)["statement"]
    assert travelled.tre(Operation.MIDS) == before
    assert travelled.effects() == ONCE
    assert Way(scene=travelled.scene, name=DEVICE).run().said["outcome"] == "active"
