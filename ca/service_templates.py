"""What services' and people's certificates say: TLS, and the purposes of operators; pure.

The one rule: the names come from whoever may give them (an administrator, a registration, the certificate that is
renewed), never from the request for the certificate.
"""

from collections.abc import Sequence

from ca.errors import InvalidInputError
from ca.issuance import name
from ca.key_algorithms import SubjectKey
from ca.names import check_name, network_names
from ca.profiles import OPERATOR_ROLES, Kind
from ca.template import Template
from standards.pki.extensions import OperatorRole, Requesters


def tls_template(
    kind: Kind,
    *,
    holder: str,
    key: SubjectKey,
    requesters: Requesters | None,
    dns: Sequence[str] = (),
    addresses: Sequence[str] = (),
) -> Template:
    """A TLS server's or client's certificate; that of a client says who had it issued. Raises InvalidInputError."""
    check_name("name of the holder", holder)
    if kind is Kind.TLS_CLIENT and (dns or addresses):
        raise InvalidInputError(
            "network-name",
            subject=holder,
            detail="a client certificate holds no network names",
            remedy="leave dns and ip away",
        )
    names = network_names(dns=dns, addresses=addresses) if kind is Kind.TLS_SERVER else None
    return Template(
        kind=kind,
        public_key=key,
        subject=name(common_name=holder),
        network_names=names,
        requesters=requesters if kind is Kind.TLS_CLIENT else None,
    )


def operator_template(kind: Kind, *, role: str, service: str, key: SubjectKey) -> Template:
    """A certificate of an operator's service, for a purpose that its role may have; raises InvalidInputError."""
    check_name("id of the service", service)
    if role not in OPERATOR_ROLES[kind]:
        raise InvalidInputError(
            "role-purpose",
            subject=service,
            detail=f"the purpose {kind} is for {', '.join(sorted(OPERATOR_ROLES[kind]))}, not {role[:40]!r}",
            remedy="ask for a purpose of this role",
        )
    return Template(
        kind=kind,
        public_key=key,
        subject=name(common_name=service),
        operator_role=OperatorRole(role=role, id=service),
    )
