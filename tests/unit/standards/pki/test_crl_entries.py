"""Entries of a CRL: what the template makes is what the library makes, and only that form is read."""

from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto.crl import CertificateList
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from standards.pki.crl import RevocationReason
from standards.pki.crl_entries import REASONS, SERIAL_BITS_MAX, decode_crl_entries, encode_crl_entries
from standards.pki.errors import DecodeError
from tests.fakes.pki import common_name, p256

KEY = p256()
AT = datetime(2031, 7, 1, 23, 59, 59, tzinfo=UTC)
ENTRY = encode_crl_entries([(5, AT, 4)])
Entries = list[tuple[int, datetime, int]]
ENTRIES = st.lists(
    st.tuples(
        st.integers(1, (1 << SERIAL_BITS_MAX) - 1),
        st.datetimes(datetime(1960, 1, 1), datetime(2090, 1, 1)).map(  # noqa: DTZ001, given its zone below
            lambda at: at.replace(microsecond=0, tzinfo=UTC)
        ),
        st.sampled_from(sorted(REASONS)),
    ),
    min_size=1,
    max_size=9,
)


def by_the_library(entries: Entries) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(common_name("ca"))
        .last_update(AT)
        .next_update(AT + timedelta(days=1))
    )
    for serial, at, code in entries:
        revoked = (
            x509.RevokedCertificateBuilder()
            .serial_number(serial)
            .revocation_date(at)
            .add_extension(x509.CRLReason(RevocationReason(code).flag), critical=False)
        )
        builder = builder.add_revoked_certificate(revoked.build())
    der = builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)
    listed: bytes = CertificateList.load(der)["tbs_cert_list"]["revoked_certificates"].dump()
    return listed


@pytest.mark.check("P9")
@given(entries=ENTRIES)
def test_the_template_makes_what_the_library_makes(entries: Entries) -> None:
    der = encode_crl_entries(entries)
    assert der == by_the_library(entries)
    assert list(decode_crl_entries(der)) == entries


@pytest.mark.negative
@pytest.mark.check("P10")
@pytest.mark.parametrize(
    "entry", [(0, AT, 1), (-1, AT, 1), (1 << SERIAL_BITS_MAX, AT, 1), (1, AT, 0), (1, AT, 7), (1, AT, 11)]
)
def test_what_no_entry_may_say_is_not_encoded(entry: tuple[int, datetime, int]) -> None:
    with pytest.raises(DecodeError):
        encode_crl_entries([entry])


@pytest.mark.negative
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("020105", "020205"),  # length of the serial
        ("020105", "020100"),  # zero
        ("020105", "020185"),  # negative
        ("020105", "030105"),  # no INTEGER
        ("170d", "180d"),  # GeneralizedTime with the digits of a UTCTime
        ("3331303730", "3331313330"),  # month 13
        ("5a300c", "2b300c"),  # no Z
        ("0a0104", "0a0107"),  # reason 7
        ("0a0104", "0a0100"),  # unspecified
        ("551d15", "551d18"),  # another extension
        ("30200201", "30210201"),  # length of the entry
        ("30223020", "30233020"),  # length of the list
        ("30223020", "3081223020"),  # a length that is not the shortest
    ],
)
def test_any_other_form_is_not_read(old: str, new: str) -> None:
    assert list(decode_crl_entries(ENTRY)) == [(5, AT, 4)]
    altered = ENTRY.hex().replace(old, new, 1)
    assert altered != ENTRY.hex()
    with pytest.raises(DecodeError):
        list(decode_crl_entries(bytes.fromhex(altered)))


@pytest.mark.negative
@given(data=st.binary(max_size=80))
def test_random_octets_are_refused(data: bytes) -> None:
    for octets in (data, b"\x30" + bytes([min(len(data), 127)]) + data, ENTRY + data[:1] + b"\x00"):
        try:
            found = list(decode_crl_entries(octets))
        except DecodeError:
            continue
        assert encode_crl_entries(found) == octets
