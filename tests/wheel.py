"""The wheel of this checkout: what an installation has, and nothing that lies beside it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def unpacked_wheel(folder: Path) -> Path:
    """Build the wheel and unpack it below `folder`, as an installer does; its files have the times of those they are copies of.

    So what was compiled of the checkout is good for it.
    """
    words = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    place = folder / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    for path in place.rglob("*"):
        source = ROOT / path.relative_to(place)
        if path.is_file() and source.is_file():
            times = source.stat()
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return place
