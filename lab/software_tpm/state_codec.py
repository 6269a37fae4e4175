"""The state as bytes: deterministic CBOR, versioned, refused whole when anything in it is not as written."""

from collections.abc import Mapping
from typing import Any

import cbor2

from lab.software_tpm.errors import SoftwareTpmError
from lab.software_tpm.objects import Sensitive, TpmObject
from lab.software_tpm.state import DictionaryAttack, Hierarchy, NvIndex, PrimaryRsaKey, State
from standards.tpm2.errors import Tpm2Error
from standards.tpm2.structures import NvPublic, Public

_VERSION = 1


class StateCodecError(SoftwareTpmError):
    """Bytes that are no state of this version."""


def encode_state(state: State) -> bytes:
    """The state as bytes."""
    attack = state.dictionary_attack
    return cbor2.dumps(
        {
            "version": _VERSION,
            "hierarchies": {
                handle: [kept.seed, kept.proof, kept.auth_value] for handle, kept in state.hierarchies.items()
            },
            "lockout_auth": state.lockout_auth,
            "persistent": {handle: _encode_object(kept) for handle, kept in state.persistent.items()},
            "nv": [[kept.public.encode(), kept.auth_value, kept.contents] for kept in state.nv.values()],
            "primary_rsa_keys": {
                digest: [key.hierarchy, key.modulus, key.prime]
                for digest, key in state.primary_rsa_keys.items()
            },
            "counter_max": state.counter_max,
            "reset_count": state.reset_count,
            "clock": state.clock,
            "orderly": state.orderly,
            "dictionary_attack": [
                attack.failed_tries,
                attack.forgiven_at,
                attack.tries_max,
                attack.recovery_s,
                attack.lockout_recovery_s,
                attack.lockout_disabled_until,
            ],
        },
        canonical=True,
    )


def decode_state(data: bytes) -> State:
    """The state out of bytes of `encode_state`; StateCodecError for any others."""
    try:
        fields = cbor2.loads(data)
        if fields["version"] != _VERSION:
            raise StateCodecError(f"expected version {_VERSION}")
        return _state(fields)
    except (cbor2.CBORDecodeError, Tpm2Error, KeyError, ValueError, TypeError, AttributeError) as error:
        raise StateCodecError(f"expected a state of version {_VERSION}: {type(error).__name__}") from error


def _state(fields: Mapping[str, Any]) -> State:
    indices = [_decode_index(kept) for kept in fields["nv"]]
    return State(
        hierarchies={
            int(handle): Hierarchy(seed=bytes(seed), proof=bytes(proof), auth_value=bytes(auth_value))
            for handle, (seed, proof, auth_value) in fields["hierarchies"].items()
        },
        lockout_auth=bytes(fields["lockout_auth"]),
        persistent={int(handle): _decode_object(kept) for handle, kept in fields["persistent"].items()},
        nv={index.public.index: index for index in indices},
        primary_rsa_keys={
            bytes(digest): PrimaryRsaKey(hierarchy=int(hierarchy), modulus=bytes(modulus), prime=bytes(prime))
            for digest, (hierarchy, modulus, prime) in fields["primary_rsa_keys"].items()
        },
        counter_max=int(fields["counter_max"]),
        reset_count=int(fields["reset_count"]),
        clock=int(fields["clock"]),
        orderly=bool(fields["orderly"]),
        dictionary_attack=_decode_attack(fields["dictionary_attack"]),
    )


def _decode_attack(numbers: list[int]) -> DictionaryAttack:
    failed, forgiven_at, tries_max, recovery, lockout_recovery, disabled_until = map(int, numbers)
    return DictionaryAttack(
        failed_tries=failed,
        forgiven_at=forgiven_at,
        tries_max=tries_max,
        recovery_s=recovery,
        lockout_recovery_s=lockout_recovery,
        lockout_disabled_until=disabled_until,
    )


def _encode_object(kept: TpmObject) -> list[Any]:
    sensitive = kept.sensitive.encode() if kept.sensitive else b""
    return [kept.hierarchy, kept.qualified_name, kept.public.encode(), sensitive]


def _decode_object(fields: list[Any]) -> TpmObject:
    hierarchy, qualified_name, encoded_public, encoded_sensitive = fields
    public = Public.decode(bytes(encoded_public))
    return TpmObject(
        public=public,
        name=public.name,
        qualified_name=bytes(qualified_name),
        hierarchy=int(hierarchy),
        sensitive=Sensitive.decode(bytes(encoded_sensitive)),
    )


def _decode_index(fields: list[Any]) -> NvIndex:
    public, auth_value, contents = map(bytes, fields)
    return NvIndex(public=NvPublic.decode(public), auth_value=auth_value, contents=contents)
