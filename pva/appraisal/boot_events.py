"""Step 5 of a validation: the logs. The event log is replayed to exactly the PCR values that were quoted (A17, A18).

Rule: an event counts only because all events together reach the signed values; until then the log is text that
anybody may have written. Payloads of events are not judged here (A19 is `standards.boot_log.measured_payload`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from messages.evidence import EvidenceMessage
from pva.appraisal.ima_log import ImaMeasurements, replay_ima_log
from pva.appraisal.known_logs import KnownLogs, ReplayedLog, replay_log
from pva.appraisal.quote import PlatformQuote
from pva.refusals import RefusalCode, RefusalError
from standards.boot_log.algorithms import BANKS, SHA1
from standards.boot_log.boot_chain import boot_chain
from standards.boot_log.boot_chain_facts import BootChain, ChainLink, Component
from standards.boot_log.describe import describe
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog, LogFormat
from standards.boot_log.events import Event
from standards.boot_log.measured import KERNEL_COMMAND_LINE_PCR
from standards.boot_log.prediction import SECTION_PCR
from standards.boot_log.replay import reset_value
from standards.boot_log.secure_boot import SECURE_BOOT_PCR, secure_boot_facts
from standards.boot_log.secure_boot_facts import SecureBootFacts
from standards.ima.replay import Replayed
from standards.rats.ear import Cause

TRE_IMAGE_PARAMETER = "pva.tre="


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEvents:
    """A log that reaches every quoted PCR in every quoted bank (bank -> index -> value).

    `command_lines` is, by bank, what the log calls the kernel's command line: its parameters. `logged` is False where no log came: the values are then all that is known of the boot. `ima` is what the kernel has measured since, where its list came with a quote over PCR 10.
    `read_secure_boot` is what the log says about Secure Boot, `read_boot_chain` about the boot chain, by bank, read when it is
    first asked for; a known log brings its own.
    """

    log: EventLog
    quoted: Mapping[int, Mapping[int, bytes]]
    ima: ImaMeasurements | None = None
    logged: bool = True
    command_lines: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    read_secure_boot: dict[int, SecureBootFacts] = field(default_factory=dict, compare=False, repr=False)
    read_boot_chain: dict[int, BootChain] = field(default_factory=dict, compare=False, repr=False)

    def of_pcr(self, pcr: int, *, bank: int) -> tuple[Event, ...]:
        """The events that led to a quoted PCR, in their order; none for a PCR that was not quoted."""
        return self.log.extended_into(pcr) if pcr in self.quoted.get(bank, {}) else ()

    def boot_chain(self, *, bank: int) -> tuple[ChainLink, ...]:
        """What ran between firmware and kernel, as far as its registers were quoted; names are hints."""
        quoted = self.quoted.get(bank, {})
        chain = self.read_boot_chain.get(bank)
        if chain is None:
            chain = self.read_boot_chain[bank] = boot_chain(self.log, bank=bank)
        return tuple([link for link in chain.links if link.pcr in quoted])

    def secure_boot(self, *, bank: int) -> SecureBootFacts | None:
        """What PCR 7 says about Secure Boot; None where it was not quoted, or no log came. PCR 14 counts only where it was quoted."""
        quoted = self.quoted.get(bank, {})
        if SECURE_BOOT_PCR not in quoted or not self.logged:
            return None
        facts = self.read_secure_boot.get(bank)
        if facts is None:
            facts = self.read_secure_boot[bank] = secure_boot_facts(self.log, bank=bank)
        mok = tuple([each for each in facts.mok if each.pcr in quoted])
        return facts if len(mok) == len(facts.mok) else replace(facts, mok=mok)

    def tre_images(self, *, bank: int) -> tuple[str, ...]:
        """Every TRE image that the measured kernel command line names, as written; none where PCR 8 is not quoted.

        That the text *is* the command line follows only when PCR 8 has its reference value.
        """
        if KERNEL_COMMAND_LINE_PCR not in self.quoted.get(bank, {}):
            return ()
        return tuple(
            [
                each.removeprefix(TRE_IMAGE_PARAMETER)
                for each in self.command_lines.get(bank, ())
                if each.startswith(TRE_IMAGE_PARAMETER)
            ]
        )

    def has_unified_command_line(self, *, bank: int) -> bool:
        """Whether the log says that the kernel's command line is a section of a unified image, and PCR 11 was quoted."""
        if SECTION_PCR not in self.quoted.get(bank, {}) or not self.log.extended_into(SECTION_PCR):
            return False
        return any(
            link.pcr == SECTION_PCR and link.component is Component.COMMAND_LINE
            for link in self.boot_chain(bank=bank)
        )


def cause_of(event: Event) -> Cause:
    """An event of the boot log as the cause of a finding; its description is for people."""
    described = describe(event).removeprefix(event.type_name).strip()
    return Cause(
        register=event.pcr,
        number=event.number,
        type=event.type_name[:64],
        description=described or "without data",
    )


def replay_logs(
    message: EvidenceMessage,
    *,
    quote: PlatformQuote,
    known: KnownLogs | None = None,
    ima_start: Replayed | None = None,
) -> BootEvents:
    """The logs of an exchange, replayed to its quotes; `known` logs are not replayed again, `ima_start` is where the list goes on.

    Raises RefusalError.
    """
    if message.boot_log:
        boot = replay_boot_log(message.boot_log, quoted=quote.pcr_values, known=known)
    else:
        boot = registers_alone(quote.pcr_values)
    if message.ima is None or quote.ima_pcr is None:
        return boot
    return replace(boot, ima=replay_ima_log(message.ima.log, quoted=quote.ima_pcr, start=ima_start))


def registers_alone(quoted: Mapping[int, Mapping[int, bytes]]) -> BootEvents:
    """The boot of a machine that sent no log; whether its manifest lets it do without one is judged elsewhere.

    Raises RefusalError: the values are of the bank sha1.
    """
    log = _no_events(tuple(quoted))
    _refuse_sha1(log, quoted=quoted)
    return BootEvents(log=log, quoted=quoted, logged=False)


@lru_cache(maxsize=16)
def _no_events(banks: tuple[int, ...]) -> EventLog:
    """The log of a machine that has none, by the banks that were quoted."""
    return EventLog(algorithms=banks, events=(), crypto_agile=True, header=b"")


def replay_boot_log(
    data: bytes, *, quoted: Mapping[int, Mapping[int, bytes]], known: KnownLogs | None = None
) -> BootEvents:
    """Decode the log and replay it to the quoted values (bank -> index -> value).

    Raises RefusalError: malformed, SHA-1 only, lacks a quoted bank, or does not reach a quoted PCR.
    """
    banks = tuple(sorted(quoted))
    try:
        found = replay_log(data, banks=banks) if known is None else known.replayed(data, banks=banks)
        _refuse_sha1(found.log, quoted=quoted)
        _refuse_missing_banks(found, banks=banks)
    except BootLogError as error:
        raise RefusalError(RefusalCode.BOOT_LOG_MALFORMED, subject="boot log", reason=str(error)) from None
    for bank, values in quoted.items():
        of_bank = found.values[bank]
        for pcr, value in values.items():
            reached = of_bank[pcr] if pcr in of_bank else reset_value(pcr, bank=bank)
            if reached != value:
                raise RefusalError(
                    RefusalCode.BOOT_LOG_MISMATCH,
                    subject=f"boot log, PCR {pcr} of bank {BANKS[bank].name}",
                    reason=f"its events end at {reached.hex()}, the quote says {value.hex()}",
                )
    return BootEvents(
        log=found.log,
        quoted=quoted,
        command_lines=found.command_lines,
        read_secure_boot=found.secure_boot,
        read_boot_chain=found.boot_chain,
    )


def _refuse_missing_banks(found: ReplayedLog, *, banks: tuple[int, ...]) -> None:
    missing = [BANKS[bank].name for bank in banks if bank not in found.values]
    if missing:
        listed = ", ".join(BANKS[each].name if each in BANKS else hex(each) for each in found.log.algorithms)
        raise BootLogError(what="algorithm list", expected=f"{', '.join(missing)} among them", got=listed)


def _refuse_sha1(log: EventLog, *, quoted: Mapping[int, Mapping[int, bytes]]) -> None:
    """Collisions in SHA-1 can be made: neither its log format nor its bank leads to a verdict, whatever was asked."""
    if not log.crypto_agile or SHA1 in quoted:
        what = "a quote of the bank sha1" if log.crypto_agile else f"a log in the format {log.format}"
        raise RefusalError(
            RefusalCode.BOOT_LOG_LEGACY,
            subject="boot log",
            reason=f"expected the {LogFormat.CRYPTO_AGILE} format and a bank of SHA-256 or better, got {what}",
        )
