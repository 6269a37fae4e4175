"""The four messages of enrolment: request, challenge, activation, result (D2).

Rule: shapes and sizes only; whether the EK is genuine, in a batch and active is the CA's business.
Flow: the device names its keys; the CA wraps a secret for exactly this EK and AK (TPM2_MakeCredential); the
device returns the secret and two statements by the AK, over the storage key and the generation counter; the CA
answers with the PfC chain. One try a session.
Every TPM structure is carried without a size field in front (TPMT_PUBLIC, TPMS_NV_PUBLIC, TPMS_ID_OBJECT).
"""

from dataclasses import dataclass
from typing import Any, Final

from messages.binding import NONCE_SIZE
from messages.encoding import decode_fields, encode_deterministic
from messages.evidence import (
    ATTEST_SIZE_MAX,
    CERTIFICATE_SIZE_MAX,
    CHAIN_LENGTH_MAX,
    NV_PUBLIC_SIZE_MAX,
    PUBLIC_SIZE_MAX,
    SIGNATURE_SIZE_MAX,
    read_chain,
)
from standards.rats.fields import Fields

ENROLLMENT_MEDIA_TYPE: Final = "application/cbor"
SESSION_ID_SIZE: Final = 16
ID_OBJECT_SIZE_MAX: Final = 256
ENCRYPTED_SECRET_SIZE_MAX: Final = 512
SECRET_SIZE_MAX: Final = 64
ENROLLMENT_BYTES_MAX: Final = CHAIN_LENGTH_MAX * CERTIFICATE_SIZE_MAX + 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentRequest:
    """The keys that a device names; `ek_chain` is DER, EK certificate first."""

    ek_chain: tuple[bytes, ...]
    ek_public: bytes
    ak_public: bytes
    storage_public: bytes
    counter_public: bytes

    def key_body(self) -> bytes:
        """Body that both certifications of the activation are bound to (label `pva/key/1`)."""
        keys = [self.ek_public, self.ak_public, self.storage_public, self.counter_public]
        return encode_deterministic(keys)

    def encode(self) -> bytes:
        """Wire form."""
        return encode_deterministic(
            {
                1: list(self.ek_chain),
                2: self.ek_public,
                3: self.ak_public,
                4: self.storage_public,
                5: self.counter_public,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> "EnrollmentRequest":
        """Read the wire form; raises MessageError."""
        fields = decode_fields(data, what="enrolment request", bytes_max=ENROLLMENT_BYTES_MAX)
        request = cls(
            ek_chain=read_chain(fields, 1),
            ek_public=fields.octets(2, size_min=1, size_max=PUBLIC_SIZE_MAX),
            ak_public=fields.octets(3, size_min=1, size_max=PUBLIC_SIZE_MAX),
            storage_public=fields.octets(4, size_min=1, size_max=PUBLIC_SIZE_MAX),
            counter_public=fields.octets(5, size_min=1, size_max=NV_PUBLIC_SIZE_MAX),
        )
        fields.close()
        return request


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentChallenge:
    """The CA's answer: the wrapped secret, and the nonce for the two certifications."""

    session_id: bytes
    id_object: bytes
    encrypted_secret: bytes
    nonce: bytes

    def encode(self) -> bytes:
        """Wire form."""
        value = {1: self.session_id, 2: self.id_object, 3: self.encrypted_secret, 4: self.nonce}
        return encode_deterministic(value)

    @classmethod
    def decode(cls, data: bytes) -> "EnrollmentChallenge":
        """Read the wire form; raises MessageError."""
        fields = decode_fields(data, what="enrolment challenge", bytes_max=ENROLLMENT_BYTES_MAX)
        challenge = cls(
            session_id=fields.octets(1, size_min=SESSION_ID_SIZE, size_max=SESSION_ID_SIZE),
            id_object=fields.octets(2, size_min=1, size_max=ID_OBJECT_SIZE_MAX),
            encrypted_secret=fields.octets(3, size_min=1, size_max=ENCRYPTED_SECRET_SIZE_MAX),
            nonce=fields.octets(4, size_min=NONCE_SIZE, size_max=NONCE_SIZE),
        )
        fields.close()
        return challenge


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedStatement:
    """The AK's statement about a structure that the receiver already knows: TPMS_ATTEST and TPMT_SIGNATURE."""

    attest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationRequest:
    """The recovered secret (never shown in a repr), and the two certifications."""

    session_id: bytes
    secret: bytes
    storage_key: CertifiedStatement
    generation_counter: CertifiedStatement

    def __repr__(self) -> str:
        return f"ActivationRequest(session_id={self.session_id.hex()}, secret=...)"

    def encode(self) -> bytes:
        """Wire form."""
        value: dict[int, Any] = {1: self.session_id, 2: self.secret}
        value[3] = {1: self.storage_key.attest, 2: self.storage_key.signature}
        value[4] = {1: self.generation_counter.attest, 2: self.generation_counter.signature}
        return encode_deterministic(value)

    @classmethod
    def decode(cls, data: bytes) -> "ActivationRequest":
        """Read the wire form; raises MessageError."""
        fields = decode_fields(data, what="activation request", bytes_max=ENROLLMENT_BYTES_MAX)
        request = cls(
            session_id=fields.octets(1, size_min=SESSION_ID_SIZE, size_max=SESSION_ID_SIZE),
            secret=fields.octets(2, size_min=1, size_max=SECRET_SIZE_MAX),
            storage_key=_read_statement(fields.nested(3)),
            generation_counter=_read_statement(fields.nested(4)),
        )
        fields.close()
        return request


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentResult:
    """The issued PfC and its chain: DER, PfC first, without the root."""

    pfc_chain: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Wire form."""
        return encode_deterministic({1: list(self.pfc_chain)})

    @classmethod
    def decode(cls, data: bytes) -> "EnrollmentResult":
        """Read the wire form; raises MessageError."""
        fields = decode_fields(data, what="enrolment result", bytes_max=ENROLLMENT_BYTES_MAX)
        result = cls(pfc_chain=read_chain(fields, 1))
        fields.close()
        return result


def _read_statement(fields: Fields) -> CertifiedStatement:
    statement = CertifiedStatement(
        attest=fields.octets(1, size_min=1, size_max=ATTEST_SIZE_MAX),
        signature=fields.octets(2, size_min=1, size_max=SIGNATURE_SIZE_MAX),
    )
    fields.close()
    return statement
