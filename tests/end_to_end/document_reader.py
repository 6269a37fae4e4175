"""Somebody who follows the documents word for word: every command in its order, against real services and a real device."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from string import Template
from typing import Any

from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cli.app import main
from lab.boot import Release, boot_log
from lab.scene import Scene
from lab.story import wait_for_status
from messages.evidence import encode_evidence
from standards.boot_log.encode import encode_event_log
from standards.pki.ocsp_answer import StatusKind
from tests.fakes.pki import Authority, Validity, issuer_extensions
from tests.fakes.pva_world import World
from tests.tools import need
from tests.unit.standards.boot_log.images import image, unified
from tests.unit.standards.ima.lists import BOOT_AGGREGATE, Made, encoded, ng

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
TYPED = re.findall(r"^\$ pva (.+)$", TEXT, re.MULTILINE)
ELSEWHERE = [line for line in TYPED if line.startswith(("serve ", "backup "))]
"""For whoever has the services' own files; `test_operator_services` and `test_backup` play them."""
COMMANDS = [line for line in TYPED if line not in ELSEWHERE]
FILES = dict(re.findall(r"^```(?:toml|cedar)\n(?:#|//) (\S+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
HOW_TOS = sorted(
    (ROOT / "docs" / "howto").glob("*.md"), key=lambda path: (path.name == "SUPPLIER.md", path.name)
)
"""The supplier's last: at its end the device's credential is revoked."""
DEVICE = "device-g"
SUPPLIER = "supplier-3"
CONTRAINDICATED = 3
"""How many results hold a credential, where the settings say nothing else."""
WAIT_S = 30.0
LIFE = Validity(before=timedelta(days=1), after=timedelta(days=365 * 50))


class Reader:
    """Somebody who types what the document shows, in one folder, and does in between what it tells in words."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene, self.folder = scene, folder
        urls = scene.services.urls
        self.words = {
            "CA_URL": urls["ca"]["operator"],
            "PVA_URL": urls["pva"]["operator"],
            "OCSP_URL": scene.services.ocsp_url,
            "TRE_IMAGE": scene.release().tre_image.hex(),
            "DEVICE_ID": scene.ids[DEVICE],
            "HW_TYPE": "1.2.3",
        }
        self.altered: dict[str, Any] = {}
        self.replayed: dict[str, Any] = {}
        self.own_root = Authority.root("supplier-4 ES root", validity=LIFE)

    def prepare(self) -> None:
        """What lies in the reader's folder before: roots, a boot log, a list of devices, his settings."""
        first = self.scene.services.first
        for name in ("tls-root.pem", "operators-root.pem"):
            shutil.copy(first / name, self.folder)
        shutil.copy(self.scene.site.role("pva") / "log" / "log.vkey", self.folder / "pva-log.vkey")
        for name in ("admin", "admin-2", "sho-1"):
            written = self.scene.services.write_cli_settings(name)
            shutil.copy(written, self.folder / f"{name}.toml")
        for name, text in FILES.items():
            (self.folder / name).write_text(Template(text).substitute(self.words))
        self._write_pem("supplier-4-root.pem", self.own_root.certificate)
        (self.folder / "good-boot.log").write_bytes(encode_event_log(boot_log(self.scene.release())))
        (self.folder / "good-ima.list").write_bytes(
            encoded([BOOT_AGGREGATE, Made(data=ng(b"/usr/sbin/init"))])
        )
        (self.folder / "good-device.evidence").write_bytes(encode_evidence(World().answer()))
        (self.folder / "shim.efi").write_bytes(image({".text": b"shim"}).data)
        (self.folder / "grub.efi").write_bytes(image({".text": b"grub"}).data)
        (self.folder / "vmlinuz").write_bytes(image({".text": b"kernel"}).data)
        (self.folder / "initrd.img").write_bytes(b"initrd")
        (self.folder / "gateway.efi").write_bytes(image(unified()).data)
        lists = {"devices.csv": self.words["DEVICE_ID"], "more-devices.csv": os.urandom(32).hex()}
        for name, device_id in lists.items():
            (self.folder / name).write_text(f"device_id,model,serial\n{device_id},gateway-3,{name}\n")

    def type(self, line: str) -> dict[str, Any]:
        """Type one command of the document; its answer."""
        line = Template(line).substitute(self.words)
        before = getattr(self, f"_before_{self._words_of(line)}", None)
        if before is not None:
            before()
        answer = self.run(line, exit_code=0)
        after = getattr(self, f"_after_{self._words_of(line)}", None)
        if after is not None:
            after(answer)
        return answer

    def follow(self, document: Path) -> int:
        """Type every command of a how-to, those of other people's software too; how many there were."""
        lines = re.findall(r"^\$ (\S+) (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
        for program, line in lines:
            if program == "pva":
                self.type(line)
                continue
            command = [need(program), *shlex.split(Template(line).substitute(self.words))]
            done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{document.name}: {program} {line}\n{done.stdout}{done.stderr}"
        return len(lines)

    def enroll_again(self) -> None:
        """The device, which its supplier reopened, gets its next credential."""
        enrolled = self.scene.devices[DEVICE].agent("enroll")
        assert enrolled.status == 0, enrolled
        self.words["SERIAL"] = enrolled.said["serial"]
        # the line's issuing CA has a next key by now
        listed = self.run("issuing-ca list", exit_code=0)["issuing_cas"]
        [now] = [each for each in listed if (each["name"], each["state"]) == ("gateways", "active")]
        self.words["CA_ID"] = now["ca_id"]
        (self.folder / "gateways.pem").unlink()
        self.run(f"issuing-ca show {now['ca_id']} --certificate-out gateways.pem", exit_code=0)

    def run(self, line: str, *, exit_code: int) -> dict[str, Any]:
        """Run a command in text form's own right and judge its JSON."""
        settings = {"PVA_CLI_CONFIG": str(self.folder / "admin.toml")}
        done = CliRunner().invoke(main, [*shlex.split(line), "-o", "json"], env=settings, prog_name="pva")
        assert done.exit_code == exit_code, f"pva {line}\n{done.output}"
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def register(self, answer: dict[str, Any]) -> None:
        """Give the supplier's new certificate its role at both services, as their operator does."""
        for service in ("ca", "pva"):
            table = self.scene.site.role(service) / "principals.json"
            rows = json.loads(table.read_text())
            digests = {name: answer[name] for name in ("issuer_sha256", "spki_sha256")}
            rows["principals"].append({**digests, "role": "es", "tenant": SUPPLIER, "name": SUPPLIER})
            table.write_text(json.dumps(rows))

    def power_on(self, release: Release) -> None:
        """Boot the device into a release, with the new supplier's root in its image."""
        self.scene.roots[SUPPLIER] = self._read_pem(f"{SUPPLIER}-root.pem")
        self.scene.power_on(DEVICE, supplier=SUPPLIER, release=release)

    def _words_of(self, line: str) -> str:
        words = re.sub(r"--config \S+ ", "", line).split()
        return "_".join(words[:2]).replace("-", "_")

    def _after_certificate_tls(self, answer: dict[str, Any]) -> None:
        if answer["file"] == "tls.pem":
            self.register(answer)

    def _after_certificate_operator(self, answer: dict[str, Any]) -> None:
        self.words["KEY_DIGEST"] = answer.get("digest", "")

    def _after_est_register(self, answer: dict[str, Any]) -> None:
        self.words["KEY_DIGEST"] = answer.get("digest", "")

    def _after_administrator_add(self, answer: dict[str, Any]) -> None:
        assert answer["outcome"] == "waiting"
        self.words |= {"ADMINISTRATOR": answer["digest"], "ADMINISTRATOR_KEY": answer["key_sha256"]}

    def _after_administrator_approve(self, answer: dict[str, Any]) -> None:
        assert answer["outcome"] == "added"

    def _after_issuing_ca_create(self, answer: dict[str, Any]) -> None:
        self.words["PENDING_CA_ID" if answer["state"] == "pending" else "CA_ID"] = answer["ca_id"]

    def _after_supplier_recognise(self, answer: dict[str, Any]) -> None:
        assert answer["outcome"] == "waiting"
        self.words["PROPOSAL"] = answer["digest"]

    def _after_proposal_approve(self, answer: dict[str, Any]) -> None:
        assert answer["outcome"] == "recognised"

    def _after_proposal_withdraw(self, answer: dict[str, Any]) -> None:
        assert (answer["outcome"], answer["digest"]) == ("withdrawn", self.words["PROPOSAL"])

    def _before_trust_list_sign(self) -> None:
        """The overseer learns the model's hwType; those who run PVA and CA add the overseer to their settings."""
        [allotted] = self.run(f"issuing-ca show {self.words['CA_ID']}", exit_code=0)["hw_types"]
        self.words["HW_TYPE"] = allotted.removeprefix("gateway-3=")
        name = "overseer-2-list.toml"
        (self.folder / name).write_text(Template(FILES[name]).substitute(self.words))
        for role, settings in (("pva", "trust-lists.toml"), ("ca", "overseers.toml")):
            place = self.scene.site.role(role)
            shutil.copy(self.folder / "operators-root.pem", place / "overseers-root.pem")
            with (place / f"{role}.toml").open("a") as file:
                file.write(FILES[settings].replace("operators-root.pem", "overseers-root.pem"))
            self.scene.services.restart(role)

    def _after_trust_list_import(self, answer: dict[str, Any]) -> None:
        assert answer["outcome"] == "imported"
        assert SUPPLIER in json.dumps(answer["suppliers"])

    def _after_trust_list_diff(self, answer: dict[str, Any]) -> None:
        """Before the import all but root, models and address are new; what was exported says the same."""
        told = {row["what"] for row in answer["differences"] if row["supplier"] == SUPPLIER}
        assert told in ({"accreditation", "accredited", "robustness", "tre_level_min"}, set())

    def _after_trust_list_show(self, _answer: dict[str, Any]) -> None:
        as_imported = (self.folder / "overseer-2-as-imported.jws").read_bytes()
        assert as_imported == (self.folder / "overseer-2.jws").read_bytes()

    def _after_supplier_show(self, answer: dict[str, Any]) -> None:
        if answer["recognised"] == "yes":
            assert (answer["trust_list"], answer["accreditation"]) == (
                "overseer-2",
                "SAS, certificate SAS-2031-17",
            )

    def _after_supplier_suspend(self, answer: dict[str, Any]) -> None:
        self.words |= {f"{row['at']}_SUSPENSION": row["id"] for row in answer["suspensions"]}

    def _after_supplier_lift(self, answer: dict[str, Any]) -> None:
        assert answer["outcome"] in ("waiting", "lifted")

    def _after_root_list(self, answer: dict[str, Any]) -> None:
        found = [each for each in answer["roots"] if each["kind"] == "operators-root"]
        self.words.setdefault("OPERATORS_CA_ID", found[0]["ca_id"])

    def _before_issuing_ca_complete(self) -> None:
        csr = x509.load_pem_x509_csr((self.folder / "meters.csr").read_bytes())
        key = csr.public_key()
        made = self.own_root.issue("meters", key=key, extensions=issuer_extensions(0), validity=LIFE)  # type: ignore[arg-type]  # the CA's keys are EC
        self._write_pem("meters.pem", made)

    def _after_manifest_import(self, answer: dict[str, Any]) -> None:
        assert answer["standing"] == "waiting"
        first = answer["id"] == "gateway-3-1.0"
        self.words["MANIFEST_DIGEST" if first else "NEXT_DIGEST"] = answer["digest"]

    def _after_batch_import(self, answer: dict[str, Any]) -> None:
        assert answer["devices"] == 1
        if answer["batch"] != "2031-07":
            return  # the device that is here is in the first list
        self.power_on(self.scene.release())

    def _before_station_exchange(self) -> None:
        self.at_station()

    def _after_station_exchange(self, answer: dict[str, Any]) -> None:
        assert answer["outcome"] == "exchanged"
        if answer["results"]:
            self._enrolled(self.at_station())

    def at_station(self) -> dict[str, Any]:
        """The device does what is next by the files of the station, a folder that both sides reach."""
        device = self.scene.devices[DEVICE]
        folder, here = device.run / "station", self.folder / "station"
        if not here.exists():
            folder.mkdir()
            folder.chmod(0o777)
            here.symlink_to(folder)
        done = device.agent("enroll", "--station", folder.name)
        assert done.status == 0, done
        return done.said

    def _enrolled(self, said: dict[str, Any]) -> None:
        """The responder knows the device's new credential."""
        assert said["outcome"] == "enrolled"
        self.words["SERIAL"] = said["serial"]
        shown = self.run(f"credential show {self.words['SERIAL']} --issuer gateways.pem", exit_code=0)
        leaf = x509.load_pem_x509_certificate(shown["certificate"].encode())
        issuer = self._read_pem("gateways.pem")
        status = wait_for_status(self.scene, leaf, issuer=issuer, kind=StatusKind.GOOD)
        assert status is StatusKind.GOOD

    def _after_validation_request(self, answer: dict[str, Any]) -> None:
        self.words |= {"REQUEST_ID": answer["request_id"], "NONCE": answer["nonce"]}
        self.scene.devices[DEVICE].agent("attest")

    def _after_log_show(self, answer: dict[str, Any]) -> None:
        self.words["LEAF_HASH"] = next(
            row["leaf"] for row in answer["leaves"] if row["kind"] == "validation-result"
        )

    def _after_log_prove(self, answer: dict[str, Any]) -> None:
        assert json.loads(answer["record"])["record"]["status"] == "affirming"

    def _after_policy_dry_run(self, answer: dict[str, Any]) -> None:
        assert answer["judged"] > 0

    def _after_policy_add(self, answer: dict[str, Any]) -> None:
        self.words["POLICY_DIGEST"] = answer["digest"]

    def _after_watch_add(self, answer: dict[str, Any]) -> None:
        self.words["WATCH_ID"] = answer["watch_id"]

    def _after_result_verify(self, _answer: dict[str, Any]) -> None:
        """Once: the same device with another kernel, before its credential ends."""
        if self.altered:
            return
        self.power_on(replace(self.scene.release(), kernel="vmlinuz-6.1.0-altered"))
        device = self.words["DEVICE_ID"]
        for _ in range(CONTRAINDICATED - 1):
            self.run(f"--config sho-1.toml validation request {device} --audience sho-1", exit_code=0)
            self.scene.devices[DEVICE].agent("attest")
        asked = self.run(f"--config sho-1.toml validation request {device} --audience sho-1", exit_code=0)
        pending = f"--config sho-1.toml validation show {asked['request_id']}"
        assert self.run(f"{pending} --result-out none.jwt", exit_code=1)["outcome"] == "pending"
        self.scene.devices[DEVICE].agent("attest")
        self.run(f"{pending} --result-out altered.jwt", exit_code=0)
        verify = "result verify altered.jwt --operators-root operators-root.pem --nonce"
        self.altered = self.run(f"{verify} {asked['nonce']}", exit_code=3)
        self.replayed = self.run(f"{verify} {self.words['NONCE']}", exit_code=1)
        held = self.wait_until(lambda shown: shown["status"] == "revoked")
        assert (held["reason"], len(held["hold"]["results"])) == ("certificateHold", CONTRAINDICATED)
        leaf = x509.load_pem_x509_certificate(held["certificate"].encode())
        issuer = self._read_pem("gateways.pem")
        assert wait_for_status(self.scene, leaf, issuer=issuer, kind=StatusKind.REVOKED) is StatusKind.REVOKED
        self.power_on(self.scene.release())

    def _before_credential_release(self) -> None:
        self.wait_until(lambda shown: shown["hold"]["recovery"] is not None)

    def wait_until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Look at the credential until it is as expected."""
        deadline = time.monotonic() + WAIT_S
        while True:
            shown = self.run(f"credential show {self.words['SERIAL']} --issuer gateways.pem", exit_code=0)
            if condition(shown) or time.monotonic() > deadline:
                assert condition(shown), shown
                return shown
            time.sleep(0.05)

    def _read_pem(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / name).read_bytes())

    def _write_pem(self, name: str, certificate: x509.Certificate) -> None:
        (self.folder / name).write_bytes(certificate.public_bytes(Encoding.PEM))
