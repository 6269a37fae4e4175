"""The challenge: what the PVA asks a device to attest, as the claims of a signed token.

Rule: the token is the only state; nothing of it is stored before it is redeemed. It is signed as a JWT of type
`pva-challenge+jwt` with a certificate for challenges under the operators' root; signing and verifying are not
done here. `context()` is the body that every quote of the answer is bound to (see `binding`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from messages.binding import NONCE_SIZE
from messages.encoding import encode_deterministic
from messages.errors import MessageError, refusal
from messages.pcr import PcrSelections, encode_selections, name_selections, read_named_selections
from standards.rats.fields import Fields, encode_base64url, numeric_date

CHALLENGE_TYPE: Final = "pva-challenge+jwt"
CHALLENGE_BYTES_MAX: Final = 16_384
VALIDATION: Final = "validation"
RECOVERY: Final = "recovery"
"""Asked of a device whose Platform Credential is on hold: the answer shows whether it recovered, and permits nothing."""
PURPOSES: Final = frozenset({VALIDATION, RECOVERY})
DIGEST_SIZE: Final = 32
RP_NONCE_SIZE_MIN: Final = 16
RP_NONCE_SIZE_MAX: Final = 64
AUDIENCE_MAX: Final = 8
IMA_COUNT_MAX: Final = 1 << 31
_U32_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaOffset:
    """How much of an IMA list the PVA knows: its first `count` entries, of the boot with these counts of the TPM."""

    count: int
    reset_count: int
    restart_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One question to one device.

    `nonce` 32 random bytes of the PVA; `device_id` 32 bytes as lower-case hex; `purpose` one of `PURPOSES`;
    `rp_nonce` 16 to 64 bytes of the relying party; `order_digest` SHA-256 or None; `audience` of the result;
    `ima` whether the IMA list is asked for, with a quote of its own over PCR 10; `ima_after` what the PVA knows of it: in the
    boot that it names only the entries after these need to come.
    """

    nonce: bytes
    device_id: str
    purpose: str
    request_id: str
    pcr_selections: PcrSelections
    rp_nonce: bytes
    order_digest: bytes | None
    audience: tuple[str, ...]
    issuer: str
    issued_at: datetime
    expires_at: datetime
    ima: bool = False
    ima_after: ImaOffset | None = None

    def context(self) -> bytes:
        """Body of the exchange: deterministic CBOR of everything that the answer is bound to but the nonce."""
        body: dict[int, Any] = {
            1: self.purpose,
            2: bytes.fromhex(self.device_id),
            4: encode_selections(self.pcr_selections),
            5: self.rp_nonce,
            6: self.request_id,
        }
        if self.order_digest is not None:
            body[3] = self.order_digest
        if self.ima:
            body[7] = True
        if self.ima_after is not None:
            after = self.ima_after
            body[8] = [after.count, after.reset_count, after.restart_count]
        return encode_deterministic(body)

    def claims(self) -> dict[str, Any]:
        """JWT claims; `read_claims` takes them back."""
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": self.device_id,
            "iat": numeric_date(self.issued_at),
            "exp": numeric_date(self.expires_at),
            "nonce": encode_base64url(self.nonce),
            "pva_purpose": self.purpose,
            "pva_request_id": self.request_id,
            "pva_pcr_select": name_selections(self.pcr_selections),
            "pva_rp_nonce": encode_base64url(self.rp_nonce),
            "pva_audience": list(self.audience),
        }
        if self.order_digest is not None:
            claims["pva_order_digest"] = self.order_digest.hex()
        if self.ima:
            claims["pva_ima"] = True
        if self.ima_after is not None:
            claims["pva_ima_after"] = {
                "count": self.ima_after.count,
                "reset_count": self.ima_after.reset_count,
                "restart_count": self.ima_after.restart_count,
            }
        return claims


def read_claims(claims: object) -> Challenge:
    """Read verified claims into a challenge; unknown claims are refused, the time is NOT judged here.

    Raises:
        MessageError: a claim is missing, unknown, or of another type or size.
    """
    fields = Fields(claims, what="challenge", refusal=refusal)
    challenge = Challenge(
        nonce=fields.base64url("nonce", size_min=NONCE_SIZE, size_max=NONCE_SIZE),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        purpose=fields.text("pva_purpose", size_max=32),
        request_id=fields.text("pva_request_id", size_max=64),
        pcr_selections=read_named_selections(fields.raw("pva_pcr_select"), what="challenge.pva_pcr_select"),
        rp_nonce=fields.base64url("pva_rp_nonce", size_min=RP_NONCE_SIZE_MIN, size_max=RP_NONCE_SIZE_MAX),
        order_digest=_order_digest(fields),
        audience=fields.texts("pva_audience", size_min=1, size_max=AUDIENCE_MAX),
        issuer=fields.text("iss", size_max=255),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
        ima=_asks_for_ima(fields),
        ima_after=_read_offset(fields.nested("pva_ima_after")) if "pva_ima_after" in fields else None,
    )
    fields.close()
    if challenge.purpose not in PURPOSES:
        raise MessageError(
            what="challenge.pva_purpose", expected=" or ".join(sorted(PURPOSES)), got="another"
        )
    if challenge.ima_after is not None and not challenge.ima:
        raise MessageError(what="challenge.pva_ima_after", expected="pva_ima beside it", got="none")
    if challenge.expires_at <= challenge.issued_at:
        raise MessageError(what="challenge.exp", expected="a time after iat", got="one that is not")
    return challenge


def _read_offset(fields: Fields) -> ImaOffset:
    offset = ImaOffset(
        count=fields.integer("count", low=1, high=IMA_COUNT_MAX),
        reset_count=fields.integer("reset_count", high=_U32_MAX),
        restart_count=fields.integer("restart_count", high=_U32_MAX),
    )
    fields.close()
    return offset


def _asks_for_ima(fields: Fields) -> bool:
    """Written only where it is so: one question has one form."""
    if "pva_ima" in fields and fields.raw("pva_ima") is not True:
        raise MessageError(what="challenge.pva_ima", expected="true, or no such claim", got="another value")
    return "pva_ima" in fields


def _order_digest(fields: Fields) -> bytes | None:
    if "pva_order_digest" not in fields:
        return None
    return fields.hex("pva_order_digest", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE)
