"""The MID package: a subscription on its way to the one TRE that may open it (D8, R51, R54).

Rule: the operator encrypts the content to the storage key that the result names, and signs the whole header; the
content key travels as a TPM import blob that opens only in an approved state, for this order. The additional data of
the encryption bind device, order, operator, package and version; ACL and policy are inside, under the same seal (R54).

    header   a token of the SHO (`pva-mid-package+jwt`)
    content  AES-256-GCM(det-CBOR(messages.mid_content.MidContent)), carried beside the header, in chunks
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from messages.encoding import encode_deterministic
from messages.errors import MessageError, refusal
from messages.operator_token import TokenKind
from messages.order import DIGEST_SIZE, ID_MAX, NAME_SIZE_MAX, NAME_SIZE_MIN
from standards.pki import oids
from standards.rats.fields import Fields, encode_base64url, numeric_date

PACKAGE_KIND: Final = TokenKind(
    typ="pva-mid-package+jwt", eku=oids.EKU_SUBSCRIPTION, roles=frozenset({"sho"})
)
CONTENT_KEY_SIZE: Final = 32
CONTENT_NONCE_SIZE: Final = 12
CONTENT_BYTES_MAX: Final = 1 << 18
RECEIPT_NONCE_SIZE: Final = 32
APPROVALS_MAX: Final = 8
_BLOB_PART_MAX: Final = 1_024
_VERSION_MAX: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """The content key as an import blob: TPMT_PUBLIC, contents of TPM2B_PRIVATE and TPM2B_ENCRYPTED_SECRET."""

    public: bytes
    duplicate: bytes
    encrypted_seed: bytes

    def claims(self) -> dict[str, str]:
        """JSON form."""
        return {
            "public": encode_base64url(self.public),
            "duplicate": encode_base64url(self.duplicate),
            "seed": encode_base64url(self.encrypted_seed),
        }


def read_sealed_key(fields: Fields) -> SealedKey:
    """Read the JSON form; raises the error of `fields`."""
    sealed = SealedKey(
        public=fields.base64url("public", size_min=1, size_max=_BLOB_PART_MAX),
        duplicate=fields.base64url("duplicate", size_min=1, size_max=_BLOB_PART_MAX),
        encrypted_seed=fields.base64url("seed", size_min=1, size_max=_BLOB_PART_MAX),
    )
    fields.close()
    return sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedUse:
    """An approval (encoded StateApproval) with the policy root's delegation to its day key (TPMT_SIGNATURE)."""

    approval: bytes
    delegation: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageHeader:
    """The signed part. `policy_root` is a TPMT_PUBLIC; `content_sha256` of the encrypted content as carried.

    `receipt_nonce` goes into the quote over the receipt. `approvals` hold those for the package and for the vault.
    """

    sho: str
    dpf: str
    package_id: str
    version: int
    mid_id: str
    device_id: str
    ak_name: bytes
    storage_key_name: bytes
    order_digest: bytes
    sealed_key: SealedKey
    policy_root: bytes
    approvals: tuple[ApprovedUse, ...]
    content_nonce: bytes
    content_size: int
    content_sha256: bytes
    receipt_nonce: bytes
    issued_at: datetime
    expires_at: datetime

    @property
    def additional_data(self) -> bytes:
        """What the encryption of the content is bound to."""
        return additional_data(
            device_id=self.device_id,
            order_digest=self.order_digest,
            sho=self.sho,
            package_id=self.package_id,
            version=self.version,
        )

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_claims` takes them back."""
        return {
            "aud": self.dpf,
            "sub": self.device_id,
            "jti": self.package_id,
            "iat": numeric_date(self.issued_at),
            "exp": numeric_date(self.expires_at),
            "pva_version": self.version,
            "pva_mid_id": self.mid_id,
            "pva_ak_name": self.ak_name.hex(),
            "pva_storage_key_name": self.storage_key_name.hex(),
            "pva_order_digest": self.order_digest.hex(),
            "pva_sealed_key": self.sealed_key.claims(),
            "pva_policy_root": encode_base64url(self.policy_root),
            "pva_approvals": approved_uses_claim(self.approvals),
            "pva_content_nonce": encode_base64url(self.content_nonce),
            "pva_content_size": self.content_size,
            "pva_content_sha256": self.content_sha256.hex(),
            "pva_receipt_nonce": encode_base64url(self.receipt_nonce),
        }


def read_claims(claims: object) -> PackageHeader:
    """Read verified claims; neither time nor approvals are judged here. Raises MessageError."""
    fields = Fields(claims, what="package", refusal=refusal)
    header = PackageHeader(
        sho=fields.text("iss", size_max=ID_MAX),
        dpf=fields.text("aud", size_max=ID_MAX),
        package_id=fields.text("jti", size_max=ID_MAX),
        version=fields.integer("pva_version", low=1, high=_VERSION_MAX),
        mid_id=fields.text("pva_mid_id", size_max=ID_MAX),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        ak_name=fields.hex("pva_ak_name", size_min=NAME_SIZE_MIN, size_max=NAME_SIZE_MAX),
        storage_key_name=fields.hex("pva_storage_key_name", size_min=NAME_SIZE_MIN, size_max=NAME_SIZE_MAX),
        order_digest=fields.hex("pva_order_digest", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        sealed_key=read_sealed_key(fields.nested("pva_sealed_key")),
        policy_root=fields.base64url("pva_policy_root", size_min=1, size_max=256),
        approvals=read_approved_uses(fields, "pva_approvals", what="package"),
        content_nonce=fields.base64url(
            "pva_content_nonce", size_min=CONTENT_NONCE_SIZE, size_max=CONTENT_NONCE_SIZE
        ),
        content_size=fields.integer("pva_content_size", low=1, high=CONTENT_BYTES_MAX),
        content_sha256=fields.hex("pva_content_sha256", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        receipt_nonce=fields.base64url(
            "pva_receipt_nonce", size_min=RECEIPT_NONCE_SIZE, size_max=RECEIPT_NONCE_SIZE
        ),
        issued_at=fields.time("iat"),
        expires_at=fields.time("exp"),
    )
    fields.close()
    return header


def approved_uses_claim(approvals: Sequence[ApprovedUse]) -> list[dict[str, str]]:
    """JSON form of approvals with their delegations; `read_approved_uses` takes it back."""
    return [
        {"approval": encode_base64url(each.approval), "delegation": encode_base64url(each.delegation)}
        for each in approvals
    ]


def read_approved_uses(fields: Fields, name: str, *, what: str) -> tuple[ApprovedUse, ...]:
    """Read one to APPROVALS_MAX approvals out of a claim; none of them is judged here. Raises MessageError."""
    rows = fields.items(name, size_min=1, size_max=APPROVALS_MAX)
    approvals = []
    for number, row in enumerate(rows):
        each = Fields(row, what=f"{what}.{name}.{number}", refusal=refusal)
        approvals.append(
            ApprovedUse(
                approval=each.base64url("approval", size_min=1, size_max=2_048),
                delegation=each.base64url("delegation", size_min=1, size_max=256),
            )
        )
        each.close()
    return tuple(approvals)


def package_digest(token: str) -> bytes:
    """SHA-256 of a package token as sent: what authorisation, delivery and receipt name it by."""
    return hashlib.sha256(token.encode("ascii", errors="replace")).digest()


def additional_data(*, device_id: str, order_digest: bytes, sho: str, package_id: str, version: int) -> bytes:
    """Additional data of the content's encryption."""
    return encode_deterministic(
        ["pva/mid/1", bytes.fromhex(device_id), order_digest, sho, package_id, version]
    )


def encrypt_content(content: bytes, *, key: bytes, nonce: bytes, bound_to: bytes) -> bytes:
    """AES-256-GCM under a fresh content key; `bound_to` is `additional_data(...)`."""
    return AESGCM(key).encrypt(nonce, content, bound_to)


def decrypt_content(encrypted: bytes, *, key: bytes, header: PackageHeader) -> bytes:
    """The content, if it was encrypted under this key for this very package. Raises MessageError."""
    try:
        return AESGCM(key).decrypt(header.content_nonce, encrypted, header.additional_data)
    except (InvalidTag, ValueError):  # ValueError: no AES key
        raise MessageError(
            what="content of the package",
            expected="content encrypted for this device, order, operator and version",
            got="something else",
        ) from None
