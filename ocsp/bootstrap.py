"""Make the responder's key before its first start: `python -m ocsp.bootstrap --config FILE`.

Prints one JSON line with the digest of the key. The CA delegates to keys that it has in its configuration
(`responder_keys`) and to no others, so the line goes there. Run again, it prints the same line.
"""

import json
from pathlib import Path

import click

from edge.keys import KeyFileError, create_passphrase, create_private_key, load_private_key
from edge.process import system_random
from edge.settings import SettingsError, load_settings
from ocsp.settings import OcspSettings
from standards.pki.fingerprints import spki_sha256


def initialise(key: Path, *, passphrase_file: Path) -> str:
    """Make passphrase and key where they are missing; SHA-256 of the key's SubjectPublicKeyInfo, hexadecimal."""
    if not passphrase_file.exists():
        create_passphrase(passphrase_file, random_bytes=system_random)
    made = load_private_key if key.exists() else create_private_key
    return spki_sha256(made(key, passphrase_file=passphrase_file).public_key())


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True, help="TOML file")
def main(config: Path) -> None:
    """Make the key of the OCSP responder."""
    try:
        settings = load_settings(OcspSettings, path=config)
        digest = initialise(settings.key.key, passphrase_file=settings.key.passphrase_file)
    except (SettingsError, KeyFileError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps({"responder_key": digest}))


if __name__ == "__main__":
    main()
