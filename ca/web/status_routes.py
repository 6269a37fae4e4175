"""Routes of status: revocation, holds, suspensions, renewal, lookup, and the feed that responders follow."""

from http import HTTPStatus

from flask import Blueprint

from ca.accreditations import Accreditations
from ca.callers import Caller
from ca.errors import NotFoundError
from ca.hold_liftings import HoldLiftings
from ca.holds import Holds
from ca.profiles import Kind
from ca.records import Issued, serial_text
from ca.renewal import RenewalRequest, Renewals
from ca.revocation import Revocation
from ca.status_feed import StatusFeed
from ca.suspensions import Scope, Suspensions
from ca.web import bodies
from ca.web.answer_models import (
    AccreditationsAnswer,
    HoldLiftingAnswer,
    IssuedAnswer,
    PlatformCredentialAnswer,
    StatusChangesAnswer,
    SuspensionAnswer,
    SuspensionsAnswer,
)
from ca.web.answers import caller, serial_of
from edge.operations import Told, answers, takes, takes_octets, takes_query
from edge.pages import PageQuery, page_of
from edge.principals import require
from messages.trust_list import TRUST_LIST_BYTES_MAX

JOSE = "application/jose"


def suspension_routes(suspensions: Suspensions, accreditations: Accreditations) -> Blueprint:
    """A supplier suspends what is his; only administrators lift it, two of them, and a newer list what time ended."""
    routes = Blueprint("suspensions", __name__)

    @routes.post("/v1/trust-lists")
    @require("admin", "overseer")
    @takes_octets(JOSE, bytes_max=TRUST_LIST_BYTES_MAX)
    @answers(AccreditationsAnswer, HTTPStatus.CREATED)
    def import_trust_list(signed: bytes) -> Told:
        """Take an overseer's signed trust list: how long suppliers of this CA are accredited."""
        # what is not ASCII is no token; it becomes characters that the token's decoder refuses
        token = signed.decode("ascii", errors="replace")
        made = accreditations.import_list(token, caller=caller())
        return {"accreditations": [bodies.accreditation_body(each) for each in made]}

    @routes.post("/v1/suspensions")
    @require("es", "admin")
    @takes(bodies.NewSuspension)
    @answers(SuspensionAnswer, HTTPStatus.CREATED)
    def suspend(body: bodies.NewSuspension) -> Told:
        """Suspend a supplier, one of his models or one of his batches."""
        scope = Scope(supplier=body.supplier, model=body.model, batch=body.batch)
        return bodies.suspension_body(suspensions.suspend(scope, reason=body.reason, caller=caller()))

    @routes.get("/v1/suspensions")
    @require("es", "admin", "auditor")
    @takes_query(PageQuery)
    @answers(SuspensionsAnswer)
    def list_suspensions(query: PageQuery) -> Told:
        """The suspensions that the caller may see, oldest first, lifted ones too."""
        found = suspensions.listed(caller=caller())
        return page_of(
            "suspensions", found, query, key=lambda each: (each.seq,), shown=bodies.suspension_body
        )

    @routes.post("/v1/suspensions/<suspension_id>/lifting")
    @require("admin")
    @answers(SuspensionAnswer)
    def lift(suspension_id: str) -> Told:
        """Approve that a suspension is lifted; with the second approval it is."""
        return bodies.suspension_body(suspensions.lift(suspension_id, caller=caller()))

    return routes


def status_routes(
    revocation: Revocation, holds: Holds, renewals: Renewals, *, suspensions: Suspensions, feed: StatusFeed
) -> Blueprint:
    """A certificate is named by its issuer and its serial number, never by the serial number alone."""
    routes = Blueprint("status", __name__)

    @routes.get("/v1/platform-credentials/<ca_id>/<serial>")
    @require("es", "admin")
    @answers(PlatformCredentialAnswer)
    def show_platform_credential(ca_id: str, serial: str) -> Told:
        """Show a Platform Credential with its status and hold."""
        found = _platform_credential(revocation, ca_id, serial, who=caller())
        return {
            **bodies.issued_body(found),
            "hold": bodies.hold_body(holds.hold_of(found)),
            "suspensions": [bodies.suspension_body(each) for each in suspensions.of(found)],
        }

    @routes.get("/v1/status-changes")
    @require("ocsp")
    @takes_query(bodies.ChangesQuery)
    @answers(StatusChangesAnswer)
    def status_changes(query: bodies.ChangesQuery) -> Told:
        """The change feed: what happened to certificates behind a sequence number."""
        page = feed.page(after=query.after, limit=query.limit, wait=query.wait())
        return {
            "previous": None if page.previous is None else bodies.change_body(page.previous),
            "changes": [bodies.change_body(each) for each in page.changes],
            "next": page.changes[-1].seq if page.changes else query.after,
            "complete": page.is_complete,
            "suspensions": bodies.in_force_body(page.suspensions_version, page.in_force),
        }

    _add_changes(routes, revocation, renewals)
    _add_holds(routes, holds)
    return routes


def _add_changes(routes: Blueprint, revocation: Revocation, renewals: Renewals) -> None:
    @routes.post("/v1/platform-credentials/<serial>/revocation")
    @require("es", "admin")
    @takes(bodies.NewRevocation)
    @answers(IssuedAnswer)
    def revoke_platform_credential(body: bodies.NewRevocation, serial: str) -> Told:
        """Revoke a Platform Credential."""
        found = _platform_credential(revocation, body.issuer, serial, who=caller())
        made = revocation.revoke(found.ca_id, found.serial, reason=body.reason, caller=caller())
        return bodies.issued_body(made)

    @routes.post("/v1/platform-credentials/<serial>/renewal")
    @require("pva")
    @takes(bodies.NewRenewal)
    @answers(IssuedAnswer)
    def renew_platform_credential(body: bodies.NewRenewal, serial: str) -> Told:
        """Issue the next Platform Credential of a device that was validated under another manifest."""
        made = renewals.renew(
            RenewalRequest(
                ca_id=body.issuer,
                serial=serial_of(serial),
                manifest_digest=bytes.fromhex(body.manifest_digest),
                result_id=body.result_id,
            ),
            caller=caller(),
        )
        return bodies.issued_body(made)

    @routes.post("/v1/certificates/<serial>/revocation")
    @require("es", "admin")
    @takes(bodies.NewRevocation)
    @answers(IssuedAnswer)
    def revoke_certificate(body: bodies.NewRevocation, serial: str) -> Told:
        """Revoke a certificate of any kind."""
        made = revocation.revoke(body.issuer, serial_of(serial), reason=body.reason, caller=caller())
        return bodies.issued_body(made)


def _add_holds(routes: Blueprint, holds: Holds) -> None:
    @routes.post("/v1/platform-credentials/<serial>/hold")
    @require("pva")
    @takes(bodies.NewHold)
    @answers(IssuedAnswer)
    def hold_platform_credential(body: bodies.NewHold, serial: str) -> Told:
        """Put a Platform Credential on hold, for attestation results."""
        made = holds.hold(body.issuer, serial_of(serial), results=body.results, caller=caller())
        return bodies.issued_body(made)

    @routes.post("/v1/platform-credentials/<serial>/recovery")
    @require("pva")
    @takes(bodies.NewRecovery)
    @answers(IssuedAnswer)
    def note_recovery(body: bodies.NewRecovery, serial: str) -> Told:
        """Note the result that shows the device of a held credential good again; the hold stays."""
        made = holds.recover(body.issuer, serial_of(serial), result=body.result, caller=caller())
        return bodies.issued_body(made)

    @routes.post("/v1/platform-credentials/<serial>/release")
    @require("es")
    @takes(bodies.NewRelease)
    @answers(IssuedAnswer)
    def release_platform_credential(body: bodies.NewRelease, serial: str) -> Told:
        """Release a held credential whose recovery was noted."""
        return bodies.issued_body(holds.release(body.issuer, serial_of(serial), caller=caller()))


def lifting_routes(liftings: HoldLiftings) -> Blueprint:
    """Two administrators lift the hold that a person has set."""
    routes = Blueprint("hold-liftings", __name__)

    @routes.post("/v1/platform-credentials/<serial>/hold-lifting")
    @require("admin")
    @takes(bodies.NewHoldLifting)
    @answers(HoldLiftingAnswer)
    def lift_hold(body: bodies.NewHoldLifting, serial: str) -> Told:
        """Approve that a person's hold on a Platform Credential is lifted; with the second approval it is."""
        return bodies.lifting_body(liftings.lift(body.issuer, serial_of(serial), caller=caller()))

    return routes


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
