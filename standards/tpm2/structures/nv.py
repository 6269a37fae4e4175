"""Public area of an NV index (Part 2, 13.5)."""

from dataclasses import dataclass, replace
from functools import lru_cache

from standards.tpm2.constants import DIGEST_BYTES_MAX, NvAttributes
from standards.tpm2.marshal import Reader, Writer
from standards.tpm2.names import nv_name

_INDICES_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class NvPublic:
    """TPMS_NV_PUBLIC. The Name changes when the index is first written, since WRITTEN is an attribute."""

    index: int
    name_algorithm: int
    attributes: NvAttributes
    auth_policy: bytes
    data_size: int

    @classmethod
    def decode(cls, data: bytes) -> "NvPublic":
        """TPMS_NV_PUBLIC (the content of a TPM2B_NV_PUBLIC) and nothing after it."""
        reader = Reader(data)
        public = cls(
            index=reader.u32("nvIndex"),
            name_algorithm=reader.u16("nameAlg of the index"),
            attributes=NvAttributes(reader.u32("attributes of the index")),
            auth_policy=reader.tpm2b(DIGEST_BYTES_MAX, "authPolicy of the index"),
            data_size=reader.u16("dataSize of the index"),
        )
        reader.end("TPMS_NV_PUBLIC")
        return public

    def encode(self) -> bytes:
        """TPMS_NV_PUBLIC as bytes."""
        writer = Writer().u32(self.index).u16(self.name_algorithm).u32(self.attributes)
        return writer.tpm2b(self.auth_policy).u16(self.data_size).done()

    @property
    def handle(self) -> int:
        """The index is its own handle."""
        return self.index

    @property
    def name(self) -> bytes:
        """Name of the index, recomputed."""
        return _name_of(self)

    def written(self) -> "NvPublic":
        """The same index once it has been written: what PolicyNV and NV_Certify name."""
        return replace(self, attributes=self.attributes | NvAttributes.WRITTEN)


@lru_cache(maxsize=_INDICES_MAX)
def _name_of(public: NvPublic) -> bytes:
    """The index of a template is the same on every device."""
    return nv_name(public.name_algorithm, public.encode())
