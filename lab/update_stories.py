"""The stories of an update, in order: announced, prepared, rebooted without a network, accepted, the old state ended.

Rule: as for all stories: what happened is read from the parties' answers. Who wants approvals, goes back, or stays behind gets
from each party what that party must say; the window is a real one, and the lab waits for its end.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from cryptography import x509
from joserfc.util import urlsafe_b64decode

from clients.dpf import DpfDeviceClient
from clients.pva import PvaOperatorClient
from clients.sho import PlacedOrder, ShoOperatorClient, Vector
from edge.http_client import ClientTls, HttpClient, HttpError
from edge.process import system_clock
from lab.boot import Release
from lab.device import Refusal, refusal_in
from lab.fourteen_steps import asked
from lab.identities import SHO, STAFF, VNO
from lab.outcomes import ended, refused
from lab.parties import approve_manifest
from lab.reference import reference_manifest
from lab.scene import MODEL, Scene
from lab.sho_records import ShoRecords
from lab.story import APPROVED, UnexpectedEndError, attest, wait_for_status
from m2me_agent.tre.sequence_numbers import BLOCK
from m2me_agent.tre_protocol import Operation
from messages.operator_token import verify_operator_token
from messages.order import ORDER_KIND
from messages.order import read_claims as read_order
from standards.pki.fingerprints import spki_der
from standards.pki.ocsp_answer import StatusKind
from standards.rats.ear import AttestationResult
from standards.rats.ear import read_claims as read_result
from standards.rats.manifest import Manifest, Predecessor

UPDATED, LEFT_BEHIND = "device-1", "device-a"
RENEWAL_WAIT_S, PAUSE_S = 30.0, 0.2
NEXT_KERNEL = "vmlinuz-6.1.1"
OUTAGE = {VNO: "operators.vno.app", "pva": "pva.app"}
"""What is down during the reboot, and how it is started again: the only way into the network, and who would validate."""


@dataclass(slots=True, kw_only=True)
class Update:
    """What the stories share: the releases, the order of the updated device, and what is found out on the way.

    `overlap` is how long the old state is accepted beside the new one; in the field it is weeks.
    """

    scene: Scene
    placed: PlacedOrder
    first: Manifest
    first_digest: bytes
    overlap: timedelta
    next_digest: bytes = b""
    ends_at: float = 0.0
    old_pfc: x509.Certificate | None = None
    order_digest: bytes = b""
    result_id: str = ""
    imsi: str = ""

    @property
    def release(self) -> Release:
        """What the update installs."""
        return replace(self.scene.release(), version="1.1", svn=2, kernel=NEXT_KERNEL)

    @property
    def operator_at_pva(self) -> PvaOperatorClient:
        """The SHO at the PVA, as somebody in its house could ask."""
        services = self.scene.services
        return PvaOperatorClient(services.http("pva", "operator", services.identity(SHO)))

    @property
    def supplier_at_pva(self) -> PvaOperatorClient:
        """The supplier at the PVA."""
        services = self.scene.services
        return PvaOperatorClient(services.http("pva", "operator", services.identity(APPROVED)))

    def credential_before(self) -> x509.Certificate:
        """The credential that the device had when it was updated."""
        if self.old_pfc is None:
            raise UnexpectedEndError("the old credential was not looked at")
        return self.old_pfc

    def look_into_the_order(self) -> None:
        """The SHO's own words about the order: its digest, and the result that it rests on."""
        parts = ShoRecords(self.scene.services).authorized(self.placed.order_id)
        anchors = x509.load_pem_x509_certificates(self.scene.services.operators_root.read_bytes())
        now = system_clock()
        order = read_order(verify_operator_token(parts.order, ORDER_KIND, anchors=anchors, at=now).claims)
        self.order_digest = order.digest
        self.result_id = _claims_of(parts.result).result_id


def _claims_of(token: str) -> AttestationResult:
    return read_result(json.loads(urlsafe_b64decode(token.split(".")[1].encode())))


def play_update_stories(update: Update) -> None:
    """All of them."""
    update.look_into_the_order()
    stories: tuple[tuple[str, Callable[[Update], None]], ...] = (
        ("The release is published, and nobody gets anything yet", _publish),
        ("The update is announced, to a few first, and held", _announce),
        ("The owner's approvals reach the TRE while the old state runs", _prepare),
        ("The reboot, with the network down", _reboot_without_network),
        ("The new state in the window; the new Platform Credential", _accept),
        ("The window is over", _end_window),
    )
    for title, story in stories:
        update.scene.narrator.heading(title)
        story(update)


def _publish(update: Update) -> None:
    scene, supplier = update.scene, update.scene.suppliers[APPROVED]
    refused(
        scene,
        "a",
        "approvals for a manifest that nobody has published",
        _ask_pva(update, bytes(32)),
        expected="update-not-announced",
    )
    now = system_clock().replace(microsecond=0)
    ends_at = now + timedelta(seconds=round(update.overlap.total_seconds()))
    described = reference_manifest(update.release, supplier=APPROVED, model=MODEL[APPROVED])
    manifest = replace(
        described,
        line_name=update.first.line,
        predecessor=Predecessor(id=update.first.id, digest=update.first_digest, until=ends_at),
        valid_from=now,
        valid_to=now + timedelta(days=1),
    )
    signed = supplier.sign(manifest)
    with scene.narrator.line(
        "1", APPROVED, "CA, PVA", f"signed manifest {manifest.id}, follows {update.first.id}"
    ):
        supplier.publish(signed)
    update.next_digest = _digest(signed)
    update.ends_at = time.monotonic() + update.overlap.total_seconds()
    with scene.narrator.line("2", "administrators", "PVA", "two approve the digest of the manifest"):
        approve_manifest(scene.services, signed)
    refused(
        scene,
        "b",
        "approvals for an update that is not announced",
        _ask_pva(update, update.next_digest),
        expected="update-not-announced",
    )


def _announce(update: Update) -> None:
    scene, pva = update.scene, update.supplier_at_pva
    with scene.narrator.line(
        "3", APPROVED, "PVA", "announces it to 0 percent: the canary is still in the cage"
    ):
        pva.announce_update(update.next_digest, share_percent=0)
    refused(
        scene,
        "c",
        "approvals for a device outside of the share",
        _ask_pva(update, update.next_digest),
        expected="update-not-yet",
    )
    with scene.narrator.line("4", APPROVED, "PVA", "widens it to 100 percent, and pauses it"):
        pva.widen_update(update.next_digest, share_percent=100)
        pva.pause_update(update.next_digest)
    refused(
        scene,
        "d",
        "approvals while it is held",
        _ask_pva(update, update.next_digest),
        expected="update-paused",
    )
    with scene.narrator.line("5", APPROVED, "PVA", "goes on with it"):
        pva.resume_update(update.next_digest)


def _prepare(update: Update) -> None:
    scene = update.scene
    device = scene.devices[UPDATED]
    with scene.narrator.line(
        "6", UPDATED, "VNO, DPF, SHO, PVA", "approvals of the next state, for the TRE"
    ) as line:
        answer = device.agent("prepare-update", "--manifest", update.next_digest.hex())
        line.outcome = answer.outcome
    ended(
        scene,
        "e",
        "the owner's approvals, carried by the agent",
        expected="prepared",
        happened=answer.outcome,
    )
    update.imsi = str(_row(update)["applications"][0])
    begun = asked(device, Operation.BEGIN_UPDATE, sho=SHO)
    token = _token_of_the_owner(update, begun)
    asked(device, Operation.TAKE_APPROVALS, approvals=token)
    refused(
        scene,
        "f",
        "the same approvals once more",
        device.ask_tre(Operation.TAKE_APPROVALS, {"approvals": token}),
        expected="update-refused",
    )


def _reboot_without_network(update: Update) -> None:
    scene = update.scene
    device = scene.devices[UPDATED]
    status = asked(device, Operation.STATUS)["status"]
    update.old_pfc = x509.load_der_x509_certificate(status["pfc_chain"][0])
    vector = _vector(update)
    for name in OUTAGE:
        scene.processes.kill(name)
    with scene.narrator.line("7", "power", UPDATED, "boots the new release; VNO and PVA are down"):
        scene.power_on(UPDATED, release=update.release)
    ended(
        scene,
        "g",
        "the MID after the reboot, the network down",
        expected="ACTIVE, answers the operator's challenge",
        happened=_mid_answers(update, vector),
    )
    with scene.narrator.line("8", "power", "VNO, PVA", "the network is back"):
        for name, module in OUTAGE.items():
            scene.services.start(name, module)


def _accept(update: Update) -> None:
    scene = update.scene
    _, old = attest(scene, LEFT_BEHIND, step="9")
    ended(
        scene,
        "h",
        "a device in the old state, in the window",
        expected="affirming under 1.0",
        happened=_verdict(update, old),
    )
    _, new = attest(scene, UPDATED, step="10")
    ended(
        scene,
        "i",
        "the updated device, under its old Platform Credential",
        expected="affirming under 1.1",
        happened=_verdict(update, new),
    )
    _fall_back(update)
    ended(
        scene,
        "l",
        "the new Platform Credential, while both are good",
        expected="the same key, the next manifest; OCSP of both: good, good",
        happened=_renewed(update),
    )
    ended(
        scene,
        "m",
        "what the operator hears of its MID in the new state",
        expected="done, ACTIVE",
        happened=f"{_followed(update)}, {_heard(update)}",
    )


def _fall_back(update: Update) -> None:
    """The new release does not please its owner: until the new credential is there, the old one is not dead."""
    scene = update.scene
    with scene.narrator.line("10.4", "owner", UPDATED, "boots the old release once more"):
        scene.power_on(UPDATED)
    ended(
        scene,
        "j",
        "the MID after falling back, in the window",
        expected="ACTIVE",
        happened=str(_row(update)["state"]),
    )
    answer, result = attest(scene, UPDATED, step="10.5")
    refused(
        scene,
        "k",
        "going back below the security version that was accepted",
        answer.refusal if result is None else _verdict(update, result),
        expected="manifest-rollback",
    )
    with scene.narrator.line("10.6", "owner", UPDATED, "boots the new release again"):
        device = scene.power_on(UPDATED, release=update.release)
    with scene.narrator.line(
        "10.7", UPDATED, "PVA", "the question that is still open, in the new state"
    ) as line:
        line.outcome = device.agent("attest").outcome


def _end_window(update: Update) -> None:
    scene = update.scene
    with scene.narrator.line("13", "-", "-", "the window of the old manifest closes"):
        time.sleep(max(0.0, update.ends_at + 1 - time.monotonic()))
    before = update.credential_before()
    _, issuer = scene.suppliers[APPROVED].credential(before.serial_number)
    said = wait_for_status(scene, before, issuer=issuer, kind=StatusKind.REVOKED)
    ended(scene, "n", "OCSP of the old Platform Credential", expected="revoked", happened=said.value)
    _, old = attest(scene, LEFT_BEHIND, step="14")
    ended(
        scene,
        "o",
        "a device that was not updated, after the window",
        expected="contraindicated under 1.0: superseded-state",
        happened=_verdict(update, old),
    )
    with scene.narrator.line("15", "thief", UPDATED, "boots the old release again"):
        scene.power_on(UPDATED)
    ended(
        scene,
        "p",
        "the vault in the old state: the TPM's answer",
        expected="BLOCKED, the TPM refuses the state",
        happened=_blocked(update),
    )
    _, back = attest(scene, UPDATED, step="16")
    ended(
        scene,
        "q",
        "its verdict, under the new Platform Credential",
        expected="contraindicated under 1.1: kernel-mismatch, pcr-mismatch",
        happened=_verdict(update, back),
    )
    ended(
        scene,
        "r",
        "what the old software tells the operator of its MID",
        expected="step-refused",
        happened=_followed(update),
    )
    with scene.narrator.line("17", "owner", UPDATED, "boots the new release again"):
        scene.power_on(UPDATED, release=update.release)
    ended(
        scene,
        "s",
        "the MID in the new state, afterwards",
        expected="ACTIVE, answers the operator's challenge",
        happened=_mid_answers(update, _vector(update)),
    )


def _ask_pva(update: Update, manifest_digest: bytes) -> object:
    """What the PVA says to the SHO that asks for approvals."""
    try:
        given = update.operator_at_pva.update_approvals(
            result_id=update.result_id, order_digest=update.order_digest, manifest_digest=manifest_digest
        )
    except HttpError as error:
        return refusal_in(error)
    return f"{len(given.approvals)} approvals"


def _token_of_the_owner(update: Update, begun: Mapping[str, Any]) -> str:
    """The owner's answer to a nonce, asked for past the agent."""
    url = f"https://{update.scene.services.address('recorder.device')}"
    with closing(HttpClient(url, tls=ClientTls(anchors=update.scene.services.tls_root))) as http:
        return DpfDeviceClient(http).update_approvals(
            device_id=update.scene.ids[UPDATED],
            order_digest=begun["order_digest"],
            manifest_digest=update.next_digest,
            tre_nonce=begun["nonce"],
        )


def _vector(update: Update) -> Vector:
    """A vector of the SHO's AuC, as the visited network has it in hand before the network is cut.

    A TRE that was restarted takes sequence numbers from its next block on only: so many are asked for, and the last is kept.
    """
    services = update.scene.services
    sho = ShoOperatorClient(services.http(SHO, "operator", services.identity(VNO)))
    numbers = 0
    while True:
        vectors = sho.authentication_vectors(update.imsi, serving_network=VNO).vectors
        numbers += len(vectors)
        if numbers > 2 * BLOCK:
            return vectors[-1]


def _row(update: Update) -> Mapping[str, Any]:
    (row,) = asked(update.scene.devices[UPDATED], Operation.MIDS)["mids"]
    return dict(row)


def _followed(update: Update) -> str:
    """What comes of it when the device asks what the owner of its MID wants."""
    answer = update.scene.devices[UPDATED].agent("follow")
    if answer.refusal is not None:
        return f"refused: {answer.refusal.code}"
    (owner,) = answer.said["owners"]
    return str(owner["outcome"])


def _heard(update: Update) -> str:
    """The state of the MID that its operator has on record."""
    services = update.scene.services
    staff = ShoOperatorClient(services.http(SHO, "operator", services.identity(STAFF)))
    return str(staff.mid(update.placed.order_id).state)


def _mid_answers(update: Update, vector: Vector) -> str:
    """State of the MID, and whether the TRE answers a challenge of its network as the network expects."""
    row = _row(update)
    answer = update.scene.devices[UPDATED].ask_tre(
        Operation.AUTHENTICATE,
        {
            "mid_id": row["mid_id"],
            "application": update.imsi,
            "rand": vector.rand,
            "autn": vector.autn,
        },
    )
    if isinstance(answer, Refusal):
        return f"{row['state']}, refused: {answer.code}"
    good = answer.get("res") == vector.xres
    return f"{row['state']}, {'answers the operator' if good else 'does not answer the operator'}'s challenge"


def _blocked(update: Update) -> str:
    row = _row(update)
    answer = update.scene.devices[UPDATED].ask_tre(
        Operation.AUTHENTICATE,
        {"mid_id": row["mid_id"], "application": "1", "rand": bytes(16), "autn": bytes(16)},
    )
    if not isinstance(answer, Refusal):
        return f"{row['state']}, the vault is open"
    update.scene.narrator.remark(f"         the TRE: {answer.reason}")
    says = "the TPM refuses the state" if "the TPM answered 0x" in answer.reason else answer.reason
    return f"{row['state']}, {says}"


def _verdict(update: Update, result: AttestationResult | None) -> str:
    if result is None:
        return "no result"
    manifest = result.manifest
    release = {update.first_digest: "1.0", update.next_digest: "1.1"}.get(
        b"" if manifest is None else manifest.digest, "another"
    )
    codes = sorted({each.code for each in result.submodules["platform"].findings})
    return f"{result.status.name.lower()} under {release}" + (f": {', '.join(codes)}" if codes else "")


def _renewed(update: Update) -> str:
    """Have the agent fetch the new credential, once the CA has made it; and ask OCSP about both."""
    scene = update.scene
    device, supplier = scene.devices[UPDATED], scene.suppliers[APPROVED]
    before = update.credential_before()
    deadline = time.monotonic() + RENEWAL_WAIT_S
    with scene.narrator.line("11", UPDATED, "CA", "fetches the credential that followed the update") as line:
        said = device.agent("renew-credential").said
        while said.get("serial") == f"{before.serial_number:040x}" and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
            said = device.agent("renew-credential").said
        line.outcome = str(said.get("outcome"))
    new, issuer = supplier.credential(int(str(said["serial"]), 16))
    with scene.narrator.line("12", "OCSP", "-", "status of both credentials") as line:
        kinds = [
            wait_for_status(scene, each, issuer=issuer, kind=StatusKind.GOOD).value for each in (before, new)
        ]
        line.outcome = ", ".join(kinds)
    key = "the same key" if spki_der(new) == spki_der(before) else "another key"
    manifest = "the next manifest" if new.serial_number != before.serial_number else "the old manifest"
    return f"{key}, {manifest}; OCSP of both: {', '.join(kinds)}"


def _digest(signed: bytes) -> bytes:
    return hashlib.sha256(signed).digest()
