"""What is declared is in the lock files."""

import re

from tests.house.tree import ROOT, names, pyproject


def test_every_dependency_is_locked() -> None:
    declared = names(pyproject()["project"]["dependencies"])
    locked = names(re.findall(r"^[\w.\-]+==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert declared <= locked
    extras = pyproject()["project"]["optional-dependencies"]
    developing = names(
        re.findall(r"^[\w.\-]+==\S+", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)
    )
    assert (
        locked
        | names([one for extra in ("test", "check", "conformance", "postgres") for one in extras[extra]])
        <= developing
    )
