"""The responder under load: `python -m bench.ocsp_server FOLDER CORE`, its own listener beside a constant's.

Everything is the product's own (`ocsp.app.public_app` on its listener, its store in a file), but for the CA: the
feed is in this process and says four times a second that nothing has changed. The second listener, on the same
server in the same process, answers the same octets to everything.
"""

import sys
from pathlib import Path

from bench.load import pin
from clients.ca_status import ChangePage, Suspensions
from edge.database import engine_for
from edge.http_server import serve
from edge.keys import load_private_key
from edge.octet_server import Headers, OctetListener, Reply
from edge.periodic import Periodic
from edge.process import configure_logging, system_clock
from ocsp.app import public_app, public_listener
from ocsp.delegates import Delegate, DelegateDirectory, Issuer
from ocsp.feed import FeedReader
from ocsp.judgement import DEFAULT_POLICY
from ocsp.store import SqlStatusStore

FEED_INTERVAL_S = 0.25
CONSTANT = Reply(
    200,
    [
        ("content-type", "application/ocsp-response"),
        ("last-modified", "Mon, 01 Jun 2026 12:00:00 GMT"),
        ("expires", "Mon, 01 Jun 2026 12:05:00 GMT"),
        ("etag", '"' + "0" * 64 + '"'),
        ("cache-control", "max-age=290, public, no-transform, must-revalidate"),
    ],
    b"x" * 800,
)


class QuietFeed:
    """A CA at which nothing happens."""

    def status_changes(self, *, after: int, level_with: Suspensions | None = None) -> ChangePage:
        """No change after `after`."""
        del level_with
        return ChangePage(previous=None, changes=(), next=after, complete=True)


def constant(method: str, path: str, headers: Headers, body: bytes) -> Reply:
    """The same to everybody."""
    del method, path, headers, body
    return CONSTANT


def main() -> None:
    """Serve until told to stop."""
    folder, core = Path(sys.argv[1]), int(sys.argv[2])
    pin(core)
    configure_logging(role="bench", level="error")
    store = SqlStatusStore(engine_for(f"sqlite:///{folder / 'ocsp.db'}"))
    key = load_private_key(folder / "ocsp.key", passphrase_file=folder / "passphrase")
    directory = DelegateDirectory(
        Issuer(
            ca_id=each.issuer,
            certificate=each.issuer_certificate,
            delegate=Delegate(certificate=each.certificate, key=key) if each.certificate else None,
        )
        for each in store.delegates()
    )
    reader = FeedReader(QuietFeed(), store, clock=system_clock, heard_of=lambda _: None)

    def poll() -> None:
        reader.poll()

    app = public_app(store, lambda: directory, policy=DEFAULT_POLICY, clock=system_clock)
    serve(
        [
            public_listener(app, host="127.0.0.1", port=0),
            OctetListener(name="constant", host="127.0.0.1", port=0, app=constant, body_bytes_max=8192),
        ],
        role="bench",
        profile="lab",
        periodic=[Periodic(name="feed", interval_s=FEED_INTERVAL_S, work=poll)],
    )


if __name__ == "__main__":
    main()
