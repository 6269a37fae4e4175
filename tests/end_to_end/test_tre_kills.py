"""The TRE as a process with real files and a real TPM, killed without warning at drawn moments of its operations."""

import random
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from m2me_agent.agent.errors import AgentError
from m2me_agent.agent.tre_client import TreClient
from m2me_agent.tre_protocol import Operation
from messages.statement import decode_receipt, decode_statement
from tests.contract.tpm_devices import KINDS, manufactured
from tests.end_to_end.test_tre_subscription import target_of
from tests.end_to_end.tre_process import AGENT_UID, TreProcess, made
from tests.fakes.network import IMSI, MID_KEY, Network, vector

SEED, EXAMPLES = 20260601, 100
KILLS = 24 if settings().max_examples > EXAMPLES else 2
LONGEST_S = 0.12
"""A little longer than an operation takes."""


@pytest.fixture(params=KINDS)
def device(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TreProcess]:
    """Enrolled and validated once; its person has the agent's uid."""
    kind = str(request.param)
    with made((kind, manufactured(kind, tmp_path_factory)), tmp_path) as opened:
        opened.settings = {
            "mmi_socket": "mmi.sock",
            "mmi_uid": AGENT_UID,
            "rate.burst": 10_000,
            "rate.interval_ms": 1,
        }
        opened.listeners = {"socket": "tre.sock", "mmi_socket": "mmi.sock"}
        opened.start()
        opened.enroll()
        yield opened


def killed_during(
    device: TreProcess, operation: Operation, parameters: Mapping[str, Any], *, after_s: float
) -> None:
    """Ask, kill the process a moment later, and start it again."""

    def ask() -> None:
        with suppress(AgentError):
            device.client.ask(operation, parameters)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(after_s)
    device.stop(signal.SIGKILL)
    asking.join()
    device.start()


def rows(device: TreProcess) -> dict[str, str]:
    """Id and state of every MID."""
    return {row["mid_id"]: row["state"] for row in device.client.ask(Operation.MIDS)["mids"]}


@pytest.mark.requirement("R37")
@pytest.mark.timeout(1800)
def test_a_killed_process_comes_up_whole_and_goes_on(device: TreProcess) -> None:
    network = Network(root=device.operators_root)
    draw = random.Random(SEED)  # noqa: S311 - to be repeated
    person = TreClient(device.run / "mmi.sock", timeout_s=60)
    states: dict[str, str] = {}
    for number in range(1, KILLS + 1):
        network.number, mid_id = number, f"mid-{number}"
        accepting = network.accepting(target_of(device))
        killed_during(device, Operation.ACCEPT_ORDER, accepting, after_s=draw.uniform(0, LONGEST_S))
        accepted = device.client.ask(Operation.ACCEPT_ORDER, accepting)
        person.ask(Operation.CONSENT, {"order_digest": accepted["order_digest"]})
        target = target_of(device)
        parcel = network.good_parcel(target)
        package = {"package": parcel.package, "delivery": parcel.delivery, "content": parcel.content}
        killed_during(device, Operation.INSTALL, package, after_s=draw.uniform(0, LONGEST_S))
        assert rows(device) in (states, states | {mid_id: "INACTIVE"})
        receipt = decode_receipt(
            decode_statement(device.client.ask(Operation.INSTALL, package)["statement"]).body
        )
        assert receipt.outcome == "installed", receipt.detail
        states[mid_id] = "INACTIVE"
        assert rows(device) == states
        instruction = {"instruction": network.instruction(target, receipt.tre_nonce)}
        killed_during(device, Operation.INSTRUCT, instruction, after_s=draw.uniform(0, LONGEST_S))
        if rows(device)[mid_id] == "INACTIVE":
            device.client.ask(Operation.INSTRUCT, instruction)
        states[mid_id] = "ACTIVE"
        assert rows(device) == states
        assert_all_answer(device, states, seq=number * 1000)


def assert_all_answer(device: TreProcess, states: Mapping[str, str], *, seq: int) -> None:
    """Each MID answers a challenge of its operator, and a killed process does not answer it again."""
    for place, mid_id in enumerate(states):
        made_vector = vector(MID_KEY, seq=seq + place)
        challenge = {"rand": made_vector.rand, "autn": made_vector.autn}
        named = {"mid_id": mid_id, "application": IMSI, **challenge}
        assert device.client.ask(Operation.AUTHENTICATE, named)["res"] == made_vector.xres
    device.stop(signal.SIGKILL)
    device.start()
    assert "auts" in device.client.ask(Operation.AUTHENTICATE, named)
