"""What sessions do to a command on the bus: HMACs and encryption of one parameter (Part 1, 19.6 and 21).

Theory: cpHash and rpHash are over the parameters as they travel, so the HMAC covers the ciphertext. The nonces
of the decrypting and encrypting sessions are in the HMAC of the first session, so none of them can be dropped.
"""

import hmac as constant_time
from dataclasses import dataclass

from lab.software_tpm.call import SessionUse
from lab.software_tpm.entities import auth_value_of, name_of
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import Machine
from lab.software_tpm.volatile import Session
from standards.tpm2.constants import CommandCode, SessionAttributes
from standards.tpm2.hashing import digest, hmac_digest
from standards.tpm2.kdf import kdfa
from standards.tpm2.marshal import Reader, Writer, tpm2b
from standards.tpm2.outer_wrap import aes_cfb
from standards.tpm2.return_codes import ReturnCode

_IV_BYTES = 16


def command_hash(algorithm: int, code: CommandCode, *, names: tuple[bytes, ...], parameters: bytes) -> bytes:
    """CpHash: H(CC || Names || parameters as received) (Part 1, 16.7)."""
    return digest(algorithm, Writer().u32(code).raw(b"".join(names)).raw(parameters).done())


def response_hash(algorithm: int, code: CommandCode, *, parameters: bytes) -> bytes:
    """RpHash: H(success || CC || parameters as sent) (Part 1, 16.8)."""
    return digest(algorithm, Writer().u32(ReturnCode.SUCCESS).u32(code).raw(parameters).done())


def bound_identity(machine: Machine, entity: int) -> bytes:
    """What a bound session remembers of its entity: its Name and its authValue of that time (Part 1, 19.6)."""
    return name_of(machine, entity) + b"\x00" + auth_value_of(machine, entity)


def hmac_key(machine: Machine, session: Session, use: SessionUse, *, bound: bool) -> bytes:
    """SessionKey, and the entity's authValue where the session's kind asks for it (Part 1, 19.6.8)."""
    if use.entity is None:
        return session.session_key
    included = session.policy.auth_value_needed if not session.is_hmac else not bound
    return session.session_key + (auth_value_of(machine, use.entity) if included else b"")


def is_bound_to(machine: Machine, session: Session, entity: int | None) -> bool:
    """Whether the session's key already contains the authValue of `entity`."""
    if entity is None or session.bound is None:
        return False
    return constant_time.compare_digest(session.bound, bound_identity(machine, entity))


def extra_nonces(machine: Machine, uses: tuple[SessionUse, ...]) -> bytes:
    """NonceTPM of the decrypting and the encrypting session, for the HMAC of the first (Part 1, 19.6.5).

    Only where the first session authorises a handle.
    """
    if not uses or uses[0].entity is None:
        return b""
    extra = b""
    added: set[int] = {uses[0].handle}
    for flag in (SessionAttributes.DECRYPT, SessionAttributes.ENCRYPT):
        for use in uses:
            if use.attributes & flag and use.handle not in added:
                added.add(use.handle)
                extra += machine.session(use.handle).nonce_tpm
    return extra


def command_hmac(key: bytes, *, session: Session, use: SessionUse, cp_hash: bytes, extra: bytes) -> bytes:
    """HMAC that authorises a command (Part 1, 19.6.5)."""
    message = cp_hash + use.nonce_caller + session.nonce_tpm + extra + bytes([use.attributes])
    return hmac_digest(session.hash_algorithm, key, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseAuthorization:
    """TPMS_AUTH_RESPONSE (Part 2, 10.13.3)."""

    nonce_tpm: bytes
    attributes: int
    hmac: bytes

    def encode(self) -> bytes:
        """The structure as bytes."""
        return Writer().tpm2b(self.nonce_tpm).u8(self.attributes).tpm2b(self.hmac).done()


def response_hmac(key: bytes, *, session: Session, use: SessionUse, rp_hash: bytes) -> bytes:
    """HMAC that authenticates a response under the new nonceTPM (Part 1, 19.6.5)."""
    message = rp_hash + session.nonce_tpm + use.nonce_caller + bytes([use.attributes])
    return hmac_digest(session.hash_algorithm, key, message)


def decrypt_parameter(machine: Machine, uses: tuple[SessionUse, ...], parameters: bytes) -> bytes:
    """The command's parameters with the first one in clear, if a session decrypts (Part 1, 21.2)."""
    for use in uses:
        if use.attributes & SessionAttributes.DECRYPT:
            session = machine.session(use.handle)
            reader = Reader(parameters)
            encrypted = reader.tpm2b(reader.remaining, "first parameter")
            key = _parameter_key(machine, session, use, newer=use.nonce_caller, older=session.nonce_tpm)
            clear = aes_cfb(key[:-_IV_BYTES], iv=key[-_IV_BYTES:]).decryptor().update(encrypted)
            return tpm2b(clear) + reader.rest()
    return parameters


def encrypt_parameter(machine: Machine, uses: tuple[SessionUse, ...], parameters: bytes) -> bytes:
    """The response's parameters with the first one encrypted, if a session encrypts (Part 1, 21.2)."""
    for use in uses:
        if use.attributes & SessionAttributes.ENCRYPT:
            session = machine.session(use.handle)
            reader = Reader(parameters)
            clear = reader.tpm2b(reader.remaining, "first parameter")
            key = _parameter_key(machine, session, use, newer=session.nonce_tpm, older=use.nonce_caller)
            encrypted = aes_cfb(key[:-_IV_BYTES], iv=key[-_IV_BYTES:]).encryptor().update(clear)
            return tpm2b(encrypted) + reader.rest()
    return parameters


def _parameter_key(
    machine: Machine, session: Session, use: SessionUse, *, newer: bytes, older: bytes
) -> bytes:
    if session.symmetric.key_bits == 0:
        raise CommandError(ReturnCode.SYMMETRIC)
    extra = b"" if use.entity is None else auth_value_of(machine, use.entity)
    return kdfa(
        session.hash_algorithm,
        key=session.session_key + extra,
        label=b"CFB",
        context_u=newer,
        context_v=older,
        bits=session.symmetric.key_bits + 8 * _IV_BYTES,
    )
