"""A result that uses every claim."""

from datetime import UTC, datetime

from standards.rats.ar4si import Tier
from standards.rats.ear import (
    AttestationResult,
    CredentialReference,
    Finding,
    InclusionPromise,
    ManifestReference,
    Submodule,
)

FINDING = Finding(
    code="pcr-mismatch",
    scope="platform",
    subject="PCR 4",
    reason="the value is not the reference value",
    remedy="boot an approved image",
    expected="00" * 32,
    measured="11" * 32,
    event="event 12: EV_EFI_BOOT_SERVICES_APPLICATION",
)

RESULT = AttestationResult(
    result_id="result-1",
    issuer="pva.example",
    audience=("sho.example", "dpf.example"),
    issued_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    expires_at=datetime(2026, 1, 2, 3, 9, 5, tzinfo=UTC),
    developer="Open PVA",
    build="0.1.0",
    nonce=b"\x77" * 32,
    submodules={
        "tre": Submodule(
            status=Tier.AFFIRMING,
            trustworthiness_vector={"executables": 3, "storage-opaque": 2},
            policy_ids=("baseline",),
            findings=(),
        ),
        "platform": Submodule(
            status=Tier.CONTRAINDICATED,
            trustworthiness_vector={"executables": 96, "hardware": 2},
            policy_ids=("baseline",),
            findings=(FINDING,),
        ),
    },
    purpose="validation",
    device_id="d1" * 32,
    ak_name=b"\x00\x0b" + b"\xaa" * 32,
    storage_key_name=b"\x00\x0b" + b"\xbb" * 32,
    order_digest=b"\x0d" * 32,
    pcr_selections={0x000B: (0, 1, 14)},
    pcr_digest=b"\xcc" * 32,
    evidence_digest=b"\xed" * 32,
    policy_digest=b"\xdd" * 32,
    pfc=CredentialReference(issuer_sha256=b"\x1c" * 32, serial=0xABC, sha256=b"\x2c" * 32),
    manifest=ManifestReference(id="acme/gw/2026-07", digest=b"\x3c" * 32, svn=7, release="3.1.4"),
    generation_counter=3,
    promise=InclusionPromise(log="pva.example/log", leaf_hash=b"\x1f" * 32, merge_delay_s=60),
)
