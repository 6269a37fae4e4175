"""CreatePrimary, Create, Load, LoadExternal, ReadPublic, Unseal (Part 3, 12, 24.1)."""

from dataclasses import dataclass, field, replace

from lab.software_tpm.call import Call, Reply, reply
from lab.software_tpm.errors import CommandError, about_parameter
from lab.software_tpm.key_generation import KeySource, PrimarySource, RandomSource, make_object
from lab.software_tpm.machine import Machine
from lab.software_tpm.object_attributes import (
    check_attributes,
    check_binding,
    check_public_key,
    check_scheme,
    check_supported,
)
from lab.software_tpm.object_protection import PRIVATE_BYTES_MAX, protect_private, unprotect_private
from lab.software_tpm.objects import SEALED_BYTES_MAX, Sensitive, TpmObject
from lab.software_tpm.pcr_selection import read_selections
from lab.software_tpm.tickets import make_ticket
from standards.tpm2.constants import (
    DIGEST_BYTES_MAX,
    NONCE_BYTES_MAX,
    Algorithm,
    Handle,
    ObjectAttributes,
    StructureTag,
)
from standards.tpm2.hashing import digest, digest_size
from standards.tpm2.marshal import Reader, Writer
from standards.tpm2.names import handle_name, qualified_name
from standards.tpm2.return_codes import ReturnCode, handle, parameter
from standards.tpm2.structures import PcrSelection, Public, encode_pcr_selections

_LOCALITY_0 = 0x01
_HIERARCHIES = (Handle.OWNER, Handle.ENDORSEMENT, Handle.PLATFORM, Handle.NULL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """The four parameters that Create and CreatePrimary share."""

    auth_value: bytes = field(repr=False)
    data: bytes = field(repr=False)
    template: Public
    outside_info: bytes
    creation_pcrs: tuple[PcrSelection, ...]


def create_primary(machine: Machine, call: Call) -> Reply:
    """TPM2_CreatePrimary (24.1): the same template gives the same key until the hierarchy's seed changes."""
    (hierarchy,) = call.handles
    order = _read_order(call)
    machine.require_free_slot()
    _check_order(order, parent=None)
    template = order.template.encode() + order.data
    source = PrimarySource(machine, hierarchy, template=template)
    public, sensitive = _make(order, source)
    made = TpmObject.under(hierarchy, public=public, sensitive=sensitive, hierarchy=hierarchy)
    creation = _creation(machine, order, made, parent=None, hierarchy=hierarchy)
    loaded_at = machine.load(made)
    return reply(Writer().tpm2b(public.encode()).raw(creation).tpm2b(made.name), handle=loaded_at)


def create(machine: Machine, call: Call) -> Reply:
    """TPM2_Create (12.1): the private area is protected by the parent and not loaded."""
    parent = machine.object(call.handles[0])
    order = _read_order(call)
    if not parent.is_parent:
        raise CommandError(handle(ReturnCode.TYPE, 1))
    _check_order(order, parent=parent)
    public, sensitive = _make(order, RandomSource(random_bytes=machine.random_bytes))
    made = TpmObject.under(parent, public=public, sensitive=sensitive, hierarchy=parent.hierarchy)
    private = protect_private(sensitive, public=public, parent=parent, random_bytes=machine.random_bytes)
    creation = _creation(machine, order, made, parent=parent, hierarchy=parent.hierarchy)
    return reply(Writer().tpm2b(private).tpm2b(public.encode()).raw(creation))


def load(machine: Machine, call: Call) -> Reply:
    """TPM2_Load (12.2)."""
    parent = machine.object(call.handles[0])
    private = call.parameters.buffer(PRIVATE_BYTES_MAX)
    public = call.parameters.sized(Public.decode)
    check_supported(public, number=2)
    call.parameters.end()
    machine.require_free_slot()
    if not private:
        raise CommandError(parameter(ReturnCode.SIZE, 1))
    if not parent.is_parent:
        raise CommandError(handle(ReturnCode.TYPE, 1))
    with about_parameter(1):
        sensitive = unprotect_private(private, public=public, parent=parent)
    with about_parameter(2):
        check_attributes(public, parent=parent)
        check_scheme(public, parent=parent)
    check_binding(public, sensitive, public_number=2, sensitive_number=1)
    loaded = TpmObject.under(parent, public=public, sensitive=sensitive, hierarchy=parent.hierarchy)
    return reply(Writer().tpm2b(loaded.name), handle=machine.load(loaded))


def load_external(machine: Machine, call: Call) -> Reply:
    """TPM2_LoadExternal (12.3): a public area of anyone, or both areas of an object that is plainly software's."""
    sensitive = call.parameters.sized_or_none(Sensitive.decode)
    public = call.parameters.sized(Public.decode)
    check_supported(public, number=2)
    hierarchy = call.parameters.one_of(*_HIERARCHIES)
    call.parameters.end()
    machine.require_free_slot()
    if sensitive is None:
        with about_parameter(2):
            check_scheme(public, parent=None)
            check_public_key(public)
    else:
        _check_external_private(public, sensitive, hierarchy)
    loaded = TpmObject.from_outside(public, sensitive=sensitive, hierarchy=hierarchy)
    return reply(Writer().tpm2b(loaded.name), handle=machine.load(loaded))


def _check_external_private(public: Public, sensitive: Sensitive, hierarchy: int) -> None:
    if hierarchy != Handle.NULL:
        raise CommandError(parameter(ReturnCode.HIERARCHY, 3))
    own = ObjectAttributes.FIXED_TPM | ObjectAttributes.FIXED_PARENT | ObjectAttributes.RESTRICTED
    if public.attributes & own:
        raise CommandError(parameter(ReturnCode.ATTRIBUTES, 2))
    with about_parameter(2):
        check_attributes(public, parent=None)
        check_scheme(public, parent=None)
    check_binding(public, sensitive, public_number=2, sensitive_number=1)


def read_public(machine: Machine, call: Call) -> Reply:
    """TPM2_ReadPublic (12.4)."""
    call.parameters.end()
    found = machine.object(call.handles[0])
    return reply(Writer().tpm2b(found.public.encode()).tpm2b(found.name).tpm2b(found.qualified_name))


def unseal(machine: Machine, call: Call) -> Reply:
    """TPM2_Unseal (12.7)."""
    call.parameters.end()
    sealed = machine.object(call.handles[0])
    if sealed.public.type != Algorithm.KEYEDHASH or sealed.sensitive is None:
        raise CommandError(handle(ReturnCode.TYPE, 1))
    keys = ObjectAttributes.DECRYPT | ObjectAttributes.SIGN | ObjectAttributes.RESTRICTED
    if sealed.public.attributes & keys:
        raise CommandError(handle(ReturnCode.ATTRIBUTES, 1))
    return reply(Writer().tpm2b(sealed.sensitive.secret))


def object_change_auth(machine: Machine, call: Call) -> Reply:
    """TPM2_ObjectChangeAuth (12.8): a new private area; the loaded object keeps its authValue."""
    changed, parent = (machine.object(at) for at in call.handles)
    auth_value = call.parameters.buffer(DIGEST_BYTES_MAX).rstrip(b"\x00")
    call.parameters.end()
    if changed.sensitive is None or not _is_child(changed, parent):
        raise CommandError(handle(ReturnCode.TYPE, 2))
    if len(auth_value) > digest_size(changed.public.name_algorithm):
        raise CommandError(parameter(ReturnCode.SIZE, 1))
    sensitive = replace(changed.sensitive, auth_value=auth_value)
    private = protect_private(
        sensitive, public=changed.public, parent=parent, random_bytes=machine.random_bytes
    )
    return reply(Writer().tpm2b(private))


def _is_child(child: TpmObject, parent: TpmObject) -> bool:
    return parent.is_parent and child.qualified_name == qualified_name(parent.qualified_name, child.name)


def _read_order(call: Call) -> _Order:
    auth_value, data = call.parameters.sized(_decode_sensitive_create)
    template = call.parameters.sized(Public.decode)
    check_supported(template, number=2)
    outside_info = call.parameters.buffer(NONCE_BYTES_MAX)
    creation_pcrs = call.parameters.read(read_selections)
    call.parameters.end()
    return _Order(
        auth_value=auth_value.rstrip(b"\x00"),
        data=data,
        template=template,
        outside_info=outside_info,
        creation_pcrs=creation_pcrs,
    )


def _decode_sensitive_create(content: bytes) -> tuple[bytes, bytes]:
    """TPMS_SENSITIVE_CREATE: userAuth and data (Part 2, 11.1.15)."""
    reader = Reader(content)
    user_auth = reader.tpm2b(DIGEST_BYTES_MAX, "userAuth")
    data = reader.tpm2b(SEALED_BYTES_MAX, "data")
    reader.end("size of TPMS_SENSITIVE_CREATE")
    return user_auth, data


def _check_order(order: _Order, *, parent: TpmObject | None) -> None:
    template = order.template
    origin = bool(template.attributes & ObjectAttributes.SENSITIVE_DATA_ORIGIN)
    keyed_hash = template.type == Algorithm.KEYEDHASH
    key = bool(template.attributes & (ObjectAttributes.SIGN | ObjectAttributes.DECRYPT))
    contradictions = (
        not origin and (not order.data or not keyed_hash),
        origin and bool(order.data) and parent is not None,
        origin and keyed_hash and not key,
    )
    if any(contradictions):
        raise CommandError(parameter(ReturnCode.ATTRIBUTES, 2))
    with about_parameter(2):
        check_attributes(template, parent=parent)
        check_scheme(template, parent=parent)
    if len(order.auth_value) > digest_size(template.name_algorithm):
        raise CommandError(parameter(ReturnCode.SIZE, 1))


def _make(order: _Order, source: KeySource) -> tuple[Public, Sensitive]:
    return make_object(order.template, auth_value=order.auth_value, data=order.data, source=source)


def _creation(
    machine: Machine, order: _Order, made: TpmObject, *, parent: TpmObject | None, hierarchy: int
) -> bytes:
    """TPM2B_CREATION_DATA, its digest and the ticket that binds it to the object (Part 2, 15.1)."""
    algorithm = made.public.name_algorithm
    implemented = machine.volatile.implemented(order.creation_pcrs)
    values = machine.volatile.selected(order.creation_pcrs)
    writer = Writer().raw(encode_pcr_selections(implemented))
    writer.tpm2b(digest(algorithm, b"".join(values)) if order.creation_pcrs else b"").u8(_LOCALITY_0)
    if parent is None:
        name = handle_name(hierarchy)
        writer.u16(Algorithm.NULL).tpm2b(name).tpm2b(name)
    else:
        writer.u16(parent.public.name_algorithm).tpm2b(parent.name).tpm2b(parent.qualified_name)
    data = writer.tpm2b(order.outside_info).done()
    hashed = digest(algorithm, data)
    ticket = make_ticket(machine, StructureTag.CREATION, hierarchy=hierarchy, content=made.name + hashed)
    return Writer().tpm2b(data).tpm2b(hashed).raw(ticket.encode()).done()
