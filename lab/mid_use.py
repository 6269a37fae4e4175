"""MIDs in use, as their device, their person and their networks see them: states, attachments, keys for WLAN.

Rule: what a home operator and a device make of one authentication is compared, never assumed.
"""

from collections.abc import Mapping
from typing import Any

from clients.sho import ShoOperatorClient, Vector
from clients.vno import VnoClient
from edge.http_client import HttpError
from lab.device import Device, Refusal, refusal_in
from lab.fourteen_steps import asked, attached
from lab.homes import HOME_MNC, MCC
from lab.identities import VNO
from lab.outcomes import said
from lab.scene import Scene
from lab.story import UnexpectedEndError
from m2me_agent.tre_protocol import Operation
from messages.mid_policy import WLAN
from standards.aka.eap_aka_prime import NETWORK_NAME_WLAN, EapKeys, derive_bound_keys, derive_eap_keys

TRIES_MAX = 64
"""Vectors that are tried until a TRE takes a number: one that was restarted has lost part of a block."""
_REALM = f"wlan.mnc0{HOME_MNC}.mcc{MCC}.3gppnetwork.org"


def rows_of(scene: Scene, name: str) -> list[Mapping[str, Any]]:
    """The MIDs of a device, as its TRE shows them to its agent."""
    return list(asked(scene.devices[name], Operation.MIDS)["mids"])


def owners_of(scene: Scene, name: str) -> str:
    """Whose MIDs are active."""
    active = [str(row["owner"]) for row in rows_of(scene, name) if row["state"] == "ACTIVE"]
    return ", ".join(active) or "nobody"


def states_of(scene: Scene, name: str) -> str:
    """State of the MID of each operator."""
    found = {str(row["owner"]): str(row["state"]) for row in rows_of(scene, name)}
    return ", ".join(f"{owner}: {found[owner]}" for owner in sorted(found))


def usim_of(scene: Scene, name: str, sho: str) -> tuple[str, str]:
    """MID id and first IMSI of an operator's MID."""
    for row in rows_of(scene, name):
        if row["owner"] == sho and row["applications"]:
            return str(row["mid_id"]), str(row["applications"][0])
    raise UnexpectedEndError(f"no open MID of {sho} is in {name}")


def attach(scene: Scene, name: str, *, sho: str) -> str:
    """Attach to the visited network with an operator's USIM: "authenticated", or the refusal."""
    mid_id, imsi = usim_of(scene, name, sho)
    vno = VnoClient(scene.services.http(VNO, "device"))
    with scene.narrator.line("14", "TRE", f"VNO, {sho}", f"attach with the IMSI {imsi}") as line:
        try:
            line.outcome = f"bearer to {attached(vno, scene.devices[name], mid_id=mid_id, imsi=imsi).apn}"
        except HttpError as error:
            line.outcome = said(refusal_in(error))
            return line.outcome
    return "authenticated"


def tried(scene: Scene, name: str, *, sho: str) -> Mapping[str, Any] | Refusal:
    """What a TRE says to any challenge for an operator's USIM."""
    mid_id, imsi = usim_of(scene, name, sho)
    named = {"mid_id": mid_id, "application": imsi, "rand": bytes(16), "autn": bytes(16)}
    return scene.devices[name].ask_tre(Operation.AUTHENTICATE, named)


def held(scene: Scene, name: str) -> str:
    """What the MIDs of a device open: its USIMs as the person reads them at the MMI, and the identities of its ISIMs."""
    accesses = sorted(access for _, access in _usims(scene.devices[name]))
    identities = [each for row in rows_of(scene, name) for each in row["public_identities"]]
    return f"USIMs for {', '.join(accesses)}; an ISIM with {len(identities)} identities"


def over_wlan(scene: Scene, name: str, *, sho: str) -> str:
    """Authenticate the WLAN USIM against its operator's AuC, and derive the keys of EAP-AKA' at either end."""
    imsi = next(imsi for imsi, access in _usims(scene.devices[name]) if access == WLAN)
    mid_id, _ = usim_of(scene, name, sho)
    auc = ShoOperatorClient(scene.services.http(sho, "operator", scene.services.identity(VNO)))
    identity = f"6{imsi}@{_REALM}"
    with scene.narrator.line("15", "TRE", sho, f"RAND and AUTN for {imsi}; RES, CK, IK back") as line:
        vector, answer = _answered(auc, scene.devices[name], mid_id=mid_id, imsi=imsi)
        line.outcome = f"RES of {len(answer['res'])} bytes"
    peer = _eap_keys(ck=answer["ck"], ik=answer["ik"], autn=vector.autn, identity=identity)
    server = _eap_keys(ck=vector.ck, ik=vector.ik, autn=vector.autn, identity=identity)
    right = "right" if answer["res"] == vector.xres else "wrong"
    msk = "one MSK" if peer.msk == server.msk else "two MSKs"
    return f"RES of {len(answer['res'])} bytes is {right}, {msk} of {len(peer.msk)} bytes at both ends"


def _answered(
    auc: ShoOperatorClient, device: Device, *, mid_id: str, imsi: str
) -> tuple[Vector, Mapping[str, bytes]]:
    for _ in range(TRIES_MAX):
        for vector in auc.authentication_vectors(imsi, serving_network=VNO).vectors:
            challenge = {"rand": vector.rand, "autn": vector.autn}
            answer = asked(device, Operation.AUTHENTICATE, mid_id=mid_id, application=imsi, **challenge)
            if "res" in answer:
                return vector, answer
    raise UnexpectedEndError(f"the TRE took none of {TRIES_MAX} batches of vectors for {imsi}")


def _eap_keys(*, ck: bytes, ik: bytes, autn: bytes, identity: str) -> EapKeys:
    bound = derive_bound_keys(ck=ck, ik=ik, autn=autn, network_name=NETWORK_NAME_WLAN)
    return derive_eap_keys(bound, identity=identity)


def _usims(device: Device) -> list[tuple[str, str]]:
    """IMSI and access of each line that the MMI shows."""
    lines = (line.split() for line in device.person("usims").splitlines())
    return [(words[0], words[1]) for words in lines if len(words) == 4]  # noqa: PLR2004 - IMSI, access, whether, whose
