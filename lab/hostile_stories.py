"""The hostile stories: each on a device of its own, each wrong in one respect, each refused or found out.

Rule: a story says beforehand how it must end; what happened is read from the parties' answers, never assumed.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cryptography import x509

from edge.process import system_clock
from lab.boot import TRE_PARTS, measure_tre_image
from lab.device import Refusal
from lab.narration import Story
from lab.outcomes import refusal_of, refused, said
from lab.scene import Scene
from lab.story import (
    APPROVED,
    GOOD_DEVICE,
    IN_NO_BATCH,
    UNRECOGNISED,
    UnexpectedEndError,
    attest,
    enroll,
    wait_for_status,
)
from messages.challenge import CHALLENGE_TYPE, read_claims
from messages.evidence import decode_evidence, encode_evidence
from standards.pki import oids
from standards.pki.fingerprints import decode_pem_certificates
from standards.pki.jws import verify_jws
from standards.pki.ocsp_answer import StatusKind
from standards.rats.ar4si import Tier
from standards.rats.ear import AttestationResult

REGISTER = "pcr-mismatch"
"""That a register differs is found each time; what is told is which component made it differ, where that is known."""
ALTERED_FILE = "m2me_agent/tre/rate_limit.py"


def play(scene: Scene) -> None:
    """All of them, in order."""
    stories: tuple[tuple[str, Callable[[Scene], None]], ...] = (
        ("a: another kernel was booted", another_kernel),
        ("b: the TRE's code was altered", altered_tre),
        ("c: a recorded quote is replayed", replayed_quote),
        ("d: another device's quote is relayed", relayed_quote),
        ("e: the Platform Credential was revoked", revoked_credential),
        ("f: the supplier is not recognised", unrecognised_supplier),
        ("g: a genuine TPM that is in no batch", unlisted_tpm),
    )
    for title, story in stories:
        scene.narrator.heading(title)
        story(scene)


def another_kernel(scene: Scene) -> None:
    """The device boots a kernel that no manifest knows."""
    _enrolled(scene, "device-a")
    scene.power_on("device-a", release=replace(scene.release(), kernel="vmlinuz-6.1.0-of-someone-else"))
    _, result = attest(scene, "device-a", step="a")
    _found(scene, "a", "measured boot changed", result, scope="platform")


def altered_tre(scene: Scene) -> None:
    """One line of the TRE's code is changed; the changed code is measured and run."""
    _enrolled(scene, "device-b")
    image = _altered_image(scene)
    scene.devices["device-b"].image = image
    scene.power_on("device-b", release=replace(scene.release(), tre_image=measure_tre_image(image)))
    _, result = attest(scene, "device-b", step="b")
    _found(scene, "b", "TRE code changed", result, scope="tre")


def replayed_quote(scene: Scene) -> None:
    """Evidence that was good once: sent again, sent in a fresh exchange, sent to a PVA that was restarted."""
    _enrolled(scene, "device-c")
    recorded = _recorded(scene, "device-c", step="c")
    with scene.narrator.line("c.3", "thief", "PVA", "the same evidence once more") as line:
        again = scene.submit(recorded)
        line.outcome = said(again)
    refused(scene, "c1", "replayed with its own, used challenge", again, expected="challenge-used")
    scene.operator.ask(scene.ids["device-c"])
    fresh = _with_challenge(scene, recorded, scene.challenge("device-c"))
    with scene.narrator.line("c.4", "thief", "PVA", "the recorded quote under a fresh challenge") as line:
        spliced = scene.submit(fresh)
        line.outcome = said(spliced)
    refused(scene, "c2", "replayed inside a fresh exchange", spliced, expected="nonce-mismatch")
    with scene.narrator.line("c.5", "power cut", "PVA", "killed and started again"):
        scene.services.restart("pva")
    with scene.narrator.line("c.6", "thief", "PVA", "the first evidence to the restarted PVA") as line:
        after = scene.submit(recorded)
        line.outcome = said(after)
    refused(scene, "c3", "replayed after a restart of the PVA", after, expected="challenge-used")


def relayed_quote(scene: Scene) -> None:
    """A device in a bad state lets a good one answer for it."""
    _enrolled(scene, "device-d")
    scene.power_on("device-d", release=replace(scene.release(), kernel="vmlinuz-6.1.0-of-someone-else"))
    scene.operator.ask(scene.ids["device-d"])
    token = scene.challenge("device-d")
    with scene.narrator.line(
        "d.3", "device-d", GOOD_DEVICE, "its challenge, to the other device's TRE"
    ) as line:
        answer = scene.devices[GOOD_DEVICE].evidence_for(token)
        line.outcome = said(answer)
    refused(scene, "d1", "its challenge relayed to a good device's TRE", answer, expected="challenge-refused")
    scene.operator.ask(scene.ids[GOOD_DEVICE])
    borrowed = scene.devices[GOOD_DEVICE].evidence_for(scene.challenge(GOOD_DEVICE))
    if isinstance(borrowed, Refusal):
        raise UnexpectedEndError(f"the TRE of {GOOD_DEVICE} refused: {borrowed.reason}")
    with scene.narrator.line(
        "d.4", "device-d", "PVA", "the good device's quote under its own challenge"
    ) as line:
        relayed = scene.submit(_with_challenge(scene, borrowed, token))
        line.outcome = said(relayed)
    refused(scene, "d2", "a good device's quote under its challenge", relayed, expected="device-mismatch")
    scene.submit(borrowed)  # the good device's own question is answered, too: none is left waiting


def revoked_credential(scene: Scene) -> None:
    """The supplier revokes the credential of a device that it lost sight of."""
    _enrolled(scene, "device-e")
    message = decode_evidence(_recorded(scene, "device-e", step="e"))
    leaf, issuer = (x509.load_der_x509_certificate(each) for each in message.pfc_chain[:2])
    with scene.narrator.line("e.3", APPROVED, "CA", "revoke it: keyCompromise"):
        scene.suppliers[APPROVED].revoke(leaf, issuer=issuer, reason="keyCompromise")
    with scene.narrator.line("e.4", "SHO", "OCSP", "status of the Platform Credential") as line:
        line.outcome = wait_for_status(scene, leaf, issuer=issuer, kind=StatusKind.REVOKED).value
    answer, _ = attest(scene, "device-e", step="e.5")
    refused(scene, "e", "Platform Credential revoked", refusal_of(answer), expected="pfc-revoked")


def unrecognised_supplier(scene: Scene) -> None:
    """A supplier's device is in order, but the PVA's operator has not recognised its root."""
    _enrolled(scene, "device-f", supplier=UNRECOGNISED)
    answer, _ = attest(scene, "device-f", step="f")
    refused(scene, "f", "supplier not recognised", refusal_of(answer), expected="supplier-not-recognised")


def unlisted_tpm(scene: Scene) -> None:
    """A genuine TPM with a valid EK certificate, which no supplier listed."""
    answer = enroll(scene, IN_NO_BATCH, step="g")
    refused(scene, "g", "genuine TPM in no batch", refusal_of(answer), expected="ek-not-listed")


def _enrolled(scene: Scene, name: str, *, supplier: str = APPROVED) -> None:
    answer = enroll(scene, name, step=name[-1] + ".0", supplier=supplier)
    if answer.refusal or answer.status != 0:
        raise UnexpectedEndError(f"{name} could not be enrolled: {answer.outcome}")


def _recorded(scene: Scene, name: str, *, step: str) -> bytes:
    """A good exchange, and the evidence that travelled in it."""
    with scene.narrator.line(f"{step}.1", "SHO", "PVA", f"validate {name} (nonce)"):
        scene.operator.ask(scene.ids[name])
    with scene.narrator.line(f"{step}.2", name, "PVA", "evidence, seen by somebody on the way") as line:
        evidence = scene.devices[name].evidence_for(scene.challenge(name))
        if isinstance(evidence, Refusal):
            raise UnexpectedEndError(f"the TRE of {name} refused: {evidence.reason}")
        line.outcome = said(scene.submit(evidence))
    return evidence


def _with_challenge(scene: Scene, evidence: bytes, token: str) -> bytes:
    """The same evidence under another challenge, its context rewritten to fit."""
    anchors = decode_pem_certificates(scene.services.operators_root.read_bytes())
    verified = verify_jws(
        token, anchors=anchors, eku=oids.EKU_CHALLENGE, typ=CHALLENGE_TYPE, at=system_clock()
    )
    body = read_claims(verified.claims).context()
    return encode_evidence(replace(decode_evidence(evidence), challenge_token=token, body=body))


def _altered_image(scene: Scene) -> Path:
    """A copy of the TRE's code in which one line differs."""
    image = scene.site.role("altered-image")
    for part in (*TRE_PARTS, "m2me_agent/__init__.py"):
        source, target = scene.site.image / part, image / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(source, target)
    with (image / ALTERED_FILE).open("a") as code:
        code.write("\nALTERED_BY_A_STRANGER = True\n")
    return image


def _found(scene: Scene, name: str, told: str, result: AttestationResult | None, *, scope: str) -> None:
    """Tell a story that must end in a signed, contraindicated result with a finding in `scope`."""
    findings = (
        [] if result is None else [each for part in result.submodules.values() for each in part.findings]
    )
    bad = (
        {}
        if result is None
        else {key: part for key, part in result.submodules.items() if part.status is Tier.CONTRAINDICATED}
    )
    happened = f"contraindicated in {', '.join(bad)}" if bad else "not found out"
    in_scope = [each for each in findings if each.scope == scope]
    first = next((each for each in in_scope if each.code != REGISTER), next(iter(in_scope), None))
    scene.narrator.tell(
        Story(
            name=name,
            told=told,
            expected=f"contraindicated in {scope}",
            happened=happened,
            subject=first.subject if first else "",
            reason=f"{first.reason} [{first.code}]" if first else "",
            remedy=first.remedy if first else "",
            expected_value=(first.expected or "") if first else "",
            measured_value=(first.measured or "") if first else "",
            event=(first.event or "") if first else "",
        )
    )
