"""What the DRF's listeners answer, as documented and as sent."""

from edge.operations import AnswerModel, Moment


class RelayedAnswer(AnswerModel):
    """A request that was carried: the PVA's id of it, and until when a device may answer."""

    request_id: str
    expires_at: Moment


class RelayProgressAnswer(AnswerModel):
    """What the PVA told its relay: `outcome` pass or fail, `sealed` (JWE) for the signer alone."""

    request_id: str
    state: str
    outcome: str | None = None
    sealed: str | None = None


class DiscoveryAnswer(AnswerModel):
    """Whose device it is (JWS)."""

    discovery: str


class RegistrationAnswer(AnswerModel):
    """The signed order (JWS) of the operator."""

    order: str
