"""Step 5 of a validation, the IMA list: replayed to the quoted PCR 10 (A22).

Rule: entries count as far as the replay reaches the signed value, and only those that were extended into PCR 10; what
follows is a tail that nobody has signed. What a proven entry says is read here, so that a list is either wholly
readable or refused; whether it is good is judged in the appraisal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pva.refusals import RefusalCode, RefusalError
from standards.ima.decode import decode_binary_list
from standards.ima.entries import IMA_PCR, VIOLATION, ImaList
from standards.ima.errors import ImaError
from standards.ima.measured import Measured, other_data, read_measured
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
    """What the running kernel had measured into PCR 10 when it was quoted, in its order, as far as it came now.

    `entries` from number `entries.first` on, proven up to `reached.count`; `places` are those of PCR 10 among them.
    Every proven entry can be read; it is read when somebody asks for it.
    """

    entries: ImaList
    reached: Replayed
    places: Sequence[int]

    @property
    def whole(self) -> bool:
        """Whether the list came from its first entry on."""
        return self.entries.first == 0

    @property
    def first(self) -> ImaMeasurement | None:
        """The first entry that came, None where nothing was measured."""
        return self._at(self.places[0]) if self.places else None

    @property
    def violations(self) -> tuple[ImaMeasurement, ...]:
        """Files that could be changed while they were measured."""
        digests = self.entries.template_digests
        if VIOLATION not in digests:
            return ()
        return tuple(self._at(place) for place in self.places if digests[place] == VIOLATION)

    def unlike(self, usual: frozenset[bytes]) -> Iterator[ImaMeasurement]:
        """The entries whose template data are none of these."""
        data = self.entries.data
        for place in self.places:
            if data[place] not in usual:
                yield self._at(place)

    def _at(self, place: int) -> ImaMeasurement:
        entry = self.entries.entry(place)
        return ImaMeasurement(number=entry.number, violation=entry.violation, measured=read_measured(entry))


def replay_ima_log(data: bytes, *, quoted: bytes, start: Replayed | None = None) -> ImaMeasurements:
    """Decode a binary list and replay it to the quoted value of PCR 10 (bank sha256).

    `start` is how far the list of this boot was replayed before: then `data` are the entries since. Raises RefusalError:
    malformed, an entry whose digest is not that of its data, or no prefix that reaches the quote.
    """
    try:
        entries = decode_binary_list(data, first=0 if start is None else start.count)
        reached = replayed_prefix(entries, quoted, bank=IMA_BANK, start=start)
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
    """See that every proven entry can be read; those of other PCRs are not proven by this one."""
    count = reached.count - entries.first
    try:
        _refuse_custom_templates(entries, count=count)
        places = _places(entries.pcrs[:count])
        for place in other_data(entries, places):
            read_measured(entries.entry(place))
    except ImaError as error:
        raise _malformed(error) from None
    return ImaMeasurements(entries=entries, reached=reached, places=places)


def _places(pcrs: Sequence[int]) -> Sequence[int]:
    """Where PCR 10 is: mostly everywhere."""
    if pcrs.count(IMA_PCR) == len(pcrs):
        return range(len(pcrs))
    return [place for place, pcr in enumerate(pcrs) if pcr == IMA_PCR]


def _refuse_custom_templates(entries: ImaList, *, count: int) -> None:
    """The kernel's own templates agree on where digest and name stand; what a list calls its own format need not.

    A template's name is not hashed: whoever carries the list could have a measured buffer read as a digest.
    """
    used = {id(each): each for each in entries.templates[:count]}  # thousands of entries share a few objects
    for template in set(used.values()) - set(BUILT_IN.values()):
        number = entries.first + entries.templates.index(template)
        raise ImaError(what="template", expected="one of the kernel's own", got=template.name, entry=number)


def _malformed(error: ImaError) -> RefusalError:
    return RefusalError(RefusalCode.IMA_LOG_MALFORMED, subject="IMA list", reason=str(error))
