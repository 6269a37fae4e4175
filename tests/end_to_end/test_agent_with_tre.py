"""The agent's journey with a real TRE process: operators sign for real, a person consents, and both are killed."""

import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from m2me_agent.agent.attachment import AkaChallenge, Attachment
from m2me_agent.agent.attestation import NOTHING_ASKED, Verdict
from m2me_agent.agent.download import Grant, ReceiptAnswer
from m2me_agent.agent.journey import Arrival, Travelling, provision
from m2me_agent.agent.ports import Device, Pace, Patience, Tre
from m2me_agent.agent.registration import Wishes
from m2me_agent.agent.shelf import DiskShelf
from m2me_agent.tre_protocol import Operation
from messages.bearer import Bearer
from messages.discovery import DISCOVERY_KIND
from messages.evidence import decode_evidence
from messages.order import ORDER_KIND
from messages.statement import INSTALLED
from standards.aka.sequence import parts_of
from standards.aka.vectors import verify_auts
from tests.contract.tpm_devices import manufactured
from tests.end_to_end.test_tre_subscription import MMI_UID, mmi, receipt_of, target_of
from tests.end_to_end.tre_process import STRICT, TreProcess, made
from tests.fakes.journey_world import KilledError, refused
from tests.fakes.network import PCID_KEY, Network, Target, vector

CHUNK_BYTES = 64


class Operators:
    """VNO, DRF, PVA and DPF of one device: they sign for real and do everything once."""

    def __init__(self, device: TreProcess, network: Network, target: Target) -> None:
        self.device = device
        self.network = network
        self.target = target
        self.parcel = network.good_parcel(target)
        self.asked_by: list[str] = []
        self.validated: set[str] = set()
        self.registered = self.delivering = False
        self.seq = self.seconds = self.grants = self.resynchronised = 0
        self.outcomes: list[str] = []

    def attach(self, identity: str) -> AkaChallenge:
        assert identity.endswith("3gppnetwork.org")
        return self._challenge(self.seq + 1)

    def resynchronise(self, session: str, *, auts: bytes) -> AkaChallenge:
        rand = vector(PCID_KEY, seq=int(session)).rand
        highest, _ = parts_of(verify_auts(PCID_KEY, rand=rand, auts=auts))
        self.resynchronised += 1
        return self._challenge(highest + 1)

    def _challenge(self, seq: int) -> AkaChallenge:
        self.seq = seq
        made_by_icf = vector(PCID_KEY, seq=seq)
        return AkaChallenge(session=str(seq), rand=made_by_icf.rand, autn=made_by_icf.autn)

    def respond(self, session: str, *, res: bytes) -> Bearer:
        assert res == vector(PCID_KEY, seq=int(session)).xres
        return Bearer(
            id=session,
            secret="-",  # noqa: S106 - of a test
            gateway="g:1",
            apn="m2m",
            destinations=("d:1",),
            quota_bytes=1,
            expires_at=datetime(2027, 1, 1, tzinfo=UTC),
        )

    def drf(self, _: Attachment) -> "Operators":
        return self

    def pva(self, _: Attachment, url: str) -> "Operators":
        assert url == "https://pva.example"
        return self

    def dpf(self, _: Attachment, url: str) -> "Operators":
        assert url == "https://dpf.example"
        return self

    def discover(self, device: Device, *, nonce: bytes, wishes: Wishes) -> str:
        assert (device.device_id, wishes.choice) == (self.target.device_id, None)
        found = replace(self.network.discovery(self.target), nonce=nonce)
        return self.network.drf.sign(found.claims(), typ=DISCOVERY_KIND.typ)

    def register(self, device: Device, *, sho: str, idempotency_key: str) -> str:
        assert device.ak_public
        assert (sho, len(idempotency_key)) == (self.network.sho.issuer, 32)
        if not self.registered:
            self.registered = True
            self.asked_by.append("sho")
        return self.network.sho.sign(self.network.order(self.target).claims(), typ=ORDER_KIND.typ)

    def challenge(self, device_id: str) -> str:
        if not self.asked_by:
            raise refused(NOTHING_ASKED)
        assert device_id == self.target.device_id
        self.seconds += 1
        return self.device.token(seconds=self.seconds)

    def submit(self, evidence: bytes) -> Verdict:
        assert decode_evidence(evidence).pfc_chain
        by = self.asked_by.pop(0)
        self.validated.add(by)
        return Verdict(result_id=f"result for {by}", status="affirming")

    def request(self, device: Device, *, order_digest: bytes) -> str:
        assert device.pfc_chain
        assert order_digest == self.network.order(self.target).digest
        if "sho" not in self.validated:
            raise refused("nothing-authorized")
        if not self.delivering:
            self.delivering = True
            self.asked_by.append("dpf")
        return "delivery-1"

    def granted(self, delivery_id: str, *, order_digest: bytes) -> Grant | None:
        if "dpf" not in self.validated:
            return None
        self.grants += 1
        return Grant(
            order_digest=order_digest,
            delivery_id=delivery_id,
            package=self.parcel.package,
            delivery=self.parcel.delivery,
            content_size=len(self.parcel.content),
        )

    def content(self, delivery_id: str, *, offset: int) -> bytes:
        assert delivery_id == "delivery-1"
        return self.parcel.content[offset : offset + CHUNK_BYTES]

    def receipt(self, delivery_id: str, statement: bytes) -> ReceiptAnswer:
        assert delivery_id == "delivery-1"
        receipt = receipt_of(statement, self.target)
        self.outcomes.append(receipt.outcome)
        instruction = self.network.instruction(self.target, receipt.tre_nonce) if receipt.installed else None
        return ReceiptAnswer(outcome=receipt.outcome, instruction=instruction)


class KilledAfter:
    """A TRE whose agent is killed once it has done one operation."""

    def __init__(self, tre: Tre, operation: Operation) -> None:
        self.tre = tre
        self.operation = operation

    def ask(self, operation: Operation, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        result = self.tre.ask(operation, parameters)
        if operation is self.operation:
            raise KilledError
        return result


@pytest.fixture
def device(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TreProcess]:
    with made(("software", manufactured("software", tmp_path_factory)), tmp_path) as opened:
        opened.settings = {"mmi_socket": "mmi.sock", "mmi_uid": MMI_UID}
        opened.program = ["-c", STRICT.format(module="m2me_agent.tre.app")]
        opened.listeners = {"socket": "tre.sock", "mmi_socket": "mmi.sock"}
        opened.start()
        opened.enroll()
        yield opened


def travel(operators: Operators, folder: Path, *, tre: Tre | None = None) -> tuple[Arrival, list[str]]:
    """One agent's journey, and what it told."""
    events: list[str] = []

    def tell(step: int, event: str, **_: str | int) -> None:
        events.append(f"{step} {event}")

    way = Travelling(
        tre=tre or operators.device.client,
        network=operators,
        services=operators,
        shelf=DiskShelf(folder),
        random_bytes=bytes,
        pace=Pace(patience=Patience(total_s=5), sleep=lambda _: None, tell=tell),
    )
    return provision(way, Wishes(consent=Patience(first_s=1, total_s=2))), events


@pytest.mark.requirement("R07", "R12", "R31", "R55", "R97")
def test_a_person_consents_agent_and_tre_are_killed_and_one_subscription_is_active(
    device: TreProcess, tmp_path: Path
) -> None:
    network, target = Network(root=device.operators_root), target_of(device)
    token = network.connectivity_token(network.connectivity(target))
    device.client.ask(Operation.INSTALL_CONNECTIVITY, {"token": token})
    operators, folder = Operators(device, network, target), tmp_path / "downloads"
    folder.mkdir()
    # nobody has agreed yet
    arrival, events = travel(operators, folder)
    assert (arrival.outcome, arrival.sho_name) == ("awaiting-consent", "Example Mobile")
    assert "7 needs-registration" in events
    assert operators.validated == set()
    # a person agrees; the agent is killed when the TRE has installed, and so is the TRE
    assert mmi(device, "consent", arrival.order_code).returncode == 0
    with pytest.raises(KilledError):
        travel(operators, folder, tre=KilledAfter(device.client, Operation.INSTALL))
    device.stop(signal.SIGKILL)
    device.start()
    assert [row["state"] for row in device.client.ask(Operation.MIDS)["mids"]] == ["INACTIVE"]
    assert operators.outcomes == []
    # another agent goes on: no new order, no new grant, no second installation
    arrival, events = travel(operators, folder)
    assert (arrival.outcome, arrival.mid_id) == ("active", "mid-1")
    assert "7 registered" not in events
    assert (operators.outcomes, operators.grants) == ([INSTALLED], 1)
    # a TRE that was killed counts every number of its block as used
    assert operators.resynchronised == 1
    assert [row["state"] for row in device.client.ask(Operation.MIDS)["mids"]] == ["ACTIVE"]
    assert list(folder.iterdir()) == []
    assert travel(operators, folder) == (Arrival(outcome="active", mid_id="mid-1"), [])


@pytest.mark.requirement("R31")
@pytest.mark.negative
def test_a_package_that_was_changed_on_the_way_is_refused_by_the_tre_and_receipted(
    device: TreProcess, tmp_path: Path
) -> None:
    network, target = Network(root=device.operators_root), target_of(device)
    token = network.connectivity_token(network.connectivity(target))
    device.client.ask(Operation.INSTALL_CONNECTIVITY, {"token": token})
    operators, folder = Operators(device, network, target), tmp_path / "downloads"
    folder.mkdir()
    arrival, _ = travel(operators, folder)
    assert mmi(device, "consent", arrival.order_code).returncode == 0
    header, content = network.package(target)
    operators.parcel = network.parcel(header, content, device_id="d2" * 32)
    arrival, events = travel(operators, folder)
    assert arrival.outcome == "package-refused"
    assert operators.outcomes == ["package-refused"]
    assert "14 instructed" not in events
    assert device.client.ask(Operation.MIDS)["mids"] == []
