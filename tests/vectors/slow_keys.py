"""Keys whose primes take longer to find than all that a test does with them, kept in `slow_keys.json`.

    python -m tests.vectors.slow_keys

They protect nothing: each run makes others, and no test depends on which ones they are. Keys whose generation
is itself under test (those of a software TPM) are not here.
"""

import json
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

FILE = Path(__file__).parent / "slow_keys.json"
RSA_SHAPES = ((1024, 65537), (2048, 65537), (2048, 3))


@cache
def private_rsa_key(bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    """The RSA key of this shape, always the same one."""
    key = _load(f"rsa-{bits}-{exponent}")
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def private_dsa_key() -> dsa.DSAPrivateKey:
    """A DSA key of 2048 bits, which nobody here accepts."""
    key = _load("dsa-2048")
    assert isinstance(key, dsa.DSAPrivateKey)
    return key


def _load(name: str) -> object:
    pem: str = json.loads(FILE.read_text(encoding="utf-8"))[name]
    # the primes were found here: looking at them again takes as long as a test
    return load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)


def main() -> None:
    """Make the keys anew."""
    keys: dict[str, rsa.RSAPrivateKey | dsa.DSAPrivateKey] = {
        f"rsa-{bits}-{exponent}": rsa.generate_private_key(exponent, bits) for bits, exponent in RSA_SHAPES
    }
    keys["dsa-2048"] = dsa.generate_private_key(2048)
    text = {
        name: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        for name, key in keys.items()
    }
    FILE.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
