"""What /readyz finds: what bites now, what will bite soon, and what to do about each."""

import asyncio
import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import ValidationError

from edge.database import engine_for, migrate
from edge.management import Management, ManagementApp, ManagementSettings
from edge.metrics import ListenerLoad
from edge.periodic import Periodic
from edge.readiness import (
    FAILURES_IN_A_ROW,
    Check,
    Reason,
    WorkWatch,
    certificate_files_check,
    certificates_in,
    disk_check,
    load_check,
    store_check,
)
from edge.request_guard import Message
from ocsp.store import MIGRATIONS
from pva.settings import PvaSettings
from tests.fakes.pki import NOW, Authority, Validity, p256

HORIZON = timedelta(days=14)


def found(reasons: Iterable[Reason]) -> list[tuple[str, bool]]:
    return [(each.code, each.bites) for each in reasons]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (timedelta(days=15), []),
        (timedelta(days=13), [("certificate-expiring", False)]),
        (timedelta(seconds=-1), [("certificate-expired", True)]),
    ],
)
def test_a_certificate_is_named_before_it_ends(
    tmp_path: Path, after: timedelta, expected: list[tuple[str, bool]]
) -> None:
    made = Authority.root().issue("server", key=p256().public_key(), validity=Validity(after=after))
    path = tmp_path / "server.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    check = certificate_files_check([("device.certificate", path)], horizon=HORIZON, clock=lambda: NOW)
    reasons = list(check())
    assert found(reasons) == expected
    assert all(each.subject == "device.certificate" and str(path) in each.remedy for each in reasons)


def test_a_certificate_of_tomorrow_and_one_that_is_gone_are_named(tmp_path: Path) -> None:
    made = Authority.root().issue(
        "server", key=p256().public_key(), validity=Validity(before=-timedelta(hours=1))
    )
    path = tmp_path / "early.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    files = [("early", path), ("gone", tmp_path / "gone.pem")]
    assert found(certificate_files_check(files, horizon=HORIZON, clock=lambda: NOW)()) == [
        ("certificate-not-yet-valid", True),
        ("certificate-unreadable", False),
    ]


def test_every_certificate_of_the_settings_is_looked_at() -> None:
    tls = {"certificate": "tls.pem", "key": "k"}
    signing = tls | {"passphrase_file": "p"}
    called = signing | {"url": "https://ca", "anchors": "a"}
    settings = PvaSettings.model_validate(
        {
            "issuer": "pva-1",
            "database": "sqlite:///x",
            "operators_root": "r",
            "device": tls,
            "operator": tls | {"client_anchors": "a", "principals": "p"},
            "challenge_key": signing,
            "result_key": signing,
            "approval_key": signing,
            "callbacks": {"sho-1": called},
        }
    )
    assert [name for name, _ in certificates_in(settings)] == [
        "device.certificate",
        "operator.certificate",
        "challenge_key.certificate",
        "result_key.certificate",
        "approval_key.certificate",
        "callbacks.sho-1.certificate",
    ]


def test_a_store_is_ready_when_it_has_the_schema_of_this_program(tmp_path: Path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path}/ocsp.db")
    check = store_check(engine, MIGRATIONS)
    assert found(check()) == [("migrations-missing", True)]
    migrate(engine, MIGRATIONS)
    assert found(check()) == []
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'of tomorrow'"))
    assert found(check()) == [("schema-newer", False)]


@pytest.mark.negative
def test_a_store_that_is_away_is_named_without_its_address() -> None:
    engine = engine_for("postgresql+psycopg://nobody@/none?host=/nonexistent")
    (reason,) = store_check(engine, MIGRATIONS)()
    assert (reason.code, reason.bites) == ("database-away", True)
    assert "nonexistent" not in json.dumps(reason.as_members())


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (1, []),
        (lambda free: free * 3 // 2, [("disk-nearly-full", False)]),
        (1 << 62, [("disk-nearly-full", True)]),
    ],
)
def test_a_disk_is_named_before_it_is_full(tmp_path: Path, wanted: Any, expected: list[Any]) -> None:
    import shutil  # noqa: PLC0415 - the same measure as the check takes

    bytes_min = wanted(shutil.disk_usage(tmp_path).free) if callable(wanted) else wanted
    assert found(disk_check(tmp_path, bytes_min=bytes_min)()) == expected


@pytest.mark.parametrize(
    ("at_work", "expected"),
    [(89, []), (90, [("requests-waiting", False)]), (100, [("requests-waiting", True)])],
)
def test_a_listener_is_named_before_it_is_full(at_work: int, expected: list[Any]) -> None:
    load = ListenerLoad(name="device", requests_max=100, at_work=at_work)
    assert found(load_check([load])()) == expected


def test_work_that_fails_again_and_again_is_named_until_it_succeeds() -> None:
    fails = True
    heard: list[str] = []

    def work() -> None:
        if fails:
            raise RuntimeError

    watch = WorkWatch(heard.append)
    task = watch.watched(Periodic(name="crl", interval_s=1, work=work))
    for number in range(FAILURES_IN_A_ROW):
        assert found(watch.check()) == [], number
        with pytest.raises(RuntimeError):
            task.work()
    assert found(watch.check()) == [("work-failing", False)]
    fails = False
    task.work()
    assert found(watch.check()) == []
    assert heard == ["crl"] * FAILURES_IN_A_ROW


def asked(management: Management, path: str, *, method: str = "GET") -> tuple[int, bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    app = ManagementApp(management)
    asyncio.run(app({"type": "http", "method": method, "path": path}, receive, send))
    return sent[0]["status"], sent[1]["body"]


def reason(code: str, *, bites: bool) -> Check:
    return lambda: [Reason(code=code, subject="s", detail="d", remedy="r", bites=bites)]


def test_what_will_bite_leaves_a_node_in_service() -> None:
    management = Management(checks=[reason("soon", bites=False)])
    status, body = asked(management, "/readyz")
    assert (status, json.loads(body)["ready"]) == (200, True)
    assert [each["code"] for each in json.loads(body)["soon"]] == ["soon"]


@pytest.mark.negative
def test_what_bites_takes_a_node_out_of_service() -> None:
    management = Management(checks=[reason("now", bites=True), reason("soon", bites=False)])
    status, body = asked(management, "/readyz")
    assert (status, json.loads(body)["ready"]) == (503, False)
    assert [each["code"] for each in json.loads(body)["reasons"]] == ["now"]
    assert asked(management, "/healthz")[0] == 200


@pytest.mark.negative
def test_a_check_that_breaks_hides_nothing() -> None:
    def broken() -> Iterable[Reason]:
        raise ZeroDivisionError

    status, body = asked(Management(checks=[broken, reason("now", bites=True)]), "/readyz")
    assert status == 503
    assert [each["code"] for each in json.loads(body)["reasons"]] == ["check-failed", "now"]


@pytest.mark.negative
def test_other_paths_and_methods_are_refused() -> None:
    assert asked(Management(), "/")[0] == 404
    assert asked(Management(), "/metrics", method="POST")[0] == 405


@pytest.mark.negative
@pytest.mark.parametrize(
    "values",
    [{}, {"port": 1, "socket": "s"}, {"port": 1, "host": "192.0.2.1"}, {"port": 1, "host": "example.org"}],
)
def test_the_management_listener_is_for_this_machine(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ManagementSettings.model_validate(values)
