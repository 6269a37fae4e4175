"""The USIM's side of AKA in this TRE: the network proves itself first, and a number is taken once."""

from dataclasses import dataclass

from m2me_agent.tre.errors import NetworkError
from m2me_agent.tre.sequence_numbers import SequenceNumbers
from standards.aka.errors import AkaError
from standards.aka.functions import AuthenticationFunctions
from standards.aka.vectors import Authenticated, Resynchronisation, authenticate


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkChallenge:
    """RAND and AUTN, as they came."""

    rand: bytes
    autn: bytes


def answer(
    challenge: NetworkChallenge, *, key: AuthenticationFunctions, subject: str, numbers: SequenceNumbers
) -> Authenticated | Resynchronisation:
    """RES, CK and IK, or AUTS where the number is not taken; the number is remembered first.

    Raises:
        NetworkError: the challenge was not made with this key. StateError: the number cannot be remembered.
    """
    try:
        found = authenticate(
            key,
            rand=challenge.rand,
            autn=challenge.autn,
            sequence=numbers.of(subject),
        )
    except AkaError as error:
        raise NetworkError(
            subject="authentication challenge",
            reason=str(error),
            remedy="attach to a network of the identity's own operator, with a fresh challenge",
        ) from error
    if isinstance(found, Authenticated):
        numbers.remember(subject, found.sequence)
    return found
