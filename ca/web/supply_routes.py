"""Routes of the suppliers: manifests, batches, devices that may enrol once more."""

from flask import Blueprint

from ca.batches import Batches
from ca.manifests import Manifests
from ca.revocation import Revocation
from ca.web.answers import Answer, caller
from edge.bodies import binary_body
from edge.principals import require
from messages.batch import BATCH_BYTES_MAX
from standards.rats.corim import MANIFEST_BYTES_MAX, RIM_COSE

JOSE = "application/jose"


def supply_routes(manifests: Manifests, batches: Batches, revocation: Revocation) -> Blueprint:
    """A supplier acts for himself only: his tenant is the supplier that is meant."""
    routes = Blueprint("supply", __name__)

    @routes.post("/v1/manifests")
    @require("es")
    def accept_manifest() -> Answer:
        made = manifests.accept(binary_body(RIM_COSE, bytes_max=MANIFEST_BYTES_MAX), caller=caller())
        body = {
            "manifest": made.manifest_id,
            "digest": made.digest.hex(),
            "svn": made.svn,
            "models": sorted(made.models),
        }
        return body, 201

    @routes.post("/v1/batches")
    @require("es")
    def import_batch() -> Answer:
        token = binary_body(JOSE, bytes_max=BATCH_BYTES_MAX)
        # what is not ASCII is no token; it becomes characters that the token's decoder refuses
        made = batches.import_batch(token.decode("ascii", errors="replace"), caller=caller())
        return {"batch": made.batch, "supplier": made.supplier, "devices": made.devices}, 201

    @routes.post("/v1/devices/<device_id>/reopening")
    @require("es")
    def reopen(device_id: str) -> Answer:
        device = revocation.reopen(device_id, caller=caller())
        return {"device_id": device.device_id, "state": str(device.state)}, 200

    return routes
