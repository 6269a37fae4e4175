"""Attestation, as the TRE sees it: who asks, for what, when, how often; then quote and certify."""

from dataclasses import dataclass

from m2me_agent.tre.anchors import Anchors, credential_begins_at, verify_challenge
from m2me_agent.tre.boot_log import BOOT_LOG_BYTES_MAX, BootLogFile
from m2me_agent.tre.enrollment import identity, key_access
from m2me_agent.tre.errors import BootLogError, ChallengeError, NotEnrolledError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tpm_device import KeyAccess, SignedStatement, TpmDevice, UnlockedKeys
from messages.binding import PVA_EVIDENCE, PVA_IMA, PVA_KEY, extra_data
from messages.challenge import Challenge, ImaOffset
from messages.evidence import CertifiedStructure, EvidenceMessage, ImaEvidence, encode_evidence
from standards.boot_log.algorithms import SHA256
from standards.ima.decode import LIST_BYTES_MAX, entries_begin_at
from standards.ima.entries import IMA_PCR
from standards.ima.errors import ImaError
from standards.tpm2.structures import Attest, ClockInfo, PcrSelection


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """The use case with everything that it needs; ``purposes`` is the allow-list of triggers (R70).

    ``boot_log`` is None where the machine has no event log (U-Boot, firmware TPM): its manifest must say so. ``ima_log`` is
    None where the machine has no IMA: a PVA that asks for its list then finds it missing.
    """

    device: TpmDevice
    state: TreState
    guard: ExchangeGuard
    anchors: Anchors
    boot_log: BootLogFile | None
    purposes: frozenset[str]
    ima_log: BootLogFile | None

    def attest(self, token: str) -> bytes:
        """Evidence for the challenge in ``token``, as a CMW record.

        Raises:
            TreError: a subclass for each step below; up to step 5 nothing was signed, and afterwards nothing is answered.
        """
        # 1 the signer: a PVA under the anchored root, judged at the time that it signed
        signed = verify_challenge(token, anchors=self.anchors)
        challenge = signed.challenge
        # 2 the keys and the PfC over them
        access = key_access(self.state, self.device)
        credential = self.state.credential()
        if credential is None:
            raise NotEnrolledError(
                subject="platform credential",
                reason="none is installed",
                remedy="enrol the device: m2me enroll",
            )
        # 3 for this device and for a purpose that may drive an attestation
        self._check_addressed(challenge, access)
        # 4 the boot log, before anything is spent on an answer without one
        boot_log = b"" if self.boot_log is None else self.boot_log.read()
        # 5 time goes on, the allowance lasts; both are remembered before anything is signed
        begun_at = credential_begins_at(credential)
        self.guard.admit(signed, clock=self.device.read_clock(), begun_at=begun_at)
        # 6 sign: the body is ours, from the verified challenge
        body = challenge.context()
        quote_data = extra_data(PVA_EVIDENCE, nonce=challenge.nonce, body=body)
        key_data = extra_data(PVA_KEY, nonce=challenge.nonce, body=body)
        with self.device.unlock(access) as keys:
            quote = keys.quote(extra_data=quote_data, selections=_selections(challenge))
            storage = keys.certify_storage_key(extra_data=key_data)
            counter = keys.certify_generation_counter(extra_data=key_data)
            ima = self._ima(challenge, keys, room=BOOT_LOG_BYTES_MAX - len(boot_log))
        # 7 answer
        return encode_evidence(
            EvidenceMessage(
                challenge_token=token,
                body=body,
                attest=quote.statement.attest,
                signature=quote.statement.signature,
                pfc_chain=credential,
                pcr_values=quote.pcr_values,
                boot_log=boot_log,
                ima=ima,
                storage_key=_certified(access.keys.storage.encode(), storage),
                generation_counter=_certified(access.keys.counter.encode(), counter),
                ak_public=access.keys.ak.encode(),
            )
        )

    def _ima(self, challenge: Challenge, keys: UnlockedKeys, *, room: int) -> ImaEvidence | None:
        """PCR 10 under a quote of its own, and the list as it is afterwards: so it reaches what was quoted."""
        if not challenge.ima or self.ima_log is None:
            return None
        quote = keys.quote(
            extra_data=extra_data(PVA_IMA, nonce=challenge.nonce, body=challenge.context()),
            selections=(PcrSelection(bank=SHA256, indices=(IMA_PCR,)),),
        )
        clock = Attest.decode(quote.statement.attest).clock_info
        log, first = self._entries(self.ima_log, challenge.ima_after, clock=clock, room=room)
        return ImaEvidence(
            log=log,
            first=first,
            attest=quote.statement.attest,
            signature=quote.statement.signature,
            pcr_value=quote.pcr_values[SHA256][IMA_PCR],
        )

    def _entries(
        self, ima_log: BootLogFile, after: ImaOffset | None, *, clock: ClockInfo, room: int
    ) -> tuple[bytes, int]:
        """What the PVA does not know of this boot's list, and the number of its first entry; all of it in another boot."""
        if after is None or (clock.reset_count, clock.restart_count) != (
            after.reset_count,
            after.restart_count,
        ):
            return ima_log.read(bytes_max=room), 0
        whole = ima_log.read(bytes_max=LIST_BYTES_MAX)
        try:
            begin = entries_begin_at(whole, after.count)
        except ImaError:
            begin = None  # a list that cannot be read here is for the PVA to refuse
        log, first = (whole, 0) if begin is None else (whole[begin:], after.count)
        if len(log) > room:
            raise BootLogError(
                subject="IMA list",
                reason=f"expected at most {room} bytes after entry {first}, got {len(log)}",
                remedy="have the PVA ask more often, or measure fewer files",
            )
        return log, first

    def _check_addressed(self, challenge: Challenge, access: KeyAccess) -> None:
        remedy = "fetch a challenge for this device from the PVA"
        own = identity(access.keys.ek).hex()
        if challenge.device_id != own:
            raise ChallengeError(
                subject="device of the challenge",
                reason=f"expected {own}, got {challenge.device_id}",
                remedy=remedy,
            )
        if challenge.purpose not in self.purposes:
            raise ChallengeError(
                subject="purpose of the challenge",
                reason=f"expected {' or '.join(sorted(self.purposes))}, got {challenge.purpose}",
                remedy="ask for a purpose that this device's policy allows",
            )


def _selections(challenge: Challenge) -> tuple[PcrSelection, ...]:
    return tuple(
        PcrSelection(bank=bank, indices=indices) for bank, indices in challenge.pcr_selections.items()
    )


def _certified(public: bytes, signed: SignedStatement) -> CertifiedStructure:
    return CertifiedStructure(public=public, attest=signed.attest, signature=signed.signature)
