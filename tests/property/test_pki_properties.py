"""Whatever bytes come, the decoders of certificates, extensions and tokens give a value or their own error."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from standards.pki import oids
from standards.pki.ek_certificate import validate_ek_certificate
from standards.pki.errors import PkiError
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName, OperatorRole, Requesters
from standards.pki.fingerprints import certificate_der, decode_certificate, spki_der
from standards.pki.jws import sign_jws, verify_jws
from standards.pki.lenient_certificate import decode_lenient
from standards.pki.paths import validate_path
from tests.fakes.pki import NOW, Authority, p256
from tests.unit.standards.pki.test_ek_certificate import Ek

ROOT = Authority.root()
KEY = p256()
LEAF = ROOT.issue("signer", key=KEY.public_key(), eku=oids.EKU_CHALLENGE)
LEAF_DER = certificate_der(LEAF)
EK = Ek.under(ROOT)
TOKEN = sign_jws({"n": 1}, key=KEY, chain=[LEAF], typ="t")


@given(
    st.builds(
        ExpectedSystemState,
        manifest_id=st.text(min_size=1, max_size=128).filter(lambda text: text.isprintable()),
        manifest_digest=st.binary(min_size=32, max_size=32),
        svn=st.integers(min_value=0, max_value=2**63 - 1),
    )
)
def test_expected_system_state_round_trips(state: ExpectedSystemState) -> None:
    assert ExpectedSystemState.decode(state.encode()) == state


@given(st.binary(max_size=200))
def test_extensions_from_random_bytes(data: bytes) -> None:
    for kind in (ExpectedSystemState, OperatorRole, HardwareModuleName, Requesters):
        try:
            decoded = kind.decode(data)
        except PkiError:
            continue
        assert decoded.encode() == data


@settings(max_examples=2 * settings().max_examples)
@given(st.integers(min_value=0, max_value=len(EK.der) - 1), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_of_an_ek_certificate_is_refused(at: int, change: int) -> None:
    changed = bytearray(EK.der)
    changed[at] ^= change
    try:
        valid = validate_ek_certificate(
            [bytes(changed)], roots=[certificate_der(ROOT.certificate)], at=NOW, ek_spki=EK.spki
        )
    except PkiError:
        return
    # Only the spelling of the envelope, outside the signed part, may differ.
    assert decode_lenient(valid.path[0]).tbs == decode_lenient(EK.der).tbs


@settings(max_examples=2 * settings().max_examples)
@given(st.integers(min_value=0, max_value=len(LEAF_DER) - 1), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_of_a_certificate_is_refused(at: int, change: int) -> None:
    changed = bytearray(LEAF_DER)
    changed[at] ^= change
    try:
        leaf = decode_certificate(bytes(changed))
        validate_path(
            leaf,
            intermediates=[],
            anchors=[ROOT.certificate],
            at=NOW + timedelta(hours=1),
            eku=oids.EKU_CHALLENGE,
        )
    except PkiError:
        return
    raise AssertionError("a changed certificate was accepted")


@settings(max_examples=2 * settings().max_examples)
@given(st.integers(min_value=0, max_value=len(TOKEN) - 1), st.characters(codec="ascii"))
def test_a_changed_token_is_refused(at: int, change: str) -> None:
    changed = TOKEN[:at] + change + TOKEN[at + 1 :]
    try:
        verify_jws(changed, anchors=[ROOT.certificate], eku=oids.EKU_CHALLENGE, typ="t", at=NOW)
    except PkiError:
        return
    assert changed == TOKEN


@given(st.binary(max_size=400), st.text(max_size=400))
def test_random_bytes(data: bytes, text: str) -> None:
    for attempt in (
        lambda: decode_certificate(data),
        lambda: validate_ek_certificate([data], roots=[], at=NOW, ek_spki=spki_der(KEY.public_key())),
        lambda: verify_jws(text, anchors=[ROOT.certificate], eku=oids.EKU_CHALLENGE, typ="t", at=NOW),
    ):
        try:
            attempt()
        except PkiError:
            continue
        raise AssertionError("random bytes were accepted")
