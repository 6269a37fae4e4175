"""The key under which an order is placed once, of whoever orders: a user on the public listener, or this operator's staff."""

import re
from typing import Final

from flask import request

from edge.repeating import IDEMPOTENCY_KEY
from operators.sho.refusals import RefusalCode, RefusalError

KEY_PATTERN: Final = r"^[A-Za-z0-9_-]{16,128}$"
KEY: Final = re.compile(KEY_PATTERN)
KEY_DESCRIPTION: Final = "of this order alone: the same key again gives the same order"


def shown_key() -> str:
    """The header of the request as it came, empty where there is none."""
    return request.headers.get(IDEMPOTENCY_KEY, "")


def checked_key(key: str) -> str:
    """Raises RefusalError for what is no key."""
    if not KEY.fullmatch(key):
        raise RefusalError(
            RefusalCode.IDEMPOTENCY_KEY_INVALID,
            subject=IDEMPOTENCY_KEY,
            reason=f"expected 16 to 128 letters, digits, - or _, got {len(key)} characters",
        )
    return key
