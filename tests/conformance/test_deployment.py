"""systemd and nginx as judges of what lies in deploy/."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.services_file import MODULES
from lab.nodes import EXAMPLES, FRONTS
from tests.house.tree import ROOT
from tests.tools import absent, need

UNITS = ROOT / "deploy" / "systemd"
NGINX = ROOT / "deploy" / "nginx" / "nginx.conf"
INTERPRETER = "/opt/open-pva/bin/python"
EXPOSURE_MAX = 20
"""Of 100, where 100 is a service that nothing is taken away from."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the interpreter of this test, which is there to be run."""
    need("systemd-analyze")
    made = tmp_path / "units"
    shutil.copytree(UNITS, made)
    for path in made.glob("*.d/role.conf"):
        path.write_text(path.read_text().replace(INTERPRETER, sys.executable))
    return made


def judged(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def test_every_role_has_a_unit_and_a_user() -> None:
    roles = {path.name.removeprefix("open-pva@").removesuffix(".service.d") for path in UNITS.glob("*.d")}
    assert roles == set(MODULES)
    for role, module in MODULES.items():
        text = (UNITS / f"open-pva@{role}.service.d" / "role.conf").read_text()
        assert f"{INTERPRETER} -P -m {module} --config /etc/open-pva/{role}.toml" in text
    users = re.findall(r"^u open-pva-(\S+)", (UNITS / "open-pva.sysusers.conf").read_text(), re.MULTILINE)
    assert set(users) == set(MODULES)


@pytest.mark.parametrize("role", sorted(MODULES))
def test_systemd_verifies_the_unit(units: Path, role: str) -> None:
    done = judged("verify", "--man=no", str(units / f"open-pva@{role}.service"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.negative
def test_systemd_sees_a_word_that_it_does_not_know(units: Path) -> None:
    """The judge judges."""
    template = units / "open-pva@.service"
    template.write_text(template.read_text().replace("ProtectHome=yes", "ProtectHomes=yes"))
    done = judged("verify", "--man=no", str(units / "open-pva@ca.service"))
    assert "ProtectHomes" in done.stderr


@pytest.mark.parametrize("role", sorted(MODULES))
def test_systemd_finds_little_exposed(units: Path, role: str) -> None:
    unit = str(units / f"open-pva@{role}.service")
    threshold = f"--threshold={EXPOSURE_MAX}"
    done = judged("security", "--offline=yes", "--no-pager", threshold, unit)
    if "offline" in done.stderr:
        absent("systemd-analyze security --offline", remedy="systemd 250 or newer")
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


@pytest.mark.negative
def test_a_unit_without_its_sandbox_is_too_exposed(units: Path) -> None:
    template = units / "open-pva@.service"
    kept = [
        line for line in template.read_text().splitlines() if not re.match(r"Protect|Restrict|System", line)
    ]
    template.write_text("\n".join(kept) + "\n")
    done = judged(
        "security",
        "--offline=yes",
        "--no-pager",
        f"--threshold={EXPOSURE_MAX}",
        str(units / "open-pva@ca.service"),
    )
    assert done.returncode != 0


WITHOUT_WRITABLE_CODE = """
import ctypes, importlib, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
    sys.exit(77)
for module in sys.argv[1:]:
    importlib.import_module(module)
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
ec.generate_private_key(ec.SECP256R1()).sign(b"", ec.ECDSA(hashes.SHA256()))
"""


def test_services_need_no_memory_that_is_written_and_executed() -> None:
    """`MemoryDenyWriteExecute=` by the kernel's own means: what the services load loads, and signs."""
    command = [sys.executable, "-c", WITHOUT_WRITABLE_CODE, *MODULES.values()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        absent("PR_SET_MDWE", remedy="Linux 6.3 or newer")
    assert done.returncode == 0, done.stderr


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    nginx = need("nginx")
    if not Path("/usr/lib/nginx/modules/ngx_stream_module.so").exists():
        absent("nginx's stream module", remedy="apt-get install libnginx-mod-stream")
    (tmp_path / "run").mkdir()
    text = NGINX.read_text()
    for number, front in enumerate(FRONTS):
        text = text.replace(f"listen {front};", f"listen 127.0.0.1:{40_000 + number};")
    (tmp_path / "nginx.conf").write_text(text)
    command = [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_nginx_ends_no_handshake_and_tells_nobody_who_called() -> None:
    text = re.sub(r"#.*", "", NGINX.read_text())
    assert "ssl" not in text
    assert all(text.count(address) == 1 for address in (*EXAMPLES, *FRONTS))
    headers = re.findall(r"proxy_set_header (\S+)", text)
    assert headers == ["Connection"]
