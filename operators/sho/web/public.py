"""The public listener: the page where a user orders for a device, and the same as an API (R10, R50).

Rule: no session and no cookie, so a foreign page can send nothing in a user's name; whoever reads an order's state
shows the secret that came with the order. The page is plain HTML: it works without scripts, and texts are escaped.
"""

from http import HTTPStatus
from typing import Any, Final

import pydantic
from flask import Flask, Response, make_response, render_template, request

from edge.operations import Told, answers, answers_octets, takes, takes_header
from edge.principals import enforce_access, public
from edge.process import Clock, RandomBytes
from edge.refusal_answers import register_refusals
from edge.refused import AnonymousRefusals, problem_of_refusal
from edge.repeating import IDEMPOTENCY_KEY
from operators.sho.order_states import OrderRecord, Prior
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.registration import OrderWish, Registrar
from operators.sho.releases import ReleaseDesk
from operators.sho.web.answers import AskedReleasesAnswer, OrderAnswer, PlacedOrderAnswer
from operators.sho.web.bodies import DecisionBody, OrderBody
from operators.sho.web.changes import APPROVE, shown_releases
from operators.sho.web.order_keys import KEY, KEY_DESCRIPTION, KEY_PATTERN, checked_key, shown_key

ORDER_BYTES_MAX: Final = 4_096
_FORM_KEY_SIZE: Final = 16
HTML: Final = "text/html; charset=utf-8"
_BEARER: Final = "Bearer "
_POLICY: Final = (
    "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; style-src 'none'"
)
_FIELD_OF: Final = {
    RefusalCode.DEVICE_CODE_INVALID.value: "device_code",
    RefusalCode.PRODUCT_UNKNOWN.value: "product",
}
_SENTENCES: Final = {
    "device_code": "This is not a device code. Please type it as the label of the device has it.",
    "product": "Please choose one of the products.",
    "subscriber": "Please tell us who you are, with at most 128 letters.",
    "idempotency_key": "Please open this page again and fill it in once more.",
}


def public_app(
    registrar: Registrar,
    releases: ReleaseDesk,
    *,
    clock: Clock,
    random_bytes: RandomBytes,
    anonymous: AnonymousRefusals,
) -> Flask:
    """Application of the public listener; each request is judged at one time of `clock`."""
    app = Flask("operators.sho.web", static_folder=None)
    _add_orders(app, registrar, clock)
    _add_releases(app, releases, clock)
    _add_page(app, registrar, clock, random_bytes)

    @app.after_request
    def say_what_is_allowed(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    register_refusals(app, on_refusal=anonymous.count)
    enforce_access(app)
    return app


def _add_orders(app: Flask, registrar: Registrar, clock: Clock) -> None:
    @app.post("/v1/orders")
    @public
    @takes(OrderBody, bytes_max=ORDER_BYTES_MAX)
    @takes_header(IDEMPOTENCY_KEY, description=KEY_DESCRIPTION, pattern=KEY_PATTERN)
    @answers(PlacedOrderAnswer, HTTPStatus.CREATED)
    def place_order(body: OrderBody) -> Told:
        """Order a product for a device."""
        key = checked_key(shown_key())
        order = registrar.place(_wish(body, key), at=clock())
        return {
            "order_id": order.id,
            "order_code": order.order_code,
            "state": order.state.value,
            "secret": registrar.secrets.order_secret(order.id),
        }

    @app.get("/v1/orders/<order_id>")
    @public
    @takes_header(
        "Authorization", description="the secret that came with the order", pattern=rf"^{_BEARER}[!-~]+$"
    )
    @answers(OrderAnswer)
    def show_order(order_id: str) -> Told:
        """Show where an order stands, to whoever shows its secret."""
        order, informed = registrar.state(order_id, secret=_shown_secret())
        return {"order_id": order.id, "state": order.state.value, "informed": list(informed)}


def _add_releases(app: Flask, releases: ReleaseDesk, clock: Clock) -> None:
    @app.post("/v1/orders/<order_id>/release-decisions")
    @public
    @takes(DecisionBody, bytes_max=1024)
    @takes_header(
        "Authorization", description="the secret that came with the order", pattern=rf"^{_BEARER}[!-~]+$"
    )
    @answers(AskedReleasesAnswer)
    def decide_release(body: DecisionBody, order_id: str) -> Told:
        """Approve or deny that a successor takes one's subscription over, with the secret of its order."""
        decided = releases.decide_as_subscriber(
            order_id,
            body.successor,
            secret=_shown_secret(),
            approves=body.decision == APPROVE,
            at=clock(),
        )
        return shown_releases([decided])


def _add_page(app: Flask, registrar: Registrar, clock: Clock, random_bytes: RandomBytes) -> None:
    operator = registrar.operator

    def form(values: dict[str, str], faults: dict[str, str]) -> Response:
        known = values.get("idempotency_key", "")
        key = known if KEY.fullmatch(known) else random_bytes(_FORM_KEY_SIZE).hex()
        page = render_template(
            "register.html", operator=operator, values={**values, "idempotency_key": key}, faults=faults
        )
        return make_response(page, HTTPStatus.UNPROCESSABLE_ENTITY if faults else HTTPStatus.OK)

    @app.get("/register")
    @public
    @answers_octets(HTML)
    def show_form() -> Response:
        """The page where a user orders."""
        return form({}, {})

    @app.post("/register")
    @public
    @answers_octets(HTML, HTTPStatus.CREATED)
    def take_form() -> Response:
        """The page's form."""
        names = ("subscriber", "device_code", "product", "idempotency_key")
        values = {name: request.form.get(name, "").strip() for name in names}
        try:
            body = OrderBody.model_validate({name: values[name] for name in names[:-1]})
            key = checked_key(values["idempotency_key"])
            order = registrar.place(_wish(body, key), at=clock())
        except pydantic.ValidationError as error:
            return form(
                values, {str(each["loc"][0]): _SENTENCES[str(each["loc"][0])] for each in error.errors()}
            )
        except RefusalError as refusal:
            field = _FIELD_OF.get(problem_of_refusal(refusal).type, "idempotency_key")
            fresh = {**values, "idempotency_key": ""} if field == "idempotency_key" else values
            return form(fresh, {field: _SENTENCES[field]})
        return _placed(registrar, order)


def _placed(registrar: Registrar, order: OrderRecord) -> Response:
    shown: dict[str, Any] = {
        "operator": registrar.operator,
        "order": order,
        "secret": registrar.secrets.order_secret(order.id),
    }
    return make_response(render_template("ordered.html", **shown), HTTPStatus.CREATED)


def _wish(body: OrderBody, key: str) -> OrderWish:
    taken_over = body.prior
    return OrderWish(
        subscriber=body.subscriber,
        device_code=body.device_code,
        product=body.product,
        idempotency_key=key,
        prior=(None if taken_over is None else Prior(operator=taken_over.operator, mid_id=taken_over.mid_id)),
    )


def _shown_secret() -> str:
    header = request.headers.get("Authorization", "")
    return header.removeprefix(_BEARER) if header.startswith(_BEARER) else ""
