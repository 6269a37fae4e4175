"""The dashboard over a watched fleet, as people with certificates see it; as a process it is served for browsers.

`python -m tests.contract.dashboard_service FOLDER` writes keys and store below FOLDER, serves, and prints its ready line.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from werkzeug.test import Client, TestResponse

from edge.administrator_store import SqlAdministrators
from edge.administrators import AdministratorDesk
from edge.caller_refusals import CallerRefusals
from edge.http_protocol import PEER_CERTIFICATE
from edge.http_server import Listener, ServerTls, serve
from edge.principals import PrincipalTable
from edge.process import configure_logging, system_random
from edge.refused import AnonymousRefusals
from pva.store import tables
from pva.web.dashboard.application import DashboardSurroundings, dashboard_app
from tests.contract.certificates import Certificates
from tests.contract.test_pva_store import sqlite_engine
from tests.fakes.watched_fleet import NOW_OF_PAGES, WatchedFleet

HOST: Final = "pva.example"
HERE: Final = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form of this origin."""
PEOPLE: Final = {
    "first": ("admin", ""),
    "second": ("admin", ""),
    "sho-1": ("sho", "sho-1"),
    "sho-2": ("sho", "sho-2"),
    "dpf-1": ("dpf", "dpf-1"),
    "acme": ("es", "Acme"),
    "other supplier": ("es", "Other"),
    "auditor": ("auditor", ""),
    "responder": ("ocsp", "ocsp"),
}
"""Name -> role and tenant; the last is no person."""


class DashboardService:
    """The application, and everybody's certificate."""

    def __init__(self, folder: Path) -> None:
        """Fill a store below `folder` and build the application on it."""
        self.fleet = WatchedFleet(engine=sqlite_engine(folder))
        self.anonymous = AnonymousRefusals()
        certificates = Certificates(folder)
        clients = {name: certificates.client(name) for name in PEOPLE}
        certificates.register(
            {name: (role, clients[name]) for name, (role, _) in PEOPLE.items()},
            tenants={name: tenant for name, (_, tenant) in PEOPLE.items()},
        )
        self.peers = {name: client.public_bytes(Encoding.DER) for name, client in clients.items()}
        self.peers["stranger"] = certificates.client("stranger").public_bytes(Encoding.DER)
        refusals = CallerRefusals(
            self.fleet.engine,
            tables.ledger,
            random_bytes=system_random,
            clock=lambda: NOW_OF_PAGES,
            anonymous=self.anonymous,
        )
        people = SqlAdministrators(
            self.fleet.engine, tables.administrators, tables.ledger, random_bytes=system_random
        )
        principals = PrincipalTable.load(
            folder / "principals.json", anchors=folder / "anchors.pem", beside=people.beside
        )
        self.desks = replace(
            self.fleet.desks, administrators=AdministratorDesk(store=people, file=principals)
        )
        self.app: Flask = dashboard_app(
            self.desks,
            DashboardSurroundings(
                issuer="pva-1",
                principals=principals,
                clock=lambda: NOW_OF_PAGES,
                random_bytes=system_random,
                on_refusal=refusals.record,
            ),
        )

    def browser(self) -> Client:
        """A browser that keeps its cookies."""
        return self.app.test_client()

    def call(
        self, name: str, method: str, path: str, *, browser: Client | None = None, **options: Any
    ) -> TestResponse:
        """A request as somebody, by a browser of his own or by a fresh one."""
        headers = {"Accept": "text/html,*/*;q=0.8", **options.pop("headers", {})}
        return (browser or self.browser()).open(
            path,
            method=method,
            base_url=f"https://{HOST}",
            buffered=True,
            headers=headers,
            environ_overrides={PEER_CERTIFICATE: self.peers[name]},
            **options,
        )

    def page(self, name: str, path: str) -> str:
        """The text of a page that somebody may see."""
        answer = self.call(name, "GET", path)
        assert answer.status_code == 200, (name, path, answer.status_code)
        return answer.get_data(as_text=True)


def main() -> None:
    """Serve the dashboard until told to stop."""
    folder = Path(sys.argv[1])
    configure_logging(role="test")
    service = DashboardService(folder)
    tls = ServerTls(
        certificate=folder / "server.pem",
        key=folder / "keys" / "server.key",
        passphrase_file=folder / "keys" / "passphrase",
        client_anchors=folder / "anchors.pem",
    )
    serve(
        [Listener(name="dashboard", host="127.0.0.1", port=0, app=service.app, tls=tls)],
        role="test",
        profile="lab",
    )


if __name__ == "__main__":
    main()
