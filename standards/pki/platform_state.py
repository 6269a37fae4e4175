"""The state of a platform beside its certificate's status: a singleExtension of OCSP answers (RFC 6960 section 4.4).

    PlatformState ::= SEQUENCE {
        stateDigest  OCTET STRING,        -- digest of the quoted PCRs, as the result names it, 20..64 bytes
        tier         UTF8String,          -- affirming, none, warning or contraindicated (AR4SI)
        resultTime   GeneralizedTime }    -- when the result was issued, UTC, whole seconds

The one rule: it says what the last result said, and when; whether that is new enough is for its reader to judge.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1

from standards.pki import oids
from standards.pki.errors import DecodeError

TIERS: Final = ("affirming", "none", "warning", "contraindicated")
_DIGEST_BYTES = range(20, 65)


@asn1.sequence
class _PlatformState:
    state_digest: bytes
    tier: str
    result_time: asn1.GeneralizedTime


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformState:
    """Digest of the measured state, tier of the whole result, and the whole second, UTC, in which it was issued."""

    state_digest: bytes
    tier: str
    result_time: datetime

    def __post_init__(self) -> None:
        """Refuse what a reader would refuse."""
        if len(self.state_digest) not in _DIGEST_BYTES:
            raise DecodeError("state digest", expected="20 to 64 bytes", got=str(len(self.state_digest)))
        if self.tier not in TIERS:
            raise DecodeError("tier", expected=" or ".join(TIERS), got="another word")
        if self.result_time.utcoffset() is None or self.result_time.microsecond:
            raise DecodeError("result time", expected="a whole second with its zone", got="another time")

    def encode(self) -> bytes:
        """DER, the content of the extension."""
        time = asn1.GeneralizedTime(self.result_time.astimezone(UTC))
        return asn1.encode_der(
            _PlatformState(state_digest=self.state_digest, tier=self.tier, result_time=time)
        )

    @classmethod
    def decode(cls, der: bytes) -> "PlatformState":
        """From the content of the extension; raises DecodeError."""
        try:
            raw = asn1.decode_der(_PlatformState, der)
        except (ValueError, TypeError, OverflowError) as error:
            raise DecodeError("platform state", expected="its DER structure", got=str(error)) from error
        return cls(state_digest=raw.state_digest, tier=raw.tier, result_time=raw.result_time.as_datetime())

    @classmethod
    def of(cls, single_extensions: x509.Extensions) -> "PlatformState | None":
        """From the singleExtensions of an answer, None where it has no such extension; raises DecodeError."""
        for each in single_extensions:
            if each.oid == oids.OCSP_PLATFORM_STATE and isinstance(each.value, x509.UnrecognizedExtension):
                return cls.decode(each.value.value)
        return None
