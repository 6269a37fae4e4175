"""`./dev serve` as somebody uses it: it comes up, what it prints can be pasted, and Ctrl-C ends everything."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.processes import environment

ROOT = Path(__file__).parents[2]
HEADING = "Administer them from another terminal"
LAST = "validation request"
COMES_UP_S = 120.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    folder = tmp_path_factory.mktemp("serve")
    said = folder / "said"
    with said.open("wb") as out:
        command = [sys.executable, "-P", "-m", "lab", "serve", "--state", str(folder / "lab")]
        process = subprocess.Popen(command, cwd=ROOT, env=environment(ROOT), stdout=out, stderr=out)
    try:
        yield process, said
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(300)
def test_it_prints_commands_that_work_when_pasted(
    served: tuple[subprocess.Popen[bytes], Path], tmp_path: Path
) -> None:
    process, said = served
    deadline = time.monotonic() + COMES_UP_S
    while LAST not in said.read_text() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    _, heading, commands = said.read_text().partition(HEADING)
    assert heading, said.read_text()

    pasted = tmp_path / "pasted.sh"
    pasted.write_text("set -e\n" + "\n".join(commands.splitlines()[1:]) + "\n")
    done = subprocess.run(
        ["sh", str(pasted)], cwd=tmp_path, env=environment(ROOT), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for expected in ("supplier-1\tCA\tyes", "gateway-1-line", "gateway-1-1.0", "next: keep the nonce"):
        assert expected in done.stdout

    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
