"""docs/AUTHORIZATION.md: every route of every TLS listener, the roles that it serves, and what the caller's tenant decides.

`python -m tests.authorization_document --write` renews it, `--check` says whether it is stale. It is made from the tables
that the tests hold against the services.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from edge.principals import DEVICE, ENROLLING, PUBLIC, ROLES
from tests.end_to_end.route_tables import TABLES
from tests.end_to_end.tenant_rules import TENANT_RULES, Rules

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs/AUTHORIZATION.md"
_HEAD: Final = """# Who may do what

Made by `./dev fix` from the tables of the tests; do not edit. `tests/end_to_end/test_route_tables.py` asks every route below
over real TLS sockets as each of these, and a route that is in no table fails it:

| who comes | is answered |
|---|---|
| without a certificate, with one of a foreign CA, with an expired one | nothing: the handshake ends |
| with a certificate under the TLS root that nobody registered | 403 `principal-not-registered` |
| with a registered certificate that is revoked | 403 `certificate-revoked` |
| with another role | 403 `role-not-permitted` |
| with the right role, about a thing of another tenant | as the last columns say |

Role and tenant are those of the row that a certificate is registered under ([ADR 0012](adr/0012-listeners.md)); names inside of
certificates and of bodies decide nothing. Listeners for devices and for the public serve whoever comes: what a device sends
authenticates itself, and no certificate helps there. At the CA's EST listener no role helps either: it serves whoever proves a
registered key, and a certificate that is shown there ends the handshake where it is of a foreign CA or expired
([ADR 0035](adr/0035-profiles-and-est.md)).
"""


def page() -> str:
    """The whole document."""
    parts = [_HEAD]
    for door, routes in TABLES.items():
        service, listener = door[0].removesuffix("-1").upper(), door[1]
        served = {role for roles in routes.values() for role in roles}
        if served & ROLES:
            parts.append(f"## {service}, {listener} listener\n\n{_table(routes, TENANT_RULES[door])}\n")
        else:
            who = {DEVICE: "Devices", PUBLIC: "Everybody", ENROLLING: "Holders of a registered key"}
            whom = " and ".join(who[each] for each in sorted(served))
            paths = ", ".join(
                f"`{method} {rule}`" for method, rule in sorted(routes, key=lambda each: each[1])
            )
            parts.append(f"## {service}, {listener} listener\n\n{whom}: {paths}\n")
    return "\n".join(parts)


def _table(routes: dict[tuple[str, str], tuple[str, ...]], rules: Rules) -> str:
    lines = ["| route | roles | tenant | shown by |", "|---|---|---|---|"]
    for (method, path), roles in sorted(routes.items(), key=lambda each: (each[0][1], each[0][0])):
        rule = rules[method, path]
        whom = "every registered principal" if set(roles) == ROLES else ", ".join(roles)
        shown = "" if rule.shown is None else f"`{rule.shown}`"
        lines.append(f"| `{method} {path}` | {whom} | {rule.says} | {shown} |")
    return "\n".join(lines)


def main() -> int:
    """Write the document, or say that it is stale."""
    parser = argparse.ArgumentParser(description="docs/AUTHORIZATION.md")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="renew it")
    what.add_argument("--check", action="store_true", help="fail when it is stale")
    arguments = parser.parse_args()
    wanted = page()
    if arguments.write:
        DOCUMENT.write_text(wanted, encoding="utf-8")
        return 0
    stale = not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != wanted
    if stale:
        sys.stderr.write(f"{DOCUMENT.relative_to(ROOT)} is stale: run ./dev fix and commit it\n")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
