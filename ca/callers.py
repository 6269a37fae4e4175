"""Who asks, as far as the use cases care: for tenant scope and for the record."""

from dataclasses import dataclass

from ca.errors import NotPermittedError

ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated principal: `tenant` is the supplier that a caller with the role `es` speaks for."""

    name: str
    role: str
    tenant: str

    def speak_for(self, supplier: str | None, *, subject: str) -> None:
        """Raise NotPermittedError unless the caller is an administrator or the supplier itself.

        None is nobody's but the administrators'.
        """
        if self.role == ADMIN or (self.role == "es" and self.tenant == supplier):
            return
        raise NotPermittedError(
            "another-supplier",
            subject=subject,
            detail=f"it is not a matter of the supplier {self.tenant!r}, for which {self.name} speaks",
            remedy="use the certificate of the supplier that it belongs to, or ask an administrator",
        )
