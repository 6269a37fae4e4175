"""The descriptions of all APIs as files: `python -m tests.api_documents --write` renews docs/api, `--check` says what is stale.

A running service gives the same document at /openapi.json.
"""

import argparse
import sys
from pathlib import Path

from edge.api_description import encode_description
from tests.applications import APIS, applications

ROOT = Path(__file__).parents[1]
FOLDER = Path("docs/api")


def documents() -> dict[Path, bytes]:
    """Each document by its path in the checkout."""
    return {
        FOLDER / f"{name.lower().replace(' ', '-')}.json": encode_description(app, APIS[name])
        for name, app in applications().items()
    }


def main() -> int:
    """Write the documents, or say which are stale."""
    parser = argparse.ArgumentParser(description="OpenAPI descriptions of all listeners")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="renew docs/api")
    what.add_argument("--check", action="store_true", help="fail when a document is stale")
    arguments = parser.parse_args()
    wanted = documents()
    stale = [
        path
        for path, data in wanted.items()
        if not (ROOT / path).exists() or (ROOT / path).read_bytes() != data
    ]
    superfluous = sorted(
        path.relative_to(ROOT)
        for path in (ROOT / FOLDER).glob("*.json")
        if path.relative_to(ROOT) not in wanted
    )
    if arguments.write:
        (ROOT / FOLDER).mkdir(exist_ok=True)
        for path in stale:
            (ROOT / path).write_bytes(wanted[path])
        for path in superfluous:
            (ROOT / path).unlink()
        return 0
    for path in (*stale, *superfluous):
        sys.stderr.write(f"{path} is stale: run ./dev fix and commit it\n")
    return 1 if stale or superfluous else 0


if __name__ == "__main__":
    sys.exit(main())
