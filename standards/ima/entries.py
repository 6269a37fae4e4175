"""`ImaList` and `ImaEntry`: a list as it was received.

Rule: nothing here is proven; `replay` says how many entries a quoted PCR covers. A list is held in columns, for it
has ten thousand entries where most of them are only hashed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from standards.ima.templates import Template

IMA_PCR: Final = 10
SHA1_SIZE: Final = 20
VIOLATION: Final = bytes(SHA1_SIZE)
"""Template digest of a violation in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaEntry:
    """One entry: `number` in its boot's list (from 0), PCR, SHA-1 template digest as listed, template, template data.

    `data` is what is hashed: each field with its length in front, or, of the template `ima`, 20 bytes of digest and
    the name filled up to 256 bytes.
    """

    number: int
    pcr: int
    template_digest: bytes
    template: Template
    data: bytes

    @property
    def violation(self) -> bool:
        """Whether the kernel says that what it measured could be changed meanwhile."""
        return self.template_digest == VIOLATION


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaList:
    """Entries `first`, `first + 1`, ... of one boot's list, column by column."""

    first: int
    pcrs: tuple[int, ...]
    template_digests: tuple[bytes, ...]
    templates: tuple[Template, ...]
    data: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.pcrs)

    def entry(self, place: int) -> ImaEntry:
        """The entry at a place of this part, counted from 0."""
        return ImaEntry(
            number=self.first + place,
            pcr=self.pcrs[place],
            template_digest=self.template_digests[place],
            template=self.templates[place],
            data=self.data[place],
        )

    def entries(self, *, up_to: int) -> Iterator[ImaEntry]:
        """The entries with a number below `up_to`; of a replayed list: its count."""
        for place in range(min(len(self.pcrs), max(up_to - self.first, 0))):
            yield self.entry(place)
