"""A device whose power may go at any call: the real TRE over a software TPM and a disk that forgets.

The TRE's store sees `FaultyDisk` as its module `os`; the TPM is called without a socket. Both are values that can be put back, so
that one operation is cut at each of its calls, each time from the same beginning.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lab.software_tpm.software_tpm import SoftwareTpm
from lab.software_tpm.state import State
from lab.software_tpm.state_codec import decode_state
from lab.software_tpm.state_store import STATE_FILE, MemoryStore
from m2me_agent.tre import store
from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.boot_log import BootLogFile
from m2me_agent.tre.connected_tpm import EK_PROFILES, ConnectedTpm
from m2me_agent.tre.enrollment import identity, key_access
from m2me_agent.tre.errors import NotEnrolledError, TreError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.operations import Operations
from m2me_agent.tre.rate_limit import RatePolicy
from m2me_agent.tre.state import TreState
from m2me_agent.tre.store import StateDirectory
from m2me_agent.tre.usim import NetworkChallenge
from m2me_agent.tre.vault_record import Installed
from m2me_agent.tre.wiring import Parts, wire
from messages.enrollment import EnrollmentChallenge
from messages.statement import Receipt, decode_receipt, decode_statement, verify_statement
from standards.pki.extensions import ExpectedSystemState
from standards.tpm2.connection import TpmConnection
from standards.tpm2.credential import make_credential
from standards.tpm2.policy import pcr_digest
from standards.tpm2.structures import PcrSelection
from tests.fakes.faulty_disk import DIRECTORY, OWNER, FaultyDisk, PowerCutError
from tests.fakes.network import (
    IMSI,
    MID_KEY,
    NEXT_MANIFEST,
    RECEIPT_NONCE,
    Network,
    Parcel,
    Target,
    target_of,
    vector,
)
from tests.fakes.pki import Authority
from tests.fakes.software_tpm import CountedBytes, StandingClock
from tests.fakes.tre import NONCE, Signer, make_challenge, platform_credential

SHA256 = 0x000B
SELECTIONS = {SHA256: tuple(range(8))}
SELECTED = (PcrSelection(bank=SHA256, indices=SELECTIONS[SHA256]),)
ES_ROOT = Authority.root("ES root")
ISSUING_CA = ES_ROOT.subordinate("issuing CA", path_length=0)
OPERATORS_ROOT = Authority.root("operators' root")
MOVED = 4
"""The register that an update moves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Disk and TPM, to be put back."""

    files: dict[str, bytes]
    tpm: State
    is_next: bool
    seq: int
    number: int


@dataclass(slots=True)
class Fuse:
    """Counts calls of disk and TPM, and ends one of them: before it is done or, for a TPM, after it."""

    left: int = 0
    is_after: bool = False
    error: BaseException | None = None
    action: Callable[[], None] | None = None
    calls: list[str] = field(default_factory=list)

    def arm(
        self,
        number: int,
        *,
        is_after: bool = False,
        error: BaseException | None = None,
        action: Callable[[], None] | None = None,
    ) -> None:
        """End call `number`, from 1, with an error or a cut; or do something before it. 0: only count."""
        self.left, self.is_after, self.error, self.action = number, is_after, error, action
        self.calls = []

    def before(self, call: str) -> None:
        """One more call."""
        self.calls.append(call)
        self.left -= 1
        if self.left == 0 and not (self.is_after and call.startswith("TPM")):
            if self.action is None:
                raise self.error or PowerCutError(call)
            self.action()

    def after(self, call: str) -> None:
        """It was done."""
        if self.left == 0 and self.is_after:
            self.left = -1
            raise self.error or PowerCutError(call)


@dataclass(kw_only=True)
class FaultyDevice:
    """One device with its operators; `is_next` says which release is booted."""

    folder: Path
    manufactured: Path
    network: Network = field(default_factory=lambda: Network(root=OPERATORS_ROOT))
    disk: FaultyDisk = field(default_factory=FaultyDisk)
    fuse: Fuse = field(default_factory=Fuse)
    clock: StandingClock = field(default_factory=StandingClock)
    random_bytes: CountedBytes = field(default_factory=CountedBytes)
    is_next: bool = False
    seq: int = 0

    def __post_init__(self) -> None:
        self.pva = Signer.under(OPERATORS_ROOT)
        self.disk.before = self.fuse.before
        self._store = MemoryStore(decode_state((self.manufactured / STATE_FILE).read_bytes()))
        (self.folder / "boot.log").write_bytes(b"log")
        self.power_on()

    # power

    def power_on(self) -> None:
        """TPM reset, measured boot, the TRE as its process starts."""
        self.fuse.arm(0)
        self.tpm = SoftwareTpm(self._store, random_bytes=self.random_bytes, clock=self.clock)
        self.connection = TpmConnection(self._transmit, self.random_bytes, pause=lambda _s: None)
        if self.is_next:
            self.connection.pcr_extend(MOVED, digests={SHA256: b"\x01" * 32})
        self.start()

    def boot(self, *, is_next: bool) -> None:
        """Reboot into a release, and open the vault."""
        self.is_next = is_next
        self.power_on()
        self.open_vault()

    def reset_tpm(self) -> None:
        """The TPM alone loses power, and firmware measures again; the TRE goes on without knowing."""
        self.tpm = SoftwareTpm(self._store, random_bytes=self.random_bytes, clock=self.clock)
        if self.is_next:
            firmware = TpmConnection(self.tpm.execute, self.random_bytes)
            firmware.pcr_extend(MOVED, digests={SHA256: b"\x01" * 32})

    def start(self) -> None:
        """Start the TRE over what is stored; the TPM goes on."""
        storage = StateDirectory(DIRECTORY, owner_uid=OWNER)
        self.state = TreState(storage)
        self.device = ConnectedTpm(self.connection, profile=EK_PROFILES["ecc-p384"])
        self.device.take_over()
        self.operations: Operations = wire(
            Parts(
                device=self.device,
                state=self.state,
                storage=storage,
                guard=ExchangeGuard(self.state, policy=RatePolicy(burst=10_000, interval_ms=1)),
                anchors=Anchors(
                    es_roots=(ES_ROOT.certificate,), operators_roots=(OPERATORS_ROOT.certificate,)
                ),
                random_bytes=self.random_bytes,
            ),
            boot_log=BootLogFile.open(self.folder / "boot.log"),
            ima_log=None,
            purposes=frozenset({"validation"}),
            ownership=None,
        )

    def open_vault(self) -> None:
        """As the process does when it has started."""
        try:
            self.operations.open_vault()
        except NotEnrolledError:
            return

    def cut(self, *, keeps_unsynced: bool, resets_tpm: bool = True) -> None:
        """Power is gone and comes again; or the process alone was killed."""
        self.disk.lose_power(keeps_unsynced=keeps_unsynced)
        if resets_tpm:
            self.power_on()
        else:
            self.fuse.arm(0)
            self.start()
        self.open_vault()

    def moment(self) -> Moment:
        """Everything that survives a loss of power, now."""
        state = self._store.load()
        assert state is not None
        return Moment(
            files=self.disk.content(),
            tpm=state,
            is_next=self.is_next,
            seq=self.seq,
            number=self.network.number,
        )

    def back_to(self, moment: Moment) -> None:
        """As it was then, after a reboot."""
        self.disk.restore(moment.files)
        self._store.save(moment.tpm)
        self.is_next, self.seq, self.network.number = moment.is_next, moment.seq, moment.number
        self.power_on()
        self.open_vault()

    def _transmit(self, command: bytes) -> bytes:
        call = f"TPM 0x{command[6:10].hex()}"
        self.fuse.before(call)
        response = self.tpm.execute(command)
        self.fuse.after(call)
        return response

    # what others bring

    @property
    def target(self) -> Target:
        """This device as it is."""
        return target_of(self.device, self.state, pcr_selections=SELECTIONS, pcr_digest=self.pcr_digest)

    @property
    def pcr_digest(self) -> bytes:
        """Of the selected registers."""
        return pcr_digest(SELECTED, self.connection.pcr_read_all(SELECTED))

    def instruction(self) -> str:
        """The owner's, for the first MID."""
        return self.network.instruction(self.target, self.row("mid-1").tre_nonce, mid_id="mid-1")

    def row(self, mid_id: str) -> Installed:
        """What the journal has about a MID."""
        access = key_access(self.state, self.device)
        return next(row for _, row in self.operations.mids.vault.journal(access) if row.mid_id == mid_id)

    def following(self) -> Target:
        """This device as it will be after the update, at the counter of now."""
        target, moment = self.target, self.moment()
        self.boot(is_next=True)
        digest = self.pcr_digest
        self.back_to(moment)
        return replace(target, state=replace(target.state, pcr_digest=digest))

    def challenge(self) -> str:
        """A PVA's."""
        return self.pva.sign(make_challenge(self.target.device_id, selections=SELECTIONS))

    def enrollment_challenge(self) -> bytes:
        """A CA's, for these keys."""
        keys = key_access(self.state, self.device).keys
        credential = make_credential(
            keys.ek,
            object_name=keys.ak.name,
            secret=b"s" * 32,
            seed=b"",
            ephemeral=ec.generate_private_key(ec.SECP384R1()),
        )
        return EnrollmentChallenge(
            session_id=bytes(16),
            id_object=credential.id_object,
            encrypted_secret=credential.encrypted_secret,
            nonce=NONCE,
        ).encode()

    def credential(self, *, of_next: bool = False) -> bytes:
        """What the CA issues: for the first manifest, or for the next."""
        keys = key_access(self.state, self.device).keys
        key: Any = keys.ak.public_key()
        digest = NEXT_MANIFEST if of_next else b"\x01" * 32
        expected = ExpectedSystemState(manifest_digest=digest, manifest_id="m", svn=2 if of_next else 1)
        return platform_credential(ISSUING_CA, key=key, device_id=identity(keys.ek), expected_state=expected)

    def enroll(self) -> None:
        """Enrolled, and validated once."""
        self.operations.enrollment.begin()
        self.operations.enrollment.activate(self.enrollment_challenge())
        self.operations.enrollment.install(self.credential())
        self.operations.attestation.attest(self.challenge())

    # what is seen

    def registry(self) -> list[tuple[str, str]]:
        """Id and state of every MID."""
        try:
            return [(row["mid_id"], row["state"]) for row in self.operations.mids.rows()]
        except NotEnrolledError:
            return []

    def usable(self) -> list[str]:
        """The MIDs that answer a fresh challenge of their operator, as it expects."""
        return [mid_id for mid_id, _ in self.registry() if self.answers(mid_id)]

    def answers(self, mid_id: str) -> bool:
        """Whether this one does, once a person has selected it."""
        self.seq += 100  # beyond a block that a restart left out
        made = vector(MID_KEY, seq=self.seq)
        try:
            self.operations.mids.select(mid_id=mid_id, application=IMSI)
            found = self.operations.mids.authenticate(
                NetworkChallenge(rand=made.rand, autn=made.autn), mid_id=mid_id, application=IMSI
            )
        except TreError:
            return False
        assert found == {"res": made.xres, "ck": made.ck, "ik": made.ik}
        return True

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


@contextmanager
def faulty_device(folder: Path, manufactured: Path) -> Iterator[FaultyDevice]:
    """A device whose store writes to its disk."""
    disk = FaultyDisk()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "os", disk)
        yield FaultyDevice(folder=folder, manufactured=manufactured, disk=disk)
