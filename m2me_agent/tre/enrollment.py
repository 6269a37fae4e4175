"""Enrolment, as the TRE sees it: make keys, prove where they live, accept the PfC over them.

The agent carries three messages between this TRE and a CA. It is trusted with none of them: the request
holds public areas only, the activation proves that AK and EK share a TPM, and the PfC is installed only if
it is over this AK and leads to the supplier's root in the image.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509

from m2me_agent.tre.anchors import Anchors, verify_platform_credential
from m2me_agent.tre.errors import (
    KeysChangedError,
    MalformedError,
    NotEnrolledError,
    TpmDeviceError,
    keys_changed,
)
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tpm_device import (
    AUTHORIZATION_BYTES,
    Authorization,
    DeviceKeys,
    Endorsement,
    KeyAccess,
    SignedStatement,
    TpmDevice,
)
from messages.binding import PVA_KEY, extra_data
from messages.enrollment import (
    ActivationRequest,
    CertifiedStatement,
    EnrollmentChallenge,
    EnrollmentRequest,
    EnrollmentResult,
)
from messages.errors import MessageError
from standards.pki.errors import PkiError
from standards.pki.fingerprints import certificate_der, device_id, spki_der
from standards.pki.lenient_certificate import decode_lenient
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.structures import Public


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """The use case with everything that it needs."""

    device: TpmDevice
    state: TreState
    guard: ExchangeGuard
    anchors: Anchors
    random_bytes: Callable[[int], bytes]

    def begin(self) -> bytes:
        """Make the keys that are not there yet, pin them, and name them: an EnrollmentRequest.

        Raises:
            TpmDeviceError, StateError: nothing is pinned; the call may be repeated.
        """
        # 1 the EK: certificate and key belong together, and are those that were pinned before
        endorsement = self.device.read_endorsement()
        _check_endorsement(endorsement)
        pinned = self.state.keys()
        if pinned is not None and pinned.ek != endorsement.public:
            raise KeysChangedError(
                subject="EK",
                reason="the TPM has another EK than the one that this TRE was enrolled with",
                remedy="put the board's own TPM back, or remove the TRE's state for a new device",
            )
        # 2 authValues are durable before any object has them
        authorization = self.state.authorization()
        if authorization is None:
            authorization, pinned_with_it = self._new_authorization(), None
            self.state.remember_authorization(authorization)
        else:
            pinned_with_it = pinned
        # 3 the keys: made once, so that asking again wears nothing out
        if pinned_with_it is not None and self.device.read_keys(endorsement.public) == pinned_with_it:
            keys = pinned_with_it
        else:
            keys = self.device.make_keys(endorsement.public, authorization)
        # 4 a PfC over keys that are gone says nothing about these
        if pinned is not None and pinned != keys:
            self.state.forget_credential()
        self.state.remember_keys(keys)
        # 5 name them
        return _request(endorsement.chain, keys).encode()

    def activate(self, message: bytes) -> bytes:
        """Recover the CA's secret and certify storage key and counter: an ActivationRequest.

        Raises:
            MalformedError, NotEnrolledError, RateLimitError, TpmDeviceError, StateError: nothing is signed.
        """
        # 1 decode
        try:
            challenge = EnrollmentChallenge.decode(message)
        except MessageError as error:
            raise _malformed("enrolment challenge", error) from error
        # 2 the pinned keys, and the right to use them
        access = key_access(self.state, self.device)
        # 3 one signature exchange out of the allowance
        self.guard.spend(clock=self.device.read_clock())
        # 4 qualifying data of our own making
        request = _request((), access.keys)
        qualifying = extra_data(PVA_KEY, nonce=challenge.nonce, body=request.key_body())
        with self.device.unlock(access) as keys:
            # 5 the secret, which only a TPM with this EK and this AK gives away
            secret = keys.activate(id_object=challenge.id_object, encrypted_secret=challenge.encrypted_secret)
            # 6 certify
            storage_key = keys.certify_storage_key(extra_data=qualifying)
            counter = keys.certify_generation_counter(extra_data=qualifying)
        return ActivationRequest(
            session_id=challenge.session_id,
            secret=secret,
            storage_key=_statement(storage_key),
            generation_counter=_statement(counter),
        ).encode()

    def install(self, message: bytes) -> x509.Certificate:
        """Keep the PfC of an EnrollmentResult, if it is over this AK and under the anchored root.

        Raises:
            MalformedError, NotEnrolledError, CredentialError, StateError: what was installed before stands.
        """
        # 1 decode
        try:
            result = EnrollmentResult.decode(message)
        except MessageError as error:
            raise _malformed("enrolment result", error) from error
        # 2 the pinned keys
        keys = self.state.keys()
        if keys is None:
            raise _not_begun()
        # 3 over this AK, for this device, under the anchor
        path = verify_platform_credential(
            result.pfc_chain,
            ak_spki=spki_der(keys.ak.public_key()),
            device_id=identity(keys.ek),
            anchors=self.anchors,
            at=self.guard.known_time(clock=self.device.read_clock()),
        )
        # 4 keep it, and what it is validated by: the agent may have put more beside it
        self.state.remember_credential(tuple(certificate_der(each) for each in path))
        return path[0]

    def _new_authorization(self) -> Authorization:
        ak, storage, counter = (self.random_bytes(AUTHORIZATION_BYTES) for _ in range(3))
        return Authorization(ak=ak, storage=storage, counter=counter)


def identity(ek: Public) -> bytes:
    """device_id: SHA-256 of the EK's DER SubjectPublicKeyInfo, 32 bytes."""
    return device_id(spki_der(ek.public_key()))


def pinned_access(state: TreState) -> KeyAccess:
    """The pinned keys with their authValues; for what is done under `unlock`, where a TPM with other keys refuses.

    Raises NotEnrolledError: there are none.
    """
    keys, authorization = state.keys(), state.authorization()
    if keys is None or authorization is None:
        raise _not_begun()
    return KeyAccess(keys=keys, authorization=authorization)


def key_access(state: TreState, device: TpmDevice) -> KeyAccess:
    """The pinned keys with their authValues, after the TPM was seen to be the one that holds them.

    Raises:
        NotEnrolledError: there are none.
        KeysChangedError: the TPM holds others (TPM2_Clear, another TPM).
    """
    access = pinned_access(state)
    if not device.holds(access.keys):
        raise keys_changed()
    return access


def _check_endorsement(endorsement: Endorsement) -> None:
    try:
        certified = spki_der(decode_lenient(endorsement.chain[0]).public_key())
        matches = certified == spki_der(endorsement.public.public_key())
        reason = "is over another key than the TPM's EK"
    except (PkiError, Tpm2Error) as error:
        matches, reason = False, str(error)
    if not matches:
        raise TpmDeviceError(
            subject="EK certificate",
            reason=reason,
            remedy="set the EK of this device's model in the settings; else this TPM cannot be enrolled",
        )


def _request(chain: tuple[bytes, ...], keys: DeviceKeys) -> EnrollmentRequest:
    return EnrollmentRequest(
        ek_chain=chain,
        ek_public=keys.ek.encode(),
        ak_public=keys.ak.encode(),
        storage_public=keys.storage.encode(),
        counter_public=keys.counter.encode(),
    )


def _statement(signed: SignedStatement) -> CertifiedStatement:
    return CertifiedStatement(attest=signed.attest, signature=signed.signature)


def _malformed(what: str, error: MessageError) -> MalformedError:
    return MalformedError(subject=what, reason=str(error), remedy="begin the enrolment again")


def _not_begun() -> NotEnrolledError:
    return NotEnrolledError(
        subject="keys of this device", reason="none were made yet", remedy="enrol the device: m2me enroll"
    )
