"""No service that lets operators in forgets that their certificates may be revoked."""

import re

from tests.house.tree import ROOT


def test_whoever_asks_for_client_certificates_judges_their_revocation() -> None:
    found = 0
    for path in sorted([*ROOT.glob("*/app.py"), *ROOT.glob("operators/*/app.py")]):
        text = path.read_text()
        listeners = len(re.findall(r"\.tls\(client_anchors=", text))
        if not listeners or path.parent.name == "ca":
            continue  # the CA asks its own books
        found += 1
        assert text.count("principals=clients.principals") == listeners, path
        assert text.count("beside=clients.periodic") == listeners, path
    assert found >= 6
