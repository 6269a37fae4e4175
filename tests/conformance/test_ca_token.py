"""A CA whose keys are in a token, from its first steps on: openssl judges what the token signed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.softhsm import PIN, soft_token
from tests.forked_python import run_module
from tests.tools import need

ROOT = Path(__file__).parents[2]
TOML = """
profile = "production"
database = "sqlite:///{folder}/ca.db"
keys = "keys"
passphrase_file = "keys/passphrase"
public_url = "http://ca.example.net"
ocsp_url = "http://ocsp.example.net/"
tpm_maker_roots = "makers"
[token]
module = "{module}"
label = "{label}"
pin_file = "{pin_file}"
[device]
certificate = "first/server.pem"
key = "first/server.key"
[operator]
certificate = "first/server.pem"
key = "first/server.key"
client_anchors = "first/tls-root.pem"
principals = "principals.json"
"""


def run(command: list[str], *, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    whole = {**os.environ, **environment}
    if command[0] == sys.executable:
        return run_module(command, cwd=ROOT, env=whole)
    return subprocess.run(command, cwd=ROOT, env=whole, capture_output=True, text=True, check=False)


@pytest.mark.requirement("R103")
@pytest.mark.parametrize("algorithm", ["p256", "p384", "rsa"])
def test_the_first_steps_leave_no_key_of_a_ca_on_disk(tmp_path: Path, algorithm: str) -> None:
    token = soft_token(tmp_path)
    environment = {"SOFTHSM2_CONF": str(token.configuration)}
    config = tmp_path / "ca.toml"
    values = {"module": token.module, "label": token.label, "pin_file": token.pin_file}
    config.write_text(TOML.format(folder=tmp_path, **values))
    command = [sys.executable, "-m", "ca.bootstrap"]
    first = tmp_path / "first"
    steps = [
        ("init", "--out", str(first), "--dns", "ca.example.net", "--operators-algorithm", algorithm),
        ("tls", "--out", str(tmp_path / "sho"), "--kind", "client", "--name", "sho-1"),
    ]
    for step, *options in steps:
        done = run([*command, step, "--config", str(config), *options], environment=environment)
        assert done.returncode == 0, done.stderr
        assert PIN not in done.stdout + done.stderr
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["passphrase"]
    verify = [need("openssl"), "verify", "-x509_strict", "-CAfile", str(first / "tls-root.pem")]
    for leaf in (first / "server.pem", first / "admin.pem", tmp_path / "sho" / "sho-1.pem"):
        assert run([*verify, str(leaf)], environment={}).returncode == 0
    root = str(first / "operators-root.pem")
    itself = [need("openssl"), "verify", "-x509_strict", "-CAfile", root, "-check_ss_sig", root]
    assert run(itself, environment={}).returncode == 0


@pytest.mark.negative
def test_a_wrong_pin_stops_the_ca_with_a_remedy_and_without_the_pin(tmp_path: Path) -> None:
    token = soft_token(tmp_path)
    token.pin_file.write_text("00000000\n")
    config = tmp_path / "ca.toml"
    values = {"module": token.module, "label": token.label, "pin_file": token.pin_file}
    config.write_text(TOML.format(folder=tmp_path, **values))
    command = [sys.executable, "-m", "ca.bootstrap", "init", "--config", str(config)]
    done = run(
        [*command, "--out", str(tmp_path / "first"), "--dns", "ca.example.net"],
        environment={"SOFTHSM2_CONF": str(token.configuration)},
    )
    assert done.returncode == 1
    assert "PinIncorrect" in done.stderr
    assert "PIN file" in done.stderr
    assert "00000000" not in done.stdout + done.stderr
