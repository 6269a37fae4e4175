"""Names that people give to suppliers, models, CAs and services: short, plain, fit for certificates and URLs."""

import ipaddress
import re
from collections.abc import Sequence

from cryptography import x509

from ca.errors import InvalidInputError

NAME_MAX = 40
DNS_MAX = 253
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9])?")
_CRL_NAME = re.compile(r"([0-9a-f]{32})(?:-([1-9][0-9]{0,2}))?", re.ASCII)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def check_name(what: str, value: str) -> str:
    """`value`, if it is a plain name of 1 to 40 characters; else InvalidInputError."""
    if len(value) <= NAME_MAX and _NAME.fullmatch(value):
        return value
    raise InvalidInputError(
        "name",
        subject=what,
        detail=f"{what}: expected 1 to {NAME_MAX} letters, digits, spaces, dots, hyphens and underscores, "
        "with a letter or digit at both ends",
        remedy="choose another name",
    )


def crl_name(ca_id: str, partition: int) -> str:
    """Name of a CRL in its URL: the CA's id, and the number of the partition where it is not the first."""
    return ca_id if partition == 0 else f"{ca_id}-{partition}"


def read_crl_name(name: str) -> tuple[str, int] | None:
    """The CA's id and the partition of a CRL of this name, None for any other text."""
    found = _CRL_NAME.fullmatch(name)
    return None if found is None else (found[1], int(found[2] or 0))


def network_names(*, dns: Sequence[str], addresses: Sequence[str]) -> tuple[x509.GeneralName, ...]:
    """Subject alternative names of a server; at least one, DNS names fully qualified and in lower case."""
    names: list[x509.GeneralName] = [x509.DNSName(_dns_name(each)) for each in dns]
    try:
        names += [x509.IPAddress(ipaddress.ip_address(each)) for each in addresses]
    except ValueError as error:
        raise _refused("network-name", f"not an IP address: {error}") from error
    if not names:
        raise _refused("network-name", "a server certificate without a name helps no client")
    if len(set(names)) != len(names):
        raise _refused("network-name", "a name is given twice")
    return tuple(names)


def _dns_name(value: str) -> str:
    labels = value.split(".")
    whole = len(value) <= DNS_MAX and all(_LABEL.fullmatch(label) for label in labels)
    # a single label is no name in the public tree and RFC 1034's preferred syntax in certificates wants one
    if whole and len(labels) > 1 and not labels[-1].isdigit():
        return value
    raise _refused(
        "network-name",
        f"{value[:64]!r} is not a DNS name of two labels or more, in lower-case letters and digits",
    )


def _refused(reason: str, detail: str) -> InvalidInputError:
    return InvalidInputError(
        reason,
        subject="names of the server",
        detail=detail,
        remedy="give fully qualified DNS names or IP addresses, each once",
    )
