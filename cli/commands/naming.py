"""How a person names a certificate or a device: by a file, or by numbers as the services print them."""

import re
from pathlib import Path

import click
from cryptography import x509

from cli.failures import CliError
from cli.files import read_certificate
from standards.pki.fingerprints import CA_ID_HEX_DIGITS, ca_id

_CA_ID = re.compile(rf"[0-9a-f]{{{CA_ID_HEX_DIGITS}}}")
_SERIAL = re.compile(r"[0-9A-Fa-f]{1,40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
REASONS = (
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    "privilegeWithdrawn",
)
"""Reasons for a revocation by their names in RFC 5280, section 5.3.1; the CA decides which it takes."""


class Issuer(click.ParamType[str]):
    """A CA: its certificate's PEM file, or its id (32 hexadecimal digits)."""

    name = "CA_ID|FILE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The id."""
        text = str(value)
        if Path(text).is_file():
            return ca_id(_certificate(self, text, param, ctx))
        if _CA_ID.fullmatch(text):
            return text
        return self.fail(
            f"{text!r}: expected a PEM file, or {CA_ID_HEX_DIGITS} hexadecimal digits", param, ctx
        )


class Serial(click.ParamType[int]):
    """A certificate: its PEM file, or its serial number in hexadecimal."""

    name = "SERIAL|FILE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The serial number."""
        if isinstance(value, int):
            return value
        text = str(value)
        if Path(text).is_file():
            return _certificate(self, text, param, ctx).serial_number
        if _SERIAL.fullmatch(text):
            return int(text, 16)
        return self.fail(f"{text!r}: expected a PEM file, or a serial number in hexadecimal", param, ctx)


class Sha256(click.ParamType[str]):
    """A SHA-256 digest, such as a device id: 64 lower-case hexadecimal digits."""

    name = "SHA256"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The digits."""
        text = str(value)
        if _SHA256.fullmatch(text):
            return text
        return self.fail(f"{text!r}: expected 64 lower-case hexadecimal digits", param, ctx)


def _certificate(
    kind: click.ParamType[object] | click.ParamType[str] | click.ParamType[int],
    path: str,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> x509.Certificate:
    try:
        return read_certificate(Path(path))
    except CliError as error:
        return kind.fail(f"{path}: {error.failure.reason}", param, ctx)
