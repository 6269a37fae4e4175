"""SHO, PVA and DPF as they are: one takes what the other makes, from the request to the gate."""

from dataclasses import dataclass, replace

import pytest

from operators.dpf.gate import AuthorizedParts, Trust, check_authorized
from operators.sho.approvals import OfferedApprovals
from operators.sho.order_states import OrderState
from operators.sho.sealed_results import ResultOpener
from operators.sho.validation import Progress, Pva
from pva.signed_requests import Caller
from standards.pki import oids
from standards.pki.extensions import OperatorRole
from tests.fakes.pki import NOW
from tests.fakes.pva_world import World as PvaWorld
from tests.fakes.relying_parties import AGREEMENT
from tests.fakes.sho_peers import DPF, PVA, SHO, Keys
from tests.fakes.sho_world import World

CALLERS = {
    False: Caller(role="sho", tenant=SHO, name="SHO"),
    True: Caller(role="ro-relay", tenant="ro-1", name="RO"),
}


@dataclass(frozen=True, kw_only=True)
class RealPva:
    """The PVA's own use cases, where the SHO expects a PVA."""

    world: PvaWorld
    relayed: bool

    def submit(self, token: str) -> str:
        request, _ = self.world.signed_desk.submit(token, caller=CALLERS[self.relayed], at=NOW)
        return request.id

    def progress(self, request_id: str) -> Progress:
        if self.relayed:
            shown = self.world.signed_desk.relayed(request_id, relay="ro-1", at=NOW)
            return Progress(state=shown.state.value, sealed=shown.sealed)
        own = self.world.signed_desk.progress(request_id, caller=CALLERS[False], at=NOW)
        return Progress(state=own.state.value, result=own.result)

    def approvals(self, pva: str, *, result_id: str, order_digest: bytes) -> OfferedApprovals:
        assert pva == PVA
        approved = self.world.approval_desk.approve(result_id, order_digest=order_digest, sho=SHO, at=NOW)
        return OfferedApprovals(
            approvals=approved.given.approvals,
            day_key_chain=approved.given.day_key_chain,
            storage_public=approved.storage_public,
        )


def opener(keys: Keys) -> ResultOpener:
    """The SHO's key for sealed results, certified as the CA certifies it: for key agreement alone."""
    certificate = keys.operators.issue(
        SHO,
        key=keys.opener_key.public_key(),
        eku=oids.EKU_RESULT_ENCRYPTION,
        extensions=[(AGREEMENT, True), (OperatorRole(role="sho", id=SHO).to_extension(), False)],
    )
    return ResultOpener(certificate=certificate, key=keys.opener_key)


@pytest.mark.requirement("R93")
@pytest.mark.requirement("R96")
@pytest.mark.parametrize("relayed", [False, True], ids=["direct", "relayed"])
def test_an_order_is_validated_approved_packed_and_passes_the_gate(relayed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    keys = Keys()
    pva = PvaWorld(operators=keys.operators, supplier=keys.supplier, device=keys.device)
    real = RealPva(world=pva, relayed=relayed)
    sho = World(keys)
    asks = [Pva(id=PVA, route=real, relayed=relayed)]
    sho.validation = replace(sho.validation, pvas=asks, opener=opener(keys))
    sho.provisioning = replace(sho.provisioning, pvas=real, validation=sho.validation)
    sho.motor = replace(sho.motor, validation=sho.validation, provisioning=sho.provisioning)
    order = sho.validating()
    pva.validate(pva.answer())
    sho.later(seconds=1)
    sho.advance()
    assert sho.state(order.id) is OrderState.AUTHORIZED
    passed = check_authorized(
        AuthorizedParts(**sho.network.authorized[0]),
        sho=SHO,
        trust=Trust(dpf=DPF, anchors=sho.anchors, pvas=frozenset({PVA})),
        accepted_at=sho.at,
        at=sho.at,
    )
    assert passed.order.order_id == order.id
    assert passed.package.storage_key_name == keys.device.storage.name
