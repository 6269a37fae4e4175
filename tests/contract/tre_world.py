"""A TRE over a real TPM and real files, with the operators around it: from consent to authentication."""

import os
import time
from pathlib import Path

from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.boot_log import BootLogFile
from m2me_agent.tre.connected_tpm import EK_PROFILES, ConnectedTpm
from m2me_agent.tre.enrollment import key_access
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.operations import Operations
from m2me_agent.tre.rate_limit import RatePolicy
from m2me_agent.tre.state import Exchanges, TreState
from m2me_agent.tre.store import StateDirectory
from m2me_agent.tre.transports import SocketTpm
from m2me_agent.tre.wiring import Parts, wire
from messages.statement import Receipt, decode_receipt, decode_statement, verify_statement
from standards.tpm2.connection import TpmConnection
from standards.tpm2.policy import pcr_digest
from standards.tpm2.structures import PcrSelection
from tests.contract.tpm_devices import RunningTpm
from tests.fakes.network import RECEIPT_NONCE, Network, Parcel, Target, target_of
from tests.fakes.pki import Authority

SHA256 = 0x000B
SELECTIONS = {SHA256: tuple(range(8))}
SELECTED = (PcrSelection(bank=SHA256, indices=SELECTIONS[SHA256]),)
ROOT = Authority.root("operators' root")


class TreWorld:
    """One device: TPM, files, and the use cases, which may be started again."""

    def __init__(self, tpm: RunningTpm, folder: Path) -> None:
        self.tpm = tpm
        self.network = Network(root=ROOT)
        self.folder = folder / "state"
        self.folder.mkdir(mode=0o700)
        (folder / "boot.log").write_bytes(b"log")
        self._boot_log = folder / "boot.log"
        self.exchanges: list[bytes] = []
        self.power_on()
        self.operations.enrollment.begin()
        self.state.remember_exchanges(Exchanges(pcr_selections=SELECTIONS))

    def power_on(self) -> None:
        """Start the TPM and the TRE."""
        self.tpm.start()
        assert self.tpm.transport is not None
        self.tpm.transport.close()  # a TPM in software serves one connection at a time
        self._transport = SocketTpm(self.tpm.run_folder / "tpm")
        self.connection = TpmConnection(self._transmit, os.urandom, pause=time.sleep)
        self.start()

    def start(self) -> None:
        """Start the TRE over what is stored."""
        self.storage = StateDirectory.open(self.folder, owner_uid=os.geteuid())
        self.state = TreState(self.storage)
        self.device = ConnectedTpm(self.connection, profile=EK_PROFILES["ecc-p384"])
        self.device.take_over()
        parts = Parts(
            device=self.device,
            state=self.state,
            storage=self.storage,
            guard=ExchangeGuard(self.state, policy=RatePolicy(burst=100, interval_ms=1000)),
            anchors=Anchors(es_roots=(), operators_roots=(ROOT.certificate,)),
            random_bytes=os.urandom,
        )
        self.operations: Operations = wire(
            parts,
            boot_log=BootLogFile.open(self._boot_log),
            ima_log=None,
            purposes=frozenset({"validation"}),
            ownership=None,
        )

    def _transmit(self, command: bytes) -> bytes:
        response = self._transport.transmit(command)
        self.exchanges += [command, response]
        return response

    def reboot(self) -> None:
        """Orderly shutdown, power off, power on, and the vault as the TRE opens it at its start."""
        self.close()
        self.power_on()
        self.operations.open_vault()

    def close(self) -> None:
        """Orderly shutdown and power off."""
        self.connection.shutdown()
        self._transport.close()
        self.storage.close()
        self.tpm.stop()

    def extend(self, pcr: int) -> None:
        """Something else is measured."""
        self.connection.pcr_extend(pcr, digests={SHA256: b"\x01" * 32})

    @property
    def target(self) -> Target:
        """This device, as it is now."""
        return target_of(self.device, self.state, pcr_selections=SELECTIONS, pcr_digest=self.pcr_digest)

    @property
    def pcr_digest(self) -> bytes:
        """Of the selected registers."""
        return pcr_digest(SELECTED, self.connection.pcr_read_all(SELECTED))

    def agree(self) -> None:
        """Accept the present order, and consent to it."""
        accepted = self.operations.orders.accept(**self.network.accepting(self.target))  # type: ignore[arg-type] # by their names
        self.operations.orders.consent(accepted.digest)

    def install(self, parcel: Parcel) -> Receipt:
        """The receipt, verified as the DPF does."""
        encoded = self.operations.installation.install(
            package=parcel.package, delivery=parcel.delivery, content=parcel.content
        )
        access = key_access(self.state, self.device)
        body = verify_statement(
            decode_statement(encoded),
            nonce=RECEIPT_NONCE,
            ak_name=access.keys.ak.name,
            pcr_selections=SELECTIONS,
            pcr_digest=self.pcr_digest,
        )
        return decode_receipt(body)

    def installed(self) -> Receipt:
        """The present order, from consent to receipt."""
        self.agree()
        receipt = self.install(self.network.good_parcel(self.target))
        assert receipt.outcome == "installed", receipt.detail
        return receipt

    def states(self) -> list[str]:
        """Of all MIDs."""
        return [row["state"] for row in self.operations.mids.rows()]
