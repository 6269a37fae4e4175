"""The reference values of a release, as its supplier would compute them: from the log of a good boot.

Rule: every event of every register is listed, so that a wrong register can be explained by the event that made
it wrong; the kernel's command line carries the TRE's digest and therefore belongs to the scope `tre`.
"""

from lab.boot import BANK, TRE_PARAMETER, Release, boot_log
from standards.boot_log.describe import describe
from standards.boot_log.events import Event
from standards.boot_log.replay import replay
from standards.rats.comid import NAME_MAX
from standards.rats.corim import Manifest, PlatformReference, ReferenceEvent


def reference_manifest(release: Release, *, supplier: str, model: str) -> Manifest:
    """The unsigned manifest of `release` for one model; registers are all that its boot extends."""
    log = boot_log(release)
    registers = replay(log, bank=BANK)
    events = tuple(
        _reference(event, position)
        for pcr in sorted(registers)
        for position, event in enumerate(log.extended_into(pcr))
    )
    return Manifest(
        id=f"{model}-{release.version}",
        supplier=supplier,
        models=(model,),
        svn=release.svn,
        version=release.version,
        platform=PlatformReference(registers={BANK: registers}),
        events=events,
        tre_image_digest=release.tre_image,
    )


def _reference(event: Event, position: int) -> ReferenceEvent:
    name = describe(event)
    scope = "tre" if f"{TRE_PARAMETER}=" in name else "platform"
    digest = {BANK: event.digests[BANK]}
    return ReferenceEvent(pcr=event.pcr, position=position, digest=digest, name=name[:NAME_MAX], scope=scope)
