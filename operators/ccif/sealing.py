"""Fresh random material for import blobs: what `standards.tpm2.import_blob` takes as a parameter."""

from cryptography.hazmat.primitives.asymmetric import rsa

from edge.process import RandomBytes
from standards.tpm2.hashing import digest_size
from standards.tpm2.import_blob import OBFUSCATION_BYTES, FreshMaterial
from standards.tpm2.secret_sharing import ephemeral_key
from standards.tpm2.structures import Public


def fresh_material(storage_key: Public, *, random_bytes: RandomBytes) -> FreshMaterial:
    """Material of one blob for this storage key, as its kind needs it."""
    obfuscation = random_bytes(OBFUSCATION_BYTES)
    key = storage_key.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return FreshMaterial(
            obfuscation=obfuscation, seed=random_bytes(digest_size(storage_key.name_algorithm))
        )
    return FreshMaterial(obfuscation=obfuscation, ephemeral=ephemeral_key(key.curve, random_bytes))
