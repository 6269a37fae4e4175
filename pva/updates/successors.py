"""Which manifests an update may lead a device to: those that follow the one it was accepted under. Pure.

Rule: a chain is read from the signed manifests, every time; only what administrators approved and nobody withdrew counts,
and only as far as the line is for the device's model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pva.appraisal.manifest_chain import ManifestChain


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSuccessors:
    """Satisfies `pva.updates.next_states.Successors`; `chain_of` gives the chain that begins with a manifest."""

    chain_of: Callable[[bytes], ManifestChain | None]

    def registers_after(
        self, accepted: bytes, *, manifest_digest: bytes, hw_type: str
    ) -> Mapping[int, Mapping[int, bytes]] | None:
        """See `pva.updates.next_states.Successors`."""
        chain = self.chain_of(accepted)
        if chain is None:
            return None
        for link in chain.for_model(hw_type).links[1:]:
            if link.digest == manifest_digest and link.approved and not link.retired:
                return link.manifest.platform.registers
        return None
