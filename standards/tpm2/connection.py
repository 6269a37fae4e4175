"""TpmConnection: every command of this codec over one transmit callable (D10).

One rule: sans-I/O. Whoever opens the device or the socket passes `transmit`, which takes a whole command and
returns a whole response; the connection adds framing, sessions and checks, and keeps nothing of the TPM's
state. Handles are the caller's to flush: a TPM without a resource manager has three transient slots.
"""

from standards.tpm2.commands.attestations import AttestationCommands
from standards.tpm2.commands.lifecycle import LifecycleCommands
from standards.tpm2.commands.nv import NvCommands
from standards.tpm2.commands.objects import ObjectCommands
from standards.tpm2.commands.policies import PolicyCommands
from standards.tpm2.commands.registers import RegisterCommands
from standards.tpm2.commands.session_control import SessionCommands


class TpmConnection(
    LifecycleCommands,
    SessionCommands,
    ObjectCommands,
    AttestationCommands,
    RegisterCommands,
    NvCommands,
    PolicyCommands,
):
    """The typed commands of the TPM 2.0 Library that the project uses, one method each."""
