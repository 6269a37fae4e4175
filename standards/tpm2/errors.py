"""Every refusal of this package; a decoder raises nothing but its own error, for any bytes."""

from standards.tpm2.return_codes import describe


class Tpm2Error(Exception):
    """Root of this package's errors."""


class DecodeError(Tpm2Error):
    """Bytes that are not the structure they should be; `got` never holds a secret, only sizes and tags."""

    def __init__(self, what: str, *, expected: str, got: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


class VerificationError(Tpm2Error):
    """Well-formed evidence that fails a numbered check (`check` is its number, such as "A4")."""

    def __init__(self, check: str, reason: str, *, expected: str, got: str) -> None:
        super().__init__(f"{check}: {reason}: expected {expected}, got {got}")
        self.check = check
        self.reason = reason
        self.expected = expected
        self.got = got


class ResponseError(Tpm2Error):
    """The TPM answered a command with a return code other than success (Part 2, 6.6)."""

    def __init__(self, command: str, rc: int) -> None:
        super().__init__(f"{command}: the TPM answered 0x{rc:03x}, {describe(rc)}")
        self.command = command
        self.rc = rc


class SessionError(Tpm2Error):
    """A response that its session does not authenticate: altered on the way, or not from this TPM."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"{command}: {reason}; nothing of the response was used")
        self.command = command
        self.reason = reason
