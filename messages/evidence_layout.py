"""Evidence that is laid out as other evidence was.

Rule: this affirms or says nothing. Every check of `messages.evidence` is about headers, map keys and sizes, but for one:
that the token is printable text. Where headers and keys are those of a message that was accepted, octet by octet and at the
same places, only that one is left; what fails here is decoded, and refused with its own words.
"""

from dataclasses import dataclass
from typing import Self

from messages.evidence import TOKEN_SIZE_MAX, CertifiedStructure, EvidenceMessage
from standards.rats.cbor_layout import Layout


@dataclass(frozen=True, slots=True)
class EvidenceLayout:
    """The layout of one accepted message without an IMA list: how many certificates it has, and which registers of which banks."""

    layout: Layout
    certificates: int
    registers: tuple[tuple[int, tuple[int, ...]], ...]

    @classmethod
    def of(cls, encoded: bytes, message: EvidenceMessage) -> Self:
        """The layout of a message that was decoded from these bytes."""
        return cls(
            layout=Layout.of(encoded),
            certificates=len(message.pfc_chain),
            registers=tuple([(bank, tuple(values)) for bank, values in message.pcr_values.items()]),
        )

    def read(self, encoded: bytes) -> EvidenceMessage | None:
        """The message of these bytes; None where they are laid out otherwise, or their token is not what it should be."""
        strings = self.layout.strings(encoded)
        if strings is None:
            return None
        token, body, attest, signature, *rest = strings  # in the order of the map's keys
        text = _plain_text(token)
        if text is None:
            return None
        at = self.certificates
        values = {}
        for bank, indices in self.registers:
            values[bank] = dict(zip(indices, rest[at:], strict=False))
            at += len(indices)
        return EvidenceMessage(
            challenge_token=text,
            body=body,
            attest=attest,
            signature=signature,
            pfc_chain=tuple(rest[: self.certificates]),
            pcr_values=values,
            boot_log=rest[at],
            ima=None,
            storage_key=CertifiedStructure(public=rest[at + 1], attest=rest[at + 2], signature=rest[at + 3]),
            generation_counter=CertifiedStructure(
                public=rest[at + 4], attest=rest[at + 5], signature=rest[at + 6]
            ),
            ak_public=rest[at + 7],
        )


def _plain_text(token: bytes) -> str | None:
    """The token, where it is printable ASCII of the size of a token."""
    if not token.isascii() or not 0 < len(token) <= TOKEN_SIZE_MAX:
        return None
    text = token.decode("ascii")
    return text if text.isprintable() else None
