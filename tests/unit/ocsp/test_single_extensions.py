"""What an answer says beside the status, where the operator asks for it, read by a foreign decoder."""

from datetime import timedelta

import pytest
from asn1crypto import ocsp as lax
from cryptography import x509

from ocsp.judgement import AnswerPolicy
from ocsp.single_extensions import SingleExtensions
from standards.pki.fingerprints import ca_id
from tests.fakes.ocsp import FOREIGN, GOOD, HELD, REVOKED
from tests.fakes.pki import NOW, Authority
from tests.unit.ocsp.asking import LINE, OTHER_LINE, ask, ask_for_all, responded, verified

URL = "http://ca.example.net/line.crl"
CA = ca_id(LINE.certificate)


def said(request: bytes, extensions: SingleExtensions) -> list[dict[str, object]]:
    """The singleExtensions of each answer, by name."""
    response = verified(responded(request, policy=AnswerPolicy(single_extensions=extensions)))
    basic = lax.ResponseData.load(response.tbs_response_bytes, strict=True)
    return [
        {each["extn_id"].native: each["extn_value"].parsed.native for each in single["single_extensions"]}
        if single["single_extensions"].native
        else {}
        for single in basic["responses"]
    ]


@pytest.mark.check("O14")
def test_archive_cutoff_is_when_it_was_produced_less_the_retention() -> None:
    kept = SingleExtensions(kept_for=timedelta(days=365))
    for serial in (GOOD, REVOKED, FOREIGN):
        assert said(ask(serial), kept) == [{"archive_cutoff": NOW - timedelta(days=365)}]


@pytest.mark.check("O15")
def test_the_crl_of_the_certificates_own_ca() -> None:
    named = SingleExtensions(crl_urls={CA: URL})
    ((_, crl),) = said(ask(), named)[0].items()
    assert crl == {"crl_url": URL, "crl_num": None, "crl_time": None}
    assert said(ask_for_all(ask(), ask(issuer=OTHER_LINE)), named)[1] == {}


@pytest.mark.check("O16")
def test_the_entry_that_a_crl_has() -> None:
    entries = SingleExtensions(crl_entries=True)
    assert said(ask(REVOKED), entries) == [{"crl_reason": "key_compromise"}]
    assert said(ask(HELD), entries) == [{"crl_reason": "certificate_hold"}]
    response = verified(responded(ask(REVOKED), policy=AnswerPolicy(single_extensions=entries)))
    (single,) = response.single_extensions
    assert single.value == x509.CRLReason(x509.ReasonFlags.key_compromise)
    assert not single.critical


@pytest.mark.negative
@pytest.mark.check("O16")
def test_nothing_is_said_of_what_is_not_revoked_or_not_served() -> None:
    everything = SingleExtensions(kept_for=timedelta(days=1), crl_urls={CA: URL}, crl_entries=True)
    assert [*said(ask(), everything)[0]] == ["archive_cutoff", "crl"]
    stranger = Authority.root("stranger")
    assert said(ask_for_all(ask(), ask(issuer=stranger)), everything)[1] == {}
    assert said(ask(FOREIGN), SingleExtensions(crl_entries=True)) == [{}]


@pytest.mark.negative
@pytest.mark.check("O14")
@pytest.mark.check("O15")
@pytest.mark.check("O16")
def test_by_default_nothing_more_is_said() -> None:
    for serial in (GOOD, REVOKED):
        assert len(verified(responded(ask(serial))).single_extensions) == 0
