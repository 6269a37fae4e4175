"""What this TRE's MIDE can do with a MID: the algorithms that it has, for those that the MID's policy lists (R35, R43).

The rule: a MID is taken whole or not at all; one that asks for an algorithm that is not here would be dead weight.
"""

from m2me_agent.tre.errors import MidError
from m2me_agent.tre.mid_rules import Rules, check_content
from m2me_agent.tre.vault_record import OpenCompartment
from messages.errors import MessageError
from messages.mid_content import MidContent, NetworkApplication, decode_content
from messages.mid_policy import TUAK
from standards.aka.errors import AkaError
from standards.aka.functions import AuthenticationFunctions
from standards.aka.milenage import RES_SIZE, MilenageKey
from standards.aka.tuak import TuakKey, TuakSizes


def known_content(clear: bytes, *, mid_id: str, rules: Rules) -> MidContent:
    """A MID of this id whose applications can and may all be used here.

    Raises MessageError, which shows no key, and PolicyError.
    """
    content = decode_content(clear)
    if content.mid_id != mid_id:
        raise MessageError(what="MID.1", expected="the MID id of the package", got="another")
    identities = [application.identity for application in content.applications]
    if len(set(identities)) != len(identities):
        raise MessageError(what="MID.2", expected="each identity once", got="one of them twice")
    check_content(content, rules)
    for application in content.applications:
        functions_of(application)
    return content


def content_of(opened: OpenCompartment, mid_id: str) -> MidContent:
    """What an open compartment has of a MID. Raises MidError."""
    try:
        return decode_content(opened.contents[mid_id])
    except (KeyError, MessageError):
        raise MidError(
            subject=f"MID {mid_id}", reason="its content cannot be read", remedy="order the subscription anew"
        ) from None


def application_of(content: MidContent, identity: str) -> NetworkApplication | None:
    """The application with this IMSI or IMPI, if the MID's policy lets its algorithm be used."""
    for application in content.applications:
        if application.identity == identity and application.algorithm in content.policy.algorithms:
            return application
    return None


def functions_of(application: NetworkApplication) -> AuthenticationFunctions:
    """The algorithm that the application names, under its keys. Raises MessageError for keys that are not its."""
    try:
        if application.algorithm == TUAK:
            sizes = TuakSizes(res=application.res_bytes)
            return TuakKey(k=application.k, topc=application.opc, sizes=sizes)
        if application.res_bytes != RES_SIZE:
            raise MessageError(what="MID.2", expected=f"RES of {RES_SIZE} bytes", got="another size")
        return MilenageKey(k=application.k, opc=application.opc)
    except AkaError as error:
        raise MessageError(
            what="MID.2", expected=f"keys of {application.algorithm}", got=str(error)
        ) from None
