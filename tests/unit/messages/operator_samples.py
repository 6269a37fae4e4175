"""One valid value of each message between operators, device and TRE, and what would be wrong in each claim of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from messages import (
    authorization,
    connectivity,
    delivery,
    discovery,
    instruction,
    mid_content,
    mid_package,
    mid_policy,
    order,
    ownership,
    registry,
    release,
    state_event,
    switch,
    update_approvals,
    validation_request,
)
from messages.approval import USE_PACKAGE, USE_VAULT, ApprovedState, StateApproval, Use
from messages.erasure import Erasure
from messages.statement import INSTALLED, Receipt, SignedStatement
from tests.unit.messages.samples import SHA256_BANK
from tests.unit.standards.tpm2.attester import ecc_key

SHO = "sho.example"
DPF = "dpf.example"
DEVICE_ID = "d1" * 32
AK_NAME = b"\x00\x0b" + b"\xaa" * 32
STORAGE_KEY_NAME = b"\x00\x0b" + b"\xbb" * 32
ORDER_DIGEST = b"\x0d" * 32
PACKAGE_DIGEST = b"\x9a" * 32
ISSUED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EXPIRES_AT = datetime(2026, 1, 2, 3, 9, 5, tzinfo=UTC)
DAY_KEY = ecc_key(scalar=0xDA)

ORDER = order.Order(
    order_id="order-1",
    jti="token-1",
    order_code="12345678",
    sho=SHO,
    sho_name="Example Mobile",
    subscriber="pseudonym-1",
    device_id=DEVICE_ID,
    ak_name=AK_NAME,
    audience=DPF,
    issued_at=ISSUED_AT,
    expires_at=EXPIRES_AT,
)
UPDATE_ORDER = replace(ORDER, updates="mid-1")
REQUEST = validation_request.SignedRequest(
    requester=SHO,
    pva="pva.example",
    jti="request-1",
    device_id=DEVICE_ID,
    purpose="validation",
    rp_nonce=b"\x77" * 32,
    order_digest=ORDER_DIGEST,
    audience=(SHO, DPF),
    encrypt_to=b"certificate",
    issued_at=ISSUED_AT,
    expires_at=EXPIRES_AT,
)
DISCOVERY = discovery.Discovery(
    drf="drf.example",
    device_id=DEVICE_ID,
    nonce=b"\x01" * 32,
    sho=SHO,
    sho_name="Example Mobile",
    source="registered-order",
    pva_url="https://pva.example:8443",
    dpf_url="https://dpf.example:8443",
    issued_at=ISSUED_AT,
    expires_at=EXPIRES_AT,
)
AUTHORIZATION = authorization.Authorization(
    sho=SHO,
    dpf=DPF,
    jti="authorization-1",
    order_digest=ORDER_DIGEST,
    device_id=DEVICE_ID,
    ak_name=AK_NAME,
    storage_key_name=STORAGE_KEY_NAME,
    result_id="result-1",
    package_digest=PACKAGE_DIGEST,
    issued_at=ISSUED_AT,
    expires_at=EXPIRES_AT,
)
CHANGING_AUTHORIZATION = replace(AUTHORIZATION, prior_owner="osho.example", release="e30.e30.c2ln")
DELIVERY = delivery.Delivery(
    dpf=DPF,
    grant_id="grant-1",
    device_id=DEVICE_ID,
    order_digest=ORDER_DIGEST,
    package_digest=PACKAGE_DIGEST,
    result_id="result-2",
    issued_at=ISSUED_AT,
    expires_at=EXPIRES_AT,
)
INSTRUCTION = instruction.Instruction(
    sho=SHO, action=instruction.ACTIVATE, device_id=DEVICE_ID, mid_id="mid-1", tre_nonce=b"\x02" * 32
)
ERASE = instruction.Instruction(
    sho=SHO,
    action=instruction.ERASE,
    device_id=DEVICE_ID,
    mid_id="mid-1",
    tre_nonce=b"\x02" * 32,
    reason="moved",
    proof_nonce=b"\x03" * 32,
)
RELEASE = release.Release(osho=SHO, device_id=DEVICE_ID, mid_id="mid-1", successor="sho2.example")
SWITCH = switch.Switch(
    nsho="sho2.example",
    action=switch.SWITCH,
    device_id=DEVICE_ID,
    mid_id="mid-2",
    prior_mid_id="mid-1",
    tre_nonce=b"\x02" * 32,
    window_ms=60_000,
    release="e30.e30.c2ln",
)
CONFIRMATION = switch.Switch(
    nsho="sho2.example",
    action=switch.CONFIRM,
    device_id=DEVICE_ID,
    mid_id="mid-2",
    prior_mid_id="mid-1",
    tre_nonce=b"\x02" * 32,
)
QUERY = registry.RegistryQuery(sho=SHO, device_id=DEVICE_ID, nonce=b"\x04" * 32)
OWNERSHIP = ownership.Ownership(
    supplier="acme",
    device_id=DEVICE_ID,
    owner="owner-1",
    operators=(SHO, "sho2.example"),
    issued_at=ISSUED_AT,
)
STATE_EVENT = state_event.StateEvent(
    pva="pva.example",
    jti="event-1",
    audience=(SHO, DPF),
    operator=SHO,
    device_id=DEVICE_ID,
    state=state_event.PlatformState.CONTRAINDICATED,
    sequence=7,
    result_id="result-3",
    since=ISSUED_AT,
    issued_at=EXPIRES_AT,
)
SEALED_KEY = mid_package.SealedKey(public=b"public", duplicate=b"duplicate", encrypted_seed=b"seed")
PACKAGE = mid_package.PackageHeader(
    sho=SHO,
    dpf=DPF,
    package_id="package-1",
    version=1,
    mid_id="mid-1",
    device_id=DEVICE_ID,
    ak_name=AK_NAME,
    storage_key_name=STORAGE_KEY_NAME,
    order_digest=ORDER_DIGEST,
    sealed_key=SEALED_KEY,
    policy_root=b"policy root",
    approvals=(
        mid_package.ApprovedUse(approval=b"approval 1", delegation=b"delegation 1"),
        mid_package.ApprovedUse(approval=b"approval 2", delegation=b"delegation 2"),
    ),
    content_nonce=b"\x03" * 12,
    content_size=4_096,
    content_sha256=b"\x04" * 32,
    receipt_nonce=b"\x05" * 32,
    issued_at=ISSUED_AT,
    expires_at=EXPIRES_AT,
)
CONNECTIVITY = connectivity.Connectivity(
    ccif="ccif.example",
    device_id=DEVICE_ID,
    storage_key_name=STORAGE_KEY_NAME,
    pcid="901700000000001",
    mnc_digits=2,
    sealed_key=SEALED_KEY,
    issued_at=ISSUED_AT,
)
CONTENT = mid_content.MidContent(
    mid_id="mid-1",
    applications=(
        mid_content.NetworkApplication(
            kind="usim",
            access="wlan",
            identity="001010000000001",
            public_identities=(),
            algorithm="milenage",
            k=b"\x4b" * 16,
            opc=b"\x4f" * 16,
        ),
        mid_content.NetworkApplication(
            kind="isim",
            access="ims",
            identity="device@ims.example",
            public_identities=("sip:device@ims.example",),
            algorithm="tuak",
            k=b"\x6b" * 32,
            opc=b"\x6f" * 32,
            res_bytes=16,
        ),
    ),
    policy=mid_policy.MidPolicy(
        algorithms=("milenage", "tuak"),
        res_bytes_min=8,
        accesses=("wlan", "ims"),
        is_checked_each_session=True,
    ),
)
DEVICE_POLICY = mid_policy.DevicePolicy(
    supplier="supplier-1",
    profile="full",
    algorithms=("milenage", "tuak"),
    accesses=("cellular", "wlan", "ims"),
    res_bytes_min=8,
    is_checked_each_session=True,
    issued_at=ISSUED_AT,
)
STATE = ApprovedState(
    pcr_selections={SHA256_BANK: (0, 4, 7, 14)},
    pcr_digest=b"\xcc" * 32,
    counter_name=b"\x00\x0b" + b"\xdd" * 32,
    counter=3,
)
FOR_PACKAGE = Use(use=USE_PACKAGE, device_id=DEVICE_ID, sho=SHO, order_digest=ORDER_DIGEST)
FOR_VAULT = Use(use=USE_VAULT, device_id=DEVICE_ID, sho=SHO, order_digest=None)
APPROVAL = StateApproval(
    use=FOR_PACKAGE, state=STATE, day_key=DAY_KEY.public.encode(), signature=DAY_KEY.sign(b"a policy")
)
UPDATE_APPROVALS = update_approvals.UpdateApprovals(
    sho=SHO,
    device_id=DEVICE_ID,
    tre_nonce=b"\x02" * 32,
    manifest_digest=b"\x0a" * 32,
    approvals=(
        mid_package.ApprovedUse(approval=APPROVAL.encode(), delegation=DAY_KEY.sign(b"a delegation")),
    ),
)
RECEIPT = Receipt(
    device_id=DEVICE_ID,
    order_digest=ORDER_DIGEST,
    package_digest=PACKAGE_DIGEST,
    mid_id="mid-1",
    outcome=INSTALLED,
    detail="-",
    tre_nonce=b"\x02" * 32,
    version=1,
)
ERASURE = Erasure(
    device_id=DEVICE_ID,
    sho=SHO,
    mid_id="mid-1",
    order_digest=ORDER_DIGEST,
    version=1,
    reason="moved",
    clock_ms=1_000,
    reset_count=2,
    known_at=1_700_000_000,
)
REPORT = registry.RegistryReport(
    device_id=DEVICE_ID,
    sho=SHO,
    tre_nonce=b"\x05" * 32,
    sequence=41,
    entries=(
        registry.RegistryEntry(
            mid_id="mid-1", state="ACTIVE", reason="-", order_digest=ORDER_DIGEST, version=1
        ),
    ),
    transitions=(
        registry.Transition(
            number=41, mid_id="mid-1", event="activate", state="ACTIVE", clock_ms=1_000, reset_count=2
        ),
    ),
)
STATEMENT = SignedStatement(body=RECEIPT.encode(), attest=b"attest", signature=b"signature", ak_public=b"ak")


@dataclass(frozen=True, kw_only=True)
class Token:
    """A kind of token: how its claims are read, one valid value, who signs it, and the claims it can do without."""

    read: Callable[[object], Any]
    value: Any
    issuer: str
    optional: frozenset[str] = frozenset()

    @property
    def claims(self) -> dict[str, Any]:
        """Claims as the signer makes them complete."""
        return {**self.value.claims(), "iss": self.issuer}


TOKENS = {
    "order": Token(read=order.read_claims, value=ORDER, issuer=SHO),
    "order of an update": Token(
        read=order.read_claims,
        value=UPDATE_ORDER,
        issuer=SHO,
        optional=frozenset({"pva_updates_mid"}),
    ),
    "validation request": Token(
        read=validation_request.read_claims,
        value=REQUEST,
        issuer=SHO,
        optional=frozenset({"pva_order_digest", "pva_encrypt_to"}),
    ),
    "discovery": Token(read=discovery.read_claims, value=DISCOVERY, issuer="drf.example"),
    "authorisation": Token(read=authorization.read_claims, value=AUTHORIZATION, issuer=SHO),
    "authorisation of a change": Token(
        read=authorization.read_claims, value=CHANGING_AUTHORIZATION, issuer=SHO
    ),
    "delivery": Token(read=delivery.read_claims, value=DELIVERY, issuer=DPF),
    "instruction": Token(read=instruction.read_claims, value=INSTRUCTION, issuer=SHO),
    "erasing instruction": Token(
        read=instruction.read_claims, value=ERASE, issuer=SHO, optional=frozenset({"pva_reason"})
    ),
    "release": Token(read=release.read_release, value=RELEASE, issuer=SHO),
    "switch": Token(read=switch.read_switch, value=SWITCH, issuer="sho2.example"),
    "confirmation": Token(read=switch.read_switch, value=CONFIRMATION, issuer="sho2.example"),
    "registry query": Token(read=registry.read_query, value=QUERY, issuer=SHO),
    "update approvals": Token(read=update_approvals.read_claims, value=UPDATE_APPROVALS, issuer=SHO),
    "ownership": Token(read=ownership.read_claims, value=OWNERSHIP, issuer="acme"),
    "device policy": Token(read=mid_policy.read_device_policy, value=DEVICE_POLICY, issuer="supplier-1"),
    "state event": Token(read=state_event.read_claims, value=STATE_EVENT, issuer="pva.example"),
    "package": Token(read=mid_package.read_claims, value=PACKAGE, issuer=SHO),
    "connectivity": Token(read=connectivity.read_claims, value=CONNECTIVITY, issuer="ccif.example"),
}

_BASE64URL_CLAIMS = {
    "nonce",
    "pva_proof_nonce",
    "pva_rp_nonce",
    "pva_encrypt_to",
    "pva_policy_root",
    "pva_content_nonce",
    "pva_receipt_nonce",
}
_HEX = re.compile(r"(?:[0-9a-f]{2}){32,}")


def ill_values(claim: str, value: Any) -> list[Any]:
    """Values of another type, size or spelling than that of a claim."""
    ill: list[Any] = [None, True, 1.5, {"another": "thing"}, ["another", "another"]]
    if isinstance(value, int):
        return [*ill, "1", -1, 1 << 64]
    if isinstance(value, list):
        return [*ill, [], "text", value * 9]
    if isinstance(value, dict):
        return [*ill, "text", {}, {**value, "another": "claim"}]
    ill += [7, "", b"bytes", value[:-1] + "\n", "A" * 6_000]
    if claim in _BASE64URL_CLAIMS:
        return [*ill, value + "=", value[:-1] + "*"]
    if _HEX.fullmatch(value):
        return [*ill, value[:-1], value[:60], value + "00" * 40, value.replace("d", "D").upper() + "A"]
    return ill
