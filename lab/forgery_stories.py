"""Stories of the wrong word (i, l, m, n): somebody says what he may not say, or says it at the wrong time or place.

Rule: as for all stories: right in every respect but one, and the refusing party names that one.
"""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from joserfc.util import urlsafe_b64decode

from clients.dpf import DpfOperatorClient
from clients.pva import PvaOperatorClient
from edge.http_client import HttpError
from edge.keys import load_private_key
from edge.process import system_clock, system_random
from lab.device import Refusal, refusal_in
from lab.fourteen_steps import asked
from lab.identities import DPF, DRF, PVA_ISSUER, RELAY, SHO
from lab.outcomes import ended, refused, said
from lab.rogue import rogue_signer
from lab.scene import Scene
from lab.sho_records import AuthorizedOrder
from lab.state_stories import TWIN, Stage
from lab.story import GOOD_DEVICE
from m2me_agent.tre_protocol import Operation
from messages import authorization as authorizations
from messages import order as orders
from messages.discovery import DISCOVERY_KIND, Discovery
from messages.operator_token import OperatorSigner, verify_operator_token
from messages.validation_request import VALIDATION_REQUEST_OF_SHO, SignedRequest
from standards.pki.fingerprints import certificate_der, decode_pem_certificates
from standards.rats.fields import encode_base64url
from standards.tpm2.structures import Public

NONCE_BYTES = 32
LIFE = timedelta(minutes=5)


def order_of_another_registration(scene: Scene, stage: Stage) -> None:
    """The good device's order token, handed to the twin's TRE with an answer of the DRF that is for the twin."""
    with scene.narrator.line("i.1", "thief", TWIN, "the good device's order token") as line:
        answer = _accept(scene, stage.package_of_the_good_device().order)
        line.outcome = said(answer)
    refused(scene, "i", "order token of another registration", answer, expected="order-refused")


def operator_beyond_the_anchors(scene: Scene, stage: Stage) -> None:
    """An order that is right for the twin in all respects, under a root that its image does not hold."""
    good = _claims(scene, stage.package_of_the_good_device().order, orders.ORDER_KIND)
    status = asked(scene.devices[TWIN], Operation.STATUS)["status"]
    order = replace(
        orders.read_claims(good),
        device_id=scene.ids[TWIN],
        ak_name=_ak_name(status["ak_public"]),
        jti="rogue",
    )
    token = rogue_signer("sho", SHO).sign(order.claims(), typ=orders.ORDER_KIND.typ)
    with scene.narrator.line("l.1", "rogue SHO", TWIN, "an order under a root of its own") as line:
        answer = _accept(scene, token)
        line.outcome = said(answer)
    refused(scene, "l", "an SHO that the anchors do not reach", answer, expected="untrusted")


def forged_at_the_gate(scene: Scene, stage: Stage, *, unrelated_result: str) -> None:
    """Four tries of somebody who has the SHO's certificate for the DPF's listener, each wrong in one word."""
    good = stage.package_of_the_good_device()
    word = authorizations.read_claims(_claims(scene, good.authorization, authorizations.AUTHORIZATION_KIND))
    now = system_clock().replace(microsecond=0)
    fresh = replace(word, jti="m-fresh", issued_at=now, expires_at=now + LIFE)
    stale = replace(word, jti="m-stale", issued_at=now - 2 * LIFE, expires_at=now - LIFE)
    forged = replace(good, authorization=_signed(rogue_signer("sho", SHO), fresh))
    late = replace(good, authorization=_signed(_sho_signer(scene), stale))
    genuine = replace(good, authorization=_signed(_sho_signer(scene), fresh))
    tries = (
        ("m1", "authorisation forged", forged, "authorization-invalid"),
        ("m2", "authorisation stale", late, "authorization-expired"),
        ("m3", "result altered", replace(genuine, result=_altered(good.result)), "result-invalid"),
        ("m4", "result of another question", replace(genuine, result=unrelated_result), "result-mismatch"),
    )
    for name, told, parts, expected in tries:
        with scene.narrator.line(name, "insider", "DPF", told) as line:
            answer = _authorize(scene, parts)
            line.outcome = said(answer)
        refused(scene, name, f"at the DPF: {told}", answer, expected=expected)


def relay_that_alters(scene: Scene) -> None:
    """The SHO's signed question is altered on the way; unaltered, the relay learns pass or fail and nothing else."""
    request = _request(scene, at=system_clock().replace(microsecond=0))
    token = _sho_signer(scene).sign(request.claims(), typ=VALIDATION_REQUEST_OF_SHO.typ)
    with closing(scene.services.http("pva", "operator", scene.services.identity(RELAY))) as http:
        pva = PvaOperatorClient(http)
        with scene.narrator.line("n.1", "RO", "PVA", "the SHO's question, its device changed") as line:
            answer = _or_refusal(lambda: pva.submit_request(_altered(token)).request_id)
            line.outcome = said(answer)
        refused(scene, "n1", "an RO that alters the question", answer, expected="request-untrusted")
        with scene.narrator.line("n.2", "RO", "PVA", "the SHO's question, unaltered") as line:
            asked_id = pva.submit_request(token).request_id
            scene.devices[GOOD_DEVICE].agent("attest")
            learned = pva.request_progress(asked_id)
            line.outcome = f"{learned.state}, {learned.outcome}"
    told = learned.outcome if learned.result is None and not learned.refusals else "the result itself"
    ended(
        scene,
        "n2",
        "what a relaying RO learns",
        expected="pass; the rest is sealed for the SHO",
        happened=f"{told}; {'the rest is sealed for the SHO' if learned.sealed else 'nothing is sealed'}",
    )


def _accept(scene: Scene, order: str) -> object:
    """What the twin's TRE says to an order, with a discovery answer that is right for it."""
    nonce = system_random(NONCE_BYTES)
    now = system_clock().replace(microsecond=0)
    found = Discovery(
        drf=DRF,
        device_id=scene.ids[TWIN],
        nonce=nonce,
        sho=SHO,
        sho_name=SHO,
        source="registered-order",
        pva_url="https://pva.invalid",
        dpf_url="https://dpf.invalid",
        issued_at=now,
        expires_at=now + LIFE,
    )
    discovery = _signer(scene, DRF, "discovery").sign(found.claims(), typ=DISCOVERY_KIND.typ)
    answer = scene.devices[TWIN].ask_tre(
        Operation.ACCEPT_ORDER, {"order": order, "discovery": discovery, "nonce": nonce}
    )
    return answer if isinstance(answer, Refusal) else "accepted"


def _authorize(scene: Scene, parts: AuthorizedOrder) -> object:
    with closing(scene.services.http(DPF, "operator", scene.services.identity(SHO))) as http:
        client = DpfOperatorClient(http)
        return _or_refusal(
            lambda: (
                client.authorize(
                    authorization=parts.authorization,
                    order=parts.order,
                    result=parts.result,
                    package=parts.package,
                    content=parts.content,
                ).state
            )
        )


def _or_refusal(call: Callable[[], str]) -> object:
    try:
        return call()
    except HttpError as error:
        return refusal_in(error)


def _request(scene: Scene, *, at: datetime) -> SignedRequest:
    certificate = decode_pem_certificates(
        (scene.services.site.role(SHO) / "result-encryption.pem").read_bytes()
    )[0]
    return SignedRequest(
        requester=SHO,
        pva=PVA_ISSUER,
        jti=system_random(16).hex(),
        device_id=scene.ids[GOOD_DEVICE],
        purpose="validation",
        rp_nonce=system_random(NONCE_BYTES),
        order_digest=None,
        audience=(SHO,),
        encrypt_to=certificate_der(certificate),
        issued_at=at,
        expires_at=at + LIFE,
    )


def _altered(token: str) -> str:
    """The token with one thing changed in its claims, and everything else as signed."""
    header, payload, signature = token.split(".")
    claims = json.loads(urlsafe_b64decode(payload.encode()))
    claims["jti"] = "altered"
    changed = encode_base64url(json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode())
    return f"{header}.{changed}.{signature}"


def _signed(signer: OperatorSigner, word: authorizations.Authorization) -> str:
    return signer.sign(word.claims(), typ=authorizations.AUTHORIZATION_KIND.typ)


def _claims(scene: Scene, token: str, kind: Any) -> dict[str, Any]:
    anchors = decode_pem_certificates(scene.services.operators_root.read_bytes())
    return verify_operator_token(token, kind, anchors=anchors, at=system_clock()).claims


def _ak_name(ak_public: str) -> bytes:
    return Public.decode(bytes.fromhex(ak_public)).name


def _sho_signer(scene: Scene) -> OperatorSigner:
    return _signer(scene, SHO, "subscription")


def _signer(scene: Scene, service: str, purpose: str) -> OperatorSigner:
    """A service's own key, in the hands of somebody in its house."""
    folder = scene.services.site.role(service)
    key = load_private_key(folder / f"{purpose}.key", passphrase_file=folder / "passphrase")
    chain = tuple(x509.load_pem_x509_certificates((folder / f"{purpose}.pem").read_bytes()))
    return OperatorSigner(key=key, chain=chain, issuer=service)
