"""Commands on objects: making, loading, importing, opening and activating them (Part 3, 12, 13, 20, 24, 28).

One rule: the Name that a response claims is compared with the one recomputed from its public area.
"""

from dataclasses import dataclass

from standards.tpm2.commands.channel import PARAMETER_BYTES_MAX, Command, CommandChannel, Subject
from standards.tpm2.constants import (
    NAME_BYTES_MAX,
    Algorithm,
    CommandCode,
    Handle,
    StructureTag,
)
from standards.tpm2.credential import Credential
from standards.tpm2.errors import DecodeError
from standards.tpm2.import_blob import ImportBlob
from standards.tpm2.marshal import Reader, Writer, tpm2b
from standards.tpm2.sessions import EMPTY_PASSWORD, Authorization, Session
from standards.tpm2.structures import PcrSelection, Public, Signature, Ticket, encode_pcr_selections

_PUBLIC_BYTES_MAX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmObject:
    """An object in the TPM: its handle, and the public area that the caller knows it by."""

    handle: int
    public: Public

    @property
    def name(self) -> bytes:
        """Name of the object, recomputed."""
        return self.public.name


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object outside the TPM: `private` (content of TPM2B_PRIVATE) is encrypted for its parent."""

    public: Public
    private: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectNames:
    """What TPM2_ReadPublic says; nothing in it is authenticated unless a session protects the command."""

    public: Public
    qualified_name: bytes


class ObjectCommands(CommandChannel):
    """The typed commands of this file."""

    def create_primary(
        self,
        hierarchy: int,
        *,
        template: Public,
        auth_value: bytes = b"",
        auth: Authorization = EMPTY_PASSWORD,
        protect: Session | None = None,
    ) -> TpmObject:
        """TPM2_CreatePrimary: a transient object; the same template gives the same key again."""
        command = Command(
            code=CommandCode.CREATE_PRIMARY,
            subjects=[hierarchy],
            parameters=_creation(template, auth_value, b""),
            auths=[auth],
            protect=protect,
        )
        response = self.run(command)
        reader = response.reader()
        public = _read_public(reader)
        _skip_creation_data(reader)
        _check_name(reader, public)
        reader.end("response of CreatePrimary")
        return TpmObject(handle=response.handle, public=public)

    def create(
        self,
        parent: Subject,
        *,
        template: Public,
        auth_value: bytes = b"",
        sealed: bytes = b"",
        auth: Authorization = EMPTY_PASSWORD,
        protect: Session | None = None,
    ) -> StoredObject:
        """TPM2_Create: an object below `parent`; `sealed` is the secret of a keyed-hash object (1-128 bytes)."""
        command = Command(
            code=CommandCode.CREATE,
            subjects=[parent],
            parameters=_creation(template, auth_value, sealed),
            auths=[auth],
            protect=protect,
        )
        reader = self.run(command).reader()
        private = reader.tpm2b(PARAMETER_BYTES_MAX, "outPrivate")
        public = _read_public(reader)
        _skip_creation_data(reader)
        reader.end("response of Create")
        return StoredObject(public=public, private=private)

    def load(
        self,
        parent: Subject,
        *,
        stored: StoredObject,
        auth: Authorization = EMPTY_PASSWORD,
        protect: Session | None = None,
    ) -> TpmObject:
        """TPM2_Load: a transient object."""
        command = Command(
            code=CommandCode.LOAD,
            subjects=[parent],
            parameters=tpm2b(stored.private) + tpm2b(stored.public.encode()),
            auths=[auth],
            protect=protect,
        )
        return self._loaded(command, stored.public)

    def load_external(
        self, public: Public, *, hierarchy: int = Handle.OWNER, sensitive: bytes = b""
    ) -> TpmObject:
        """TPM2_LoadExternal: a public key for TPM2_VerifySignature, or with `sensitive` a software key.

        Tickets of a key in hierarchy NULL are null tickets and open no policy; with `sensitive`
        (TPMT_SENSITIVE) only NULL is possible.
        """
        command = Command(
            code=CommandCode.LOAD_EXTERNAL,
            parameters=Writer().tpm2b(sensitive).tpm2b(public.encode()).u32(hierarchy).done(),
        )
        return self._loaded(command, public)

    def read_public(self, handle: int, *, protect: Session | None = None) -> ObjectNames:
        """TPM2_ReadPublic."""
        reader = self.run(Command(code=CommandCode.READ_PUBLIC, subjects=[handle], protect=protect)).reader()
        public = _read_public(reader)
        _check_name(reader, public)
        qualified = reader.tpm2b(NAME_BYTES_MAX, "qualifiedName")
        reader.end("response of ReadPublic")
        return ObjectNames(public=public, qualified_name=qualified)

    def evict_control(
        self,
        hierarchy: int,
        *,
        subject: Subject,
        persistent: int,
        auth: Authorization = EMPTY_PASSWORD,
    ) -> None:
        """TPM2_EvictControl: make a transient object persistent, or end one (`subject` at `persistent`)."""
        self.run(
            Command(
                code=CommandCode.EVICT_CONTROL,
                subjects=[hierarchy, subject],
                parameters=Writer().u32(persistent).done(),
                auths=[auth],
            )
        )

    def object_change_auth(
        self,
        subject: Subject,
        *,
        parent: Subject,
        new_auth_value: bytes,
        auth: Authorization = EMPTY_PASSWORD,
        protect: Session | None = None,
    ) -> bytes:
        """TPM2_ObjectChangeAuth: the new private area of an object that is not primary."""
        command = Command(
            code=CommandCode.OBJECT_CHANGE_AUTH,
            subjects=[subject, parent],
            parameters=tpm2b(new_auth_value),
            auths=[auth],
            protect=protect,
        )
        reader = self.run(command).reader()
        private = reader.tpm2b(PARAMETER_BYTES_MAX, "outPrivate")
        reader.end("response of ObjectChangeAuth")
        return private

    def import_object(
        self, parent: Subject, *, blob: ImportBlob, auth: Authorization = EMPTY_PASSWORD
    ) -> StoredObject:
        """TPM2_Import without an inner wrap; authenticates nobody: check the blob first (A31)."""
        parameters = Writer().tpm2b(b"").tpm2b(blob.public.encode()).tpm2b(blob.duplicate)
        parameters.tpm2b(blob.encrypted_seed).u16(Algorithm.NULL)
        command = Command(
            code=CommandCode.IMPORT, subjects=[parent], parameters=parameters.done(), auths=[auth]
        )
        reader = self.run(command).reader()
        private = reader.tpm2b(PARAMETER_BYTES_MAX, "outPrivate")
        reader.end("response of Import")
        return StoredObject(public=blob.public, private=private)

    def duplicate(self, subject: TpmObject, *, new_parent: Subject, auth: Authorization) -> ImportBlob:
        """TPM2_Duplicate without an inner wrap; `new_parent` NULL gives the secret in clear."""
        parameters = Writer().tpm2b(b"").u16(Algorithm.NULL).done()
        command = Command(
            code=CommandCode.DUPLICATE,
            subjects=[subject, new_parent],
            parameters=parameters,
            auths=[auth],
        )
        reader = self.run(command).reader()
        reader.tpm2b(PARAMETER_BYTES_MAX, "encryptionKeyOut")
        duplicate = reader.tpm2b(PARAMETER_BYTES_MAX, "duplicate")
        seed = reader.tpm2b(PARAMETER_BYTES_MAX, "outSymSeed")
        reader.end("response of Duplicate")
        return ImportBlob(public=subject.public, duplicate=duplicate, encrypted_seed=seed)

    def unseal(self, subject: Subject, *, auth: Authorization, protect: Session | None = None) -> bytes:
        """TPM2_Unseal: the secret; without `protect` it crosses the bus in clear."""
        command = Command(code=CommandCode.UNSEAL, subjects=[subject], auths=[auth], protect=protect)
        reader = self.run(command).reader()
        secret = reader.tpm2b(PARAMETER_BYTES_MAX, "outData")
        reader.end("response of Unseal")
        return secret

    def make_credential(self, ek: Subject, *, secret: bytes, object_name: bytes) -> Credential:
        """TPM2_MakeCredential: in software see `standards.tpm2.credential`."""
        command = Command(
            code=CommandCode.MAKE_CREDENTIAL,
            subjects=[ek],
            parameters=tpm2b(secret) + tpm2b(object_name),
        )
        reader = self.run(command).reader()
        id_object = reader.tpm2b(PARAMETER_BYTES_MAX, "credentialBlob")
        encrypted = reader.tpm2b(PARAMETER_BYTES_MAX, "secret")
        reader.end("response of MakeCredential")
        return Credential(id_object=id_object, encrypted_secret=encrypted)

    def activate_credential(
        self,
        subject: Subject,
        *,
        ek: Subject,
        credential: Credential,
        auths: tuple[Authorization, Authorization],
        protect: Session | None = None,
    ) -> bytes:
        """TPM2_ActivateCredential: the secret made for (`ek`, Name of `subject`); `auths` in that object order.

        The second authorisation is a policy session with PolicySecret(ENDORSEMENT), or a password for
        EKs with userWithAuth.
        """
        command = Command(
            code=CommandCode.ACTIVATE_CREDENTIAL,
            subjects=[subject, ek],
            parameters=tpm2b(credential.id_object) + tpm2b(credential.encrypted_secret),
            auths=auths,
            protect=protect,
        )
        reader = self.run(command).reader()
        secret = reader.tpm2b(PARAMETER_BYTES_MAX, "certInfo")
        reader.end("response of ActivateCredential")
        return secret

    def verify_signature(self, key: Subject, *, digest: bytes, signature: Signature) -> Ticket:
        """TPM2_VerifySignature: a ticket that PolicyAuthorize accepts."""
        command = Command(
            code=CommandCode.VERIFY_SIGNATURE,
            subjects=[key],
            parameters=tpm2b(digest) + signature.encode(),
        )
        reader = self.run(command).reader()
        ticket = Ticket.read(reader)
        reader.end("response of VerifySignature")
        if ticket.tag != StructureTag.VERIFIED:
            raise DecodeError("ticket", expected="TPM_ST_VERIFIED", got=f"0x{ticket.tag:04x}")
        return ticket

    def _loaded(self, command: Command, public: Public) -> TpmObject:
        response = self.run(command)
        reader = response.reader()
        _check_name(reader, public)
        reader.end("Name of the loaded object")
        return TpmObject(handle=response.handle, public=public)


def _creation(template: Public, auth_value: bytes, sealed: bytes) -> bytes:
    sensitive = Writer().tpm2b(auth_value).tpm2b(sealed).done()
    no_pcrs: tuple[PcrSelection, ...] = ()
    return (
        Writer()
        .tpm2b(sensitive)
        .tpm2b(template.encode())
        .tpm2b(b"")
        .raw(encode_pcr_selections(no_pcrs))
        .done()
    )


def _read_public(reader: Reader) -> Public:
    return Public.decode(reader.tpm2b(_PUBLIC_BYTES_MAX, "TPM2B_PUBLIC"))


def _skip_creation_data(reader: Reader) -> None:
    reader.tpm2b(PARAMETER_BYTES_MAX, "creationData")
    reader.tpm2b(NAME_BYTES_MAX, "creationHash")
    Ticket.read(reader)


def _check_name(reader: Reader, public: Public) -> None:
    claimed = reader.tpm2b(NAME_BYTES_MAX, "Name of the object")
    if claimed != public.name:
        raise DecodeError("Name of the object", expected=public.name.hex(), got=claimed.hex())
