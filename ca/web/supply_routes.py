"""Routes of the suppliers: manifests, batches, devices that may enrol once more."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import Blueprint

from ca.batch_feeds import BatchFeeds
from ca.batches import Batches
from ca.manifests import Manifests
from ca.records import Batch
from ca.revocation import Revocation
from ca.web.answer_models import AcceptedManifestAnswer, BatchAnswer, DeviceAnswer, FeedAnswer
from ca.web.answers import caller, whole_number
from edge.operations import Told, answers, takes_octets
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
    @takes_octets(JOSE, bytes_max=HEAD_BYTES_MAX)
    @answers(FeedAnswer, HTTPStatus.CREATED)
    def open_feed(token: bytes) -> Told:
        """Open a batch feed by its signed head."""
        return asdict(feeds.open(token.decode("ascii", errors="replace"), caller=caller()))

    @routes.get("/v1/batch-feeds/<feed>")
    @require("es")
    @answers(FeedAnswer)
    def progress(feed: str) -> Told:
        """Show how far a feed has come."""
        return asdict(feeds.progress(feed, caller=caller()))

    @routes.post("/v1/batch-feeds/<feed>/chunks/<number>")
    @require("es")
    @takes_octets(TEXT, bytes_max=CHUNK_BYTES_MAX)
    @answers(FeedAnswer)
    def add_chunk(lines: bytes, feed: str, number: str) -> Told:
        """Add a chunk of a feed, in any order; the same one again changes nothing."""
        return asdict(feeds.add_chunk(feed, whole_number(number, name="chunk"), lines, caller=caller()))

    @routes.post("/v1/batch-feeds/<feed>/import")
    @require("es")
    @answers(BatchAnswer, HTTPStatus.CREATED)
    def import_feed(feed: str) -> Told:
        """Import a complete feed: its devices may enrol from now on."""
        return _batch(feeds.import_feed(feed, caller=caller()))

    return routes


def _batch(made: Batch) -> dict[str, Any]:
    return {"batch": made.batch, "supplier": made.supplier, "devices": made.devices}


def supply_routes(manifests: Manifests, batches: Batches, revocation: Revocation) -> Blueprint:
    """A supplier acts for himself only: his tenant is the supplier that is meant."""
    routes = Blueprint("supply", __name__)

    @routes.post("/v1/manifests")
    @require("es")
    @takes_octets(RIM_COSE, bytes_max=MANIFEST_BYTES_MAX)
    @answers(AcceptedManifestAnswer, HTTPStatus.CREATED)
    def accept_manifest(signed: bytes) -> Told:
        """Record a signed reference manifest (CoRIM)."""
        made = manifests.accept(signed, caller=caller())
        return {
            "manifest": made.manifest_id,
            "digest": made.digest.hex(),
            "svn": made.svn,
            "models": sorted(made.models),
        }

    @routes.post("/v1/batches")
    @require("es")
    @takes_octets(JOSE, bytes_max=BATCH_BYTES_MAX)
    @answers(BatchAnswer, HTTPStatus.CREATED)
    def import_batch(token: bytes) -> Told:
        """Import a signed batch list: its devices may enrol from now on."""
        # what is not ASCII is no token; it becomes characters that the token's decoder refuses
        made = batches.import_batch(token.decode("ascii", errors="replace"), caller=caller())
        return _batch(made)

    @routes.post("/v1/devices/<device_id>/reopening")
    @require("es")
    @answers(DeviceAnswer)
    def reopen(device_id: str) -> Told:
        """Let a device enrol once more."""
        device = revocation.reopen(device_id, caller=caller())
        return {"device_id": device.device_id, "state": str(device.state)}

    return routes
