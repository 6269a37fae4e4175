"""What the descriptions of the DPF's listeners say beside its code."""

from edge.api_description import Api, PathParameter
from edge.log_pages import LOG_PARAMETERS
from operators.dpf.refusals import REFUSALS

_REFUSED = tuple((code.value, int(rule.status), rule.remedy) for code, rule in REFUSALS.items())
_ID = r"^[0-9a-f]{1,64}$"

OPERATOR_API = Api(
    title="DPF, operator listener",
    description="""
    For SHOs, which authorise downloads, and PVAs, which bring results and state events. What leaves through the gate is
    decided by what was validated, not by who asks (docs/adr/0024-delivery-gate.md).
    """,
    path_parameters={
        **LOG_PARAMETERS,
        "authorization_id": PathParameter(description="id of the authorisation", pattern=_ID),
    },
    refusals=_REFUSED,
)
DEVICE_API = Api(
    title="DPF, device listener",
    description="For devices: deliveries, content in chunks, receipts, approvals before an update.",
    path_parameters={"delivery_id": PathParameter(description="id of the delivery", pattern=_ID)},
    refusals=_REFUSED,
)
