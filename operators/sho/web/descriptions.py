"""What the descriptions of the SHO's listeners say beside its code."""

from edge.administrator_pages import ADMINISTRATOR_PARAMETERS
from edge.api_description import Api, PathParameter
from edge.log_pages import LOG_PARAMETERS
from operators.sho.refusals import REFUSALS

_REFUSED = tuple((code.value, int(rule.status), rule.remedy) for code, rule in REFUSALS.items())
_ORDER = PathParameter(description="id of the order", pattern=r"^[0-9a-f]{1,64}$")

_MIGRATION = PathParameter(description="id of the order for the other device", pattern=r"^[0-9a-f]{1,64}$")

OPERATOR_API = Api(
    title="SHO, operator listener",
    description="""
    For the other roles of the network: registrations of devices, results and state events of PVAs, receipts of DPFs, lives, updates and migrations of MIDs,
    authentication vectors for VNOs, the audit log. What is signed is believed for its signature (docs/FOURTEEN-STEPS.md).
    """,
    path_parameters={
        **LOG_PARAMETERS,
        **ADMINISTRATOR_PARAMETERS,
        "order_id": _ORDER,
        "migration_id": _MIGRATION,
    },
    refusals=_REFUSED,
)
PUBLIC_API = Api(
    title="SHO, public listener",
    description="For everybody who orders for a device: the page, and the same as an API.",
    path_parameters={"order_id": _ORDER},
    refusals=_REFUSED,
)
