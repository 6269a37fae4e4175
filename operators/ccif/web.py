"""The operator listener of the CCIF, mutual TLS: one route for factories (R106), beside the audit log.

Rule: a supplier asks for its own devices; every refusal of a caller that is known becomes an audit record.
"""

from http import HTTPStatus
from typing import Annotated

from flask import Flask
from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator

from edge.api_description import Api
from edge.audit_log import AuditLog
from edge.description_pages import add_description
from edge.log_pages import LOG_PARAMETERS, add_log_pages
from edge.operations import AnswerModel, Told, answers, takes
from edge.principals import PrincipalTable, current_principal, enforce_access, require
from edge.problems import OnRefusal
from edge.process import Clock
from edge.refusal_answers import register_refusals
from operators.ccif.connectivity import ConnectivityDesk
from operators.ccif.refusals import REFUSALS
from standards.rats.fields import Fields

BODY_BYTES_MAX = 4096
_PUBLIC_BYTES_MAX = 1024


class ConnectivityBody(BaseModel):
    """A factory asks for a device; `storage_public` is a TPMT_PUBLIC in base64url."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    device_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    storage_public: Annotated[str, StringConstraints(min_length=1, max_length=2 * _PUBLIC_BYTES_MAX)]

    @field_validator("storage_public")
    @classmethod
    def _is_base64url(cls, value: str) -> str:
        _decoded(value)
        return value

    @property
    def public(self) -> bytes:
        """The public area as bytes."""
        return _decoded(self.storage_public)


class ConnectivityAnswer(AnswerModel):
    """The sealed connectivity (JWS), and the PCID in it."""

    connectivity: str
    pcid: str


OPERATOR_API = Api(
    title="CCIF, operator listener",
    description="For factories: initial connectivity of a device, sealed for its TPM.",
    path_parameters=LOG_PARAMETERS,
    refusals=tuple((code.value, int(rule.status), rule.remedy) for code, rule in REFUSALS.items()),
)


def operator_app(
    desk: ConnectivityDesk,
    *,
    log: AuditLog | None,
    principals: PrincipalTable,
    clock: Clock,
    on_refusal: OnRefusal,
) -> Flask:
    """Application of the operator listener; each request is judged at one time of `clock`."""
    app = Flask("ccif.operator", static_folder=None)

    @app.post("/v1/connectivity")
    @require("es")
    @takes(ConnectivityBody, bytes_max=BODY_BYTES_MAX)
    @answers(ConnectivityAnswer, HTTPStatus.CREATED)
    def issue_connectivity(body: ConnectivityBody) -> Told:
        """Get initial connectivity for a device, sealed for its TPM."""
        caller = current_principal()
        issued = desk.issue(
            body.device_id,
            storage_public=body.public,
            tenant=caller.tenant,
            caller=f"{caller.role}:{caller.tenant}:{caller.name}",
            at=clock(),
        )
        return {"connectivity": issued.token, "pcid": issued.pcid}

    add_log_pages(app, log)
    add_description(app, OPERATOR_API)
    register_refusals(app, on_refusal=on_refusal)
    enforce_access(app, principals=principals)
    return app


def _decoded(text: str) -> bytes:
    fields = Fields({"storage_public": text}, what="body", refusal=_not_base64url)
    return fields.base64url("storage_public", size_min=1, size_max=_PUBLIC_BYTES_MAX)


def _not_base64url(what: str, expected: str, got: str) -> ValueError:
    return ValueError(f"{what}: expected {expected}, got {got}")
