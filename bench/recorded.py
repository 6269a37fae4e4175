"""Recorded quotes with the logs that lead to them, as evidence messages: what `./dev bench verify` judges.

Where `PVA_TEST_VECTORS` points to, and in this checkout (`tests/vectors/quotes.json`), so that there is always something
to measure. The recordings have one signed statement, the quote, under a nonce of their own; what else a message of this
project carries (storage key, counter, credential) stands in its place without being judged.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from messages.evidence import CertifiedStructure, EvidenceMessage, decode_evidence, encode_evidence
from messages.runtime_policy import RuntimePolicy, VerifiedRuntimePolicy
from pva.appraisal.appraisal import Appraisal, ReferenceManifest, appraise
from pva.appraisal.boot_events import registers_alone, replay_boot_log
from pva.appraisal.continuity import Sighting
from pva.appraisal.known import Known
from pva.appraisal.manifest_chain import Validity
from pva.appraisal.policy import AppraisalPolicy
from pva.appraisal.quote import PlatformQuote
from standards.boot_log.algorithms import SHA256
from standards.ima.decode import decode_binary_list
from standards.ima.decode_text import decode_text_list
from standards.ima.measured import read_measured
from standards.rats.corim import Manifest, PlatformReference
from standards.tpm2.attestation import check_qualified_signer, verify_quote
from standards.tpm2.structures import Attest, PcrSelection
from tests.fakes.attesting_device import TRE_IMAGE
from tests.fakes.credentials import MODEL, hw_type
from tests.fakes.pki import NOW, Authority
from tests.fakes.pva_world import POLICY
from tests.unit.standards.ima.lists import Made, encoded, ng

VARIABLE = "PVA_TEST_VECTORS"
SELF_MADE = Path(__file__).parents[1] / "tests" / "vectors" / "quotes.json"
_SIZE = 2
"""Bytes of the size in front of a TPM2B."""
_ENTRY_DATA = 4 + 20 + 4 + len(b"ima-ng") + 4
"""Where template data begin in an entry of `ima-ng`."""
_STAND_IN = CertifiedStructure(public=b"-", attest=b"-", signature=b"-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One quote as a TPM signed it, what it is over, and the boot log that leads there (empty: compared alone)."""

    ak_public: bytes
    attest: bytes
    signature: bytes
    values: dict[int, bytes]
    extra_data: bytes
    boot_log: bytes = b""

    def body(self) -> bytes:
        """The message, as it would come over the network."""
        return encode_evidence(
            EvidenceMessage(
                challenge_token="recorded",  # noqa: S106 - no secret
                body=b"-",
                attest=self.attest,
                signature=self.signature,
                pfc_chain=(b"-",),
                pcr_values={SHA256: self.values},
                boot_log=self.boot_log,
                ima=None,
                storage_key=_STAND_IN,
                generation_counter=_STAND_IN,
                ak_public=self.ak_public,
            )
        )

    def manifest(self) -> Manifest:
        """The reference values that this boot has."""
        return Manifest(
            id="recorded",
            supplier="Acme",
            models=(MODEL,),
            svn=1,
            version="1",
            platform=PlatformReference(registers={SHA256: self.values}),
            tre_image_digest=TRE_IMAGE,
            pcr_values_only=not self.boot_log,
        )

    def judge(self) -> Callable[[bytes, Known], Appraisal]:
        """Steps 1 and 4 to 6 of a validation over the bytes of the message: decode, verify, replay, appraise."""
        policy = AppraisalPolicy(
            pcr_selections={SHA256: tuple(self.values)},
            clock_grace=POLICY.clock_grace,
            result_life=POLICY.result_life,
        )
        selection = (PcrSelection(bank=SHA256, indices=tuple(self.values)),)
        model = hw_type()
        manifest = self.manifest()
        reference = ReferenceManifest(
            manifest=manifest,
            digest=bytes(32),
            permitted_models={MODEL: model},
            validity=Validity.of(manifest),
        )

        def judged(body: bytes, known: Known) -> Appraisal:
            message = decode_evidence(body, layouts=known.layouts)
            ak = known.keys.accepted(message.ak_public)
            quote = verify_quote(
                message.attest,
                signature=message.signature,
                ak=ak,
                extra_data=self.extra_data,
                selection=selection,
                pcr_values=message.pcr_values,
            )
            check_qualified_signer(quote.attest, ak=ak)
            proven = _platform_quote(quote.attest, quote.pcr_digest, values=quote.pcr_values, ak_name=ak.name)
            if message.boot_log:
                boot = replay_boot_log(message.boot_log, quoted=proven.pcr_values, known=known.logs)
            else:
                boot = registers_alone(proven.pcr_values)
            seen = _sighting(proven, hw_type=model)
            return appraise(proven, boot=boot, reference=reference, history=None, seen=seen, policy=policy)

        return judged


def vectors_of(folder: Path, *, kind: str, boot_log: bool) -> Recorded:
    """A recording of swtpm in `folder` (vectors/evidence): `kind` is `ecc` or `rsa`."""
    case = f"{kind}-{'mb' if boot_log else 'bare'}"
    values = json.loads((folder / f"{case}.pcrs.json").read_text(encoding="utf-8"))
    return Recorded(
        ak_public=(folder / f"{kind}-ak.tpm2b_public").read_bytes()[_SIZE:],
        attest=(folder / f"{case}.attest").read_bytes(),
        signature=(folder / f"{case}.sig").read_bytes(),
        values={int(index): bytes.fromhex(value) for index, value in values.items()},
        extra_data=(folder / "nonce.txt").read_bytes().strip(),
        boot_log=(folder / "mb_log.bin").read_bytes() if boot_log else b"",
    )


def self_made(*, scheme: str, boot_log: bool) -> Recorded:
    """A recording of this checkout: `scheme` is a row of `quotes.json`."""
    recorded = json.loads(SELF_MADE.read_text(encoding="utf-8"))
    row = recorded["schemes"][scheme]
    return Recorded(
        ak_public=bytes.fromhex(row["ak"]),
        attest=bytes.fromhex(row["quote"]),
        signature=bytes.fromhex(row["quote_signature"]),
        values={int(index): bytes.fromhex(value) for index, value in recorded["sha256"].items()},
        extra_data=bytes.fromhex(recorded["extra_data"]),
        boot_log=bytes.fromhex(recorded["boot_log"]) if boot_log else b"",
    )


def _platform_quote(
    attest: Attest, pcr_digest: bytes, *, values: Mapping[int, Mapping[int, bytes]], ak_name: bytes
) -> PlatformQuote:
    return PlatformQuote(
        device_id="00" * 32,
        ak_name=ak_name,
        qualified_signer=attest.qualified_signer,
        pcr_values=values,
        pcr_digest=pcr_digest,
        clock_info=attest.clock_info,
        firmware_version=attest.firmware_version,
        storage_key_name=b"-",
        storage_public=b"-",
        generation_counter_name=b"-",
        generation_counter=1,
    )


def _sighting(quote: PlatformQuote, *, hw_type: str) -> Sighting:
    return Sighting(
        device_id=quote.device_id,
        supplier="Acme",
        hw_type=hw_type,
        ak_name=quote.ak_name,
        qualified_signer=quote.qualified_signer,
        storage_key_name=quote.storage_key_name,
        generation_counter_name=quote.generation_counter_name,
        generation_counter=quote.generation_counter,
        clock_info=quote.clock_info,
        firmware_version=quote.firmware_version,
        credential_sha256=bytes(32),
        credential_not_before=NOW,
        at=NOW,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedList:
    """An IMA list in its binary form, the value of PCR 10 that it ends at, and the policy that lists its files."""

    entries: tuple[bytes, ...]
    runtime: VerifiedRuntimePolicy

    def value(self, count: int) -> bytes:
        """PCR 10 after so many entries, computed with the kernel's rule and hashlib alone."""
        value = bytes(32)
        for entry in self.entries[:count]:
            value = sha256(value + sha256(entry[_ENTRY_DATA:]).digest()).digest()
        return value


def list_of(folder: Path | None) -> RecordedList:
    """The recorded list of 10,000 entries in `folder`, or one of this checkout's own making."""
    if folder is None:
        made = [Made(data=ng(b"/usr/lib/module-%05d.so" % number)) for number in range(10_000)]
        listed = decode_binary_list(encoded(made))
    else:
        listed = decode_text_list((folder / "ima-10000.txt").read_bytes())
    files: dict[bytes, frozenset[bytes]] = {}
    entries = []
    for entry in listed.entries(up_to=len(listed)):
        measured = read_measured(entry)
        files[measured.name or b""] = frozenset({measured.digest or b""})
        entries.append(Made(data=entry.data).encoded)
    policy = RuntimePolicy(supplier="Acme", id="recorded", models=(MODEL,), files=files)
    root = Authority.root().certificate
    runtime = VerifiedRuntimePolicy(policy=policy, digest=policy.digest, keyring=policy.keyring, root=root)
    return RecordedList(entries=tuple(entries), runtime=runtime)
