"""A SoftHSM token of a test's own: another judge of PKCS#11 than ourselves, and none that anybody trusts."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from edge.keys import write_private_file
from tests.tools import absent, need

PIN = "81925773"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")


@dataclass(frozen=True, kw_only=True)
class SoftToken:
    """A token that is ready; `configuration` is for the variable SOFTHSM2_CONF."""

    module: Path
    label: str
    pin_file: Path
    configuration: Path


def soft_token(folder: Path, *, label: str = "pva-test") -> SoftToken:
    """Make a token below `folder`."""
    tool = need("softhsm2-util")
    module = next((Path(each) for each in MODULES if Path(each).exists()), None)
    if module is None:
        absent("libsofthsm2.so", remedy="apt-get install softhsm2")
        raise AssertionError
    (folder / "tokens").mkdir(mode=0o700, parents=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    made = [tool, "--init-token", "--free", "--label", label, "--so-pin", "44556677", "--pin", PIN]
    subprocess.run(made, env={"SOFTHSM2_CONF": str(configuration)}, check=True, capture_output=True)
    pin_file = folder / "private" / "pin"
    write_private_file(pin_file, PIN.encode() + b"\n")
    return SoftToken(module=module, label=label, pin_file=pin_file, configuration=configuration)
