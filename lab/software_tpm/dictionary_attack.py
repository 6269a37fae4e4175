"""Dictionary-attack protection: wrong authValues are counted, and forgiven with time (Part 1, 19.11)."""

from dataclasses import replace

from lab.software_tpm.entities import is_nv_index, is_object
from lab.software_tpm.errors import AuthorizationError
from lab.software_tpm.machine import Machine
from lab.software_tpm.state import DictionaryAttack
from standards.tpm2.constants import Handle, NvAttributes

_MS_PER_S = 1000


def is_counted(machine: Machine, entity: int) -> bool:
    """Whether a wrong authValue for `entity` counts; hierarchies are never protected that way."""
    if is_object(entity):
        return machine.object(entity).dictionary_attack_protected
    if is_nv_index(entity):
        return not machine.state.nv[entity].has(NvAttributes.NO_DA)
    return False


def is_locked_out(machine: Machine, entity: int) -> bool:
    """Whether `entity` may not be tried now."""
    attack = forgive(machine.state.dictionary_attack, clock=machine.clock)
    if entity == Handle.LOCKOUT:
        return attack.lockout_disabled_until > machine.clock
    return attack.failed_tries >= attack.tries_max and is_counted(machine, entity)


def record_failure(machine: Machine, error: AuthorizationError) -> None:
    """Count a wrong authValue, which outlives the refused command."""
    attack = forgive(machine.state.dictionary_attack, clock=machine.clock)
    if error.lockout:
        disabled_until = machine.clock + _MS_PER_S * attack.lockout_recovery_s
        attack = replace(attack, lockout_disabled_until=disabled_until)
    elif error.counted:
        forgiven_at = attack.forgiven_at or machine.clock + _MS_PER_S * attack.recovery_s
        attack = replace(attack, failed_tries=attack.failed_tries + 1, forgiven_at=forgiven_at)
    else:
        return
    machine.state = replace(machine.state, dictionary_attack=attack)


def forgive(attack: DictionaryAttack, *, clock: int) -> DictionaryAttack:
    """One try less for every recovery time that has passed; `clock` in milliseconds."""
    while attack.failed_tries and attack.forgiven_at <= clock:
        remaining = attack.failed_tries - 1
        following = attack.forgiven_at + max(1, _MS_PER_S * attack.recovery_s)
        attack = replace(attack, failed_tries=remaining, forgiven_at=following if remaining else 0)
    return attack
