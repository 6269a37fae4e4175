"""The message types between TRE and network, from the protocol itself, and the attacks that each of them must meet.

Rule: a message type is an operation of the agent's socket and a direction. Whether something is in it, and whether it goes on
to the network, is read from the protocol's own tables and from one table here; an operation that is missing here is not
defended, and the demo ends with 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from m2me_agent.tre_protocol import AGENT_OPERATIONS, PARAMETERS, Operation


class Direction(StrEnum):
    """Where a message goes."""

    INWARD = "to the TRE"
    OUTWARD = "from the TRE"


class Kind(StrEnum):
    """What is done to a message."""

    DROP = "drop"
    REPLAY = "replay"
    ALTER = "alter each field"
    REORDER = "reorder"
    SPLICE = "splice"
    DELAY = "delay"
    FORGE = "forge"


@dataclass(frozen=True, slots=True, order=True)
class MessageType:
    """One type of message."""

    operation: Operation
    direction: Direction

    def __str__(self) -> str:
        """For people."""
        return f"{self.operation} {self.direction}"


Cell = tuple[MessageType, Kind]

GOES_ON_TO: Mapping[Operation, str] = {
    Operation.STATUS: "",
    Operation.BEGIN_ENROLLMENT: "CA",
    Operation.ACTIVATE: "CA",
    Operation.INSTALL_CREDENTIAL: "",
    Operation.ATTEST: "PVA",
    Operation.INSTALL_CONNECTIVITY: "",
    Operation.ATTACH: "VNO",
    Operation.ACCEPT_ORDER: "",
    Operation.ACCEPT_UPDATE: "",
    Operation.INSTALL: "DPF, SHO",
    Operation.INSTRUCT: "",
    Operation.REPORT: "DPF, SHO",
    Operation.ERASE: "DPF, SHO",
    Operation.AUTHENTICATE: "VNO",
    Operation.MIDS: "",
    Operation.BEGIN_UPDATE: "DPF, SHO",
    Operation.TAKE_APPROVALS: "",
}
"""Who judges what the TRE answers; empty where the answer is the agent's own to read and no message to anybody."""

WITH_TOKENS = frozenset(
    {
        Operation.ATTEST,
        Operation.INSTALL_CONNECTIVITY,
        Operation.ACCEPT_ORDER,
        Operation.ACCEPT_UPDATE,
        Operation.INSTALL,
        Operation.INSTRUCT,
        Operation.REPORT,
        Operation.ERASE,
        Operation.TAKE_APPROVALS,
    }
)
"""What is believed for a token's signature: these are forged, too."""


def message_types() -> tuple[MessageType, ...]:
    """Every type of message that the protocol has between TRE and network."""
    inward = [MessageType(each, Direction.INWARD) for each in AGENT_OPERATIONS]
    outward = [MessageType(each, Direction.OUTWARD) for each in AGENT_OPERATIONS if GOES_ON_TO[each]]
    return tuple(sorted([*inward, *outward]))


def cells() -> frozenset[Cell]:
    """Every attack that has to be played."""
    played: set[Cell] = set()
    for message in message_types():
        kinds = set(Kind) - {Kind.FORGE, Kind.SPLICE}
        if message.direction is Direction.OUTWARD or PARAMETERS[message.operation]:
            kinds.add(Kind.SPLICE)
        if message.direction is Direction.INWARD and message.operation in WITH_TOKENS:
            kinds.add(Kind.FORGE)
        played |= {(message, kind) for kind in kinds}
    return frozenset(played)
