"""The key of an audit log, as its operator hands it on: one line of text in a file.

Rule: a file that holds anything else is refused before anything is verified with it.
"""

from pathlib import Path
from typing import Final

from cli.failures import CliError, refused
from cli.files import read_file
from standards.merkle.checkpoint import VerifierKey
from standards.merkle.tree import MerkleError

_KEY_BYTES_MAX: Final = 1024


def read_verifier_key(path: Path) -> VerifierKey:
    """The verifier key in a file. Raises a refusal for the command line."""
    try:
        return VerifierKey.parse(read_file(path, bytes_max=_KEY_BYTES_MAX).decode("utf-8", "replace"))
    except MerkleError as error:
        raise refused(
            "verifier-key",
            subject=str(path),
            reason=str(error),
            remedy="get the key from whoever runs the log",
        ) from None


def log_not_proven(key: VerifierKey, error: Exception) -> CliError:
    """The refusal of a log that is not what its operator signed."""
    return refused(
        "log-not-proven",
        subject=f"audit log {key.name}",
        reason=str(error),
        remedy="keep both checkpoints as evidence, and ask the service's operator; nothing in this log may be relied on",
    )
