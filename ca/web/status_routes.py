"""Routes of status: revocation, holds, suspensions, renewal, lookup, and the feed that responders follow."""

from flask import Blueprint

from ca.accreditations import Accreditations
from ca.callers import Caller
from ca.errors import NotFoundError
from ca.holds import Holds
from ca.profiles import Kind
from ca.records import Issued, serial_text
from ca.renewal import RenewalRequest, Renewals
from ca.revocation import Revocation
from ca.suspensions import Scope, Suspensions
from ca.web import bodies
from ca.web.answers import Answer, caller, number_of, serial_of
from edge.bodies import binary_body, json_body
from edge.principals import current_key_sha256, require
from messages.trust_list import TRUST_LIST_BYTES_MAX

CHANGES_LIMIT = 500
JOSE = "application/jose"


def suspension_routes(suspensions: Suspensions, accreditations: Accreditations) -> Blueprint:
    """A supplier suspends what is his; only administrators lift it, two of them, and a newer list what time ended."""
    routes = Blueprint("suspensions", __name__)

    @routes.post("/v1/trust-lists")
    @require("admin", "overseer")
    def import_trust_list() -> Answer:
        # what is not ASCII is no token; it becomes characters that the token's decoder refuses
        token = binary_body(JOSE, bytes_max=TRUST_LIST_BYTES_MAX).decode("ascii", errors="replace")
        made = accreditations.import_list(token, caller=caller())
        return {"accreditations": [bodies.accreditation_body(each) for each in made]}, 201

    @routes.post("/v1/suspensions")
    @require("es", "admin")
    def suspend() -> Answer:
        body = json_body(bodies.NewSuspension)
        scope = Scope(supplier=body.supplier, model=body.model, batch=body.batch)
        return bodies.suspension_body(suspensions.suspend(scope, reason=body.reason, caller=caller())), 201

    @routes.get("/v1/suspensions")
    @require("es", "admin", "auditor")
    def list_suspensions() -> Answer:
        found = suspensions.listed(caller=caller())
        return {"suspensions": [bodies.suspension_body(each) for each in found]}, 200

    @routes.post("/v1/suspensions/<suspension_id>/lifting")
    @require("admin")
    def lift(suspension_id: str) -> Answer:
        made = suspensions.lift(suspension_id, caller=caller(), key_sha256=current_key_sha256())
        return bodies.suspension_body(made), 200

    return routes


def status_routes(
    revocation: Revocation, holds: Holds, renewals: Renewals, *, suspensions: Suspensions
) -> Blueprint:
    """A certificate is named by its issuer and its serial number, never by the serial number alone."""
    routes = Blueprint("status", __name__)

    @routes.post("/v1/platform-credentials/<serial>/revocation")
    @require("es", "admin")
    def revoke_platform_credential(serial: str) -> Answer:
        body = json_body(bodies.NewRevocation)
        found = _platform_credential(revocation, body.issuer, serial, who=caller())
        made = revocation.revoke(found.ca_id, found.serial, reason=body.reason, caller=caller())
        return bodies.issued_body(made), 200

    @routes.post("/v1/platform-credentials/<serial>/renewal")
    @require("pva")
    def renew_platform_credential(serial: str) -> Answer:
        body = json_body(bodies.NewRenewal)
        made = renewals.renew(
            RenewalRequest(
                ca_id=body.issuer,
                serial=serial_of(serial),
                manifest_digest=bytes.fromhex(body.manifest_digest),
                result_id=body.result_id,
            ),
            caller=caller(),
        )
        return bodies.issued_body(made), 200

    @routes.post("/v1/certificates/<serial>/revocation")
    @require("es", "admin")
    def revoke_certificate(serial: str) -> Answer:
        body = json_body(bodies.NewRevocation)
        made = revocation.revoke(body.issuer, serial_of(serial), reason=body.reason, caller=caller())
        return bodies.issued_body(made), 200

    @routes.get("/v1/platform-credentials/<ca_id>/<serial>")
    @require("es", "admin")
    def show_platform_credential(ca_id: str, serial: str) -> Answer:
        found = _platform_credential(revocation, ca_id, serial, who=caller())
        body = {
            **bodies.issued_body(found),
            "hold": bodies.hold_body(holds.hold_of(found)),
            "suspensions": [bodies.suspension_body(each) for each in suspensions.of(found)],
        }
        return body, 200

    @routes.get("/v1/status-changes")
    @require("ocsp")
    def status_changes() -> Answer:
        after = number_of("after", default=0)
        found, complete = revocation.changes(after=after, limit=number_of("limit", default=CHANGES_LIMIT))
        last = found[-1].seq if found else after
        previous = revocation.change_at(after)
        body = {
            "previous": None if previous is None else bodies.change_body(previous),
            "changes": [bodies.change_body(each) for each in found],
            "next": last,
            "complete": complete,
            # read after the changes: never older than the moment from which the reader is level with them
            "suspensions": bodies.in_force_body(*suspensions.in_force()),
        }
        return body, 200

    _add_holds(routes, holds)
    return routes


def _add_holds(routes: Blueprint, holds: Holds) -> None:
    @routes.post("/v1/platform-credentials/<serial>/hold")
    @require("pva")
    def hold_platform_credential(serial: str) -> Answer:
        body = json_body(bodies.NewHold)
        made = holds.hold(body.issuer, serial_of(serial), results=body.results, caller=caller())
        return bodies.issued_body(made), 200

    @routes.post("/v1/platform-credentials/<serial>/recovery")
    @require("pva")
    def note_recovery(serial: str) -> Answer:
        body = json_body(bodies.NewRecovery)
        made = holds.recover(body.issuer, serial_of(serial), result=body.result, caller=caller())
        return bodies.issued_body(made), 200

    @routes.post("/v1/platform-credentials/<serial>/release")
    @require("es")
    def release_platform_credential(serial: str) -> Answer:
        body = json_body(bodies.NewRelease)
        return bodies.issued_body(holds.release(body.issuer, serial_of(serial), caller=caller())), 200


def _platform_credential(revocation: Revocation, issuer: str, serial: str, *, who: Caller) -> Issued:
    found = revocation.find(issuer, serial_of(serial), caller=who)
    if found.kind is not Kind.PLATFORM_CREDENTIAL:
        raise NotFoundError(
            "no-such-certificate",
            subject=f"certificate {serial_text(found.serial)}",
            detail=f"it is no Platform Credential but a {found.kind}",
            remedy="use /v1/certificates/<serial>/revocation for other kinds",
        )
    return found
