"""What the responder answers, from bytes to bytes (RFC 6960, RFC 9919, RFC 9654).

The one rule: whatever is asked, and whatever fails in here, the client gets an OCSP answer, and never `good` in doubt
(`ocsp.judgement`).

Several issuers in one request
    Each CertID is answered under its own issuer. One response has one signer, the delegate of the first
    issuer that is served here; whoever has not configured this responder as an authority must not take its
    word for certificates of other issuers (RFC 6960 section 4.2.2.2), and asks for them separately.

The state of the platform
    Where `states` are given, answers to requests with a nonce tell it too (`ocsp.platform_states`): they are for one
    reader, and are given to nobody else. The public listener gives none.

Several requests at once
    Everything is decided first, and then signed: a signature drives all else out of the processor's cache.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from edge.database_faults import DatabaseUnavailableError
from ocsp.delegates import Delegate, DelegateDirectory, Issuer
from ocsp.judgement import DEFAULT_POLICY, AnswerPolicy, Moment, NeverIssued, StatusStore, look_up
from ocsp.responses import Answer, SingleResponse, Unsigned, error_response, unsigned_response
from ocsp.signed_answers import Saying, SignedAnswers
from ocsp.single_extensions import NOTHING_MORE, SingleExtensions, single_extensions
from standards.pki.errors import DecodeError
from standards.pki.ocsp import OcspRequest, ResponseStatus, decode_request
from standards.pki.ocsp_plain import read_plain_request


class StateTeller(Protocol):
    """Who knows the state of platforms, as far as the one who asks may know it."""

    def said(self, issuer: Issuer, serial: int) -> bytes:
        """DER of the Extension about the certificate of that number, nothing where no result is known."""


def respond(
    request: bytes,
    *,
    now: datetime,
    status_store: StatusStore,
    delegates: DelegateDirectory,
    policy: AnswerPolicy = DEFAULT_POLICY,
) -> bytes:
    """Answer any bytes with a DER OCSPResponse; never raises."""
    return answer(request, now=now, status_store=status_store, delegates=delegates, policy=policy).der


def answer(
    request: bytes | OcspRequest,
    *,
    now: datetime,
    status_store: StatusStore,
    delegates: DelegateDirectory,
    policy: AnswerPolicy = DEFAULT_POLICY,
    states: StateTeller | None = None,
) -> Answer:
    """Like `respond`, with what HTTP has to know beside the bytes; never raises.

    With `states` an answer to a request with a nonce tells them too.
    """
    try:
        moment = Moment(now, as_of=status_store.as_of(), policy=policy)
    except Exception as error:  # noqa: BLE001  # whatever fails in here, the client gets an OCSP answer
        return _refusal(_status_of(error), error)
    draft = _Desk(moment, status_store, delegates, policy, states).draft(request)
    return _answered(draft, _signature(draft, now=now, signed=None), signed=None)


def answer_all(
    requests: Sequence[bytes | OcspRequest],
    *,
    now: datetime,
    status_store: StatusStore,
    delegates: DelegateDirectory,
    policy: AnswerPolicy = DEFAULT_POLICY,
    signed: SignedAnswers | None = None,
) -> list[Answer]:
    """Answer every request, in their order; never raises, and no request is another's failure.

    A request is octets, or was read already. Answers without a nonce are taken from `signed` where it has them, and
    are kept there.
    """
    # how far the store has heard, before it is asked: what it tells is at least that new
    try:
        moment = Moment(now, as_of=status_store.as_of(), policy=policy)
    except Exception as error:  # noqa: BLE001  # whatever fails in here, the client gets an OCSP answer
        return [_refusal(_status_of(error), error) for _ in requests]
    desk = _Desk(moment, status_store, delegates, policy)
    drafts = [desk.draft(each) for each in requests]
    signatures = [_signature(each, now=now, signed=signed) for each in drafts]
    return [
        _answered(draft, signature, signed=signed)
        for draft, signature in zip(drafts, signatures, strict=True)
    ]


class _Draft(NamedTuple):
    """An answer that lacks its signature; `saying` where it can be given to others too."""

    unsigned: Unsigned
    saying: Saying | None
    this_update: datetime
    next_update: datetime


class _Desk(NamedTuple):
    """Where the answers of one moment are decided."""

    moment: Moment
    store: StatusStore
    delegates: DelegateDirectory
    policy: AnswerPolicy
    states: StateTeller | None = None

    def draft(self, request: bytes | OcspRequest) -> _Draft | Answer:
        """What is to be signed, or the answer where that is none that is signed; never raises."""
        try:
            return self._draft(request)
        except Exception as error:  # noqa: BLE001  # whatever fails in here, the client gets an OCSP answer
            return _refusal(_status_of(error), error)

    def _draft(self, request: bytes | OcspRequest) -> _Draft | Answer:
        # 1 decode the request
        asked = (
            request
            if isinstance(request, OcspRequest)
            else read_plain_request(request) or decode_request(request)
        )
        # 2 find the issuers
        issuers = [self.delegates.find(each) for each in asked.cert_ids]
        # 3 choose the delegate that signs
        served, delegate = False, None
        for issuer in issuers:
            if issuer is not None:
                served = True
                delegate = delegate or issuer.able(at=self.moment.now)
        if not served:
            return _refusal(ResponseStatus.UNAUTHORIZED)  # L6
        if delegate is None:
            return _refusal(ResponseStatus.TRY_LATER)
        # 4 look the statuses up
        facts = look_up(asked.cert_ids, issuers, self.store, compromised=self.policy.compromised)
        # 5 judge how long they hold, or admit that they are too old
        singles = []
        for cert_id, fact in zip(asked.cert_ids, facts, strict=True):
            told = self.moment.told(fact, until=delegate.until)
            if told is None:
                return _refusal(ResponseStatus.TRY_LATER)
            singles.append(SingleResponse(cert_id, told))
        # 6 say it
        states = self.states if asked.nonce is not None else None
        if self.policy.single_extensions is not NOTHING_MORE or states is not None:
            singles = _extended(
                singles,
                issuers,
                self.policy.single_extensions,
                states=states,
                produced_at=self.moment.second,
            )
        extended_revoke = self.policy.never_issued is NeverIssued.REVOKED and any(
            each.never_issued for each in facts
        )
        return self._said(singles, asked=asked, delegate=delegate, extended_revoke=extended_revoke)

    def _said(
        self,
        singles: Sequence[SingleResponse],
        *,
        asked: OcspRequest,
        delegate: Delegate,
        extended_revoke: bool,
    ) -> _Draft:
        unsigned = unsigned_response(
            singles,
            delegate=delegate,
            produced_at=self.moment.second,
            nonce=asked.nonce,
            extended_revoke=extended_revoke,
            preferred=asked.preferred,
        )
        saying = None
        if asked.nonce is None:
            saying = Saying(
                singles=tuple((each.cert_id.der, each.told.known, each.told.revocation) for each in singles),
                delegate=delegate.certificate,
                preferred=asked.preferred,
                extended_revoke=extended_revoke,
            )
        told = [each.told for each in singles]
        return _Draft(
            unsigned,
            saying,
            max([each.this_update for each in told]),
            min([each.next_update for each in told]),
        )


def _signature(draft: "_Draft | Answer", *, now: datetime, signed: SignedAnswers | None) -> bytes | Answer:
    """The signature, or the answer where there is one already; never raises."""
    if isinstance(draft, Answer):
        return draft
    if draft.saying is not None and signed is not None:
        found = signed.find(draft.saying, now=now)
        if found is not None:
            return found
    try:
        return draft.unsigned.signature()
    except Exception as error:  # noqa: BLE001  # whatever fails in here, the client gets an OCSP answer
        return _refusal(_status_of(error), error)


def _answered(draft: "_Draft | Answer", signature: bytes | Answer, *, signed: SignedAnswers | None) -> Answer:
    if isinstance(signature, Answer):
        return signature
    if isinstance(draft, Answer):  # its `_signature` is itself
        return draft
    unsigned, saying, this_update, next_update = draft
    made = Answer(
        der=unsigned.response(signature),
        status=ResponseStatus.SUCCESSFUL,
        nonce=saying is None,
        this_update=this_update,
        next_update=next_update,
    )
    if saying is not None and signed is not None:
        signed.keep(saying, made)
    return made


def _extended(
    singles: Sequence[SingleResponse],
    issuers: Sequence[Issuer | None],
    extensions: SingleExtensions,
    *,
    states: StateTeller | None,
    produced_at: datetime,
) -> list[SingleResponse]:
    """With what the operator wants said beside each status (O14, O15, O16), and the state of the platform."""
    extended = []
    for each, issuer in zip(singles, issuers, strict=True):
        more = extensions.said(
            None if issuer is None else issuer.ca_id, each.told.revocation, produced_at=produced_at
        )
        if states is not None and issuer is not None:
            more += states.said(issuer, each.cert_id.serial)
        extended.append(each._replace(extensions=single_extensions(more)))
    return extended


def _refusal(status: ResponseStatus, error: Exception | None = None) -> Answer:
    return Answer(der=error_response(status), status=status, error=error)


def _status_of(error: Exception) -> ResponseStatus:
    if isinstance(error, DecodeError):
        return ResponseStatus.MALFORMED_REQUEST
    if isinstance(error, DatabaseUnavailableError):  # its store is away for a moment, not lost
        return ResponseStatus.TRY_LATER
    return ResponseStatus.INTERNAL_ERROR
