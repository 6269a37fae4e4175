"""Which manifest a device is judged by: the one that its Platform Credential names, or a successor (A25, A29). Pure.

Rule: of the approved manifests of the chain the one whose registers differ least from the quote is used, so that a finding
names what is wrong in the release that the device runs, and not all the differences between two releases. Whether that
state is accepted now is then judged by the manifest's window. Never used is one whose security version is below the
highest that the device was accepted with; whoever is in exactly such a state again was rolled back, and is refused.

`M1` (svn 1) is named by the credential, `M2` (svn 2, unless said otherwise) follows it; `h` is the highest security
version that an accepted result gave the device.

| measured | window of M1 | M2 | h | outcome |
|---|---|---|---|---|
| M1 | open | none, waits for approval, or does not count yet | - or 1 | judged by M1: accepted, h = 1 |
| M1 | open | counts | 1 | judged by M1: accepted, h = 1 |
| M2 | open | counts | 1 | judged by M2, under the credential that names M1: accepted, h = 2 |
| M2 | open | does not count yet | 1 | judged by M2: `manifest-not-yet-valid`, h stays |
| M2 | open | waits for approval | 1 | judged by M1: contraindicated by what differs |
| M1 | over | counts | 1 | judged by M1: `superseded-state`, install M2 |
| M2 | over | counts | 2 | judged by M2: accepted: the old credential is good until it is revoked |
| M1 | open or over | counts | 2 | refused: `manifest-rollback` |
| M1 | open | counts, svn 1 as well | 1 | judged by M1: accepted; the supplier did not call it a rollback |
| neither | open | counts | 1 | judged by the nearer one: contraindicated by what differs |
| neither | open | counts | 2 | judged by M2: contraindicated by what differs |
| M1 | credential names M2 | counts | 1 | judged by M2: contraindicated; a predecessor is no successor |
| any | retired | counts | 1 | M1 affirms nobody (`manifest-retired`), M2 is judged as above |
| any | not on record, or waiting; no M2 | - | 1 | `no-reference-manifest` |
| any | named svn below h, no approved successor that reaches h | - | 2 | refused: `manifest-rollback` |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pva.appraisal.appraisal import ReferenceManifest
from pva.appraisal.boot_events import BootEvents
from pva.appraisal.credential import PlatformCredential
from pva.appraisal.manifest_chain import ChainedManifest, ManifestChain, Validity
from pva.appraisal.quote import PlatformQuote
from pva.refusals import RefusalCode, RefusalError
from standards.rats.corim import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """An approved manifest and how far the quote is from it; `compared` counts registers that both have."""

    link: ChainedManifest
    validity: Validity
    place: int
    compared: int
    deviating: int
    unknown: int
    other_tre: bool

    @property
    def measured(self) -> bool:
        """Whether the device is in its state, as far as it names registers."""
        return self.compared > 0 and not self.deviating

    def distance(self, at: datetime) -> tuple[int, bool, int, int, int]:
        """Smaller fits better; among equals the one that stands better, and then the newer one."""
        return self.deviating, self.other_tre, self.unknown, self.validity.window(at), -self.place


def check_named(
    credential: PlatformCredential, *, chain: ManifestChain | None, svn_highest: int | None
) -> ManifestChain | None:
    """The chain for the model of a credential, whose named manifest is the one on record; None where none is.

    Raises RefusalError: the credential names what the manifest is not (MANIFEST_MISMATCH), or neither the manifest nor a
    successor reaches `svn_highest` (MANIFEST_ROLLBACK).
    """
    state = credential.expected_state
    chain = None if chain is None else chain.for_model(credential.hw_type)
    successors = () if chain is None else chain.links[1:]
    reached = max([state.svn, *(link.manifest.svn for link in successors)])
    if svn_highest is not None and reached < svn_highest:
        subject = f"manifest {state.manifest_id!r} of device {credential.device_id}"
        raise _rollback(subject, svn=reached, svn_highest=svn_highest)
    if chain is None:
        return None
    manifest = chain.named.manifest
    named = (credential.supplier.name, state.manifest_id, state.svn)
    held = (manifest.supplier, manifest.id, manifest.svn)
    if named != held:
        raise RefusalError(
            RefusalCode.MANIFEST_MISMATCH,
            subject=f"manifest {state.manifest_id!r}",
            reason=f"the Platform Credential names (supplier, id, svn) {named}, the manifest is {held}",
        )
    return chain


def choose_reference(
    quote: PlatformQuote,
    *,
    boot: BootEvents,
    chain: ManifestChain | None,
    svn_highest: int | None,
    at: datetime,
) -> ReferenceManifest | None:
    """The manifest to judge a quote by, None where no approved one is held.

    Raises RefusalError (MANIFEST_ROLLBACK): the device is in a state below `svn_highest`.
    """
    if chain is None:
        return None
    approved = chain.approved(at=at)
    lowest = -1 if svn_highest is None else svn_highest
    choice = len(approved) > 1
    candidates = [
        _candidate(quote, boot=boot if choice else None, link=link, validity=validity, place=place)
        for place, (link, validity) in enumerate(approved)
    ]
    eligible = [each for each in candidates if each.link.manifest.svn >= lowest]
    if not any(each.measured for each in eligible):
        _refuse_rolled_back(quote, candidates, lowest=lowest)
    if not eligible:
        if approved:
            newest = approved[-1][0].manifest
            subject = f"manifest {newest.id!r} of device {quote.device_id}"
            raise _rollback(subject, svn=newest.svn, svn_highest=lowest)
        return None
    best = min(eligible, key=lambda each: each.distance(at))
    return ReferenceManifest(
        manifest=best.link.manifest,
        digest=best.link.digest,
        permitted_models=chain.permitted_models,
        validity=best.validity,
    )


def _refuse_rolled_back(quote: PlatformQuote, candidates: Sequence[_Candidate], *, lowest: int) -> None:
    for each in candidates:
        if each.measured and each.link.manifest.svn < lowest:
            subject = f"state of manifest {each.link.manifest.id!r} in device {quote.device_id}"
            raise _rollback(subject, svn=each.link.manifest.svn, svn_highest=lowest)


def _rollback(subject: str, *, svn: int, svn_highest: int) -> RefusalError:
    return RefusalError(
        RefusalCode.MANIFEST_ROLLBACK,
        subject=subject,
        reason=f"its security version is {svn}, the device was accepted with {svn_highest}",
    )


def _candidate(
    quote: PlatformQuote, *, boot: BootEvents | None, link: ChainedManifest, validity: Validity, place: int
) -> _Candidate:
    """How far a quote is from a manifest; without `boot` nothing is read out of the log."""
    compared = deviating = unknown = 0
    for bank, values in quote.pcr_values.items():
        references = link.manifest.platform.registers.get(bank, {})
        for pcr, value in values.items():
            expected = references.get(pcr)
            compared += expected is not None
            unknown += expected is None
            deviating += expected is not None and expected != value
    return _Candidate(
        link=link,
        validity=validity,
        place=place,
        compared=compared,
        deviating=deviating,
        unknown=unknown,
        other_tre=boot is not None and _names_another_tre(quote, boot=boot, manifest=link.manifest),
    )


def _names_another_tre(quote: PlatformQuote, *, boot: BootEvents, manifest: Manifest) -> bool:
    """A hint for choosing between manifests, no more: what a log calls the command line may not be it."""
    expected = manifest.tre_image_digest
    images = {image for bank in quote.pcr_values for image in boot.tre_images(bank=bank)}
    return expected is not None and bool(images) and expected.hex() not in images
