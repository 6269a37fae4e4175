"""A change of operator over the SHO's listeners: a successor asks, the subscriber decides, a network tells who attached."""

from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from edge.http_protocol import PEER_CERTIFICATE
from operators.sho.order_states import OrderRecord, OrderState
from operators.sho.refusals import RefusalCode
from operators.sho.releases import ReleasePolicy
from tests.contract.test_sho_web import KEY, Service, problem
from tests.fakes.sho_peers import PRIOR_SHO, Keys

TENANT = "t"
"""Of every certificate of this service's table."""


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


@pytest.fixture
def service(tmp_path: Path, keys: Keys) -> Service:
    made = Service(tmp_path, keys)
    made.world.policies[TENANT] = ReleasePolicy.CONSENT
    return made


def ask(service: Service, order: OrderRecord, *, name: str | None = "sho", **changed: Any) -> TestResponse:
    world = service.world
    body = {"device_id": world.keys.device.device_id, "mid_id": world.package(order.id).mid_id}
    return service.call(name, "/v1/releases", json={**body, **changed})


def decide(service: Service, order: OrderRecord, decision: str, *, secret: str) -> TestResponse:
    return service.public.test_client().post(
        f"/v1/orders/{order.id}/release-decisions",
        json={"successor": TENANT, "decision": decision},
        headers={"Authorization": f"Bearer {secret}"},
    )


@pytest.mark.requirement("R22", "R120")
def test_a_successor_asks_until_the_subscriber_has_decided(service: Service) -> None:
    order = service.world.active()
    secret = service.world.secrets.order_secret(order.id)
    assert ask(service, order).get_json() == {"state": "waiting"}
    told = {"releases": [{"successor": TENANT, "state": "denied", "decided_by": "subscriber"}]}
    assert decide(service, order, "deny", secret=secret).get_json() == told
    problem(ask(service, order), RefusalCode.RELEASE_DENIED)
    assert service.leaves()[-1][0] == "request-refused"
    assert decide(service, order, "approve", secret=secret).status_code == 200
    answer = ask(service, order).get_json()
    assert (answer["state"], set(answer)) == ("released", {"state", "release"})


@pytest.mark.requirement("R22")
def test_an_administrator_sees_who_asks_and_decides(service: Service) -> None:
    order = service.world.active()
    ask(service, order)
    path = f"/v1/orders/{order.id}/releases"
    seen = service.operator.test_client().get(
        path, environ_overrides={PEER_CERTIFICATE: service.peers["admin"]}
    )
    assert seen.get_json() == {"releases": [{"successor": TENANT, "state": "waiting"}]}
    decided = service.call("admin", path, json={"successor": TENANT, "decision": "approve"})
    assert decided.get_json()["releases"][0]["decided_by"] == "administrator"


@pytest.mark.requirement("R22")
@pytest.mark.negative
def test_nobody_else_is_answered(service: Service) -> None:
    order = service.world.active()
    assert ask(service, order, name=None).status_code == 401
    for name in ("vno", "dpf", "pva", "admin", "drf"):
        assert ask(service, order, name=name).status_code == 403
    problem(ask(service, order, mid_id="mid-9"), RefusalCode.MID_UNKNOWN)
    assert ask(service, order, device_id="zz").status_code == 422
    problem(decide(service, order, "approve", secret=order.id), RefusalCode.ORDER_UNKNOWN)
    del service.world.policies[TENANT]
    problem(ask(service, order), RefusalCode.SUCCESSOR_UNKNOWN)


@pytest.mark.requirement("R120")
def test_an_order_may_name_what_it_takes_over(service: Service) -> None:
    prior = {"operator": PRIOR_SHO, "mid_id": "mid-1"}
    placed = service.order(prior=prior)
    assert placed.status_code == 201
    assert service.world.store.change(placed.get_json()["order_id"]).prior.operator == PRIOR_SHO
    # under one key it is another order than one that takes nothing over
    problem(service.order(headers=KEY), RefusalCode.IDEMPOTENCY_CONFLICT)
    another = {"Idempotency-Key": "another-order-of-a-user"}
    problem(service.order(headers=another, prior={**prior, "operator": "sho-9"}), RefusalCode.PRIOR_UNKNOWN)


@pytest.mark.requirement("R120")
@pytest.mark.negative
def test_a_network_tells_of_its_own_attachments_alone(service: Service) -> None:
    order = service.world.active()
    body = {
        "pcid": service.world.imsi(order.id),
        "serving_network": TENANT,
        "rand": "00" * 16,
        "expires_at": "2026-01-31T00:00:00Z",
    }
    assert service.call("vno", "/v1/attachments", json=body).status_code == 204
    assert service.world.state(order.id) is OrderState.ACTIVE
    problem(
        service.call("vno", "/v1/attachments", json={**body, "serving_network": "other"}),
        RefusalCode.FOREIGN_NETWORK,
    )
