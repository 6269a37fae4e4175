"""What tests need from the machine: outside judges by name, and the optional folder of real vectors.

A tool that is missing skips its test with the package that provides it; under CI it fails, so that a
green run there means that every judge has spoken.
"""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGES = {
    "swtpm": "swtpm",
    "swtpm_setup": "swtpm-tools",
    "swtpm_localca": "swtpm-tools",
    "tpm2_checkquote": "tpm2-tools",
    "tpm2_eventlog": "tpm2-tools",
    "tpm2_makecredential": "tpm2-tools",
    "tpm2_print": "tpm2-tools",
    "tpm2_quote": "tpm2-tools",
    "openssl": "openssl",
    "ocsptool": "gnutls-bin",
    "certtool": "gnutls-bin",
    "curl": "curl",
    "objcopy": "binutils",
    "pesign": "pesign",
    "nginx": "nginx-light",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "softhsm2-util": "softhsm2",
    "chromium": "chromium",
    "systemd-analyze": "systemd",
    "pg_dump": "postgresql-client",
}


def in_ci() -> bool:
    """Whether a missing tool is a failure."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def absent(what: str, *, remedy: str) -> None:
    """Skip, or under CI fail, because something outside the project is missing."""
    sentence = f"{what} is missing: {remedy}"
    if in_ci():
        pytest.fail(sentence)
    pytest.skip(sentence)


def only_deep(request: pytest.FixtureRequest) -> None:
    """Skip what is too long for every run: `./dev test --deep` plays it, and so does `./dev demo` by its own name."""
    if request.config.getoption("--hypothesis-profile") != "deep":
        pytest.skip("with --deep: it takes minutes")


def need(tool: str) -> str:
    """Path of an outside tool; skips (fails under CI) with the Debian package that provides it."""
    path = shutil.which(tool)
    if path is None:
        absent(tool, remedy=f"apt-get install {PACKAGES.get(tool, tool)}")
    return str(path)


def need_pkilint() -> None:
    """The linter of certificates, CRLs and OCSP responses, which is a Python package."""
    if find_spec("pkilint") is None:
        absent("pkilint", remedy="pip install 'open-pva[conformance]'")


def shared_vectors() -> Path:
    """Folder of vectors from real machines, named by PVA_TEST_VECTORS."""
    named = os.environ.get("PVA_TEST_VECTORS", "")
    if not named or not Path(named).is_dir():
        absent("the folder of real vectors", remedy="name it in PVA_TEST_VECTORS")
    return Path(named)


def need_cryptography_vectors() -> Path:
    """The folder `x509` of the vectors that the `cryptography` package is tested with."""
    found = find_spec("cryptography_vectors")
    if found is None or found.origin is None:
        absent("cryptography-vectors", remedy="pip install 'open-pva[pki-oracle]'")
    return Path(str(found.origin if found else "")).parent / "x509"
