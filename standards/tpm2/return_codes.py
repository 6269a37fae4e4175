"""TPM_RC: return codes and what they say (Part 2, 6.6).

A format-one code (bit 7) carries the number of the handle, session or parameter that was wrong; `describe`
puts that into words, `parameter`, `handle` and `session` build such a code.
"""

from enum import IntEnum


class ReturnCode(IntEnum):
    """Base return codes (Part 2, table 17), without the number of a handle, session or parameter."""

    SUCCESS = 0x000
    BAD_TAG = 0x01E
    # format zero, errors
    INITIALIZE = 0x100
    FAILURE = 0x101
    SEQUENCE = 0x103
    PRIVATE = 0x10B
    HMAC = 0x119
    DISABLED = 0x120
    EXCLUSIVE = 0x121
    AUTH_TYPE = 0x124
    AUTH_MISSING = 0x125
    POLICY = 0x126
    PCR = 0x127
    PCR_CHANGED = 0x128
    UPGRADE = 0x12D
    TOO_MANY_CONTEXTS = 0x12E
    AUTH_UNAVAILABLE = 0x12F
    REBOOT = 0x130
    UNBALANCED = 0x131
    COMMAND_SIZE = 0x142
    COMMAND_CODE = 0x143
    AUTHSIZE = 0x144
    AUTH_CONTEXT = 0x145
    NV_RANGE = 0x146
    NV_SIZE = 0x147
    NV_LOCKED = 0x148
    NV_AUTHORIZATION = 0x149
    NV_UNINITIALIZED = 0x14A
    NV_SPACE = 0x14B
    NV_DEFINED = 0x14C
    BAD_CONTEXT = 0x150
    CPHASH = 0x151
    PARENT = 0x152
    NEEDS_TEST = 0x153
    NO_RESULT = 0x154
    SENSITIVE = 0x155
    # format one
    ASYMMETRIC = 0x081
    ATTRIBUTES = 0x082
    HASH = 0x083
    VALUE = 0x084
    HIERARCHY = 0x085
    KEY_SIZE = 0x087
    MGF = 0x088
    MODE = 0x089
    TYPE = 0x08A
    HANDLE = 0x08B
    KDF = 0x08C
    RANGE = 0x08D
    AUTH_FAIL = 0x08E
    NONCE = 0x08F
    PP = 0x090
    SCHEME = 0x092
    SIZE = 0x095
    SYMMETRIC = 0x096
    TAG = 0x097
    SELECTOR = 0x098
    INSUFFICIENT = 0x09A
    SIGNATURE = 0x09B
    KEY = 0x09C
    POLICY_FAIL = 0x09D
    INTEGRITY = 0x09F
    TICKET = 0x0A0
    RESERVED_BITS = 0x0A1
    BAD_AUTH = 0x0A2
    EXPIRED = 0x0A3
    POLICY_CC = 0x0A4
    BINDING = 0x0A5
    CURVE = 0x0A6
    ECC_POINT = 0x0A7
    # warnings
    CONTEXT_GAP = 0x901
    OBJECT_MEMORY = 0x902
    SESSION_MEMORY = 0x903
    MEMORY = 0x904
    SESSION_HANDLES = 0x905
    OBJECT_HANDLES = 0x906
    LOCALITY = 0x907
    YIELDED = 0x908
    CANCELED = 0x909
    TESTING = 0x90A
    REFERENCE_H0 = 0x910
    REFERENCE_S0 = 0x918
    NV_RATE = 0x920
    LOCKOUT = 0x921
    RETRY = 0x922
    NV_UNAVAILABLE = 0x923


FORMAT_ONE = 0x080
_PARAMETER = 0x040
_SESSION = 0x800
_MEANINGS = {
    ReturnCode.PCR_CHANGED: "a PCR moved after PolicyPCR: run the policy again",
    ReturnCode.AUTH_UNAVAILABLE: "this object does not allow that kind of authorisation",
    ReturnCode.POLICY: "the compared NV value or condition does not hold",
    ReturnCode.POLICY_FAIL: "the session's policyDigest is not the object's authPolicy",
    ReturnCode.NV_UNINITIALIZED: "the NV index was never written",
    ReturnCode.OBJECT_MEMORY: "no transient slot is free: flush an object",
    ReturnCode.SESSION_MEMORY: "no session slot is free: flush a session",
    ReturnCode.LOCKOUT: "dictionary-attack lockout: wait or reset it with lockoutAuth",
    ReturnCode.NV_RATE: "NV writes are rate-limited: wait and try again",
    ReturnCode.INTEGRITY: "integrity check failed: altered, or made for another TPM",
    ReturnCode.AUTH_FAIL: "wrong authValue or HMAC; counted by the dictionary-attack logic",
    ReturnCode.BAD_AUTH: "wrong authValue or HMAC",
}


def parameter(code: ReturnCode, number: int) -> int:
    """Format-one code about parameter `number` (1-15)."""
    return code | _PARAMETER | number << 8


def handle(code: ReturnCode, number: int) -> int:
    """Format-one code about handle `number` (1-7)."""
    return code | number << 8


def session(code: ReturnCode, number: int) -> int:
    """Format-one code about session `number` (1-7)."""
    return code | _SESSION | number << 8


def base(rc: int) -> int:
    """The code without the number of a handle, session or parameter: compare it with ReturnCode."""
    return rc & 0x0BF if rc & FORMAT_ONE else rc


def describe(rc: int) -> str:
    """A return code in words: name, where, and what it usually means."""
    try:
        code = ReturnCode(base(rc))
    except ValueError:
        return "a return code of the vendor or of a later revision"
    words = f"TPM_RC_{code.name}{_place(rc)}"
    meaning = _MEANINGS.get(code)
    return f"{words}: {meaning}" if meaning else words


def _place(rc: int) -> str:
    if not rc & FORMAT_ONE:
        return ""
    if rc & _PARAMETER:
        return f" (parameter {rc >> 8 & 0xF})"
    number = rc >> 8 & 0x7
    if not number:
        return ""
    return f" (session {number})" if rc & _SESSION else f" (handle {number})"
