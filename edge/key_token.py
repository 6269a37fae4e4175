"""Private keys in a PKCS#11 token: made there, used there, never seen here (D14).

The one rule: what this file hands out signs like the library's own keys and gives nothing else away. A key is found by
its label; the PIN comes from a private file, as passphrases do, and stands in no message.

A token keeps one login for the whole process and one operation at a time in a session: one session, under a lock. A
session that the token has closed (it was unplugged, its service was started again) is opened once more.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import pkcs11
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives._asymmetric import AsymmetricPadding
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

from edge.keys import KeyTokenError, read_passphrase

_CURVES = {"secp256r1": ec.SECP256R1, "secp384r1": ec.SECP384R1}
_RSA_MECHANISMS = {"sha256": Mechanism.SHA256_RSA_PKCS, "sha384": Mechanism.SHA384_RSA_PKCS}
_LOST = (
    pkcs11.SessionClosed,
    pkcs11.SessionHandleInvalid,
    pkcs11.DeviceRemoved,
    pkcs11.TokenNotPresent,
    pkcs11.UserNotLoggedIn,
    pkcs11.ObjectHandleInvalid,
    pkcs11.KeyHandleInvalid,
)
_PRIVATE = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}
_UNNAMED = "new"

T = TypeVar("T")


class KeyToken:
    """One token of one PKCS#11 module, logged in as its user."""

    def __init__(self, module: Path, *, label: str, pin_file: Path) -> None:
        """Name the token; it is opened at the first use."""
        self._module = module
        self._label = label
        self._pin_file = pin_file
        self._lock = threading.RLock()
        self._session: pkcs11.Session | None = None

    def create_ec(
        self, curve: ec.EllipticCurve, *, named: Callable[[ec.EllipticCurvePublicKey], str]
    ) -> "TokenEcKey":
        """A new EC key in the token, labelled with what `named` says of its public half; raises KeyTokenError."""

        def make(session: pkcs11.Session) -> TokenEcKey:
            parameters = session.create_domain_parameters(
                KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters(curve.name)}, local=True
            )
            public, private = parameters.generate_keypair(
                store=True, label=_UNNAMED, private_template=_PRIVATE
            )
            key = _ec_public(public)
            _label(public, private, label := named(key))
            return TokenEcKey(self, label=label, public=key)

        return self._at_work(make, what="a new EC key")

    def create_rsa(self, bits: int, *, named: Callable[[rsa.RSAPublicKey], str]) -> "TokenRsaKey":
        """A new RSA key with the exponent 65537 in the token; raises KeyTokenError."""

        def make(session: pkcs11.Session) -> TokenRsaKey:
            public, private = session.generate_keypair(
                KeyType.RSA, bits, store=True, label=_UNNAMED, private_template=_PRIVATE
            )
            key = _rsa_public(public)
            _label(public, private, label := named(key))
            return TokenRsaKey(self, label=label, public=key)

        return self._at_work(make, what="a new RSA key")

    def find(self, label: str) -> "TokenEcKey | TokenRsaKey | None":
        """The key with this label, None where the token has none; raises KeyTokenError."""

        def look(session: pkcs11.Session) -> "TokenEcKey | TokenRsaKey | None":
            try:
                public = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=label)
                session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=label)
            except pkcs11.NoSuchKey:
                return None
            if public.key_type is KeyType.EC:
                return TokenEcKey(self, label=label, public=_ec_public(cast("pkcs11.PublicKey", public)))
            if public.key_type is KeyType.RSA:
                return TokenRsaKey(self, label=label, public=_rsa_public(cast("pkcs11.PublicKey", public)))
            raise KeyTokenError(label, reason="is neither an EC nor an RSA key", remedy="make another one")

        return self._at_work(look, what=label)

    def sign(self, label: str, data: bytes, *, mechanism: Mechanism) -> bytes:
        """The token's own signature over `data` (or its digest, as the mechanism has it); raises KeyTokenError."""

        def work(session: pkcs11.Session) -> bytes:
            key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=label)
            return bytes(cast("Any", key).sign(data, mechanism=mechanism))

        return self._at_work(work, what=label)

    def _at_work(self, work: Callable[[pkcs11.Session], T], *, what: str) -> T:
        with self._lock:
            try:
                return work(self._opened())
            except _LOST:
                self._session = None  # once more, with a new session
            except pkcs11.PKCS11Error as error:
                raise self._failed(what, error) from error
            try:
                return work(self._opened())
            except pkcs11.PKCS11Error as error:
                raise self._failed(what, error) from error

    def _opened(self) -> pkcs11.Session:
        if self._session is not None:
            return self._session
        pin = read_passphrase(self._pin_file).decode("utf-8", errors="replace")
        try:
            token = pkcs11.lib(str(self._module)).get_token(token_label=self._label)
            try:
                self._session = token.open(rw=True, user_pin=pin)
            except pkcs11.UserAlreadyLoggedIn:  # another part of this process did
                self._session = token.open(rw=True)
        except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
            raise self._failed("login", error) from error
        return self._session

    def _failed(self, what: str, error: Exception) -> KeyTokenError:
        kind = type(error).__name__
        return KeyTokenError(
            f"token {self._label}, {what}",
            reason=f"the module answers {kind}" + (f" ({error})" if isinstance(error, OSError) else ""),
            remedy="check module, label and PIN file of the token in the settings",
        )


class TokenEcKey(ec.EllipticCurvePrivateKey):
    """An EC key in a token: it signs, and that is all."""

    def __init__(self, token: KeyToken, *, label: str, public: ec.EllipticCurvePublicKey) -> None:
        """Use the key `label` of `token`, whose public half is `public`."""
        self._token = token
        self._label = label
        self._public = public

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """Bits of the curve."""
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public

    def sign(
        self, data: bytes | bytearray | memoryview, signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        """ECDSA over the digest of `data`, DER; raises KeyTokenError."""
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, Prehashed):
            digest = bytes(data)
        else:
            context = hashes.Hash(algorithm)
            context.update(data)
            digest = context.finalize()
        raw = self._token.sign(self._label, digest, mechanism=Mechanism.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:  # noqa: ARG002
        """Not with this key."""
        _refuse()

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        """Not from a token."""
        _refuse()

    def private_bytes(self, *_: object, **__: object) -> bytes:
        """Not from a token."""
        _refuse()

    def __copy__(self) -> "TokenEcKey":
        """The same key."""
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "TokenEcKey":
        """The same key."""
        return self


class TokenRsaKey(rsa.RSAPrivateKey):
    """An RSA key in a token: it signs with PKCS #1 v1.5, as certificates and CRLs want it, and that is all."""

    def __init__(self, token: KeyToken, *, label: str, public: rsa.RSAPublicKey) -> None:
        """Use the key `label` of `token`, whose public half is `public`."""
        self._token = token
        self._label = label
        self._public = public

    @property
    def key_size(self) -> int:
        """Bits of the modulus."""
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """The public half."""
        return self._public

    def sign(
        self,
        data: bytes | bytearray | memoryview,
        padding: AsymmetricPadding,
        algorithm: hashes.HashAlgorithm | Prehashed | object,
    ) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256 or SHA-384; raises KeyTokenError."""
        mechanism = None
        if isinstance(algorithm, hashes.HashAlgorithm) and isinstance(padding, _PKCS1):
            mechanism = _RSA_MECHANISMS.get(algorithm.name)
        if mechanism is None:
            raise KeyTokenError(
                self._label, reason="signs with PKCS #1 v1.5 and SHA-2 only", remedy="use another key"
            )
        return self._token.sign(self._label, bytes(data), mechanism=mechanism)

    def decrypt(self, ciphertext: bytes, padding: AsymmetricPadding) -> bytes:  # noqa: ARG002
        """Not with this key."""
        _refuse()

    def private_numbers(self) -> rsa.RSAPrivateNumbers:
        """Not from a token."""
        _refuse()

    def private_bytes(self, *_: object, **__: object) -> bytes:
        """Not from a token."""
        _refuse()

    def __copy__(self) -> "TokenRsaKey":
        """The same key."""
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "TokenRsaKey":
        """The same key."""
        return self


_PKCS1 = padding.PKCS1v15


def _refuse() -> NoReturn:
    raise KeyTokenError("key in a token", reason="it can sign and nothing else", remedy="leave it there")


def _ec_public(public: pkcs11.PublicKey) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(encode_ec_public_key(public))
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise KeyTokenError("key in a token", reason="is not on P-256 or P-384", remedy="make another one")
    return key


def _rsa_public(public: pkcs11.PublicKey) -> rsa.RSAPublicKey:
    modulus = int.from_bytes(public[Attribute.MODULUS], "big")
    exponent = int.from_bytes(public[Attribute.PUBLIC_EXPONENT], "big")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _label(public: pkcs11.PublicKey, private: pkcs11.PrivateKey, label: str) -> None:
    for half in (public, private):
        half[Attribute.ID] = label.encode("ascii")
        half[Attribute.LABEL] = label
