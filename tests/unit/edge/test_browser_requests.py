"""What a page of another origin sends changes nothing, whosever certificate the browser shows for it."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask

from edge.browser_requests import OTHER_ORIGIN
from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import PrincipalTable, enforce_access, public, require
from edge.problems import register_problems
from tests.contract.certificates import Certificates

HOST = "pva.example:8443"
HERE = f"https://{HOST}"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """Changes for an administrator and for everybody."""
    folder = tmp_path_factory.mktemp("browser")
    certificates = Certificates(folder)
    admin = certificates.client("admin")
    certificates.register({"admin": ("admin", admin)})
    app = Flask(__name__, static_folder=None)

    @app.route("/change", methods=["GET", "POST", "PUT"])
    @require("admin")
    def change() -> str:
        return "changed"

    @app.post("/open")
    @public
    def open_to_all() -> str:
        return "changed"

    register_problems(app, {})
    table = PrincipalTable.load(folder / "principals.json", anchors=folder / "anchors.pem")
    enforce_access(app, principals=table)
    app.config["peer"] = admin.public_bytes(Encoding.DER)
    return app


def send(app: Flask, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    answer = app.test_client().open(
        path,
        method=method,
        base_url=HERE,
        headers=headers,
        environ_overrides={PEER_CERTIFICATE: app.config["peer"]},
    )
    body = answer.get_json(silent=True)
    return answer.status_code, "" if body is None else str(body["reason"])


@pytest.mark.negative
@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": HERE},
        {"Origin": "https://evil.example"},
        {"Origin": "https://pva.example"},
        {"Origin": "https://pva.example:8444"},
        {"Origin": f"http://{HOST}"},
        {"Origin": "null"},
    ],
)
def test_a_foreign_page_changes_nothing(app: Flask, method: str, headers: dict[str, str]) -> None:
    assert send(app, method, "/change", headers) == (403, OTHER_ORIGIN)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "same-origin", "Origin": HERE}, {"Sec-Fetch-Site": "none"}, {"Origin": HERE}],
)
def test_programs_and_pages_from_here_are_served(app: Flask, headers: dict[str, str]) -> None:
    assert send(app, "POST", "/change", headers) == (200, "")


def test_looking_is_no_change_and_who_needs_no_certificate_is_served(app: Flask) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert send(app, "GET", "/change", foreign) == (200, "")
    assert send(app, "POST", "/open", foreign) == (200, "")
