"""TPM2_MakeCredential in software: a secret that one TPM gives out for one object only (Part 1, 24; Part 3, 12.6).

Theory: ActivateCredential releases the secret where the EK's private key is, and only if an object of that
Name is loaded there. A CA that sends it learns from the answer that EK and AK live in one TPM (A13).
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest_size
from standards.tpm2.marshal import tpm2b
from standards.tpm2.outer_wrap import wrap
from standards.tpm2.secret_sharing import LABEL_IDENTITY, share_secret
from standards.tpm2.structures import Public


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Contents of TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, both without their size."""

    id_object: bytes
    encrypted_secret: bytes


def make_credential(
    ek: Public,
    *,
    object_name: bytes,
    secret: bytes,
    seed: bytes,
    ephemeral: ec.EllipticCurvePrivateKey | None,
) -> Credential:
    """Protect `secret` so that only the TPM of `ek` gives it out, for the object of `object_name`.

    `secret` has at most as many bytes as a digest of the EK's nameAlg. For an RSA EK `seed` is that many
    fresh random bytes and `ephemeral` None; for an ECC EK `ephemeral` is a fresh key on its curve and `seed`
    is not used. Not checked here: whether the EK is genuine (A12) and the Name recomputed (A10).
    """
    size_max = digest_size(ek.name_algorithm)
    if len(secret) > size_max:
        raise DecodeError("credential secret", expected=f"at most {size_max} bytes", got=str(len(secret)))
    shared = share_secret(ek, label=LABEL_IDENTITY, seed=seed, ephemeral=ephemeral)
    id_object = wrap(tpm2b(secret), parent=ek, seed=shared.seed, name=object_name)
    return Credential(id_object=id_object, encrypted_secret=shared.encrypted)
