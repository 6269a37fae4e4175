"""What a service of several nodes promises when nodes die, stores restart and versions roll.

Rule: every promise is looked up at the parties who rely on it, after the fact: results by the operator who asked,
used challenges by handing the same evidence in again, processes by their ids.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cryptography import x509

from clients.audit_log import AuditLogClient
from clients.ocsp import OcspClient
from clients.pva import PvaDeviceClient
from edge.http_client import ClientTls, HttpClient, HttpError
from edge.ledger_leaf import LedgerError
from edge.log_verification import VerifiedLog, verify_log
from edge.process import system_clock, system_random
from lab.identities import SHO
from lab.nodes import PVAS, RESPONDERS, Nodes
from lab.outcomes import ended
from lab.parties import Operator
from lab.scene import Scene
from lab.service_load import Load, Validation, code_of, evidence_of, progress_of
from lab.services import LOOPBACK
from standards.merkle.checkpoint import VerifierKey
from standards.merkle.tree import MerkleError

FIRST, SECOND = PVAS
SEEN_WITHIN_S = 30.0
AWAY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStage:
    """The nodes, and the devices that are validated over them."""

    scene: Scene
    nodes: Nodes
    devices: tuple[str, ...]
    serials: tuple[int, ...]

    def tell(self, name: str, told: str, *, expected: str, happened: str) -> None:
        """One row of the table."""
        ended(self.scene, name, told, expected=expected, happened=happened)

    def device_side(self, node: str) -> PvaDeviceClient:
        """The device listener of one node, past nginx."""
        url = f"https://{LOOPBACK}:{self.nodes.ports[node, 'device']}"
        return PvaDeviceClient(HttpClient(url, tls=ClientTls(anchors=self.scene.services.tls_root)))

    def submit(self, node: str, evidence: bytes) -> str:
        """Hand evidence to one node: the tier, or the refusal's code."""
        try:
            return self.device_side(node).submit_evidence(evidence).status
        except HttpError as error:
            return f"refused: {code_of(error)}"

    def load(self) -> Load:
        """A load that has not begun."""
        return Load(self.scene)


def play_service_stories(stage: ServiceStage) -> None:
    """Play all of them, in this order: later ones rest on what earlier ones recorded."""
    _any_node_serves_any_device(stage)
    _a_challenge_crosses(stage)
    _two_nodes_at_once(stage)
    _responders_agree(stage)
    kept = _a_node_is_killed(stage)
    _the_store_restarts(stage)
    _versions_roll(stage)
    _nothing_is_taken_twice(stage, kept)
    _what_will_end_is_named(stage)
    _one_log(stage)


def _any_node_serves_any_device(stage: ServiceStage) -> None:
    load = stage.load()
    for device in stage.devices:
        for _ in PVAS:
            load.once(device)
    counts = [stage.nodes.verdicts(each) for each in PVAS]
    stage.scene.narrator.remark(f"       results on record: {counts[0]} by {FIRST}, {counts[1]} by {SECOND}")
    happened = "both nodes" if all(counts) and load.count == len(PVAS) * len(stage.devices) else f"{counts}"
    stage.tell("a", "validations through nginx", expected="both nodes", happened=happened)


def _asked(stage: ServiceStage, device: str, *, of: str) -> bytes:
    """A device's evidence for a challenge that the node `of` issued."""
    Operator("sho-1", stage.scene.services).ask(stage.scene.ids[device])
    token = stage.device_side(of).challenge(stage.scene.ids[device])
    return evidence_of(stage.scene, device, token)


def _a_challenge_crosses(stage: ServiceStage) -> None:
    evidence = _asked(stage, stage.devices[0], of=FIRST)
    told = f"a challenge of {FIRST}, redeemed at {SECOND}"
    stage.tell("b", told, expected="affirming", happened=stage.submit(SECOND, evidence))
    for name, node in (("c", FIRST), ("d", SECOND)):
        told = f"the same evidence again, at {node}"
        stage.tell(name, told, expected="refused: challenge-used", happened=stage.submit(node, evidence))


def _two_nodes_at_once(stage: ServiceStage) -> None:
    evidence = _asked(stage, stage.devices[0], of=SECOND)
    with ThreadPoolExecutor(len(PVAS)) as both:
        said = sorted(both.map(lambda node: stage.submit(node, evidence), PVAS))
    expected = "affirming, refused: challenge-used"
    stage.tell("e", "one evidence to both nodes at once", expected=expected, happened=", ".join(said))


def _responders_agree(stage: ServiceStage) -> None:
    supplier = stage.scene.suppliers["supplier-1"]
    (serial, *_) = stage.serials
    leaf, issuer = supplier.credential(serial)
    urls = [f"http://{LOOPBACK}:{stage.nodes.ports[each, 'public']}" for each in RESPONDERS]
    said = {_status(url, leaf, issuer) for url in (*urls, stage.scene.services.ocsp_url)}
    told = "one credential at both responders and nginx"
    stage.tell("f", told, expected="good", happened=", ".join(sorted(said)))


def _status(url: str, leaf: x509.Certificate, issuer: x509.Certificate) -> str:
    client = OcspClient(url, random_bytes=system_random, clock=system_clock)
    try:
        return client.ask(leaf, issuer=issuer).kind.value
    finally:
        client.close()


def _a_node_is_killed(stage: ServiceStage) -> list[Validation]:
    tell, load = stage.scene.narrator, stage.load()
    with load.running(stage.devices):
        before = load.wait_for(len(stage.devices))
        with tell.line("kill", "lab", SECOND, "SIGKILL while devices are validated"):
            stage.nodes.kill(SECOND)
        alone = load.wait_for(len(stage.devices))
        with tell.line("start", "lab", SECOND, "the same node again"):
            stage.nodes.start(SECOND)
        after = load.wait_for(len(stage.devices))
    _say(stage, load)
    went_on = before and alone and after and not load.failures
    stage.tell(
        "g",
        f"{SECOND} is killed under load",
        expected="validations go on",
        happened="validations go on" if went_on else "; ".join(load.failures) or "they stopped",
    )
    missing = [each for each in load.validations if each.acknowledged and _result_of(stage, each) is None]
    stage.tell(
        "h",
        f"{load.count} results that devices were told of",
        expected="all on record",
        happened="all on record" if not missing else f"{len(missing)} lost",
    )
    return list(load.validations)


def _result_of(stage: ServiceStage, validation: Validation) -> str | None:
    return progress_of(stage.scene, validation).result


def _the_store_restarts(stage: ServiceStage) -> None:
    tell, load = stage.scene.narrator, stage.load()
    nodes = (*PVAS, *RESPONDERS)
    pids = [stage.nodes.pid(each) for each in nodes]
    with load.running(stage.devices):
        load.wait_for(len(stage.devices))
        with tell.line("store", "lab", "PostgreSQL", "stopped at once, its connections cut"):
            stage.nodes.database.stop()
        ready = [stage.nodes.readiness(each).get("status") for each in nodes]
        time.sleep(AWAY_S)
        with tell.line("store", "lab", "PostgreSQL", "started again"):
            stage.nodes.database.start()
        load.wait_for(2 * len(stage.devices))
    _say(stage, load)
    stage.tell(
        "i",
        "/readyz of all nodes meanwhile",
        expected="503",
        happened=", ".join(sorted({str(each) for each in ready})),
    )
    told = set(load.troubles) - {"store-unavailable", "status-unavailable"}
    clear = bool(load.troubles) and not told and not load.failures
    stage.tell(
        "j",
        "what callers are told meanwhile",
        expected="try again later",
        happened="try again later" if clear else "; ".join([*sorted(told), *load.failures]) or "nothing",
    )
    same = pids == [stage.nodes.pid(each) for each in nodes] and all(_runs(each) for each in pids)
    stage.tell(
        "k",
        "afterwards",
        expected="served by the same processes",
        happened="served by the same processes" if same and load.count else "not served",
    )
    _until(lambda: all(stage.nodes.readiness(each)["ready"] for each in nodes))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _versions_roll(stage: ServiceStage) -> None:
    tell, load = stage.scene.narrator, stage.load()
    codes: list[int | None] = []
    with load.running(stage.devices):
        for node in PVAS:
            load.wait_for(1)
            with tell.line("roll", "lab", node, "SIGTERM, then the same node again"):
                codes.append(stage.nodes.stop(node))
                stage.nodes.start(node)
        load.wait_for(len(stage.devices))
    _say(stage, load)
    lost = [each for each in load.validations if not each.acknowledged]
    whole = codes == [0, 0] and not lost and not load.failures
    stage.tell(
        "l",
        "a rolling restart under load",
        expected="every validation answered",
        happened="every validation answered"
        if whole
        else f"exit {codes}, {len(lost)} without an answer, {load.failures}",
    )


def _nothing_is_taken_twice(stage: ServiceStage, kept: list[Validation]) -> None:
    said = {
        stage.submit(node, each.evidence)
        for each in kept
        if each.outcome != "nothing recorded"
        for node in PVAS
    }
    told = f"all {len(kept)} pieces of evidence again, at both nodes"
    stage.tell("m", told, expected="refused: challenge-used", happened=", ".join(sorted(said)))


def _what_will_end_is_named(stage: ServiceStage) -> None:
    first, second = (stage.nodes.readiness(each) for each in PVAS)
    named = sorted({each["subject"] for each in second["soon"] if each["code"] == "certificate-expiring"})
    for each in second["soon"]:
        stage.scene.narrator.remark(f"       {each['subject']}: {each['detail']}; {each['remedy']}")
    happened = f"{'ready' if second['ready'] else 'not ready'}, names {named[0] if named else 'nothing'}"
    told = f"/readyz of {SECOND}, which looks ten years ahead"
    stage.tell("n", told, expected="ready, names approval_key.certificate", happened=happened)
    quiet = "ready, names nothing" if first["ready"] and not first["soon"] else str(first)
    stage.tell(
        "o",
        f"/readyz of {FIRST}, which looks two weeks ahead",
        expected="ready, names nothing",
        happened=quiet,
    )


def _one_log(stage: ServiceStage) -> None:
    services = stage.scene.services
    key = VerifierKey.parse((services.site.role("pva") / "log" / "log.vkey").read_text())
    seen: list[VerifiedLog] = []
    for node in PVAS:
        url = f"https://{LOOPBACK}:{stage.nodes.ports[node, 'operator']}"
        who = services.identity(SHO)
        tls = ClientTls(
            anchors=services.tls_root,
            certificate=who.certificate,
            key=who.key,
            passphrase_file=who.passphrase_file,
        )
        try:
            known = seen[-1].note if seen else None
            seen.append(verify_log(AuditLogClient(HttpClient(url, tls=tls)), key, known=known))
        except (MerkleError, LedgerError) as error:
            stage.tell("p", "the audit log, read at both nodes", expected="one tree", happened=str(error))
            return
    stage.tell("p", "the audit log, read at both nodes", expected="one tree", happened="one tree")


def _say(stage: ServiceStage, load: Load) -> None:
    troubles = ", ".join(f"{number} x {name}" for name, number in sorted(load.troubles.items())) or "none"
    lost = sum(not each.acknowledged for each in load.validations)
    stage.scene.narrator.remark(
        f"       {load.count} validations acknowledged, {lost} answers lost; what callers met: {troubles}"
    )


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SEEN_WITHIN_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
