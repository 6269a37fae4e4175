"""`BootChain`: what ran between firmware and kernel, and with what, as values.

Rule: each link keeps the digest that was measured; what the link is called, and which component it is, was in most
cases only logged, and is a hint (A19). `name_measured` and `text` tell what is more than that.
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Component(StrEnum):
    """Parts of a boot chain."""

    FIRMWARE_APPLICATION = "firmware application"
    BOOT_LOADER = "boot loader"
    BOOT_LOADER_FILE = "boot loader file"
    BOOT_LOADER_COMMAND = "boot loader command"
    BOOT_LOADER_CONFIGURATION = "boot loader configuration"
    PARTITION_TABLE = "partition table"
    KERNEL = "kernel"
    INITRD = "initrd"
    COMMAND_LINE = "command line"
    IMAGE_SECTION = "kernel image section"
    ADDITION = "addition to the kernel image"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLink:
    """One measured component: event number, PCR, digest (of an image: its Authenticode digest), name or path.

    `text` is what the digest covers where that is text (a command, a command line), else None; `name_measured` is
    True only where another digest of the same PCR covers the name (sections of a unified kernel image).
    """

    number: int
    pcr: int
    component: Component
    name: str
    digest: bytes
    text: str | None = None
    name_measured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BootChain:
    """The links in the order in which they were measured."""

    links: tuple[ChainLink, ...]

    def of(self, component: Component) -> tuple[ChainLink, ...]:
        """The links of one component."""
        return tuple(link for link in self.links if link.component is component)
