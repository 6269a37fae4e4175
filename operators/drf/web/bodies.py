"""JSON bodies of the operator and device listeners, checked before a use case sees them."""

import base64
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from messages.attachment import PCID_DIGITS_MAX, PCID_DIGITS_MIN
from messages.operator_token import TOKEN_BYTES_MAX
from operators.drf.attachments import KEY_SIZE
from standards.rats.fields import encode_base64url

PFC_CHAIN_MAX = 6
_CERTIFICATE_CHARACTERS_MAX = 11_000
_PUBLIC_CHARACTERS_MAX = 1_024
DEVICE_BODY_BYTES_MAX = PFC_CHAIN_MAX * (_CERTIFICATE_CHARACTERS_MAX + 8) + _PUBLIC_CHARACTERS_MAX + 1_024
RELAY_BODY_BYTES_MAX = TOKEN_BYTES_MAX + 64
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"


def _is_base64url(value: str) -> str:
    if encode_base64url(decoded(value)) != value:
        raise ValueError("expected base64url without padding")
    return value


Pcid = Annotated[str, StringConstraints(pattern=rf"^[0-9]{{{PCID_DIGITS_MIN},{PCID_DIGITS_MAX}}}$")]
DeviceId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=_PRINTABLE)]
Nonce = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$"), AfterValidator(_is_base64url)]
Certificate = Annotated[
    str,
    StringConstraints(max_length=_CERTIFICATE_CHARACTERS_MAX, pattern=r"^[A-Za-z0-9_-]+$"),
    AfterValidator(_is_base64url),
]
PublicArea = Annotated[
    str,
    StringConstraints(max_length=_PUBLIC_CHARACTERS_MAX, pattern=r"^[A-Za-z0-9_-]+$"),
    AfterValidator(_is_base64url),
]


class Body(BaseModel):
    """A body: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DiscoveryBody(Body):
    """A device asks which operator is its own."""

    pcid: Pcid
    device_id: DeviceId
    nonce: Nonce
    supplier: Name | None = None
    choice: Name | None = None


class RegistrationBody(Body):
    """A device registers; certificates are DER and `ak_public` a TPMT_PUBLIC, in base64url."""

    pcid: Pcid
    device_id: DeviceId
    sho: Name
    pfc_chain: Annotated[list[Certificate], Field(min_length=1, max_length=PFC_CHAIN_MAX)]
    ak_public: PublicArea


class AttachmentBody(Body):
    """An ICF says that a PCID is attached now."""

    pcid: Pcid
    serving_network: Name
    key: Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{2 * KEY_SIZE}}}$")] = Field(repr=False)
    expires_at: AwareDatetime


class OrderBody(Body):
    """An SHO says that an order waits for a device."""

    device_code: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    sho_name: Name


class RelayBody(Body):
    """An SHO has a validation request carried; the token is not read."""

    request: Annotated[str, StringConstraints(min_length=1, max_length=TOKEN_BYTES_MAX, pattern=r"^[!-~]+$")]


def decoded(text: str) -> bytes:
    """Bytes of a member in base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
