"""The option by which a process that was started as root is told whom to become."""

import click


class UserOption(click.ParamType[tuple[int, int]]):
    """UID or UID:GID, both numbers; the gid is the uid's number where it is not given."""

    name = "UID[:GID]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """(uid, gid)."""
        if isinstance(value, tuple):
            return int(value[0]), int(value[1])
        uid, _, gid = str(value).partition(":")
        if not all(part.isascii() and part.isdecimal() for part in (uid, gid or uid)):
            self.fail(f"{value!r}: expected numbers, such as 990 or 990:990", param, ctx)
        return int(uid), int(gid or uid)
