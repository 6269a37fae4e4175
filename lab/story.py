"""The good story: a supplier, a batch, a device, and an operator who wants to know whether he may trust it.

Rule: every line is a message that really travelled; what the operator concludes, he checks himself against the
operators' root, and what the responder says, against the supplier's.
"""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cryptography import x509

from clients.ocsp import OcspClient
from edge.process import system_clock, system_random
from lab.artefacts import Run
from lab.device import Answer, Refusal
from lab.identities import PVA_ISSUER, RECOGNISED
from lab.narration import Story
from lab.parties import Administrator, Operator, Supplier, approve_manifest
from lab.reference import reference_manifest
from lab.scene import MODEL, Scene
from messages.evidence import EvidenceMessage, decode_evidence
from standards.pki.ocsp_answer import CertStatus, OcspRefusalError, StatusKind
from standards.rats.ear import AttestationResult

PVA_PURPOSES = ("challenge", "attestation-result", "state-approval")
GOOD_DEVICE = "device-1"
APPROVED = RECOGNISED
UNRECOGNISED = "supplier-2"
IN_NO_BATCH = "device-g"
FACTORY_LINES = 2
STATUS_WAIT_S, STATUS_PAUSE_S = 15.0, 0.05
DEVICES = {
    GOOD_DEVICE: APPROVED,
    "device-a": APPROVED,
    "device-b": APPROVED,
    "device-c": APPROVED,
    "device-d": APPROVED,
    "device-e": APPROVED,
    "device-f": UNRECOGNISED,
    "device-h": APPROVED,
    "device-k": APPROVED,
    IN_NO_BATCH: APPROVED,
}


class UnexpectedEndError(Exception):
    """The good story did not end well: the lab cannot go on."""


def make_devices(scene: Scene, names: Iterable[str] = DEVICES) -> None:
    """Make devices, each with a TPM whose endorsement key its maker certified."""
    numbers = {name: number for number, name in enumerate(DEVICES)}
    wanted = list(names)
    count = f"{len(wanted)} TPM{'s' if len(wanted) != 1 else ''}"
    with scene.narrator.line("0.1", "TPM maker", "factory", f"{count} with certified EKs") as line:
        first, *others = wanted
        scene.make_device(first, numbers[first])  # the maker's own keys are made with its first TPM
        with ThreadPoolExecutor(FACTORY_LINES) as lines:
            list(lines.map(lambda name: scene.make_device(name, numbers[name]), others))
        line.outcome = scene.maker.kind


def open_services(scene: Scene) -> None:
    """Start CA, responder and PVA, each with what it needs of the others; there must be a device by now."""
    tell = scene.narrator
    with tell.line("0.2", "CA", "-", "operators' root, TLS root, listeners") as line:
        scene.services.start_ca(tpm_maker_roots=scene.maker.roots())
        line.outcome = scene.services.urls["ca"]["operator"]
    scene.administrator = Administrator(scene.services)
    with tell.line("0.3", "OCSP", "CA", "change feed; key for delegates") as line:
        scene.services.start_ocsp()
        line.outcome = scene.services.urls["ocsp"]["public"]
    with tell.line("0.4", "PVA", "CA", "certificates for challenges and results") as line:
        scene.administrator.certify("pva", role="pva", service=PVA_ISSUER, purposes=PVA_PURPOSES)
        scene.services.start_pva()
        line.outcome = scene.services.urls["pva"]["operator"]
    scene.operator = Operator("sho-1", scene.services)


def register_suppliers(scene: Scene) -> bytes:
    """Both suppliers get root, issuing CA, manifest and batch; the PVA recognises only the first: its signed manifest."""
    approved = b""
    tell, admin = scene.narrator, scene.administrator
    for name, model in MODEL.items():
        supplier = scene.suppliers[name] = Supplier(name, scene.services)
        with tell.line("1", name, "CA", f"ES root and issuing CA for {model}"):
            scene.roots[name] = admin.open_supplier(name, line=f"{model}-line", models=[model])
        with tell.line("2", name, "CA", "signing keys for manifests and batches"):
            supplier.make_signing_keys()
        if name == APPROVED:
            with tell.line("3", "administrator", "PVA", f"recognise {name} for {model}"):
                admin.recognise(name, root=scene.roots[name], models=[model])
        manifest = reference_manifest(scene.release(), supplier=name, model=model)
        with tell.line("4", name, "CA, PVA", f"signed reference manifest {manifest.id}") as line:
            signed = supplier.sign(manifest)
            supplier.publish(signed, to_pva=name == APPROVED)
            line.outcome = f"svn {manifest.svn}, {len(manifest.events)} events"
        if name == APPROVED:
            with tell.line("4", "administrators", "PVA", "two approve the digest of the manifest"):
                approve_manifest(scene.services, signed)
            approved = signed
        with tell.line("5", name, "CA", "signed batch list of EK digests") as line:
            listed = [each for each in scene.devices if DEVICES[each] == name and each != IN_NO_BATCH]
            if not listed:
                line.outcome = "no devices"
                continue
            count = supplier.announce(f"{name}-b1", [scene.batch_entry(each, name) for each in listed])
            line.outcome = f"{count} device{'s' if count != 1 else ''}"
    return approved


def enroll(scene: Scene, name: str, *, step: str = "6", supplier: str = APPROVED) -> Answer:
    """Boot a device and enrol it; the answer may be a refusal."""
    with scene.narrator.line(f"{step}.1", "firmware", name, "measured boot, then its TRE starts"):
        device = scene.power_on(name, supplier=supplier)
    with scene.narrator.line(f"{step}.2", name, "CA", "enrolment: EK, AK, storage key; activation") as line:
        answer = device.agent("enroll")
        line.outcome = answer.outcome
    if answer.status == 0:
        with scene.narrator.line(f"{step}.3", "OCSP", "CA", "hears of the new credential") as line:
            leaf, issuer = scene.suppliers[supplier].credential(int(answer.said["serial"], 16))
            line.outcome = wait_for_status(scene, leaf, issuer=issuer, kind=StatusKind.GOOD).value
    return answer


def attest(scene: Scene, name: str, *, step: str) -> tuple[Answer, AttestationResult | None]:
    """The operator asks, the device answers, the operator verifies what the PVA signed."""
    tell, operator = scene.narrator, scene.operator
    with tell.line(f"{step}.1", "SHO", "PVA", f"validate {name} (nonce)"):
        question = operator.ask(scene.ids[name])
    with tell.line(f"{step}.2", name, "PVA", "challenge, then evidence: quote and boot log") as line:
        answer = scene.devices[name].agent("attest")
        line.outcome = answer.outcome
    with tell.line(f"{step}.3", "PVA", "SHO", "signed attestation result (EAR)") as line:
        progress = operator.progress(question)
        if progress.result is None:
            line.outcome = "none: " + ", ".join(each.code for each in progress.refusals)
            return answer, None
        result = operator.verify(progress.result, question)
        line.outcome = ", ".join(
            f"{scope}: {part.status.name.lower()}" for scope, part in result.submodules.items()
        )
    return answer, result


def validate_good_device(scene: Scene) -> Run:
    """The whole exchange in single messages, and all that a stranger needs to check it afterwards."""
    if enroll(scene, GOOD_DEVICE).status != 0:
        raise UnexpectedEndError(f"{GOOD_DEVICE} could not be enrolled")
    tell, operator, device_id = scene.narrator, scene.operator, scene.ids[GOOD_DEVICE]
    with tell.line("7", "SHO", "PVA", f"validate {GOOD_DEVICE} (nonce)"):
        question = operator.ask(device_id)
    with tell.line("8.1", "PVA", "agent", "challenge, signed under the operators' root"):
        token = scene.challenge(GOOD_DEVICE)
    with tell.line("8.2", "TRE", "agent", "evidence: quote, boot log, storage key, counter") as line:
        evidence = scene.devices[GOOD_DEVICE].evidence_for(token)
        if isinstance(evidence, Refusal):
            raise UnexpectedEndError(f"the TRE of {GOOD_DEVICE} refused: {evidence.reason}")
        line.outcome = f"{len(evidence)} bytes"
    with tell.line("9", "agent", "PVA", "evidence, carried unread") as line:
        line.outcome = str(scene.submit(evidence))
    with tell.line("10", "PVA", "SHO", "signed attestation result (EAR)") as line:
        token = operator.progress(question).result or ""
        result = operator.verify(token, question)
        line.outcome = result.status.name.lower()
    message = decode_evidence(evidence)
    with tell.line("11", "SHO", "OCSP", "status of the Platform Credential (nonce)") as line:
        status = ask_status(scene, message)
        line.outcome = status.kind.value
    happened = f"{result.status.name.lower()}, OCSP {status.kind.value}"
    tell.tell(
        Story(name="good", told="an approved device", expected="affirming, OCSP good", happened=happened)
    )
    return Run(
        evidence=message,
        result=token,
        ocsp_response=status.raw,
        es_root=scene.roots[APPROVED],
        operators_root=x509.load_pem_x509_certificate(scene.services.operators_root.read_bytes()),
    )


def ask_status(scene: Scene, message: EvidenceMessage) -> CertStatus:
    """What the responder says now of the credential in some evidence, verified under its issuing CA."""
    leaf, issuer = (x509.load_der_x509_certificate(each) for each in message.pfc_chain[:2])
    with _responder(scene) as client:
        return client.ask(leaf, issuer=issuer)


def wait_for_status(
    scene: Scene, leaf: x509.Certificate, *, issuer: x509.Certificate, kind: StatusKind
) -> StatusKind:
    """Ask until the responder says `kind`, or time is up; the last verified answer (UNKNOWN if there was none)."""
    said, deadline = StatusKind.UNKNOWN, time.monotonic() + STATUS_WAIT_S
    with _responder(scene) as client:
        while said is not kind and time.monotonic() < deadline:
            try:
                said = client.ask(leaf, issuer=issuer).kind
            except OcspRefusalError:
                time.sleep(STATUS_PAUSE_S)  # it has no delegate certificate of this CA yet
            else:
                time.sleep(0 if said is kind else STATUS_PAUSE_S)
    return said


@contextmanager
def _responder(scene: Scene) -> Iterator[OcspClient]:
    client = OcspClient(scene.services.ocsp_url, random_bytes=system_random, clock=system_clock)
    try:
        yield client
    finally:
        client.close()
