"""Suppliers on the operator listener: recognition, trust lists, suspensions, and what administrators agree on.

Rule: what makes this PVA trust more takes the administrators that the settings ask for, each with a key of his own; what
makes it trust less takes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response

from edge.idempotency import repeatable
from edge.operations import Told, answers, answers_nothing, answers_octets, takes, takes_octets, takes_query
from edge.pages import PageQuery, moment_of, octets_of, page_of, starts_behind
from edge.principals import current_principal, require
from edge.process import Clock
from messages.trust_list import (
    TRUST_LIST_BYTES_MAX,
    Accreditation,
    ListedCrl,
    accreditation_claims,
    supplier_claims,
)
from pva.manifests.proposals import Proposal, ProposalDesk, ProposalPlace
from pva.manifests.recognised import RecognisedSupplier, listed
from pva.manifests.recognition import RecognitionDesk, RecognitionWish
from pva.manifests.supplier_crls import CrlBook, CrlState, HeldCrl
from pva.manifests.suspensions import SupplierSuspension, SuspensionDesk
from pva.manifests.trust_lists import ImportedTrustList, TrustListDesk
from pva.refusals import RefusalCode, RefusalError
from pva.web.administrators import current_administrator
from pva.web.bodies import SupplierBody, SuspensionBody
from pva.web.path_digests import proposal_digest
from pva.web.supplier_answers import (
    ProposalAnswer,
    ProposalsAnswer,
    SuppliersAnswer,
    SupplierSuspensionAnswer,
    SupplierSuspensionsAnswer,
    TrustListAnswer,
    TrustListsAnswer,
)
from standards.pki.fingerprints import certificate_sha256

JOSE: Final = "application/jose"


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplierDesks:
    """The use cases around suppliers."""

    recognition: RecognitionDesk
    suspensions: SuspensionDesk
    trust_lists: TrustListDesk
    proposals: ProposalDesk
    crls: CrlBook


def add_supply(app: Flask, desks: SupplierDesks, clock: Clock) -> None:
    """Add the routes of all of them."""
    add_suppliers(app, desks.recognition, clock, crls=desks.crls)
    add_suspensions(app, desks.suspensions, clock)
    add_trust_lists(app, desks.trust_lists, clock)
    add_proposals(app, desks.proposals, clock)


def add_suppliers(app: Flask, recognition: RecognitionDesk, clock: Clock, *, crls: CrlBook) -> None:
    """Add the routes of recognition; `crls` tells how the lists of suppliers without a responder stand."""

    @app.post("/v1/suppliers")
    @require("admin")
    @repeatable
    @takes(SupplierBody)
    @answers(ProposalAnswer, HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
    def recognise_supplier(body: SupplierBody) -> Told:
        """Propose that a supplier's root be recognised, or approve the same proposal."""
        wish = RecognitionWish(
            name=body.supplier,
            root_pem=body.root.encode(),
            models=body.models,
            ocsp_url=body.ocsp_url or "",
            crls=tuple((each.issuing_ca.encode(), each.url) for each in body.crls),
            tre_level_min=body.tre_level_min,
        )
        return _agreed(recognition.recognise(wish, by=current_administrator(), at=clock()))

    @app.get("/v1/suppliers")
    @require("admin", "auditor", "es", "sho", "dpf")
    @takes_query(PageQuery)
    @answers(SuppliersAnswer)
    def list_suppliers(query: PageQuery) -> Told:
        """List the recognised suppliers by name, with their accreditation and what of them is suspended."""
        at, held = clock(), {each.issuer_sha256: each for each in crls.held()}

        def shown(supplier: RecognisedSupplier) -> dict[str, Any]:
            return {**_supplier(supplier), "crls": [_crl(each, held, at=at) for each in supplier.crls]}

        return page_of(
            "suppliers", recognition.suppliers(), query, key=lambda each: (each.name,), shown=shown
        )


def add_suspensions(app: Flask, desk: SuspensionDesk, clock: Clock) -> None:
    """Add the routes of suspensions."""

    @app.post("/v1/suspensions")
    @require("admin")
    @repeatable
    @takes(SuspensionBody)
    @answers(SupplierSuspensionAnswer, HTTPStatus.CREATED)
    def suspend_supplier(body: SuspensionBody) -> Told:
        """Suspend a supplier, or one of its models: the next validation refuses it."""
        by = current_principal().name
        return _suspension(
            desk.suspend(body.supplier, model=body.model, reason=body.reason, by=by, at=clock())
        )

    @app.get("/v1/suspensions")
    @require("admin", "auditor", "es", "sho", "dpf")
    @takes_query(PageQuery)
    @answers(SupplierSuspensionsAnswer)
    def list_suspensions(query: PageQuery) -> Told:
        """List suspensions at this PVA, oldest first, with those that were lifted."""
        return page_of(
            "suspensions",
            desk.suspensions(),
            query,
            key=lambda each: (each.suspended_at, each.id),
            shown=_suspension,
        )

    @app.post("/v1/suspensions/<suspension_id>/lifting")
    @require("admin")
    @answers(ProposalAnswer, HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
    def lift_suspension(suspension_id: str) -> Told:
        """Propose or approve that a suspension be lifted."""
        return _agreed(desk.lift(suspension_id, by=current_administrator(), at=clock()))


def add_trust_lists(app: Flask, desk: TrustListDesk, clock: Clock) -> None:
    """Add the routes of trust lists."""

    @app.post("/v1/trust-lists")
    @require("admin", "overseer", "sho", "dpf")
    @takes_octets(JOSE, bytes_max=TRUST_LIST_BYTES_MAX)
    @answers(TrustListAnswer, HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
    def import_trust_list(signed: bytes) -> Told:
        """Import a signed trust list, or propose it where administrators must agree."""
        caller = current_principal()
        only_of = None if caller.role == "admin" else (caller.role, caller.tenant)
        imported, proposal = desk.import_list(
            _token(signed), only_of=only_of, by=current_administrator(), at=clock()
        )
        told = {**_trust_list(imported), "proposal": None if proposal is None else _proposal(proposal)}
        waits = proposal is not None and proposal.done_at is None
        return told, HTTPStatus.ACCEPTED if waits else HTTPStatus.CREATED

    @app.post("/v1/trust-list-checks")
    @require("admin", "overseer", "sho", "dpf")
    @takes_octets(JOSE, bytes_max=TRUST_LIST_BYTES_MAX)
    @answers(TrustListAnswer)
    def check_trust_list(signed: bytes) -> Told:
        """Say what an import would do, and change nothing."""
        return _trust_list(desk.check(_token(signed), by=current_principal().name, at=clock()))

    @app.get("/v1/trust-lists")
    @require("admin", "auditor", "overseer", "es", "sho", "dpf")
    @takes_query(PageQuery)
    @answers(TrustListsAnswer)
    def list_trust_lists(query: PageQuery) -> Told:
        """List the newest trust list of each issuer, by issuer."""
        return page_of(
            "trust_lists", desk.lists(), query, key=lambda each: (each.content.issuer,), shown=_trust_list
        )

    @app.get("/v1/trust-lists/<issuer>")
    @require("admin", "auditor", "overseer", "es", "sho", "dpf")
    @answers_octets(JOSE)
    def show_trust_list(issuer: str) -> Response:
        """Fetch the newest trust list of an issuer as it was signed."""
        for each in desk.lists():
            if each.content.issuer == issuer:
                return Response(each.token, content_type=JOSE)
        raise RefusalError(
            RefusalCode.NOT_FOUND, subject=f"trust list of {issuer[:128]!r}", reason="none is on record"
        )


def add_proposals(app: Flask, desk: ProposalDesk, clock: Clock) -> None:
    """Add the routes of what administrators agree on."""

    @app.get("/v1/proposals")
    @require("admin", "auditor")
    @takes_query(PageQuery)
    @answers(ProposalsAnswer)
    def list_proposals(query: PageQuery) -> Told:
        """List what administrators agreed on, or are to agree on, newest first."""
        behind = starts_behind("proposals", query)
        found = desk.proposals(
            after=None if behind is None else _proposal_place(behind), count_max=query.limit + 1
        )
        return page_of(
            "proposals",
            found,
            query,
            key=lambda each: (each.proposed_at, each.digest),
            shown=_proposal,
            newest_first=True,
        )

    @app.post("/v1/proposals/<digest>/approvals")
    @require("admin")
    @answers(ProposalAnswer, HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
    def approve_proposal(digest: str) -> Told:
        """Approve what another administrator proposed; the last approval that is needed carries it out."""
        return _agreed(desk.approve(proposal_digest(digest), by=current_administrator(), at=clock()))

    @app.post("/v1/proposals/<digest>/withdrawal")
    @require("admin")
    @answers_nothing
    def withdraw_proposal(digest: str) -> None:
        """Take back a proposal that waits."""
        desk.withdraw(proposal_digest(digest), by=current_administrator(), at=clock())


def _proposal_place(behind: tuple[str | int, ...]) -> ProposalPlace:
    return moment_of("proposals", behind[0]), octets_of("proposals", behind[-1])


def _agreed(proposal: Proposal) -> Told:
    done = proposal.done_at is not None
    return _proposal(proposal), HTTPStatus.CREATED if done else HTTPStatus.ACCEPTED


def _token(signed: bytes) -> str:
    # what is not ASCII is no token; it becomes characters that the token's decoder refuses
    return signed.decode("ascii", errors="replace")


def _supplier(supplier: RecognisedSupplier) -> dict[str, Any]:
    held = supplier.accreditation
    return {
        "supplier": supplier.name,
        "root_sha256": certificate_sha256(supplier.root),
        "models": dict(supplier.models),
        "ocsp_url": supplier.ocsp_url,
        "tre_level_min": supplier.tre_level_min,
        "accreditation": None if held is None else _accreditation(held),
        "source": supplier.source,
        "listed_until": _moment(supplier.listed_until),
        "recognised_by": supplier.recognised_by,
        "recognised_at": _moment(supplier.recognised_at),
        "suspensions": [
            {"model": each.model, "since": _moment(each.since), "reason": each.reason}
            for each in supplier.suspensions
        ],
        "listed": supplier_claims(listed(supplier)),
    }


def _crl(listed_crl: ListedCrl, held: Mapping[bytes, HeldCrl], *, at: datetime) -> dict[str, Any]:
    """How a list stands that the status of credentials is read in."""
    found = held.get(bytes.fromhex(certificate_sha256(listed_crl.issuer)))
    return {
        "url": listed_crl.url,
        "issuer": listed_crl.issuer.subject.rfc4514_string(),
        "state": (CrlState.MISSING if found is None else found.state(at)).value,
        "number": None if found is None or found.number is None else str(found.number),
        "next_update": None if found is None else _moment(found.next_update),
        "fault": None if found is None else found.fault,
    }


def _accreditation(held: Accreditation) -> dict[str, Any]:
    robustness = accreditation_claims(held).get("robustness")
    return {
        "scheme": held.scheme,
        "certificate": held.certificate,
        "valid_from": _moment(held.valid_from),
        "valid_to": _moment(held.valid_to),
        "robustness": robustness,
    }


def _suspension(found: SupplierSuspension) -> dict[str, Any]:
    return {
        "id": found.id,
        "supplier": found.supplier,
        "model": found.model,
        "batch": None,
        "reason": found.reason,
        "suspended_by": found.suspended_by,
        "suspended_at": _moment(found.suspended_at),
        "approvals": [],
        "lifted_at": _moment(found.lifted_at),
    }


def _trust_list(imported: ImportedTrustList) -> dict[str, Any]:
    content = imported.content
    return {
        "issuer": content.issuer,
        "role": imported.role,
        "sequence": content.sequence,
        "issued_at": _moment(content.issued_at),
        "expires_at": _moment(content.expires_at),
        "suppliers": [each.name for each in content.suppliers],
        "digest": imported.digest.hex(),
        "imported_by": imported.imported_by,
        "imported_at": _moment(imported.imported_at),
    }


def _proposal(proposal: Proposal) -> dict[str, Any]:
    return {
        "digest": proposal.digest.hex(),
        "kind": proposal.kind.value,
        "subject": proposal.subject,
        "proposed_at": _moment(proposal.proposed_at),
        "approvals": [{"by": each.approver, "at": _moment(each.approved_at)} for each in proposal.approvals],
        "done_at": _moment(proposal.done_at),
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
