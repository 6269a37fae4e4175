"""What the unit tests of the fourteen steps share: an enrolled device, its operators, and how they go on."""

from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from m2me_agent.tre.mid_rules import FULL_RULES, Rules
from m2me_agent.tre.operations import MmiOperations
from messages.approval import ApprovedState
from messages.erasure import Erasure, decode_erasure
from messages.mid_content import MidContent
from messages.registry import REGISTRY_BODY_BYTES_MAX, RegistryReport, decode_report
from messages.statement import Receipt, decode_receipt, decode_statement, verify_statement
from tests.fakes.network import PROOF_NONCE, QUERY_NONCE, RECEIPT_NONCE, Network, Parcel, Target
from tests.fakes.pki import Authority
from tests.fakes.tpm_device import FakeTpmDevice
from tests.fakes.tre import Device, MemoryStorage

SELECTIONS = {0x000B: (0, 1, 4, 7)}
ES_ROOT = Authority.root("ES root")
OPERATORS_ROOT = Authority.root("operators' root")
MAKER = Authority.root("TPM maker")
NETWORK = Network(root=OPERATORS_ROOT)


_ENROLLED: dict[str, FakeTpmDevice | dict[str, bytes]] = {}
"""One device as it is after enrolment and one validation: most tests begin there, and each with a copy."""


@dataclass(kw_only=True)
class World:
    """One device that was enrolled and has answered a challenge; a twin is another device of the same maker."""

    folder: Path
    ownership: str | None = None
    rules: Rules = FULL_RULES
    is_twin: bool = False

    def __post_init__(self) -> None:
        self.network = copy(NETWORK)
        if self.is_twin:
            self.tpm, self.storage = FakeTpmDevice(maker=MAKER), MemoryStorage()
            self._enroll()
            return
        if not _ENROLLED:
            first = World(folder=self.folder, is_twin=True)
            _ENROLLED.update(tpm=first.tpm, records=first.storage.records)
        tpm, records = _ENROLLED["tpm"], _ENROLLED["records"]
        assert isinstance(tpm, FakeTpmDevice)
        assert isinstance(records, dict)
        self.tpm = replace(tpm, vault_keys={}, vault_counters={}, imported={})
        self.storage = MemoryStorage()
        self.storage.records = dict(records)
        self.device = self._device()

    def _device(self) -> Device:
        return Device(
            folder=self.folder,
            es_root=ES_ROOT,
            operators_root=OPERATORS_ROOT,
            tpm=self.tpm,
            storage=self.storage,
            ownership=self.ownership,
            rules=self.rules,
        )

    def _enroll(self) -> None:
        self.device = self._device()
        self.device.enroll()
        challenge = self.device.challenge(selections=SELECTIONS)
        self.device.attestation.attest(self.device.pva.sign(challenge))

    @property
    def target(self) -> Target:
        """This device in its present state."""
        keys = self.tpm.keys
        return Target(
            device_id=self.device.device_id.hex(),
            ak_name=keys.ak.name,
            storage=keys.storage,
            state=ApprovedState(
                pcr_selections=SELECTIONS,
                pcr_digest=self.tpm.pcr_digest(SELECTIONS),
                counter_name=keys.counter.name,
                counter=self.tpm.counter_value,
            ),
        )

    @property
    def mmi(self) -> MmiOperations:
        """The person's operations."""
        return MmiOperations(orders=self.device.operations.orders, mids=self.device.operations.mids)

    def restart(self) -> None:
        """Start the TRE again: what is stored, and the TPM, survive."""
        self.device.start()
        self.device.operations.open_vault()

    def agree(self) -> None:
        """Accept the present order, and consent to it."""
        accepted = self.device.operations.orders.accept(**self.network.accepting(self.target))  # type: ignore[arg-type] # by their names
        self.device.operations.orders.consent(accepted.digest)

    def install(self, parcel: Parcel) -> Receipt:
        """The receipt, verified as the DPF does."""
        encoded = self.device.operations.installation.install(
            package=parcel.package, delivery=parcel.delivery, content=parcel.content
        )
        statement = decode_statement(encoded)
        body = verify_statement(
            statement,
            nonce=RECEIPT_NONCE,
            ak_name=self.target.ak_name,
            pcr_selections=SELECTIONS,
            pcr_digest=self.tpm.pcr_digest(SELECTIONS),
        )
        return decode_receipt(body)

    def report(self) -> RegistryReport:
        """What this TRE says of the operator's MIDs, verified as the operator does."""
        encoded = self.device.operations.registry.report(self.network.query(self.target))
        body = self._verified(encoded, nonce=QUERY_NONCE)
        return decode_report(body)

    def erase(self, token: str) -> Erasure:
        """The proof, verified as the operator does."""
        encoded = self.device.operations.erasures.erase(token)
        return decode_erasure(self._verified(encoded, nonce=PROOF_NONCE))

    def instructed(self, action: str, **changed: Any) -> str:
        """The state of the present MID after an instruction that answers a fresh report."""
        token = self.network.instruction(self.target, self.report().tre_nonce, action=action, **changed)
        return self.device.operations.mids.instruct(token).state.value

    def _verified(self, encoded: bytes, *, nonce: bytes) -> bytes:
        return verify_statement(
            decode_statement(encoded, body_bytes_max=REGISTRY_BODY_BYTES_MAX),
            nonce=nonce,
            ak_name=self.target.ak_name,
            pcr_selections=SELECTIONS,
            pcr_digest=self.tpm.pcr_digest(SELECTIONS),
        )

    def brought(self, content: MidContent | None = None) -> Receipt:
        """The present order with this content, from consent to receipt, whatever comes of it."""
        self.agree()
        return self.install(self.network.parcel(*self.network.package(self.target, content=content)))

    def installed(self, content: MidContent | None = None) -> Receipt:
        """The present order, from consent to receipt."""
        receipt = self.brought(content)
        assert receipt.outcome == "installed", receipt.detail
        return receipt

    def active(self, content: MidContent | None = None) -> None:
        """The present order, to its end."""
        receipt = self.installed(content)
        self.device.operations.mids.instruct(self.network.instruction(self.target, receipt.tre_nonce))
