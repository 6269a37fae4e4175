"""States of updated platforms in the SHO's store: satisfies `operators.sho.spoken_states.SpokenStateStore` and `operators.sho.updates.UpdateStore`.

One row a device: the state that it showed last after an update, and the one that is to come; a later approval takes the place
of one that was not followed, as in the TRE.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from edge.database import transaction
from edge.serialization import repeated
from messages.encoding import decode_deterministic, encode_deterministic
from messages.pcr import decode_selections, encode_selections
from operators.sho import schema
from operators.sho.device_state_store import DeviceStates
from operators.sho.spoken_states import QuotedState, UpdatedPlatform
from operators.sho.updates import ApprovedUpdate

_SELECTIONS_BYTES_MAX = 1024


class PlatformStates(DeviceStates):
    """What updates that this operator approved made of each device."""

    @repeated
    def note_update(self, order_id: str, update: ApprovedUpdate, *, at: datetime) -> None:
        """See `operators.sho.updates.UpdateStore`."""
        table = schema.platform_states
        values = {
            "coming_selections": _encoded(update.state),
            "coming_digest": update.state.pcr_digest,
        }
        with transaction(self.engine) as connection:
            here = table.c.device_id == update.device_id
            if not connection.execute(sa.update(table).where(here).values(values)).rowcount:
                connection.execute(sa.insert(table).values(device_id=update.device_id, **values))
            record = {
                "manifest_digest": update.manifest_digest.hex(),
                "approvals": update.approvals,
                "pcr_digest": update.state.pcr_digest.hex(),
            }
            self.audit(connection, "update-approved", order_id, record, at=at)

    def updated_platform(self, device_id: str) -> UpdatedPlatform:
        """See `operators.sho.spoken_states.SpokenStateStore`."""
        table = schema.platform_states
        query = sa.select(table).where(table.c.device_id == device_id)
        with transaction(self.engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return UpdatedPlatform()
        return UpdatedPlatform(
            shown=_state_of(row["shown_selections"], row["shown_digest"]),
            shown_at=row["shown_at"],
            coming=_state_of(row["coming_selections"], row["coming_digest"]),
        )

    @repeated
    def state_shown(self, device_id: str, state: QuotedState, *, at: datetime) -> None:
        """See `operators.sho.spoken_states.SpokenStateStore`."""
        table = schema.platform_states
        is_to_come = sa.and_(
            table.c.device_id == device_id,
            table.c.coming_digest == state.pcr_digest,
            table.c.coming_selections == _encoded(state),
        )
        moved: dict[str, Any] = {
            "shown_selections": table.c.coming_selections,
            "shown_digest": table.c.coming_digest,
            "shown_at": at,
            "coming_selections": None,
            "coming_digest": None,
        }
        with transaction(self.engine) as connection:
            if connection.execute(sa.update(table).where(is_to_come).values(moved)).rowcount:
                record = {"pcr_digest": state.pcr_digest.hex()}
                self.audit(connection, "update-shown", device_id, record, at=at)


def _encoded(state: QuotedState) -> bytes:
    return encode_deterministic(encode_selections(state.pcr_selections))


def _state_of(selections: bytes | None, digest: bytes | None) -> QuotedState | None:
    if selections is None or digest is None:
        return None
    decoded = decode_deterministic(selections, bytes_max=_SELECTIONS_BYTES_MAX)
    return QuotedState(pcr_selections=decode_selections(decoded, what="stored registers"), pcr_digest=digest)
