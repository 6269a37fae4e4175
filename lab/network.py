"""The network of one lab: VNO, ICF, CCIF, DRF, SHO and DPF, one OS process each, with keys and stores of their own.

Rule: none finds another but by its address, and none is let in anywhere but with a certificate of its own. A recorder
stands before the DPF's device listener: devices are sent there, and all that leaves the DPF passes it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edge.keys import create_passphrase
from edge.process import system_random
from lab.configuration import write_toml
from lab.homes import FIRST, MCC, MNC, Home
from lab.identities import CCIF, DPF, DRF, ICF, PVA_ISSUER, RELAY, VNO
from lab.keyring import make_key
from lab.parties import TRE_LEVEL, Administrator
from lab.processes import Processes, python_command
from lab.services import Services

OP = bytes(range(16)).hex()
"""Operator variant of MILENAGE, common to all networks that serve these devices; not a secret."""
LOOPBACK_NETWORK = "127.0.0.0/8"
SIGNING: dict[str, tuple[str, tuple[str, ...]]] = {
    CCIF: ("ccif", ("connectivity",)),
    DRF: ("drf", ("discovery",)),
    DPF: ("dpf", ("delivery",)),
}
"""Service -> its role, and the purposes of its signing keys; those of home operators beside."""
HOME_SIGNING = ("sho", ("subscription", "result-encryption"))


class Network:
    """Certifies, configures, starts and restarts the network's roles."""

    def __init__(self, services: Services, processes: Processes, *, homes: Sequence[Home] = (FIRST,)) -> None:
        self._services, self._processes = services, processes
        self.homes = {home.id: home for home in homes}
        self.records = services.site.role("recorder") / "records"
        self.module = {
            name: f"operators.{name.partition('-')[0]}.app"
            for name in (VNO, ICF, CCIF, DRF, *self.homes, DPF)
        }

    def open(self, administrator: Administrator, *, supplier: str, es_root: Path) -> None:
        """Make keys and settings, and start everything; the supplier's root is recognised by SHO and DPF."""
        for name, (role, purposes) in {**SIGNING, **dict.fromkeys(self.homes, HOME_SIGNING)}.items():
            administrator.certify(name, role=role, service=name, purposes=purposes)
        for name in self.homes:
            make_key(self._services.site.role(name), "policy-root")
        for name in (ICF, CCIF, *self.homes):
            create_passphrase(self._folder(name) / "subscriber-key", random_bytes=system_random)
        self._configure(supplier=supplier, es_root=es_root)
        with ThreadPoolExecutor(len(self.module) + 1) as together:
            starts = [together.submit(self._services.start, *each) for each in self.module.items()]
            starts.append(together.submit(self.start_recorder))
            for each in starts:
                each.result()

    def restart(self, name: str) -> None:
        """Kill a role without warning, and start it again."""
        self._services.restart(name, self.module[name])

    def start_recorder(self) -> None:
        """Put the recorder between devices and DPF, at the address that devices know."""
        host_port = self._services.address("dpf-1.device")
        arguments = ["--port", self._services.address("recorder.device").rpartition(":")[2]]
        arguments += ["--to", host_port, "--anchors", str(self._services.tls_root)]
        arguments += ["--server", str(self._services.tls_folder("recorder")), "--records", str(self.records)]
        self._processes.start_service(
            "recorder",
            python_command("lab.recorder", *arguments),
            image=self._services.site.image,
            cwd=self._folder("recorder"),
        )

    @property
    def vno_url(self) -> str:
        """Radio side of the visited network."""
        return self._services.urls[VNO]["device"]

    @property
    def drf_url(self) -> str:
        """Where devices ask for their operator, behind the gateway."""
        return self._services.urls[DRF]["device"]

    def _folder(self, name: str) -> Path:
        return self._services.site.role(name)

    def _configure(self, *, supplier: str, es_root: Path) -> None:
        recognised = {"name": supplier, "root": es_root}
        tables: dict[str, dict[str, object]] = {
            VNO: self._vno(),
            ICF: {"drf": self._call(DRF, ICF), "subscriber_key_file": self._folder(ICF) / "subscriber-key"},
            CCIF: self._ccif(),
            DRF: self._drf(),
            **{name: self._sho(home) | {"suppliers": [recognised]} for name, home in self.homes.items()},
            DPF: self._dpf()
            | {"suppliers": [recognised | {"ocsp_url": self._services.ocsp_url, "tre_level_min": TRE_LEVEL}]},
        }
        for name, table in tables.items():
            folder = self._folder(name)
            common: dict[str, object] = {
                "profile": "lab",
                "database": f"sqlite:///{folder / f'{name}.sqlite'}",
                "audit_log": self._services.audit_log(name),
                "operator": self._services.server_side(name, "operator") | self._services.clients_of(name),
            }
            write_toml(folder / f"{name}.toml", common | table)

    def _vno(self) -> dict[str, object]:
        return {
            "serving_network": VNO,
            "device": self._services.server_side(VNO, "device"),
            "gateway": self._services.server_side(VNO, "gateway")
            | {"reachable_networks": [LOOPBACK_NETWORK]},
            "routes": {
                f"{MCC}-{MNC}": self._call(ICF, VNO),
                **{f"{MCC}-{home.mnc}": self._call(name, VNO) for name, home in self.homes.items()},
            },
        }

    def _ccif(self) -> dict[str, object]:
        destinations = [
            self._services.address(each) for each in ("drf-1.device", "pva.device", "recorder.device")
        ]
        return {
            "issuer": CCIF,
            "icf": self._call(ICF, CCIF),
            "operators_root": self._services.operators_root,
            "connectivity_key": self._signing(CCIF, "connectivity"),
            "subscriber_key_file": self._folder(CCIF) / "subscriber-key",
            "numbers": {"mcc": MCC, "mnc": MNC},
            "bearer": {"apn": "registration.m2m", "destinations": destinations},
            "op": OP,
        }

    def _drf(self) -> dict[str, object]:
        return {
            "id": DRF,
            "device": self._services.server_side(DRF, "device"),
            "discovery_key": self._signing(DRF, "discovery"),
            "operators_root": self._services.operators_root,
            "shos": {
                name: {
                    "name": home.name,
                    "upstream": self._call(name, DRF),
                    "pva_url": f"https://{self._services.address('pva.device')}",
                    "dpf_url": f"https://{self._services.address('recorder.device')}",
                    "pva": PVA_ISSUER,
                }
                for name, home in self.homes.items()
            },
            "pvas": {PVA_ISSUER: self._call("pva", RELAY)},
        }

    def _sho(self, home: Home) -> dict[str, object]:
        name, folder = home.id, self._folder(home.id)
        route = "relay" if home.relayed else "direct"
        window = {} if home.switch_window_s is None else {"switch_window_s": home.switch_window_s}
        return window | {
            "id": name,
            "name": home.name,
            "dpf_id": DPF,
            "products": list(home.products),
            "public": self._services.server_side(name, "public"),
            "operators_root": self._services.operators_root,
            "subscription_key": self._signing(name, "subscription"),
            "policy_root": {"key": folder / "policy-root.key", "passphrase_file": folder / "passphrase"},
            "result_key": self._signing(name, "result-encryption"),
            "subscribers": home.subscribers
            | {
                "key_file": folder / "subscriber-key",
                "destinations": [self._services.address(each) for each in (f"{name}.public", *home.reaches)],
            },
            "successors": dict(home.successors),
            "priors": [{"id": each, "operator": self._call(each, name)} for each in home.priors],
            "pvas": [{"id": PVA_ISSUER, "route": route, "operator": self._call("pva", name)}],
            "drf": self._call(DRF, name),
            "dpf": self._call(DPF, name),
        }

    def _dpf(self) -> dict[str, object]:
        return {
            "id": DPF,
            "device": self._services.server_side(DPF, "device"),
            "delivery_key": self._signing(DPF, "delivery"),
            "operators_root": self._services.operators_root,
            "pvas": {PVA_ISSUER: self._call("pva", DPF)},
            "shos": {name: self._call(name, DPF) for name in self.homes},
            "chunk_bytes": 512,
        }

    def _call(self, service: str, as_whom: str) -> dict[str, object]:
        return self._services.upstream(service, as_whom=as_whom)

    def _signing(self, name: str, purpose: str) -> dict[str, object]:
        folder = self._folder(name)
        return {
            "key": folder / f"{purpose}.key",
            "passphrase_file": folder / "passphrase",
            "certificate": folder / f"{purpose}.pem",
        }
