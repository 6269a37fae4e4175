"""What an agent could not do; it decides nothing, so its errors are reports of what others said."""

from m2me_agent.tre_protocol import Refusal


class AgentError(Exception):
    """Root of this package's errors; carries the four parts of a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.subject}: {refusal.reason} ({refusal.remedy})")
        self.refusal = refusal


class RefusedError(AgentError):
    """The TRE or a service refused."""


class NotReachedError(AgentError):
    """The TRE or a service could not be reached, or answered nonsense."""
