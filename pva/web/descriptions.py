"""What the descriptions of the PVA's listeners say beside its code: what this API is for, and what its paths name."""

from edge.administrator_pages import ADMINISTRATOR_PARAMETERS
from edge.api_description import Api, PathParameter
from edge.log_pages import LOG_PARAMETERS
from pva.refusals import REFUSALS

_ID = r"^[0-9a-f]{1,64}$"
_SHA256 = r"^[0-9a-f]{64}$"
_REFUSED = tuple((code.value, int(rule.status), rule.remedy) for code, rule in REFUSALS.items())

OPERATOR_API = Api(
    title="PVA, operator listener",
    description="""
    For operators, suppliers, administrators and auditors: recognised suppliers and their manifests, validations of
    devices, results with their explanations, approvals, watches, updates, policies and the audit log. Results, events and
    approvals are signed: believe them for their signatures (docs/PROTOCOL.md), not for where they came from.
    """,
    path_parameters={
        **LOG_PARAMETERS,
        **ADMINISTRATOR_PARAMETERS,
        "digest": PathParameter(description="SHA-256 of the manifest, policy or proposal", pattern=_SHA256),
        "issuer": PathParameter(description="issuer of a trust list", pattern=r"^[!-~]{1,128}$"),
        "suspension_id": PathParameter(description="id of the suspension", pattern=_SHA256),
        "request_id": PathParameter(description="id that the request was answered with", pattern=_ID),
        "result_id": PathParameter(description="`jti` of the result, or id of its validation", pattern=_ID),
        "watch_id": PathParameter(description="id of the watch", pattern=_ID),
    },
    refusals=_REFUSED,
)
DEVICE_API = Api(
    title="PVA, device listener",
    description="For devices: the challenge, and the evidence over it (docs/PROTOCOL.md, section 4).",
    refusals=_REFUSED,
)
