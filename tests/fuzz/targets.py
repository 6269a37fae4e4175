"""The parsers of evidence and reference values, each with its own error and with bytes that it accepts.

Rule: a target does everything with the bytes that the code behind it would do; it returns, or raises its own error.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from messages.challenge import read_claims
from messages.errors import MessageError
from messages.evidence import decode_evidence, encode_evidence
from messages.runtime_policy import decode_runtime_policy
from standards.boot_log.algorithms import BANKS
from standards.boot_log.boot_chain import boot_chain
from standards.boot_log.decode import decode_event_log
from standards.boot_log.describe import describe
from standards.boot_log.encode import encode_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import EVENT_TYPES, Event
from standards.boot_log.measured import kernel_command_line, measured_payload
from standards.boot_log.replay import replay
from standards.boot_log.secure_boot import secure_boot_facts
from standards.boot_log.signature_lists import decode_signature_lists
from standards.ima.decode import decode_binary_list, entries_begin_at
from standards.ima.decode_text import decode_text_list
from standards.ima.entries import ImaList
from standards.ima.errors import ImaError
from standards.ima.file_signatures import verify_file_signature
from standards.ima.measured import read_measured, shown_name
from standards.ima.replay import replayed_prefix, verify_template_digests
from standards.pki.errors import PkiError
from standards.rats.corim import decode_manifest, encode_manifest, sign_manifest, verify_manifest
from standards.rats.errors import RatsError
from standards.tpm2.attestation import verify_quote
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.key_checks import check_ak, check_ek, check_storage_key
from standards.tpm2.structures import NvPublic, Public, Signature
from standards.tpm2.templates import GENERATION_COUNTER, STORAGE_ECC_P256
from tests.unit.messages import samples
from tests.unit.messages.test_evidence import IMA
from tests.unit.messages.test_runtime_policy import POLICY
from tests.unit.standards.boot_log import boot_chains, secure_boots
from tests.unit.standards.boot_log.logs import LOG
from tests.unit.standards.ima.lists import ENTRIES, FILE_DIGEST, Made, encoded, ng, pcr_after
from tests.unit.standards.ima.test_file_signatures import BY_ECC, BY_RSA, DIGEST, KEYRING
from tests.unit.standards.rats.manifests import AT, MANIFEST, ROOT, SIGNER, SIGNER_KEY
from tests.unit.standards.tpm2.attester import (
    EXTRA_DATA,
    PCR_VALUES,
    SELECTION,
    ecc_key,
    quote_of,
    rsa_key,
)

SHA256 = 0x000B
_AK, _RSA = ecc_key(), rsa_key()
_QUOTE = quote_of(_AK.public)
_LIST_VALUE = pcr_after(ENTRIES)
_LINE = b"10 %s ima-ng sha256:%s /usr/bin/meter\n" % (
    Made(data=ng(b"/usr/bin/meter")).digest.hex().encode(),
    FILE_DIGEST.hex().encode(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parser by name: `parse` uses everything of what it reads and raises `error` or nothing; `seeds` are good bytes."""

    name: str
    parse: Callable[[bytes], object]
    error: type[Exception] | tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]


def _quote(data: bytes) -> object:
    """A quote whose bytes the attacker's own AK signed, so that the signature stops nothing."""
    return verify_quote(
        data,
        signature=_AK.sign(data),
        ak=_AK.public,
        extra_data=EXTRA_DATA,
        selection=SELECTION,
        pcr_values=PCR_VALUES,
    )


def _signature(data: bytes) -> object:
    Signature.decode(data).encode()
    return verify_quote(
        _QUOTE,
        signature=data,
        ak=_AK.public,
        extra_data=EXTRA_DATA,
        selection=SELECTION,
        pcr_values=PCR_VALUES,
    )


def _public(data: bytes) -> object:
    public = Public.decode(data)
    assert replace(public).encode() == data
    refused = 0
    for check in (check_ak, check_storage_key, check_ek):
        try:
            check(public)
        except Tpm2Error:
            refused += 1
    return refused


def _boot_log(data: bytes) -> object:
    return _everything(decode_event_log(data))


def _everything(log: EventLog) -> object:
    """What is asked of a log somewhere: values, facts, chain, descriptions."""
    for bank in log.algorithms:
        if bank in BANKS:
            replay(log, bank=bank)
            kernel_command_line(log, bank=bank)
            secure_boot_facts(log, bank=bank)
            boot_chain(log, bank=bank)
            for event in log.events:
                measured_payload(event, bank=bank)
    return [describe(event) for event in log.events]


def _event_data(data: bytes) -> object:
    """The bytes as data of an event of every type, in every register that somebody interprets."""
    digest = {SHA256: BANKS[SHA256].digest(data)}
    events = [
        Event(number=number, pcr=pcr, type=kind, digests=digest, data=data)
        for number, (kind, pcr) in enumerate(
            [(kind, 7) for kind in EVENT_TYPES]
            + [(0x0D, pcr) for pcr in range(16)]
            + [(0x06, 12), (0x06, 9)],
            start=1,
        )
    ]
    log = EventLog(algorithms=(SHA256,), events=tuple(events), crypto_agile=True, header=b"")
    return _everything(log)


def _ima_list(data: bytes) -> object:
    entries_begin_at(data, 3)
    return _use_list(decode_binary_list(data))


def _ima_text(data: bytes) -> object:
    return _use_list(decode_text_list(data))


def _use_list(decoded: ImaList) -> object:
    replayed_prefix(decoded, _LIST_VALUE, bank="sha256")
    verify_template_digests(decoded)
    return [shown_name(read_measured(each).name or b"") for each in decoded.entries(up_to=len(decoded))]


def _file_signature(data: bytes) -> object:
    verify_file_signature(data, algorithm="sha256", digest=DIGEST, keyring=KEYRING)
    return None


def _challenge(data: bytes) -> object:
    try:
        claims = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return read_claims(claims).context()


def _signed_manifest(data: bytes) -> object:
    return verify_manifest(data, anchors=[ROOT], at=AT)


_EVIDENCE = tuple(
    encode_evidence(each) for each in (samples.EVIDENCE, replace(samples.EVIDENCE, ima=replace(IMA, first=9)))
)
_EVENTS = (*boot_chains.GRUB, *boot_chains.STUB, *secure_boots.GOOD)
TARGETS = (
    Target(name="quote", parse=_quote, error=Tpm2Error, seeds=(_QUOTE,)),
    Target(name="signature", parse=_signature, error=Tpm2Error, seeds=(_AK.sign(_QUOTE), _RSA.sign(_QUOTE))),
    Target(
        name="public",
        parse=_public,
        error=Tpm2Error,
        seeds=(_AK.public.encode(), _RSA.public.encode(), STORAGE_ECC_P256.encode()),
    ),
    Target(name="nv-public", parse=NvPublic.decode, error=Tpm2Error, seeds=(GENERATION_COUNTER.encode(),)),
    Target(name="boot-log", parse=_boot_log, error=BootLogError, seeds=(encode_event_log(LOG),)),
    Target(
        name="event-data",
        parse=_event_data,
        error=BootLogError,
        seeds=tuple(sorted({each.data for each in _EVENTS}, key=lambda data: (len(data), data)))[-24::3],
    ),
    Target(
        name="signature-lists",
        parse=decode_signature_lists,
        error=BootLogError,
        seeds=(secure_boots.DB,),
    ),
    Target(name="ima-list", parse=_ima_list, error=ImaError, seeds=(encoded(ENTRIES),)),
    Target(name="ima-text", parse=_ima_text, error=ImaError, seeds=(_LINE * 2,)),
    Target(name="file-signature", parse=_file_signature, error=ImaError, seeds=(BY_ECC, BY_RSA)),
    Target(name="runtime-policy", parse=decode_runtime_policy, error=MessageError, seeds=(POLICY.encode(),)),
    Target(name="evidence", parse=decode_evidence, error=MessageError, seeds=_EVIDENCE),
    Target(
        name="challenge",
        parse=_challenge,
        error=MessageError,
        seeds=(json.dumps(samples.CHALLENGE.claims()).encode(),),
    ),
    Target(name="manifest", parse=decode_manifest, error=RatsError, seeds=(encode_manifest(MANIFEST),)),
    Target(
        name="signed-manifest",
        parse=_signed_manifest,
        error=(RatsError, PkiError),
        seeds=(sign_manifest(MANIFEST, key=SIGNER_KEY, chain=[SIGNER]),),
    ),
)
