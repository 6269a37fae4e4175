"""Commands by which a TPM attests (Part 3, 18, 31); verification is in `standards.tpm2.attestation`."""

from collections.abc import Sequence
from dataclasses import dataclass

from standards.tpm2.commands.channel import PARAMETER_BYTES_MAX, Command, CommandChannel, Subject
from standards.tpm2.constants import Algorithm, CommandCode
from standards.tpm2.marshal import Reader, Writer, tpm2b
from standards.tpm2.sessions import EMPTY_PASSWORD, Authorization, Session
from standards.tpm2.structures import NvPublic, PcrSelection, Signature, encode_pcr_selections

_TWO_EMPTY_PASSWORDS = (EMPTY_PASSWORD, EMPTY_PASSWORD)
_KEYS_OWN_SCHEME = Writer().u16(Algorithm.NULL).done()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """TPMS_ATTEST and TPMT_SIGNATURE as the TPM gave them: evidence, not yet verified."""

    attest: bytes
    signature: bytes


class AttestationCommands(CommandChannel):
    """The typed commands of this file; the signing key's own scheme is used."""

    def quote(
        self,
        ak: Subject,
        *,
        extra_data: bytes,
        selection: Sequence[PcrSelection],
        auth: Authorization = EMPTY_PASSWORD,
        protect: Session | None = None,
    ) -> Attestation:
        """TPM2_Quote."""
        selections = encode_pcr_selections(tuple(selection))
        command = Command(
            code=CommandCode.QUOTE,
            subjects=[ak],
            parameters=tpm2b(extra_data) + _KEYS_OWN_SCHEME + selections,
            auths=[auth],
            protect=protect,
        )
        return _attestation(self.run(command).reader())

    def certify(
        self,
        subject: Subject,
        *,
        ak: Subject,
        extra_data: bytes,
        auths: tuple[Authorization, Authorization] = _TWO_EMPTY_PASSWORDS,
        protect: Session | None = None,
    ) -> Attestation:
        """TPM2_Certify: the AK says that `subject` is in its TPM; `auths` of subject and AK."""
        command = Command(
            code=CommandCode.CERTIFY,
            subjects=[subject, ak],
            parameters=tpm2b(extra_data) + _KEYS_OWN_SCHEME,
            auths=auths,
            protect=protect,
        )
        return _attestation(self.run(command).reader())

    def nv_certify(
        self,
        index: NvPublic,
        *,
        ak: Subject,
        extra_data: bytes,
        auths: tuple[Authorization, Authorization] = _TWO_EMPTY_PASSWORDS,
        protect: Session | None = None,
    ) -> Attestation:
        """TPM2_NV_Certify of the whole index by its own authValue; `auths` of AK and index."""
        command = Command(
            code=CommandCode.NV_CERTIFY,
            subjects=[ak, index, index],
            parameters=Writer().tpm2b(extra_data).raw(_KEYS_OWN_SCHEME).u16(index.data_size).u16(0).done(),
            auths=auths,
            protect=protect,
        )
        return _attestation(self.run(command).reader())


def _attestation(reader: Reader) -> Attestation:
    attest = reader.tpm2b(PARAMETER_BYTES_MAX, "TPM2B_ATTEST")
    signature = Signature.read(reader).encode()
    reader.end("response of an attestation command")
    return Attestation(attest=attest, signature=signature)
