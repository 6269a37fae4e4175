"""Writes what docs/PROTOCOL.md says with numbers: its table of limits, and its worked example.

    python -m tests.vectors.protocol.document

renews the generated parts of docs/PROTOCOL.md and the file docs/protocol-example.json, which holds every message
of the example whole.
"""

import hashlib
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from messages import batch, challenge, enrollment, evidence
from messages.binding import NONCE_SIZE, PVA_EVIDENCE, PVA_KEY
from messages.encoding import encode_deterministic
from messages.pcr import PCR_INDEX_MAX
from standards.boot_log import decode
from standards.boot_log.describe import describe
from standards.rats.cbor import DEPTH_MAX
from tests.vectors.protocol import device
from tests.vectors.protocol import hierarchy as pki
from tests.vectors.protocol.exchange import AttestationExample, EnrollmentExample, attest, enroll, fixed

DOCS: Final = Path(__file__).parents[3] / "docs"
DOCUMENT: Final = DOCS / "PROTOCOL.md"
EXAMPLE: Final = DOCS / "protocol-example.json"
_WIDTH: Final = 96


def example(enrolled: EnrollmentExample, attested: AttestationExample) -> dict[str, object]:
    """Content of protocol-example.json: hex for bytes, text for tokens."""
    return {
        "note": "Keys are published and good for nothing but this example.",
        "judged_at": f"{pki.NOW:%Y-%m-%dT%H:%M:%SZ}",
        "device_id": pki.DEVICE_ID.hex(),
        "certificates": {
            "operators_root": pki.OPERATORS_ROOT.der.hex(),
            "tpm_maker_root": pki.TPM_MAKER_ROOT.der.hex(),
            "es_root": pki.ES_ROOT.der.hex(),
        },
        "enrolment": {
            "request": enrolled.request.encode().hex(),
            "challenge": enrolled.challenge.encode().hex(),
            "secret": fixed("activation secret").hex(),
            "key_body": enrolled.request.key_body().hex(),
            "extra_data": enrolled.qualifying.hex(),
            "activation": enrolled.activation.encode().hex(),
            "result": enrolled.result.encode().hex(),
        },
        "attestation": {
            "challenge_token": attested.challenge_token,
            "body": attested.evidence.body.hex(),
            "quote_extra_data": attested.quote_qualifying.hex(),
            "key_extra_data": attested.key_qualifying.hex(),
            "evidence": attested.record.hex(),
            "result_token": attested.result_token,
            "leaf_salt": attested.leaf.salt.hex(),
            "leaf_record": attested.leaf.record.hex(),
        },
    }


def limits() -> str:
    """The table of limits, from the constants that the decoders use."""
    rows = {
        "nonce of a challenge, of an enrolment": f"exactly {NONCE_SIZE} bytes",
        "nonce of a relying party": f"{challenge.RP_NONCE_SIZE_MIN} to {challenge.RP_NONCE_SIZE_MAX} bytes",
        "challenge token": f"{challenge.CHALLENGE_BYTES_MAX} characters",
        "audience": f"{challenge.AUDIENCE_MAX} names",
        "body (context)": f"{evidence.BODY_SIZE_MAX} bytes",
        "TPMS_ATTEST": f"{evidence.ATTEST_SIZE_MAX} bytes",
        "TPMT_SIGNATURE": f"{evidence.SIGNATURE_SIZE_MAX} bytes",
        "TPMT_PUBLIC": f"{evidence.PUBLIC_SIZE_MAX} bytes",
        "TPMS_NV_PUBLIC": f"{evidence.NV_PUBLIC_SIZE_MAX} bytes",
        "certificate": f"{evidence.CERTIFICATE_SIZE_MAX} bytes",
        "certificate chain": f"{evidence.CHAIN_LENGTH_MAX} certificates",
        "PCR index": f"0 to {PCR_INDEX_MAX}",
        "boot log": f"{evidence.BOOT_LOG_SIZE_MAX} bytes, {decode.EVENTS_MAX} events",
        "evidence, as sent": f"{evidence.EVIDENCE_BYTES_MAX} bytes",
        "enrolment message": f"{enrollment.ENROLLMENT_BYTES_MAX} bytes",
        "session id": f"exactly {enrollment.SESSION_ID_SIZE} bytes",
        "id_object": f"{enrollment.ID_OBJECT_SIZE_MAX} bytes",
        "encrypted_secret": f"{enrollment.ENCRYPTED_SECRET_SIZE_MAX} bytes",
        "secret": f"{enrollment.SECRET_SIZE_MAX} bytes",
        "batch": f"{batch.DEVICES_MAX} devices, {batch.BATCH_BYTES_MAX} bytes",
        "CBOR nesting": f"{DEPTH_MAX} levels",
    }
    return "\n".join(
        ["| what | at most |", "|---|---|", *(f"| {what} | {most} |" for what, most in rows.items())]
    )


def worked_example(enrolled: EnrollmentExample, attested: AttestationExample) -> str:
    """The section that walks through the example."""
    message = attested.evidence
    parts = [
        "### Device\n",
        _values(
            {
                "device_id": pki.DEVICE_ID,
                "AK, TPMT_PUBLIC": device.AK_PUBLIC.encode(),
                "AK, Name": device.AK_PUBLIC.name,
                "storage key, TPMT_PUBLIC": device.STORAGE_PUBLIC.encode(),
                "storage key, Name": device.STORAGE_PUBLIC.name,
                "generation counter, TPMS_NV_PUBLIC": device.COUNTER_PUBLIC.encode(),
                "generation counter, Name": device.COUNTER_PUBLIC.name,
            }
        ),
        "### Enrolment\n",
        _values(
            {
                "enrolment request (SHA-256)": _sha256(enrolled.request.encode()),
                "enrolment challenge": enrolled.challenge.encode(),
                "secret that TPM2_ActivateCredential gives out": fixed("activation secret"),
                "key_body (SHA-256)": _sha256(enrolled.request.key_body()),
                f'det-CBOR(["{PVA_KEY}", nonce, SHA-256(key_body)])': _bound(
                    PVA_KEY, enrolled.challenge.nonce, enrolled.request.key_body()
                ),
                "extraData of both certifications": enrolled.qualifying,
                "activation request": enrolled.activation.encode(),
            }
        ),
        "### Challenge\n",
        "The claims of the token (its header has `typ` `pva-challenge+jwt`):\n",
        _json(attested.challenge.claims()),
        "### Evidence\n",
        _values(
            {
                "body": message.body,
                "SHA-256(body)": _sha256(message.body),
                f'det-CBOR(["{PVA_EVIDENCE}", nonce, SHA-256(body)])': _bound(
                    PVA_EVIDENCE, attested.challenge.nonce, message.body
                ),
                "extraData of the quote": attested.quote_qualifying,
                "extraData of both certifications": attested.key_qualifying,
                **{f"PCR {pcr}, SHA-256": value for pcr, value in device.pcr_values().items()},
                "quote, TPMS_ATTEST": message.attest,
                "quote, TPMT_SIGNATURE": message.signature,
                "certification of the storage key, TPMS_ATTEST": message.storage_key.attest,
                "certification of the counter, TPMS_ATTEST": message.generation_counter.attest,
                f"evidence, {len(attested.record)} bytes (SHA-256)": _sha256(attested.record),
            }
        ),
        "The boot log that leads to these PCR values has the events\n",
        "```\n"
        + "\n".join(_event_line(event.pcr, describe(event)) for event in device.boot_log().events)
        + "\n```\n",
        "### Result\n",
        "The claims of the token (its header has `typ` `ear+jwt`):\n",
        _json(attested.result.claims()),
    ]
    return "\n".join(parts)


def render(document: str) -> str:
    """The document with its generated parts renewed."""
    enrolled, attested = enroll(), attest()
    document = _replaced(document, "limits", limits())
    return _replaced(document, "example", worked_example(enrolled, attested))


def render_example() -> str:
    """The text of protocol-example.json."""
    return json.dumps(example(enroll(), attest()), indent=1) + "\n"


def write() -> None:
    """Renew document and example."""
    DOCUMENT.write_text(render(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    EXAMPLE.write_text(render_example(), encoding="utf-8")


def _replaced(document: str, name: str, content: str) -> str:
    begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
    before, found, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"docs/PROTOCOL.md has no part {name!r}")
    return f"{before}{begin}\n{content.strip()}\n{end}{after}"


def _values(values: Mapping[str, bytes]) -> str:
    blocks = [f"{name}:\n```\n{textwrap.fill(value.hex(), _WIDTH)}\n```\n" for name, value in values.items()]
    return "\n".join(blocks)


def _json(value: object) -> str:
    return f"```json\n{json.dumps(value, indent=1)}\n```\n"


def _event_line(pcr: int, description: str) -> str:
    return f"PCR {pcr}  {description}"


def _bound(label: str, nonce: bytes, body: bytes) -> bytes:
    return encode_deterministic([label, nonce, _sha256(body)])


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


if __name__ == "__main__":
    write()
