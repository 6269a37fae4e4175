"""A machine that systemd booted: this one's files under a layer of its own, in namespaces of its own.

What units do to a service (users, credentials, folders, system calls) only a running systemd shows. It gets the files of
this machine to read, a layer in memory to write, and this machine's loopback, so that tests meet its services where they
meet any others. All that it makes ends with it.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tools import need

ROOT = Path(__file__).parents[1]
OPT = Path("/opt/open-pva")
BASE = Path("/opt/open-pva-base")
CODE = Path("/opt/open-pva-code")
BYTECODE = Path("/opt/open-pva-bytecode")
COMES_UP_S = 60.0
ENDS_S = 20.0

NEEDED_UNITS = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
"""What of this machine's own start is wanted; the rest belongs to real hardware."""

BOOT = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=0755 machine "$LAYER"
mkdir "$LAYER/upper" "$LAYER/work" "$LAYER/root"
mount -t overlay machine -o "lowerdir=/,upperdir=$LAYER/upper,workdir=$LAYER/work" "$LAYER/root"
cd "$LAYER/root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=0755 dev dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mkdir dev/shm
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t tmpfs -o mode=0755 run run
mount -t tmpfs -o mode=1777 tmp tmp
while [ $# -gt 0 ]; do
    [ -d "$1" ] && mkdir -p ".$2" || touch ".$2"
    mount --bind "$1" ".$2"
    shift 2
done
mkdir opt/open-pva/bin
ln -s "$BASE/bin/$INTERPRETER" opt/open-pva/bin/python
printf 'home = %s/bin\n' "$BASE" >opt/open-pva/pyvenv.cfg
printf '[Manager]\nDefaultEnvironment=%s\n' "$ENVIRONMENT" >etc/systemd/system.conf
: >etc/machine-id
rm -rf etc/systemd/system
mkdir etc/systemd/system
cp -R "$UNITS/." etc/systemd/system/
cp "$UNITS/open-pva.sysusers.conf" usr/lib/sysusers.d/open-pva.conf
mkdir host
pivot_root . host
umount --lazy /host
rmdir host
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=machine.target --log-target=journal
"""

PROBE = """
mount --make-rprivate / &&
    mount -t overlay probe -o lowerdir=/usr:/etc /mnt &&
    mount -t cgroup2 probe /mnt
"""

MACHINE_TARGET = f"""[Unit]
DefaultDependencies=no
AllowIsolate=yes
Wants={" ".join(NEEDED_UNITS)}
After={" ".join(NEEDED_UNITS)}
"""


class BootedMachine:
    """A machine whose systemd answers; `leader` is its first process, as this machine counts."""

    def __init__(self, leader: int) -> None:
        """`run` enters the namespaces of this process."""
        self.leader = leader

    def command(self, *words: str) -> list[str]:
        """The command that runs `words` inside, as root."""
        return ["nsenter", f"--target={self.leader}", "--mount", "--pid", "--root", "--wd=/", *words]

    def run(self, *words: str, check: bool = True) -> str:
        """What a command inside says on its standard output."""
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, timeout=COMES_UP_S
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit, as `systemctl show` has it."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()


@contextmanager
def booted_machine(folder: Path, *, code: Path, shown: Mapping[Path, Path]) -> Iterator[BootedMachine]:
    """Boot it with the units of deploy/ and this interpreter in their place.

    `code` is what was installed, an unpacked wheel of this checkout; folders are `shown` where they are wanted.
    """
    need("systemctl")
    units, layer = folder / "units", folder / "layer"
    layer.mkdir()
    shutil.copytree(ROOT / "deploy" / "systemd", units)
    (units / "machine.target").write_text(MACHINE_TARGET)
    (units / "sysinit.target").write_text("[Unit]\nDefaultDependencies=no\n")
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LAYER": str(layer),
        "UNITS": str(units),
        "BASE": str(BASE),
        "INTERPRETER": Path(sys.executable).resolve().name,
        "ENVIRONMENT": f"PYTHONPATH={CODE} PYTHONPYCACHEPREFIX={BYTECODE} LD_LIBRARY_PATH={BASE}/lib",
    }
    pairs = [str(path) for pair in (_installed(code) | dict(shown)).items() for path in pair]
    with _group() as entered, (folder / "boot.log").open("wb") as log:
        ends_with_us = ("setpriv", "--pdeathsig=KILL")
        command = [*entered, *ends_with_us, *_unshared("--kill-child"), "/bin/sh", "-c", BOOT, "sh", *pairs]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield _when_it_is_up(process, folder / "boot.log")
        finally:
            process.kill()
            process.wait(ENDS_S)


def need_namespaces() -> None:
    """Skip where this machine does not let its tests boot another: that is a right, and no package provides it."""
    probe = [*_unshared(), "/bin/sh", "-c", PROBE]
    if _unified() is None or subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("to boot systemd, it takes root's right to mount (CAP_SYS_ADMIN), overlayfs and cgroup2")


def _unshared(*options: str) -> list[str]:
    return ["unshare", "--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork", *options, "--"]


def _unified() -> Path | None:
    """Where this machine has its cgroup2."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


@contextmanager
def _group() -> Iterator[list[str]]:
    """A cgroup of the machine's own, and the words that put a command into it."""
    unified = _unified()
    assert unified is not None
    group = unified / f"open-pva-{os.getpid()}"
    group.mkdir()
    try:
        yield ["/bin/sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        deadline = time.monotonic() + ENDS_S
        while group.exists() and time.monotonic() < deadline:
            for inner, _, _ in os.walk(group, topdown=False):
                try:
                    Path(inner).rmdir()
                except OSError:  # its processes are being ended
                    time.sleep(0.05)


def _installed(code: Path) -> dict[Path, Path]:
    """Interpreter and code where an installation has them (where they lie here no service may look), and their bytecode."""
    packages = Path(sysconfig.get_path("purelib"))
    libraries = {Path(sys.base_prefix): BASE, packages: OPT / packages.relative_to(sys.prefix)}
    shown = libraries | {code: CODE}
    if sys.pycache_prefix is not None:
        compiled = {
            Path(f"{sys.pycache_prefix}{source}"): Path(f"{BYTECODE}{target}")
            for source, target in (libraries | {ROOT: CODE}).items()
        }
        shown |= {source: target for source, target in compiled.items() if source.is_dir()}
    return shown


def _when_it_is_up(process: "subprocess.Popen[bytes]", log: Path) -> BootedMachine:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + COMES_UP_S
    while time.monotonic() < deadline and process.poll() is None:
        leaders = children.read_text().split()
        if leaders:
            machine = BootedMachine(int(leaders[0]))
            if machine.run("systemctl", "is-active", "machine.target", check=False).strip() == "active":
                machine.run("systemd-sysusers")
                return machine
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"systemd did not come up: {log.read_text()}")
