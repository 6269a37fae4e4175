"""The PVA for relying parties over real sockets: signed requests, a relay, pushed results, approvals, a restart."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from clients.pva import PvaOperatorClient
from edge.http_client import HttpError
from edge.keys import read_passphrase
from messages.approval import VAULT_REACH, decode_approval
from messages.evidence import encode_evidence
from messages.operator_token import verify_operator_token
from messages.reliance import Expected, check_answers, permits_release, verify_result
from messages.sealed_result import open_sealed_result
from messages.state_event import STATE_EVENT_KIND, read_claims
from pva.pushing import PAUSE_MAX
from standards.tpm2.structures import Public
from tests.contract.certificates import Certificates
from tests.end_to_end.test_pva_process import Site
from tests.fakes.relying_parties import ORDER, Askers
from tests.fakes.result_receiver import ResultReceiver

CALLBACK = """
[callbacks."{name}"]
url = "{url}"
anchors = "{folder}/anchors.pem"
certificate = "{folder}/caller.pem"
key = "{folder}/keys/caller.key"
passphrase_file = "{folder}/keys/passphrase"
timeout_s = 2
"""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A PVA, a device, an SHO and a DPF that ask, and the SHO's listener; nobody listens for the DPF."""

    site: Site
    askers: Askers
    receiver: ResultReceiver

    def operator(self, name: str) -> PvaOperatorClient:
        """The operator listener as somebody."""
        return self.site.pva.operator(name)

    def token(self, *, role: str = "sho", **changed: object) -> str:
        """A question of this moment."""
        return self.askers.token(role=role, at=self.site.pva.now().replace(microsecond=0), **changed)

    def attest(self) -> str:
        """The device answers; the tier."""
        return self.site.pva.device.submit_evidence(encode_evidence(self.site.evidence())).status


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    folder = tmp_path / "sho"
    folder.mkdir()
    certificates = Certificates(folder)
    certificates.client("caller")
    receiver = ResultReceiver(
        certificate=folder / "server.pem",
        key=folder / "keys" / "server.key",
        passphrase=read_passphrase(certificates.passphrase).decode(),
        anchors=folder / "anchors.pem",
    )
    pva = tmp_path / "pva"
    pva.mkdir()
    more = "[watches]\ninterval_min_s = 1\n"
    more += CALLBACK.format(name="sho-1", url=receiver.url, folder=folder)
    more += CALLBACK.format(name="dpf-1", url="https://127.0.0.1:1", folder=folder)
    site = Site(pva, more=more)
    askers = Askers(certified=site.pva.certified, device_id=site.device.device_id)
    yield Scene(site=site, askers=askers, receiver=receiver)
    assert site.pva.stop() == 0
    site.pva.close()
    receiver.close()


def eventually(happened: Callable[[], bool], *, within_s: float = 10) -> None:
    """Wait until something has happened, ten seconds at most if nothing else is said."""
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def code_of(caught: pytest.ExceptionInfo[HttpError]) -> str:
    assert caught.value.problem is not None
    return caught.value.problem.type


@pytest.mark.requirement("R81")
@pytest.mark.requirement("R93")
@pytest.mark.requirement("R94")
@pytest.mark.requirement("R95")
def test_from_signed_request_to_pushed_result_and_approvals(scene: Scene) -> None:
    token = scene.token()
    asked = scene.operator("sho-1").submit_request(token)
    scene.site.pva.kill()
    scene.site.pva.start()
    assert scene.operator("sho-1").submit_request(token).request_id == asked.request_id
    assert scene.operator("sho-1").request_progress(asked.request_id).state == "pending"
    assert scene.attest() == "affirming"
    eventually(lambda: bool(scene.receiver.taken))
    progress = scene.operator("sho-1").request_progress(asked.request_id)
    assert scene.receiver.taken == [progress.result]
    assert scene.receiver.paths == ["/v1/results"]
    assert progress.result is not None
    result = verify_result(
        progress.result, anchors=[scene.site.pva.operators.certificate], at=scene.site.pva.now()
    )
    check_answers(
        result, Expected(audience="dpf-1", device_id=scene.site.device.device_id, order_digest=ORDER)
    )
    assert permits_release(result)
    given = scene.operator("sho-1").approvals(result_id=result.result_id, order_digest=ORDER)
    approvals = [decode_approval(each) for each in given.approvals]
    assert [(each.use.use, each.state.counter) for each in approvals] == [
        ("package", 1),
        *(("vault", counter) for counter in range(1, 2 + VAULT_REACH)),
    ]
    assert Public.decode(given.storage_public).name == result.storage_key_name
    assert scene.operator("sho-1").approvals(result_id=result.result_id, order_digest=ORDER) == given


@pytest.mark.negative
@pytest.mark.requirement("R93")
def test_a_relay_learns_pass_or_fail_and_nobody_hands_in_anothers(scene: Scene) -> None:
    token = scene.token(encrypt_to=scene.askers.encrypt_to())
    for name, code in (("dpf-1", "request-untrusted"), ("sho", "request-of-another")):
        with pytest.raises(HttpError) as caught:
            scene.operator(name).submit_request(token)
        assert code_of(caught) == code
    asked = scene.operator("ro-1").submit_request(token)
    assert scene.attest() == "affirming"
    relayed = scene.operator("ro-1").request_progress(asked.request_id)
    assert (relayed.state, relayed.outcome, relayed.result) == ("completed", "pass", None)
    assert relayed.sealed is not None
    own = scene.operator("sho-1").request_progress(asked.request_id)
    opened = open_sealed_result(relayed.sealed, key=scene.askers.encryption_key)
    assert (own.outcome, opened.result) == (None, own.result)
    with pytest.raises(HttpError) as caught:
        scene.operator("dpf-1").request_progress(asked.request_id)
    assert code_of(caught) == "not-found"


@pytest.mark.requirement("R95")
def test_a_dpf_asks_again_and_a_callback_that_failed_is_called_again(scene: Scene) -> None:
    scene.receiver.refusing = True
    asked = scene.operator("dpf-1").submit_request(scene.token(role="dpf"))
    before = time.monotonic()
    assert scene.attest() == "affirming"
    assert time.monotonic() - before < 5, "no callback holds up a device"
    assert scene.operator("dpf-1").request_progress(asked.request_id).state == "completed"
    eventually(scene.receiver.came.is_set)
    assert scene.receiver.taken == []
    scene.receiver.refusing = False
    eventually(lambda: bool(scene.receiver.taken))
    result = scene.operator("dpf-1").request_progress(asked.request_id).result
    assert scene.receiver.taken == [result]


@pytest.mark.negative
def test_an_order_is_closed_when_the_device_has_left_its_counter(scene: Scene) -> None:
    first = scene.operator("sho-1").submit_request(scene.token())
    scene.attest()
    approved = result_id(scene, first.request_id)
    scene.operator("sho-1").approvals(result_id=approved, order_digest=ORDER)
    with pytest.raises(HttpError) as caught:
        scene.operator("sho-1").approvals(result_id=approved, order_digest=bytes(32))
    assert code_of(caught) == "order-mismatch"
    scene.site.device = replace(scene.site.device, counter_value=2)
    second = scene.operator("sho-1").submit_request(scene.token())
    scene.attest()
    with pytest.raises(HttpError) as caught:
        scene.operator("sho-1").approvals(result_id=result_id(scene, second.request_id), order_digest=ORDER)
    assert code_of(caught) == "order-closed"


def result_id(scene: Scene, request_id: str) -> str:
    """Id of the result of a request."""
    token = scene.operator("sho-1").request_progress(request_id).result
    assert token is not None
    anchors = [scene.site.pva.operators.certificate]
    return verify_result(token, anchors=anchors, at=scene.site.pva.now()).result_id


@pytest.mark.requirement("R24")
def test_a_watched_device_is_asked_its_silence_is_told_once_and_so_is_its_return(scene: Scene) -> None:
    """Also over the death of the PVA: what was decided is told, and told once."""
    sho = scene.operator("sho-1")
    asked = sho.submit_request(scene.token())
    assert scene.attest() == "affirming"
    assert sho.request_progress(asked.request_id).state == "completed"
    device_id = scene.site.device.device_id
    scene.receiver.refusing = True
    watch = sho.add_watch(device_id=device_id, interval_s=1, grace_s=1, audience=["sho-1", "dpf-1"])
    eventually(lambda: sho.watches()[0].state == "stale", within_s=30)
    scene.site.pva.kill()
    scene.site.pva.start()
    scene.receiver.refusing = False
    eventually(lambda: bool(scene.receiver.events), within_s=PAUSE_MAX.total_seconds() + 10)
    assert scene.attest() == "affirming"
    eventually(lambda: len(scene.receiver.events) > 1, within_s=30)
    anchors = [scene.site.pva.operators.certificate]
    told = [
        read_claims(
            verify_operator_token(each, STATE_EVENT_KIND, anchors=anchors, at=scene.site.pva.now()).claims
        )
        for each in scene.receiver.events[:2]
    ]
    assert [each.state.value for each in told] == ["stale", "affirming"]
    assert told[0].sequence + 1 == told[1].sequence
    assert {(each.operator, each.device_id) for each in told} == {("sho-1", device_id)}
    again = scene.operator("sho-1")
    again.end_watch(watch.watch_id)
    assert again.watches() == ()
