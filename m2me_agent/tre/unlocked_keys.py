"""The device's keys during one exchange: sessions are open, and everything they sign is ours.

Two HMAC sessions serve the whole exchange, because each of Certify and NV_Certify authorises two objects
and a session can authorise one a command (Part 1, 19). A third, a policy session, is opened for the EK.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from m2me_agent.tre.errors import TpmDeviceError
from m2me_agent.tre.sealed_secrets import SealedSecrets
from m2me_agent.tre.tpm_device import KeyAccess, Quote, SignedStatement
from m2me_agent.tre.tpm_failures import flushed, reported
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


class SessionKeys(SealedSecrets):
    """UnlockedKeys over open sessions; see the Protocol for what each method promises."""

    def __init__(  # the connection, what is known of the keys, where they stand, and the sessions
        self,
        tpm: TpmConnection,
        *,
        access: KeyAccess,
        ak: TpmObject,
        storage: TpmObject,
        ek: TpmObject,
        sessions: tuple[Session, Session],
    ) -> None:
        super().__init__(tpm, access=access, storage=storage, session=sessions[0])
        self._ak = ak
        self._ek = ek
        self._second = sessions[1]

    def activate(self, *, id_object: bytes, encrypted_secret: bytes) -> bytes:
        """TPM2_ActivateCredential; the secret comes back encrypted under the salted session."""
        credential = Credential(id_object=id_object, encrypted_secret=encrypted_secret)
        with reported("activation"), self._ek_authorization() as ek_authorization:
            return self._tpm.activate_credential(
                self._ak,
                ek=self._ek,
                credential=credential,
                auths=(self._first.authorize(self._access.authorization.ak), ek_authorization),
                protect=self._first,
            )

    def quote(self, *, extra_data: bytes, selections: tuple[PcrSelection, ...]) -> Quote:
        """TPM2_Quote, repeated until the PCR values read before it are those that it signed."""
        with reported("quote"):
            for _ in range(QUOTE_TRIES):
                values = self._tpm.pcr_read_all(selections)
                signed = self._tpm.quote(
                    self._ak,
                    extra_data=extra_data,
                    selection=selections,
                    auth=self._first.authorize(self._access.authorization.ak),
                )
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
        with reported("certification of the storage key"):
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
        with reported("certification of the generation counter"):
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
