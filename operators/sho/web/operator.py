"""The operator listener, mutual TLS: registrations, results, receipts, lives of MIDs, releases, authentication vectors (D12).

Rule: each route serves one role, and of download functions this operator's own; results and receipts are believed for
their signatures, not for who brought them.
Every refusal of a caller that is known becomes an audit record.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Flask

from edge.administrator_pages import add_administrators
from edge.administrators import AdministratorDesk, AdministratorStore
from edge.audit_log import AuditLog
from edge.description_pages import add_description
from edge.log_pages import add_log_pages
from edge.operations import Told, answers, answers_nothing, takes, takes_octets
from edge.principals import PrincipalTable, current_principal, enforce_access, require
from edge.problems import OnRefusal
from edge.process import Clock
from edge.refusal_answers import register_refusals
from messages.evidence import CERTIFICATE_SIZE_MAX, CHAIN_LENGTH_MAX
from messages.reliance import RESULT_BYTES_MAX
from messages.state_event import STATE_EVENT_BYTES_MAX
from operators.sho.device_states import StateDesk
from operators.sho.lives import LifeDesk, MidLife
from operators.sho.mid_migrations import MigrationDesk
from operators.sho.mid_updates import MidUpdateDesk
from operators.sho.receipts import RECEIPT_MESSAGE_BYTES_MAX, ReceiptDesk
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.registration import Registrar
from operators.sho.subscriptions import AuthenticationCentre, Resynchronisation
from operators.sho.updates import UpdateDesk, UpdateQuestion
from operators.sho.validation import Validation
from operators.sho.web.answers import (
    MidAnswer,
    OrderTokenAnswer,
    ReceiptAnswer,
    StepAnswer,
    UpdateApprovalsAnswer,
    VectorsAnswer,
)
from operators.sho.web.bodies import (
    EventBody,
    RegistrationBody,
    ResultBody,
    StepBody,
    UpdateBody,
    VectorsBody,
    WishBody,
    decode_base64url,
)
from operators.sho.web.changes import ChangeDesks, add_changes, check_network
from operators.sho.web.descriptions import OPERATOR_API
from operators.sho.web.mid_migrations import add_mid_migrations
from operators.sho.web.mid_updates import add_mid_updates
from standards.aka.vectors import AuthenticationVector

CBOR = "application/cbor"
BODY_BYTES_MAX = RECEIPT_MESSAGE_BYTES_MAX
_REGISTRATION_BYTES_MAX = 2 * CHAIN_LENGTH_MAX * CERTIFICATE_SIZE_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerTerms:
    """What a subscriber's bearer may do, as the VNO is told with the vectors."""

    apn: str
    destinations: tuple[str, ...]
    quota_bytes: int
    life_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Desks:
    """The use cases behind this listener; `dpf` is the one through which this operator delivers."""

    dpf: str
    registrar: Registrar
    validation: Validation
    states: StateDesk
    receipts: ReceiptDesk
    updates: UpdateDesk
    lives: LifeDesk
    mid_updates: MidUpdateDesk
    migrations: MigrationDesk
    changes: ChangeDesks
    authentication: AuthenticationCentre
    bearer: BearerTerms
    administrators: AdministratorStore
    log: AuditLog | None = None


def operator_app(desks: Desks, *, principals: PrincipalTable, clock: Clock, on_refusal: OnRefusal) -> Flask:
    """Application of the operator listener; each request is judged at one time of `clock`."""
    app = Flask("sho.operator", static_folder=None)
    _add_orders(app, desks, clock)
    _add_updates(app, desks, clock)
    _add_lives(app, desks, clock)
    add_mid_updates(app, desks.mid_updates, clock)
    add_mid_migrations(app, desks.migrations, clock)
    add_changes(app, desks.changes, clock)
    _add_vectors(app, desks)
    administrators = AdministratorDesk(store=desks.administrators, file=principals)
    add_administrators(app, administrators, clock)
    add_log_pages(app, desks.log)

    add_description(app, OPERATOR_API)
    register_refusals(app, on_refusal=on_refusal)
    enforce_access(app, principals=principals)
    return app


def _add_orders(app: Flask, desks: Desks, clock: Clock) -> None:
    @app.post("/v1/registrations")
    @require("drf")
    @takes(RegistrationBody, bytes_max=_REGISTRATION_BYTES_MAX)
    @answers(OrderTokenAnswer)
    def register_device(body: RegistrationBody) -> Told:
        """Register a device, and get the signed order that binds it."""
        token = desks.registrar.register(
            device_id=body.device_id,
            pfc_chain=[decode_base64url(each) for each in body.pfc_chain],
            ak_public=decode_base64url(body.ak_public),
            at=clock(),
        )
        return {"order": token}

    @app.post("/v1/results")
    @require("pva")
    @takes(ResultBody, bytes_max=RESULT_BYTES_MAX + 64)
    @answers_nothing
    def take_result(body: ResultBody) -> None:
        """Bring a signed attestation result."""
        # a result that answers none of this operator's requests (the DPF asks too) changes nothing
        desks.validation.take(body.result, at=clock())

    @app.post("/v1/state-events")
    @require("pva")
    @takes(EventBody, bytes_max=STATE_EVENT_BYTES_MAX + 64)
    @answers_nothing
    def take_event(body: EventBody) -> None:
        """Bring a signed state event."""
        desks.states.take(body.event, at=clock())  # one that is not newer changes nothing

    @app.post("/v1/receipts")
    @require("dpf")
    @takes_octets(CBOR, bytes_max=RECEIPT_MESSAGE_BYTES_MAX)
    @answers(ReceiptAnswer)
    def take_receipt(data: bytes) -> Told:
        """Bring a TRE's receipt, and get what the device is to do next."""
        _check_dpf(desks.dpf)
        answer = desks.receipts.take(data, at=clock())
        shown = {"state": answer.state.value}
        if answer.instruction is not None:
            shown["instruction"] = answer.instruction
        return shown


def _add_updates(app: Flask, desks: Desks, clock: Clock) -> None:
    @app.post("/v1/update-approvals")
    @require("dpf")
    @takes(UpdateBody, bytes_max=1024)
    @answers(UpdateApprovalsAnswer)
    def approve_update(body: UpdateBody) -> Told:
        """Get the approvals that a device needs before an update."""
        _check_dpf(desks.dpf)
        question = UpdateQuestion(
            order_digest=bytes.fromhex(body.order_digest),
            manifest_digest=bytes.fromhex(body.manifest_digest),
            tre_nonce=bytes.fromhex(body.tre_nonce),
        )
        return {"approvals": desks.updates.approve(question, at=clock())}


def _add_lives(app: Flask, desks: Desks, clock: Clock) -> None:
    @app.post("/v1/mid-steps")
    @require("dpf")
    @takes(StepBody, bytes_max=BODY_BYTES_MAX)
    @answers(StepAnswer)
    def next_step(body: StepBody) -> Told:
        """Ask for a device what the owner of its MID wants next, and bring what the TRE said to the last step."""
        _check_dpf(desks.dpf)
        step = desks.lives.next_step(
            bytes.fromhex(body.order_digest),
            None if body.statement is None else decode_base64url(body.statement),
            at=clock(),
        )
        return {"step": step.kind.value} | ({} if step.token is None else {"token": step.token})

    @app.post("/v1/orders/<order_id>/mid")
    @require("admin")
    @takes(WishBody, bytes_max=1024)
    @answers(MidAnswer)
    def want(body: WishBody, order_id: str) -> Told:
        """Say what is to become of the MID of an order."""
        return _life(desks.lives.want(order_id, body.action, reason=body.reason or "", at=clock()))

    @app.get("/v1/orders/<order_id>/mid")
    @require("admin")
    @answers(MidAnswer)
    def show(order_id: str) -> Told:
        """Show what is wanted of the MID of an order, and how its TRE last said that it stands."""
        return _life(desks.lives.about(order_id))


def _life(life: MidLife) -> Told:
    told = {"wish": life.wish, "state": life.state, "reason": life.state_reason or None}
    return {"sequence": life.sequence, **{name: value for name, value in told.items() if value is not None}}


def _add_vectors(app: Flask, desks: Desks) -> None:
    @app.post("/v1/authentication-vectors")
    @require("vno")
    @takes(VectorsBody, bytes_max=1024)
    @answers(VectorsAnswer)
    def give_vectors(body: VectorsBody) -> Told:
        """Get authentication vectors for a subscriber, for one's own network."""
        check_network(body.serving_network)
        asked = body.resynchronisation
        vectors = desks.authentication.vectors(
            body.pcid,
            resynchronisation=(
                None
                if asked is None
                else Resynchronisation(rand=bytes.fromhex(asked.rand), auts=bytes.fromhex(asked.auts))
            ),
        )
        bearer = desks.bearer
        return {
            "vectors": _shown(vectors),
            "bearer": {
                "apn": bearer.apn,
                "destinations": list(bearer.destinations),
                "quota_bytes": bearer.quota_bytes,
                "life_s": bearer.life_s,
            },
        }


def _check_dpf(own: str) -> None:
    """What this operator's DPF delivered is no matter of another one, though it may be registered here too."""
    if current_principal().tenant != own:
        raise RefusalError(
            RefusalCode.FOREIGN_DPF,
            subject="caller",
            reason="it is not the download function through which this operator delivers",
        )


def _shown(vectors: Sequence[AuthenticationVector]) -> list[dict[str, str]]:
    return [
        {
            "rand": each.rand.hex(),
            "autn": each.autn.hex(),
            "xres": each.xres.hex(),
            "ck": each.ck.hex(),
            "ik": each.ik.hex(),
        }
        for each in vectors
    ]
