"""`python -m pva.app --config FILE`: reads the settings, opens keys and store, wires and serves the PVA.

Rule: the only place of this room that reads settings, the clock and the random generator. Challenges and results
are signed with two different keys; the process refuses to start with one key in both places (D14).
"""

import sys
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from edge.database import engine_for, migrate
from edge.http_server import Listener, ListenerError, serve
from edge.keys import KeyFileError
from edge.principals import PrincipalTable, PrincipalTableError
from edge.process import configure_logging, system_clock, system_random
from edge.settings import SettingsError, load_settings
from edge.signing_keys import SigningKeyError
from messages.evidence import EVIDENCE_BYTES_MAX
from pva.credential_status import CredentialStatusSource
from pva.recognition import RecognitionDesk
from pva.reference_store import ReferenceStore
from pva.requests import ChallengeSigner, RequestDesk
from pva.result import ResultSigner
from pva.settings import PvaSettings
from pva.store import Store
from pva.validation import Verifier
from pva.web.device import device_app
from pva.web.operator import MANIFEST_BYTES_MAX, operator_app
from pva.web.refusal_answers import AnonymousRefusals
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.fingerprints import decode_pem_certificates, spki_der

MIGRATIONS = Path(__file__).parent / "migrations"
_USAGE_OR_SETTINGS = 2
"""Exit status of a process that cannot be started as asked."""


class WiringError(Exception):
    """The settings are well-formed, but what they name does not fit together."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True)
def main(config: Path) -> None:
    """Run the Platform Validation Authority until SIGTERM."""
    try:
        settings = load_settings(PvaSettings, path=config)
        configure_logging(role="pva", level=settings.log_level)
        listeners = build_listeners(settings)
        serve(listeners, role="pva", profile=settings.profile)
    except (
        SettingsError,
        KeyFileError,
        PrincipalTableError,
        ListenerError,
        SigningKeyError,
        PkiError,
        WiringError,
        OSError,
    ) as error:
        click.echo(f"pva: {error}", err=True)
        sys.exit(_USAGE_OR_SETTINGS)


def build_listeners(settings: PvaSettings) -> tuple[Listener, ...]:
    """Build everything that the settings describe; serves nothing yet."""
    engine = engine_for(settings.database)
    migrate(engine, MIGRATIONS)
    store = Store(engine, random_bytes=system_random)
    references = ReferenceStore(engine, random_bytes=system_random)
    anchors = decode_pem_certificates(settings.operators_root.read_bytes())
    now = system_clock()
    challenge_key, challenge_chain = settings.challenge_key.load(
        anchors=anchors, eku=oids.EKU_CHALLENGE, at=now
    )
    result_key, result_chain = settings.result_key.load(
        anchors=anchors, eku=oids.EKU_ATTESTATION_RESULT, at=now
    )
    if spki_der(challenge_key.public_key()) == spki_der(result_key.public_key()):
        raise WiringError("challenge_key and result_key are one key: make a second one (D14)")
    desk = RequestDesk(
        store=store,
        signer=ChallengeSigner(key=challenge_key, chain=challenge_chain, issuer=settings.issuer),
        random_bytes=system_random,
        pcr_selections=settings.pcr_selections,
        request_life=timedelta(seconds=settings.request_life_s),
        challenge_life=timedelta(seconds=settings.challenge_life_s),
    )
    verifier = Verifier(
        store=store,
        references=references,
        status_of=CredentialStatusSource(
            timeout_s=settings.ocsp_timeout_s, random_bytes=system_random, clock=system_clock
        ),
        policy=settings.policy(),
        challenge_certificate=challenge_chain[0],
        challenge_anchors=anchors,
        issuer=settings.issuer,
        signer=ResultSigner(
            key=result_key,
            chain=result_chain,
            issuer=settings.issuer,
            developer=settings.developer,
            build=_build(),
            random_bytes=system_random,
        ),
    )
    anonymous = AnonymousRefusals()
    return (
        Listener(
            name="device",
            host=settings.device.host,
            port=settings.device.port,
            app=device_app(desk=desk, verifier=verifier, clock=system_clock, anonymous=anonymous),
            tls=settings.device.tls(),
            body_bytes_max=EVIDENCE_BYTES_MAX,
        ),
        Listener(
            name="operator",
            host=settings.operator.host,
            port=settings.operator.port,
            app=operator_app(
                desk=desk,
                recognition=RecognitionDesk(store=references, policy=settings.policy()),
                callers=store,
                principals=PrincipalTable.load(
                    settings.operator.principals, anchors=settings.operator.client_anchors
                ),
                clock=system_clock,
                anonymous=anonymous,
            ),
            tls=settings.operator.tls(client_anchors=settings.operator.client_anchors),
            body_bytes_max=MANIFEST_BYTES_MAX,
        ),
    )


def _build() -> str:
    """Which build judges: the installed version, or a checkout that is run in place."""
    try:
        return f"open-pva {version('open-pva')}"
    except PackageNotFoundError:
        return "open-pva from a checkout"


if __name__ == "__main__":
    main()
