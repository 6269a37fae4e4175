"""What the network's roles have on record themselves, read in their own houses: bytes of bearers, owners of MIDs.

Rule: only the role itself can see this; the stories compare it with what the device has had.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from edge.database import engine_for, transaction
from lab.identities import DPF, VNO
from lab.services import Services
from operators.dpf import schema as dpf_schema
from operators.vno import schema as vno_schema


def carried_bytes(services: Services, identity: str) -> tuple[str, int]:
    """Id of the bearer that a PCID or IMSI has now, and what it has carried, both directions. Raises LookupError."""
    table = vno_schema.bearers
    found = _rows(services, VNO, sa.select(table.c.id, table.c.used_bytes).where(table.c.pcid == identity))
    if not found:
        raise LookupError(f"{identity} has no bearer")
    return str(found[0]["id"]), int(found[0]["used_bytes"])


def prior_owners(services: Services, device_id: str) -> dict[str, str]:
    """Operators whose MIDs this DPF has delivered to a device, each with whose MID it was to replace."""
    table = dpf_schema.authorizations
    query = sa.select(table.c.sho, table.c.prior_owner).where(
        table.c.device_id == device_id, table.c.status == "installed"
    )
    return {row["sho"]: row["prior_owner"] or "nobody" for row in _rows(services, DPF, query)}


def _rows(services: Services, role: str, query: "sa.Select[Any]") -> Sequence[sa.RowMapping]:
    engine = engine_for(f"sqlite:///{services.site.role(role) / f'{role}.sqlite'}")
    with transaction(engine, write=False) as connection:
        found = connection.execute(query).mappings().all()
    engine.dispose()
    return found
