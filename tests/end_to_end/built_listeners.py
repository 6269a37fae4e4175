"""Every listener of a lab's services, built from the services' own settings by the services' own wiring.

`python -m tests.end_to_end.built_listeners FOLDER CRL` serves those with mutual TLS in one process, each following the
CRL of the TLS root at the URL `CRL`, which is read before anybody is let in.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import ocsp.app
import operators.ccif.app
import operators.dpf.app
import operators.drf.app
import operators.icf.app
import operators.sho.app
import operators.vno.app
import pva.app
from ca.composition import compose
from ca.settings import CaSettings
from edge.audit_log import open_log
from edge.database import engine_for
from edge.http_server import Listener, serve
from edge.listener_settings import OperatorListenerSettings
from edge.process import configure_logging, system_clock, system_random
from edge.refused import AnonymousRefusals
from edge.settings import Settings, load_settings
from ocsp.settings import OcspSettings
from operators.ccif.settings import CcifSettings
from operators.dpf.settings import DpfSettings
from operators.drf.settings import DrfSettings
from operators.icf.settings import IcfSettings
from operators.sho.settings import ShoSettings
from operators.vno.schema import ledger
from operators.vno.settings import VnoSettings
from operators.vno.store import Store as VnoStore
from pva.settings import PvaSettings
from tests.applications import Nobody

Door = tuple[str, str]
"""Service and listener."""
RoleFolder = Callable[[str], Path]
SettingsT = TypeVar("SettingsT", bound=Settings)


def ca_applications(folder: RoleFolder) -> dict[Door, Any]:
    """The applications of the CA, which asks its own books who is revoked."""
    ca = compose(load_settings(CaSettings, path=folder("ca") / "ca.toml", environ={}))
    return {("ca", name): getattr(ca, name) for name in ("public", "device", "operator", "est")}


def built_listeners(folder: RoleFolder, *, crl: str | None = None) -> dict[Door, Listener]:
    """The listeners of all other services; with `crl` those with client certificates follow that list."""

    def settings(model: type[SettingsT], name: str) -> SettingsT:
        return _following(load_settings(model, path=folder(name) / f"{name}.toml", environ={}), crl)

    responder = settings(OcspSettings, "ocsp").operator
    assert responder is not None
    desk: Any = Nobody()  # nobody asks: what counts is the routes
    built: dict[str, tuple[Listener, ...]] = {
        "pva": pva.app.build_listeners(settings(PvaSettings, "pva")),
        "ocsp": (ocsp.app.operator_listener(responder, desk),),
        "vno-1": _vno(settings(VnoSettings, "vno-1")),
        "icf-1": operators.icf.app.build(settings(IcfSettings, "icf-1"))[0],
        "ccif-1": operators.ccif.app.build(settings(CcifSettings, "ccif-1"))[0],
        "drf-1": operators.drf.app.build(settings(DrfSettings, "drf-1"))[0],
        "sho-1": operators.sho.app.build(settings(ShoSettings, "sho-1"))[0],
        "dpf-1": operators.dpf.app.build(settings(DpfSettings, "dpf-1"))[0],
    }
    return {(name, each.name): each for name, listeners in built.items() for each in listeners}


def _vno(settings: VnoSettings) -> tuple[Listener, ...]:
    engine, anonymous = engine_for(settings.database), AnonymousRefusals()
    attach = operators.vno.app.build_listener(
        settings, store=VnoStore(engine, random_bytes=system_random), gateway="", anonymous=anonymous
    )
    log = open_log(settings.audit_log, engine, ledger, clock=system_clock)
    return attach, *operators.vno.app.operator_listener(settings, engine, log, anonymous=anonymous)


def _following(settings: SettingsT, crl: str | None) -> SettingsT:
    """The settings with every listener for registered principals following the list."""
    if crl is None:
        return settings
    changed = {
        name: value.model_copy(update={"client_crl": (crl,)})
        for name, value in settings
        if isinstance(value, OperatorListenerSettings)
    }
    return settings.model_copy(update=changed)


def main() -> None:
    """Serve until told to stop."""
    configure_logging(role="test")
    state, crl = Path(sys.argv[1]), sys.argv[2]
    listeners = [
        replace(each, name=f"{door[0]} {door[1]}", port=0)
        for door, each in built_listeners(lambda name: state / name, crl=crl).items()
        if each.tls is not None and each.tls.client_anchors is not None
    ]
    for listener in listeners:
        for task in listener.beside:
            task.work()
    serve(listeners, role="test", profile="lab")


if __name__ == "__main__":
    main()
