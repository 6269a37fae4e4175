"""The keys that a device names at enrolment, judged: EK, AK, storage key, generation counter (A10-A12, A30).

The one rule: Names, device id and public keys are computed from the public areas, never taken from beside them.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.errors import EnrollmentRefusedError
from ca.key_algorithms import SubjectKey
from ca.tpm_makers import TpmMakers
from messages.binding import PVA_KEY, extra_data
from messages.enrollment import CertifiedStatement, EnrollmentRequest
from standards.pki.ek_certificate import validate_ek_certificate
from standards.pki.errors import PkiError
from standards.pki.fingerprints import device_id, spki_der
from standards.tpm2.attestation import verify_certified_key, verify_certified_nv
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.key_checks import check_ak, check_ek, check_storage_key
from standards.tpm2.structures import NvPublic, Public
from standards.tpm2.templates import GENERATION_COUNTER

_FACTORY = "let the device's TRE make its keys from the templates of the protocol, and enrol again"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndorsementKey:
    """An EK whose public area follows the profile; `device_id` is 64 hex digits. Not yet: its certificate."""

    public: Public
    spki: bytes = field(repr=False)
    device_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKeys:
    """AK, storage key and counter of a device as their public areas describe them; the Names are recomputed."""

    ak: Public
    ak_name: bytes
    ak_key: SubjectKey
    storage: Public
    storage_name: bytes


def read_endorsement_key(request: EnrollmentRequest) -> EndorsementKey:
    """The EK of a request; raises EnrollmentRefusedError (A12, the template's part)."""
    try:
        public = Public.decode(request.ek_public)
        check_ek(public)
        spki = spki_der(public.public_key())
    except (Tpm2Error, PkiError) as error:
        raise _refused("ek-template", "EK", error, "use an EK of the TCG EK Credential Profile") from error
    return EndorsementKey(public=public, spki=spki, device_id=device_id(spki).hex())


def check_endorsement_certificate(
    request: EnrollmentRequest, ek: EndorsementKey, *, makers: TpmMakers, at: datetime
) -> None:
    """Raise EnrollmentRefusedError unless a trusted TPM maker certified this very EK (A12)."""
    try:
        validate_ek_certificate(
            request.ek_chain, roots=makers.certificates, at=at, ek_spki=ek.spki, known_bad=makers.known_bad
        )
    except PkiError as error:
        raise _refused(
            "ek-certificate",
            ek.device_id,
            error,
            "send the whole chain of the EK certificate, or have the TPM maker's root added here",
        ) from error


def read_device_keys(request: EnrollmentRequest, *, subject: str) -> DeviceKeys:
    """AK, storage key and counter of a request; raises EnrollmentRefusedError (A10, A11, A30)."""
    try:
        ak = Public.decode(request.ak_public)
        ak_name, ak_key = check_ak(ak), ak.public_key()
    except Tpm2Error as error:
        raise _refused("ak-attributes", subject, error, _FACTORY) from error
    try:
        storage = Public.decode(request.storage_public)
        storage_name = check_storage_key(storage)
    except Tpm2Error as error:
        raise _refused("storage-key-attributes", subject, error, _FACTORY) from error
    _check_counter(request, subject=subject)
    if not isinstance(ak_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise EnrollmentRefusedError(
            "ak-attributes", subject=subject, detail="the AK is neither RSA nor ECC", remedy=_FACTORY
        )
    return DeviceKeys(ak=ak, ak_name=ak_name, ak_key=ak_key, storage=storage, storage_name=storage_name)


def check_statements(
    request: EnrollmentRequest,
    keys: DeviceKeys,
    *,
    nonce: bytes,
    storage_key: CertifiedStatement,
    generation_counter: CertifiedStatement,
    subject: str,
) -> None:
    """Raise EnrollmentRefusedError unless the AK certified storage key and counter for this session (A30).

    The AK certifies what was imported from software as well: the attributes of the storage key, checked in
    `read_device_keys` and again here, are the only barrier.
    """
    expected = extra_data(PVA_KEY, nonce=nonce, body=request.key_body())
    try:
        verify_certified_key(
            storage_key.attest,
            signature=storage_key.signature,
            ak=keys.ak,
            certified=keys.storage,
            extra_data=expected,
        )
    except Tpm2Error as error:
        raise _refused("storage-key-statement", subject, error, _FACTORY) from error
    try:
        verify_certified_nv(
            generation_counter.attest,
            signature=generation_counter.signature,
            ak=keys.ak,
            index=GENERATION_COUNTER.written(),
            extra_data=expected,
        )
    except Tpm2Error as error:
        raise _refused("counter-statement", subject, error, _FACTORY) from error


def _check_counter(request: EnrollmentRequest, *, subject: str) -> None:
    expected = GENERATION_COUNTER.written().name
    try:
        name = NvPublic.decode(request.counter_public).name
    except Tpm2Error as error:
        raise _refused("counter-template", subject, error, _FACTORY) from error
    if name != expected:
        raise EnrollmentRefusedError(
            "counter-template",
            subject=subject,
            detail=f"the generation counter: expected the Name {expected.hex()}, got {name.hex()}",
            remedy="define the counter from the template of the protocol and increment it once",
        )


def _refused(reason: str, subject: str, error: Exception, remedy: str) -> EnrollmentRefusedError:
    return EnrollmentRefusedError(reason, subject=subject, detail=str(error), remedy=remedy)
