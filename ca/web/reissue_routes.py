"""The route by which a supplier or a PVA has a product line issued anew, a page at a time."""

from http import HTTPStatus

from flask import Blueprint

from ca.bulk_issuance import BulkIssuance, Reissue
from ca.records import serial_text
from ca.web import bodies
from ca.web.answer_models import ReissueAnswer
from ca.web.answers import caller
from edge.operations import Told, answers, takes
from edge.principals import require


def reissue_routes(bulk: BulkIssuance) -> Blueprint:
    """A page is a request of its own: whoever got no answer sends it again, and gets what is still due."""
    routes = Blueprint("reissues", __name__)

    @routes.post("/v1/reissues")
    @require("es", "pva", "admin")
    @takes(bodies.NewReissue)
    @answers(ReissueAnswer, HTTPStatus.CREATED)
    def reissue(body: bodies.NewReissue) -> Told:
        """Issue a page of a product line anew."""
        page = bulk.reissue(
            Reissue(supplier=body.supplier, model=body.model, manifest_id=body.manifest),
            after=body.after,
            limit=body.limit,
            caller=caller(),
        )
        issued = [
            {"device_id": device_id, "issuer": each.ca_id, "serial": serial_text(each.serial)}
            for device_id, each in page.issued.items()
        ]
        return {"issued": issued, "left_out": dict(page.left_out), "next": page.next}

    return routes
