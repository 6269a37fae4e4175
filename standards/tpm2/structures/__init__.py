"""Structures of the TPM 2.0 Library, Part 2: frozen values that decode from and encode to exact bytes.

One rule: for every decoded value `encode()` gives the received bytes back, so a Name or signature over a
re-encoding is one over what was sent; trailing bytes and wrong sizes are refused.
"""

from standards.tpm2.structures.attest import Attest, CertifyInfo, ClockInfo, NvCertifyInfo, QuoteInfo
from standards.tpm2.structures.nv import NvPublic
from standards.tpm2.structures.pcr import (
    PcrSelection,
    decode_pcr_selections,
    encode_pcr_selections,
    read_pcr_selections,
)
from standards.tpm2.structures.public import (
    EccParameters,
    EccPoint,
    KeyedHashParameters,
    Public,
    RsaParameters,
    Scheme,
    SymmetricDefinition,
)
from standards.tpm2.structures.signature import Signature
from standards.tpm2.structures.ticket import Ticket

__all__ = [
    "Attest",
    "CertifyInfo",
    "ClockInfo",
    "EccParameters",
    "EccPoint",
    "KeyedHashParameters",
    "NvCertifyInfo",
    "NvPublic",
    "PcrSelection",
    "Public",
    "QuoteInfo",
    "RsaParameters",
    "Scheme",
    "Signature",
    "SymmetricDefinition",
    "Ticket",
    "decode_pcr_selections",
    "encode_pcr_selections",
    "read_pcr_selections",
]
