"""docs/PROTOCOL.md: its generated parts are current, and its example is one that every verifier accepts."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from messages.binding import PVA_EVIDENCE, PVA_KEY, extra_data
from messages.challenge import CHALLENGE_TYPE
from messages.challenge import read_claims as read_challenge
from messages.enrollment import ActivationRequest, EnrollmentChallenge, EnrollmentRequest, EnrollmentResult
from messages.evidence import decode_evidence
from standards.boot_log.algorithms import SHA256
from standards.boot_log.decode import decode_event_log
from standards.boot_log.measured import kernel_command_line
from standards.boot_log.replay import replay
from standards.pki import oids
from standards.pki.ek_certificate import validate_ek_certificate
from standards.pki.extensions import HardwareModuleName
from standards.pki.fingerprints import decode_certificate, device_id, spki_der
from standards.pki.jws import verify_jws
from standards.pki.paths import validate_path
from standards.rats.ear import RESULT_TYPE
from standards.rats.ear import read_claims as read_result
from standards.tpm2.attestation import (
    check_qualified_signer,
    verify_certified_key,
    verify_certified_nv,
    verify_quote,
)
from standards.tpm2.key_checks import check_ak, check_ek
from standards.tpm2.structures import NvPublic, PcrSelection, Public
from standards.tpm2.templates import GENERATION_COUNTER
from tests.vectors.protocol import device, document
from tests.vectors.protocol.hierarchy import EK, NOW

EXAMPLE: dict[str, Any] = json.loads(document.EXAMPLE.read_text(encoding="utf-8"))
ENROLMENT = {name: bytes.fromhex(value) for name, value in EXAMPLE["enrolment"].items()}
ATTESTATION: dict[str, str] = EXAMPLE["attestation"]
ROOTS = {name: bytes.fromhex(value) for name, value in EXAMPLE["certificates"].items()}
OPERATORS_ROOT = decode_certificate(ROOTS["operators_root"])
ES_ROOT = decode_certificate(ROOTS["es_root"])


@pytest.mark.requirement("R03")
def test_the_document_is_current() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    remedy = "run: python -m tests.vectors.protocol.document"
    assert document.render(text) == text, remedy
    assert document.render_example() == document.EXAMPLE.read_text(encoding="utf-8"), remedy


def _keys() -> EnrollmentRequest:
    return EnrollmentRequest.decode(ENROLMENT["request"])


@pytest.mark.check("A12")
@pytest.mark.requirement("R80")
def test_the_enrolment_is_one_that_a_ca_accepts() -> None:
    request = _keys()
    ek, ak, storage = (
        Public.decode(each) for each in (request.ek_public, request.ak_public, request.storage_public)
    )
    spki = spki_der(ek.public_key())
    assert validate_ek_certificate(request.ek_chain, roots=[ROOTS["tpm_maker_root"]], at=NOW, ek_spki=spki)
    assert device_id(spki).hex() == EXAMPLE["device_id"]
    check_ek(ek)
    check_ak(ak)
    challenge = EnrollmentChallenge.decode(ENROLMENT["challenge"])
    activation = ActivationRequest.decode(ENROLMENT["activation"])
    assert activation.session_id == challenge.session_id
    assert activation.secret == ENROLMENT["secret"]
    assert request.key_body() == ENROLMENT["key_body"]
    qualifying = extra_data(PVA_KEY, nonce=challenge.nonce, body=request.key_body())
    assert qualifying == ENROLMENT["extra_data"]
    statement, counter = activation.storage_key, activation.generation_counter
    verify_certified_key(
        statement.attest, signature=statement.signature, ak=ak, certified=storage, extra_data=qualifying
    )
    index = NvPublic.decode(request.counter_public)
    assert index == GENERATION_COUNTER.written()
    verify_certified_nv(
        counter.attest, signature=counter.signature, ak=ak, index=index, extra_data=qualifying
    )


def _kdf(key: bytes, label: bytes, context: bytes, *, bits: int) -> bytes:
    """KDFa with SHA-384 for at most one block (TPM 2.0 Library Part 1, "KDFa")."""
    data = b"\x00\x00\x00\x01" + label + b"\x00" + context + bits.to_bytes(4, "big")
    return hmac.digest(key, data, "sha384")[: bits // 8]


def _decrypted(ciphertext: bytes, key: bytes) -> bytes:
    """AES in CFB mode with the IV of zeros that Part 1, "Protection of credential" prescribes.

    CFB by hand: the library keeps its own among the ciphers that it means to drop.
    """
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - CFB is built from it
    plain, previous = b"", bytes(16)
    for start in range(0, len(ciphertext), 16):
        block = ciphertext[start : start + 16]
        stream = encryptor.update(previous)
        plain += bytes(a ^ b for a, b in zip(block, stream, strict=False))
        previous = block
    return plain


@pytest.mark.check("A13")
def test_the_credential_opens_to_the_secret_for_this_ek_and_ak_only() -> None:
    """TPM2_ActivateCredential by hand, with the published private key of the EK (P-384, SHA-384)."""
    challenge = EnrollmentChallenge.decode(ENROLMENT["challenge"])
    blob = challenge.encrypted_secret
    x, y = (int.from_bytes(blob[at : at + 48], "big") for at in (2, 52))
    point = ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()
    shared = EK.key.exchange(ec.ECDH(), point)
    own_x = EK.key.public_key().public_numbers().x.to_bytes(48, "big")
    seed = hashlib.sha384(b"\x00\x00\x00\x01" + shared + b"IDENTITY\x00" + blob[2:50] + own_x).digest()
    name = Public.decode(_keys().ak_public).name
    mac_size = int.from_bytes(challenge.id_object[:2], "big")
    mac, sealed = challenge.id_object[2 : 2 + mac_size], challenge.id_object[2 + mac_size :]
    mac_key = _kdf(seed, b"INTEGRITY", b"", bits=384)
    assert hmac.digest(mac_key, sealed + name, "sha384") == mac
    opened = _decrypted(sealed, _kdf(seed, b"STORAGE", name, bits=256))
    assert opened == len(ENROLMENT["secret"]).to_bytes(2, "big") + ENROLMENT["secret"]


@pytest.mark.check("A25")
def test_the_platform_credential_is_over_the_ak_of_the_device() -> None:
    chain = EnrollmentResult.decode(ENROLMENT["result"]).pfc_chain
    pfc, issuing_ca = (decode_certificate(der) for der in chain)
    validate_path(
        pfc, intermediates=[issuing_ca], anchors=[ES_ROOT], at=NOW, eku=oids.EKU_PLATFORM_CREDENTIAL
    )
    assert spki_der(pfc) == spki_der(Public.decode(_keys().ak_public).public_key())
    module = HardwareModuleName.of(pfc)
    assert module is not None
    assert module.serial.hex() == EXAMPLE["device_id"]


@pytest.mark.check("A5")
@pytest.mark.check("A18")
@pytest.mark.requirement("R94")
def test_the_evidence_is_one_that_a_pva_accepts() -> None:
    evidence = decode_evidence(bytes.fromhex(ATTESTATION["evidence"]))
    assert evidence.challenge_token == ATTESTATION["challenge_token"]
    token = verify_jws(
        evidence.challenge_token, anchors=[OPERATORS_ROOT], eku=oids.EKU_CHALLENGE, typ=CHALLENGE_TYPE, at=NOW
    )
    challenge = read_challenge(token.claims)
    assert challenge.device_id == EXAMPLE["device_id"]
    assert evidence.body == challenge.context() == bytes.fromhex(ATTESTATION["body"])
    ak = Public.decode(evidence.ak_public)
    qualifying = extra_data(PVA_EVIDENCE, nonce=challenge.nonce, body=evidence.body)
    assert qualifying.hex() == ATTESTATION["quote_extra_data"]
    quote = verify_quote(
        evidence.attest,
        signature=evidence.signature,
        ak=ak,
        extra_data=qualifying,
        selection=(PcrSelection(bank=SHA256, indices=challenge.pcr_selections[SHA256]),),
        pcr_values=evidence.pcr_values,
    )
    check_qualified_signer(quote.attest, ak=ak)
    log = decode_event_log(evidence.boot_log)
    assert replay(log, bank=SHA256) == dict(quote.pcr_values[SHA256])
    line = kernel_command_line(log, bank=SHA256)
    assert line is not None
    assert line.endswith(f" pva.tre={device.TRE_IMAGE}")
    _check_certified(ak)


def _check_certified(ak: Public) -> None:
    evidence = decode_evidence(bytes.fromhex(ATTESTATION["evidence"]))
    qualifying = bytes.fromhex(ATTESTATION["key_extra_data"])
    storage, counter = evidence.storage_key, evidence.generation_counter
    verify_certified_key(
        storage.attest,
        signature=storage.signature,
        ak=ak,
        certified=Public.decode(storage.public),
        extra_data=qualifying,
    )
    contents = verify_certified_nv(
        counter.attest,
        signature=counter.signature,
        ak=ak,
        index=NvPublic.decode(counter.public),
        extra_data=qualifying,
    )
    assert int.from_bytes(contents.contents, "big") == device.COUNTER_VALUE


@pytest.mark.requirement("R81")
def test_the_result_is_one_that_a_relying_party_accepts() -> None:
    token = verify_jws(
        ATTESTATION["result_token"],
        anchors=[OPERATORS_ROOT],
        eku=oids.EKU_ATTESTATION_RESULT,
        typ=RESULT_TYPE,
        at=NOW,
    )
    result = read_result(token.claims)
    evidence = bytes.fromhex(ATTESTATION["evidence"])
    assert result.evidence_digest == hashlib.sha256(evidence).digest()
    assert result.device_id == EXAMPLE["device_id"]
    assert result.storage_key_name == Public.decode(_keys().storage_public).name


def test_the_leaf_and_the_result_name_one_another_as_the_document_says() -> None:
    """By the document alone: no function of the code makes the leaf here."""
    payload = ATTESTATION["result_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    promise = claims.pop("pva_inclusion_promise")
    salt, record = bytes.fromhex(ATTESTATION["leaf_salt"]), bytes.fromhex(ATTESTATION["leaf_record"])
    assert promise["leaf_hash"] == hashlib.sha256(b"pva/leaf/1\x00" + salt + record).hexdigest()
    text = json.dumps(claims, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert json.loads(record)["record"]["claims_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_the_document_names_the_limits_of_the_code() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    assert document.limits() in text
    for name in ("pva/evidence/1", "pva/key/1", "pva/statement/1", CHALLENGE_TYPE, RESULT_TYPE):
        assert name in text
