"""The shape of each command: its handles, and which parameters a session may encrypt (Part 3).

A parameter can be encrypted where it is the first and a TPM2B (Part 1, 21). Client and software TPM read
the same table.
"""

from dataclasses import dataclass

from standards.tpm2.constants import CommandCode


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandShape:
    """`authorized` handles come first and need one authorisation each, then `plain` ones without."""

    code: CommandCode
    authorized: int = 0
    plain: int = 0
    decrypts: bool = False
    encrypts: bool = False
    returns_handle: bool = False

    @property
    def name(self) -> str:
        """The command's name for people."""
        return f"TPM2_{self.code.name}"


def _shape(  # a row of the table below
    code: CommandCode, authorized: int, plain: int, encryption: str = "", *, returns_handle: bool = False
) -> CommandShape:
    return CommandShape(
        code=code,
        authorized=authorized,
        plain=plain,
        decrypts="d" in encryption,
        encrypts="e" in encryption,
        returns_handle=returns_handle,
    )


_C = CommandCode
_SHAPES = (
    # "d": first command parameter may be encrypted; "e": first response parameter may be
    _shape(_C.STARTUP, 0, 0),
    _shape(_C.SHUTDOWN, 0, 0),
    _shape(_C.SELF_TEST, 0, 0),
    _shape(_C.GET_RANDOM, 0, 0, "e"),
    _shape(_C.GET_CAPABILITY, 0, 0),
    _shape(_C.READ_CLOCK, 0, 0),
    _shape(_C.CLEAR, 1, 0),
    _shape(_C.HIERARCHY_CHANGE_AUTH, 1, 0, "d"),
    _shape(_C.DICTIONARY_ATTACK_LOCK_RESET, 1, 0),
    _shape(_C.START_AUTH_SESSION, 0, 2, "de", returns_handle=True),
    _shape(_C.FLUSH_CONTEXT, 0, 0),
    _shape(_C.CREATE_PRIMARY, 1, 0, "de", returns_handle=True),
    _shape(_C.CREATE, 1, 0, "de"),
    _shape(_C.LOAD, 1, 0, "de", returns_handle=True),
    _shape(_C.LOAD_EXTERNAL, 0, 0, "de", returns_handle=True),
    _shape(_C.READ_PUBLIC, 0, 1, "e"),
    _shape(_C.EVICT_CONTROL, 1, 1),
    _shape(_C.OBJECT_CHANGE_AUTH, 1, 1, "de"),
    _shape(_C.IMPORT, 1, 0, "de"),
    _shape(_C.DUPLICATE, 1, 1, "de"),
    _shape(_C.UNSEAL, 1, 0, "e"),
    _shape(_C.MAKE_CREDENTIAL, 0, 1, "de"),
    _shape(_C.ACTIVATE_CREDENTIAL, 2, 0, "de"),
    _shape(_C.VERIFY_SIGNATURE, 0, 1, "d"),
    _shape(_C.CERTIFY, 2, 0, "de"),
    _shape(_C.QUOTE, 1, 0, "de"),
    _shape(_C.NV_CERTIFY, 2, 1, "de"),
    _shape(_C.PCR_READ, 0, 0),
    _shape(_C.PCR_EXTEND, 1, 0),
    _shape(_C.PCR_RESET, 1, 0),
    _shape(_C.NV_DEFINE_SPACE, 1, 0, "d"),
    _shape(_C.NV_UNDEFINE_SPACE, 1, 1),
    _shape(_C.NV_READ_PUBLIC, 0, 1, "e"),
    _shape(_C.NV_WRITE, 1, 1, "d"),
    _shape(_C.NV_INCREMENT, 1, 1),
    _shape(_C.NV_READ, 1, 1, "e"),
    _shape(_C.POLICY_PCR, 0, 1, "d"),
    _shape(_C.POLICY_NV, 1, 2, "d"),
    _shape(_C.POLICY_COUNTER_TIMER, 0, 1, "d"),
    _shape(_C.POLICY_AUTHORIZE, 0, 1, "d"),
    _shape(_C.POLICY_SIGNED, 0, 2, "de"),
    _shape(_C.POLICY_SECRET, 1, 1, "de"),
    _shape(_C.POLICY_COMMAND_CODE, 0, 1),
    _shape(_C.POLICY_AUTH_VALUE, 0, 1),
    _shape(_C.POLICY_OR, 0, 1),
    _shape(_C.POLICY_GET_DIGEST, 0, 1, "e"),
    _shape(_C.POLICY_RESTART, 0, 1),
)
COMMAND_SHAPES = {shape.code: shape for shape in _SHAPES}
