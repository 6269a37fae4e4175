"""What can go wrong with an IMA list."""


class ImaError(Exception):
    """An IMA list, or a file signature in it, is malformed or contradicts itself.

    Fields: `what` (the part), `expected`, `got`, `entry` (number of the entry in the boot's list, or None).
    """

    def __init__(self, *, what: str, expected: str, got: str, entry: int | None = None) -> None:
        place = "" if entry is None else f" of entry {entry}"
        super().__init__(f"IMA list, {what}{place}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got
        self.entry = entry
