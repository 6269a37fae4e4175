"""Provisional attachment: the PCID, how it is written and routed, and what proves that a caller holds one (R01, R02, R90).

Rule: a PCID has the form of an IMSI, so a network that knows nothing of M2M can take it. Whoever attached with it
shares keys with the ICF (CK, IK); a key derived from them authenticates the device's requests to the DRF, so claiming
somebody else's PCID is not enough. The key says nothing about the platform: that is the PVA's business.
Source: TS 23.003 (IMSI, 2.2; NAI of a WLAN, 14.3; root NAI 19.3.2); TR 33.812, 5.2.2.6.3.1.
"""

import hashlib
import hmac
import re
from typing import Final

from messages.errors import MessageError

PCID_DIGITS_MIN: Final = 6
PCID_DIGITS_MAX: Final = 15
MCC_DIGITS: Final = 3
MNC_DIGITS: Final = (2, 3)
_PCID: Final = re.compile(rf"[0-9]{{{PCID_DIGITS_MIN},{PCID_DIGITS_MAX}}}")
_NAI: Final = re.compile(
    r"0(?P<pcid>[0-9]{6,15})@wlan\.mnc(?P<mnc>[0-9]{3})\.mcc(?P<mcc>[0-9]{3})\.3gppnetwork\.org"
)
_KEY_SIZE: Final = 16


def check_pcid(pcid: str) -> str:
    """The PCID, if it has the form of an IMSI. Raises MessageError."""
    if not _PCID.fullmatch(pcid):
        raise MessageError(
            what="PCID", expected=f"{PCID_DIGITS_MIN} to {PCID_DIGITS_MAX} digits", got="something else"
        )
    return pcid


def nai_of(pcid: str, *, mnc_digits: int) -> str:
    """The identity that a device sends when it attaches; `mnc_digits` 2 or 3, as its home network has."""
    if mnc_digits not in MNC_DIGITS:
        raise MessageError(what="MNC", expected="2 or 3 digits", got=str(mnc_digits))
    mcc, mnc = pcid[:MCC_DIGITS], pcid[MCC_DIGITS : MCC_DIGITS + mnc_digits]
    return f"0{check_pcid(pcid)}@wlan.mnc{mnc:0>3}.mcc{mcc}.3gppnetwork.org"


def read_nai(identity: str) -> tuple[str, str, str]:
    """PCID, MCC, MNC (2 or 3 digits, as the PCID begins) of an identity; realm and PCID must agree. MessageError."""
    match = _NAI.fullmatch(identity) if len(identity) <= 80 else None  # noqa: PLR2004 - longer is no NAI of this form
    if match is not None:
        pcid, realm = match["pcid"], match["mnc"]
        for mnc in (realm, realm[1:] if realm[0] == "0" else realm):
            if pcid.startswith(match["mcc"] + mnc):
                return pcid, match["mcc"], mnc
    raise MessageError(
        what="identity", expected="0<PCID>@wlan.mncXXX.mccYYY.3gppnetwork.org of one network", got="another"
    )


def attachment_key(*, ck: bytes, ik: bytes, pcid: str) -> bytes:
    """Key of 32 bytes that device and ICF share after one authentication run; `ck`, `ik` 16 bytes."""
    if len(ck) != _KEY_SIZE or len(ik) != _KEY_SIZE:
        raise MessageError(what="CK and IK", expected=f"{_KEY_SIZE} bytes each", got="another size")
    return hmac.digest(ck + ik, b"pva/attachment/1" + pcid.encode("ascii"), hashlib.sha256)


def request_mac(key: bytes, *, method: str, path: str, body: bytes) -> str:
    """What proves to the DRF that a request comes from the device that attached, hexadecimal."""
    covered = f"{method} {path}\n".encode() + hashlib.sha256(body).digest()
    return hmac.new(key, covered, hashlib.sha256).hexdigest()


def is_request_mac(mac: str, key: bytes, *, method: str, path: str, body: bytes) -> bool:
    """Whether the MAC is right; takes the same time for any."""
    expected = request_mac(key, method=method, path=path, body=body)
    return hmac.compare_digest(expected.encode(), mac.encode("ascii", errors="replace"))
