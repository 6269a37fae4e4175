"""Use case: a device registers with its operator through the DRF (step 7; R92).

Rule: the DRF carries a registration and its order token, and judges neither: the SHO does that, and the TRE. It keeps
which PCID registered which device where; the same registration again gets the same answer.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from messages.encoding import encode_deterministic
from operators.drf.refusals import RefusalCode, RefusalError


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationWish:
    """What a device sends: PfC chain (DER, leaf first) and TPMT_PUBLIC of its AK, for the SHO to judge."""

    pcid: str
    device_id: str
    sho: str
    pfc_chain: tuple[bytes, ...]
    ak_public: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the whole: whether the same registration comes again."""
        value = [
            "pva/registration/1",
            self.pcid,
            bytes.fromhex(self.device_id),
            self.sho,
            list(self.pfc_chain),
            self.ak_public,
        ]
        return hashlib.sha256(encode_deterministic(value)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationRecord:
    """A registration that the SHO answered with an order token."""

    pcid: str
    idempotency_key: str
    digest: bytes
    device_id: str
    sho: str
    order: str
    registered_at: datetime


class RegistrationStore(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def registration(self, pcid: str, idempotency_key: str) -> RegistrationRecord | None:
        """What a PCID registered under a key of its own."""

    def add_registration(self, record: RegistrationRecord) -> RegistrationRecord:
        """Add it with its audit leaf, or give the one that was first."""


class HomeOperators(Protocol):
    """The SHOs' operator listeners."""

    def register(self, wish: RegistrationWish) -> str:
        """Bring a registration to its SHO; the order token. Raises RefusalError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationDesk:
    """The use case and what it works with."""

    store: RegistrationStore
    operators: HomeOperators
    known: Collection[str]

    def register(self, wish: RegistrationWish, *, idempotency_key: str, at: datetime) -> str:
        """The order token for a device that has proven its attachment. Raises RefusalError."""
        # 1 the same again gets the same
        record = self.store.registration(wish.pcid, idempotency_key)
        if record is None:
            # 2 to the SHO, which answers repeats alike
            if wish.sho not in self.known:
                raise RefusalError(
                    RefusalCode.SHO_UNKNOWN, subject="sho", reason="this DRF does not work with that operator"
                )
            order = self.operators.register(wish)
            # 3 kept: which PCID registered which device where
            record = self.store.add_registration(
                RegistrationRecord(
                    pcid=wish.pcid,
                    idempotency_key=idempotency_key,
                    digest=wish.digest,
                    device_id=wish.device_id,
                    sho=wish.sho,
                    order=order,
                    registered_at=at,
                )
            )
        if record.digest != wish.digest:
            raise RefusalError(
                RefusalCode.IDEMPOTENCY_CONFLICT,
                subject="Idempotency-Key",
                reason="another registration was made under this key",
            )
        return record.order
