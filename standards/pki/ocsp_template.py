"""OCSP responses by DER templates (RFC 6960 section 4.2): all that stays is laid out once for each delegate.

    OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED,
                                responseBytes [0] EXPLICIT SEQUENCE { id-pkix-ocsp-basic, OCTET STRING } }
    BasicOCSPResponse ::= SEQUENCE { tbsResponseData, signatureAlgorithm, signature BIT STRING,
                                     certs [0] EXPLICIT SEQUENCE OF Certificate }
    ResponseData ::= SEQUENCE { responderID [2] EXPLICIT KeyHash, producedAt GeneralizedTime,
                                responses SEQUENCE OF SingleResponse,
                                responseExtensions [1] EXPLICIT Extensions OPTIONAL }

The one rule: what is filled in is times, digests, signatures, and octets that a strict decoder has passed.
"""

from datetime import datetime
from functools import lru_cache

SEQUENCE, OCTETS, BITS, ENUMERATED, TIME = 0x30, 0x04, 0x03, 0x0A, 0x18
_SHORT_LENGTHS = 0x80
_ID_BASIC = bytes.fromhex("06092b0601050507300101")
_NONCE_HEAD = bytes.fromhex("06092b0601050507300102")
_SUCCESSFUL = bytes.fromhex("0a0100")


class AnswerTemplate:
    """The layout of every answer that one delegate signs."""

    __slots__ = ("_after_signature", "_responder_id")

    def __init__(self, *, key_hash: bytes, certificate: bytes) -> None:
        """Lay out what stays: SHA-1 of the delegate's key bits (O7), DER of its certificate (L5)."""
        self._responder_id = explicit(2, tlv(OCTETS, key_hash))
        self._after_signature = explicit(0, tlv(SEQUENCE, certificate))

    def response_data(self, singles: bytes, *, produced_at: datetime, extensions: bytes = b"") -> bytes:
        """DER of the ResponseData, which is what is signed; `singles` and `extensions` are DER elements in a row."""
        return tlv(
            SEQUENCE,
            self._responder_id
            + time(produced_at)
            + tlv(SEQUENCE, singles)
            + (explicit(1, tlv(SEQUENCE, extensions)) if extensions else b""),
        )

    def plain_response_data(
        self, cert_id: bytes, told: bytes, *, produced_at: datetime, nonce: bytes
    ) -> bytes:
        """DER of the ResponseData about one certificate that ends with a nonce, which nearly everybody asks for.

        `told` is what follows the CertID in its SingleResponse. The same octets as `response_data` gives.
        """
        before, between = _plain_frame(self, len(cert_id), told, produced_at, len(nonce))
        return before + cert_id + between + nonce

    def response(self, response_data: bytes, *, algorithm: bytes, signature: bytes) -> bytes:
        """DER of the successful OCSPResponse; `algorithm` is the DER of an AlgorithmIdentifier."""
        bits = tlv(BITS, b"\x00" + signature)
        basic = response_data + algorithm + bits + self._after_signature
        return _response_head(len(basic)) + basic


@lru_cache(maxsize=256)
def _plain_frame(
    template: AnswerTemplate, cert_id: int, told: bytes, produced_at: datetime, nonce: int
) -> tuple[bytes, bytes]:
    """What stands before a CertID of so many octets, and between it and a nonce of so many.

    It stays for all certificates of a CA that stand alike, as long as a second does.
    """
    whole = template.response_data(
        tlv(SEQUENCE, bytes(cert_id) + told),
        produced_at=produced_at,
        extensions=nonce_extension(bytes(nonce)),
    )
    # the lengths of what follows the CertID, counted from the end
    behind = len(told) + len(explicit(1, tlv(SEQUENCE, nonce_extension(bytes(nonce)))))
    at = len(whole) - behind - cert_id
    return whole[:at], whole[at + cert_id : len(whole) - nonce]


def nonce_extension(nonce: bytes) -> bytes:
    """DER of the Extension that echoes `nonce` (RFC 9654 section 2.1)."""
    return _nonce_head(len(nonce)) + nonce


@lru_cache(maxsize=256)
def _nonce_head(octets: int) -> bytes:
    whole = tlv(SEQUENCE, _NONCE_HEAD + tlv(OCTETS, tlv(OCTETS, bytes(octets))))
    return whole[: len(whole) - octets]


@lru_cache(maxsize=1024)
def _response_head(octets: int) -> bytes:
    """Everything before the content of a BasicOCSPResponse of so many octets."""
    basic = tlv(OCTETS, tlv(SEQUENCE, bytes(octets)))
    whole = tlv(SEQUENCE, _SUCCESSFUL + explicit(0, tlv(SEQUENCE, _ID_BASIC + basic)))
    return whole[: len(whole) - octets]


@lru_cache(maxsize=256)
def time(at: datetime) -> bytes:
    """DER GeneralizedTime of a whole second, UTC."""
    return tlv(TIME, f"{at.year:04d}{at:%m%d%H%M%S}Z".encode("ascii"))


def explicit(number: int, content: bytes) -> bytes:
    """`content` under the context-specific constructed tag of that number."""
    return tlv(0xA0 | number, content)


def tlv(tag: int, content: bytes) -> bytes:
    """One DER element."""
    return _head(tag, len(content)) + content


@lru_cache(maxsize=4096)
def _head(tag: int, length: int) -> bytes:
    if length < _SHORT_LENGTHS:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets
