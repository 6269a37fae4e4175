"""A subscription in the TRE process: connectivity, consent on the MMI's socket, package, kill, activation."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from m2me_agent.agent.errors import RefusedError
from m2me_agent.tre_protocol import Operation
from messages.approval import ApprovedState
from messages.statement import Receipt, decode_receipt, decode_statement, verify_statement
from standards.tpm2.structures import Attest, NvCertifyInfo, NvPublic, Public, QuoteInfo
from tests.contract.tpm_devices import REPOSITORY, manufactured
from tests.end_to_end.tre_process import BASELINE, ROOT, SHA256, STRICT, TreProcess, made
from tests.fakes.network import IMSI, MID_KEY, PCID, PCID_KEY, RECEIPT_NONCE, Network, Target, vector

MMI_UID = 60124 if ROOT else os.geteuid()


@pytest.fixture
def device(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TreProcess]:
    with made(("software", manufactured("software", tmp_path_factory)), tmp_path) as opened:
        opened.settings = {"mmi_socket": "mmi.sock", "mmi_uid": MMI_UID}
        opened.program = ["-c", STRICT.format(module="m2me_agent.tre.app")]
        opened.listeners = {"socket": "tre.sock", "mmi_socket": "mmi.sock"}
        opened.start()
        opened.enroll()
        yield opened


def target_of(device: TreProcess) -> Target:
    """As an SHO and a PVA learn it: from evidence."""
    evidence = device.attest(device.token())
    quoted = Attest.decode(evidence.attest).attested
    counted = Attest.decode(evidence.generation_counter.attest).attested
    assert isinstance(quoted, QuoteInfo)
    assert isinstance(counted, NvCertifyInfo)
    return Target(
        device_id=device.device_id.hex(),
        ak_name=Public.decode(evidence.ak_public).name,
        storage=Public.decode(evidence.storage_key.public),
        state=ApprovedState(
            pcr_selections={SHA256: BASELINE},
            pcr_digest=quoted.pcr_digest,
            counter_name=NvPublic.decode(evidence.generation_counter.public).name,
            counter=int.from_bytes(counted.contents, "big"),
        ),
    )


def mmi(device: TreProcess, *words: str, uid: int = MMI_UID) -> "subprocess.CompletedProcess[str]":
    """The MMI's command, as a uid."""
    user = ["--user", f"{uid}:{uid}"] if ROOT else []
    program = ["-m", "m2me_agent.mmi", words[0], *user, "--socket", "mmi.sock", *words[1:]]
    return subprocess.run(
        [sys.executable, *program],
        cwd=device.run,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def receipt_of(statement: bytes, target: Target) -> Receipt:
    body = verify_statement(
        decode_statement(statement),
        nonce=RECEIPT_NONCE,
        ak_name=target.ak_name,
        pcr_selections=target.state.pcr_selections,
        pcr_digest=target.state.pcr_digest,
    )
    return decode_receipt(body)


@pytest.mark.requirement("R13")
@pytest.mark.requirement("R31")
@pytest.mark.requirement("R51")
@pytest.mark.requirement("R85")
def test_from_connectivity_to_an_active_mid_that_survives_a_kill(device: TreProcess) -> None:
    network, client = Network(root=device.operators_root), device.client
    target = target_of(device)
    # connectivity, and an attachment with it
    token = network.connectivity_token(network.connectivity(target))
    assert client.ask(Operation.INSTALL_CONNECTIVITY, {"token": token})["pcid"] == PCID
    made_by_icf = vector(PCID_KEY, seq=1)
    challenge = {"rand": made_by_icf.rand, "autn": made_by_icf.autn}
    assert client.ask(Operation.ATTACH, challenge)["res"] == made_by_icf.xres
    # an order waits for a person
    accepted = client.ask(Operation.ACCEPT_ORDER, network.accepting(target))
    assert accepted["consent"] == "awaited"
    parcel = network.good_parcel(target)
    bringing: dict[str, Any] = {
        "package": parcel.package,
        "delivery": parcel.delivery,
        "content": parcel.content,
    }
    refused = receipt_of(client.ask(Operation.INSTALL, bringing)["statement"], target)
    assert refused.outcome == "order-refused"
    consent_as_a_person(device, accepted["order_code"])
    # the package; the TRE is killed after it
    receipt = receipt_of(client.ask(Operation.INSTALL, bringing)["statement"], target)
    assert receipt.outcome == "installed", receipt.detail
    device.stop(signal.SIGKILL)
    device.start()
    assert [row["state"] for row in client.ask(Operation.MIDS)["mids"]] == ["INACTIVE"]
    again = receipt_of(client.ask(Operation.INSTALL, bringing)["statement"], target)
    assert again == receipt
    # its owner activates it, and it authenticates
    instruction = network.instruction(target, receipt.tre_nonce)
    assert client.ask(Operation.INSTRUCT, {"instruction": instruction})["state"] == "ACTIVE"
    made_by_auc = vector(MID_KEY, seq=1)
    answer = client.ask(
        Operation.AUTHENTICATE,
        {"mid_id": "mid-1", "application": IMSI, "rand": made_by_auc.rand, "autn": made_by_auc.autn},
    )
    assert answer == {"res": made_by_auc.xres, "ck": made_by_auc.ck, "ik": made_by_auc.ik}
    assert_nothing_secret_was_written(device)


def consent_as_a_person(device: TreProcess, code: str) -> None:
    """What waits is shown; a wrong code and the agent's own request are refused; then yes."""
    shown = mmi(device, "pending")
    assert (shown.returncode, shown.stdout) == (0, f"{code}  Example Mobile (sho-1)  consent awaited\n"), (
        shown.stderr
    )
    assert mmi(device, "consent", "00000000").returncode == 1
    with pytest.raises(RefusedError):
        device.client.ask(Operation.CONSENT, {"order_digest": bytes(32)})
    if ROOT:
        assert mmi(device, "consent", code, uid=60125).returncode == 4
    assert mmi(device, "consent", code).returncode == 0


@pytest.mark.requirement("R13")
@pytest.mark.negative
def test_a_person_refuses_and_the_agent_cannot_ask_again(device: TreProcess) -> None:
    network, target = Network(root=device.operators_root), target_of(device)
    accepted = device.client.ask(Operation.ACCEPT_ORDER, network.accepting(target))
    found = mmi(device, "refuse", accepted["order_code"])
    assert (found.returncode, found.stdout) == (0, f"{accepted['order_code']}: refused\n"), found.stderr
    with pytest.raises(RefusedError, match="refused by a person"):
        device.client.ask(Operation.ACCEPT_ORDER, network.accepting(target))


def assert_nothing_secret_was_written(device: TreProcess) -> None:
    written = (device.folder / "tre.err").read_bytes()
    written += b"".join(path.read_bytes() for path in device.state.iterdir())
    for key in (MID_KEY, PCID_KEY):
        for secret in (key.k, key.opc):
            assert secret not in written
            assert secret.hex().encode() not in written
            assert repr(secret).encode() not in written


@pytest.mark.requirement("R13")
@pytest.mark.negative
def test_half_of_an_mmi_is_no_setting(device: TreProcess) -> None:
    device.stop()
    device.settings = {"mmi_socket": "mmi.sock"}
    device.listeners = {}
    with pytest.raises(AssertionError, match="expected both or none"):
        device.start()


def test_the_mmi_tells_when_no_tre_answers(device: TreProcess) -> None:
    device.stop()
    found = mmi(device, "pending", uid=MMI_UID)
    assert found.returncode == 4
    assert "no TRE answers" in found.stderr
