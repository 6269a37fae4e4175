"""Why a compartment of the vault does not open, in the words that a person gets."""

from m2me_agent.tre.errors import RollbackError, StateRefusedError, VaultError
from m2me_agent.tre.vault_record import Compartment


def older(visible: Compartment, *, counter: int) -> RollbackError:
    """Its file is not the one that its counter counts."""
    return RollbackError(
        subject=f"compartment of {visible.sho}",
        reason=f"expected version {counter}, got {visible.version}",
        remedy="restore the newest file; an older one is never taken",
    )


def altered(sho: str, reason: str) -> VaultError:
    """Its file is not what this TRE wrote."""
    return VaultError(
        subject=f"compartment of {sho}",
        reason=reason,
        remedy="restore the newest file; else have the operator order the subscription anew",
    )


def without_approval(sho: str) -> StateRefusedError:
    """There is nothing that the TPM could be shown."""
    return StateRefusedError(
        subject=f"compartment of {sho}",
        reason="no approval is for the present generation of this device",
        remedy="have the operator send approvals for it, or validate this device again",
    )
