"""``m2me``: what a person or a timer on the device asks of the agent.

Exit codes: 0 done, 1 refused or failed, 2 usage, 3 a verdict that is not affirming, 4 not reached.

Each command loads what it needs and nothing else, since a device starts it often; all of it before root is given up.
"""

import codecs
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from edge.process import PrivilegeError, drop_privileges, system_random
from edge.settings import SettingsError, load_settings
from edge.users import UserOption
from m2me_agent.agent.errors import AgentError, NotAffirmingError, NotReachedError, RefusedError
from m2me_agent.agent.session import AgentSettings, Session
from m2me_agent.tre_protocol import Operation, Refusal

AFFIRMING = "affirming"
EXIT_ERROR, EXIT_NEGATIVE, EXIT_UNREACHABLE = 1, 3, 4
TOKEN_BYTES_MAX = 32_768
DIGEST_BYTES = 32

Work = Callable[[], int]
"""What is left of a command when everything is loaded and root is given up; its exit code."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--config", required=True, type=click.Path(path_type=Path), help="Settings, TOML."),
        click.option("--user", type=UserOption(), help="Give up root for this user."),
        click.option("-o", "--output", type=click.Choice(["json", "text"]), default="text"),
    ):
        command = option(command)
    return command


@click.group(help="The agent of a device: it carries messages between the TRE and the network.")
def main() -> None:
    """Entry point of ``m2me``."""


@main.command(help="Enrol this device at its supplier's CA; the TRE installs the platform credential.")
@click.option(
    "--station",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of a station without a network: do what is next by its files, and reach nobody.",
)
@_options
def enroll(station: Path | None, config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Carry one enrolment, or one step of it where the station has no network."""

    def over_network(session: Session) -> Work:
        from clients.ca import CaDeviceClient  # noqa: PLC0415 - see above
        from m2me_agent.agent.ca_service import CaService  # noqa: PLC0415
        from m2me_agent.agent.enrollment import enroll as carry  # noqa: PLC0415

        ca = CaService(CaDeviceClient(session.http(session.settings.ca_url, key="ca_url")))

        def work() -> int:
            session.answer({"outcome": "enrolled", **carry(session.tre, ca, sleep=time.sleep)})
            return 0

        return work

    prepare = over_network if station is None else partial(_prepare_step, station=station)
    _run(prepare, config=config, user=user, output=output)


def _prepare_step(session: Session, *, station: Path) -> Work:
    from edge.exchange_folder import ExchangeFolder  # noqa: PLC0415 - see above
    from m2me_agent.agent.enrollment import enroll_at_station as carry  # noqa: PLC0415

    def work() -> int:
        session.answer(carry(session.tre, ExchangeFolder(station)))
        return 0

    return work


@main.command(help="Hand the TRE the connectivity token of the CCIF: its PCID, and the key for it, sealed.")
@click.option("--token", required=True, type=click.File("rb"), help="File with the token, - for stdin.")
@_options
def connect(token: Any, config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Carry one connectivity credential, in the factory."""

    def prepare(session: Session) -> Work:
        text = token.read(TOKEN_BYTES_MAX + 1).decode("ascii", errors="replace").strip()

        def work() -> int:
            installed = session.tre.ask(Operation.INSTALL_CONNECTIVITY, {"token": text})
            session.answer({"outcome": "connected", **installed})
            return 0

        return work

    _run(prepare, config=config, user=user, output=output)


@main.command(help="Answer the PVA whenever it asks, until this command is ended: continuous validation.")
@click.option(
    "--pause-s",
    type=click.FloatRange(min=0.1, max=86_400),
    default=30.0,
    show_default=True,
    help="How long to wait between two looks.",
)
@_options
def watch(pause_s: float, config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Carry one attestation after another."""

    def prepare(session: Session) -> Work:
        from clients.pva import PvaDeviceClient  # noqa: PLC0415 - see above
        from m2me_agent.agent.pva_service import PvaService  # noqa: PLC0415
        from m2me_agent.agent.watch import watch as carry  # noqa: PLC0415

        pva = PvaService(PvaDeviceClient(session.http(session.settings.pva_url, key="pva_url")))

        def work() -> int:
            carry(session.tre, pva, pause_s=pause_s, sleep=time.sleep, tell=session.answer)
            return 0

        return work

    _run(prepare, config=config, user=user, output=output)


@main.command(help="Answer the PVA's challenge with evidence of this device's state.")
@_options
def attest(config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Carry one attestation; exit 3 if its result is not affirming."""

    def prepare(session: Session) -> Work:
        from clients.pva import PvaDeviceClient  # noqa: PLC0415 - see above
        from m2me_agent.agent.attestation import attest as carry  # noqa: PLC0415
        from m2me_agent.agent.pva_service import PvaService  # noqa: PLC0415

        pva = PvaService(PvaDeviceClient(session.http(session.settings.pva_url, key="pva_url")))

        def work() -> int:
            verdict = carry(session.tre, pva, sleep=time.sleep)
            session.answer({"outcome": verdict.status, "result_id": verdict.result_id})
            return 0 if verdict.status == AFFIRMING else EXIT_NEGATIVE

        return work

    _run(prepare, config=config, user=user, output=output)


@main.command(help="Attach to the visited network with the PCID, and show the bearer (steps 1 to 4).")
@_options
def attach(config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Attach once, for diagnosis; the bearer's secret is not shown."""

    def prepare(session: Session) -> Work:
        from clients.vno import VnoClient  # noqa: PLC0415 - see above
        from m2me_agent.agent.attachment import attach as carry  # noqa: PLC0415
        from m2me_agent.agent.bearer_services import VnoService  # noqa: PLC0415
        from m2me_agent.agent.ports import read_device  # noqa: PLC0415

        vno = VnoService(VnoClient(session.http(session.settings.vno_url, key="vno_url")))

        def work() -> int:
            bearer = carry(session.tre, vno, read_device(session.tre), tell=session.tell).bearer
            session.answer(
                {
                    "outcome": "attached",
                    "gateway": bearer.gateway,
                    "apn": bearer.apn,
                    "destinations": list(bearer.destinations),
                    "quota_bytes": bearer.quota_bytes,
                    "expires_at": f"{bearer.expires_at:%Y-%m-%dT%H:%M:%SZ}",
                }
            )
            return 0

        return work

    _run(prepare, config=config, user=user, output=output)


@main.command(help="Go the whole way to an active subscription, or what is left of it (steps 1 to 14).")
@click.option("--choice", help="Id of the home operator of the user's choice.")
@click.option(
    "--consent-timeout-s",
    type=click.FloatRange(min=0, max=86_400),
    default=60.0,
    show_default=True,
    help="How long a person at the device may take to agree.",
)
@click.option(
    "--bearer",
    type=click.File("rb"),
    help="File with a bearer of a subscription that serves already: everything goes over it.",
)
@_options
def provision(  # noqa: PLR0917 - click hands options over by name
    choice: str | None,
    consent_timeout_s: float,
    bearer: Any,
    config: Path,
    user: tuple[int, int] | None,
    output: str,
) -> None:
    """Carry the journey; each step is printed as it is done, with -o json as one object a line."""

    def prepare(session: Session) -> Work:
        from m2me_agent.agent.journey import provision as carry  # noqa: PLC0415 - see above
        from m2me_agent.agent.kept_bearer import BEARER_BYTES_MAX, decode_bearer  # noqa: PLC0415
        from m2me_agent.agent.ports import Patience  # noqa: PLC0415
        from m2me_agent.agent.registration import Wishes  # noqa: PLC0415

        kept = None if bearer is None else decode_bearer(bearer.read(BEARER_BYTES_MAX + 1))
        way = replace(_way(session), bearer=kept)
        wishes = Wishes(
            choice=choice,
            supplier=session.settings.supplier or None,
            consent=Patience(first_s=0.05, total_s=consent_timeout_s),
        )

        def work() -> int:
            arrival = carry(way, wishes)
            told = {name: getattr(arrival, name) for name in ("mid_id", "sho_name", "order_code")}
            named = {name: value for name, value in told.items() if value}
            session.answer({"outcome": arrival.outcome, "elapsed_ms": session.elapsed_ms(), **named})
            return 0 if arrival.outcome == "active" else EXIT_ERROR

        return work

    _run(prepare, config=config, user=user, output=output)


@main.command("prepare-update", help="Fetch the owners' approvals of the state after an update, for the TRE.")
@click.option(
    "--manifest", required=True, help="Digest of the update's signed manifest, 64 hexadecimal digits."
)
@_options
def prepare_update(manifest: str, config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Carry approvals over the device's bearer, while the old state runs; exit 1 unless every owner gave them."""

    def prepare(session: Session) -> Work:
        from m2me_agent.agent.attachment import attach as carry_attach  # noqa: PLC0415 - see above
        from m2me_agent.agent.ports import read_device  # noqa: PLC0415
        from m2me_agent.agent.update import prepare as carry  # noqa: PLC0415

        digest = _digest(manifest)
        if not session.settings.dpf_url:
            raise ValueError("dpf_url: is missing, expected the URL of the DPF that provisioned this device")
        way = _way(session)

        def work() -> int:
            device = read_device(session.tre)

            def dpf() -> Any:
                attachment = carry_attach(session.tre, way.network, device, tell=session.tell)
                return way.services.dpf(attachment, session.settings.dpf_url)

            done = carry(session.tre, dpf, device, manifest_digest=digest, sleep=time.sleep)
            all_prepared = all(each.outcome == "prepared" for each in done)
            session.answer(
                {
                    "outcome": "prepared" if all_prepared else "not prepared",
                    "owners": [{"sho": each.sho, "outcome": each.outcome} for each in done],
                }
            )
            return 0 if all_prepared else EXIT_ERROR

        return work

    _run(prepare, config=config, user=user, output=output)


@main.command(help="Ask the owners of this device's MIDs what they want of them, and have the TRE do it.")
@click.option(
    "--every-s",
    type=click.FloatRange(min=1, max=86_400),
    help="Ask again after so many seconds, until this command is ended: what an owner orders comes by itself.",
)
@_options
def follow(every_s: float | None, config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Carry owners' words over the device's bearer; exit 1 unless every owner wants nothing more."""

    def prepare(session: Session) -> Work:
        from m2me_agent.agent.attachment import attach as carry_attach  # noqa: PLC0415 - see above
        from m2me_agent.agent.lives import Following, follow_all, go_on  # noqa: PLC0415
        from m2me_agent.agent.mid_update import Updating  # noqa: PLC0415
        from m2me_agent.agent.ports import read_device  # noqa: PLC0415

        if not session.settings.dpf_url:
            raise ValueError("dpf_url: is missing, expected the URL of the DPF that provisioned this device")
        way = _way(session)

        def once() -> int:
            device = read_device(session.tre)
            attachment = carry_attach(session.tre, way.network, device, tell=session.tell)
            updating = Updating(
                way=way,
                attachment=attachment,
                device=device,
                pva_url=session.settings.pva_url,
                dpf_url=session.settings.dpf_url,
            )
            updating.finish()
            done = follow_all(
                Following(
                    tre=session.tre,
                    dpf=way.services.dpf(attachment, session.settings.dpf_url),
                    device=device,
                    pace=way.pace,
                    update=lambda order: updating.update(order).outcome,
                )
            )
            all_done = all(each.outcome == "done" for each in done)
            owners = [{"sho": each.sho, "outcome": each.outcome, "steps": list(each.steps)} for each in done]
            session.answer({"outcome": "done" if all_done else "not done", "owners": owners})
            return 0 if all_done else EXIT_ERROR

        def work() -> int:
            if every_s is not None:
                go_on(once, every_s=every_s, sleep=time.sleep, tell=partial(_report, output=output))
            return once()

        return work

    _run(prepare, config=config, user=user, output=output)


@main.command(
    "renew-credential", help="Fetch this device's newest platform credential from its supplier's CA."
)
@_options
def renew_credential(config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Carry the credential that follows an update; the TRE retires the old state when it has it."""

    def prepare(session: Session) -> Work:
        from clients.ca import CaDeviceClient  # noqa: PLC0415 - see above
        from m2me_agent.agent.ca_service import CaService  # noqa: PLC0415
        from m2me_agent.agent.update import renew as carry  # noqa: PLC0415

        ca = CaService(CaDeviceClient(session.http(session.settings.ca_url, key="ca_url")))

        def work() -> int:
            session.answer({"outcome": "renewed", **carry(session.tre, ca, sleep=time.sleep)})
            return 0

        return work

    _run(prepare, config=config, user=user, output=output)


@main.command(help="Show device id, platform credential, PCID and subscriptions.")
@_options
def status(config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Ask the TRE; nothing leaves the device."""

    def prepare(session: Session) -> Work:
        def work() -> int:
            found = session.tre.ask(Operation.STATUS)["status"]
            session.answer(
                {
                    "outcome": "enrolled" if found.get("credential") else "not enrolled",
                    **found,
                    **_mids(session),
                }
            )
            return 0

        return work

    _run(prepare, config=config, user=user, output=output)


def _way(session: Session) -> Any:
    """Everything that a journey needs, loaded and wired."""
    from clients.vno import VnoClient  # noqa: PLC0415 - see above
    from m2me_agent.agent.bearer_services import BearerServices, VnoService  # noqa: PLC0415
    from m2me_agent.agent.journey import Travelling  # noqa: PLC0415
    from m2me_agent.agent.ports import Pace, Patience  # noqa: PLC0415
    from m2me_agent.agent.shelf import DiskShelf  # noqa: PLC0415

    settings = session.settings
    if not settings.drf_url:
        raise ValueError("drf_url: is missing, expected the URL of the service")
    return Travelling(
        tre=session.tre,
        network=VnoService(VnoClient(session.http(settings.vno_url, key="vno_url"))),
        services=BearerServices(
            drf_url=settings.drf_url, tls=session.context(), timeout_s=settings.timeout_s
        ),
        shelf=DiskShelf(session.folder()),
        random_bytes=system_random,
        pace=Pace(
            patience=Patience(total_s=settings.delivery_timeout_s), sleep=time.sleep, tell=session.tell
        ),
    )


def _digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise ValueError(f"--manifest: expected {2 * DIGEST_BYTES} hexadecimal digits")
    return digest


def _mids(session: Session) -> Mapping[str, Any]:
    try:
        return session.tre.ask(Operation.MIDS)
    except RefusedError as refused:
        return {"mids": f"not to be seen: {refused.refusal.reason}"}


def _run(
    prepare: Callable[[Session], Work], *, config: Path, user: tuple[int, int] | None, output: str
) -> None:
    try:
        session = Session(load_settings(AgentSettings, path=config), user=user, output=output)
        work = prepare(session)
        # host names and times need modules of their own later, when the interpreter may be out of reach
        codecs.lookup("idna")
        time.strptime("1970", "%Y")
        if user is not None:
            drop_privileges(*user)
        sys.exit(work())
    except NotAffirmingError as error:
        said = {"outcome": "not-affirming", "status": error.status, "result_id": error.result_id}
        _report(error.refusal, output=output, said=said)
        sys.exit(EXIT_NEGATIVE)
    except AgentError as error:
        _report(error.refusal, output=output)
        sys.exit(EXIT_UNREACHABLE if isinstance(error, NotReachedError) else EXIT_ERROR)
    except (SettingsError, PrivilegeError, ValueError, OSError) as error:
        refusal = Refusal(
            code="settings", subject=str(config), reason=str(error), remedy="correct the agent's settings"
        )
        _report(refusal, output=output)
        sys.exit(EXIT_ERROR)


def _report(refusal: Refusal, *, output: str, said: Mapping[str, str] | None = None) -> None:
    if output == "json":
        parts = {name: getattr(refusal, name) for name in ("code", "subject", "reason", "remedy")}
        click.echo(json.dumps({"outcome": "refused", **(said or {}), "error": parts}, sort_keys=True))
        return
    click.echo(f"{refusal.subject}: {refusal.reason}", err=True)
    click.echo(f"what to do: {refusal.remedy}", err=True)


if __name__ == "__main__":
    main()
