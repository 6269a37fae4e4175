"""Routes of the suppliers: manifests, batches, devices that may enrol once more."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint

from ca.batch_feeds import BatchFeeds
from ca.batches import Batches
from ca.manifests import Manifests
from ca.records import Batch
from ca.revocation import Revocation
from ca.web.answers import Answer, caller, whole_number
from edge.bodies import binary_body
from edge.principals import require
from messages.batch import BATCH_BYTES_MAX
from messages.batch_feed import CHUNK_BYTES_MAX, HEAD_BYTES_MAX
from standards.rats.corim import MANIFEST_BYTES_MAX, RIM_COSE

JOSE = "application/jose"


TEXT = "text/plain"


def feed_routes(feeds: BatchFeeds) -> Blueprint:
    """Long batch lists: head, chunks, import."""
    routes = Blueprint("feeds", __name__)

    @routes.post("/v1/batch-feeds")
    @require("es")
    def open_feed() -> Answer:
        token = binary_body(JOSE, bytes_max=HEAD_BYTES_MAX)
        return asdict(feeds.open(token.decode("ascii", errors="replace"), caller=caller())), 201

    @routes.get("/v1/batch-feeds/<feed>")
    @require("es")
    def progress(feed: str) -> Answer:
        return asdict(feeds.progress(feed, caller=caller())), 200

    @routes.post("/v1/batch-feeds/<feed>/chunks/<number>")
    @require("es")
    def add_chunk(feed: str, number: str) -> Answer:
        lines = binary_body(TEXT, bytes_max=CHUNK_BYTES_MAX)
        return asdict(feeds.add_chunk(feed, whole_number(number, name="chunk"), lines, caller=caller())), 200

    @routes.post("/v1/batch-feeds/<feed>/import")
    @require("es")
    def import_feed(feed: str) -> Answer:
        return _batch(feeds.import_feed(feed, caller=caller())), 201

    return routes


def _batch(made: Batch) -> dict[str, Any]:
    return {"batch": made.batch, "supplier": made.supplier, "devices": made.devices}


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
        return _batch(made), 201

    @routes.post("/v1/devices/<device_id>/reopening")
    @require("es")
    def reopen(device_id: str) -> Answer:
        device = revocation.reopen(device_id, caller=caller())
        return {"device_id": device.device_id, "state": str(device.state)}, 200

    return routes
