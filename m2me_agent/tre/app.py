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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

import click
from cryptography.hazmat.backends.openssl import backend as _loaded_late
from pydantic import Field, model_validator

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
from m2me_agent.tre.boot_log import BootLogFile
from m2me_agent.tre.connected_tpm import EK_PROFILES, ConnectedTpm
from m2me_agent.tre.errors import AnchorError, NotEnrolledError, TreError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.mid_rules import FULL_RULES, Rules, rules_of_device
from m2me_agent.tre.operations import MmiOperations, Operations
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.rate_limit import RatePolicy
from m2me_agent.tre.server import Bounds, bind_socket, serve
from m2me_agent.tre.state import TreState
from m2me_agent.tre.store import StateDirectory
from m2me_agent.tre.transports import open_transport
from m2me_agent.tre.wiring import Parts, wire
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
    """Settings of a TRE. ``tpm`` and the sockets are relative to the working directory, files to this file.

    ``mmi_socket`` and ``mmi_uid`` are where a person consents to orders, and as whom; ``ownership`` is the file of the
    supplier's ownership record (a token), which stands for that consent; ``device_policy`` that of its policy for every
    MID here (a token), without which everything that this TRE can do is allowed. ``ima_log`` is ``binary_runtime_measurements``
    of a kernel with IMA.
    """

    tpm: Path
    ek: Literal["rsa-2048", "ecc-p384"] = "rsa-2048"
    socket: Path
    agent_uid: int = Field(ge=0)
    state_dir: SettingsPath
    anchors: AnchorSettings
    boot_log: Literal["none"] | SettingsPath
    ima_log: SettingsPath | None = None
    mmi_socket: Path | None = None
    mmi_uid: int | None = Field(default=None, ge=0)
    ownership: SettingsPath | None = None
    device_policy: SettingsPath | None = None
    purposes: frozenset[Annotated[str, Field(min_length=1)]] = Field(
        default=frozenset({"validation", "recovery"}), min_length=1
    )
    rate: RateSettings = RateSettings()
    connections_max: int = Field(default=8, ge=1, le=256)
    frame_timeout_s: float = Field(default=10.0, gt=0, le=300)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _mmi_is_whole(self) -> Self:
        if (self.mmi_socket is None) != (self.mmi_uid is None):
            raise ValueError("mmi_socket and mmi_uid: expected both or none of them")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was opened before the rights were given up."""

    operations: Operations
    listener: socket.socket
    mmi_operations: MmiOperations
    mmi_listener: socket.socket | None


def open_everything(settings: TreSettings, *, uid: int) -> Opened:
    """Open and wire the TRE that will run as ``uid``.

    Raises:
        TreError: for what cannot be opened, by its subject.
        OSError: the socket cannot be bound.
    """
    anchors = _read_anchors(settings.anchors)
    storage = StateDirectory.open(settings.state_dir, owner_uid=uid)
    state = TreState(storage)
    boot_log = None if settings.boot_log == "none" else BootLogFile.open(settings.boot_log)
    ima_log = None if settings.ima_log is None else BootLogFile.open(settings.ima_log, what="IMA list")
    connection = TpmConnection(open_transport(settings.tpm), system_random, pause=time.sleep)
    device = ConnectedTpm(connection, profile=EK_PROFILES[settings.ek])
    device.take_over()
    _warn_of_others(settings, uid=uid)
    guard = ExchangeGuard(
        state, policy=RatePolicy(burst=settings.rate.burst, interval_ms=settings.rate.interval_ms)
    )
    parts = Parts(
        device=device, state=state, storage=storage, guard=guard, anchors=anchors, random_bytes=system_random
    )
    operations = wire(
        parts,
        boot_log=boot_log,
        ima_log=ima_log,
        purposes=settings.purposes,
        ownership=None if settings.ownership is None else _read_token(settings.ownership),
        rules=_read_rules(settings.device_policy, anchors),
    )
    _open_vault(operations)
    listener = bind_socket(settings.socket, agent_uid=settings.agent_uid)
    mmi_listener = None
    if settings.mmi_socket is not None and settings.mmi_uid is not None:
        mmi_listener = bind_socket(settings.mmi_socket, agent_uid=settings.mmi_uid)
    return Opened(
        operations=operations,
        listener=listener,
        mmi_operations=MmiOperations(orders=operations.orders, mids=operations.mids),
        mmi_listener=mmi_listener,
    )


def run(settings: TreSettings, *, user: tuple[int, int] | None) -> None:
    """Open, give up rights, tell that the socket accepts, answer until SIGTERM or SIGINT."""
    configure_logging(role="tre", level=settings.log_level)
    opened = open_everything(settings, uid=os.geteuid() if user is None else user[0])
    if user is not None:
        drop_privileges(*user)
    listeners = [each for each in (opened.listener, opened.mmi_listener) if each is not None]
    stopping = _stop_on_signals(listeners)
    bounds = Bounds(connections_max=settings.connections_max, frame_timeout_s=settings.frame_timeout_s)
    one_at_a_time = threading.Lock()
    if opened.mmi_listener is not None and settings.mmi_uid is not None:
        mmi = partial(
            serve,
            opened.mmi_listener,
            answer=opened.mmi_operations.answer,
            agent_uid=settings.mmi_uid,
            bounds=bounds,
            stopping=stopping,
            one_at_a_time=one_at_a_time,
        )
        threading.Thread(target=mmi, name="mmi", daemon=True).start()
    print_ready("tre", _ready(settings))
    serve(
        opened.listener,
        answer=opened.operations.answer,
        agent_uid=settings.agent_uid,
        bounds=bounds,
        stopping=stopping,
        one_at_a_time=one_at_a_time,
    )


def _ready(settings: TreSettings) -> dict[str, str]:
    listeners = {"socket": str(settings.socket)}
    if settings.mmi_socket is not None:
        listeners["mmi_socket"] = str(settings.mmi_socket)
    return listeners


def _open_vault(operations: Operations) -> None:
    """Open what opens in this state; a TRE whose vault stays closed still enrols, attests and takes packages."""
    try:
        operations.open_vault()
    except NotEnrolledError:
        return
    except TreError as error:
        logger("tre").warning("vault closed", refused=error.code, subject=error.subject, reason=error.reason)


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


def _read_rules(path: Path | None, anchors: Anchors) -> Rules:
    """What this device allows; a policy that is named and cannot be believed keeps the TRE from starting."""
    if path is None:
        return FULL_RULES
    tokens = OperatorTokens(anchors=anchors, known_time=None)
    return rules_of_device(tokens.device_policy(_read_token(path)))


def _read_token(path: Path) -> str:
    return _read_file(path).decode("ascii", "replace").strip()


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_ANCHOR_BYTES_MAX)
    except OSError as error:
        raise AnchorError(
            subject=str(path),
            reason=f"cannot be read: {error.strerror}",
            remedy="put the file into the image and name it in the settings",
        ) from error


def _warn_of_others(settings: TreSettings, *, uid: int) -> None:
    """Say in the log which promises do not hold because somebody else has this uid or reaches the TPM."""
    if settings.mmi_uid == settings.agent_uid:
        logger("tre").warning("agent has the MMI's uid", consequence="it can consent to orders itself")
    if uid == settings.agent_uid:
        logger("tre").warning("agent has the TRE's uid", consequence="files and TPM are not kept from it")
    status = settings.tpm.stat()
    if status.st_uid != uid or stat.S_IMODE(status.st_mode) & 0o077:
        logger("tre").warning(
            "TPM can be reached by others",
            subject=str(settings.tpm),
            remedy=f"give it to uid {uid} with mode 0600",
        )


def _stop_on_signals(listeners: Sequence[socket.socket]) -> threading.Event:
    stopping = threading.Event()

    def stop(_signal: int, _frame: object) -> None:
        stopping.set()
        for listener in listeners:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


if __name__ == "__main__":
    main()
