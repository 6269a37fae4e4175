"""What the software TPM refuses: commands with a return code, and state directories that it cannot use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from standards.tpm2.return_codes import FORMAT_ONE, ReturnCode, describe, parameter, session

_BARE = 0x0BF
"""A format-one code without the number of a handle, session or parameter."""


class SoftwareTpmError(Exception):
    """Root of this package's errors."""


class CommandError(SoftwareTpmError):
    """The command is refused with `rc`, a TPM_RC (Part 2, 6.6)."""

    def __init__(self, rc: int) -> None:
        super().__init__(f"0x{rc:03x}, {describe(rc)}")
        self.rc = rc


class AuthorizationError(CommandError):
    """A wrong authValue: `counted` by the dictionary-attack logic, or the `lockout` authValue itself."""

    def __init__(self, rc: int, *, counted: bool, lockout: bool) -> None:
        super().__init__(rc)
        self.counted = counted
        self.lockout = lockout

    def in_session(self, number: int) -> "AuthorizationError":
        """The same refusal, naming session `number`."""
        return AuthorizationError(session_rc(self.rc, number), counted=self.counted, lockout=self.lockout)


def session_rc(rc: int, number: int) -> int:
    """`rc` with the number of the session in it, where its format has room for one."""
    return session(ReturnCode(rc), number) if rc & FORMAT_ONE else rc


@contextmanager
def about_parameter(number: int) -> Iterator[None]:
    """Give refusals from inside the number of a parameter, if their format has room and they name none yet."""
    try:
        yield
    except CommandError as error:
        if not error.rc & FORMAT_ONE or error.rc & ~_BARE:
            raise
        raise CommandError(parameter(ReturnCode(error.rc), number)) from None


class StateError(SoftwareTpmError):
    """A state directory that cannot be used: what is wrong with it and what to do."""

    def __init__(self, where: Path | str, *, reason: str, remedy: str) -> None:
        super().__init__(f"{where}: {reason}; {remedy}")
        self.where = where
        self.reason = reason
        self.remedy = remedy
