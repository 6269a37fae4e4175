"""The parties between which the agent carries messages, and how often it may try."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from m2me_agent.agent.errors import NotReachedError
from m2me_agent.tre_protocol import Operation

T = TypeVar("T")

Sleep = Callable[[float], None]
"""Waits so many seconds."""

ATTEMPTS = 3
FIRST_WAIT_S = 0.5


class Tre(Protocol):
    """The TRE; raises AgentError."""

    def ask(self, operation: Operation, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The result of an operation."""


def repeat(call: Callable[[], T], *, sleep: Sleep) -> T:
    """Try a call that may be repeated safely up to ATTEMPTS times while it cannot be reached.

    Raises:
        NotReachedError: the last one.
    """
    wait_s = FIRST_WAIT_S
    for _ in range(ATTEMPTS - 1):
        try:
            return call()
        except NotReachedError:
            sleep(wait_s)
            wait_s *= 2
    return call()
