"""Starting and flushing sessions (Part 3, 11, 28.4)."""

from standards.tpm2.commands.channel import Command, CommandChannel
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.constants import Algorithm, CommandCode, Handle, SessionType
from standards.tpm2.marshal import Writer
from standards.tpm2.secret_sharing import LABEL_SECRET, share_fresh_secret
from standards.tpm2.sessions import NONCE_BYTES, SESSION_HASH, Session, session_key
from standards.tpm2.templates import AES_128_CFB


class SessionCommands(CommandChannel):
    """The typed commands of this file."""

    def start_auth_session(
        self, session_type: SessionType = SessionType.HMAC, *, salt_key: TpmObject | None = None
    ) -> Session:
        """TPM2_StartAuthSession: SHA-256, unbound, AES-128-CFB where salted.

        `salt_key` is a decryption key whose public area the caller pinned (at enrolment, or by a
        certificate): whoever salts to what the TPM just named may be salting to an interposer.
        """
        nonce_caller = self._random_bytes(NONCE_BYTES)
        salt, encrypted_salt, symmetric = b"", b"", Writer().u16(Algorithm.NULL).done()
        if salt_key:
            shared = share_fresh_secret(salt_key.public, label=LABEL_SECRET, random_bytes=self._random_bytes)
            salt, encrypted_salt, symmetric = shared.seed, shared.encrypted, AES_128_CFB.encode()
        parameters = Writer().tpm2b(nonce_caller).tpm2b(encrypted_salt).u8(session_type)
        parameters.raw(symmetric).u16(SESSION_HASH)
        response = self.run(
            Command(
                code=CommandCode.START_AUTH_SESSION,
                subjects=[salt_key or Handle.NULL, Handle.NULL],
                parameters=parameters.done(),
            )
        )
        reader = response.reader()
        nonce_tpm = reader.tpm2b(NONCE_BYTES, "nonceTPM")
        reader.end("response of StartAuthSession")
        return Session(
            handle=response.handle,
            type=session_type,
            session_key=session_key(salt, nonce_tpm=nonce_tpm, nonce_caller=nonce_caller),
            nonce_tpm=nonce_tpm,
            nonce_caller=nonce_caller,
        )

    def flush_context(self, handle: int) -> None:
        """TPM2_FlushContext of a session or a transient object."""
        self.run(Command(code=CommandCode.FLUSH_CONTEXT, parameters=Writer().u32(handle).done()))
