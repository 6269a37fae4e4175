"""A device at enrolment, made of software keys: every part of its two messages can be made wrong."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from messages.binding import PVA_KEY, extra_data
from messages.enrollment import (
    ActivationRequest,
    CertifiedStatement,
    EnrollmentChallenge,
    EnrollmentRequest,
)
from standards.pki import oids
from standards.pki.fingerprints import device_id, spki_der
from standards.tpm2.constants import StructureTag
from standards.tpm2.hashing import digest_size, hmac_digest
from standards.tpm2.kdf import kdfa, kdfe
from standards.tpm2.marshal import Reader
from standards.tpm2.names import qualified_name
from standards.tpm2.outer_wrap import aes_cfb
from standards.tpm2.secret_sharing import LABEL_IDENTITY
from standards.tpm2.structures import CertifyInfo, EccPoint, NvCertifyInfo, NvPublic, Public
from standards.tpm2.templates import EK_ECC_P256, GENERATION_COUNTER, STORAGE_ECC_P256
from tests.fakes.attesting_device import AttestingDevice, p256, with_point
from tests.fakes.pki import key_usage

_FROM, _TO = datetime(2020, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class TpmMaker:
    """A TPM maker with a root."""

    title: str = "TPM maker"
    organization: str = "Makers"
    key: ec.EllipticCurvePrivateKey = field(default_factory=p256, repr=False)

    @property
    def root(self) -> bytes:
        """DER of the self-signed root."""
        return self._certificate(
            self.key.public_key(),
            subject=self._name,
            extensions=(
                (x509.BasicConstraints(ca=True, path_length=None), True),
                (key_usage("key_cert_sign", "crl_sign"), True),
            ),
        )

    @property
    def _name(self) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization),
                x509.NameAttribute(NameOID.COMMON_NAME, self.title),
            ]
        )

    def certify(self, ek: ec.EllipticCurvePublicKey) -> bytes:
        """DER of an EK certificate as the TCG profile has it."""
        make = x509.Name(
            [
                x509.NameAttribute(oids.TPM_MANUFACTURER, "id:00001014"),
                x509.NameAttribute(oids.TPM_MODEL, "model"),
                x509.NameAttribute(oids.TPM_VERSION, "id:00010002"),
            ]
        )
        return self._certificate(
            ek,
            subject=x509.Name([]),
            extensions=(
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (key_usage("key_agreement"), True),
                (x509.ExtendedKeyUsage([oids.EKU_TPM_EK]), False),
                (x509.SubjectAlternativeName([x509.DirectoryName(make)]), True),
            ),
        )

    def _certificate(
        self,
        key: ec.EllipticCurvePublicKey,
        *,
        subject: x509.Name,
        extensions: tuple[tuple[x509.ExtensionType, bool], ...],
    ) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_FROM)
            .not_valid_after(_TO + timedelta(days=1))
        )
        for value, critical in extensions:
            builder = builder.add_extension(value, critical=critical)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)


@dataclass(frozen=True, kw_only=True)
class EnrollingDevice:
    """One TPM and its keys; `replace` it to change what it says."""

    maker: TpmMaker
    ek_key: ec.EllipticCurvePrivateKey = field(default_factory=p256, repr=False)
    attesting: AttestingDevice = field(default_factory=AttestingDevice)
    ek_template: Public = EK_ECC_P256
    counter: NvPublic = field(default_factory=GENERATION_COUNTER.written)

    @property
    def ek(self) -> Public:
        """TPMT_PUBLIC of the EK."""
        return with_point(self.ek_template, self.ek_key)

    @property
    def device_id(self) -> str:
        """Identity, 64 hex digits."""
        return device_id(spki_der(self.ek_key.public_key())).hex()

    @property
    def ak_name(self) -> bytes:
        """Name of the AK."""
        return self.attesting.ak.name

    def cleared(self) -> "EnrollingDevice":
        """After TPM2_Clear: same EK and AK, another storage key."""
        return replace(self, attesting=replace(self.attesting, storage=with_point(STORAGE_ECC_P256, p256())))

    def request(self) -> EnrollmentRequest:
        """First message."""
        return EnrollmentRequest(
            ek_chain=(self.maker.certify(self.ek_key.public_key()),),
            ek_public=self.ek.encode(),
            ak_public=self.attesting.ak.encode(),
            storage_public=self.attesting.storage.encode(),
            counter_public=self.counter.encode(),
        )

    def activation(
        self, challenge: EnrollmentChallenge, *, request: EnrollmentRequest | None = None
    ) -> ActivationRequest:
        """Second message, as an honest TPM makes it."""
        body = (request or self.request()).key_body()
        data = extra_data(PVA_KEY, nonce=challenge.nonce, body=body)
        return ActivationRequest(
            session_id=challenge.session_id,
            secret=self.activate_credential(challenge),
            storage_key=self.certified_storage_key(data),
            generation_counter=self.certified_counter(data),
        )

    def certified_storage_key(self, data: bytes, *, storage: Public | None = None) -> CertifiedStatement:
        """TPM2_Certify by the AK, of its own storage key or of another one that is loaded."""
        name = (storage or self.attesting.storage).name
        qualified = qualified_name(self.attesting.storage_hierarchy, name)
        info = CertifyInfo(name=name, qualified_name=qualified)
        attest, signature = self.attesting.attested(StructureTag.ATTEST_CERTIFY, info, data)
        return CertifiedStatement(attest=attest, signature=signature)

    def certified_counter(self, data: bytes) -> CertifiedStatement:
        """TPM2_NV_Certify by the AK."""
        info = NvCertifyInfo(index_name=self.counter.name, offset=0, contents=(1).to_bytes(8, "big"))
        attest, signature = self.attesting.attested(StructureTag.ATTEST_NV, info, data)
        return CertifiedStatement(attest=attest, signature=signature)

    def activate_credential(self, challenge: EnrollmentChallenge) -> bytes:
        """TPM2_ActivateCredential: the secret, if the credential is for this EK and AK."""
        algorithm = self.ek.name_algorithm
        reader = Reader(challenge.encrypted_secret)
        point = EccPoint.read(reader)
        ephemeral = ec.EllipticCurvePublicNumbers(
            int.from_bytes(point.x, "big"), int.from_bytes(point.y, "big"), ec.SECP256R1()
        ).public_key()
        own = self.ek_key.public_key().public_numbers()
        seed = kdfe(
            algorithm,
            secret=self.ek_key.exchange(ec.ECDH(), ephemeral),
            label=LABEL_IDENTITY,
            party_u=point.x,
            party_v=own.x.to_bytes(32, "big"),
            bits=8 * digest_size(algorithm),
        )
        outer = Reader(challenge.id_object)
        integrity = outer.tpm2b(64, "integrity")
        encrypted = challenge.id_object[2 + len(integrity) :]
        mac_key = kdfa(algorithm, key=seed, label=b"INTEGRITY", bits=8 * digest_size(algorithm))
        if hmac_digest(algorithm, mac_key, encrypted + self.ak_name) != integrity:
            raise ValueError("the credential is for another EK or AK")
        key = kdfa(algorithm, key=seed, label=b"STORAGE", context_u=self.ak_name, bits=128)
        return Reader(aes_cfb(key, iv=bytes(16)).decryptor().update(encrypted)).tpm2b(64, "secret")
