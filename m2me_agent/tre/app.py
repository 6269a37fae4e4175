"""The TRE process: reads its settings, opens everything, gives up every right, then answers the agent.

The order matters. Anchors, state directory, boot log, TPM and listener are opened, and every module is
imported, with the rights of whoever starts the TRE; from ``drop_privileges`` on, neither the interpreter
nor the checkout nor any absolute path need be reachable. The environment sets nothing: the settings file is
part of what is measured.
"""

import os
import signal
import socket
import stat
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import click
from cryptography.hazmat.backends.openssl import backend as _loaded_late
from pydantic import Field

from edge.process import (
    PrivilegeError,
    configure_logging,
    drop_privileges,
    logger,
    print_ready,
    system_random,
)
from edge.settings import Settings, SettingsError, SettingsPath, load_settings
from edge.users import UserOption
from m2me_agent.tre.anchors import Anchors, load_anchors
from m2me_agent.tre.attestation import Attestation
from m2me_agent.tre.boot_log import BootLogFile
from m2me_agent.tre.connected_tpm import EK_PROFILES, ConnectedTpm
from m2me_agent.tre.enrollment import Enrollment
from m2me_agent.tre.errors import AnchorError, TreError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.operations import Operations
from m2me_agent.tre.rate_limit import RatePolicy
from m2me_agent.tre.server import Bounds, bind_socket, serve
from m2me_agent.tre.state import TreState
from m2me_agent.tre.store import StateDirectory
from m2me_agent.tre.transports import open_transport
from standards.tpm2.connection import TpmConnection

_ANCHOR_BYTES_MAX = 1 << 16
LOADED_EARLY = (_loaded_late,)
"""What libraries would import at first use, when the interpreter may be out of reach."""


class AnchorSettings(Settings):
    """PEM files of the factory image, relative to the settings file."""

    es_root: SettingsPath
    operators_root: SettingsPath


class RateSettings(Settings):
    """Exchanges that sign: ``burst`` at once, then one in every ``interval_ms`` of TPM clock."""

    burst: int = Field(default=10, ge=1, le=10_000)
    interval_ms: int = Field(default=6_000, ge=1, le=86_400_000)


class TreSettings(Settings):
    """Settings of a TRE. ``tpm`` and ``socket`` are relative to the working directory, files to this file."""

    tpm: Path
    ek: Literal["rsa-2048", "ecc-p384"] = "rsa-2048"
    socket: Path
    agent_uid: int = Field(ge=0)
    state_dir: SettingsPath
    anchors: AnchorSettings
    boot_log: SettingsPath
    purposes: frozenset[Annotated[str, Field(min_length=1)]] = Field(
        default=frozenset({"validation"}), min_length=1
    )
    rate: RateSettings = RateSettings()
    connections_max: int = Field(default=8, ge=1, le=256)
    frame_timeout_s: float = Field(default=10.0, gt=0, le=300)
    log_level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was opened before the rights were given up."""

    operations: Operations
    listener: socket.socket


def open_everything(settings: TreSettings, *, uid: int) -> Opened:
    """Open and wire the TRE that will run as ``uid``.

    Raises:
        TreError: for what cannot be opened, by its subject.
        OSError: the socket cannot be bound.
    """
    anchors = _read_anchors(settings.anchors)
    state = TreState(StateDirectory.open(settings.state_dir, owner_uid=uid))
    boot_log = BootLogFile.open(settings.boot_log)
    connection = TpmConnection(open_transport(settings.tpm), system_random, pause=time.sleep)
    device = ConnectedTpm(connection, profile=EK_PROFILES[settings.ek])
    device.take_over()
    _warn_of_others(settings, uid=uid)
    policy = RatePolicy(burst=settings.rate.burst, interval_ms=settings.rate.interval_ms)
    guard = ExchangeGuard(state, policy=policy)
    enrollment = Enrollment(
        device=device, state=state, guard=guard, anchors=anchors, random_bytes=system_random
    )
    attestation = Attestation(
        device=device,
        state=state,
        guard=guard,
        anchors=anchors,
        boot_log=boot_log,
        purposes=settings.purposes,
    )
    operations = Operations(enrollment=enrollment, attestation=attestation, state=state)
    listener = bind_socket(settings.socket, agent_uid=settings.agent_uid)
    return Opened(operations=operations, listener=listener)


def run(settings: TreSettings, *, user: tuple[int, int] | None) -> None:
    """Open, give up rights, tell that the socket accepts, answer until SIGTERM or SIGINT."""
    configure_logging(role="tre", level=settings.log_level)
    opened = open_everything(settings, uid=os.geteuid() if user is None else user[0])
    if user is not None:
        drop_privileges(*user)
    stopping = _stop_on_signals(opened.listener)
    print_ready("tre", {"socket": str(settings.socket)})
    serve(
        opened.listener,
        answer=opened.operations.answer,
        agent_uid=settings.agent_uid,
        bounds=Bounds(connections_max=settings.connections_max, frame_timeout_s=settings.frame_timeout_s),
        stopping=stopping,
    )


@click.command(help="Run the TRE: the TPM, the anchors and the rules of a device; no network.")
@click.option("--config", required=True, type=click.Path(path_type=Path), help="Settings, TOML.")
@click.option("--user", type=UserOption(), help="Give up root for this user.")
def main(config: Path, user: tuple[int, int] | None) -> None:
    """Entry point of ``m2me-tre``."""
    try:
        run(load_settings(TreSettings, path=config, environ={}), user=user)
    except (SettingsError, TreError, PrivilegeError) as error:
        click.echo(f"m2me-tre: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"m2me-tre: the socket cannot be made: {error.strerror or error}", err=True)
        sys.exit(1)


def _read_anchors(settings: AnchorSettings) -> Anchors:
    return load_anchors(
        es_root_pem=_read_file(settings.es_root), operators_root_pem=_read_file(settings.operators_root)
    )


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_ANCHOR_BYTES_MAX)
    except OSError as error:
        raise AnchorError(
            subject=str(path),
            reason=f"cannot be read: {error.strerror}",
            remedy="put the root's PEM certificate into the image and name it in the settings",
        ) from error


def _warn_of_others(settings: TreSettings, *, uid: int) -> None:
    """Say in the log which promises do not hold because somebody else has this uid or reaches the TPM."""
    if uid == settings.agent_uid:
        logger("tre").warning("agent has the TRE's uid", consequence="files and TPM are not kept from it")
    status = settings.tpm.stat()
    if status.st_uid != uid or stat.S_IMODE(status.st_mode) & 0o077:
        logger("tre").warning(
            "TPM can be reached by others",
            subject=str(settings.tpm),
            remedy=f"give it to uid {uid} with mode 0600",
        )


def _stop_on_signals(listener: socket.socket) -> threading.Event:
    stopping = threading.Event()

    def stop(_signal: int, _frame: object) -> None:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)  # wakes accept

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


if __name__ == "__main__":
    main()
