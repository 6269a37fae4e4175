"""A provisional USIM in software: what a TRE does with the sealed key and the challenges of a network."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec

from lab.software_tpm.object_protection import decode_sensitive, unwrap
from messages.mid_package import SealedKey
from standards.aka.milenage import KEY_SIZE, MilenageKey
from standards.aka.sequence import UsimSequence
from standards.aka.vectors import Authenticated, Resynchronisation, authenticate
from standards.tpm2.constants import Algorithm
from standards.tpm2.kdf import kdfe
from standards.tpm2.marshal import Reader
from standards.tpm2.secret_sharing import LABEL_DUPLICATE
from standards.tpm2.structures import EccPoint, Public
from standards.tpm2.templates import STORAGE_ECC_P256


class SoftwareUsim:
    """K, OPc and the sequence numbers that were taken."""

    def __init__(self, key: MilenageKey, sequence: UsimSequence | None = None) -> None:
        self.key = key
        self.sequence = sequence or UsimSequence()

    def answer(self, rand: bytes, autn: bytes) -> Authenticated | Resynchronisation:
        answer = authenticate(self.key, rand=rand, autn=autn, sequence=self.sequence)
        if isinstance(answer, Authenticated):
            self.sequence = answer.sequence
        return answer

    def response(self, rand: bytes, autn: bytes) -> bytes:
        """RES, where the sequence number is taken."""
        answer = self.answer(rand, autn)
        assert isinstance(answer, Authenticated)
        return answer.res


def storage_public(key: ec.EllipticCurvePrivateKey) -> Public:
    """The storage key that a TPM would make from the published template."""
    numbers = key.public_key().public_numbers()
    return replace(
        STORAGE_ECC_P256, unique=EccPoint(x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big"))
    )


def opened_key(sealed: SealedKey, *, storage_key: ec.EllipticCurvePrivateKey) -> MilenageKey:
    """K and OPc out of an import blob, as the TPM of the storage key has them after TPM2_Import."""
    reader = Reader(sealed.encrypted_seed)
    point = EccPoint.read(reader)
    x, y = int.from_bytes(point.x, "big"), int.from_bytes(point.y, "big")
    ephemeral = ec.EllipticCurvePublicNumbers(x, y, storage_key.curve).public_key()
    seed = kdfe(
        Algorithm.SHA256,
        secret=storage_key.exchange(ec.ECDH(), ephemeral),
        label=LABEL_DUPLICATE,
        party_u=x.to_bytes(32, "big"),
        party_v=storage_key.public_key().public_numbers().x.to_bytes(32, "big"),
        bits=256,
    )
    name = Public.decode(sealed.public).name
    clear = unwrap(sealed.duplicate, protector=storage_public(storage_key), seed=seed, name=name)
    secret = decode_sensitive(clear).secret
    return MilenageKey(k=secret[:KEY_SIZE], opc=secret[KEY_SIZE:])
