"""What the agent carries around an update: each owner's answer to its TRE, and the new credential."""

from collections.abc import Mapping
from typing import Any

import pytest

from m2me_agent.agent.errors import NotReachedError, RefusedError
from m2me_agent.agent.ports import Device
from m2me_agent.agent.update import Prepared, prepare, renew
from m2me_agent.tre_protocol import Operation, Refusal

DEVICE = Device(device_id="ab" * 32, ak_public=b"ak", pfc_chain=(b"pfc",), pcid="1", identity="0")
MANIFEST = b"\x4d" * 32
NO = Refusal(code="update-paused", subject="update", reason="held", remedy="wait")


class Script:
    """TRE, DPF and CA in one; writes down what came."""

    def __init__(self, *owners: str, refusing: str = "", cuts: int = 0) -> None:
        self.owners = owners
        self.refusing = refusing
        self.cuts = cuts
        self.said: list[Any] = []

    def ask(self, operation: Operation, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        self.said.append((operation.value, parameters))
        if operation is Operation.MIDS:
            return {"mids": [{"owner": each, "mid_id": each} for each in self.owners]}
        if operation is Operation.BEGIN_UPDATE:
            assert parameters is not None
            sho = parameters["sho"].encode()
            return {"nonce": sho, "order_digest": b"order of " + sho}
        answers: dict[Operation, Mapping[str, Any]] = {
            Operation.STATUS: {"status": {"device_id": DEVICE.device_id}},
            Operation.TAKE_APPROVALS: {"manifest_digest": MANIFEST, "generation": 7},
            Operation.INSTALL_CREDENTIAL: {"credential": {"serial": "02"}},
        }
        return answers[operation]

    def update_approvals(
        self, device: Device, *, order_digest: bytes, manifest_digest: bytes, tre_nonce: bytes
    ) -> str:
        self.said.append(("dpf", order_digest, manifest_digest, tre_nonce))
        assert device == DEVICE
        if self.cuts:
            self.cuts -= 1
            raise NotReachedError(Refusal(code="unreachable", subject="DPF", reason="cut", remedy="wait"))
        if tre_nonce.decode() == self.refusing:
            raise RefusedError(NO)
        return "approvals of " + tre_nonce.decode()

    def credential(self, device_id: str) -> bytes:
        self.said.append(("ca", device_id))
        return b"result"


def no_wait(_: float) -> None:
    """Time flies."""


def prepared(script: Script) -> tuple[Prepared, ...]:
    return prepare(script, lambda: script, DEVICE, manifest_digest=MANIFEST, sleep=no_wait)


@pytest.mark.requirement("R82")
def test_each_owner_answers_its_own_nonce_and_the_tre_gets_the_answer_as_it_is() -> None:
    script = Script("sho-2", "sho-1", "sho-1")
    assert [(each.sho, each.outcome, each.generation) for each in prepared(script)] == [
        ("sho-1", "prepared", 7),
        ("sho-2", "prepared", 7),
    ]
    assert script.said[1:4] == [
        ("begin_update", {"sho": "sho-1"}),
        ("dpf", b"order of sho-1", MANIFEST, b"sho-1"),
        ("take_approvals", {"approvals": "approvals of sho-1"}),
    ]


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_an_owner_that_says_no_keeps_no_other_from_it() -> None:
    script = Script("sho-1", "sho-2", refusing="sho-1")
    assert [(each.sho, each.outcome) for each in prepared(script)] == [
        ("sho-1", "update-paused"),
        ("sho-2", "prepared"),
    ]
    assert ("take_approvals", {"approvals": "approvals of sho-1"}) not in script.said


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_without_a_mid_nobody_is_asked_and_a_cut_link_is_tried_again() -> None:
    with pytest.raises(RefusedError):
        prepared(Script())
    assert prepared(Script("sho-1", cuts=2))[0].outcome == "prepared"
    with pytest.raises(NotReachedError):
        prepared(Script("sho-1", cuts=3))


@pytest.mark.requirement("R82")
def test_the_new_credential_goes_from_the_ca_to_the_tre() -> None:
    script = Script()
    assert renew(script, script, sleep=no_wait) == {"serial": "02"}
    assert script.said == [
        ("status", None),
        ("ca", DEVICE.device_id),
        ("install_credential", {"result": b"result"}),
    ]
