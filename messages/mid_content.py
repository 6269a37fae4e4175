"""What is inside a MID package: the applications of one MID with their keys, and the policy of its owner (R11, R16, R44).

Rule: nothing here shows a key, neither a repr nor an error. What a decoder takes is well formed, and no more: whether
a TRE can and may use it is decided there.

    USIM  identity is the IMSI; for cellular access, or for access by WLAN
    ISIM  identity is the IMPI; `public_identities` are its IMPUs, the first one the default
"""

from dataclasses import dataclass, field
from typing import Final

from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError, refusal
from messages.mid_package import CONTENT_BYTES_MAX
from messages.mid_policy import ALGORITHMS, CELLULAR, IMS, WLAN, MidPolicy, read_rules
from messages.order import ID_MAX
from standards.aka.functions import RES_SIZE_MAX, RES_SIZE_MIN
from standards.rats.fields import Fields

APPLICATIONS_MAX: Final = 16
PUBLIC_IDENTITIES_MAX: Final = 64
USIM: Final = "usim"
ISIM: Final = "isim"
ACCESSES_OF: Final = {USIM: (CELLULAR, WLAN), ISIM: (IMS,)}
"""What each kind of application opens; the first one where a content names none."""
RES_BYTES: Final = 8
"""Size of a RES where a content names none: that of MILENAGE."""

_ACCESS, _RES_BYTES = 7, 8  # absent in what was installed before they were known, and so are the rules
_RULES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkApplication:
    """One USIM or ISIM: `identity` is the IMSI (digits) or the IMPI; `k`, `opc` 16 or 32 bytes, never in a repr.

    `algorithm` names a shared service of the MIDE (`milenage`: K and OPc; `tuak`: K and TOPc).
    """

    kind: str
    access: str
    identity: str
    public_identities: tuple[str, ...]
    algorithm: str
    k: bytes = field(repr=False)
    opc: bytes = field(repr=False)
    res_bytes: int = RES_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class MidContent:
    """What is installed: the MID's applications, and its owner's policy (R35, R43)."""

    mid_id: str
    applications: tuple[NetworkApplication, ...]
    policy: MidPolicy

    def encode(self) -> bytes:
        """Deterministic CBOR; `decode_content` takes it back."""
        return encode_deterministic(
            {
                1: self.mid_id,
                2: [
                    {
                        1: each.kind,
                        2: each.identity,
                        3: list(each.public_identities),
                        4: each.algorithm,
                        5: each.k,
                        6: each.opc,
                        7: each.access,
                        8: each.res_bytes,
                    }
                    for each in self.applications
                ],
                3: list(self.policy.algorithms),
                4: self.policy.rules(),
            }
        )


def decode_content(data: bytes) -> MidContent:
    """Read decrypted content. Raises MessageError, which never shows a key."""
    fields = decode_fields(data, what="MID", bytes_max=CONTENT_BYTES_MAX)
    rows = fields.items(2, size_min=1, size_max=APPLICATIONS_MAX)
    algorithms = fields.texts(3, size_max=len(ALGORITHMS))
    rules = fields.nested(_RULES) if _RULES in fields else Fields({}, what="MID.4", refusal=refusal)
    content = MidContent(
        mid_id=fields.text(1, size_max=ID_MAX),
        applications=tuple(_read_application(row, number) for number, row in enumerate(rows)),
        policy=read_rules(rules, algorithms=algorithms, what="MID policy"),
    )
    fields.close()
    return content


def _read_application(row: object, number: int) -> NetworkApplication:
    what = f"MID.2.{number}"
    fields = Fields(row, what=what, refusal=refusal)
    kind = fields.text(1, size_max=8)
    if kind not in ACCESSES_OF:
        raise MessageError(what=what, expected="usim or isim", got="another kind")
    accesses = ACCESSES_OF[kind]
    application = NetworkApplication(
        kind=kind,
        access=fields.text(_ACCESS, size_max=16) if _ACCESS in fields else accesses[0],
        identity=fields.text(2, size_max=255),
        public_identities=fields.texts(3, size_max=PUBLIC_IDENTITIES_MAX),
        algorithm=fields.text(4, size_max=16),
        k=fields.octets(5, size_min=16, size_max=32),
        opc=fields.octets(6, size_min=16, size_max=32),
        res_bytes=(
            fields.integer(_RES_BYTES, low=RES_SIZE_MIN, high=RES_SIZE_MAX)
            if _RES_BYTES in fields
            else RES_BYTES
        ),
    )
    fields.close()
    if application.access not in accesses:
        raise MessageError(what=what, expected=f"a {kind} for {' or '.join(accesses)}", got="another access")
    if application.algorithm not in ALGORITHMS:
        raise MessageError(what=what, expected=" or ".join(sorted(ALGORITHMS)), got="another algorithm")
    return application
