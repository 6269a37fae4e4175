"""pkilint, as its user runs it: the exit status is the number of findings."""

import subprocess
import sys
from pathlib import Path

from tests.forked_python import ROOT, run_module
from tests.tools import need_pkilint


def lint(
    tool: str, file: Path, *options: str, severity: str = "WARNING"
) -> "subprocess.CompletedProcess[str]":
    """Judge `file` by the `tool` lint_pkix_cert, lint_crl or lint_ocsp_response; skips where there is no pkilint."""
    need_pkilint()
    command = [sys.executable, "-m", f"pkilint.bin.{tool}", "lint", "-s", severity, *options, str(file)]
    return run_module(command, cwd=ROOT)
