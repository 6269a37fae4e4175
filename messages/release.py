"""The release of a MID, signed by its owner: another operator's may serve in its place (R22, R23).

Rule: a release names one MID on one device and one successor, and is of no use to anybody else. It has no times, and alone it
changes nothing: the successor's own instruction answers a nonce of the TRE (see `switch`).
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from messages.errors import MessageError, refusal
from messages.operator_token import TokenKind
from messages.order import DIGEST_SIZE, ID_MAX
from standards.pki import oids
from standards.rats.fields import Fields

RELEASE_KIND: Final = TokenKind(typ="pva-release+jwt", eku=oids.EKU_SUBSCRIPTION, roles=frozenset({"sho"}))
RELEASE_BYTES_MAX: Final = 16_384
"""Size of a release in another token, in characters."""
_JWS: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """`osho` lets its MID on this device stop serving, for a MID of `successor` and of nobody else."""

    osho: str
    device_id: str
    mid_id: str
    successor: str

    def claims(self) -> dict[str, Any]:
        """JWT claims but `iss`, which the signer sets; `read_release` takes them back."""
        return {"sub": self.device_id, "pva_mid_id": self.mid_id, "pva_successor": self.successor}


def read_release(claims: object) -> Release:
    """Read verified claims. Raises MessageError."""
    fields = Fields(claims, what="release", refusal=refusal)
    release = Release(
        osho=fields.text("iss", size_max=ID_MAX),
        device_id=fields.hex("sub", size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        mid_id=fields.text("pva_mid_id", size_max=ID_MAX),
        successor=fields.text("pva_successor", size_max=ID_MAX),
    )
    fields.close()
    return release


def carried_release(fields: Fields, *, what: str) -> str:
    """The release in another token's claims, which is NOT verified here. Raises MessageError."""
    token = fields.text("pva_release", size_max=RELEASE_BYTES_MAX)
    if _JWS.fullmatch(token) is None:
        raise MessageError(what=f"{what}.pva_release", expected="a compact JWS", got="something else")
    return token
