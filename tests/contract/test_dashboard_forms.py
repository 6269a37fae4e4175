"""The forms of the dashboard: what they change, and that nothing changes without them."""

import re
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from werkzeug.test import Client, TestResponse

from edge.administrators import Administrator as NewAdministrator
from edge.administrators import Removal
from edge.browser_requests import OTHER_ORIGIN
from edge.dual_control import Approval
from pva.appraisal.manifest_records import Standing
from pva.manifests.approvals import Administrator
from pva.manifests.proposals import ProposalKind
from pva.manifests.recognition import RecognitionWish
from pva.policies.desk import PolicyState
from pva.refusals import RefusalCode
from pva.updates.rollouts import RolloutState
from pva.web.dashboard.forms import COOKIE, NOT_OURS
from standards.pki.fingerprints import certificate_sha256
from tests.contract.dashboard_service import HERE, HOST, DashboardService
from tests.contract.test_dashboard import fresh, reason_of, service
from tests.fakes.credentials import FakeSupplier
from tests.fakes.watched_fleet import NOW_OF_PAGES, POLICY

__all__ = ["fresh", "service"]
FORM = re.compile(
    r'<form method="post" action="(?P<path>[^"]+)".*?name="form_token" value="(?P<token>[0-9a-f]+)"',
    re.DOTALL,
)


def forms_of(service: DashboardService, name: str, path: str, browser: Client) -> dict[str, str]:
    """Action -> token of the forms that change something on a page."""
    page = service.call(name, "GET", path, browser=browser).get_data(as_text=True)
    return {found["path"]: found["token"] for found in FORM.finditer(page)}


def send(
    service: DashboardService,
    name: str,
    *,
    on: str,
    action: str,
    headers: dict[str, str] = HERE,
    **fields: Any,
) -> TestResponse:
    """Open a page, and send one of its forms as a browser does."""
    browser = service.browser()
    token = forms_of(service, name, on, browser)[action]
    return service.call(
        name, "POST", action, browser=browser, headers=headers, data={"form_token": token, **fields}
    )


@pytest.mark.negative
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_form_with_its_token_is_taken_from_this_origin_alone(
    service: DashboardService, headers: dict[str, str]
) -> None:
    digest = service.fleet.third.hex()
    action = f"/manifests/{digest}/approvals"
    answer = send(service, "second", on="/approvals", action=action, headers=headers)
    assert (answer.status_code, reason_of(answer)) == (403, OTHER_ORIGIN)
    assert (
        service.fleet.world.recognition.manifest(service.fleet.third, only_of=None).standing
        is Standing.WAITING
    )


@pytest.mark.negative
def test_a_token_is_for_one_browser_one_key_and_one_form(service: DashboardService) -> None:
    digest, browser = service.fleet.third.hex(), service.browser()
    action, retirement = f"/manifests/{digest}/approvals", f"/manifests/{digest}/retirement"
    forms = forms_of(service, "second", f"/manifests/{digest}", browser)
    token = forms[action]
    cookie = browser.get_cookie(COOKIE, domain=HOST)
    assert cookie is not None
    assert (cookie.secure, cookie.http_only, cookie.same_site, cookie.path) == (True, True, "Strict", "/")
    unseen = service.browser()
    for name, sender, path, sent in (
        ("second", unseen, action, token),
        ("first", browser, action, token),
        ("second", browser, retirement, token),
        ("second", browser, action, token[:-1]),
        ("second", browser, action, "\u00fc"),
        ("second", browser, action, ""),
    ):
        answer = service.call(
            name, "POST", path, browser=sender, headers=HERE, data={"form_token": sent, "reason": "a flaw"}
        )
        assert (answer.status_code, reason_of(answer)) == (403, NOT_OURS)
    assert (
        service.fleet.world.recognition.manifest(service.fleet.third, only_of=None).standing
        is Standing.WAITING
    )
    old = service.call(
        "second",
        "POST",
        action,
        browser=browser,
        headers={"Origin": f"https://{HOST}"},
        data={"form_token": ""},
    )
    assert reason_of(old) == NOT_OURS  # an origin without a token is not enough either


def test_two_administrators_approve_and_one_is_not_two(fresh: DashboardService) -> None:
    digest = fresh.fleet.third.hex()
    path, action = f"/manifests/{digest}", f"/manifests/{digest}/approvals"
    page = fresh.page("first", path)
    assert "You, or the key of your certificate, have approved it" in page
    assert action not in page
    browser = fresh.browser()
    token = forms_of(fresh, "second", "/approvals", browser)[action]
    again = fresh.call("first", "POST", action, headers=HERE, data={"form_token": token})
    assert reason_of(again) == NOT_OURS
    done = fresh.call("second", "POST", action, browser=browser, headers=HERE, data={"form_token": token})
    assert (done.status_code, done.location) == (303, f"{path}?said=manifest-approved")
    manifest = fresh.fleet.world.recognition.manifest(fresh.fleet.third, only_of=None)
    assert manifest.standing is Standing.APPROVED
    assert [each.approver for each in manifest.approvals] == ["first", "second"]
    assert "Your approval is on record." in fresh.page("second", str(done.location))
    assert "Nothing waits." in fresh.page("second", "/approvals")
    retirement = f"{path}/retirement"
    empty = send(fresh, "second", on=path, action=retirement, reason=" ")
    assert (empty.status_code, reason_of(empty)) == (422, "schema")
    assert send(fresh, "second", on=path, action=retirement, reason="a flaw").status_code == 303
    assert "a flaw" in fresh.page("acme", path)


def test_what_the_use_case_refuses_is_refused_on_a_page(fresh: DashboardService) -> None:
    digest = fresh.fleet.third.hex()
    action, browser = f"/manifests/{digest}/approvals", fresh.browser()
    token = forms_of(fresh, "second", f"/manifests/{digest}", browser)[action]
    sent: dict[str, Any] = {"browser": browser, "headers": HERE, "data": {"form_token": token}}
    fresh.fleet.world.manifest_desk.retire(
        fresh.fleet.third, reason="withdrawn meanwhile", by="first", at=fresh.fleet.policy.added_at
    )
    answer = fresh.call("second", "POST", action, **sent)
    assert reason_of(answer) == RefusalCode.MANIFEST_RETIRED.value
    assert "What to do" in answer.get_data(as_text=True)


@pytest.mark.requirement("R82")
def test_an_update_is_widened_paused_and_resumed_by_its_supplier(fresh: DashboardService) -> None:
    digest = fresh.fleet.second.hex()
    share, pause, resume = (f"/updates/{digest}/{what}" for what in ("share", "pause", "resume"))

    def rollout() -> tuple[int, RolloutState]:
        (one,) = fresh.fleet.rollouts.rollouts(only_of="Acme")
        return one.share_percent, one.state

    assert (
        send(fresh, "acme", on="/updates", action=share, share_percent="25").location
        == "/updates?said=update-changed"
    )
    assert rollout() == (25, RolloutState.RUNNING)
    fewer = send(fresh, "acme", on="/updates", action=share, share_percent="5")
    assert reason_of(fewer) == RefusalCode.ROLLOUT_CONFLICT.value
    for odd in ("", "x", "101", "-1", "1.5"):
        assert send(fresh, "acme", on="/updates", action=share, share_percent=odd).status_code == 422
    send(fresh, "acme", on="/updates", action=pause)
    assert rollout() == (25, RolloutState.PAUSED)
    send(fresh, "second", on="/updates", action=resume)
    assert rollout() == (25, RolloutState.RUNNING)
    browser = fresh.browser()
    assert forms_of(fresh, "sho-1", "/updates", browser) == {}
    assert forms_of(fresh, "other supplier", "/updates", browser) == {}


@pytest.mark.requirement("R82")
def test_an_approved_successor_can_be_announced(fresh: DashboardService) -> None:
    digest = fresh.fleet.third.hex()
    action = f"/updates/{digest}"
    assert action not in forms_of(fresh, "acme", "/updates", fresh.browser())
    send(fresh, "second", on="/approvals", action=f"/manifests/{digest}/approvals")
    assert send(fresh, "acme", on="/updates", action=action, share_percent="5").status_code == 303
    assert {each.share_percent for each in fresh.fleet.rollouts.rollouts(only_of=None)} == {10, 5}


def test_a_policy_is_read_retired_and_put_in_force_by_its_owner(fresh: DashboardService) -> None:
    path = f"/policies/{fresh.fleet.policy.digest.hex()}"
    assert "devices with hw 1 need security version 3 or later" in fresh.page("auditor", path)
    assert forms_of(fresh, "auditor", path, fresh.browser()) == {}
    desk = fresh.fleet.world.policy_desk

    def state() -> PolicyState:
        return desk.show(fresh.fleet.policy.digest, owner=None).state

    assert send(fresh, "sho-1", on=path, action=f"{path}/retire").status_code == 303
    assert state() is PolicyState.RETIRED
    assert send(fresh, "sho-1", on=path, action=f"{path}/activate").status_code == 303
    assert state() is PolicyState.ACTIVE
    assert POLICY.strip().splitlines()[0].replace('"', "&#34;") in fresh.page("sho-1", path)


@pytest.mark.requirement("R29")
def test_two_approve_what_is_proposed_of_a_supplier(fresh: DashboardService) -> None:
    newer = FakeSupplier.make("Newer")
    known, recognition = newer.recognised(), fresh.fleet.world.recognition
    wish = RecognitionWish(
        name=known.name,
        root_pem=known.root.public_bytes(Encoding.PEM),
        models=known.models,
        ocsp_url=known.ocsp_url,
    )
    ada = Administrator(name="ada", key_sha256="a" * 64, issued_at_request_of=())
    waiting = recognition.recognise(wish, by=ada, at=NOW_OF_PAGES)
    page = fresh.page("second", "/approvals")
    assert "Newer" in page
    assert certificate_sha256(known.root) in page
    action = f"/proposals/{waiting.digest.hex()}/approvals"
    assert send(fresh, "second", on="/approvals", action=action).status_code == 303
    assert "Newer" in {each.name for each in recognition.suppliers()}
    assert "Newer" not in fresh.page("second", "/approvals")


@pytest.mark.requirement("R29")
def test_two_add_an_administrator_and_one_does_not(fresh: DashboardService) -> None:
    issuer = min(fresh.desks.administrators.file.issuer_digests())
    carol = NewAdministrator(issuer_sha256=issuer, spki_sha256="3" * 64, tenant="", name="carol")
    keys = {row.name: key for key, row in fresh.desks.administrators.file.listed().items()}
    first = Approval(
        approver="first",
        key_sha256=keys["first"][1],
        approved_at=NOW_OF_PAGES,
        issued_at_request_of=(),
    )
    fresh.desks.administrators.propose(carol, first)
    action = f"/administrators/{carol.digest}/approvals"
    own = fresh.page("first", "/approvals")
    assert carol.spki_sha256 in own
    assert action not in own
    browser = fresh.browser()
    token = forms_of(fresh, "second", "/approvals", browser)[action]
    data = {"form_token": token}
    assert reason_of(fresh.call("first", "POST", action, headers=HERE, data=data)) == NOT_OURS
    done = fresh.call("second", "POST", action, browser=browser, headers=HERE, data=data)
    assert (done.status_code, done.headers["Location"]) == (303, "/approvals?said=administrator-approved")
    people = fresh.desks.administrators.standings(only_of="", at=NOW_OF_PAGES)
    assert {each.administrator.name: each.added_by for each in people}["carol"] == "first, second"
    assert action not in fresh.page("second", "/approvals")


@pytest.mark.requirement("R29")
def test_one_takes_back_what_waits(fresh: DashboardService) -> None:
    desk, administrators = fresh.fleet.world.proposal_desk, fresh.desks.administrators
    ada = Administrator(name="ada", key_sha256="a" * 64, issued_at_request_of=())
    lifting = desk.propose(
        ProposalKind.LIFTING, subject="a suspension", content="s-1", by=ada, at=NOW_OF_PAGES
    )
    issuer = min(administrators.file.issuer_digests())
    carol = NewAdministrator(issuer_sha256=issuer, spki_sha256="3" * 64, tenant="", name="carol")
    administrators.propose(carol, ada.approval(NOW_OF_PAGES))
    for action in (
        f"/proposals/{lifting.digest.hex()}/withdrawal",
        f"/administrators/{carol.digest}/withdrawal",
    ):
        taken = send(fresh, "second", on="/approvals", action=action)
        assert (taken.status_code, taken.location) == (303, "/approvals?said=proposal-withdrawn")
        assert "It is taken back" in fresh.page("second", str(taken.location))
        assert action not in fresh.page("second", "/approvals")
    assert lifting not in desk.proposals()
    people = administrators.standings(only_of="", at=NOW_OF_PAGES)
    assert "carol" not in {each.administrator.name for each in people}


@pytest.mark.negative
@pytest.mark.requirement("R29")
def test_what_a_removed_administrator_approved_counts_no_more(fresh: DashboardService) -> None:
    """`first` approved a manifest, whose approvals are by a key of another world: that key is removed."""
    desk = fresh.desks.administrators
    issuer = min(desk.file.issuer_digests())
    of_first = NewAdministrator(issuer_sha256=issuer, spki_sha256="f" * 64, tenant="", name="older first")
    for name, digit in (("ada", "a"), ("bob", "b")):
        made = desk.propose(
            of_first,
            Approval(approver=name, key_sha256=digit * 64, approved_at=NOW_OF_PAGES, issued_at_request_of=()),
        )
    assert made.state == "in-force"
    desk.remove("f" * 64, Removal(by="second", at=NOW_OF_PAGES, reason="key taken"), tenant="")
    digest = fresh.fleet.third
    send(fresh, "second", on="/approvals", action=f"/manifests/{digest.hex()}/approvals")
    held = fresh.fleet.world.recognition.manifest(digest, only_of=None)
    assert (held.standing, [each.approver for each in held.approvals]) == (Standing.WAITING, ["second"])
