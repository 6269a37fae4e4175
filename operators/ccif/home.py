"""The ICF behind the CCIF: every subscriber gets the same terms, those of the settings."""

from dataclasses import dataclass

from clients.icf import BearerTerms, IcfClient
from standards.aka.milenage import MilenageKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Hands subscribers over; satisfies `operators.ccif.connectivity.HomeNetwork`."""

    icf: IcfClient
    amf: bytes
    bearer: BearerTerms

    def take_subscriber(self, pcid: str, *, key: MilenageKey) -> None:
        """Hand over one subscriber; raises HttpError, UnreachableError."""
        self.icf.put_subscriber(pcid, key=key, amf=self.amf, bearer=self.bearer)
