"""The DPF's counterparts in memory: a PVA that answers when told to, a responder, an SHO that may be away."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

import sqlalchemy as sa

from edge.database import engine_for, transaction
from edge.process import system_random
from messages.validation_request import SignedRequest
from operators.dpf import schema
from operators.dpf.authorizations import AuthorizationDesk
from operators.dpf.credential import PlatformCredential
from operators.dpf.device_state_store import DeviceStates
from operators.dpf.device_states import StateDesk
from operators.dpf.drafts import Drafts
from operators.dpf.receipts import NotTakenError, ReceiptDesk
from operators.dpf.records import ReceiptRecord
from operators.dpf.refusals import RefusalCode, RefusalError
from operators.dpf.release import ReleaseDesk
from operators.dpf.results import ResultDesk
from operators.dpf.store import Store
from standards.pki.ocsp_answer import CertStatus
from tests.fakes.dpf_world import DpfWorld
from tests.fakes.pva_world import good


@dataclass
class FakePva:
    """Takes the DPF's questions; `answers` by request id; silent while `away`."""

    world: DpfWorld
    asked: dict[str, SignedRequest] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    away: bool = False

    def submit(self, pva: str, request: str) -> str:
        assert pva == "pva-1"
        self._speak()
        question = self.world.asked(request)
        request_id = self.tokens.setdefault(request, f"request-{len(self.tokens) + 1}")
        self.asked[request_id] = question
        return request_id

    def answer(self, pva: str, request_id: str) -> str | None:
        assert pva == "pva-1"
        self._speak()
        return self.answers.get(request_id)

    def _speak(self) -> None:
        if self.away:
            raise RefusalError(RefusalCode.PVA_UNAVAILABLE, subject="PVA pva-1", reason="silence")


@dataclass
class FakeSho:
    """Takes receipts unless it is away."""

    instruction: str | None = "an instruction"
    away: bool = False
    brought: list[ReceiptRecord] = field(default_factory=list)

    def bring_receipt(self, receipt: ReceiptRecord) -> str | None:
        if self.away:
            raise NotTakenError(receipt.sho)
        self.brought.append(receipt)
        return self.instruction


@cache
def _engine() -> sa.Engine:
    """One store in memory for all tests of a process: statements are compiled once."""
    engine = engine_for("sqlite://")
    schema.metadata.create_all(engine)
    return engine


def empty_engine() -> sa.Engine:
    """The store without a row."""
    with transaction(_engine()) as connection:
        for table in reversed(schema.metadata.sorted_tables):
            connection.execute(sa.delete(table))
    return _engine()


class DpfRoom:
    """A DPF over a store in memory, with its counterparts."""

    def __init__(self, world: DpfWorld, *, engine: sa.Engine | None = None) -> None:
        """Everything open, nothing authorised; `engine` a migrated store instead of the one in memory."""
        self.world, self.pva, self.sho = world, FakePva(world), FakeSho()
        self.status: CertStatus | RefusalError | None = None
        self.random_bytes = system_random
        self.engine = engine or empty_engine()
        self.suppliers = [world.recognised()]
        self.store = Store(self.engine, random_bytes=self.random_bytes)
        self.states = DeviceStates(self.engine, random_bytes=self.random_bytes)

    def status_of(self, credential: PlatformCredential) -> CertStatus:
        """What the supplier's responder says; good unless a test has set `status`."""
        assert credential.certificate == self.world.credential
        if isinstance(self.status, RefusalError):
            raise self.status
        return self.status or good(self.world.at, life=timedelta(hours=1))

    @property
    def authorizations(self) -> AuthorizationDesk:
        """Where SHOs authorise."""
        return AuthorizationDesk(store=self.store, trust=self.world.trust)

    @property
    def results(self) -> ResultDesk:
        """Where PVAs push."""
        return ResultDesk(store=self.store, trust=self.world.trust)

    @property
    def watched(self) -> StateDesk:
        """Where PVAs tell of the state of devices."""
        return StateDesk(store=self.states, trust=self.world.trust)

    @property
    def releases(self) -> ReleaseDesk:
        """The gate's use case; a new one every time, as after a restart."""
        return ReleaseDesk(
            store=self.store,
            validation=self.pva,
            status_of=self.status_of,
            states=self.states,
            trust=self.world.trust,
            suppliers=self.suppliers,
            drafts=Drafts(
                signer=self.world.dpf,
                random_bytes=self.random_bytes,
                validation_life=timedelta(minutes=5),
                grant_life=timedelta(minutes=4),
            ),
            pause=timedelta(seconds=1),
            chunk_bytes=1000,
        )

    @property
    def receipts(self) -> ReceiptDesk:
        """Where receipts come."""
        return ReceiptDesk(store=self.store, operators=self.sho, trust=self.world.trust)
