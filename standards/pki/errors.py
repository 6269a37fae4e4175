"""What can be wrong with certificates, CRLs, OCSP messages and signed tokens.

The one rule: a decoder or verifier of this package raises only these errors, for any input bytes; their
fields say what was wrong, what was expected and what came instead, and never hold a secret.
"""

from enum import Enum


class PkiError(Exception):
    """Root of everything that this package raises."""


class DecodeError(PkiError):
    """Bytes that are not the structure that they claim to be."""

    def __init__(self, what: str, *, expected: str, got: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


class PathFault(Enum):
    """Why a certification path was refused, coarse enough for a caller to choose a remedy."""

    MALFORMED = "malformed"
    UNTRUSTED = "untrusted"
    EXPIRED = "expired"
    PURPOSE = "purpose"
    CONSTRAINT = "constraint"
    KNOWN_BAD = "known-bad"


class PathError(PkiError):
    """A certificate that no acceptable path joins to a configured trust anchor."""

    def __init__(self, subject: str, reason: str, *, fault: PathFault = PathFault.UNTRUSTED) -> None:
        super().__init__(f"certificate of {subject!r} refused: {reason}")
        self.subject = subject
        self.reason = reason
        self.fault = fault


class JwsError(PkiError):
    """A signed token that is malformed, of another type, or whose signature is not its signer's."""

    def __init__(self, reason: str, *, expected: str = "", got: str = "") -> None:
        tail = f" (expected {expected}, got {got})" if expected else ""
        super().__init__(f"signed token refused: {reason}{tail}")
        self.reason = reason
        self.expected = expected
        self.got = got


class RevocationError(PkiError):
    """A CRL or OCSP answer that says nothing that may be relied on."""

    def __init__(self, reason: str, *, expected: str = "", got: str = "") -> None:
        tail = f" (expected {expected}, got {got})" if expected else ""
        super().__init__(f"revocation information refused: {reason}{tail}")
        self.reason = reason
        self.expected = expected
        self.got = got
