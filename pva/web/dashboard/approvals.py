"""What waits for a second administrator of this PVA, on one page: manifests, proposals about suppliers, administrators.

Rule: what waits elsewhere is decided there; an approval is of the digest that the page shows, by the key of the certificate
that the browser proved.
"""

from flask import Flask, render_template
from werkzeug.wrappers import Response as AnyResponse

from edge.administrator_pages import approve_proposed, withdraw_proposed
from edge.administrators import AdministratorDesk
from edge.dual_control import ADMINISTRATORS, APPROVAL_LIFE
from edge.principals import current_principal, require
from edge.process import Clock
from pva.appraisal.manifest_records import Standing
from pva.manifests.proposals import Proposal, ProposalDesk, ProposalKind
from pva.manifests.recognised import read_recognition
from pva.manifests.recognition import RecognitionDesk
from pva.web.administrators import current_administrator
from pva.web.dashboard.desks import DashboardDesks
from pva.web.dashboard.manifests import progress
from pva.web.dashboard.page import back_to
from pva.web.path_digests import proposal_digest
from standards.pki.fingerprints import certificate_sha256


def add_approvals(app: Flask, desks: DashboardDesks, *, clock: Clock) -> None:
    """Add the page and its forms."""
    _add_page(app, desks.recognition, desks.proposals, administrators=desks.administrators, clock=clock)

    @app.post("/proposals/<digest>/approvals")
    @require("admin")
    def approve_proposal(digest: str) -> AnyResponse:
        desks.proposals.approve(proposal_digest(digest), by=current_administrator(), at=clock())
        return back_to("/approvals", said="proposal-approved")

    @app.post("/proposals/<digest>/withdrawal")
    @require("admin")
    def withdraw_proposal(digest: str) -> AnyResponse:
        desks.proposals.withdraw(proposal_digest(digest), by=current_administrator(), at=clock())
        return back_to("/approvals", said="proposal-withdrawn")

    @app.post("/administrators/<administrator_digest>/withdrawal")
    @require("admin")
    def withdraw_administrator(administrator_digest: str) -> AnyResponse:
        withdraw_proposed(desks.administrators, administrator_digest, at=clock())
        return back_to("/approvals", said="proposal-withdrawn")

    @app.post("/administrators/<administrator_digest>/approvals")
    @require("admin")
    def approve_administrator(administrator_digest: str) -> AnyResponse:
        approve_proposed(desks.administrators, administrator_digest, at=clock())
        return back_to("/approvals", said="administrator-approved")


def _add_page(
    app: Flask,
    recognition: RecognitionDesk,
    desk: ProposalDesk,
    *,
    administrators: AdministratorDesk,
    clock: Clock,
) -> None:
    @app.get("/approvals")
    @require("admin")
    def list_approvals() -> str:
        at, needed = clock(), desk.needed
        manifests = [
            each for each in recognition.manifests(only_of=None) if each.standing is Standing.WAITING
        ]
        proposals = [each for each in desk.proposals() if each.done_at is None]
        people = administrators.standings(only_of=current_principal().tenant, at=at)
        return render_template(
            "approvals.html",
            manifests=[(each, progress(each, needed=needed, at=at)) for each in manifests],
            proposals=[(each, progress(each, needed=needed, at=at)) for each in proposals],
            people=[
                (each, progress(each, needed=ADMINISTRATORS, at=at))
                for each in people
                if each.state == "waiting"
            ],
            facts=_facts,
            needed=needed,
            hours=int(APPROVAL_LIFE.total_seconds() // 3600),
        )


def _facts(proposal: Proposal) -> list[tuple[str, str]]:
    """What is to be compared before a root is recognised; a signed list is read by `pva trust-list diff`."""
    if proposal.kind is not ProposalKind.RECOGNITION:
        return []
    supplier = read_recognition(proposal.content)
    models = ", ".join(sorted(supplier.models))
    return [("Root (SHA-256)", certificate_sha256(supplier.root)), ("Models", models)]
