"""Authorisations and sessions: passwords, salted HMAC and policy sessions, parameter encryption (Part 1, 19, 21).

One rule: a response is used only after its HMAC verified, and a salt goes only to a key that the caller
pinned, never to one that the TPM just named.

Theory: both sides derive sessionKey from a salt that only the TPM can decrypt. Each command and response is
authenticated with it over its parameters and fresh nonces, so nothing on the bus can be altered or replayed;
the first parameter can be encrypted with keys derived from the same secret and nonces.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher

from standards.tpm2.constants import Algorithm, CommandCode, SessionAttributes, SessionType
from standards.tpm2.errors import SessionError
from standards.tpm2.hashing import digest, digest_size, hmac_digest
from standards.tpm2.kdf import kdfa
from standards.tpm2.outer_wrap import aes_cfb

SESSION_HASH = Algorithm.SHA256
NONCE_BYTES = 32
_KEY_BITS = 128
_BLOCK_BITS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Password:
    """An authValue sent in clear: for the empty one, and where nobody can listen."""

    value: bytes = field(default=b"", repr=False)


EMPTY_PASSWORD = Password()


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """A session that the TPM holds: its nonces roll with each use; `session_key` is empty if it is unsalted."""

    handle: int
    type: SessionType
    session_key: bytes = field(repr=False)
    nonce_tpm: bytes
    nonce_caller: bytes
    wants_auth_value: bool = False
    """Policy sessions: PolicyAuthValue was run, the object's authValue is part of the HMAC key."""

    @property
    def name(self) -> bytes:
        """Name of a session: its handle (Part 1, 16)."""
        return self.handle.to_bytes(4, "big")

    @property
    def is_salted(self) -> bool:
        """Whether it has a key of its own, so that it can encrypt."""
        return bool(self.session_key)

    def authorize(self, auth_value: bytes = b"") -> "SessionUse":
        """This session as the authorisation of an object with `auth_value` (also encrypting policy sessions)."""
        return SessionUse(session=self, auth_value=auth_value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUse:
    """A session in one command, and the authValue of the object that it authorises."""

    session: Session
    auth_value: bytes = field(default=b"", repr=False)


Authorization = Password | SessionUse


def session_key(salt: bytes, *, nonce_tpm: bytes, nonce_caller: bytes) -> bytes:
    """Key of a salted, unbound session (Part 1, 19.6.8); empty without a salt."""
    if not salt:
        return b""
    bits = 8 * digest_size(SESSION_HASH)
    return kdfa(SESSION_HASH, key=salt, label=b"ATH", context_u=nonce_tpm, context_v=nonce_caller, bits=bits)


@dataclass(slots=True, kw_only=True, eq=False)
class SlotInCommand:
    """One entry of a command's authorisation area, with what its HMAC and its encryption need."""

    use: SessionUse
    attributes: SessionAttributes
    authorizes: bool
    response_auth_value: bytes = field(repr=False)

    @property
    def session(self) -> Session:
        """The session of this slot."""
        return self.use.session

    @property
    def has_hmac(self) -> bool:
        """All but policy sessions without any key, whose HMAC field is empty (Part 1, 19.6.5)."""
        return self.session.type != SessionType.POLICY or bool(self.hmac_key())

    def hmac_key(self, *, response: bool = False) -> bytes:
        """The key: sessionKey || authValue, the latter only where the norm wants it (Part 1, 19.6.5, 19.7)."""
        session = self.session
        if not self.authorizes or (session.type == SessionType.POLICY and not session.wants_auth_value):
            return session.session_key
        return session.session_key + _stripped(self.response_auth_value if response else self.use.auth_value)

    def encryption_value(self, *, response: bool = False) -> bytes:
        """The sessionValue: sessionKey || authValue of the authorised object, in policy sessions too (Part 1, 21)."""
        value = self.response_auth_value if response else self.use.auth_value
        return self.session.session_key + (_stripped(value) if self.authorizes else b"")


def cp_hash(code: CommandCode, names: list[bytes], parameters: bytes) -> bytes:
    """Digest cpHash of command code, Names and (encrypted) parameters (Part 1, 18.7)."""
    return digest(SESSION_HASH, code.to_bytes(4, "big") + b"".join(names) + parameters)


def rp_hash(code: CommandCode, parameters: bytes) -> bytes:
    """Digest rpHash of a successful response: digest of code and (encrypted) parameters (Part 1, 18.8)."""
    return digest(SESSION_HASH, bytes(4) + code.to_bytes(4, "big") + parameters)


def command_hmac(slots: Sequence["Password | SlotInCommand"], number: int, parameters_hash: bytes) -> bytes:
    """HMAC of slot `number` over a command; empty where there is no key (an unsalted policy session).

    The first slot, if it authorises, also covers the nonces of the sessions that encrypt (Part 1, 19.6.5).
    """
    slot = slots[number]
    if isinstance(slot, Password):
        return slot.value
    if not slot.has_hmac:
        return b""
    session = slot.session
    covered = [parameters_hash, session.nonce_caller, session.nonce_tpm]
    if number == 0 and slot.authorizes:
        covered += _nonces_of_encrypting(slots)
    message = b"".join(covered) + slot.attributes.to_bytes(1, "big")
    return hmac_digest(SESSION_HASH, slot.hmac_key(), message)


def verify_response(slot: SlotInCommand, parameters_hash: bytes, *, attributes: int, received: bytes) -> bool:
    """Whether the slot's HMAC over a response is right; `nonce_tpm` of the session must be the new one."""
    if not slot.has_hmac:
        return received == b""
    session = slot.session
    covered = parameters_hash + session.nonce_tpm + session.nonce_caller + attributes.to_bytes(1, "big")
    expected = hmac_digest(SESSION_HASH, slot.hmac_key(response=True), covered)
    return hmac.compare_digest(expected, received)


def encrypt_parameter(slot: SlotInCommand, content: bytes) -> bytes:
    """Content of the first command parameter, encrypted; its size stays clear."""
    session = slot.session
    cipher = _cipher(slot.encryption_value(), newer=session.nonce_caller, older=session.nonce_tpm)
    return cipher.encryptor().update(content)


def decrypt_parameter(slot: SlotInCommand, content: bytes) -> bytes:
    """Content of the first response parameter in clear."""
    session = slot.session
    value = slot.encryption_value(response=True)
    return _cipher(value, newer=session.nonce_tpm, older=session.nonce_caller).decryptor().update(content)


def require_salt(command: str, session: Session) -> None:
    """Refuse to encrypt with a session whose key everyone on the bus can derive."""
    if not session.is_salted:
        raise SessionError(command, "an unsalted session cannot protect a parameter: start a salted one")


def _cipher(value: bytes, *, newer: bytes, older: bytes) -> Cipher[CFB]:
    material = kdfa(
        SESSION_HASH,
        key=value,
        label=b"CFB",
        context_u=newer,
        context_v=older,
        bits=_KEY_BITS + _BLOCK_BITS,
    )
    key, iv = material[: _KEY_BITS // 8], material[_KEY_BITS // 8 :]
    return aes_cfb(key, iv=iv)


def _nonces_of_encrypting(slots: Sequence[Password | SlotInCommand]) -> list[bytes]:
    others = [slot for slot in slots[1:] if isinstance(slot, SlotInCommand)]
    found: list[SlotInCommand] = []
    for flag in (SessionAttributes.DECRYPT, SessionAttributes.ENCRYPT):
        found += [slot for slot in others if slot.attributes & flag and slot not in found]
    return [slot.session.nonce_tpm for slot in found]


def _stripped(auth_value: bytes) -> bytes:
    # the TPM removes trailing zeros from every authValue before it uses one (Part 1, 19.6.5)
    return auth_value.rstrip(b"\x00")
