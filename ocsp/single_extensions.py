"""What an answer may say beside a certificate's status (RFC 6960 sections 4.4.2, 4.4.4 and 4.4.5), by configuration.

    ArchiveCutoff ::= GeneralizedTime                       -- O14: producedAt less the time that statuses are kept
    CrlID ::= SEQUENCE { crlUrl [0] EXPLICIT IA5String }    -- O15: where the CRL of this CA is
    reasonCode                                              -- O16: the entry that a CRL has for it (RFC 5280, 5.3.1)

The one rule: off unless the operator asks for it. Nothing here is critical, and nothing changes a status.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from standards.pki.crl import Revocation, RevocationReason
from standards.pki.ocsp_template import ENUMERATED, OCTETS, SEQUENCE, explicit, time, tlv

_IA5 = 0x16
_ARCHIVE_CUTOFF = bytes.fromhex("06092b0601050507300106")
_CRL_ID = bytes.fromhex("06092b0601050507300103")
_REASON_CODE = bytes.fromhex("0603551d15")


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleExtensions:
    """Which of them are said; `crl_urls` by CA id, `kept_for` how long a status is known after a certificate's end."""

    kept_for: timedelta | None = None
    crl_urls: Mapping[str, str] = field(default_factory=dict)
    crl_entries: bool = False

    def said(self, ca_id: str | None, revocation: Revocation | None, *, produced_at: datetime) -> bytes:
        """DER of the Extensions, in a row, about a certificate of that CA; nothing where none is said.

        About certificates of CAs that are not served here (`ca_id` None) nothing is said. `produced_at` is whole.
        """
        if ca_id is None:
            return b""
        extensions = b""
        if self.kept_for is not None:
            extensions += extension(_ARCHIVE_CUTOFF, time(produced_at - self.kept_for))
        if ca_id in self.crl_urls:
            url = tlv(_IA5, self.crl_urls[ca_id].encode("ascii"))
            extensions += extension(_CRL_ID, tlv(SEQUENCE, explicit(0, url)))
        # absent means unspecified (P10)
        if (
            self.crl_entries
            and revocation is not None
            and revocation.reason is not RevocationReason.UNSPECIFIED
        ):
            extensions += extension(_REASON_CODE, tlv(ENUMERATED, bytes([revocation.reason.value])))
        return extensions


NOTHING_MORE = SingleExtensions()


def single_extensions(extensions: bytes) -> bytes:
    """DER of the singleExtensions [1] that consist of `extensions` in a row; nothing where there are none."""
    return explicit(1, tlv(SEQUENCE, extensions)) if extensions else b""


def extension(oid: bytes, value: bytes) -> bytes:
    """DER of a non-critical Extension; `oid` is encoded, `value` the DER of its content."""
    return tlv(SEQUENCE, oid + tlv(OCTETS, value))
