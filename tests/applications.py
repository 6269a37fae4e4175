"""Each listener's application on use cases that nobody will ask anything: for what is said of routes, not for requests."""

from typing import Any

from flask import Flask

from ca.web.descriptions import DEVICE_API as CA_DEVICE
from ca.web.descriptions import OPERATOR_API as CA_OPERATOR
from ca.web.device import device_app as ca_device
from ca.web.operator import operator_app as ca_operator
from edge.api_description import Api
from edge.description_pages import DESCRIPTION_PATHS
from edge.principals import routes_of
from edge.refused import AnonymousRefusals
from ocsp.operator_web import OPERATOR_API as OCSP_OPERATOR
from ocsp.operator_web import operator_app as ocsp_operator
from operators.ccif.web import OPERATOR_API as CCIF_OPERATOR
from operators.ccif.web import operator_app as ccif_operator
from operators.dpf.web.descriptions import DEVICE_API as DPF_DEVICE
from operators.dpf.web.descriptions import OPERATOR_API as DPF_OPERATOR
from operators.dpf.web.device import device_app as dpf_device
from operators.dpf.web.operator import operator_app as dpf_operator
from operators.drf.web.descriptions import DEVICE_API as DRF_DEVICE
from operators.drf.web.descriptions import OPERATOR_API as DRF_OPERATOR
from operators.drf.web.device import device_app as drf_device
from operators.drf.web.operator import operator_app as drf_operator
from operators.icf.web import OPERATOR_API as ICF_OPERATOR
from operators.icf.web import operator_app as icf_operator
from operators.sho.web.descriptions import OPERATOR_API as SHO_OPERATOR
from operators.sho.web.descriptions import PUBLIC_API as SHO_PUBLIC
from operators.sho.web.operator import operator_app as sho_operator
from operators.sho.web.public import public_app as sho_public
from operators.vno.web import DEVICE_API as VNO_DEVICE
from operators.vno.web import OPERATOR_API as VNO_OPERATOR
from operators.vno.web import device_app as vno_device
from operators.vno.web import operator_app as vno_operator
from pva.web.descriptions import DEVICE_API as PVA_DEVICE
from pva.web.descriptions import OPERATOR_API as PVA_OPERATOR
from pva.web.device import device_app as pva_device
from pva.web.operator import operator_app as pva_operator

ADMINISTRATOR_PATHS = "/v1/administrators"
"""Where every service whose administrators act through it lets them add and remove each other."""
ON_EVERY_OPERATOR_LISTENER = (*DESCRIPTION_PATHS, "/v1/log/", ADMINISTRATOR_PATHS)
"""Beginnings of paths that belong to no role in particular."""
APIS: dict[str, Api] = {
    "CA device": CA_DEVICE,
    "CA operator": CA_OPERATOR,
    "OCSP operator": OCSP_OPERATOR,
    "VNO device": VNO_DEVICE,
    "VNO operator": VNO_OPERATOR,
    "ICF operator": ICF_OPERATOR,
    "CCIF operator": CCIF_OPERATOR,
    "DRF device": DRF_DEVICE,
    "DRF operator": DRF_OPERATOR,
    "SHO public": SHO_PUBLIC,
    "SHO operator": SHO_OPERATOR,
    "PVA device": PVA_DEVICE,
    "PVA operator": PVA_OPERATOR,
    "DPF device": DPF_DEVICE,
    "DPF operator": DPF_OPERATOR,
}


def own_routes(app: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    """`routes_of` without the description, which every operator listener has, and without those of administrators."""
    return [
        route
        for route in routes_of(app)
        if route[1] not in DESCRIPTION_PATHS and not route[1].startswith(ADMINISTRATOR_PATHS)
    ]


class Nobody:
    """Stands for every use case, and for every part of one."""

    def __getattr__(self, name: str) -> "Nobody":
        if name.startswith("__"):
            raise AttributeError(name)
        return self


def applications() -> dict[str, Flask]:
    """Application of each listener that is described, by role and listener."""
    desk: Any = Nobody()
    nobody = AnonymousRefusals()
    shared: dict[str, Any] = {"clock": desk, "anonymous": nobody}
    operator: dict[str, Any] = {"principals": desk, "clock": desk}
    access: dict[str, Any] = {**operator, "on_refusal": nobody.count}
    return {
        "CA device": ca_device(desk, desk),
        "CA operator": ca_operator(desk, principals=desk),
        "OCSP operator": ocsp_operator(desk, **access),
        "VNO device": vno_device(desk, gateway="", **shared),
        "VNO operator": vno_operator(desk, principals=desk, on_refusal=nobody.count),
        "ICF operator": icf_operator(desk, **access),
        "CCIF operator": ccif_operator(desk, log=desk, **access),
        "DRF device": drf_device(
            attachments=desk, discovery=desk, registrations=desk, devices=desk, **shared
        ),
        "DRF operator": drf_operator(desk, **access),
        "SHO public": sho_public(desk, desk, random_bytes=bytes, **shared),
        "SHO operator": sho_operator(desk, **access),
        "PVA device": pva_device(desk=desk, verifier=desk, **shared),
        "PVA operator": pva_operator(desks=desk, **access),
        "DPF device": dpf_device(releases=desk, receipts=desk, updates=desk, lives=desk, **shared),
        "DPF operator": dpf_operator(desk, **access),
    }
