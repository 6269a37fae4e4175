"""What an agent could not do; it decides nothing, so its errors are reports of what others said."""

from m2me_agent.tre_protocol import Refusal


class AgentError(Exception):
    """Root of this package's errors; carries the four parts of a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.subject}: {refusal.reason} ({refusal.remedy})")
        self.refusal = refusal

    @property
    def code(self) -> str:
        """The stable word for programs."""
        return self.refusal.code


class RefusedError(AgentError):
    """The TRE or a service refused."""


class NotReachedError(AgentError):
    """The TRE or a service could not be reached, is busy, or answered nonsense."""


class UnjudgedError(NotReachedError):
    """Evidence was signed, and the PVA could not judge it: a new try costs the TRE another signature."""


class BearerEndedError(AgentError):
    """The visited network forwards nothing for this bearer any more: its time or quota is over; attach anew."""


class NotAffirmingError(AgentError):
    """A PVA judged the platform and did not affirm it; the result id leads the operator to the findings."""

    def __init__(self, refusal: Refusal, *, status: str, result_id: str) -> None:
        super().__init__(refusal)
        self.status = status
        self.result_id = result_id
