"""Commands on platform configuration registers (Part 3, 22)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from standards.tpm2.commands.channel import Command, CommandChannel
from standards.tpm2.constants import DIGEST_BYTES_MAX, CommandCode
from standards.tpm2.errors import DecodeError
from standards.tpm2.marshal import Writer
from standards.tpm2.sessions import EMPTY_PASSWORD, Authorization
from standards.tpm2.structures import PcrSelection, encode_pcr_selections, read_pcr_selections

_DIGESTS_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PcrReading:
    """Values by bank and index; not signed: a quote's digest says whether they hold."""

    update_counter: int
    values: Mapping[int, Mapping[int, bytes]]


class RegisterCommands(CommandChannel):
    """The typed commands of this file."""

    def pcr_read(self, selection: Sequence[PcrSelection]) -> PcrReading:
        """TPM2_PCR_Read once: at most 8 registers come back, which ones the answer says."""
        command = Command(code=CommandCode.PCR_READ, parameters=encode_pcr_selections(tuple(selection)))
        reader = self.run(command).reader()
        counter = reader.u32("pcrUpdateCounter")
        read = [(one.bank, index) for one in read_pcr_selections(reader) for index in one.indices]
        count = reader.u32("count of PCR values")
        if count > _DIGESTS_MAX or count != len(read):
            raise DecodeError("count of PCR values", expected=f"{len(read)}, at most 8", got=str(count))
        values: dict[int, dict[int, bytes]] = {}
        for bank, index in read:
            values.setdefault(bank, {})[index] = reader.tpm2b(DIGEST_BYTES_MAX, f"PCR {index}")
        reader.end("response of PCR_Read")
        return PcrReading(update_counter=counter, values=values)

    def pcr_read_all(self, selection: Sequence[PcrSelection]) -> dict[int, dict[int, bytes]]:
        """Every selected register, by as many PCR_Read as that takes; not one moment's picture.

        DecodeError where the TPM has no such register (a bank that is not allocated).
        """
        missing = {one.bank: set(one.indices) for one in selection}
        values: dict[int, dict[int, bytes]] = {one.bank: {} for one in selection}
        while any(missing.values()):
            wanted = [
                PcrSelection(bank=bank, indices=tuple(sorted(indices)))
                for bank, indices in missing.items()
                if indices
            ]
            read = self.pcr_read(wanted).values
            unasked = any(set(found) - missing.get(bank, set()) for bank, found in read.items())
            if unasked or not any(read.values()):
                raise DecodeError("PCR values", expected=f"some of {wanted}", got="none or others")
            for bank, found in read.items():
                values[bank].update(found)
                missing[bank] -= set(found)
        return values

    def pcr_extend(
        self, index: int, *, digests: Mapping[int, bytes], auth: Authorization = EMPTY_PASSWORD
    ) -> None:
        """TPM2_PCR_Extend: each bank's register becomes H(old || digest)."""
        parameters = Writer().u32(len(digests))
        for bank, value in digests.items():
            parameters.u16(bank).raw(value)
        self.run(
            Command(
                code=CommandCode.PCR_EXTEND,
                subjects=[index],
                parameters=parameters.done(),
                auths=[auth],
            )
        )

    def pcr_reset(self, index: int, *, auth: Authorization = EMPTY_PASSWORD) -> None:
        """TPM2_PCR_Reset: from locality 0 only PCR 16 and 23, which is why no policy may use them."""
        self.run(Command(code=CommandCode.PCR_RESET, subjects=[index], auths=[auth]))
