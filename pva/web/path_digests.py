"""Digests in paths, as the views of the API and of the dashboard read them.

The one rule: what is no digest names nothing that is here, and is answered as what is not found.
"""

from collections.abc import Callable

from pva.refusals import RefusalCode, RefusalError


def digest_of(text: str, *, not_found: Callable[[], Exception], size: int = 32) -> bytes:
    """A digest in hexadecimal. Raises what `not_found` makes of anything else."""
    try:
        found = bytes.fromhex(text) if len(text) == 2 * size and text.isascii() else b""
    except ValueError:
        found = b""
    if len(found) != size:
        raise not_found()
    return found


def manifest_digest(text: str) -> bytes:
    """That of a manifest. Raises RefusalError."""
    return _digest(text, subject="manifest", reason="expected a SHA-256 digest in hexadecimal")


def proposal_digest(text: str) -> bytes:
    """That of what administrators agree on. Raises RefusalError."""
    return _digest(text, subject="proposal", reason="expected a SHA-256 digest in hexadecimal")


def policy_digest(text: str) -> bytes:
    """That of a policy. Raises RefusalError."""
    return _digest(text, subject="policy", reason="expected the SHA-256 of a policy as 64 hex digits")


def update_digest(text: str) -> bytes:
    """That of the manifest that an update leads to. Raises RefusalError."""
    return _digest(text, subject="digest of the manifest", reason="expected 64 hexadecimal digits")


def _digest(text: str, *, subject: str, reason: str) -> bytes:
    return digest_of(
        text, not_found=lambda: RefusalError(RefusalCode.NOT_FOUND, subject=subject, reason=reason)
    )
