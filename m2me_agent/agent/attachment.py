"""Attachment (steps 1 to 4): the PCID to a visited network, its challenge to the TRE, RES back, and a bearer.

Rule: the key of the subscriber never leaves the TRE; what the agent holds afterwards is the bearer's secret, good for
forwarding only, and the attachment key, good for proving to the DRF that this device is attached.
"""

from dataclasses import dataclass, field
from typing import Protocol

from m2me_agent.agent.errors import RefusedError
from m2me_agent.agent.ports import Device, Tell, Tre
from m2me_agent.tre_protocol import Operation, Refusal
from messages.bearer import Bearer


@dataclass(frozen=True, slots=True, kw_only=True)
class AkaChallenge:
    """What the network asks; `rand` and `autn` 16 bytes each."""

    session: str
    rand: bytes
    autn: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A device that is attached; `key` (32 bytes) proves it to the DRF."""

    key: bytes = field(repr=False)
    bearer: Bearer


class VisitedNetwork(Protocol):
    """The radio side of a VNO; raises AgentError. A session ends with its answer, so none of this is repeated alone."""

    def attach(self, identity: str) -> AkaChallenge:
        """Claim an identity."""

    def respond(self, session: str, *, res: bytes) -> Bearer:
        """Answer a challenge."""

    def resynchronise(self, session: str, *, auts: bytes) -> AkaChallenge:
        """Say that the network's sequence number is behind, once, and get another challenge."""


def attach(tre: Tre, network: VisitedNetwork, device: Device, *, tell: Tell) -> Attachment:
    """Attach once.

    Raises:
        AgentError: a party refused, or could not be reached. The whole may be repeated: each is a new session.
    """
    # 1 the identity, in the place of an IMSI
    challenge = network.attach(device.identity)
    tell(1, "identity-sent", identity=device.identity)
    # 2, 3 the challenge that the network got from our home; the TRE checks AUTN before it answers
    answer = tre.ask(Operation.ATTACH, {"rand": challenge.rand, "autn": challenge.autn})
    if "auts" in answer:
        challenge = network.resynchronise(challenge.session, auts=answer["auts"])
        tell(3, "resynchronised")
        answer = tre.ask(Operation.ATTACH, {"rand": challenge.rand, "autn": challenge.autn})
    if "auts" in answer:
        raise RefusedError(
            Refusal(
                code="not-synchronised",
                subject="challenge of the visited network",
                reason="its sequence number is behind, also after resynchronisation",
                remedy="ask the ICF that issued the PCID",
            )
        )
    tell(3, "challenge-answered")
    # 4 the bearer
    bearer = network.respond(challenge.session, res=answer["res"])
    tell(4, "attached", apn=bearer.apn, gateway=bearer.gateway, quota_bytes=bearer.quota_bytes)
    return Attachment(key=answer["attachment_key"], bearer=bearer)
