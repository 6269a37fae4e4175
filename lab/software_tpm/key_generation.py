"""Making objects: keys from randomness or from a primary seed, and sealed data (Part 1, 27.3-27.5).

A primary object is a function of seed and template: the same template gives the same key until the seed
changes. ECC scalars and seed values are derived from the seed. RSA primes are not: `cryptography` cannot be
given the randomness of its prime search, and a prime search of our own would be the one place where this
package does by hand what a well-kept library does; so an RSA primary key is generated once and kept in the
state under a digest of seed and template, which ends with the seed just the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lab.software_tpm.machine import Machine
from lab.software_tpm.objects import Sensitive
from lab.software_tpm.state import PrimaryRsaKey
from standards.tpm2.constants import Algorithm, EccCurve, Handle, ObjectAttributes
from standards.tpm2.hashing import digest, digest_size
from standards.tpm2.kdf import kdfa
from standards.tpm2.structures import EccParameters, EccPoint, Public, RsaParameters
from standards.tpm2.structures.public import RSA_EXPONENT

_CURVES: dict[int, ec.EllipticCurve] = {
    EccCurve.NIST_P256: ec.SECP256R1(),
    EccCurve.NIST_P384: ec.SECP384R1(),
}
_EXTRA_BYTES = 8
"""Bits beyond the order of the curve, so that the reduction leaves no bias (FIPS 186-5, A.2.1)."""


class KeySource(Protocol):
    """Where an object's secrets come from."""

    def secret_bytes(self, label: bytes, size: int) -> bytes:
        """`size` secret bytes for one purpose."""
        ...

    def rsa_primes(self, key_bits: int) -> tuple[bytes, bytes]:
        """Modulus and one prime."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSource:
    """For ordinary objects: TPM2_Create."""

    random_bytes: Callable[[int], bytes]

    def secret_bytes(self, label: bytes, size: int) -> bytes:  # noqa: ARG002 fresh bytes for any purpose
        """Fresh random bytes."""
        return self.random_bytes(size)

    def rsa_primes(self, key_bits: int) -> tuple[bytes, bytes]:
        """A fresh RSA key."""
        return _generate_rsa(key_bits)


class PrimarySource:
    """For primary objects: everything follows from the seed of the hierarchy and a digest of the template."""

    def __init__(self, machine: Machine, hierarchy: int, *, template: bytes) -> None:
        self._machine = machine
        self._hierarchy = hierarchy
        self._template_digest = digest(Algorithm.SHA512, template)

    def secret_bytes(self, label: bytes, size: int) -> bytes:
        """KDFa of the seed."""
        seed = self._machine.hierarchy(self._hierarchy).seed
        return kdfa(
            Algorithm.SHA512,
            key=seed,
            label=b"PRIMARY " + label,
            context_u=self._template_digest,
            bits=8 * size,
        )

    def rsa_primes(self, key_bits: int) -> tuple[bytes, bytes]:
        """The key kept for this seed and template, or a fresh one, kept from now on.

        One of the NULL hierarchy, whose seed is gone with the next reset, is not kept in the state.
        """
        machine = self._machine
        key_id = self.secret_bytes(b"RSA KEY ID", 32)
        kept = machine.state.primary_rsa_keys.get(key_id) or machine.null_rsa_keys.get(key_id)
        if kept is None:
            modulus, prime = _generate_rsa(key_bits)
            kept = PrimaryRsaKey(hierarchy=self._hierarchy, modulus=modulus, prime=prime)
            if self._hierarchy == Handle.NULL:
                machine.null_rsa_keys[key_id] = kept
            else:
                keys = {**machine.state.primary_rsa_keys, key_id: kept}
                machine.state = replace(machine.state, primary_rsa_keys=keys)
        return kept.modulus, kept.prime


def make_object(
    template: Public, *, auth_value: bytes, data: bytes, source: KeySource
) -> tuple[Public, Sensitive]:
    """An object from a template that has passed all checks; `data` is what a sealed object holds."""
    if isinstance(template.parameters, EccParameters):
        unique, secret = _make_ecc(_CURVES[template.parameters.curve], source)
        public = replace(template, unique=unique)
    elif isinstance(template.parameters, RsaParameters):
        modulus, secret = source.rsa_primes(template.parameters.key_bits)
        public = replace(template, unique=modulus)
    else:
        secret = data or source.secret_bytes(b"KEYED HASH", digest_size(template.name_algorithm))
        public = template
    seed_value = _seed_value(template, source)
    if template.type == Algorithm.KEYEDHASH:
        public = replace(template, unique=digest(template.name_algorithm, seed_value + secret))
    sensitive = Sensitive(type=template.type, auth_value=auth_value, seed_value=seed_value, secret=secret)
    return public, sensitive


def _seed_value(template: Public, source: KeySource) -> bytes:
    """For parents the seed that protects their children, for keyed hashes what hides the data; else none."""
    storage = ObjectAttributes.RESTRICTED | ObjectAttributes.DECRYPT
    needed = template.type == Algorithm.KEYEDHASH or template.attributes & storage == storage
    return source.secret_bytes(b"SEED VALUE", digest_size(template.name_algorithm)) if needed else b""


def _make_ecc(curve: ec.EllipticCurve, source: KeySource) -> tuple[EccPoint, bytes]:
    size = (curve.key_size + 7) // 8
    wide = int.from_bytes(source.secret_bytes(b"ECC SCALAR", size + _EXTRA_BYTES), "big")
    scalar = wide % (curve.group_order - 1) + 1
    numbers = ec.derive_private_key(scalar, curve).public_key().public_numbers()
    point = EccPoint(x=numbers.x.to_bytes(size, "big"), y=numbers.y.to_bytes(size, "big"))
    return point, scalar.to_bytes(size, "big")


def _generate_rsa(key_bits: int) -> tuple[bytes, bytes]:
    numbers = rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=key_bits).private_numbers()
    return numbers.public_numbers.n.to_bytes(key_bits // 8, "big"), numbers.p.to_bytes(key_bits // 16, "big")
