"""What can go wrong in the project's own messages.

Rule: a decoder of this room raises `MessageError`, whatever it is given.
"""


class MessageError(Exception):
    """A message is not what it should be.

    Fields: `what` (the part, as a path such as "evidence.6.11"), `expected`, `got`; none holds secrets.
    """

    def __init__(self, *, what: str, expected: str, got: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


def refusal(what: str, expected: str, got: str) -> MessageError:
    """Build the error from positions, for readers that raise their caller's own error."""
    return MessageError(what=what, expected=expected, got=got)
