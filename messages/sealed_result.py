"""What a relay carries back: the result of a validation and its refused tries, for the signer's eyes only (D12).

Rule: the relay learns pass or fail from the PVA and nothing from this; it is encrypted to the key of the certificate
that the signer put into its own request. It proves nothing: the result inside is believed for its own signature.
Source: RFC 7516 and RFC 7518 section 4.6 (compact JWE, ECDH-ES+A256KW, A256GCM).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from messages.errors import MessageError, refusal
from standards.rats.fields import Fields

ALGORITHM: Final = "ECDH-ES+A256KW"
ENCRYPTION: Final = "A256GCM"
SEALED_BYTES_MAX: Final = 1 << 20
_RESULT_MAX: Final = 1 << 18
_REFUSALS_MAX: Final = 1_000


class _Registry(jwe.JWERegistry):
    """The size is limited before anything is parsed."""

    max_ciphertext_length = SEALED_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedResult:
    """The signed `result` (JWT), None where the request ended without one, and the `refusals` as JSON objects."""

    result: str | None
    refusals: Sequence[Mapping[str, Any]]


def seal_result(sealed: SealedResult, *, to: EllipticCurvePublicKey) -> str:
    """A compact JWE that only the holder of the P-256 key `to` can open. Raises MessageError for another key."""
    content: dict[str, Any] = {"refusals": [dict(each) for each in sealed.refusals]}
    if sealed.result is not None:
        content["result"] = sealed.result
    _check_curve(to)
    return jwe.encrypt_compact(
        {"alg": ALGORITHM, "enc": ENCRYPTION},
        json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode(),
        ECKey(to, to),
        registry=_Registry(algorithms=[ALGORITHM, ENCRYPTION]),
    )


def open_sealed_result(token: str, *, key: EllipticCurvePrivateKey) -> SealedResult:
    """What a relay brought back; the result's signature is NOT verified here. Raises MessageError."""
    if len(token) > SEALED_BYTES_MAX or not token.isascii():
        raise MessageError(
            what="sealed result", expected=f"at most {SEALED_BYTES_MAX} characters of ASCII", got="others"
        )
    _check_curve(key.public_key())
    try:
        opened = jwe.decrypt_compact(
            token, ECKey(key, key), registry=_Registry(algorithms=[ALGORITHM, ENCRYPTION])
        )
        content = json.loads((opened.plaintext or b"").decode("utf-8"))
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        got = type(error).__name__
        raise MessageError(what="sealed result", expected="a JWE for this key", got=got) from None
    fields = Fields(content, what="sealed result", refusal=refusal)
    sealed = SealedResult(
        result=fields.text("result", size_max=_RESULT_MAX) if "result" in fields else None,
        refusals=[dict(each) for each in _objects(fields.items("refusals", size_max=_REFUSALS_MAX))],
    )
    fields.close()
    return sealed


def _objects(values: list[Any]) -> list[Mapping[str, Any]]:
    if not all(isinstance(each, dict) for each in values):
        raise MessageError(what="sealed result.refusals", expected="objects", got="others")
    return values


def _check_curve(key: EllipticCurvePublicKey) -> None:
    if not isinstance(key.curve, SECP256R1):
        raise MessageError(what="key that results are sealed for", expected="P-256", got=key.curve.name)
