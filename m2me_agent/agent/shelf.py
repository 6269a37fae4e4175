"""The agent's own folder: the tokens of one granted delivery, and what has come of its content.

Rule: ciphertext and signed tokens only, readable by the agent's uid; what cannot be read is as if it were not there,
since all of it can be fetched again.
"""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from m2me_agent.agent.download import Grant
from m2me_agent.agent.errors import RefusedError
from m2me_agent.agent.unverified import read_package

GRANT_FILE = "grant.json"
GRANT_BYTES_MAX = 1 << 20
_SUFFIX = ".content"
_PRIVATE = 0o600


class DiskShelf:
    """A shelf below `folder`, which exists and belongs to the agent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def grant(self) -> Grant | None:
        """The grant that is kept, None if there is none or it cannot be read."""
        try:
            with (self._folder / GRANT_FILE).open("rb") as file:
                value: Any = json.loads(file.read(GRANT_BYTES_MAX))
            grant = Grant(
                order_digest=bytes.fromhex(value["order_digest"]),
                delivery_id=value["delivery_id"],
                package=value["package"],
                delivery=value["delivery"],
                content_size=value["content_size"],
                dpf_url=value["dpf_url"],
            )
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        texts = (grant.delivery_id, grant.package, grant.delivery, grant.dpf_url)
        if not all(isinstance(each, str) for each in texts) or type(grant.content_size) is not int:
            return None
        try:
            read_package(grant.package)
        except RefusedError:
            return None
        return grant

    def keep(self, grant: Grant) -> None:
        """Keep a grant in place of another; it is there whole, or not at all."""
        value = {
            "order_digest": grant.order_digest.hex(),
            "delivery_id": grant.delivery_id,
            "package": grant.package,
            "delivery": grant.delivery,
            "content_size": grant.content_size,
            "dpf_url": grant.dpf_url,
        }
        written = self._folder / f"{GRANT_FILE}.new"
        written.unlink(missing_ok=True)
        with self._created(written) as file:
            file.write(json.dumps(value).encode())
        written.replace(self._folder / GRANT_FILE)

    def content(self, name: str) -> bytes:
        """What is there of a package's content."""
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / f"{name}{_SUFFIX}").read_bytes()
        return b""

    def add(self, name: str, chunk: bytes) -> None:
        """Add to a package's content."""
        with self._created(self._folder / f"{name}{_SUFFIX}") as file:
            file.write(chunk)

    def drop(self, name: str) -> None:
        """Throw a package's content away."""
        (self._folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)

    def clear(self) -> None:
        """Throw all of it away: the grant first, so that no grant is left without its content."""
        (self._folder / GRANT_FILE).unlink(missing_ok=True)
        for path in self._folder.glob(f"*{_SUFFIX}"):
            path.unlink(missing_ok=True)

    @staticmethod
    def _created(path: Path) -> Any:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _PRIVATE), "ab")
