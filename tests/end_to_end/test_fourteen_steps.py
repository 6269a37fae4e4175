"""From an order to an active subscription, over the real processes: when what opens, and what does not before.

One lab serves the whole file; every test has devices of its own.
"""

import base64
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from clients.ca import CaOperatorClient
from clients.sho import PlacedOrder, ShoOperatorClient
from clients.vno import VnoClient
from edge.http_client import ClientTls, HttpError, client_context
from edge.process import system_clock
from lab.fourteen_steps import attach_with_subscription, order, state_of
from lab.identities import DPF, DRF, ICF, SHO, VNO
from lab.keyring import make_key, request_for
from lab.scene import Scene
from lab.story import APPROVED
from m2me_agent.tre_protocol import Operation
from messages.bearer import Bearer
from messages.ownership import OWNERSHIP_TYPE, Ownership
from standards.pki.jws import sign_jws
from tests.end_to_end.lab_services import (
    Way,
    add_devices,
    bring_up,
    requests_at,
    rows,
    tapped_deliveries,
)
from tests.fakes.tapped_link import TappedLink

GOOD, OWNED, FIRST_TWIN, SECOND_TWIN, STRANGER = "good", "owned", "twin-a", "twin-b", "stranger"
VECTORS = "/v1/authentication-vectors"


@pytest.fixture(scope="module")
def scene(network: Scene) -> Scene:
    add_devices(network, (GOOD, OWNED, FIRST_TWIN, SECOND_TWIN, STRANGER), batch="fourteen-steps")
    return network


@pytest.fixture(scope="module")
def link(scene: Scene) -> Iterator[TappedLink]:
    with tapped_deliveries(scene) as link:
        yield link


def at_the_authentication_centre(scene: Scene, imsi: str) -> str:
    """What the SHO's AuC says to the visited network that asks for vectors of an IMSI."""
    asking = ShoOperatorClient(scene.services.http(SHO, "operator", scene.services.identity(VNO)))
    try:
        return f"{len(asking.authentication_vectors(imsi, serving_network=VNO).vectors)} vectors"
    except HttpError as error:
        return error.problem.reason if error.problem else str(error.status)


def imsi_of(scene: Scene, placed: PlacedOrder) -> str:
    ((imsi,),) = rows(
        scene, SHO, "SELECT imsi FROM subscriptions WHERE order_id = :order", order=placed.order_id
    )
    return str(imsi)


def mids_of(scene: Scene, name: str) -> list[dict[str, Any]]:
    said = scene.devices[name].ask_tre(Operation.MIDS)
    assert isinstance(said, dict), said
    return list(said["mids"])


@pytest.mark.requirement("R12", "R62", "R99")
def test_from_an_order_to_an_active_subscription(scene: Scene, link: TappedLink) -> None:
    """Until the TRE's receipt has reached the operator nothing opens and nobody is told."""
    bring_up(scene, GOOD)
    placed = order(scene, GOOD)
    seen: dict[str, tuple[str, str, int]] = {}

    def look(when: str) -> None:
        stands = state_of(scene, placed)
        seen[when] = (
            at_the_authentication_centre(scene, imsi_of(scene, placed)),
            stands.state,
            len(stands.informed),
        )

    def look_at_receipt(request: str, when: str) -> None:
        if request.endswith("/receipt"):
            look(when)

    way = Way(
        scene=scene, name=GOOD, on_event=lambda name: look(name) if name == "needs-registration" else None
    )
    link.before = lambda request: look_at_receipt(request, "before the receipt")
    link.after = lambda request: look_at_receipt(request, "after the receipt")
    answer = way.run()
    link.before = link.after = lambda _: None
    assert (answer.status, answer.said["outcome"]) == (0, "active")
    assert way.names[:2] == ["identity-sent", "challenge-answered"]
    assert way.names[-2:] == ["receipt-taken", "instructed"]
    assert [event["step"] for event in way.events] == sorted(event["step"] for event in way.events)
    (vectors, state, told) = seen["needs-registration"]
    assert (vectors, told) == ("subscription-not-active", 0)
    assert state in {"registered", "validating"}
    assert seen["before the receipt"] == ("subscription-not-active", "authorized", 0)
    (vectors, state, told) = seen["after the receipt"]
    assert vectors.endswith(" vectors")
    assert (state, told) == ("active", 1)
    assert attach_with_subscription(scene, GOOD) == "authenticated with the new IMSI"
    assert [(row["state"], row["owner"]) for row in mids_of(scene, GOOD)] == [("ACTIVE", SHO)]


@pytest.mark.requirement("R01")
def test_the_drf_is_asked_for_no_vector_in_a_whole_journey(scene: Scene, link: TappedLink) -> None:
    del link  # where devices are sent
    bring_up(scene, STRANGER)
    placed = order(scene, STRANGER)
    before = vectors_of_the_icf(scene)
    registered, asked = (requests_at(scene, DRF, route) for route in ("/v1/registrations", VECTORS))
    assert Way(scene=scene, name=STRANGER).run().said["outcome"] == "active"
    assert state_of(scene, placed).state == "active"
    assert vectors_of_the_icf(scene) > before
    assert requests_at(scene, DRF, "/v1/registrations") > registered
    assert requests_at(scene, DRF, VECTORS) == asked


def vectors_of_the_icf(scene: Scene) -> int:
    """How many vectors the ICF has given out so far."""
    return len(rows(scene, ICF, "SELECT rand FROM issued_vectors"))


@pytest.mark.requirement("R08", "R88")
@pytest.mark.negative
def test_nothing_passes_the_gateway_before_aka_nor_to_another_place(scene: Scene) -> None:
    name = GOOD
    status = scene.devices[name].ask_tre(Operation.STATUS)
    assert isinstance(status, dict)
    identity = status["status"]["identity"]
    vno = VnoClient(scene.services.http(VNO, "device"))
    drf = scene.services.address("drf-1.device")
    # a challenge is no bearer, and a wrong answer ends it
    challenge = vno.attach(identity)
    assert connected(scene, drf, user=challenge.session, secret=challenge.session) == 407
    with pytest.raises(HttpError) as wrong:
        vno.respond(challenge.session, res=bytes(8))
    assert wrong.value.problem is not None
    assert wrong.value.problem.reason == "res-wrong"
    with pytest.raises(HttpError):
        vno.respond(challenge.session, res=answered(scene, name, challenge.rand, challenge.autn))
    # with a bearer: to the places of this PCID, and to no other
    challenge = vno.attach(identity)
    bearer = vno.respond(challenge.session, res=answered(scene, name, challenge.rand, challenge.autn))
    assert scene.services.address("drf-1.device") in bearer.destinations
    assert through(scene, bearer, drf) == 200
    for listener in (
        "drf-1.operator",
        "dpf-1.operator",
        "dpf-1.device",
        "icf-1.operator",
        "sho-1.public",
        "ca.device",
    ):
        assert through(scene, bearer, scene.services.address(listener)) == 403, listener
    assert connected(scene, drf, user=bearer.id, secret=bearer.secret + "x") == 407


def answered(scene: Scene, name: str, rand: bytes, autn: bytes) -> bytes:
    """RES of the TRE's USIM."""
    said = scene.devices[name].ask_tre(Operation.ATTACH, {"rand": rand, "autn": autn})
    assert isinstance(said, dict), said
    return bytes(said["res"])


def through(scene: Scene, bearer: Bearer, target: str) -> int:
    """Status of a CONNECT with a bearer."""
    return connected(scene, target, user=bearer.id, secret=bearer.secret)


def connected(scene: Scene, target: str, *, user: str, secret: str) -> int:
    """Status of a CONNECT with these credentials."""
    gateway = urlsplit(scene.services.urls[VNO]["gateway"])
    context = client_context(ClientTls(anchors=scene.services.tls_root))
    proof = base64.b64encode(f"{user}:{secret}".encode()).decode()
    with (
        socket.create_connection((gateway.hostname, gateway.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=gateway.hostname) as link,
    ):
        link.sendall(
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nProxy-Authorization: Basic {proof}\r\n\r\n".encode()
        )
        return int(link.recv(4096).split(b" ")[1])


@pytest.mark.requirement("R13")
def test_a_device_with_an_ownership_record_asks_nobody(scene: Scene, link: TappedLink) -> None:
    del link  # where devices are sent
    device = scene.devices[OWNED]
    device.ownership = ownership_record(scene, OWNED, operators=("another-sho",))
    bring_up(scene, OWNED)
    placed = order(scene, OWNED)
    # a record that names another operator stands for no consent
    waiting = Way(scene=scene, name=OWNED, on_event=lambda _: None, consents=False)
    waiting.on_event = lambda name: device.kill_agent() if name == "needs-registration" else None
    waiting.run()
    assert waiting.names[-1] == "needs-registration"
    assert state_of(scene, placed).state in {"registered", "validating"}
    device.ownership = ownership_record(scene, OWNED, operators=(SHO,))
    scene.power_on(OWNED)
    # what waits for a person goes on waiting: the record is asked when an order is new to the TRE
    placed = order(scene, OWNED, key="a-second-order-of-owned")
    way = Way(scene=scene, name=OWNED, consents=False)
    answer = way.run()
    assert (answer.status, answer.said["outcome"]) == (0, "active"), answer
    assert "needs-registration" not in way.names
    assert state_of(scene, placed).state == "active"


def ownership_record(scene: Scene, name: str, *, operators: tuple[str, ...]) -> str:
    """What the supplier signs about a device that it sold to somebody without a person to ask."""
    client = CaOperatorClient(scene.services.http("ca", "operator", scene.services.identity(APPROVED)))
    key = make_key(scene.site.role(APPROVED), f"owners-{operators[0]}")
    made: x509.Certificate = client.certify_supplier(APPROVED, purpose="batch-signing", csr=request_for(key))
    record = Ownership(
        supplier=APPROVED,
        device_id=scene.ids[name],
        owner="owner-1",
        operators=operators,
        issued_at=system_clock().replace(microsecond=0),
    )
    return sign_jws(record.claims(), key=key, chain=(made,), typ=OWNERSHIP_TYPE)


def test_two_orders_of_two_devices_at_once(scene: Scene, link: TappedLink) -> None:
    del link  # where devices are sent
    twins = (FIRST_TWIN, SECOND_TWIN)
    for name in twins:
        bring_up(scene, name)
    placed = {name: order(scene, name) for name in twins}
    with ThreadPoolExecutor(len(twins)) as both:
        answers = list(both.map(lambda name: Way(scene=scene, name=name).run(), twins))
    assert [answer.said["outcome"] for answer in answers] == ["active", "active"], answers
    assert {state_of(scene, placed[name]).state for name in twins} == {"active"}
    imsis = {
        name: [application for row in mids_of(scene, name) for application in row["applications"]]
        for name in twins
    }
    for name in twins:
        assert imsi_of(scene, placed[name]) in imsis[name]
    assert not set(imsis[FIRST_TWIN]) & set(imsis[SECOND_TWIN])
    for name in twins:
        grants = rows(
            scene, DPF, "SELECT number FROM grants WHERE device_id = :device", device=scene.ids[name]
        )
        assert grants == [(1,)]
