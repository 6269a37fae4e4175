"""What PCR values a log leads to (A18).

Rule: only digests are replayed, in the order of the log; EV_NO_ACTION is not extended; PCR 0 starts from the
startup locality. Whether a result equals a quoted value is for the caller to compare.
Source: TPM 2.0 Library Part 1, "PCR" (extend); PC Client Platform TPM Profile, "PCR Initial and Reset Values".
"""

from typing import Final

from standards.boot_log.algorithms import BANKS, BankAlgorithm
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import PCR_INDEX_MAX

_DYNAMIC_LAUNCH_PCRS: Final = range(17, 23)


def reset_value(pcr: int, bank: int) -> bytes:
    """Value of an untouched PCR after a TPM reset: ones in 17..22, zeros elsewhere (PCR 0: startup locality 0).

    Raises:
        BootLogError: no such PCR or bank.
    """
    size = _algorithm(bank).size
    if not 0 <= pcr <= PCR_INDEX_MAX:
        raise BootLogError(what="PCR", expected=f"0 to {PCR_INDEX_MAX}", got=str(pcr))
    return b"\xff" * size if pcr in _DYNAMIC_LAUNCH_PCRS else bytes(size)


def start_value(log: EventLog, *, pcr: int, bank: int) -> bytes:
    """Value that a PCR has before the first event of this log.

    A dynamic launch sets PCRs 17..22 to zeros before it extends them; untouched they keep their ones.
    """
    value = reset_value(pcr, bank)
    if pcr == 0:
        return value[:-1] + log.startup_locality.to_bytes(1, "big")
    if pcr in _DYNAMIC_LAUNCH_PCRS and log.extended_into(pcr):
        return bytes(len(value))
    return value


def replay(log: EventLog, *, bank: int) -> dict[int, bytes]:
    """Final value of every PCR that the log extends, and of PCR 0 where the startup locality alone moves it.

    Raises:
        BootLogError: the log has no digests for this bank.
    """
    algorithm = _algorithm(bank)
    if bank not in log.algorithms:
        listed = ", ".join(_name(other) for other in log.algorithms)
        raise BootLogError(what="algorithm list", expected=f"{algorithm.name} among them", got=listed)
    values: dict[int, bytes] = {}
    if log.startup_locality:
        values[0] = start_value(log, pcr=0, bank=bank)
    digest = algorithm.digest
    untouched = bytes(algorithm.size)
    for pcr, measured in log.measured(bank=bank).items():
        # a dynamic launch begins at zeros, and so does what a log extends everywhere else but in PCR 0
        value = values.get(pcr, untouched)
        for each in measured:
            value = digest(value + each)
        values[pcr] = value
    return dict(sorted(values.items()))


def _algorithm(bank: int) -> BankAlgorithm:
    algorithm = BANKS.get(bank)
    if algorithm is None:
        raise BootLogError(what="PCR bank", expected="a hash algorithm of a PCR bank", got=f"0x{bank:04x}")
    return algorithm


def _name(bank: int) -> str:
    return BANKS[bank].name if bank in BANKS else f"0x{bank:04x}"
