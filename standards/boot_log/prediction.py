"""What a boot will measure, computed from the files of a release without a machine.

Rule: only what the files determine is predicted, as measurements in the order in which they are made; what else is measured
into the same register is said by the caller, or the register is not predictable. Predicted are
  PCR 4  the boot attempt, the separator, then each image in the order in which it runs (Authenticode digests)
  PCR 11 sections of a unified kernel image by systemd-stub, each as a pair of name (with its NUL) and content in memory
Which sections a stub measures depends on its version, which it says in `.sdmagic`; a version whose list is not known here, and
sections that a machine's hardware or a menu chooses (profiles, device trees), are refused.
Source: TCG PC Client Platform Firmware Profile 1.06, sections 3.3.4.5 and 8.2.4; systemd-stub(7), "TPM PCR Notes";
systemd, TPM2 PCR Measurements.
"""

import re
from collections.abc import Sequence
from typing import Final

from standards.boot_log.encode import Measurement
from standards.boot_log.errors import BootLogError
from standards.boot_log.events import EV_EFI_ACTION, EV_EFI_BOOT_SERVICES_APPLICATION, EV_IPL, EV_SEPARATOR
from standards.boot_log.payloads import SEPARATOR
from standards.boot_log.portable_executable import Image

IMAGE_PCR, SECTION_PCR = 4, 11
_BOOT_ATTEMPT: Final = b"Calling EFI Application from Boot Option"
_MEASURED: Final = (
    *(".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat"),
    ".pcrpkey",
)
"""In the order of measurement, whatever their order in the file; a signature of the expected values is not among them."""
_SINCE: Final = {".uname": 255, ".sbat": 255, ".ucode": 256}
_KNOWN_FROM, _UNCERTAIN = 252, frozenset({253, 254})
_CHOSEN_LATER: Final = frozenset({".profile", ".dtbauto", ".hwids", ".efifw"})
_STUB: Final = re.compile(rb"#### LoaderInfo: systemd-stub (\d{3,4})[^#]* ####")


def predict_images(images: Sequence[tuple[str, Image]]) -> tuple[Measurement, ...]:
    """PCR 4 of a boot whose firmware starts the first image, that one the second, and so on; names are for people.

    Not predicted: applications that firmware runs before (a setup menu, a vendor's agent), and failed boot attempts.
    """
    return (
        Measurement(pcr=IMAGE_PCR, type=EV_EFI_ACTION, data=_BOOT_ATTEMPT),
        Measurement(pcr=IMAGE_PCR, type=EV_SEPARATOR, data=SEPARATOR),
        *(
            Measurement(
                pcr=IMAGE_PCR,
                type=EV_EFI_BOOT_SERVICES_APPLICATION,
                data=name.encode(),
                measured=image.measured,
            )
            for name, image in images
        ),
    )


def predict_sections(image: Image) -> tuple[Measurement, ...]:
    """PCR 11 of a boot of a unified kernel image, before user space extends it (`systemd-pcrphase`).

    Raises:
        BootLogError: no unified kernel image by a version of systemd-stub that is known here, or one whose sections are
            chosen at boot.
    """
    version = stub_version(image)
    contents: dict[str, bytes] = {}
    for section in image.sections:
        if section.name in _CHOSEN_LATER or (section.name in _MEASURED and section.name in contents):
            raise BootLogError(
                what="unified kernel image",
                expected="sections that the file alone determines",
                got=f"{section.name}, of which the boot chooses",
            )
        if section.name in _MEASURED:
            contents[section.name] = image.content(section)
    if ".linux" not in contents:
        raise BootLogError(what="unified kernel image", expected="a section .linux", got="none")
    return tuple(
        Measurement(pcr=SECTION_PCR, type=EV_IPL, data=name.encode() + b"\x00", measured=measured)
        for name in _MEASURED
        if name in contents and _SINCE.get(name, _KNOWN_FROM) <= version
        for measured in (name.encode() + b"\x00", contents[name])
    )


def stub_version(image: Image) -> int:
    """Version of the systemd-stub in an image.

    Raises:
        BootLogError: there is none, or the sections that it measures are not known here.
    """
    found = [
        match
        for section in image.sections
        if section.name == ".sdmagic" and (match := _STUB.match(image.content(section)))
    ]
    version = int(found[0][1]) if len(found) == 1 else 0
    if version < _KNOWN_FROM or version in _UNCERTAIN:
        got = f"version {version}" if version else "none"
        expected = f"systemd-stub {_KNOWN_FROM}, or {max(_UNCERTAIN) + 1} and later"
        raise BootLogError(what="unified kernel image", expected=expected, got=got)
    return version
