"""Templates: which fields an entry of the list has, by the name of its template.

Rule: a template is one of the kernel's own, or its name is its format (fields joined by "|"); a field that is not
listed here makes the template unknown, since its data could not be read.
Source: Linux, security/integrity/ima/ima_template.c (builtin_templates, supported_fields).
"""

from dataclasses import dataclass
from enum import Enum, auto, unique
from types import MappingProxyType
from typing import Final

from standards.ima.errors import ImaError

TEMPLATE_NAME_SIZE_MAX: Final = 128
FIELDS_MAX: Final = 15


@unique
class FieldForm(Enum):
    """How a field is written: `DIGEST` is 20 bytes, `NAMED_DIGEST` has its algorithm in front, `TEXT` ends in NUL."""

    DIGEST = auto()
    NAMED_DIGEST = auto()
    TEXT = auto()
    OCTETS = auto()
    U16 = auto()
    U32 = auto()


FIELDS: Final = MappingProxyType(
    {
        "d": FieldForm.DIGEST,
        "n": FieldForm.TEXT,
        "d-ng": FieldForm.NAMED_DIGEST,
        "d-ngv2": FieldForm.NAMED_DIGEST,
        "n-ng": FieldForm.TEXT,
        "sig": FieldForm.OCTETS,
        "buf": FieldForm.OCTETS,
        "d-modsig": FieldForm.NAMED_DIGEST,
        "modsig": FieldForm.OCTETS,
        "evmsig": FieldForm.OCTETS,
        "iuid": FieldForm.U32,
        "igid": FieldForm.U32,
        "imode": FieldForm.U16,
        "xattrnames": FieldForm.TEXT,
        "xattrlengths": FieldForm.OCTETS,
        "xattrvalues": FieldForm.OCTETS,
    }
)
"""Form by field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template: its name in the list, and its fields in order; `legacy` is the one without lengths (`ima`)."""

    name: str
    fields: tuple[str, ...]

    @property
    def legacy(self) -> bool:
        """Whether template data are 20 bytes of digest and the name filled up to 256, hashed without lengths."""
        return self.name == LEGACY


LEGACY: Final = "ima"
_FORMATS: Final = {
    LEGACY: "d|n",
    "ima-ng": "d-ng|n-ng",
    "ima-sig": "d-ng|n-ng|sig",
    "ima-ngv2": "d-ngv2|n-ng",
    "ima-sigv2": "d-ngv2|n-ng|sig",
    "ima-buf": "d-ng|n-ng|buf",
    "ima-modsig": "d-ng|n-ng|sig|d-modsig|modsig",
    "evm-sig": "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode",
}
BUILT_IN: Final = MappingProxyType(
    {
        name.encode("ascii"): Template(name=name, fields=tuple(format_.split("|")))
        for name, format_ in _FORMATS.items()
    }
)
"""The kernel's own templates by name."""


def read_template(name: bytes, *, entry: int) -> Template:
    """The template of this name. Raises ImaError where it is none that can be read."""
    known = BUILT_IN.get(name)
    if known is not None:
        return known
    fields = tuple(name.decode("ascii", "replace").split("|")) if len(name) <= TEMPLATE_NAME_SIZE_MAX else ()
    if (
        not 1 <= len(fields) <= FIELDS_MAX
        or not FIELDS.keys() >= set(fields)
        or len(set(fields)) < len(fields)
    ):
        shown = name[:TEMPLATE_NAME_SIZE_MAX].decode("ascii", "backslashreplace")
        raise ImaError(
            what="template",
            expected="one of the kernel's, or known fields, each once",
            got=repr(shown),
            entry=entry,
        )
    return Template(name="|".join(fields), fields=fields)
