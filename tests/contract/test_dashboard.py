"""The dashboard: who sees which page and what in it, what forms change, and what the pages say of themselves."""

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from edge.database import transaction
from edge.principals import NOT_REGISTERED, routes_of
from pva.refusals import RefusalCode
from pva.store import tables
from pva.web.dashboard.forms import NOT_OURS
from tests.contract.dashboard_service import HERE, PEOPLE, DashboardService
from tests.fakes.watched_fleet import HOSTILE_NAME

HUMANS = tuple(name for name, (role, _) in PEOPLE.items() if role != "ocsp")
ALL = ("admin", "auditor", "dpf", "es", "sho")
FLEET = ("auditor", "dpf", "es", "sho")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardService]:
    made = DashboardService(tmp_path_factory.mktemp("dashboard"))
    yield made
    made.fleet.engine.dispose()


@pytest.fixture
def fresh(service: DashboardService, tmp_path: Path) -> Iterator[DashboardService]:
    """The dashboard over a store that is put back afterwards, for tests that change something."""
    engine, kept = service.fleet.engine, tmp_path / "kept.db"
    assert engine.url.database is not None
    engine.dispose()  # the last connection takes the write-ahead log with it
    shutil.copy(engine.url.database, kept)
    yield service
    engine.dispose()
    shutil.copy(kept, engine.url.database)


def device(service: DashboardService, name: str) -> str:
    return service.fleet.devices[name].device_id


def reason_of(answer: TestResponse) -> str:
    """The reason on a page that refuses."""
    page = answer.get_data(as_text=True)
    assert answer.content_type.startswith("text/html")
    found = re.search(r"<dt>Reason</dt><dd><code>([^<]+)</code>", page)
    assert found, page
    return found[1]


def kinds(service: DashboardService) -> list[str]:
    with transaction(service.fleet.engine, write=False) as connection:
        return [each.kind for each in tables.ledger.entries(connection)]


@pytest.mark.requirement("R102")
def test_every_page_declares_whom_it_serves(service: DashboardService) -> None:
    served = {(method, rule): tuple(sorted(roles)) for method, rule, roles in routes_of(service.app)}
    assert served == {
        ("GET", "/"): ALL,
        ("GET", "/assets/<path:name>"): ALL,
        ("GET", "/devices"): FLEET,
        ("GET", "/devices/<device_id>"): FLEET,
        ("GET", "/validations/<some_id>"): ("auditor", "dpf", "sho"),
        ("GET", "/approvals"): ("admin",),
        ("GET", "/manifests"): ALL,
        ("GET", "/manifests/<digest>"): ALL,
        ("POST", "/manifests/<digest>/approvals"): ("admin",),
        ("POST", "/manifests/<digest>/retirement"): ("admin",),
        ("POST", "/proposals/<digest>/approvals"): ("admin",),
        ("POST", "/proposals/<digest>/withdrawal"): ("admin",),
        ("POST", "/administrators/<administrator_digest>/approvals"): ("admin",),
        ("POST", "/administrators/<administrator_digest>/withdrawal"): ("admin",),
        ("GET", "/updates"): ALL,
        ("POST", "/updates/<digest>"): ("admin", "es"),
        ("POST", "/updates/<digest>/pause"): ("admin", "es"),
        ("POST", "/updates/<digest>/resume"): ("admin", "es"),
        ("POST", "/updates/<digest>/share"): ("admin", "es"),
        ("GET", "/suppliers"): ALL,
        ("GET", "/policies"): ("auditor", "es", "sho"),
        ("GET", "/policies/<digest>"): ("auditor", "es", "sho"),
        ("POST", "/policies/<digest>/activate"): ("es", "sho"),
        ("POST", "/policies/<digest>/retire"): ("es", "sho"),
        ("GET", "/log"): ALL,
        ("GET", "/log/records"): ("admin", "auditor"),
        ("GET", "/log/records/<leaf_hash>"): ("admin", "auditor"),
    }


@pytest.mark.requirement("R102")
@pytest.mark.negative
def test_a_page_is_refused_to_whoever_has_no_business_there(service: DashboardService) -> None:
    paths = {rule: re.sub("<[^>]+>", "00" * 32, rule) for _, rule, _ in routes_of(service.app)}
    for method, rule, roles in routes_of(service.app):
        for name, (role, _) in PEOPLE.items():
            answer = service.call(name, method, paths[rule], headers=HERE)
            if role in roles:
                assert answer.status_code in {200, 303, 403, 404}, (method, rule, name)
                if answer.status_code == 403:  # the form, not the role
                    assert (method, reason_of(answer)) == ("POST", NOT_OURS)
            else:
                assert (answer.status_code, reason_of(answer)) == (403, "role"), (method, rule, name)
        stranger = service.call("stranger", method, paths[rule], headers=HERE)
        assert (stranger.status_code, reason_of(stranger)) == (403, "not-registered")
    assert NOT_REGISTERED in service.anonymous.totals()
    assert "request-refused" in kinds(service)


@pytest.mark.requirement("R102")
@pytest.mark.negative
def test_a_relying_party_sees_what_it_asked_for_itself(service: DashboardService) -> None:
    fleet = service.fleet
    of_first, of_second = device(service, "kernel"), device(service, "other")
    for name, own, others in (("sho-1", of_first, of_second), ("sho-2", of_second, of_first)):
        listed = service.page(name, "/devices")
        assert own in listed
        assert others not in listed
        assert service.call(name, "GET", f"/devices/{own}").status_code == 200
        hidden = service.call(name, "GET", f"/devices/{others}")
        assert (hidden.status_code, reason_of(hidden)) == (404, RefusalCode.NOT_FOUND.value)
    ids = [fleet.results["kernel"].id, fleet.results["kernel"].request_id, fleet.refused_requests[0]]
    for some_id in ids:
        assert service.call("sho-1", "GET", f"/validations/{some_id}").status_code == 200
        assert service.call("auditor", "GET", f"/validations/{some_id}").status_code == 200
        for other in ("sho-2", "dpf-1"):
            assert service.call(other, "GET", f"/validations/{some_id}").status_code == 404
    assert f"/devices/{device(service, 'fine 1')}" not in service.page("dpf-1", "/devices")
    whole = service.page("auditor", "/devices")
    assert of_first in whole
    assert of_second in whole


@pytest.mark.requirement("R102")
def test_a_supplier_sees_its_devices_and_of_their_verdicts_numbers(service: DashboardService) -> None:
    changed = device(service, "kernel")
    listed = service.page("acme", "/devices")
    assert changed in listed
    assert device(service, "silent") in listed
    page = service.page("acme", f"/devices/{changed}")
    for told in (listed, page):
        assert not re.search("contraindicated|affirming|refused|sho-1|sho-2", told.partition("<main")[2])
        assert "/validations/" not in told
        assert not re.search(r"\d{2}:\d{2}:\d{2}", told)
    overview = service.page("acme", "/")
    assert "contraindicated" in overview
    assert changed not in overview
    assert changed not in service.page("other supplier", "/devices")
    assert service.call("other supplier", "GET", f"/devices/{changed}").status_code == 404
    assert "0 affirming" in re.sub(r"\s+", " ", service.page("other supplier", "/"))


@pytest.mark.requirement("R102")
@pytest.mark.negative
def test_a_supplier_sees_its_own_manifests_updates_and_policies(service: DashboardService) -> None:
    fleet = service.fleet
    for path in ("/manifests", "/updates"):
        assert fleet.second.hex() in service.page("acme", path)
        assert fleet.second.hex() not in service.page("other supplier", path)
    assert service.call("other supplier", "GET", f"/manifests/{fleet.first.hex()}").status_code == 404
    policy = fleet.policy.digest.hex()
    for name, status in (("sho-1", 200), ("auditor", 200), ("sho-2", 404), ("acme", 404)):
        assert service.call(name, "GET", f"/policies/{policy}").status_code == status
        assert (policy in service.page(name, "/policies")) == (status == 200)


def test_a_program_is_refused_as_at_the_api(service: DashboardService) -> None:
    answer = service.call("first", "GET", "/devices", headers={"Accept": "*/*"})
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["reason"] == "role"


def test_an_administrator_begins_at_what_waits_for_him(service: DashboardService) -> None:
    answer = service.call("second", "GET", "/")
    assert (answer.status_code, answer.location) == (303, "/approvals")
    assert service.fleet.third.hex() in service.page("second", "/approvals")


def test_the_devices_are_filtered(service: DashboardService) -> None:
    def found(query: str) -> set[str]:
        return set(re.findall(r'href="/devices/([0-9a-f]{64})"', service.page("sho-1", f"/devices?{query}")))

    changed = device(service, "kernel")
    assert found("outcome=contraindicated") == {changed, device(service, "line")}
    assert found("outcome=refused") == {device(service, "revoked")}
    assert found("outcome=silent") == {device(service, "silent")}
    assert found("outcome=warning") == {device(service, "firmware")}
    assert found(f"device={changed[:9].upper()}") == {changed}
    assert found("outcome=contraindicated&device=" + changed[:8]) == {changed}
    assert found("supplier=Acme") == found("")
    assert found("supplier=Nobody") == set()
    assert len(found("")) == 14
    for odd in ("outcome=odd", "device=%27%22%3E", "page=0", "page=x", "page=%C2%B2"):
        assert found(odd) == found("")
    assert found("page=2") == set()


def test_pages_of_a_list_hold_everything_once(
    service: DashboardService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pva.fleet.fleet.PAGE", 5)
    seen: list[str] = []
    path: str | None = "/devices"
    while path:
        page = service.page("sho-1", path)
        seen += re.findall(r'<th scope="row"><a href="/devices/([0-9a-f]{64})"', page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = following[1].replace("&amp;", "&") if following else None
    assert len(seen) == len(set(seen)) == 14


def test_the_overview_counts_what_the_store_holds(service: DashboardService) -> None:
    page = re.sub(r"\s+", " ", service.page("sho-1", "/"))
    assert "52 affirming, 1 warning, 2 contraindicated, 1 refused try in the last week" in page
    cells = re.findall(r"<td>(\d+)</td>", page)
    assert sum(map(int, cells)) == 56
    for outcome, count in (("affirming", 9), ("contraindicated", 2), ("refused", 1), ("silent", 1)):
        assert f'<a href="/devices?outcome={outcome}"><strong>{count}</strong>' in page
    assert len(re.findall("<tr data-at", service.page("sho-1", "/?span=day"))) == 24
    assert service.page("sho-1", "/?span=odd") == service.page("sho-1", "/")


def test_a_verdict_is_explained_as_what_was_expected_and_what_was_measured(service: DashboardService) -> None:
    page = service.page("sho-1", f"/devices/{device(service, 'kernel')}")
    for said in (
        "kernel-mismatch",
        "the kernel that ran is not the approved one",
        "What to do",
        "PCR 9, event 13",
    ):
        assert said in page
    expected, measured = re.findall(r"<code>([0-9a-f]{64})</code>", page.partition("kernel-mismatch")[2])[:2]
    assert expected != measured
    assert "explains 23 of 25 measurements" in page


def test_the_steps_are_those_that_this_pva_knows(service: DashboardService) -> None:
    page = service.page("auditor", f"/validations/{service.fleet.results['ordered'].id}")
    steps = re.findall(r"<li( class=\"known\")?>\s*<h3>", page.partition('class="steps"')[2])
    assert [number for number, known in enumerate(steps, start=1) if known] == [8, 9, 10, 11, 12]
    for said in (
        "asked by a signed request",
        "challenge signed, the one that was answered",
        "the responder said good",
        "this state was approved for the order",
        "waits to be taken by dpf-1",
        "dpf-1 (dpf) asked for the same order: affirming",
        "Not known here. Ask: VNO",
    ):
        assert said in page, said
    own = service.page("sho-1", f"/validations/{service.fleet.results['ordered'].id}")
    assert "dpf-1 (dpf) asked" not in own
    delivered = service.page("dpf-1", f"/validations/{service.fleet.results['delivered'].id}")
    assert "this validation is the download function&#39;s own" in delivered
    assert "sho-1 (sho) asked for the same order" not in delivered


def test_a_refused_try_and_silence_are_told_as_such(service: DashboardService) -> None:
    refused = service.page("sho-1", f"/devices/{device(service, 'revoked')}")
    assert "Nothing was signed: every try so far was refused." in refused
    assert RefusalCode.PFC_REVOKED.value in refused
    silent = service.page("sho-1", f"/devices/{device(service, 'silent')}")
    assert "No answer came in time." in silent


@pytest.mark.negative
def test_what_others_say_is_shown_and_does_nothing(service: DashboardService) -> None:
    page = service.page("auditor", f"/validations/{service.fleet.other_request}")
    assert HOSTILE_NAME not in page
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;\\u202eevil" in page
    everywhere = "".join(
        service.page("auditor", path) for path in ("/", "/devices", "/manifests", "/log/records", "/policies")
    )
    assert "<script>" not in page + everywhere
    assert not re.search(r"\son[a-z]+=|javascript:|<style|\sstyle=", page + everywhere)


@pytest.mark.negative
def test_every_answer_forbids_what_it_does_not_need(service: DashboardService) -> None:
    for path in ("/", f"/devices/{'00' * 32}", "/nowhere", "/assets/dashboard.js"):
        headers = service.call("auditor", "GET", path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        if not path.startswith("/assets/"):
            assert headers["Cache-Control"] == "no-store"
    for path in ("../settings.py", "%2e%2e/settings.py", "dashboard.txt", ""):
        assert service.call("auditor", "GET", f"/assets/{path}").status_code == 404


@pytest.mark.requirement("R95")
def test_a_record_is_proven_to_be_in_the_log(service: DashboardService) -> None:
    log = service.fleet.log
    note = log.checkpoint()
    assert note is not None
    assert note.splitlines()[2].replace("+", "&#43;") in service.page("sho-1", "/log").replace("+", "&#43;")
    page = service.page("auditor", f"/validations/{service.fleet.results['kernel'].id}")
    leaf = re.search(r"/log/records/([0-9a-f]{64})", page)
    assert leaf is not None
    record = service.page("auditor", f"/log/records/{leaf[1]}")
    assert "proven" in record
    assert "it is what the leaf committed to" in record
    proof = log.prove(bytes.fromhex(leaf[1]))
    assert proof is not None
    assert all(each.hex() in record for each in proof.proof)
    assert service.call("auditor", "GET", f"/log/records/{'00' * 32}").status_code == 404
    assert service.call("auditor", "GET", "/log/records/x").status_code == 404


@pytest.mark.negative
def test_an_altered_record_is_called_altered(fresh: DashboardService) -> None:
    table = tables.ledger.table
    with transaction(fresh.fleet.engine) as connection:
        row = connection.execute(table.select().where(table.c.kind == "state-approved")).one()
        whole = json.loads(row.record)
        whole["record"]["sho"] = "another"
        changed = json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()
        connection.execute(table.update().where(table.c.number == row.number).values(record=changed))
    page = fresh.page("auditor", f"/log/records/{row.leaf_hash.hex()}")
    assert "badge-altered" in page
    assert "another" not in page
    with transaction(fresh.fleet.engine) as connection:
        connection.execute(table.update().where(table.c.number == row.number).values(record=None, salt=None))
    assert "says nothing about anybody" in fresh.page("auditor", f"/log/records/{row.leaf_hash.hex()}")
    with transaction(fresh.fleet.engine) as connection:
        connection.execute(tables.ledger.tiles.update().values(digests=bytes(32 * 256)))
    assert "its proof does not lead to the signed root" in fresh.page(
        "auditor", f"/log/records/{row.leaf_hash.hex()}"
    )


def test_records_are_read_part_by_part(service: DashboardService) -> None:
    seen: list[int] = []
    path: str | None = "/log/records"
    while path:
        page = service.page("first", path)
        seen += [int(each) for each in re.findall(r'<th scope="row"><a [^>]+>(\d+)</a>', page)]
        older = re.search(r'rel="next" href="([^"]+)"', page)
        path = older[1] if older else None
    assert set(seen) == set(range(max(seen) + 1))


class Links(HTMLParser):
    """Addresses that a page leads to or loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.found |= {value for name, value in attrs if name in {"href", "src", "hx-get"} and value}


@pytest.mark.parametrize("name", HUMANS)
def test_no_link_leads_where_its_reader_may_not_go(service: DashboardService, name: str) -> None:
    open_paths, seen = ["/"], set[str]()
    while open_paths and len(seen) < 60:
        path = open_paths.pop(0)
        if path in seen or path.startswith("#"):
            continue
        seen.add(path)
        answer = service.call(name, "GET", path)
        assert answer.status_code in {200, 303}, (name, path)
        if answer.status_code == 303:
            open_paths.append(str(answer.location))
        elif answer.content_type.startswith("text/html"):
            links = Links()
            links.feed(answer.get_data(as_text=True))
            open_paths += sorted(links.found)
    assert {"/manifests", "/updates", "/suppliers", "/log", "/assets/dashboard.css"} <= seen
