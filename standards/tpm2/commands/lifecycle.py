"""Commands about the TPM as a whole: start, randomness, capabilities, clock, hierarchies (Part 3, 9, 10, 16, 24-30)."""

from dataclasses import dataclass

from standards.tpm2.commands.channel import Command, CommandChannel
from standards.tpm2.constants import STARTUP_CLEAR, Capability, CommandCode
from standards.tpm2.errors import DecodeError
from standards.tpm2.marshal import Reader, Writer, tpm2b
from standards.tpm2.sessions import EMPTY_PASSWORD, Authorization, Session
from standards.tpm2.structures import ClockInfo

_RANDOM_BYTES_MAX = 64
_HANDLES_AT_ONCE = 64
_HANDLE_NUMBER = 0x00FFFFFF
_HMAC_SESSION, _POLICY_SESSION = 0x02, 0x03
"""Types of handles (Part 2, 7.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeInfo:
    """TPMS_TIME_INFO: `time` in milliseconds since the last _TPM_Init."""

    time: int
    clock_info: ClockInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityAnswer:
    """TPMS_CAPABILITY_DATA without its capability: the list as encoded; `more` if it is not all."""

    more: bool
    data: bytes


class LifecycleCommands(CommandChannel):
    """The typed commands of this file."""

    def startup(self, startup_type: int = STARTUP_CLEAR) -> None:
        """TPM2_Startup; 0x100 if the TPM is already started."""
        self.run(Command(code=CommandCode.STARTUP, parameters=Writer().u16(startup_type).done()))

    def shutdown(self, shutdown_type: int = STARTUP_CLEAR) -> None:
        """TPM2_Shutdown: an unclean stop counts against the dictionary-attack logic."""
        self.run(Command(code=CommandCode.SHUTDOWN, parameters=Writer().u16(shutdown_type).done()))

    def self_test(self, *, full: bool = False) -> None:
        """TPM2_SelfTest."""
        self.run(Command(code=CommandCode.SELF_TEST, parameters=Writer().u8(int(full)).done()))

    def get_random(self, size: int, *, protect: Session | None = None) -> bytes:
        """TPM2_GetRandom, as often as `size` bytes need it."""
        collected = b""
        while len(collected) < size:
            wanted = min(size - len(collected), _RANDOM_BYTES_MAX)
            command = Command(
                code=CommandCode.GET_RANDOM, parameters=Writer().u16(wanted).done(), protect=protect
            )
            reader = self.run(command).reader()
            got = reader.tpm2b(wanted, "randomBytes")
            reader.end("response of GetRandom")
            if not got:
                raise DecodeError("randomBytes", expected=f"up to {wanted} bytes", got="0")
            collected += got
        return collected

    def get_capability(self, capability: int, *, first: int, count: int) -> CapabilityAnswer:
        """TPM2_GetCapability; the list is for the caller to decode."""
        parameters = Writer().u32(capability).u32(first).u32(count).done()
        reader = self.run(Command(code=CommandCode.GET_CAPABILITY, parameters=parameters)).reader()
        more, answered = reader.u8("moreData"), reader.u32("capability")
        if answered != capability:
            raise DecodeError("capability", expected=f"0x{capability:08x}", got=f"0x{answered:08x}")
        return CapabilityAnswer(more=bool(more), data=reader.rest())

    def handles(self, first: int) -> tuple[int, ...]:
        """Handles that exist, from `first` on and of its type (TPM_CAP_HANDLES).

        Loaded sessions are of one type for the question and of two in the answer, HMAC and policy, in one numbering (Part 3, 30.2).
        """
        found: list[int] = []
        while True:
            answer = self.get_capability(Capability.HANDLES, first=first, count=_HANDLES_AT_ONCE)
            reader = Reader(answer.data)
            handles = [reader.u32("handle") for _ in range(reader.u32("count of handles"))]
            reader.end("TPML_HANDLE")
            numbers = [(first & _HANDLE_NUMBER) - 1, *(handle & _HANDLE_NUMBER for handle in handles)]
            if numbers != sorted(set(numbers)) or not all(_is_of_type(first, handle) for handle in handles):
                raise DecodeError("TPML_HANDLE", expected=f"ascending from 0x{first:08x}", got="others")
            found += handles
            if not (answer.more and handles) or numbers[-1] == _HANDLE_NUMBER:
                return tuple(found)
            first = (first & ~_HANDLE_NUMBER) | (numbers[-1] + 1)

    def tpm_property(self, tag: int) -> int | None:
        """One TPM_PT value, or None where this TPM does not have it (TPM_CAP_TPM_PROPERTIES)."""
        answer = self.get_capability(Capability.TPM_PROPERTIES, first=tag, count=1)
        reader = Reader(answer.data)
        found = {
            reader.u32("property"): reader.u32("value") for _ in range(reader.u32("count of properties"))
        }
        return found.get(tag)

    def read_clock(self) -> TimeInfo:
        """TPM2_ReadClock: not signed, so only for the caller's own use."""
        reader = self.run(Command(code=CommandCode.READ_CLOCK)).reader()
        time = reader.u64("time")
        clock_info = ClockInfo.read(reader)
        reader.end("TPMS_TIME_INFO")
        return TimeInfo(time=time, clock_info=clock_info)

    def clear(self, hierarchy: int, *, auth: Authorization = EMPTY_PASSWORD) -> None:
        """TPM2_Clear by LOCKOUT or PLATFORM: ends everything below OWNER."""
        self.run(Command(code=CommandCode.CLEAR, subjects=[hierarchy], auths=[auth], new_auth_value=b""))

    def hierarchy_change_auth(
        self,
        hierarchy: int,
        *,
        new_auth_value: bytes,
        auth: Authorization = EMPTY_PASSWORD,
        protect: Session | None = None,
    ) -> None:
        """TPM2_HierarchyChangeAuth for OWNER, ENDORSEMENT, LOCKOUT or PLATFORM."""
        self.run(
            Command(
                code=CommandCode.HIERARCHY_CHANGE_AUTH,
                subjects=[hierarchy],
                parameters=tpm2b(new_auth_value),
                auths=[auth],
                protect=protect,
                new_auth_value=new_auth_value,
            )
        )

    def dictionary_attack_lock_reset(self, lockout: int, *, auth: Authorization = EMPTY_PASSWORD) -> None:
        """TPM2_DictionaryAttackLockReset."""
        self.run(Command(code=CommandCode.DICTIONARY_ATTACK_LOCK_RESET, subjects=[lockout], auths=[auth]))


def _is_of_type(first: int, handle: int) -> bool:
    """Whether a handle may answer a question from `first` on."""
    asked, found = first >> 24, handle >> 24
    return found == asked or (asked, found) == (_HMAC_SESSION, _POLICY_SESSION)
