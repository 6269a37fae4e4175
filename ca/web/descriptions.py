"""What the descriptions of the CA's listeners say beside its code: what this API is for, and what its paths name."""

from ca.web.problems import PROBLEMS
from edge.administrator_pages import ADMINISTRATOR_PARAMETERS
from edge.api_description import Api, PathParameter
from edge.log_pages import LOG_PARAMETERS

_CA_ID = r"^[0-9a-f]{32}$"
_DEVICE = PathParameter(description="device_id, in hexadecimal", pattern=r"^[0-9a-f]{64}$")

OPERATOR_API = Api(
    title="CA, operator listener",
    description="""
    For administrators, suppliers, responders and PVAs: roots and issuing CAs, certificates for services and people, batch
    lists and manifests of suppliers, status, holds and the change feed that responders follow, the audit log. Private keys
    are made where they are used: what is certified is sent as a CSR (docs/CERTIFICATES.md).
    """,
    path_parameters={
        **LOG_PARAMETERS,
        **ADMINISTRATOR_PARAMETERS,
        "digest": PathParameter(description="digest of what waits of a key", pattern=r"^[0-9a-f]{64}$"),
        "ca_id": PathParameter(description="id of the CA", pattern=_CA_ID),
        "serial": PathParameter(
            description="serial number of the certificate in hexadecimal", pattern=r"^[0-9a-fA-F]{1,40}$"
        ),
        "device_id": _DEVICE,
        "feed": PathParameter(description="id of the batch feed", pattern=r"^[0-9a-f]{1,64}$"),
        "suspension_id": PathParameter(description="id of the suspension", pattern=r"^[0-9a-f]{64}$"),
        "number": PathParameter(description="number of the chunk, the first is 0", pattern=r"^[0-9]{1,18}$"),
    },
    refusals=tuple(
        (name, status, "see `remedy`; `reason` is more exact") for status, name in PROBLEMS.values()
    ),
)
DEVICE_API = Api(
    title="CA, device listener",
    description="For devices: enrolment in two messages, and the newest credential (docs/PROTOCOL.md, section 3).",
    path_parameters={"device_id": _DEVICE},
)
