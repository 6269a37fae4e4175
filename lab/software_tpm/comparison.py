"""TPM_EO: how a value in the TPM is compared with operandB (Part 2, 6.8; Part 3, 23.9)."""

from collections.abc import Callable, Mapping

from standards.tpm2.constants import Comparison

_C = Comparison


def _signed(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


def _bits(value: bytes) -> int:
    return int.from_bytes(value, "big")


_HOLDS: Mapping[Comparison, Callable[[bytes, bytes], bool]] = {
    _C.EQ: lambda a, b: a == b,
    _C.NEQ: lambda a, b: a != b,
    _C.SIGNED_GT: lambda a, b: _signed(a) > _signed(b),
    _C.UNSIGNED_GT: lambda a, b: a > b,
    _C.SIGNED_LT: lambda a, b: _signed(a) < _signed(b),
    _C.UNSIGNED_LT: lambda a, b: a < b,
    _C.SIGNED_GE: lambda a, b: _signed(a) >= _signed(b),
    _C.UNSIGNED_GE: lambda a, b: a >= b,
    _C.SIGNED_LE: lambda a, b: _signed(a) <= _signed(b),
    _C.UNSIGNED_LE: lambda a, b: a <= b,
    _C.BITSET: lambda a, b: _bits(a) & _bits(b) == _bits(b),
    _C.BITCLEAR: lambda a, b: _bits(a) & _bits(b) == 0,
}
"""Big-endian values of equal length, so that comparing bytes compares unsigned numbers."""


def holds(operation: Comparison, value: bytes, operand: bytes) -> bool:
    """Whether `value` op `operand`; both have the same length."""
    return _HOLDS[operation](value, operand)
