"""What boot logs replay to, remembered by their octets.

Rule: a replay depends on nothing but the log, and is no word on any quote.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pva.appraisal.kept import Kept
from standards.boot_log.boot_chain_facts import BootChain
from standards.boot_log.decode import decode_event_log
from standards.boot_log.event_log import EventLog
from standards.boot_log.measured import kernel_command_line
from standards.boot_log.replay import replay
from standards.boot_log.secure_boot_facts import SecureBootFacts

LOG_BYTES_MAX = 1 << 24
"""Bytes of boot logs whose replay is kept, together; their values take a few times that."""
LOGS_OF_A_SIZE_MAX = 16
"""Logs of one size whose replay is kept."""
_PARAMETER = re.compile(r"""(?:[^\s"]|"[^"]*"?)+""")
"""A kernel parameter: double quotes protect white space (Linux, `next_arg`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedLog:
    """A decoded boot log and the PCR values that it leads to (bank -> index -> value); no word on any quote.

    `command_lines`, by bank, is what the log calls the kernel's command line, where a digest covers it: its parameters.
    `secure_boot` and `boot_chain`, by bank, are filled when they are first asked for.
    """

    log: EventLog
    values: Mapping[int, Mapping[int, bytes]]
    command_lines: Mapping[int, tuple[str, ...]]
    secure_boot: dict[int, SecureBootFacts] = field(default_factory=dict, compare=False, repr=False)
    boot_chain: dict[int, BootChain] = field(default_factory=dict, compare=False, repr=False)


def replay_log(data: bytes, *, banks: Sequence[int]) -> ReplayedLog:
    """Decode a log and replay it in those of the banks that it has digests for. Raises BootLogError: malformed."""
    log = decode_event_log(data)
    listed = [bank for bank in banks if bank in log.algorithms]
    return ReplayedLog(
        log=log,
        values={bank: replay(log, bank=bank) for bank in listed},
        command_lines={bank: _parameters(kernel_command_line(log, bank=bank)) for bank in listed},
    )


def _parameters(command_line: str | None) -> tuple[str, ...]:
    return tuple(_PARAMETER.findall(command_line or ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class _KnownLog:
    data: bytes
    replayed: ReplayedLog


class KnownLogs:
    """Replays of boot logs: a fleet boots the same few. They are found by size, and compared octet by octet."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._kept: Kept[tuple[int, tuple[int, ...]], tuple[_KnownLog, ...]] = Kept(weight_max=LOG_BYTES_MAX)

    def __len__(self) -> int:
        """How many replays are held."""
        return sum(map(len, self._kept.values()))

    def replayed(self, data: bytes, *, banks: tuple[int, ...]) -> ReplayedLog:
        """As `replay_log`."""
        key = (len(data), banks)
        known = self._kept.get(key) or ()
        for each in known:
            if each.data == data:
                return each.replayed
        replayed = replay_log(data, banks=banks)
        held = (_KnownLog(data=data, replayed=replayed), *known)[: _held_of_size(len(data))]
        self._kept.put(key, held, weight=len(data) * len(held))
        return replayed


def _held_of_size(size: int) -> int:
    """How many logs of one size are held: with less than a quarter of the room (`Kept`), and always one."""
    return min(LOGS_OF_A_SIZE_MAX, max(1, LOG_BYTES_MAX // 4 // max(1, size)))
