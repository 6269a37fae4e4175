"""What can go wrong in the RATS formats.

One rule: a decoder of this room raises `RatsError` or a subclass, whatever bytes it is given.
"""


class RatsError(Exception):
    """A RATS structure is not what it should be.

    Fields: `what` (the part, as a path such as "evidence key 3"), `expected`, `got`; none holds secrets.
    """

    def __init__(self, *, what: str, expected: str, got: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


class CborError(RatsError):
    """The bytes are not the one CBOR encoding that is accepted here."""


def refusal(what: str, expected: str, got: str) -> RatsError:
    """Build the error from positions, for readers that raise their caller's own error."""
    return RatsError(what=what, expected=expected, got=got)
