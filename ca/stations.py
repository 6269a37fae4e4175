"""A factory station that is offline for a day: enrolment messages that a supplier carries in files (R25, R78, R80).

The one rule: the trust does not change. Each message goes the way of one that a device sends itself (`ca.enrollment`), and
is refused on its own: what is wrong with it touches no other one of the page.

    1 page of messages   first and second ones, of the caller's own devices, each device once
    2 each by itself     its own transactions -> challenge, result, or refusal with reason and remedy

A page is safe to send again: an activation gets the same answer, a request a new challenge in place of the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ca.callers import Caller
from ca.enrollment import Carrier, Enrollment, note_refusal
from ca.errors import ConcurrentChangeError, RefusedError
from ca.races import repeated
from messages.station import ANSWERS, Part, StationMessage, StationRefusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stations:
    """The use case."""

    enrollment: Enrollment

    def exchange(self, page: Sequence[StationMessage], *, caller: Caller) -> list[StationMessage]:
        """The answer to each message, in their order, for the supplier that the caller speaks for.

        Raises ConcurrentChangeError where the store gives no message its turn; what was answered before stands.
        """
        return [self._answered(each, caller=caller) for each in page]

    def _answered(self, message: StationMessage, *, caller: Caller) -> StationMessage:
        carrier = Carrier(supplier=caller.tenant, by=caller.name, device_id=message.device_id)
        try:
            answer = self._carried(message, carrier=carrier)
        except ConcurrentChangeError:
            raise  # it says nothing of the message
        except RefusedError as refusal:
            self._note(refusal, carrier=carrier)
            part, answer = Part.REFUSED, _told(refusal)
        else:
            part = ANSWERS[message.part]
        return StationMessage(device_id=message.device_id, part=part, data=answer)

    def _carried(self, message: StationMessage, *, carrier: Carrier) -> bytes:
        if message.part is Part.REQUEST:
            return self.enrollment.begin(message.data, carrier=carrier).encode()
        return self.enrollment.activate(message.data, carrier=carrier).encode()

    @repeated
    def _note(self, refusal: RefusedError, *, carrier: Carrier) -> None:
        """Put on record what was refused before a session was known; the rest is on record already."""
        with self.enrollment.store.writing() as records:
            note_refusal(
                records, refusal, device_id=carrier.device_id, carrier=carrier, at=self.enrollment.clock()
            )


def _told(refusal: RefusedError) -> bytes:
    return StationRefusal(
        code=refusal.reason, subject=refusal.subject, reason=refusal.detail, remedy=refusal.remedy
    ).encode()
