"""The MID package of an order: content, content key, import blob, signed header, authorisation (D8, R51, R54, R96).

Rule: pure making. The content key exists in this file's one call and in the import blob, and nowhere afterwards: what
is stored and sent is what only the device's TPM opens.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from edge.process import RandomBytes
from messages.authorization import AUTHORIZATION_KIND, Authorization
from messages.mid_content import MidContent, NetworkApplication
from messages.mid_package import (
    CONTENT_KEY_SIZE,
    CONTENT_NONCE_SIZE,
    PACKAGE_KIND,
    RECEIPT_NONCE_SIZE,
    ApprovedUse,
    PackageHeader,
    SealedKey,
    additional_data,
    encrypt_content,
    package_digest,
)
from messages.mid_policy import MidPolicy
from messages.operator_token import OperatorSigner
from operators.sho.order_states import BoundOrder, Change
from standards.tpm2.hashing import digest_size
from standards.tpm2.import_blob import OBFUSCATION_BYTES, FreshMaterial, make_import_blob
from standards.tpm2.secret_sharing import ephemeral_key
from standards.tpm2.structures import Public

_ID_SIZE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a package is made from. `sealed_policy` is the authPolicy of the content key, `policy` the MID's own.

    `change` is what the order takes over, with the prior operator's release; `mid_id` the MID that it updates, if it is an update.
    """

    order: BoundOrder
    applications: tuple[NetworkApplication, ...]
    policy: MidPolicy
    storage: Public
    sealed_policy: bytes
    policy_root: bytes
    approvals: tuple[ApprovedUse, ...]
    result_id: str
    dpf: str
    version: int
    issued_at: datetime
    expires_at: datetime
    change: Change | None = None
    mid_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package ready to be sent, with its authorisation; `content` is encrypted."""

    package_id: str
    version: int
    mid_id: str
    token: str
    digest: bytes
    content: bytes
    receipt_nonce: bytes
    storage_key_name: bytes
    result_id: str
    authorization: str
    expires_at: datetime


def make_package(recipe: Recipe, *, signer: OperatorSigner, random_bytes: RandomBytes) -> Package:
    """Encrypt, seal and sign one package, and authorise it."""
    package_id = random_bytes(_ID_SIZE).hex()
    mid_id = recipe.mid_id or random_bytes(_ID_SIZE).hex()
    content_key = random_bytes(CONTENT_KEY_SIZE)
    nonce, receipt_nonce = random_bytes(CONTENT_NONCE_SIZE), random_bytes(RECEIPT_NONCE_SIZE)
    order = recipe.order
    content = encrypt_content(
        MidContent(mid_id=mid_id, applications=recipe.applications, policy=recipe.policy).encode(),
        key=content_key,
        nonce=nonce,
        bound_to=additional_data(
            device_id=order.device_id,
            order_digest=order.digest,
            sho=signer.issuer,
            package_id=package_id,
            version=recipe.version,
        ),
    )
    header = PackageHeader(
        sho=signer.issuer,
        dpf=recipe.dpf,
        package_id=package_id,
        version=recipe.version,
        mid_id=mid_id,
        device_id=order.device_id,
        ak_name=order.ak_name,
        storage_key_name=recipe.storage.name,
        order_digest=order.digest,
        sealed_key=_sealed(recipe, content_key, random_bytes),
        policy_root=recipe.policy_root,
        approvals=recipe.approvals,
        content_nonce=nonce,
        content_size=len(content),
        content_sha256=hashlib.sha256(content).digest(),
        receipt_nonce=receipt_nonce,
        issued_at=recipe.issued_at,
        expires_at=recipe.expires_at,
    )
    token = signer.sign(header.claims(), typ=PACKAGE_KIND.typ)
    return Package(
        package_id=package_id,
        version=recipe.version,
        mid_id=mid_id,
        token=token,
        digest=package_digest(token),
        content=content,
        receipt_nonce=receipt_nonce,
        storage_key_name=recipe.storage.name,
        result_id=recipe.result_id,
        authorization=_authorization(recipe, package=token, jti=random_bytes(_ID_SIZE).hex(), signer=signer),
        expires_at=recipe.expires_at,
    )


def _sealed(recipe: Recipe, content_key: bytes, random_bytes: RandomBytes) -> SealedKey:
    storage_key = recipe.storage.public_key()
    elliptic = isinstance(storage_key, ec.EllipticCurvePublicKey)
    fresh = FreshMaterial(
        obfuscation=random_bytes(OBFUSCATION_BYTES),
        seed=b"" if elliptic else random_bytes(digest_size(recipe.storage.name_algorithm)),
        ephemeral=(
            ephemeral_key(storage_key.curve, random_bytes)
            if isinstance(storage_key, ec.EllipticCurvePublicKey)
            else None
        ),
    )
    blob = make_import_blob(recipe.storage, secret=content_key, auth_policy=recipe.sealed_policy, fresh=fresh)
    return SealedKey(
        public=blob.public.encode(), duplicate=blob.duplicate, encrypted_seed=blob.encrypted_seed
    )


def _authorization(recipe: Recipe, *, package: str, jti: str, signer: OperatorSigner) -> str:
    order = recipe.order
    authorization = Authorization(
        sho=signer.issuer,
        dpf=recipe.dpf,
        jti=jti,
        order_digest=order.digest,
        device_id=order.device_id,
        ak_name=order.ak_name,
        storage_key_name=recipe.storage.name,
        result_id=recipe.result_id,
        package_digest=package_digest(package),
        issued_at=recipe.issued_at,
        expires_at=recipe.expires_at,
        prior_owner=None if recipe.change is None else recipe.change.prior.operator,
        release=None if recipe.change is None else recipe.change.release,
    )
    return signer.sign(authorization.claims(), typ=AUTHORIZATION_KIND.typ)
