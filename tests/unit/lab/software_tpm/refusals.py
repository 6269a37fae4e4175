"""What a test says when it expects a return code."""

import contextlib
from collections.abc import Iterator

import pytest

from standards.tpm2.errors import ResponseError


@contextlib.contextmanager
def refused(rc: int) -> Iterator[None]:
    """The TPM answers with exactly this return code."""
    with pytest.raises(ResponseError) as caught:
        yield
    assert caught.value.rc == rc, str(caught.value)
