"""Which home network an identity belongs to: by MCC and MNC, nothing else (R02).

Rule: the longest match wins, since an MNC has two or three digits and only a home network knows which; what is in no
row has no agreement.
"""

from collections.abc import Container

from messages.attachment import MCC_DIGITS, MNC_DIGITS

Network = tuple[str, str]
"""(MCC, MNC)."""


def network_of(pcid: str, *, realm: Network, known: Container[Network]) -> Network | None:
    """The network of a PCID, among those that are known; `realm` is what the identity's realm says it is.

    The realm writes every MNC with three digits, so the network found must read the same there.
    """
    mcc, said = realm
    for digits in sorted(MNC_DIGITS, reverse=True):
        network = (pcid[:MCC_DIGITS], pcid[MCC_DIGITS : MCC_DIGITS + digits])
        if network in known and network[0] == mcc and network[1].zfill(3) == said.zfill(3):
            return network
    return None
