"""What the descriptions of the DRF's listeners say beside its code."""

from edge.api_description import Api, PathParameter
from edge.log_pages import LOG_PARAMETERS
from operators.drf.refusals import REFUSALS

_REFUSED = tuple((code.value, int(rule.status), rule.remedy) for code, rule in REFUSALS.items())

OPERATOR_API = Api(
    title="DRF, operator listener",
    description="""
    For ICFs, which say who is attached, and SHOs, which announce orders and have validation requests carried to a PVA. A
    relay reads nothing of what it carries (docs/FOURTEEN-STEPS.md).
    """,
    path_parameters={
        **LOG_PARAMETERS,
        "order_id": PathParameter(
            description="id of the order, of the SHO's own choice", pattern=r"^[^/]{1,64}$"
        ),
        "request_id": PathParameter(
            description="id that the request was answered with", pattern=r"^[0-9a-f]{1,64}$"
        ),
    },
    refusals=_REFUSED,
)
DEVICE_API = Api(
    title="DRF, device listener",
    description="For devices whose PCID is attached now: which operator is theirs, and registration with it.",
    refusals=_REFUSED,
)
