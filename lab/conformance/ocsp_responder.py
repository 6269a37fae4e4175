"""This project's responder over a store that is complete: `python -m lab.conformance.ocsp_responder FOLDER`.

Its application, listener and store are those of `ocsp.app`; what is missing is a CA to follow.
"""

import sys
from pathlib import Path

from edge.database import engine_for
from edge.http_server import serve
from edge.keys import load_private_key
from edge.periodic import Periodic
from edge.process import configure_logging, system_clock
from ocsp.app import public_app, public_listener
from ocsp.delegates import Delegate, DelegateDirectory, Issuer
from ocsp.judgement import DEFAULT_POLICY
from ocsp.store import SqlStatusStore

LEVEL_INTERVAL_S = 0.25


def main() -> None:
    """Serve until told to stop."""
    folder = Path(sys.argv[1])
    configure_logging(role="ocsp", level="error")
    store = SqlStatusStore(engine_for(f"sqlite:///{folder / 'ocsp.db'}"))
    key = load_private_key(folder / "ocsp.key", passphrase_file=folder / "passphrase")
    directory = DelegateDirectory(
        Issuer(
            ca_id=each.issuer,
            certificate=each.issuer_certificate,
            delegate=None if each.certificate is None else Delegate(certificate=each.certificate, key=key),
        )
        for each in store.delegates()
    )

    def stay_level() -> None:
        store.apply([], next_seq=store.next_seq(), as_of=system_clock())

    app = public_app(store, lambda: directory, policy=DEFAULT_POLICY, clock=system_clock)
    serve(
        [public_listener(app, host="127.0.0.1", port=0)],
        role="ocsp",
        profile="lab",
        periodic=[Periodic(name="level", interval_s=LEVEL_INTERVAL_S, work=stay_level)],
    )


if __name__ == "__main__":
    main()
