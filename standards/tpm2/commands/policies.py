"""Commands that build a policy in a session (Part 3, 23); the same digests in software: `standards.tpm2.policy`."""

from collections.abc import Sequence
from dataclasses import dataclass

from standards.tpm2.commands.channel import Command, CommandChannel, Subject
from standards.tpm2.constants import DIGEST_BYTES_MAX, CommandCode, Comparison, Handle
from standards.tpm2.marshal import Reader, Writer, tpm2b
from standards.tpm2.sessions import EMPTY_PASSWORD, Authorization, Session
from standards.tpm2.structures import PcrSelection, Signature, Ticket, encode_pcr_selections

_TIMEOUT_BYTES_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What PolicyAuthorize takes: the approved digest, its qualifier, the key's Name and the ticket."""

    approved_policy: bytes
    policy_ref: bytes
    key_name: bytes
    ticket: Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedGrant:
    """A signature over H(nonceTPM || expiration || cpHashA || policyRef) for PolicySigned.

    `expiration_s` 0 means no limit; `bound_to_nonce` ties it to one session.
    """

    signature: Signature
    expiration_s: int = 0
    cp_hash: bytes = b""
    policy_ref: bytes = b""
    bound_to_nonce: bool = True


class PolicyCommands(CommandChannel):
    """The typed commands of this file: each takes the policy session first."""

    def policy_pcr(
        self, session: Session, *, selection: Sequence[PcrSelection], pcr_digest: bytes = b""
    ) -> None:
        """TPM2_PolicyPCR; with `pcr_digest` the TPM compares, without it takes what the registers say."""
        parameters = tpm2b(pcr_digest) + encode_pcr_selections(tuple(selection))
        self._on_session(CommandCode.POLICY_PCR, session, parameters)

    def policy_nv(  # the comparison, and who may read the index
        self,
        session: Session,
        *,
        index: Subject,
        operand: bytes,
        comparison: Comparison,
        offset: int = 0,
        auth: Authorization = EMPTY_PASSWORD,
    ) -> None:
        """TPM2_PolicyNV: *contents at offset* `comparison` `operand`, read by the index's own authValue."""
        self.run(
            Command(
                code=CommandCode.POLICY_NV,
                subjects=[index, index, session],
                parameters=Writer().tpm2b(operand).u16(offset).u16(comparison).done(),
                auths=[auth],
            )
        )

    def policy_counter_timer(
        self, session: Session, *, operand: bytes, offset: int, comparison: Comparison
    ) -> None:
        """TPM2_PolicyCounterTimer: TPMS_TIME_INFO at `offset` (8 clock, 16 resetCount) against `operand`."""
        parameters = Writer().tpm2b(operand).u16(offset).u16(comparison).done()
        self._on_session(CommandCode.POLICY_COUNTER_TIMER, session, parameters)

    def policy_authorize(self, session: Session, *, approval: Approval) -> None:
        """TPM2_PolicyAuthorize: the digest so far is approved; it becomes that of the approving key."""
        parameters = Writer().tpm2b(approval.approved_policy).tpm2b(approval.policy_ref)
        parameters.tpm2b(approval.key_name).raw(approval.ticket.encode())
        self._on_session(CommandCode.POLICY_AUTHORIZE, session, parameters.done())

    def policy_secret(
        self,
        session: Session,
        *,
        subject: Subject = Handle.ENDORSEMENT,
        policy_ref: bytes = b"",
        auth: Authorization = EMPTY_PASSWORD,
    ) -> None:
        """TPM2_PolicySecret: whoever knows the authValue of `subject`; no ticket is asked for."""
        parameters = Writer().tpm2b(b"").tpm2b(b"").tpm2b(policy_ref).u32(0).done()
        command = Command(
            code=CommandCode.POLICY_SECRET,
            subjects=[subject, session],
            parameters=parameters,
            auths=[auth],
        )
        _end_with_ticket(self.run(command).reader(), "response of PolicySecret")

    def policy_signed(self, session: Session, *, key: Subject, grant: SignedGrant) -> Ticket:
        """TPM2_PolicySigned: a grant by `key`; the ticket is null unless the expiration is negative."""
        nonce = session.nonce_tpm if grant.bound_to_nonce else b""
        parameters = Writer().tpm2b(nonce).tpm2b(grant.cp_hash).tpm2b(grant.policy_ref)
        parameters.raw(grant.expiration_s.to_bytes(4, "big", signed=True)).raw(grant.signature.encode())
        command = Command(
            code=CommandCode.POLICY_SIGNED, subjects=[key, session], parameters=parameters.done()
        )
        return _end_with_ticket(self.run(command).reader(), "response of PolicySigned")

    def policy_command_code(self, session: Session, *, code: CommandCode) -> None:
        """TPM2_PolicyCommandCode: for that command only."""
        self._on_session(CommandCode.POLICY_COMMAND_CODE, session, Writer().u32(code).done())

    def policy_auth_value(self, session: Session) -> None:
        """TPM2_PolicyAuthValue: the object's authValue is part of the session's HMAC key."""
        self._on_session(CommandCode.POLICY_AUTH_VALUE, session, b"")
        session.wants_auth_value = True

    def policy_or(self, session: Session, *, digests: Sequence[bytes]) -> None:
        """TPM2_PolicyOR: the digest so far is one of 2 to 8."""
        parameters = Writer().u32(len(digests))
        for digest in digests:
            parameters.tpm2b(digest)
        self._on_session(CommandCode.POLICY_OR, session, parameters.done())

    def policy_get_digest(self, session: Session) -> bytes:
        """TPM2_PolicyGetDigest."""
        command = Command(code=CommandCode.POLICY_GET_DIGEST, subjects=[session])
        reader = self.run(command).reader()
        digest = reader.tpm2b(DIGEST_BYTES_MAX, "policyDigest")
        reader.end("response of PolicyGetDigest")
        return digest

    def policy_restart(self, session: Session) -> None:
        """TPM2_PolicyRestart: the digest is zero again."""
        self._on_session(CommandCode.POLICY_RESTART, session, b"")
        session.wants_auth_value = False

    def _on_session(self, code: CommandCode, session: Session, parameters: bytes) -> None:
        self.run(Command(code=code, subjects=[session], parameters=parameters))


def _end_with_ticket(reader: Reader, what: str) -> Ticket:
    reader.tpm2b(_TIMEOUT_BYTES_MAX, "timeout")
    ticket = Ticket.read(reader)
    reader.end(what)
    return ticket
