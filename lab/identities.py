"""Who is who in the lab: every TLS client identity, and which service admits whom.

Rule: a service's table of principals holds those who have business there and nobody else.
"""

from collections.abc import Mapping

PVA_ISSUER = "pva.lab"
VNO, ICF, CCIF, DRF, SHO, DPF = "vno-1", "icf-1", "ccif-1", "drf-1", "sho-1", "dpf-1"
SHO_2 = "sho-2"
"""A second home operator, in the demos that have two."""
RELAY = "ro-1"
"""The registration operator as a relay of validation requests; the DRF calls the PVA in this role."""
STAFF = "staff-1"
"""Somebody who works for the SHO."""

AUDITOR = "auditor"
"""Who reads every tenant's results and the records of the audit log, in the dashboard."""

RECOGNISED = "supplier-1"
"""The supplier that PVA, SHO and DPF recognise; its CA is told of devices that were updated."""

CLIENTS: Mapping[str, tuple[str, str]] = {
    "admin-2": ("admin", ""),
    "sho-1": ("sho", SHO),
    "supplier-1": ("es", "supplier-1"),
    "supplier-2": ("es", "supplier-2"),
    "ocsp": ("ocsp", "ocsp"),
    "pva": ("pva", PVA_ISSUER),
    VNO: ("vno", VNO),
    ICF: ("icf", ICF),
    CCIF: ("ccif", CCIF),
    DRF: ("drf", DRF),
    DPF: ("dpf", DPF),
    SHO_2: ("sho", SHO_2),
    RELAY: ("ro-relay", RELAY),
    AUDITOR: ("auditor", ""),
    STAFF: ("admin", SHO),
}
"""Identity -> role and tenant; the first administrator's is made with the CA."""

PEOPLE = ("admin", "admin-2", "sho-1", "supplier-1", "supplier-2")
"""Those who administer from a command line."""

AT_THE_DASHBOARD = ("sho-1", "auditor", "supplier-1", "admin", "admin-2")
"""Those who look with a browser."""

_FIRST_JOURNEY = (*PEOPLE, "ocsp")
ADMITTED: Mapping[str, tuple[str, ...]] = {
    "ca": (*_FIRST_JOURNEY, "pva"),
    "pva": (*_FIRST_JOURNEY, DPF, RELAY, SHO_2, AUDITOR),
    "ocsp": ("pva", SHO, SHO_2, DPF, AUDITOR),
    VNO: (ICF, SHO, SHO_2),
    ICF: (VNO, CCIF),
    CCIF: ("supplier-1",),
    DRF: (ICF, SHO, SHO_2),
    SHO: (DRF, "pva", DPF, VNO, STAFF, SHO_2),
    SHO_2: (DRF, "pva", DPF, VNO),
    DPF: (SHO, SHO_2, "pva"),
}
"""Service -> whom its operator listener lets in."""
