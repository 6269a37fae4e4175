"""Quotes, certified keys and certified counters of a running TPM, judged by the project's verification."""

import hashlib
from dataclasses import replace

import pytest

from standards.tpm2.attestation import (
    VerifiedQuote,
    check_qualified_signer,
    verify_certified_key,
    verify_certified_nv,
    verify_quote,
)
from standards.tpm2.commands.attestations import Attestation
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import (
    Algorithm,
    EccCurve,
    Handle,
)
from standards.tpm2.errors import VerificationError
from standards.tpm2.key_checks import check_ak
from standards.tpm2.sessions import EMPTY_PASSWORD, Password
from standards.tpm2.structures import EccParameters, Public, Scheme
from standards.tpm2.templates import (
    AK_ECC_P256,
    AK_RSA_2048,
    GENERATION_COUNTER,
)
from tests.contract.device_keys import BOOT, EXTRA_DATA, ORDINARY, ak_of, storage_of
from tests.contract.tpm_devices import RunningTpm, refused

# --- quotes and certifications ---------------------------------------------------------------------------


def with_scheme(
    template: Public, algorithm: Algorithm, hash_algorithm: Algorithm, curve: int = EccCurve.NIST_P384
) -> Public:
    """An AK's template with another scheme, and on another curve if it is ECC."""
    parameters, scheme = template.parameters, Scheme(algorithm=algorithm, hash_algorithm=hash_algorithm)
    if isinstance(parameters, EccParameters):
        return replace(template, parameters=replace(parameters, scheme=scheme, curve=curve))
    return replace(template, parameters=replace(parameters, scheme=scheme))


AK_TEMPLATES = {
    "ECDSA P-256": AK_ECC_P256,
    "ECDSA P-384 SHA-384": with_scheme(AK_ECC_P256, Algorithm.ECDSA, Algorithm.SHA384),
    "RSASSA": AK_RSA_2048,
    "RSASSA SHA-512": with_scheme(AK_RSA_2048, Algorithm.RSASSA, Algorithm.SHA512),
    "RSAPSS": with_scheme(AK_RSA_2048, Algorithm.RSAPSS, Algorithm.SHA256),
}


def verified_now(tpm: TpmConnection, quoted: Attestation, ak: TpmObject) -> VerifiedQuote:
    """A quote of the boot registers, verified against what they hold now."""
    return verify_quote(
        quoted.attest,
        signature=quoted.signature,
        ak=ak.public,
        extra_data=EXTRA_DATA,
        selection=BOOT,
        pcr_values=tpm.pcr_read_all(BOOT),
    )


@pytest.mark.requirement("R71")
@pytest.mark.parametrize("template", AK_TEMPLATES.values(), ids=AK_TEMPLATES)
def test_a_quote_verifies_and_covers_the_registers(tpm: TpmConnection, template: Public) -> None:
    tpm.pcr_extend(4, digests={Algorithm.SHA256: hashlib.sha256(b"loader").digest()})
    ak = tpm.create_primary(Handle.ENDORSEMENT, template=template)
    check_ak(ak.public)
    quoted = tpm.quote(ak, extra_data=EXTRA_DATA, selection=BOOT)
    verified = verified_now(tpm, quoted, ak)
    check_qualified_signer(verified.attest, ak=ak.public)


@pytest.mark.negative
@pytest.mark.check("A8")
def test_a_register_that_moved_after_the_quote_shows(tpm: TpmConnection) -> None:
    ak = ak_of(tpm)
    quoted = tpm.quote(ak, extra_data=EXTRA_DATA, selection=BOOT)
    tpm.pcr_extend(4, digests={Algorithm.SHA256: b"\x01" * 32})
    with pytest.raises(VerificationError) as caught:
        verified_now(tpm, quoted, ak)
    assert caught.value.check == "A8"


@pytest.mark.negative
def test_qualifying_data_ends_at_66_bytes(tpm: TpmConnection) -> None:
    ak = ak_of(tpm)
    tpm.quote(ak, extra_data=b"x" * 66, selection=BOOT)
    with refused(0x1D5):
        tpm.quote(ak, extra_data=b"x" * 67, selection=BOOT)


@pytest.mark.check("A14")
def test_a_reset_counts(device: RunningTpm) -> None:
    def reset_count(tpm: TpmConnection, ak: TpmObject) -> int:
        quoted = tpm.quote(ak, extra_data=EXTRA_DATA, selection=BOOT)
        return verified_now(tpm, quoted, ak).attest.clock_info.reset_count

    tpm = device.start()
    ak = ak_of(tpm)
    before = reset_count(tpm, ak)
    assert before == tpm.read_clock().clock_info.reset_count
    tpm = device.restart()
    assert reset_count(tpm, ak) == before + 1


@pytest.mark.negative
@pytest.mark.check("A9")
def test_an_ak_under_owner_obfuscates_its_counters_and_is_refused(tpm: TpmConnection) -> None:
    ak = tpm.create_primary(Handle.OWNER, template=AK_ECC_P256)
    quoted = tpm.quote(ak, extra_data=EXTRA_DATA, selection=BOOT)
    verified = verified_now(tpm, quoted, ak)
    assert verified.attest.clock_info.reset_count != tpm.read_clock().clock_info.reset_count
    with pytest.raises(VerificationError) as caught:
        check_qualified_signer(verified.attest, ak=ak.public)
    assert caught.value.check == "A9"


@pytest.mark.check("A30")
def test_the_ak_certifies_the_storage_key(tpm: TpmConnection) -> None:
    ak, storage = ak_of(tpm), storage_of(tpm)
    certified = tpm.certify(storage, ak=ak, extra_data=EXTRA_DATA)
    verify_certified_key(
        certified.attest,
        signature=certified.signature,
        ak=ak.public,
        certified=storage.public,
        extra_data=EXTRA_DATA,
    )


# --- counters and other indices --------------------------------------------------------------------------


def test_a_counter_counts_and_the_ak_certifies_it(tpm: TpmConnection) -> None:
    ak = ak_of(tpm)
    tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER, auth_value=b"counter")
    auth = Password(value=b"counter")
    tpm.nv_increment(GENERATION_COUNTER, auth=auth)
    index = tpm.nv_read_public(GENERATION_COUNTER.index)
    assert index == GENERATION_COUNTER.written()
    first = tpm.nv_read_counter(index, auth=auth)
    tpm.nv_increment(index, auth=auth)
    assert tpm.nv_read_counter(index, auth=auth) == first + 1
    certified = tpm.nv_certify(index, ak=ak, extra_data=EXTRA_DATA, auths=(EMPTY_PASSWORD, auth))
    contents = verify_certified_nv(
        certified.attest,
        signature=certified.signature,
        ak=ak.public,
        index=index,
        extra_data=EXTRA_DATA,
    )
    assert int.from_bytes(contents.contents, "big") == first + 1


@pytest.mark.negative
def test_a_counter_comes_back_higher_after_being_undefined(tpm: TpmConnection) -> None:
    values = []
    for _ in range(3):
        tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
        tpm.nv_increment(GENERATION_COUNTER)
        values.append(tpm.nv_read_counter(GENERATION_COUNTER.written()))
        tpm.nv_undefine_space(Handle.OWNER, index=GENERATION_COUNTER)
    assert values == sorted(set(values))


def test_a_counter_survives_a_reset(device: RunningTpm) -> None:
    tpm = device.start()
    tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    tpm.nv_increment(GENERATION_COUNTER)
    before = tpm.nv_read_counter(GENERATION_COUNTER.written())
    assert device.restart().nv_read_counter(GENERATION_COUNTER.written()) == before


def test_an_ordinary_index_keeps_what_was_written(tpm: TpmConnection) -> None:
    tpm.nv_define_space(Handle.OWNER, public=ORDINARY)
    tpm.nv_write(ORDINARY, data=b"12345678")
    tpm.nv_write(ORDINARY, data=b"ab", offset=3)
    assert tpm.nv_read(ORDINARY.written(), size=8) == b"123ab678"


@pytest.mark.negative
def test_an_index_has_its_own_refusals(tpm: TpmConnection) -> None:
    with refused(0x18B):
        tpm.nv_read(ORDINARY, size=8)
    tpm.nv_define_space(Handle.OWNER, public=ORDINARY, auth_value=b"index")
    auth = Password(value=b"index")
    with refused(0x14C):
        tpm.nv_define_space(Handle.OWNER, public=ORDINARY)
    with refused(0x14A):
        tpm.nv_read(ORDINARY, size=8, auth=auth)
    with refused(0x146):
        tpm.nv_write(ORDINARY, data=b"x", offset=8, auth=auth)
    with refused(0x9A2):
        tpm.nv_write(ORDINARY, data=b"x", auth=Password(value=b"guess"))
    with refused(0x149):
        tpm.nv_write(ORDINARY, data=b"x", by=Handle.OWNER)
