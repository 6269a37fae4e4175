"""One valid value of each message, with recognisable bytes; nothing in them verifies."""

from datetime import UTC, datetime

from messages.batch import BatchDevice, BatchList
from messages.challenge import Challenge
from messages.enrollment import (
    ActivationRequest,
    CertifiedStatement,
    EnrollmentChallenge,
    EnrollmentRequest,
    EnrollmentResult,
)
from messages.evidence import CertifiedStructure, EvidenceMessage

SHA256_BANK = 0x000B

CHALLENGE = Challenge(
    nonce=bytes(range(32)),
    device_id="d1" * 32,
    purpose="validation",
    request_id="request-1",
    pcr_selections={SHA256_BANK: (0, 1, 2, 14)},
    rp_nonce=b"\x77" * 32,
    order_digest=b"\x0d" * 32,
    audience=("sho.example", "dpf.example"),
    issuer="pva.example",
    issued_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    expires_at=datetime(2026, 1, 2, 3, 9, 5, tzinfo=UTC),
)

EVIDENCE = EvidenceMessage(
    challenge_token="header.claims.signature",  # noqa: S106 - a JWS, not a password
    body=CHALLENGE.context(),
    attest=b"attest",
    signature=b"signature",
    pfc_chain=(b"pfc", b"issuing ca"),
    pcr_values={SHA256_BANK: {0: b"\x00" * 32, 14: b"\x0e" * 32}},
    boot_log=b"boot log",
    ima=None,
    storage_key=CertifiedStructure(public=b"storage", attest=b"attest 2", signature=b"signature 2"),
    generation_counter=CertifiedStructure(public=b"counter", attest=b"attest 3", signature=b"signature 3"),
    ak_public=b"ak",
)

ENROLLMENT_REQUEST = EnrollmentRequest(
    ek_chain=(b"ek certificate", b"tpm maker ca"),
    ek_public=b"ek",
    ak_public=b"ak",
    storage_public=b"storage",
    counter_public=b"counter",
)
ENROLLMENT_CHALLENGE = EnrollmentChallenge(
    session_id=b"\x5e" * 16, id_object=b"id object", encrypted_secret=b"encrypted", nonce=b"\x01" * 32
)
ACTIVATION_REQUEST = ActivationRequest(
    session_id=b"\x5e" * 16,
    secret=b"\x99" * 32,
    storage_key=CertifiedStatement(attest=b"attest", signature=b"signature"),
    generation_counter=CertifiedStatement(attest=b"attest", signature=b"signature"),
)
ENROLLMENT_RESULT = EnrollmentResult(pfc_chain=(b"pfc", b"issuing ca"))

BATCH = BatchList(
    batch="2026-07",
    supplier="acme",
    issued_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    devices=(
        BatchDevice(device_id="d1" * 32, model="gw-1", serial="0001"),
        BatchDevice(device_id="d2" * 32, model="gw-1", serial="0002"),
    ),
)
