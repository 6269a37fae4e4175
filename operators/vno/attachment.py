"""Attachment of a device that has no subscription yet: AKA with its PCID, then a bearer (steps 1 to 4; R01-R02, R84-R90).

Rule: vectors come from the ICF of the PCID's home network, and from nobody else; nothing is forwarded before RES is
right. The ICF hears of the attachment before the device gets its bearer: whoever has one is known at the DRF.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Protocol

from clients.icf import BearerTerms, IcfAnswerError, Resynchronisation, VectorBatch
from edge.http_client import HttpError, UnreachableError
from edge.process import RandomBytes
from edge.refused import RefusedError
from messages.attachment import read_nai
from messages.errors import MessageError
from operators.vno.bearers import Bearer, new_credentials, secret_digest
from operators.vno.refusals import RefusalCode, refuse
from operators.vno.routing import Network, network_of
from operators.vno.sessions import Session, Sessions
from standards.aka.vectors import is_response

_SESSION_ID_BYTES = 16
_UNKNOWN = (RefusalCode.IDENTITY_UNKNOWN, "the home network knows no such identity")
_NOT_ACTIVE = (RefusalCode.IDENTITY_NOT_ACTIVE, "the home network has not activated this subscription")
_AUTS = (RefusalCode.AUTS_REFUSED, "the home network refused the resynchronisation")
_TOLD: Mapping[str, tuple[RefusalCode, str]] = {
    "unknown-subscriber": _UNKNOWN,
    "subscription-unknown": _UNKNOWN,
    "subscription-not-active": _NOT_ACTIVE,
    "auts-invalid": _AUTS,
    "rand-not-issued": _AUTS,
    "resynchronisation-invalid": _AUTS,
}
"""Problem types of ICF and AuC, and what the device is told."""


class HomeNetwork(Protocol):
    """An ICF (`clients.icf.IcfClient`)."""

    def authentication_vectors(
        self, pcid: str, *, serving_network: str, resynchronisation: Resynchronisation | None = None
    ) -> VectorBatch:
        """Fresh vectors. Raises HttpError, UnreachableError, IcfAnswerError."""

    def attached(self, pcid: str, *, serving_network: str, rand: bytes, expires_at: datetime) -> None:
        """Say that a PCID is attached. Raises HttpError, UnreachableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A home network; the AuC of an operator's subscriptions does not hear of attachments, the ICF of PCIDs does."""

    network: HomeNetwork
    hears_attachments: bool = True


class BearerStore(Protocol):
    """What attaching needs of the store."""

    def used_bytes(self, pcid: str, *, at: datetime) -> int:
        """What a PCID has used of its quota, while its last bearer has not expired; else 0."""

    def open(self, bearer: Bearer, *, at: datetime) -> None:
        """Store a bearer in the place of the PCID's last one, with its audit leaf; what that used counts on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What the device is to answer."""

    session: str
    rand: bytes
    autn: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedBearer:
    """A bearer with its secret, which is told once."""

    bearer: Bearer
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentRules:
    """Whose network this is (its tenant at the ICFs), and how long an answer is waited for."""

    serving_network: str
    session_life: timedelta


class AttachmentDesk:
    """Authenticates devices and opens bearers."""

    def __init__(
        self,
        store: BearerStore,
        *,
        homes: Mapping[Network, Home],
        sessions: Sessions,
        rules: AttachmentRules,
        random_bytes: RandomBytes,
    ) -> None:
        """`homes`: the networks that there is an agreement with."""
        self._store = store
        self._homes = homes
        self._sessions = sessions
        self._rules = rules
        self._random_bytes = random_bytes

    def attach(self, identity: str, *, at: datetime) -> Challenge:
        """The challenge for a claimed identity. Raises RefusedError."""
        # 1 whose PCID it is
        try:
            pcid, mcc, mnc = read_nai(identity)
        except MessageError as error:
            raise refuse(RefusalCode.IDENTITY_MALFORMED, subject="identity", reason=str(error)) from error
        home = network_of(pcid, realm=(mcc, mnc), known=self._homes)
        if home is None:
            raise refuse(
                RefusalCode.NO_ROAMING_AGREEMENT,
                subject="identity",
                reason=f"no agreement with the network of MCC {mcc} and MNC {mnc}",
            )
        # 2 vectors from its ICF
        batch = self._vectors(home, pcid, resynchronisation=None)
        # 3 one challenge, for one answer
        return self._challenge(pcid, home, batch, resynchronised=False, at=at)

    def resynchronise(self, session_id: str, *, auts: bytes, at: datetime) -> Challenge:
        """A new challenge after the USIM's AUTS, once an attachment. Raises RefusedError."""
        session = self._sessions.take(session_id, at=at)
        if session.resynchronised:
            raise refuse(
                RefusalCode.RESYNCHRONISED_ALREADY,
                subject="auts",
                reason="the USIM refused the sequence number of its own home network again",
            )
        told = Resynchronisation(rand=session.rand, auts=auts)
        batch = self._vectors(session.home, session.pcid, resynchronisation=told)
        return self._challenge(session.pcid, session.home, batch, resynchronised=True, at=at)

    def respond(self, session_id: str, *, res: bytes, at: datetime) -> OpenedBearer:
        """The bearer for the right RES. Raises RefusedError; the session has ended either way."""
        # 1 the session, taken once
        session = self._sessions.take(session_id, at=at)
        # 2 RES
        if not is_response(res, xres=session.xres):
            raise refuse(
                RefusalCode.RES_WRONG, subject="res", reason="this is not the answer to the challenge"
            )
        # 3 something is left to use
        used = self._store.used_bytes(session.pcid, at=at)
        if used >= session.terms.quota_bytes:
            raise refuse(
                RefusalCode.QUOTA_USED, subject="PCID", reason="the quota of this PCID is used up for now"
            )
        # 4 the home network hears of it
        expires_at = at.replace(microsecond=0) + timedelta(seconds=session.terms.life_s)
        self._tell(session, expires_at)
        # 5 the bearer
        return self._open(session, used=used, expires_at=expires_at, at=at)

    def _vectors(
        self, home: Network, pcid: str, *, resynchronisation: Resynchronisation | None
    ) -> VectorBatch:
        try:
            return self._homes[home].network.authentication_vectors(
                pcid,
                serving_network=self._rules.serving_network,
                resynchronisation=resynchronisation,
            )
        except (HttpError, UnreachableError, IcfAnswerError) as error:
            raise _refusal_of(error) from error

    def _challenge(
        self, pcid: str, home: Network, batch: VectorBatch, *, resynchronised: bool, at: datetime
    ) -> Challenge:
        # one vector an attachment: an older one of the batch would need a resynchronisation after the next batch
        vector = batch.vectors[0]
        session = Session(
            id=self._random_bytes(_SESSION_ID_BYTES).hex(),
            pcid=pcid,
            home=home,
            rand=vector.rand,
            autn=vector.autn,
            xres=vector.xres,
            terms=batch.bearer,
            resynchronised=resynchronised,
            expires_at=at + self._rules.session_life,
        )
        self._sessions.add(session, at=at)
        return Challenge(session=session.id, rand=vector.rand, autn=vector.autn)

    def _tell(self, session: Session, expires_at: datetime) -> None:
        home = self._homes[session.home]
        if not home.hears_attachments:
            return
        try:
            home.network.attached(
                session.pcid,
                serving_network=self._rules.serving_network,
                rand=session.rand,
                expires_at=expires_at,
            )
        except (HttpError, UnreachableError) as error:
            raise _refusal_of(error) from error

    def _open(self, session: Session, *, used: int, expires_at: datetime, at: datetime) -> OpenedBearer:
        credentials = new_credentials(self._random_bytes)
        terms: BearerTerms = session.terms
        bearer = Bearer(
            id=credentials.id,
            pcid=session.pcid,
            secret_sha256=secret_digest(credentials.secret),
            apn=terms.apn,
            destinations=terms.destinations,
            quota_bytes=terms.quota_bytes,
            used_bytes=used,
            expires_at=expires_at,
        )
        self._store.open(bearer, at=at)
        return OpenedBearer(bearer=bearer, secret=credentials.secret)


def _refusal_of(error: HttpError | UnreachableError | IcfAnswerError) -> RefusedError:
    """What a device is told of its home network's no: which kind it was, not what was inside."""
    code, reason = RefusalCode.HOME_REFUSED, "the home network did not answer as agreed"
    if isinstance(error, UnreachableError) or (
        isinstance(error, HttpError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE
    ):
        code, reason = RefusalCode.HOME_UNREACHABLE, "the home network does not answer now"
    elif isinstance(error, HttpError) and error.problem is not None:
        code, reason = _TOLD.get(error.problem.type, (code, reason))
    return refuse(code, subject="home network", reason=reason)
