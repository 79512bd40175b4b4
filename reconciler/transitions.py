"""How the state moves: what a person approved, what was seen live, what a create came to. Pure, value to value.

The executor writes each result before it acts on it, so that a kill between any two steps leaves a state from which
the next run goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from reconciler.model.desired import DesiredModel
from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.plan import Action, Change, Reason
from reconciler.state.parents import ParentState
from reconciler.state.records import Attempt, Because, Intent, Origin, Record, State, Ticket


def approve(
    state: State,
    changes: Iterable[Change],
    wanted: Mapping[str, DesiredModel],
    observation: Observation,
    *,
    approved_by: str,
    plan_checksum: str,
    ended_because: Because = Because.REMOVED,
) -> State:
    """The state once these changes are agreed to: tickets for creates, the reason on what is cancelled, adoptions.

    `ended_because` is noted on a job that is cancelled since nothing desires it. Lifecycle and source position of each
    desired address are copied into its record, on a leave too.
    """
    draft = _Draft(state)
    for change in sorted(changes, key=lambda one: one.action is Action.FORGET):
        model = wanted.get(change.address)
        draft.take_back(change.address, model)
        if change.action is Action.CANCEL:
            draft.mark(change.address, Because.REPLACED if change.reason is Reason.ROLLED_BACK else ended_because)
            draft.queue.pop(change.address, None)
        _approve_one(draft, change, model, observation, approved_by=approved_by, plan_checksum=plan_checksum)
        draft.describe(change.address, model)
    # A look that missed a location may have missed the jobs of another owner of this stack's name.
    return replace(draft.state(), applied=state.applied or observation.is_complete)


class _Draft:
    """A state being rewritten: plain dictionaries, frozen again at the end."""

    def __init__(self, state: State) -> None:
        self.before = state
        self.records = dict(state.records)
        self.retired = dict(state.retired)
        self.intents = dict(state.intents)
        self.queue = dict(state.queue)

    def state(self) -> State:
        """The finished state."""
        return replace(self.before, records=self.records, retired=self.retired, intents=self.intents, queue=self.queue)

    def take_back(self, address: str, model: DesiredModel | None) -> None:
        """A re-declared address gets its forgotten record back, and with it its model."""
        if model is not None and address not in self.records and address in self.retired:
            self.records[address] = self.retired.pop(address)

    def describe(self, address: str, model: DesiredModel | None) -> None:
        """The record learns what the manifest says about the life of the model, and where it says so."""
        record = self.records.get(address)
        if model is not None and record is not None:
            self.records[address] = replace(record, lifecycle=model.lifecycle, source=model.source)

    def mark(self, address: str, because: Because | None) -> None:
        """Note on the current attempt why we end its job, or that we no longer do."""
        record = self.records.get(address)
        if record is not None and record.current.because is not because:
            current = replace(record.current, because=because)
            self.records[address] = replace(record, attempts=(*record.attempts[:-1], current))

    def append(self, address: str, attempt: Attempt) -> None:
        """Make this attempt the current one of its address."""
        record = self.records.get(address)
        earlier = () if record is None else tuple(one for one in record.attempts if one.job != attempt.job)
        kept = Record(address=address, attempts=(attempt,)) if record is None else record
        self.records[address] = replace(kept, attempts=(*earlier, attempt))


def _approve_one(
    draft: _Draft,
    change: Change,
    model: DesiredModel | None,
    observation: Observation,
    *,
    approved_by: str,
    plan_checksum: str,
) -> None:
    if change.action is Action.REPLACE:
        draft.mark(change.address, Because.REPLACED)
    if change.action in (Action.CREATE, Action.REPLACE) and model is not None:
        ticket = _ticket(change, model, observation.at, approved_by=approved_by, plan_checksum=plan_checksum)
        waiting = draft.queue.get(change.address)
        if waiting is not None and waiting.fingerprint == ticket.fingerprint:
            # Approved before and not served yet: it keeps its place and the mark of its attempt.
            ticket = replace(waiting, priority=model.priority, after=ticket.after)
        draft.queue[change.address] = ticket
    if change.action is Action.ADOPT:
        _adopt(draft, change, model, observation)
    if change.action is Action.FORGET:
        _forget(draft, change)
    if change.action is Action.LEAVE:
        _leave(draft, change, model)


def _ticket(change: Change, model: DesiredModel, now: datetime, *, approved_by: str, plan_checksum: str) -> Ticket:
    return Ticket(
        address=change.address,
        fingerprint=model.fingerprint,
        attempt=change.attempt or 1,
        reason=change.reason.value,
        priority=model.priority,
        location=model.location,
        enqueued_at=now,
        after=change.job if change.action is Action.REPLACE else None,
        parent=model.parent,
        approved_by=approved_by,
        plan_checksum=plan_checksum,
    )


def _adopt(draft: _Draft, change: Change, model: DesiredModel | None, observation: Observation) -> None:
    if change.reason is Reason.MOVED and change.moved is not None:
        old = draft.records.pop(change.moved, None)
        if old is not None and model is not None:
            # The job is the same in effect, so from here on it stands for the new address and its fingerprint.
            current = replace(old.current, fingerprint=model.fingerprint, fields=model.fields)
            taken_back = draft.records.get(change.address)
            earlier = () if taken_back is None else taken_back.attempts
            attempts = (*earlier, *old.attempts[:-1], current)
            draft.records[change.address] = replace(old, address=change.address, attempts=attempts)
        return
    if change.reason is Reason.ROLLED_BACK:
        record = draft.records.get(change.address)
        older = () if record is None else tuple(one for one in record.attempts if one.job == change.job)
        if older:
            draft.append(change.address, replace(older[0], because=None))
            draft.queue.pop(change.address, None)
        return
    if change.reason is Reason.SUBMITTED:
        # The first cycle of every apply settles the intents, this one too.
        return
    job = next((one for one in observation.jobs if one.name == change.job), None)
    if job is not None:
        attempt = _attempt_by_label(job, model, observation.at)
        ticket = draft.queue.pop(change.address, None)
        if ticket is not None and ticket.nonce == job.nonce:
            # It came of a submission that was given up for lost: the state knows its mark as well as its labels do.
            attempt = replace(attempt, origin=Origin.CREATED, submissions=max(1, ticket.submissions))
        draft.append(change.address, attempt)


def _attempt_by_label(job: LiveJob, model: DesiredModel | None, now: datetime) -> Attempt:
    same = model is not None and job.fingerprint == model.fingerprint
    return Attempt(
        number=job.attempt,
        fingerprint=job.fingerprint or "unknown",
        job=job.name,
        location=job.location,
        origin=Origin.LABEL,
        recorded_at=now,
        fields=model.fields if same and model is not None else {},
        nonce=job.nonce,
    )


def _forget(draft: _Draft, change: Change) -> None:
    record = draft.records.pop(change.address, None)
    if record is not None:
        draft.retired[change.address] = record
    draft.queue.pop(change.address, None)
    draft.intents.pop(change.address, None)


def _leave(draft: _Draft, change: Change, model: DesiredModel | None) -> None:
    if model is None:
        return
    record = draft.records.get(change.address)
    if change.reason is Reason.SAME_SPEC and record is not None:
        current = replace(record.current, fingerprint=model.fingerprint, fields=model.fields)
        draft.records[change.address] = replace(record, attempts=(*record.attempts[:-1], current))
    if change.reason in (Reason.IN_PROGRESS, Reason.SUCCEEDED) and record is not None:
        # It is wanted again, so what ends it from now on, or deletes its model, is not our doing. What a person asked
        # to cancel was wanted all the time.
        draft.mark(change.address, Because.REQUESTED if record.current.because is Because.REQUESTED else None)
    ticket = draft.queue.get(change.address)
    if ticket is None:
        return
    if change.reason is Reason.QUEUED:
        draft.queue[change.address] = replace(ticket, priority=model.priority)
    elif ticket.fingerprint != model.fingerprint:
        # What waits is no longer wanted, and the plan does not put anything in its place.
        del draft.queue[change.address]


def adopt_intents(state: State, observation: Observation) -> State:
    """Records for every open intent whose nonce is live: the submission succeeded, whether or not we heard so."""
    by_nonce: dict[str, LiveJob] = {}
    for job in sorted(observation.jobs, key=lambda one: (one.created_at, one.name), reverse=True):
        if job.owner == state.lineage and job.nonce is not None:
            by_nonce[job.nonce] = job
    for intent in state.intents.values():
        if intent.nonce in by_nonce:
            state = created(state, intent, by_nonce[intent.nonce], now=observation.at)
    return state


def drop_settled_intents(state: State, observation: Observation, settle_time: timedelta) -> State:
    """Closes intents that are older than the settle time and whose job no complete look has shown.

    Their tickets stay, with the same nonce, so that the next cycle submits again. Call `adopt_intents` first.
    """
    lost = {
        intent.address: intent
        for intent in state.intents.values()
        if intent.location in observation.read and observation.at - intent.written_at >= settle_time
    }
    if not lost:
        return state
    queue = {address: _sent_before(ticket, lost.get(address)) for address, ticket in state.queue.items()}
    return replace(state, intents=_without(state.intents, lost), queue=queue)


def _sent_before(ticket: Ticket, lost: Intent | None) -> Ticket:
    # A ticket that was approved anew bears another mark, for which nothing was sent yet.
    if lost is None or lost.nonce != ticket.nonce:
        return ticket
    return replace(ticket, submissions=lost.submissions)


def note_ended(state: State, observation: Observation) -> tuple[State, tuple[tuple[str, LiveJob], ...]]:
    """The state that knows how each recorded job ended, and which of them, by address, it did not know of before."""
    jobs = observation.by_name()
    records, ended = dict(state.records), []
    for address, record in state.records.items():
        job = jobs.get(record.current.job)
        if job is None or job.is_active or record.current.ended_as == job.state:
            continue
        current = replace(record.current, ended_as=job.state, billable_token_count=job.billable_token_count)
        records[address] = replace(record, attempts=(*record.attempts[:-1], current))
        ended.append((address, job))
    return (replace(state, records=records), tuple(ended)) if ended else (state, ())


def note_ready(state: State, parents: Mapping[str, ParentState], now: datetime) -> State:
    """The state that knows since when tickets could start, whose parent has just become ready: their age counts so."""
    ready = {
        address: replace(ticket, ready_at=now)
        for address, ticket in state.queue.items()
        if ticket.ready_at is None and parents.get(address) is ParentState.READY
    }
    return replace(state, queue={**state.queue, **ready}) if ready else state


def intend(state: State, tickets: Collection[Ticket], wanted: Mapping[str, DesiredModel], now: datetime) -> State:
    """The state that says which creates are about to be sent; one write holds all intents of a cycle."""
    intents = {
        ticket.address: Intent(
            address=ticket.address,
            fingerprint=ticket.fingerprint,
            attempt=ticket.attempt,
            nonce=ticket.nonce,
            location=ticket.location,
            written_at=now,
            fields=wanted[ticket.address].fields,
            submissions=ticket.submissions + 1,
        )
        for ticket in tickets
    }
    return replace(state, intents={**state.intents, **intents})


def created(state: State, intent: Intent, job: LiveJob, *, now: datetime, origin: Origin = Origin.CREATED) -> State:
    """The state once a job is known to stand for an intent: recorded, and no longer intended or queued."""
    draft = _Draft(state)
    attempt = Attempt(
        number=intent.attempt,
        fingerprint=intent.fingerprint,
        job=job.name,
        location=job.location,
        origin=origin,
        recorded_at=now,
        fields=intent.fields,
        nonce=intent.nonce,
        submissions=intent.submissions,
    )
    draft.append(intent.address, attempt)
    draft.intents.pop(intent.address, None)
    draft.queue.pop(intent.address, None)
    return draft.state()


def described(state: State, wanted: Mapping[str, DesiredModel], addresses: Iterable[str]) -> State:
    """The state in which the records of these addresses know the life of the model and its place in the manifests."""
    draft = _Draft(state)
    for address in addresses:
        draft.describe(address, wanted.get(address))
    return draft.state()


def refused(state: State, intent: Intent, *, not_before: datetime | None, by: str | None = None) -> State:
    """The state after a definite refusal: nothing was created, so the intent closes.

    With an instant the ticket keeps its place and waits until then, refused `by` that kind of refusal; without one it
    is given up.
    """
    draft = _Draft(state)
    draft.intents.pop(intent.address, None)
    ticket = draft.queue.get(intent.address)
    if ticket is None:
        return draft.state()
    if not_before is None:
        del draft.queue[intent.address]
    else:
        draft.queue[intent.address] = replace(
            ticket, not_before=not_before, refusals=ticket.refusals + 1, refused_by=by
        )
    return draft.state()


def cancel_requested(state: State, address: str, because: Because | None) -> State:
    """The state without the ticket of the address, and with the reason why its current job is about to be cancelled.

    None where no job runs.
    """
    draft = _Draft(state)
    if because is not None:
        draft.mark(address, because)
    draft.queue.pop(address, None)
    return draft.state()


def _without(mapping: Mapping[str, Intent], keys: Collection[str]) -> dict[str, Intent]:
    return {key: value for key, value in mapping.items() if key not in keys}
