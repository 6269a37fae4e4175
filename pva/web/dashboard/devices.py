"""Devices: the fleet as a list, one device, and one validation with its fourteen steps and its explained verdict."""

import re
from datetime import datetime
from typing import Any, Final

from flask import Flask, render_template, request

from edge.principals import current_principal, require
from edge.process import Clock
from pva.appraisal.findings import finding_rule
from pva.fleet.fleet import SUPPLIER, Filter, Outcome
from pva.manifests.recognition import RecognitionDesk
from pva.refusals import RefusalCode, RefusalError
from pva.results.explanation import Explanation
from pva.web.dashboard.desks import DashboardDesks
from pva.web.dashboard.page import FLEET, page_number, reader

_PREFIX: Final = re.compile(r"[0-9a-f]{0,64}")
_DEVICE: Final = re.compile(r"[0-9a-f]{64}")
_SUPPLIER_MAX: Final = 128


def add_devices(app: Flask, desks: DashboardDesks, *, clock: Clock) -> None:
    """Add the pages of devices and validations."""
    _add_lists(app, desks, clock)
    _add_validations(app, desks, clock)


def _add_lists(app: Flask, desks: DashboardDesks, clock: Clock) -> None:
    fleet = desks.fleet

    @app.get("/devices")
    @require(*FLEET)
    def list_devices() -> str:
        wanted, page, models = _filter(), page_number(), _models(desks.recognition)
        if current_principal().role == SUPPLIER:
            supplied, part = fleet.supplied(reader(), wanted, page=page)
            return render_template("supplied.html", devices=supplied, part=part, wanted=wanted, models=models)
        lines, part = fleet.devices(reader(), wanted, page=page, at=clock())
        return render_template(
            "devices.html", devices=lines, part=part, wanted=wanted, models=models, outcomes=tuple(Outcome)
        )


def _add_validations(app: Flask, desks: DashboardDesks, clock: Clock) -> None:
    @app.get("/devices/<device_id>")
    @require(*FLEET)
    def show_device(device_id: str) -> str:
        if not _DEVICE.fullmatch(device_id):
            raise _no_device()
        models = _models(desks.recognition)
        if current_principal().role == SUPPLIER:
            device = desks.fleet.supplied_device(device_id, reader=reader())
            return render_template("supplied_device.html", device=device, models=models)
        at = clock()
        lines, part = desks.fleet.validations(device_id, reader=reader(), page=page_number(), at=at)
        last = next((each for each in lines if each.outcome is not Outcome.PENDING), lines[0])
        return render_template(
            "device.html",
            device_id=device_id,
            lines=lines,
            part=part,
            last=last,
            models=models,
            **_told(desks, last.request_id, at=at),
        )

    @app.get("/validations/<some_id>")
    @require("sho", "dpf", "auditor")
    def show_validation(some_id: str) -> str:
        return render_template("validation.html", **_told(desks, some_id, at=clock()))


def _told(desks: DashboardDesks, some_id: str, *, at: datetime) -> dict[str, Any]:
    """All that is said of one validation, by its id or by that of its result."""
    explanation = desks.explanations.explain(some_id, reader=reader(), at=at)
    record = explanation.record
    journey = desks.journeys.journey(record.request_id, reader=reader(), refusals=record.refusals)
    leaf = journey.record.leaf_hash
    return {
        "explanation": explanation,
        "findings": _findings(explanation),
        "journey": journey,
        "leaf_hash": leaf,
        "proof": None if desks.log is None or leaf is None else desks.log.prove(leaf),
    }


def _models(recognition: RecognitionDesk) -> dict[str, str]:
    """What suppliers call the models of an hwType, for people."""
    return {
        hw_type: name for supplier in recognition.suppliers() for name, hw_type in supplier.models.items()
    }


def _findings(explanation: Explanation) -> list[dict[str, Any]]:
    """Each finding with the claim that it moved, and its scope."""
    result = explanation.result
    if result is None:
        return []
    return [
        {"finding": finding, "rule": finding_rule(finding.code)}
        for part in result.submodules.values()
        for finding in part.findings
    ]


def _filter() -> Filter:
    """What the query asks for; what is malformed asks for nothing."""
    outcome, digits = request.args.get("outcome", ""), request.args.get("device", "").strip().lower()
    return Filter(
        outcome=Outcome(outcome) if outcome in set(Outcome) else None,
        device_id=digits if _PREFIX.fullmatch(digits) else "",
        supplier=request.args.get("supplier", "").strip()[:_SUPPLIER_MAX],
    )


def _no_device() -> RefusalError:
    return RefusalError(
        RefusalCode.NOT_FOUND, subject="device", reason="expected a device id of 64 hexadecimal digits"
    )
