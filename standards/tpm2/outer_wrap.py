"""The outer wrap: encryption and integrity of what travels to a TPM (Part 1, 22 to 24).

encrypt-then-MAC with two keys derived from one seed, both over the Name of the object concerned, so that
nothing can be moved to another object.
"""

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from standards.tpm2.constants import Algorithm
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest_size, hmac_digest
from standards.tpm2.kdf import kdfa
from standards.tpm2.marshal import Writer
from standards.tpm2.structures import Public


def wrap(content: bytes, *, parent: Public, seed: bytes, name: bytes) -> bytes:
    """TPM2B(outerHMAC) || encrypted `content`, under the nameAlg and symmetric algorithm of `parent`.

    `name` is the Name of the object that the content belongs to. DecodeError unless `parent` uses AES-CFB.
    """
    symmetric = parent.symmetric
    if (symmetric.algorithm, symmetric.mode) != (Algorithm.AES, Algorithm.CFB):
        raise DecodeError(
            "symmetric algorithm of the receiving key", expected="AES in CFB mode", got=str(symmetric)
        )
    algorithm = parent.name_algorithm
    bits = symmetric.key_bits
    encryption_key = kdfa(algorithm, key=seed, label=b"STORAGE", context_u=name, bits=bits)
    encrypted = aes_cfb(encryption_key, iv=bytes(16)).encryptor().update(content)
    integrity_key = kdfa(algorithm, key=seed, label=b"INTEGRITY", bits=8 * digest_size(algorithm))
    integrity = hmac_digest(algorithm, integrity_key, encrypted + name)
    return Writer().tpm2b(integrity).raw(encrypted).done()


def aes_cfb(key: bytes, *, iv: bytes) -> Cipher[CFB]:
    """AES in full-block CFB mode, the TPM's way of encrypting (Part 1, 11.4.9)."""
    return Cipher(algorithms.AES(key), CFB(iv))
