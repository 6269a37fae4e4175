"""A DRF over a store in memory, with counterparts that answer as a test says."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

import sqlalchemy as sa

from edge.database import engine_for, transaction
from edge.process import system_random
from messages.attachment import request_mac
from operators.drf import schema
from operators.drf.attachments import Attachment, AttachmentDesk, DeviceRequest
from operators.drf.discovery import DiscoveryDesk, HomeOperator
from operators.drf.refusals import RefusalCode, RefusalError
from operators.drf.registrations import RegistrationDesk, RegistrationWish
from operators.drf.relay import RelayDesk, Relayed, RelayedAnswer
from operators.drf.store import Store
from standards.pki import oids
from tests.fakes.dpf_world import signer_of
from tests.fakes.pki import NOW, Authority

PCID = "262019999000001"
KEY = b"\x4b" * 32
DEVICE = "d1" * 32
OPERATORS_ROOT = Authority.root("operators' root")
SIGNER = signer_of(OPERATORS_ROOT, "drf", "drf-1", oids.EKU_DISCOVERY)
KNOWN = {
    name: HomeOperator(
        id=name, name=f"Operator {name}", pva_url=f"https://pva.{name}", dpf_url=f"https://dpf.{name}"
    )
    for name in ("sho-1", "sho-2")
}
ATTACHMENT = Attachment(
    pcid=PCID, icf="icf-1", serving_network="26201", key=KEY, expires_at=NOW + timedelta(hours=1)
)


def proven(
    *, body: bytes = b"{}", path: str = "/v1/discovery", key: bytes = KEY, pcid: str = PCID
) -> DeviceRequest:
    """A request with its proof."""
    mac = request_mac(key, method="POST", path=path, body=body)
    return DeviceRequest(pcid=pcid, mac=mac, method="POST", path=path, body=body)


@dataclass
class FakeOperators:
    """SHOs that answer registrations."""

    asked: list[RegistrationWish] = field(default_factory=list)
    away: bool = False
    always: str | None = None

    def register(self, wish: RegistrationWish) -> str:
        if self.away:
            raise RefusalError(RefusalCode.SHO_UNAVAILABLE, subject=wish.sho, reason="silence")
        self.asked.append(wish)
        return self.always or f"order token {len(self.asked)}"


@dataclass
class FakeVerifiers:
    """A PVA as a relay sees it: the same token gets the same id."""

    handed_in: dict[str, str] = field(default_factory=dict)

    def hand_in(self, sho: str, token: str) -> Relayed:
        request_id = self.handed_in.setdefault(token, f"request-{len(self.handed_in) + 1}")
        return Relayed(request_id=request_id, sho=sho, expires_at=NOW + timedelta(minutes=5))

    def answer(self, sho: str, request_id: str) -> RelayedAnswer:
        del sho
        return RelayedAnswer(request_id=request_id, state="completed", outcome="pass", sealed="a JWE")


@cache
def _engine() -> sa.Engine:
    """One store in memory for all tests of a process: statements are compiled once."""
    engine = engine_for("sqlite://")
    schema.metadata.create_all(engine)
    return engine


class DrfRoom:
    """All use cases."""

    def __init__(self, *, engine: sa.Engine | None = None) -> None:
        """Nobody is attached, nothing is ordered; `engine` a migrated store instead of the one in memory."""
        self.engine = engine or _engine()
        with transaction(self.engine) as connection:
            for table in schema.metadata.sorted_tables:
                connection.execute(sa.delete(table))
        self.store = Store(self.engine, random_bytes=system_random)
        self.operators, self.verifiers = FakeOperators(), FakeVerifiers()
        self.attachments = AttachmentDesk(store=self.store, life_max=timedelta(days=1))
        self.discovery = DiscoveryDesk(
            store=self.store,
            operators=KNOWN,
            defaults={"Acme": "sho-2", "Other": "sho-9"},
            signer=SIGNER,
            order_life=timedelta(days=30),
            answer_life=timedelta(minutes=10),
        )
        self.registrations = RegistrationDesk(
            store=self.store, operators=self.operators, known=frozenset(KNOWN)
        )
        self.relay = RelayDesk(store=self.store, verifiers=self.verifiers)
