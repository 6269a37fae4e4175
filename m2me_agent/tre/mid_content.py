"""What this TRE's MIDE can do with a MID: the algorithms that it has, for those that the MID's policy lists (R35, R43).

The rule: a MID is taken whole or not at all; one that asks for an algorithm that is not here would be dead weight.
"""

from typing import Final

from messages.errors import MessageError
from messages.mid_package import MidContent, NetworkApplication, decode_content
from standards.aka.milenage import KEY_SIZE

ALGORITHMS: Final = frozenset({"milenage"})
"""What the MIDE can run."""


def known_content(clear: bytes, *, mid_id: str) -> MidContent:
    """A MID of this id whose applications can all be used here. Raises MessageError, which shows no key."""
    content = decode_content(clear)
    if content.mid_id != mid_id:
        raise MessageError(what="MID.1", expected="the MID id of the package", got="another")
    identities = [application.identity for application in content.applications]
    if len(set(identities)) != len(identities):
        raise MessageError(what="MID.2", expected="each identity once", got="one of them twice")
    for application in content.applications:
        _check_usable(application, content)
    return content


def application_of(content: MidContent, identity: str) -> NetworkApplication | None:
    """The application with this IMSI or IMPI, if the MID's policy lets its algorithm be used."""
    for application in content.applications:
        if application.identity == identity and application.algorithm in content.algorithms:
            return application
    return None


def _check_usable(application: NetworkApplication, content: MidContent) -> None:
    if application.algorithm not in content.algorithms or application.algorithm not in ALGORITHMS:
        raise MessageError(
            what="MID.2",
            expected=f"an algorithm that the MID's policy lists, of {', '.join(sorted(ALGORITHMS))}",
            got=application.algorithm,
        )
    if (len(application.k), len(application.opc)) != (KEY_SIZE, KEY_SIZE):
        raise MessageError(what="MID.2", expected=f"K and OPc of {KEY_SIZE} bytes", got="other sizes")
