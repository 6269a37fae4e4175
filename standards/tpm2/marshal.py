"""The raising cursor over TPM structures, and its counterpart: big-endian integers and sized buffers.

One rule: no slice of received bytes is taken anywhere else in this package, so no length goes unchecked
(Part 1, 5.3; Part 2, 4).
"""

from struct import Struct

from standards.tpm2.errors import DecodeError

from_bytes = int.from_bytes


class Reader:
    """Cursor over received bytes; every read names the field, so that an error can."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)
        self._position = 0

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._position

    def take(self, size: int, what: str) -> bytes:
        """Exactly `size` bytes."""
        taken = self._data[self._position : self._position + size]
        if len(taken) != size:
            raise DecodeError(what, expected=f"{size} bytes", got=f"{self.remaining}")
        self._position += size
        return taken

    def fixed(self, layout: Struct, what: str) -> tuple[int, ...]:
        """Integers of fixed sizes that follow each other."""
        position = self._position
        if position + layout.size > len(self._data):
            raise DecodeError(what, expected=f"{layout.size} bytes", got=f"{self.remaining}")
        self._position = position + layout.size
        return layout.unpack_from(self._data, position)

    def u8(self, what: str) -> int:
        """One byte."""
        return self.take(1, what)[0]

    def u16(self, what: str) -> int:
        """UINT16."""
        return from_bytes(self.take(2, what), "big")

    def u32(self, what: str) -> int:
        """UINT32."""
        return from_bytes(self.take(4, what), "big")

    def u64(self, what: str) -> int:
        """UINT64."""
        return from_bytes(self.take(8, what), "big")

    def tpm2b(self, size_max: int, what: str) -> bytes:
        """Content of a TPM2B: a UINT16 size, at most `size_max`, and that many bytes."""
        data, at = self._data, self._position + 2
        head = data[at - 2 : at]
        size = from_bytes(head, "big")
        content = data[at : at + size]
        if len(head) == 2 and size <= size_max and len(content) == size:  # noqa: PLR2004 - UINT16
            self._position = at + size
            return content
        return self._refused_tpm2b(size_max, what)

    def _refused_tpm2b(self, size_max: int, what: str) -> bytes:
        """Say which of its parts is wrong."""
        size = self.u16(f"size of {what}")
        if size > size_max:
            raise DecodeError(f"size of {what}", expected=f"at most {size_max}", got=str(size))
        return self.take(size, what)

    def rest(self) -> bytes:
        """All that is left; only where another length has already bounded it."""
        return self.take(self.remaining, "rest")

    def end(self, what: str) -> None:
        """Refuse trailing bytes."""
        if len(self._data) != self._position:
            raise DecodeError(what, expected="no trailing bytes", got=f"{self.remaining}")


class Writer:
    """Builder of a TPM structure; each method returns the writer."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def raw(self, data: bytes) -> "Writer":
        """Bytes as they are."""
        self._parts.append(data)
        return self

    def u8(self, value: int) -> "Writer":
        """One byte."""
        return self.raw(value.to_bytes(1, "big"))

    def u16(self, value: int) -> "Writer":
        """UINT16."""
        return self.raw(value.to_bytes(2, "big"))

    def u32(self, value: int) -> "Writer":
        """UINT32."""
        return self.raw(value.to_bytes(4, "big"))

    def u64(self, value: int) -> "Writer":
        """UINT64."""
        return self.raw(value.to_bytes(8, "big"))

    def tpm2b(self, content: bytes) -> "Writer":
        """A TPM2B: UINT16 size and the content."""
        return self.u16(len(content)).raw(content)

    def done(self) -> bytes:
        """The bytes written."""
        return b"".join(self._parts)


def tpm2b(content: bytes) -> bytes:
    """A TPM2B as bytes."""
    return Writer().tpm2b(content).done()
