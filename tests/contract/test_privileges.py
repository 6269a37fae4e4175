"""Dropping root for good, in a process of its own; what was opened before stays usable."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from m2me_agent.tre.store import StateDirectory

ROOT = Path(__file__).parents[2]

SCRIPT = """
    import os, sys
    from edge.process import drop_privileges, PrivilegeError
    folder = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
    drop_privileges(4242, 4243)
    drop_privileges(4242, 4243)
    print(os.getresuid(), os.getresgid(), os.getgroups())
    for regain in (lambda: os.setuid(0), lambda: os.seteuid(0), lambda: os.setgroups([0])):
        try:
            regain()
            print("back")
        except PermissionError:
            print("refused")
    try:
        open(sys.argv[1] + "/secret")
    except PermissionError:
        print("closed")
    print(os.read(os.open("secret", os.O_RDONLY, dir_fd=folder), 10)
          if os.access("secret", os.R_OK, dir_fd=folder) else "unreadable")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
def test_root_is_dropped_for_good(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "secret").write_text("s")
    (tmp_path / "secret").chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "(4242, 4242, 4242) (4243, 4243, 4243) []",
        "refused",
        "refused",
        "refused",
        "closed",
        "unreadable",
    ]


@pytest.mark.negative
def test_who_is_not_root_cannot_become_another() -> None:
    script = """
        import os
        from edge.process import drop_privileges, PrivilegeError
        if os.geteuid() == 0:
            os.setgroups([]); os.setgid(4243); os.setuid(4242)
        try:
            drop_privileges(os.getuid() + 1, os.getgid() + 1)
        except PrivilegeError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert "start the process as root or as that user" in done.stdout


@pytest.mark.requirement("R120")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a TRE for another user")
def test_what_is_finished_as_root_belongs_to_the_tre_that_goes_on(tmp_path: Path) -> None:
    """A cut leaves a change of operator to the next start, which is root's before it gives its rights up."""
    tmp_path.chmod(0o700)
    os.chown(tmp_path, 4242, 4243)
    storage = StateDirectory.open(tmp_path, owner_uid=4242)
    storage.write("usim-selection", b"undone")
    assert (tmp_path / "usim-selection").stat().st_uid == 4242
    assert storage.read("usim-selection") == b"undone"
    storage.close()
