"""Who may open a tunnel whereto: a bearer, in time, with quota left, to a destination on its list (R08, R88, R107).

Rule: default is no. The target is compared with the list letter by letter, before anything is looked up; the address
that it leads to must be one that this network forwards to, so that a name cannot lead back into the network itself.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from messages.destination import read_destination
from messages.errors import MessageError
from operators.vno.bearers import Bearer, is_proven
from operators.vno.connect_request import ConnectRequest
from operators.vno.refusals import RefusalCode, refuse

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class BearerBook(Protocol):
    """What admission needs of the store."""

    def bearer(self, bearer_id: str) -> Bearer | None:
        """The bearer with this id, also one that has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a tunnel leads."""

    host: str
    port: int


def proven_bearer(request: ConnectRequest, *, book: BearerBook) -> Bearer:
    """The bearer that the request proves to hold. Raises RefusedError (407), the same for an unknown one."""
    credentials = request.credentials
    if credentials is not None:
        bearer = book.bearer(credentials.id)
        if is_proven(bearer, credentials.secret) and bearer is not None:
            return bearer
    raise refuse(
        RefusalCode.BEARER_REQUIRED,
        subject="Proxy-Authorization",
        reason="expected id and secret of a bearer",
    )


def admit(bearer: Bearer, target: str, *, at: datetime) -> Destination:
    """Where a bearer's tunnel may lead now. Raises RefusedError: 410, 403."""
    if bearer.expires_at <= at:
        raise refuse(
            RefusalCode.BEARER_ENDED,
            subject="bearer",
            reason=f"the bearer ended at {bearer.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        )
    if not bearer.left_bytes:
        raise refuse(RefusalCode.BEARER_ENDED, subject="bearer", reason="the quota of the bearer is used up")
    if target not in bearer.destinations:
        raise refuse(
            RefusalCode.DESTINATION_NOT_ALLOWED,
            subject="destination",
            reason="the target is not a destination of this bearer",
        )
    try:
        host, port = read_destination(target)
    except MessageError as error:
        raise refuse(RefusalCode.DESTINATION_NOT_ALLOWED, subject="destination", reason=str(error)) from error
    return Destination(host=host, port=port)


def reachable(addresses: Sequence[str], *, networks: Sequence[IpNetwork]) -> str:
    """The first address that this network forwards to: a global one, or in `networks`. Raises RefusedError (403)."""
    for text in addresses:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if any(address in network for network in networks if network.version == address.version):
            return text
        if address.is_global and not address.is_multicast and not _leads_elsewhere(address):
            return text
    raise refuse(
        RefusalCode.ADDRESS_NOT_ALLOWED,
        subject="destination",
        reason="the destination's address is not one that this network forwards to",
    )


def _leads_elsewhere(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address that counts as global may stand for one that is not: reserved, or with an IPv4 one inside."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_reserved
    translated = address.sixtofour is not None or address.teredo is not None
    return address.is_reserved or address.is_site_local or translated
