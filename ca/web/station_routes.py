"""The route by which a supplier carries the enrolment messages of a station that has no network."""

from base64 import b64decode, b64encode

from flask import Blueprint

from ca.stations import Stations
from ca.web.answer_models import StationPageAnswer
from ca.web.answers import caller
from ca.web.bodies import StationPage
from edge.operations import Told, answers, takes
from edge.principals import require
from messages.station import PAGE_BYTES_MAX, Part, StationMessage, StationRefusal


def station_routes(stations: Stations) -> Blueprint:
    """A page is a request of its own: whoever got no answer sends it again."""
    routes = Blueprint("stations", __name__)

    @routes.post("/v1/station-exchanges")
    @require("es")
    @takes(StationPage, bytes_max=PAGE_BYTES_MAX)
    @answers(StationPageAnswer)
    def exchange(body: StationPage) -> Told:
        """Answer enrolment messages of the caller's devices, each on its own."""
        page = [
            StationMessage(
                device_id=each.device_id,
                part=Part.ACTIVATION if each.request is None else Part.REQUEST,
                data=b64decode(each.request or each.activation or ""),
            )
            for each in body.messages
        ]
        return {"answers": [_told(each) for each in stations.exchange(page, caller=caller())]}

    return routes


def _told(answer: StationMessage) -> dict[str, object]:
    told: dict[str, object] = dict.fromkeys((Part.CHALLENGE, Part.RESULT, Part.REFUSED))
    if answer.part is Part.REFUSED:
        refusal = StationRefusal.decode(answer.data)
        told[Part.REFUSED] = {
            "code": refusal.code,
            "subject": refusal.subject,
            "reason": refusal.reason,
            "remedy": refusal.remedy,
        }
    else:
        told[answer.part] = b64encode(answer.data).decode("ascii")
    return {"device_id": answer.device_id, **{str(part): value for part, value in told.items()}}
