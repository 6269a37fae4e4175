"""The scan of files and processes finds what is there, or says that it sees nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.secret_scan import BlindScanError, SecretScan

SECRET = bytes(range(100, 116))
PLANTED = bytes(range(32))


def test_files_are_searched_and_the_planted_secret_proves_it(tmp_path: Path) -> None:
    plant = tmp_path / "planted"
    plant.write_bytes(b"." * 5000 + PLANTED)
    (tmp_path / "log").write_text(f"key={SECRET.hex()}\n")
    scan = SecretScan({"K": SECRET}, planted=PLANTED)
    (found,) = scan.files([tmp_path], plant_in=plant)
    assert (found.what, found.spelling, found.place) == ("K", "hex", str(tmp_path / "log"))
    plant.write_bytes(b"nothing")
    with pytest.raises(BlindScanError, match="sees nothing"):
        scan.files([tmp_path], plant_in=plant)


def test_the_memory_of_a_process_is_searched(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_bytes(PLANTED + SECRET)
    code = "import sys; kept = open(sys.argv[1], 'rb').read(); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(secrets)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        try:
            found = SecretScan({"K": SECRET}, planted=PLANTED).memory(holder.pid, name="holder")
            assert {each.what for each in found} == {"K"}
            elsewhere = SecretScan({"K": os.urandom(16)}, planted=PLANTED).memory(holder.pid, name="holder")
            assert elsewhere == []
        finally:
            holder.stdin.close()
