"""Concise Module Identifier: the reference values of a manifest (draft-ietf-rats-corim, section "CoMID").

Rule: this is the project's profile of CoMID, closed: reference triples only, with the measured elements named here,
and the same values for every model that the manifest is for; everything else is refused by name. A reader that
passes over what it does not understand would appraise against less than what was signed.

Profile: class {vendor, model, layer 0} is the platform, {vendor, model, layer 1} the TRE. Measured elements:
  "release"               version, svn (552) and, where it has one, name; platform only, required
  "pcrs"                  integrity registers: final PCR values, platform only
  "event/<pcr>/<position>" digests and name of one expected event, in the layer of its scope
  "tre-image"             SHA-256 digest of the TRE image, TRE only
A manifest with a predecessor links to its tag (linked-tags, relation "replaces").
Digest algorithms are those of the Named Information registry that PCR banks can have.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import cbor2

from standards.boot_log.algorithms import BANKS, SHA256
from standards.boot_log.events import PCR_INDEX_MAX
from standards.rats.errors import RatsError, refusal
from standards.rats.fields import Fields
from standards.rats.manifest import SCOPES, Manifest, PlatformReference, ReferenceEvent

MODELS_MAX: Final = 64
MEASUREMENTS_MAX: Final = 8192
NAME_MAX: Final = 255
ID_MAX: Final = 128  # as in the extension ExpectedSystemState
TAG_SVN: Final = 552
SVN_MAX: Final = (1 << 32) - 1
_POSITION_MAX: Final = 9999

_NAMED_INFORMATION: Final = MappingProxyType(
    {1: 0x000B, 7: 0x000C, 8: 0x000D, 10: 0x0027, 11: 0x0028, 12: 0x0029}
)
"""TPM_ALG_ID by identifier in the Named Information Hash Algorithm registry."""
_BY_BANK: Final = MappingProxyType({bank: identifier for identifier, bank in _NAMED_INFORMATION.items()})

_TAG_IDENTITY, _LINKED_TAGS, _TRIPLES = 1, 3, 4
_LINKED_TAG_ID, _TAG_REL, _REPLACES = 0, 1, 1
_REFERENCE_TRIPLES, _CLASS, _VENDOR, _MODEL, _LAYER = 0, 0, 1, 2, 3
_ELEMENT, _VALUES = 0, 1
_VERSION, _SVN, _DIGESTS, _NAME, _REGISTERS = 0, 1, 2, 11, 14
_EVENT: Final = re.compile(r"event/(0|[1-9][0-9]?)/(0|[1-9][0-9]{0,3})")
_PAIR: Final = 2


@dataclass(slots=True, kw_only=True)
class _Layers:
    """What the reference triples of one model say."""

    version: str | None = None
    name: str | None = None
    svn: int = 0
    registers: dict[int, dict[int, bytes]] = field(default_factory=dict)
    events: list[ReferenceEvent] = field(default_factory=list)
    tre_image_digest: bytes | None = None


def encode_comid(manifest: Manifest) -> dict[int, Any]:
    """The concise-mid-tag of a manifest, as a value to be encoded."""
    triples = []
    for model in manifest.models:
        for layer, scope in enumerate(SCOPES):
            measurements = _measurements(manifest, scope=scope)
            if measurements:
                environment = {_CLASS: {_VENDOR: manifest.supplier, _MODEL: model, _LAYER: layer}}
                triples.append([environment, measurements])
    tag: dict[int, Any] = {_TAG_IDENTITY: {0: manifest.id}, _TRIPLES: {_REFERENCE_TRIPLES: triples}}
    if manifest.predecessor is not None:
        tag[_LINKED_TAGS] = [{_LINKED_TAG_ID: manifest.predecessor.id, _TAG_REL: _REPLACES}]
    return tag


def decode_comid(value: object, *, manifest_id: str) -> Manifest:
    """Read a concise-mid-tag of this profile.

    Window, predecessor and line of the result are absent: they stand outside of the tag, but for `replaced_id`.

    Raises:
        RatsError: for any other value.
    """
    tag = Fields(value, what="comid", refusal=refusal)
    identity = tag.nested(_TAG_IDENTITY)
    if identity.text(0, size_max=ID_MAX) != manifest_id:
        raise RatsError(what="comid tag-id", expected="the id of the CoRIM", got="another")
    identity.close()
    triples = tag.nested(_TRIPLES)
    records = triples.items(_REFERENCE_TRIPLES, size_min=1, size_max=MODELS_MAX * len(SCOPES))
    triples.close()
    if _LINKED_TAGS in tag:
        tag.raw(_LINKED_TAGS)  # read by `replaced_id`
    tag.close()
    vendor, by_model = _group(records)
    contents = list(by_model.values())
    if any(content != contents[0] for content in contents):
        raise RatsError(
            what="reference triples", expected="the same values for every model", got="different ones"
        )
    layers = _read_layers(contents[0])
    if layers.version is None:
        raise RatsError(what="reference triples", expected="the element release", got="none")
    return Manifest(
        id=manifest_id,
        supplier=vendor,
        models=tuple(by_model),
        svn=layers.svn,
        version=layers.version,
        platform=PlatformReference(registers=layers.registers),
        events=tuple(layers.events),
        tre_image_digest=layers.tre_image_digest,
        release_name=layers.name,
    )


def replaced_id(value: object) -> str | None:
    """Id of the manifest that a concise-mid-tag replaces, None where it links to no tag.

    Raises:
        RatsError: it links to several tags, or in another relation.
    """
    tag = Fields(value, what="comid", refusal=refusal)
    if _LINKED_TAGS not in tag:
        return None
    (row,) = tag.items(_LINKED_TAGS, size_min=1, size_max=1)
    linked = Fields(row, what="linked-tags", refusal=refusal)
    replaced = linked.text(_LINKED_TAG_ID, size_max=ID_MAX)
    if linked.integer(_TAG_REL) != _REPLACES:
        raise RatsError(what="linked-tags", expected=f"the relation replaces ({_REPLACES})", got="another")
    linked.close()
    return replaced


def _measurements(manifest: Manifest, *, scope: str) -> list[dict[int, Any]]:
    """The measurement maps of one layer."""
    elements: list[tuple[str, dict[int, Any]]] = []
    if scope == SCOPES[0]:
        svn = cbor2.CBORTag(TAG_SVN, manifest.svn)
        named = {} if manifest.release_name is None else {_NAME: manifest.release_name}
        elements.append(("release", {_VERSION: {0: manifest.version}, _SVN: svn, **named}))
        registers = _encode_registers(manifest.platform.registers)
        if registers:
            elements.append(("pcrs", {_REGISTERS: registers}))
    elif manifest.tre_image_digest is not None:
        elements.append(("tre-image", {_DIGESTS: _encode_digests({SHA256: manifest.tre_image_digest})}))
    for event in manifest.events:
        if event.scope == scope:
            values = {_DIGESTS: _encode_digests(event.digest), _NAME: event.name}
            elements.append((f"event/{event.pcr}/{event.position}", values))
    return [{_ELEMENT: element, _VALUES: values} for element, values in elements]


def _encode_registers(registers: Mapping[int, Mapping[int, bytes]]) -> dict[int, list[list[Any]]]:
    by_pcr: dict[int, dict[int, bytes]] = {}
    for bank, values in registers.items():
        for pcr, value in values.items():
            by_pcr.setdefault(pcr, {})[bank] = value
    return {pcr: _encode_digests(digests) for pcr, digests in by_pcr.items()}


def _encode_digests(digests: Mapping[int, bytes]) -> list[list[Any]]:
    unknown = sorted(bank for bank in digests if bank not in _BY_BANK)
    if unknown:
        names = ", ".join(BANKS[bank].name for bank in _BY_BANK)
        raise RatsError(what="digests", expected=f"banks {names}", got=f"0x{unknown[0]:04x}")
    return [[_BY_BANK[bank], digest] for bank, digest in sorted(digests.items())]


def _group(records: list[Any]) -> tuple[str, dict[str, dict[int, list[Any]]]]:
    """Reference triples by model and layer, and the one vendor of them all."""
    by_model: dict[str, dict[int, list[Any]]] = {}
    vendors: set[str] = set()
    for record in records:
        if not isinstance(record, list) or len(record) != _PAIR:
            raise RatsError(
                what="reference triple", expected="[environment, measurements]", got="another shape"
            )
        environment = Fields(record[0], what="environment", refusal=refusal)
        of_class = environment.nested(_CLASS)
        environment.close()
        vendors.add(of_class.text(_VENDOR, size_max=NAME_MAX))
        layers = by_model.setdefault(of_class.text(_MODEL, size_max=NAME_MAX), {})
        layer = of_class.integer(_LAYER, high=len(SCOPES) - 1)
        of_class.close()
        if layer in layers:
            raise RatsError(
                what="reference triples", expected="each layer of a model once", got=f"layer {layer} twice"
            )
        layers[layer] = Fields({0: record[1]}, what="measurements", refusal=refusal).items(
            0, size_min=1, size_max=MEASUREMENTS_MAX
        )
    if len(vendors) != 1 or len(by_model) > MODELS_MAX:
        raise RatsError(what="environments", expected=f"one vendor, up to {MODELS_MAX} models", got="others")
    return vendors.pop(), by_model


def _read_layers(contents: dict[int, list[Any]]) -> _Layers:
    layers = _Layers()
    seen: set[str] = set()
    for layer, measurements in sorted(contents.items()):
        for measurement in measurements:
            fields = Fields(measurement, what="measurement", refusal=refusal)
            element = fields.text(_ELEMENT, size_max=32)
            if element in seen:
                raise RatsError(what="measurements", expected="each element once", got=f"{element} twice")
            seen.add(element)
            _read_element(layers, element, fields.nested(_VALUES), scope=SCOPES[layer])
            fields.close()
    return layers


def _read_element(layers: _Layers, element: str, values: Fields, *, scope: str) -> None:
    match scope, element:
        case "platform", "release":
            version = values.nested(_VERSION)
            layers.version = version.text(0, size_max=NAME_MAX)
            version.close()
            layers.svn = _read_svn(values.raw(_SVN))
            layers.name = values.text(_NAME, size_max=NAME_MAX) if _NAME in values else None
        case "platform", "pcrs":
            layers.registers = _read_registers(values.nested(_REGISTERS))
        case "tre", "tre-image":
            digests = _read_digests(values.raw(_DIGESTS), what=element)
            if set(digests) != {SHA256}:
                raise RatsError(what="tre-image", expected="one SHA-256 digest", got="others")
            layers.tre_image_digest = digests[SHA256]
        case _, _ if place := _EVENT.fullmatch(element):
            layers.events.append(_read_event(place, values, scope=scope))
        case _:
            raise RatsError(
                what="measured element", expected=f"one of this profile in layer {scope}", got="another"
            )
    values.close()


def _read_svn(value: object) -> int:
    if not isinstance(value, cbor2.CBORTag) or value.tag != TAG_SVN:
        raise RatsError(what="release svn", expected=f"tag {TAG_SVN}", got="another type")
    return Fields({0: value.value}, what="release svn", refusal=refusal).integer(0, high=SVN_MAX)


def _read_registers(fields: Fields) -> dict[int, dict[int, bytes]]:
    registers: dict[int, dict[int, bytes]] = {}
    for pcr in fields.present():
        if not isinstance(pcr, int) or not 0 <= pcr <= PCR_INDEX_MAX:
            raise RatsError(what="pcrs", expected=f"indices of 0 to {PCR_INDEX_MAX}", got="another register")
        for bank, digest in _read_digests(fields.raw(pcr), what=f"pcrs.{pcr}").items():
            registers.setdefault(bank, {})[pcr] = digest
    if not registers:
        raise RatsError(what="pcrs", expected="at least one register", got="none")
    return registers


def _read_event(place: re.Match[str], values: Fields, *, scope: str) -> ReferenceEvent:
    pcr, position = int(place[1]), int(place[2])
    if pcr > PCR_INDEX_MAX or position > _POSITION_MAX:
        raise RatsError(what="event", expected=f"a PCR of 0 to {PCR_INDEX_MAX}", got=str(pcr))
    return ReferenceEvent(
        pcr=pcr,
        position=position,
        digest=_read_digests(values.raw(_DIGESTS), what=place[0]),
        name=values.text(_NAME, size_max=NAME_MAX),
        scope=scope,
    )


def _read_digests(value: object, *, what: str) -> dict[int, bytes]:
    """Digests by bank, each algorithm once, each of its size."""
    if not isinstance(value, list) or not 1 <= len(value) <= len(_NAMED_INFORMATION):
        raise RatsError(what=what, expected="an array of digests", got="another type or number")
    digests: dict[int, bytes] = {}
    for row in value:
        pair = row if isinstance(row, list) and len(row) == _PAIR else (None, None)
        bank = _NAMED_INFORMATION.get(pair[0]) if type(pair[0]) is int else None
        digest = pair[1]
        if (
            bank is None
            or bank in digests
            or not isinstance(digest, bytes)
            or len(digest) != BANKS[bank].size
        ):
            expected = "[algorithm, digest] with a SHA-2 or SHA-3 algorithm, each once"
            raise RatsError(what=what, expected=expected, got="another row")
        digests[bank] = digest
    return digests
