"""Enrolment: a device of a batch gets its Platform Credential, in two messages (D2, R78, R80; A10-A13, A26, A30).

The one rule: genuine TPM, listed device, keys that live in that TPM, all in one exchange, or no certificate.

    device                                   CA
      EK chain, EK, AK, storage key, counter ->   begin: 1-8, keeps a session
      <- credential for (EK, AK), nonce
      secret, two statements by the AK       ->   activate: 1-9, one transaction, one try
      <- PfC chain

Theory: only the TPM that holds the EK can open the credential, and it does so only where an object with the
AK's Name is loaded (TPM2_ActivateCredential); so the secret proves that EK and AK live together. The AK then
speaks for the storage key and the counter. The batch says that the EK is one of the supplier's devices, which
neither certificate nor activation can say. An activation that is repeated bit by bit gets the same answer, so
that a lost answer costs nothing; anything else that comes for a used or burned session is refused.
A supplier's station may carry both messages in files (`ca.stations`): the same steps, for devices of its own batches,
with a session that lives longer and is kept apart from those that anybody can open.
"""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from ca.credential import check_clone, check_enrollable, check_not_held, issue_credential, supply_of
from ca.device_keys import (
    DeviceKeys,
    EndorsementKey,
    check_endorsement_certificate,
    check_statements,
    read_device_keys,
    read_endorsement_key,
)
from ca.enrollment_records import EnrollmentRecords, EnrollmentStore
from ca.errors import ALARMS, EnrollmentRefusedError, MalformedMessageError, RefusedError
from ca.lifecycle import SessionState
from ca.races import repeated
from ca.records import Device, Session
from ca.signing import Signing
from ca.tpm_makers import TpmMakers
from edge.process import Clock, RandomBytes
from messages.binding import NONCE_SIZE
from messages.enrollment import (
    SESSION_ID_SIZE,
    ActivationRequest,
    EnrollmentChallenge,
    EnrollmentRequest,
    EnrollmentResult,
)
from messages.errors import MessageError
from standards.tpm2.credential import Credential, make_credential
from standards.tpm2.hashing import digest_size
from standards.tpm2.secret_sharing import ephemeral_key

SECRET_BYTES = 32
IDLE_SESSIONS_MAX = 16
"""Sessions of a device that led to nothing: closed ones go first, then the oldest, so nobody fills the store.

An EK certificate is no secret, so anybody may open sessions. Were the newest refused in place of the oldest
dropped, a few requests would keep a device out for as long as sessions live; so they have to be repeated, as
many as this in the seconds between the two messages of every honest try.
"""
SESSIONS_KEPT = timedelta(days=7)
_AGAIN = "begin the enrolment again"
_Message = TypeVar("_Message", EnrollmentRequest, ActivationRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """A supplier's station that carries the messages of a device: for which device, and by which principal."""

    supplier: str
    by: str
    device_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """The use cases of enrolment; sessions that a station opened live for `station_life`."""

    store: EnrollmentStore
    signing: Signing
    makers: TpmMakers
    clock: Clock
    random_bytes: RandomBytes
    session_life: timedelta
    station_life: timedelta

    @repeated
    def begin(self, message: bytes, *, carrier: Carrier | None = None) -> EnrollmentChallenge:
        """First message -> challenge. Raises MalformedMessageError or EnrollmentRefusedError; nothing is kept then."""
        at = self.clock()
        # 1 decode
        request = _decoded(EnrollmentRequest, message, what="enrolment request")
        # 2 an EK of the profile, certified by a TPM maker that is trusted here (A12)
        ek = read_endorsement_key(request)
        check_endorsement_certificate(request, ek, makers=self.makers, at=at)
        if carrier is not None and carrier.device_id != ek.device_id:
            raise _of_another_device(carrier)
        try:
            # 3 AK, storage key and counter as the protocol has them (A10, A11, A30)
            keys = read_device_keys(request, subject=ek.device_id)
            with self.store.reading() as records:
                # 4 listed in a batch and not enrolled, not on hold, no key of another device (A26)
                device = _listed_device(records, ek, carrier=carrier)
                check_clone(records, device.device_id, keys)
                check_enrollable(device, keys)
                check_not_held(records, device.device_id)
                # 5 a CA and a current manifest for its model
                supply_of(records, device, at=at)
        except EnrollmentRefusedError as refusal:
            with self.store.writing() as records:
                note_refusal(records, refusal, device_id=ek.device_id, carrier=carrier, at=at)
            raise
        # 6 a secret that only this TPM gives out, for this AK (A13)
        secret = self.random_bytes(SECRET_BYTES)
        credential = self._make_credential(ek, keys, secret=secret)
        # 7 keep the session, of the secret only its digest
        session = self._session(message, device, secret=secret, carrier=carrier, at=at)
        with self.store.writing() as records:
            if carrier is None:
                records.drop_surplus_sessions(device.device_id, keep=IDLE_SESSIONS_MAX - 1, at=at)
            else:
                records.drop_station_session(device.device_id)
            records.add_session(session)
        # 8 the challenge
        return EnrollmentChallenge(
            session_id=session.session_id,
            id_object=credential.id_object,
            encrypted_secret=credential.encrypted_secret,
            nonce=session.nonce,
        )

    @repeated
    def activate(self, message: bytes, *, carrier: Carrier | None = None) -> EnrollmentResult:
        """Second message -> PfC chain. Raises MalformedMessageError or EnrollmentRefusedError; one try (A13)."""
        at = self.clock()
        # 1 decode
        request = _decoded(ActivationRequest, message, what="activation request")
        digest = sha256(message).digest()
        with self.store.writing() as records:
            # 2 redeem the session, where it was opened; the very same activation again gets the very same answer
            session = records.session(request.session_id)
            if session is None or not _opened_by(carrier, session):
                raise _no_session("session-unknown", "there is no such session, or newer ones replaced it")
            if not records.redeem_session(request.session_id, activation_sha256=digest, at=at):
                return _answer_again(records, session, digest=digest)
            try:
                return self._complete(records, session, request=request, at=at)
            except EnrollmentRefusedError as error:
                # nothing but the redemption has been written yet; it is kept, as a burned session
                refusal = error
                records.burn_session(session.session_id)
                note_refusal(records, refusal, device_id=session.device_id, carrier=carrier, at=at)
        raise refusal

    def forget_old_sessions(self) -> int:
        """Delete sessions that are too old to be asked for; how many."""
        with self.store.writing() as records:
            return records.forget_sessions(opened_before=self.clock() - SESSIONS_KEPT)

    def _complete(
        self, records: EnrollmentRecords, session: Session, *, request: ActivationRequest, at: datetime
    ) -> EnrollmentResult:
        # 3 the secret (A13)
        if not hmac.compare_digest(sha256(request.secret).digest(), session.secret_sha256):
            raise _wrong_secret(session)
        # 4 the AK's statements over storage key and counter (A30)
        begun = EnrollmentRequest.decode(session.request)
        keys = read_device_keys(begun, subject=session.device_id)
        check_statements(
            begun,
            keys,
            nonce=session.nonce,
            storage_key=request.storage_key,
            generation_counter=request.generation_counter,
            subject=session.device_id,
        )
        # 5 still no clone (A26), still a CA and a manifest
        device = records.device(session.device_id)
        if device is None:
            raise _not_listed(session.device_id, by="no supplier's batch")
        check_clone(records, device.device_id, keys)
        supply = supply_of(records, device, at=at)
        # 6 use up the EK: an EK enrols once, and not past a hold
        check_enrollable(device, keys)
        check_not_held(records, device.device_id)
        _consume_ek(records, device, keys)
        # 7 supersede what it had, 8 intent, sign, record, audit leaf
        pfc = issue_credential(records, device, keys, supply=supply, signing=self.signing, at=at)
        # 9 remember the answer
        records.complete_session(session.session_id, ca_id=supply.issuer.ca_id, serial=pfc.serial_number)
        return _result(records, supply.issuer.ca_id, pfc.serial_number)

    def _make_credential(self, ek: EndorsementKey, keys: DeviceKeys, *, secret: bytes) -> Credential:
        public_key = ek.public.public_key()
        ephemeral = None
        if isinstance(public_key, ec.EllipticCurvePublicKey):
            ephemeral = ephemeral_key(public_key.curve, self.random_bytes)
        seed = self.random_bytes(digest_size(ek.public.name_algorithm))
        return make_credential(
            ek.public, object_name=keys.ak_name, secret=secret, seed=seed, ephemeral=ephemeral
        )

    def _session(
        self, message: bytes, device: Device, *, secret: bytes, carrier: Carrier | None, at: datetime
    ) -> Session:
        return Session(
            session_id=self.random_bytes(SESSION_ID_SIZE),
            device_id=device.device_id,
            request=message,
            nonce=self.random_bytes(NONCE_SIZE),
            secret_sha256=sha256(secret).digest(),
            state=SessionState.OPEN,
            opened_at=at,
            expires_at=at + (self.session_life if carrier is None else self.station_life),
            station=None if carrier is None else carrier.supplier,
        )


def _decoded(message_type: type[_Message], data: bytes, *, what: str) -> _Message:
    try:
        return message_type.decode(data)
    except MessageError as error:
        raise MalformedMessageError(
            "malformed-message",
            subject=what,
            detail=str(error),
            remedy="send the message in its one encoding (docs/PROTOCOL.md)",
        ) from error


def _listed_device(records: EnrollmentRecords, ek: EndorsementKey, *, carrier: Carrier | None) -> Device:
    device = records.device(ek.device_id)
    if carrier is not None and (device is None or device.supplier != carrier.supplier):
        # a device of another supplier is answered like one that nobody listed
        raise _not_listed(ek.device_id, by=f"no batch of {carrier.supplier}")
    if device is None:
        raise _not_listed(ek.device_id, by="no supplier's batch")
    return device


def _opened_by(carrier: Carrier | None, session: Session) -> bool:
    """Whether a session was opened where its activation comes: by this station for this device, or by a device itself."""
    if carrier is None:
        return session.station is None
    return (session.station, session.device_id) == (carrier.supplier, carrier.device_id)


def _consume_ek(records: EnrollmentRecords, device: Device, keys: DeviceKeys) -> None:
    if not records.consume_ek(device.device_id, ak_name=keys.ak_name, storage_name=keys.storage_name):
        raise EnrollmentRefusedError(
            "ek-already-enrolled",
            subject=device.device_id,
            detail="the EK was enrolled by another session at this moment",
            remedy="ask the supplier to reopen the device if that was not this device itself",
        )


def _answer_again(records: EnrollmentRecords, session: Session, *, digest: bytes) -> EnrollmentResult:
    if session.state is SessionState.BURNED:
        raise _no_session("session-burned", "the session is closed: its one try failed")
    if session.state is SessionState.OPEN:
        raise _no_session("session-expired", f"the session ended at {session.expires_at:%Y-%m-%dT%H:%M:%SZ}")
    same = session.activation_sha256 is not None and hmac.compare_digest(session.activation_sha256, digest)
    if not same or session.ca_id is None or session.serial is None:
        raise _no_session("session-used", "the session was used by another activation")
    return _result(records, session.ca_id, session.serial)


def _result(records: EnrollmentRecords, ca_id: str, serial: int) -> EnrollmentResult:
    issued, authority = records.certificate(ca_id, serial), records.authority(ca_id)
    if issued is None or authority is None or authority.certificate is None:
        raise LookupError(f"the books have no certificate {serial:040x} of {ca_id}")
    root = records.authority(authority.parent or "")
    # of a root with another key before or after it: whoever trusts that one alone finds its way too
    crossing = () if root is None else (root.by_predecessor, root.by_successor)
    return EnrollmentResult(
        pfc_chain=(issued.der, authority.certificate, *(each for each in crossing if each is not None))
    )


def note_refusal(
    records: EnrollmentRecords,
    refusal: RefusedError,
    *,
    device_id: str,
    carrier: Carrier | None,
    at: datetime,
) -> None:
    """Audit a refusal of a device: one leaf an hour, for an EK certificate is no secret."""
    if not records.note_refusal(device_id, reason=refusal.reason, at=at):
        return
    record = {"reason": refusal.reason, "detail": refusal.detail[:2000]}
    records.audit(
        kind="enrollment-alarm" if refusal.reason in ALARMS else "enrollment-refused",
        subject=device_id,
        record=record if carrier is None else {**record, "by": carrier.by, "tenant": carrier.supplier},
        at=at,
    )


def _not_listed(device_id: str, *, by: str) -> EnrollmentRefusedError:
    return EnrollmentRefusedError(
        "ek-not-listed",
        subject=device_id,
        detail=f"the TPM is genuine, but {by} lists its EK",
        remedy="have the supplier import the batch that lists this device, then enrol again",
    )


def _of_another_device(carrier: Carrier) -> EnrollmentRefusedError:
    return EnrollmentRefusedError(
        "message-of-another-device",
        subject=carrier.device_id,
        detail="the message is handed in for another device than the one whose EK it names",
        remedy="do not rename the files of a station; let the device name its keys again",
    )


def _wrong_secret(session: Session) -> EnrollmentRefusedError:
    return EnrollmentRefusedError(
        "activation-secret",
        subject=session.device_id,
        detail="the secret is not the one that the credential holds; the session is closed",
        remedy=_AGAIN,
    )


def _no_session(reason: str, detail: str) -> EnrollmentRefusedError:
    return EnrollmentRefusedError(reason, subject="enrolment session", detail=detail, remedy=_AGAIN)
