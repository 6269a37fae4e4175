"""What a running PVA tells the machine that it runs on: alive, ready, counted; and one line a request."""

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.http_client import HttpClient, HttpError
from messages.evidence import encode_evidence
from tests.end_to_end.test_pva_process import Site

SETTINGS = """
[management]
port = 0
expiry_horizon_days = 3650
"""
HEXADECIMAL = re.compile(r"[0-9a-f]{32,}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A PVA that has validated its device once and refused it once."""
    made = Site(tmp_path_factory.mktemp("management"), more=SETTINGS)
    try:
        made.ask()
        message = made.evidence()
        made.pva.device.submit_evidence(encode_evidence(message))
        made.refused(message)
        yield made
    finally:
        assert made.pva.stop() == 0
        made.pva.close()


def told(site: Site, path: str) -> str:
    """What the management listener says."""
    return HttpClient(site.pva.urls["management"]).get(path).body.decode()


def test_verdicts_refusals_and_requests_are_counted(site: Site) -> None:
    text = told(site, "/metrics")
    assert 'pva_verdicts_total{tier="affirming"} 1.0' in text
    assert "pva_challenge_age_seconds_count 1.0" in text
    assert 'pva_refusals_total{code="challenge-used",listener="device"} 1.0' in text
    assert 'pva_requests_total{listener="device",route="POST /v1/evidence",status="200"}' in text
    assert "pva_database_connections_at_work" in text
    assert "process_cpu_seconds_total" in text


@pytest.mark.negative
def test_no_metric_and_no_line_names_a_device(site: Site) -> None:
    assert HEXADECIMAL.search(told(site, "/metrics")) is None
    requests = [line for line in _lines(site) if line["event"] == "request"]
    assert requests
    for line in requests:
        assert HEXADECIMAL.search(json.dumps(line)) is None, line


def test_readiness_names_the_certificates_that_end_within_the_horizon(site: Site) -> None:
    said = json.loads(told(site, "/readyz"))
    assert said["ready"]
    # the TLS certificate of this test lives for days, the signing certificates for decades
    assert {(each["code"], each["subject"]) for each in said["soon"]} == {
        ("certificate-expiring", "device.certificate"),
        ("certificate-expiring", "operator.certificate"),
    }
    assert told(site, "/healthz") == "alive\n"


def test_one_line_a_request_says_route_status_time_and_tenant(site: Site) -> None:
    asked = _line_with(site, caller="sho", method="POST")
    assert (asked["route"], asked["status"], asked["tenant"]) == ("/v1/validations", 201, "t")
    lines = [line for line in _lines(site) if line["event"] == "request"]
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert all(isinstance(line["ms"], float) for line in lines)
    assert all("path" not in line for line in lines)
    assert not any(line["listener"] == "management" for line in lines)


def test_an_answer_carries_the_id_of_its_line(site: Site) -> None:
    tls = site.pva.certificates.tls("sho")
    answer = HttpClient(site.pva.urls["operator"], tls=tls).get("/v1/suppliers")
    identifier = answer.headers["x-request-id"]
    line = _line_with(site, request_id=identifier)
    assert (line["route"], line["status"], line["caller"]) == ("/v1/suppliers", 200, "sho")


def test_what_no_route_serves_is_a_line_without_its_path(site: Site) -> None:
    with pytest.raises(HttpError, match="404"):
        site.pva.device_http.get("/nowhere?secret=1")
    line = _line_with(site, status=404)
    assert (line["route"], line["problem"]) == (None, "not-found")
    assert "nowhere" not in json.dumps(line)


def test_a_unix_socket_serves_its_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "management.sock"
    site = Site(tmp_path, more=f'[management]\nsocket = "{path}"\n')
    try:
        assert site.pva.urls["management"] == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o660
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(path))
            asking.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert asking.recv(100).startswith(b"HTTP/1.1 200 ")
    finally:
        assert site.pva.stop() == 0
        site.pva.close()
    assert not path.exists()


def _line_with(site: Site, **members: object) -> dict[str, object]:
    """The first line with these members; it is written after the answer is sent."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in _lines(site):
            if members.items() <= line.items():
                return line
        time.sleep(0.05)
    raise AssertionError(members)


def _lines(site: Site) -> list[dict[str, object]]:
    whole = (site.pva.folder / "log").read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]
