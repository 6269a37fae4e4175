"""Commands on non-volatile indices (Part 3, 31)."""

from standards.tpm2.commands.channel import PARAMETER_BYTES_MAX, Command, CommandChannel, Subject
from standards.tpm2.constants import NAME_BYTES_MAX, CommandCode
from standards.tpm2.errors import DecodeError
from standards.tpm2.marshal import Reader, Writer, tpm2b
from standards.tpm2.sessions import EMPTY_PASSWORD, Authorization, Session
from standards.tpm2.structures import NvPublic

_NV_PUBLIC_BYTES_MAX = 128
CHUNK_BYTES = 512
"""Read and write at a time: not more than any PC Client TPM takes (TPM_PT_NV_BUFFER_MAX is at least this)."""


class NvCommands(CommandChannel):
    """The typed commands of this file.

    `by` names whose authorisation is used: the index itself (default) or a hierarchy such as OWNER.
    """

    def nv_define_space(
        self,
        hierarchy: int,
        *,
        public: NvPublic,
        auth_value: bytes = b"",
        auth: Authorization = EMPTY_PASSWORD,
        protect: Session | None = None,
    ) -> None:
        """TPM2_NV_DefineSpace."""
        self.run(
            Command(
                code=CommandCode.NV_DEFINE_SPACE,
                subjects=[hierarchy],
                parameters=tpm2b(auth_value) + tpm2b(public.encode()),
                auths=[auth],
                protect=protect,
            )
        )

    def nv_undefine_space(
        self, hierarchy: int, *, index: Subject, auth: Authorization = EMPTY_PASSWORD
    ) -> None:
        """TPM2_NV_UndefineSpace."""
        self.run(Command(code=CommandCode.NV_UNDEFINE_SPACE, subjects=[hierarchy, index], auths=[auth]))

    def nv_read_public(self, handle: int, *, protect: Session | None = None) -> NvPublic:
        """TPM2_NV_ReadPublic; authenticated only if a session protects it."""
        command = Command(code=CommandCode.NV_READ_PUBLIC, subjects=[handle], protect=protect)
        reader = self.run(command).reader()
        public = NvPublic.decode(reader.tpm2b(_NV_PUBLIC_BYTES_MAX, "TPM2B_NV_PUBLIC"))
        claimed = reader.tpm2b(NAME_BYTES_MAX, "nvName")
        reader.end("response of NV_ReadPublic")
        if claimed != public.name:
            raise DecodeError("nvName", expected=public.name.hex(), got=claimed.hex())
        return public

    def nv_increment(
        self, index: Subject, *, by: Subject | None = None, auth: Authorization = EMPTY_PASSWORD
    ) -> None:
        """TPM2_NV_Increment of a counter."""
        subjects = [index if by is None else by, index]
        self.run(Command(code=CommandCode.NV_INCREMENT, subjects=subjects, auths=[auth]))

    def nv_write(  # the index, the data and where it goes, who authorises and who protects
        self,
        index: Subject,
        *,
        data: bytes,
        offset: int = 0,
        by: Subject | None = None,
        auth: Authorization = EMPTY_PASSWORD,
        protect: Session | None = None,
    ) -> None:
        """TPM2_NV_Write, one command."""
        self.run(
            Command(
                code=CommandCode.NV_WRITE,
                subjects=[index if by is None else by, index],
                parameters=Writer().tpm2b(data).u16(offset).done(),
                auths=[auth],
                protect=protect,
            )
        )

    def nv_read(  # the index and the part of it, who authorises and who protects
        self,
        index: Subject,
        *,
        size: int,
        offset: int = 0,
        by: Subject | None = None,
        auth: Authorization = EMPTY_PASSWORD,
        protect: Session | None = None,
    ) -> bytes:
        """TPM2_NV_Read, one command."""
        command = Command(
            code=CommandCode.NV_READ,
            subjects=[index if by is None else by, index],
            parameters=Writer().u16(size).u16(offset).done(),
            auths=[auth],
            protect=protect,
        )
        reader = self.run(command).reader()
        data = reader.tpm2b(PARAMETER_BYTES_MAX, "data of the index")
        reader.end("response of NV_Read")
        if len(data) != size:
            raise DecodeError("data of the index", expected=f"{size} bytes", got=str(len(data)))
        return data

    def nv_read_whole(
        self,
        index: NvPublic,
        *,
        by: Subject | None = None,
        auth: Authorization = EMPTY_PASSWORD,
        protect: Session | None = None,
    ) -> bytes:
        """The whole index, in chunks: an EK certificate, for instance."""
        data = b""
        while len(data) < index.data_size:
            size = min(CHUNK_BYTES, index.data_size - len(data))
            data += self.nv_read(index, size=size, offset=len(data), by=by, auth=auth, protect=protect)
        return data

    def nv_read_counter(
        self, index: NvPublic, *, auth: Authorization = EMPTY_PASSWORD, protect: Session | None = None
    ) -> int:
        """Value of a counter; 0x14a before its first increment."""
        data = self.nv_read(index, size=index.data_size, auth=auth, protect=protect)
        return Reader(data).u64("counter")
