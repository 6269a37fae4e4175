"""Whose order a device asks about: the SHO that authorised something here for both, and nobody else.

Rule: an order has one owner for ever. In a change of operator the device has two orders of two owners, each asked about its
own; the authorisation of the new one names the prior owner.
"""

from typing import Protocol

from operators.dpf.records import AuthorizationRecord
from operators.dpf.refusals import RefusalCode, RefusalError


class Authorizations(Protocol):
    """What is needed of a store."""

    def newest_authorization(self, device_id: str, order_digest: bytes) -> AuthorizationRecord | None:
        """The newest authorisation for a device and an order."""


def owner_of(store: Authorizations, device_id: str, order_digest: bytes) -> str:
    """Id of the SHO. Raises RefusalError."""
    found = store.newest_authorization(device_id, order_digest)
    if found is None:
        raise RefusalError(
            RefusalCode.NOTHING_AUTHORIZED,
            subject=f"order {order_digest.hex()}",
            reason="no SHO has authorised anything here for this device and order",
        )
    return found.sho
