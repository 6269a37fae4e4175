"""Step 5 of a validation, the IMA list: replayed to the quoted PCR 10 (A22).

Rule: entries count as far as the replay reaches the signed value, and only those that were extended into PCR 10; what
follows is a tail that nobody has signed. What a proven entry says is read here, so that a list is either wholly
readable or refused; whether it is good is judged in the appraisal.
"""

from dataclasses import dataclass

from pva.refusals import RefusalCode, RefusalError
from standards.ima.decode import decode_binary_list
from standards.ima.entries import IMA_PCR, ImaList
from standards.ima.errors import ImaError
from standards.ima.measured import Measured, read_measured
from standards.ima.replay import Replayed, replayed_prefix, verify_template_digests
from standards.ima.templates import BUILT_IN

IMA_BANK = "sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaMeasurement:
    """A proven entry: its number in the boot's list, whether the kernel saw a violation, and what it says."""

    number: int
    violation: bool
    measured: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaMeasurements:
    """What the running kernel had measured into PCR 10 when it was quoted, in its order."""

    proven: tuple[ImaMeasurement, ...]

    @property
    def first(self) -> ImaMeasurement | None:
        """The first entry, None where nothing was measured."""
        return self.proven[0] if self.proven else None

    @property
    def violations(self) -> tuple[ImaMeasurement, ...]:
        """Files that could be changed while they were measured."""
        return tuple(each for each in self.proven if each.violation)


def replay_ima_log(data: bytes, *, quoted: bytes) -> ImaMeasurements:
    """Decode a binary list and replay it to the quoted value of PCR 10 (bank sha256).

    Raises RefusalError: malformed, an entry whose digest is not that of its data, or no prefix that reaches the quote.
    """
    try:
        entries = decode_binary_list(data)
        reached = replayed_prefix(entries, quoted, bank=IMA_BANK)
    except ImaError as error:
        raise _malformed(error) from None
    if reached is None:
        raise RefusalError(
            RefusalCode.IMA_LOG_MISMATCH,
            subject="IMA list",
            reason=f"none of its {len(entries)} entries ends at what the quote says of PCR {IMA_PCR}, {quoted.hex()}",
        )
    _verify_digests(entries, reached=reached)
    return _read(entries, reached=reached)


def _verify_digests(entries: ImaList, *, reached: Replayed) -> None:
    try:
        verify_template_digests(entries, up_to=reached.count)
    except ImaError as error:
        raise RefusalError(RefusalCode.IMA_LOG_MISMATCH, subject="IMA list", reason=str(error)) from None


def _read(entries: ImaList, *, reached: Replayed) -> ImaMeasurements:
    """Read every proven entry; those of other PCRs are not proven by this one."""
    try:
        _refuse_custom_templates(entries, reached=reached)
        proven = tuple(
            ImaMeasurement(number=each.number, violation=each.violation, measured=read_measured(each))
            for each in entries.entries(up_to=reached.count)
            if each.pcr == IMA_PCR
        )
    except ImaError as error:
        raise _malformed(error) from None
    return ImaMeasurements(proven=proven)


def _refuse_custom_templates(entries: ImaList, *, reached: Replayed) -> None:
    """The kernel's own templates agree on where digest and name stand; what a list calls its own format need not.

    A template's name is not hashed: whoever carries the list could have a measured buffer read as a digest.
    """
    own = set(BUILT_IN.values())
    for number, template in enumerate(entries.templates[: reached.count]):
        if template not in own:
            raise ImaError(
                what="template", expected="one of the kernel's own", got=template.name, entry=number
            )


def _malformed(error: ImaError) -> RefusalError:
    return RefusalError(RefusalCode.IMA_LOG_MALFORMED, subject="IMA list", reason=str(error))
