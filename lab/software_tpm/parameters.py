"""The parameter area of a command as a cursor that counts.

One rule: what cannot be read is refused with a return code that names the parameter (Part 3, 5.7).
"""

from collections.abc import Callable
from typing import TypeVar

from lab.software_tpm.errors import CommandError
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import is_trusted
from standards.tpm2.marshal import Reader
from standards.tpm2.return_codes import ReturnCode, parameter

T = TypeVar("T")

_CODES = {
    "type of TPMT_PUBLIC": ReturnCode.TYPE,
    "RSA scheme": ReturnCode.SCHEME,
    "ECC scheme": ReturnCode.SCHEME,
    "type of TPMT_SENSITIVE": ReturnCode.TYPE,
    "signing scheme": ReturnCode.SCHEME,
    "sigAlg": ReturnCode.SCHEME,
    "kdf scheme": ReturnCode.KDF,
    "symmetric algorithm": ReturnCode.SYMMETRIC,
    "count of PCR selections": ReturnCode.SIZE,
    "tag of a ticket": ReturnCode.TAG,
}
"""Fields whose wrong value has a code of its own; any other wrong value is TPM_RC_VALUE."""


class Parameters:
    """Cursor over the parameter area; each call reads one parameter and counts it."""

    __slots__ = ("_number", "_reader")

    def __init__(self, area: bytes) -> None:
        self._reader = Reader(area)
        self._number = 0

    def read(self, structure: Callable[[Reader], T]) -> T:
        """One parameter, read by `structure` at the cursor."""
        self._number += 1
        try:
            return structure(self._reader)
        except DecodeError as error:
            raise self.refused(_code(error)) from None

    def refused(self, code: ReturnCode) -> CommandError:
        """The refusal of the parameter that was read last."""
        return CommandError(parameter(code, self._number))

    def u8(self) -> int:
        """One byte."""
        return self.read(lambda reader: reader.u8("parameter"))

    def u16(self) -> int:
        """UINT16."""
        return self.read(lambda reader: reader.u16("parameter"))

    def u32(self) -> int:
        """UINT32."""
        return self.read(lambda reader: reader.u32("parameter"))

    def buffer(self, size_max: int) -> bytes:
        """Content of a TPM2B of at most `size_max` bytes."""
        return self.read(lambda reader: reader.tpm2b(size_max, "parameter"))

    def sized(self, decode: Callable[[bytes], T]) -> T:
        """A structure inside a TPM2B; an empty buffer is no structure."""
        found = self.sized_or_none(decode)
        if found is None:
            raise self.refused(ReturnCode.SIZE)
        return found

    def sized_or_none(self, decode: Callable[[bytes], T]) -> T | None:
        """A structure inside a TPM2B, None for an empty one.

        As in a TPM, the structure is read first and its size compared afterwards: a structure that runs past
        its size is TPM_RC_SIZE, one that runs past the command is TPM_RC_INSUFFICIENT.
        """

        def whole(reader: Reader) -> T | None:
            size = reader.u16("size of parameter")
            available = reader.remaining
            content = reader.take(min(size, available), "parameter")
            if not size:
                return None
            try:
                decoded = decode(content)
            except DecodeError as error:
                overrun = _code(error) == ReturnCode.INSUFFICIENT and size <= available
                raise _wrong_size(size) if overrun else error from None
            if size > available:
                raise _wrong_size(size)
            return decoded

        return self.read(whole)

    def yes_no(self) -> bool:
        """TPMI_YES_NO."""
        value = self.u8()
        if value > 1:
            raise self.refused(ReturnCode.VALUE)
        return bool(value)

    def hash_algorithm(self) -> int:
        """TPMI_ALG_HASH, one that this TPM computes Names and policies with."""
        algorithm = self.u16()
        if not is_trusted(algorithm):
            raise self.refused(ReturnCode.HASH)
        return algorithm

    def one_of(self, *allowed: int, otherwise: ReturnCode = ReturnCode.VALUE) -> int:
        """UINT32 out of a list, such as TPMI_RH_HIERARCHY."""
        value = self.u32()
        if value not in allowed:
            raise self.refused(otherwise)
        return value

    def end(self) -> None:
        """Refuse what follows the last parameter."""
        if self._reader.remaining:
            raise CommandError(ReturnCode.SIZE)


def _wrong_size(size: int) -> DecodeError:
    return DecodeError("size of parameter", expected="the size of its structure", got=str(size))


def _code(error: DecodeError) -> ReturnCode:
    number, _, unit = error.expected.partition(" ")
    if number.isdigit() and unit == "bytes":
        return ReturnCode.INSUFFICIENT
    if error.what.startswith("size of") or error.expected == "no trailing bytes":
        return ReturnCode.SIZE
    if error.what.startswith("hash"):
        return ReturnCode.HASH
    return _CODES.get(error.what, ReturnCode.VALUE)
