"""Keys of the CAs in a PKCS#11 token: the second implementation of the port of `signing_keys`.

The one rule: new keys are made in the token. What was in files before it was there is still used from there, until its
CA rolls over to a new key (`rollover`).
"""

import threading

from cryptography.hazmat.primitives.asymmetric import ec

from ca.errors import InvalidInputError
from ca.key_algorithms import RSA_BITS, CaPrivateKey, KeyAlgorithm
from ca.signing_keys import KeyFolder
from edge.key_token import KeyToken
from standards.pki.fingerprints import ca_id


class TokenKeys:
    """Keys in `token`, labelled with their ca_id; `before` are the files of the time before it."""

    def __init__(self, token: KeyToken, *, before: KeyFolder) -> None:
        """Nothing is opened yet."""
        self._token = token
        self._before = before
        self._lock = threading.Lock()
        self._found: dict[str, CaPrivateKey] = {}

    def create(self, algorithm: KeyAlgorithm) -> CaPrivateKey:
        """A new key in the token. Raises KeyTokenError, and InvalidInputError for what PKCS#11 tokens have not."""
        match algorithm:
            case KeyAlgorithm.P256:
                return self._token.create_ec(ec.SECP256R1(), named=ca_id)
            case KeyAlgorithm.P384:
                return self._token.create_ec(ec.SECP384R1(), named=ca_id)
            case KeyAlgorithm.RSA:
                return self._token.create_rsa(RSA_BITS, named=ca_id)
            case KeyAlgorithm.ML_DSA_65 | KeyAlgorithm.ED25519:
                raise InvalidInputError(
                    "key-algorithm",
                    subject="algorithm",
                    detail=f"keys are made in the token of the settings, which has no {algorithm} here",
                    remedy="choose p256, p384 or rsa",
                )

    def load(self, ca_id: str) -> CaPrivateKey:
        """The key of this CA; raises KeyTokenError, or KeyFileError where neither place has it."""
        with self._lock:
            key = self._found.get(ca_id)
        if key is None:
            key = self._token.find(ca_id) or self._before.load(ca_id)
            with self._lock:
                self._found[ca_id] = key
        return key
