"""Every refusal of this package; none holds a key, a MAC or a sequence number."""


class AkaError(Exception):
    """Root of this package's errors."""


class SizeError(AkaError):
    """A value that has not the size or range of the norm: what it is, what was expected, what came."""

    def __init__(self, what: str, *, expected: str, got: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


class MacError(AkaError):
    """AUTN or AUTS (`what`) whose MAC the holder of K did not make: nothing in it may be used."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: its MAC was not made with this key for this RAND")
        self.what = what


class SequenceError(AkaError):
    """A sequence number that was used before, lies too far ahead, or would leave its 48 bits."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"sequence number: {reason}")
        self.reason = reason


class SeparationError(AkaError):
    """A vector whose AMF is not for this kind of access: its CK and IK must not be used there."""

    def __init__(self) -> None:
        super().__init__("AMF: its separation bit is not set, CK and IK are for cellular access only")
