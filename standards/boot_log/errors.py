"""What can go wrong with a boot log."""


class BootLogError(Exception):
    """A boot log is malformed, or cannot answer what was asked of it.

    Fields: `what` (the part), `expected`, `got`, `event` (number of the event in the log, or None).
    """

    def __init__(self, *, what: str, expected: str, got: str, event: int | None = None) -> None:
        place = "" if event is None else f" of event {event}"
        super().__init__(f"boot log, {what}{place}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got
        self.event = event
