"""One command on its way through the TPM, and what it answers."""

from dataclasses import dataclass, field
from enum import Enum

from lab.software_tpm.parameters import Parameters
from standards.tpm2.constants import CommandCode, SessionAttributes
from standards.tpm2.marshal import Writer


class Role(Enum):
    """Who may authorise the use of a handle (Part 1, 19.2)."""

    USER = "USER"
    ADMIN = "ADMIN"
    DUPLICATION = "DUP"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUse:
    """TPMS_AUTH_COMMAND; `entity` is the handle that it authorises, None for a session that only encrypts."""

    handle: int
    nonce_caller: bytes
    attributes: SessionAttributes
    hmac: bytes = field(repr=False)
    entity: int | None = None
    role: Role | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command whose handles exist and whose sessions have authorised it; parameters in clear."""

    code: CommandCode
    handles: tuple[int, ...]
    sessions: tuple[SessionUse, ...]
    parameters: Parameters

    def authorizes_by_session(self, number: int) -> SessionUse | None:
        """The session that authorised handle `number`, counted from 1."""
        return self.sessions[number - 1] if number <= len(self.sessions) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Response handle and parameters."""

    handle: int | None = None
    parameters: bytes = field(repr=False, default=b"")


def reply(writer: Writer, *, handle: int | None = None) -> Reply:
    """A reply with the parameters written so far."""
    return Reply(handle=handle, parameters=writer.done())


EMPTY = Reply()
"""The answer of commands that return nothing."""
