"""The device's keys during one exchange: everything that they sign is ours.

Each of Certify and NV_Certify authorises two objects, and a session can authorise one a command (Part 1, 19): a second HMAC
session is started for them, and a policy session for the EK. Both end with the exchange.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from m2me_agent.tre.errors import TpmDeviceError
from m2me_agent.tre.sealed_secrets import SealedSecrets
from m2me_agent.tre.tickets import Tickets
from m2me_agent.tre.tpm_device import KeyAccess, Quote, SignedStatement
from m2me_agent.tre.tpm_failures import flushed
from m2me_agent.tre.tpm_sessions import KeptSessions
from standards.tpm2.commands.attestations import Attestation
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import ObjectAttributes, SessionType
from standards.tpm2.credential import Credential
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest
from standards.tpm2.sessions import EMPTY_PASSWORD, Authorization, Session
from standards.tpm2.structures import Attest, PcrSelection, QuoteInfo

QUOTE_TRIES = 5
"""Other software may extend a PCR between reading and quoting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlaces:
    """Where the keys stand, and the public areas that they are known by."""

    ak: TpmObject
    storage: TpmObject
    ek: TpmObject


class SessionKeys(SealedSecrets):
    """UnlockedKeys over open sessions; see the Protocol for what each method promises."""

    def __init__(  # the connection, what is known of the keys and where they stand, what outlives the exchange and what not
        self,
        tpm: TpmConnection,
        *,
        access: KeyAccess,
        places: KeyPlaces,
        sessions: KeptSessions,
        tickets: Tickets,
        until_end: ExitStack,
    ) -> None:
        super().__init__(tpm, access=access, storage=places.storage, sessions=sessions, tickets=tickets)
        self._ak = places.ak
        self._ek = places.ek
        self._until_end = until_end
        self._started_second: Session | None = None

    @property
    def _second(self) -> Session:
        if self._started_second is None:
            self._started_second = self._until_end.enter_context(self._sessions.another(self._storage))
        return self._started_second

    def activate(self, *, id_object: bytes, encrypted_secret: bytes) -> bytes:
        """TPM2_ActivateCredential; the secret comes back encrypted under the salted session."""
        credential = Credential(id_object=id_object, encrypted_secret=encrypted_secret)
        with self._told("activation"), self._ek_authorization() as ek_authorization:
            return self._tpm.activate_credential(
                self._ak,
                ek=self._ek,
                credential=credential,
                auths=(self._first.authorize(self._access.authorization.ak), ek_authorization),
                protect=self._first,
            )

    def sign(self, *, extra_data: bytes, selections: tuple[PcrSelection, ...]) -> SignedStatement:
        """TPM2_Quote."""
        with self._told("quote"):
            return _statement(self._quote(extra_data, selections))

    def quote(self, *, extra_data: bytes, selections: tuple[PcrSelection, ...]) -> Quote:
        """TPM2_Quote, repeated until the PCR values read before it are those that it signed."""
        with self._told("quote"):
            for _ in range(QUOTE_TRIES):
                values = self._tpm.pcr_read_all(selections)
                signed = self._quote(extra_data, selections)
                joined = b"".join(values[one.bank][index] for one in selections for index in one.indices)
                expected = digest(self._ak.public.scheme.hash_algorithm, joined)
                if _pcr_digest(signed.attest) == expected:
                    return Quote(statement=_statement(signed), pcr_values=values)
        raise TpmDeviceError(
            subject="quote",
            reason=f"PCRs changed between reading and quoting, {QUOTE_TRIES} times in a row",
            remedy="wait until the machine has started, or have fewer PCRs selected",
        )

    def certify_storage_key(self, *, extra_data: bytes) -> SignedStatement:
        """TPM2_Certify."""
        authorization = self._access.authorization
        with self._told("certification of the storage key"):
            return _statement(
                self._tpm.certify(
                    self._storage,
                    ak=self._ak,
                    extra_data=extra_data,
                    auths=(
                        self._first.authorize(authorization.storage),
                        self._second.authorize(authorization.ak),
                    ),
                )
            )

    def certify_generation_counter(self, *, extra_data: bytes) -> SignedStatement:
        """TPM2_NV_Certify."""
        authorization = self._access.authorization
        with self._told("certification of the generation counter"):
            return _statement(
                self._tpm.nv_certify(
                    self._access.keys.counter,
                    ak=self._ak,
                    extra_data=extra_data,
                    auths=(
                        self._first.authorize(authorization.ak),
                        self._second.authorize(authorization.counter),
                    ),
                )
            )

    def _quote(self, extra_data: bytes, selections: tuple[PcrSelection, ...]) -> Attestation:
        return self._tpm.quote(
            self._ak,
            extra_data=extra_data,
            selection=selections,
            auth=self._first.authorize(self._access.authorization.ak),
        )

    @contextmanager
    def _ek_authorization(self) -> Iterator[Authorization]:
        """PolicySecret(ENDORSEMENT), or the empty authValue where the EK's profile allows that."""
        if self._ek.public.attributes & ObjectAttributes.USER_WITH_AUTH:
            yield EMPTY_PASSWORD
            return
        policy = self._tpm.start_auth_session(SessionType.POLICY)
        with flushed(self._tpm, policy.handle):
            self._tpm.policy_secret(policy)
            yield policy.authorize()


def _pcr_digest(attest: bytes) -> bytes:
    attested = Attest.decode(attest).attested
    if not isinstance(attested, QuoteInfo):
        raise DecodeError("answer to TPM2_Quote", expected="a quote", got="another attestation")
    return attested.pcr_digest


def _statement(signed: Attestation) -> SignedStatement:
    return SignedStatement(attest=signed.attest, signature=signed.signature)
