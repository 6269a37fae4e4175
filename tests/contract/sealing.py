"""What the sealing tests share: a policy key in software, blobs for a storage key, the device's sequence."""

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.commands.policies import Approval
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import (
    Algorithm,
    Handle,
    ObjectAttributes,
    SessionType,
)
from standards.tpm2.import_blob import FreshMaterial, ImportBlob, make_import_blob
from standards.tpm2.policy import (
    EMPTY_POLICY,
    approval_digest,
    pcr_digest,
    policy_authorize,
    policy_key_public,
    policy_pcr,
)
from standards.tpm2.sessions import Session
from standards.tpm2.structures import (
    PcrSelection,
    Public,
    Signature,
)
from standards.tpm2.templates import (
    STORAGE_ECC_P256,
)
from tests.contract.tpm_devices import make_persistent

SECRET = b"a content key of thirty-two byte"
POLICY_REF = hashlib.sha256(b"use, device, owner, order").digest()
BOOT = (PcrSelection(bank=Algorithm.SHA256, indices=tuple(range(8))),)
FRESH = FreshMaterial(
    obfuscation=b"\x0b" * 32, seed=b"\x5e" * 32, ephemeral=ec.derive_private_key(0xE9, ec.SECP256R1())
)
_A = ObjectAttributes


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyKey:
    """An approving key of the operator's, in software."""

    private: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> Public:
        """The public area that its Name comes from."""
        return policy_key_public(self.private.public_key())

    def sign(self, digest: bytes) -> Signature:
        """ECDSA over a digest, as the TPM verifies it."""
        der = self.private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        return Signature.from_der(der, hash_algorithm=Algorithm.SHA256, coordinate_bytes=32)


KEY = PolicyKey(private=ec.derive_private_key(0xA11CE, ec.SECP256R1()))
OTHER_KEY = PolicyKey(private=ec.derive_private_key(0xB0B, ec.SECP256R1()))
AUTH_POLICY = policy_authorize(key_name=KEY.public.name, policy_ref=POLICY_REF)


def storage_of(tpm: TpmConnection, template: Public = STORAGE_ECC_P256) -> TpmObject:
    return make_persistent(tpm, hierarchy=Handle.OWNER, template=template, persistent=0x81000102)


def blob_for(storage: TpmObject, auth_policy: bytes = AUTH_POLICY) -> ImportBlob:
    return make_import_blob(storage.public, secret=SECRET, auth_policy=auth_policy, fresh=FRESH)


def sealed_in(tpm: TpmConnection, auth_policy: bytes = AUTH_POLICY) -> TpmObject:
    storage = storage_of(tpm)
    stored = tpm.import_object(storage, blob=blob_for(storage, auth_policy))
    return tpm.load(storage, stored=stored)


def approved_state(tpm: TpmConnection) -> bytes:
    values = tpm.pcr_read_all(BOOT)
    return policy_pcr(EMPTY_POLICY, selection=BOOT, pcr_digest=pcr_digest(BOOT, values))


def approval_for(
    tpm: TpmConnection,
    approved: bytes,
    *,
    key: PolicyKey = KEY,
    policy_ref: bytes = POLICY_REF,
    hierarchy: int = Handle.OWNER,
) -> Approval:
    """The ticket for a signed approval; the key does not stay loaded."""
    signature = key.sign(approval_digest(approved, policy_ref=policy_ref))
    loaded = tpm.load_external(key.public, hierarchy=hierarchy)
    try:
        ticket = tpm.verify_signature(
            loaded, digest=approval_digest(approved, policy_ref=policy_ref), signature=signature
        )
    finally:
        tpm.flush_context(loaded.handle)
    return Approval(approved_policy=approved, policy_ref=policy_ref, key_name=key.public.name, ticket=ticket)


def policy_session(tpm: TpmConnection) -> Session:
    return tpm.start_auth_session(SessionType.POLICY)


def opened(tpm: TpmConnection, sealed: TpmObject, approval: Approval) -> bytes:
    """The device's sequence: PolicyPCR, PolicyAuthorize, Unseal."""
    session = policy_session(tpm)
    try:
        tpm.policy_pcr(session, selection=BOOT)
        tpm.policy_authorize(session, approval=approval)
        return tpm.unseal(sealed, auth=session.authorize())
    finally:
        tpm.flush_context(session.handle)
