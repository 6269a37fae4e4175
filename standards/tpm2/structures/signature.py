"""TPMT_SIGNATURE: RSASSA, RSAPSS and ECDSA (Part 2, 11.3.4)."""

from dataclasses import dataclass
from struct import Struct

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from standards.tpm2.constants import Algorithm
from standards.tpm2.errors import DecodeError
from standards.tpm2.marshal import Reader, Writer

_RSA_BYTES_MAX = 512
_COORDINATE_BYTES_MAX = 66
_HEAD = Struct(">HH")
_OF_P256 = Struct(">HHH32sH32s")
_RSA = frozenset({int(Algorithm.RSASSA), int(Algorithm.RSAPSS)})
_ECDSA = int(Algorithm.ECDSA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature as the TPM returns it: `rsa` for RSASSA and RSAPSS, big-endian `r` and `s` for ECDSA."""

    algorithm: int
    hash_algorithm: int
    rsa: bytes = b""
    r: bytes = b""
    s: bytes = b""

    @classmethod
    def read(cls, reader: Reader) -> "Signature":
        """The signature at the cursor."""
        algorithm, hash_algorithm = reader.fixed(_HEAD, "sigAlg and hash of the signature")
        if algorithm in _RSA:
            rsa = reader.tpm2b(_RSA_BYTES_MAX, "RSA signature")
            return cls(algorithm=algorithm, hash_algorithm=hash_algorithm, rsa=rsa)
        if algorithm == _ECDSA:
            return cls(
                algorithm=algorithm,
                hash_algorithm=hash_algorithm,
                r=reader.tpm2b(_COORDINATE_BYTES_MAX, "signatureR"),
                s=reader.tpm2b(_COORDINATE_BYTES_MAX, "signatureS"),
            )
        raise DecodeError("sigAlg", expected="RSASSA, RSAPSS or ECDSA", got=f"0x{algorithm:04x}")

    @classmethod
    def decode(cls, data: bytes) -> "Signature":
        """TPMT_SIGNATURE and nothing after it."""
        if len(data) == _OF_P256.size:  # one step for what most AKs sign
            algorithm, hash_algorithm, r_size, r, s_size, s = _OF_P256.unpack(data)
            if algorithm == _ECDSA and r_size == s_size == len(r):
                return cls(algorithm=algorithm, hash_algorithm=hash_algorithm, r=r, s=s)
        reader = Reader(data)
        signature = cls.read(reader)
        reader.end("TPMT_SIGNATURE")
        return signature

    @classmethod
    def from_der(cls, der: bytes, *, hash_algorithm: int, coordinate_bytes: int) -> "Signature":
        """ECDSA from the DER that software produces; `coordinate_bytes` is 32 for P-256, 48 for P-384."""
        try:
            r, s = decode_dss_signature(der)
            padded = [value.to_bytes(coordinate_bytes, "big") for value in (r, s)]
        except (ValueError, OverflowError):
            raise DecodeError("ECDSA signature", expected="DER of r and s", got=f"{len(der)} bytes") from None
        return cls(algorithm=Algorithm.ECDSA, hash_algorithm=hash_algorithm, r=padded[0], s=padded[1])

    def encode(self) -> bytes:
        """TPMT_SIGNATURE as bytes."""
        writer = Writer().u16(self.algorithm).u16(self.hash_algorithm)
        if self.algorithm == Algorithm.ECDSA:
            return writer.tpm2b(self.r).tpm2b(self.s).done()
        return writer.tpm2b(self.rsa).done()

    def der(self) -> bytes:
        """An ECDSA signature as DER, an RSA one as it is: what `cryptography` verifies."""
        if self.algorithm != _ECDSA:
            return self.rsa
        return encode_dss_signature(int.from_bytes(self.r, "big"), int.from_bytes(self.s, "big"))
