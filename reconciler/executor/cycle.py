"""The only hand that mutates: observe, admit, intend, look, create, record, report, wait.

Each cycle acts on what is there, not on what happened before, so it may be killed anywhere and run again anywhere. The
order of its steps is the protocol of safe submission:

1. the intent is written before the create is sent, one write for all intents of a cycle;
2. the location is looked at once more, and a job that already stands for the intent is adopted;
3. `check` asks right before each call whether we may still write;
4. the create is sent once, its nonce as a label, and never again by any layer;
5. afterwards the location is looked at, and of two jobs for one attempt the later is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.errors import StateError
from reconciler.events import Kind
from reconciler.executor.effects import Effects, cancel, save, tell
from reconciler.executor.submit import end_duplicates, settle_duplicates, submit, write_intents
from reconciler.model.desired import Desired
from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.plan import Action, Change, Reason
from reconciler.planner.make import make_plan
from reconciler.providers.observe import observe
from reconciler.quota import Ledger, own_job_names, take_ledger
from reconciler.scheduler import Cycle, Deferral, Surroundings, admit
from reconciler.serving import serving_order
from reconciler.state.held import Held, refreshed
from reconciler.state.history import Entry, EntryKind
from reconciler.state.parents import parent_states
from reconciler.state.records import Attempt, Because, State
from reconciler.state.unseen import SETTLE_TIME, unseen_attempts
from reconciler.transitions import (
    adopt_intents,
    approve,
    cancel_requested,
    described,
    drop_settled_intents,
    note_ended,
    note_ready,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one cycle left: the state as stored, what it saw, who still waits, and what was given up for good.

    `has_submitted` says that it looked again after its decisions, so that nothing of that look was decided on yet.
    """

    held: Held
    observation: Observation
    ledger: Ledger
    deferred: tuple[Deferral, ...] = ()
    given_up: Mapping[str, str]
    has_submitted: bool = False


def carry_out(
    effects: Effects,
    held: Held,
    desired: Desired,
    changes: Sequence[Change],
    observation: Observation,
    *,
    approved_by: str = "",
    plan_checksum: str = "",
    ended_because: Because = Because.REMOVED,
) -> Held:
    """Writes the approval of these changes into the state, then asks for the cancels among them.

    Creates become tickets; `run_cycle` serves them. A cancel that is refused is reported and does not stop the others.
    """
    state = approve(
        held.state,
        changes,
        desired.by_address(),
        observation,
        approved_by=approved_by,
        plan_checksum=plan_checksum,
        ended_because=ended_because,
    )
    for change in changes:
        if change.action is not Action.LEAVE:
            facts = {
                "address": change.address,
                "action": change.action.value,
                "reason": change.reason.value,
                "fingerprint": change.fingerprint,
                "attempt": change.attempt,
                "job": change.job,
            }
            effects.chronicle.add(Entry(kind=EntryKind.APPROVED, at=observation.at, facts=facts))
    held = save(effects, held, state)
    for change in changes:
        if change.action in (Action.CANCEL, Action.REPLACE) and change.job is not None:
            cancel(effects, change.address, change.job, change.reason.value)
    return held


def request_cancel(effects: Effects, held: Held, address: str, because: Because, *, is_running: bool) -> Held:
    """Drops the ticket of one address and cancels its current job if that runs; the reason is written first."""
    record = held.state.records.get(address)
    state = cancel_requested(held.state, address, because if is_running else None)
    held = save(effects, held, state)
    if record is not None and is_running:
        cancel(effects, address, record.current.job, because.value)
    return held


def run_cycle(
    effects: Effects,
    held: Held,
    desired: Desired,
    scope: frozenset[str],
    *,
    seen: Observation | None = None,
    stop: Callable[[], bool] = lambda: False,
    show: Callable[[Round], None] = lambda round: None,
) -> Round:
    """One pass: look, settle what is open, follow up, admit, submit, look again.

    With `seen`, what an earlier pass saw, only the locations that can have changed for us are listed anew; before
    anything is submitted all of them are. Only tickets and records of addresses in `scope` are acted on. Nothing is
    submitted once `stop` says so. `show` is given the round as it stands before the creates are sent.
    """
    # Where nothing is watched one location is still asked, for the server's time that back-offs count by.
    held = refreshed(effects.store, held) if held.state.queue else held
    watched = () if seen is None else watched_locations(held.state, seen) or (desired.stack.location,)
    locations = effects.locations if seen is None else watched
    newer = observe(effects.provider, locations, now=effects.clock.now())
    look = _Look(newer if seen is None else seen.updated(newer), is_full=seen is None)
    decided = _decide(effects, held, desired, scope, look)
    if decided.cycle.admitted and not look.is_full and not stop():
        # A slot that looks free may have been taken by somebody we were not watching.
        full = observe(effects.provider, effects.locations, now=look.observation.at)
        decided = _decide(effects, decided.held, desired, scope, _Look(full, is_full=True))
    admitted = () if stop() else decided.cycle.admitted
    if not admitted:
        return _round(desired, effects, decided, decided.held)
    held = write_intents(effects, decided.held, desired, admitted, decided.observation)
    show(_round(desired, effects, decided, held))
    intents = [held.state.intents[ticket.address] for ticket in admitted]
    held, observation, given_up = submit(effects, held, desired, intents, decided.observation)
    made = _round(desired, effects, replace(decided, observation=observation), held, given_up)
    return replace(made, has_submitted=len(given_up) < len(intents))


@dataclass(frozen=True, slots=True)
class _Look:
    observation: Observation
    is_full: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    held: Held
    observation: Observation
    cycle: Cycle


def _decide(effects: Effects, held: Held, desired: Desired, scope: frozenset[str], look: _Look) -> _Decided:
    """The state settled by what was seen, written, and who would get a slot."""
    observation = look.observation
    state = described(adopt_intents(held.state, observation), desired.by_address(), held.state.intents)
    state, doubled = settle_duplicates(effects, state, observation)
    state = _settled(effects, state, observation)
    state = _with_follow_ups(effects, state, desired, observation, scope)
    state = note_ready(state, parent_states(state.queue.values(), desired, state, observation), observation.at)
    held = save(effects, held, state)
    end_duplicates(effects, doubled)
    ledger = take_ledger(desired.stack.quota, held.state, observation, effects.rules)
    cycle = _admit(effects, held.state, desired, observation, ledger, scope)
    return _Decided(held=held, observation=observation, cycle=cycle)


def _round(
    desired: Desired, effects: Effects, decided: _Decided, held: Held, given_up: Mapping[str, str] | None = None
) -> Round:
    return Round(
        held=held,
        observation=decided.observation,
        ledger=take_ledger(desired.stack.quota, held.state, decided.observation, effects.rules),
        deferred=decided.cycle.deferred,
        given_up=given_up or {},
    )


def watched_locations(state: State, seen: Observation) -> tuple[str, ...]:
    """Where something of ours, or something that keeps ours waiting, may have changed since that look.

    Our jobs that have not ended, submissions not seen yet, locations that could not be read, and, while something
    waits, the active jobs of others.
    """
    ours = own_job_names(state, seen.jobs)
    locations = {intent.location for intent in state.intents.values()} | set(seen.unread)
    locations |= {attempt.location for attempt in unseen_attempts(state, seen).values()}
    locations |= {job.location for job in seen.jobs if job.is_active and (job.name in ours or state.queue)}
    return tuple(sorted(locations))


def _settled(effects: Effects, state: State, observation: Observation) -> State:
    """The state without submissions that surely never happened, and with how jobs ended; both told to the history."""
    state, ended = note_ended(state, observation)
    for address, job in ended:
        facts = {"address": address, "job": job.name, "state": job.state, "billable_tokens": job.billable_token_count}
        effects.chronicle.add(Entry(kind=EntryKind.ENDED, at=observation.at, facts=facts))
    settled = drop_settled_intents(state, observation, SETTLE_TIME)
    unanswered = sorted(state.intents.keys() - settled.intents.keys())
    for address in unanswered:
        if effects.strict_once:
            since = f"{state.intents[address].written_at:%Y-%m-%d %H:%M:%S} UTC"
            raise StateError(
                "A submission was never answered",
                f"{address} was submitted at {since}, no answer came and no job of it is listed. Look for it in the "
                "console. If there is none, apply without --strict-once, which submits it again.",
            )
        tell(effects, Kind.UNANSWERED, address, "no job came of its submission; it is submitted again")
    return settled


def _with_follow_ups(
    effects: Effects, state: State, desired: Desired, observation: Observation, scope: frozenset[str]
) -> State:
    """What follows without a new approval: a declared retry, and what a cancel was for, adopting or forgetting.

    A retry is the only create that nobody approves anew, and it was approved by the manifest that declares it.
    """
    jobs = observation.by_name()
    current = {address: record.current for address, record in state.records.items() if address in scope}
    if not any(_may_follow(one, jobs.get(one.job)) for one in current.values()):
        return state
    plan = make_plan(desired, state, observation, now=observation.at, defaults=effects.defaults, rules=effects.rules)
    follow_ups = [one for one in plan.changes if one.address in scope and _follows(one, current.get(one.address))]
    for change in follow_ups:
        tell(effects, _FOLLOW_UPS[change.action], change.address, change.why, change.job)
    return approve(
        state, follow_ups, desired.by_address(), observation, approved_by="the approval before", plan_checksum=""
    )


_FOLLOW_UPS = {Action.CREATE: Kind.RETRY, Action.ADOPT: Kind.ADOPTED, Action.FORGET: Kind.FORGOTTEN}


def _follows(change: Change, attempt: Attempt | None) -> bool:
    """Whether the approval of an earlier change covers this one too."""
    if change.action is Action.FORGET:
        return attempt is not None and attempt.because is Because.REMOVED
    if change.action is Action.ADOPT:
        return change.reason is Reason.ROLLED_BACK
    return change.reason is Reason.RETRY


def _may_follow(attempt: Attempt, job: LiveJob | None) -> bool:
    """Whether this job's end may ask for something more; a look at one job, where a plan looks at all."""
    if job is None or job.is_active:
        return False
    return job.has_failed or attempt.because in (Because.REPLACED, Because.REMOVED)


def _admit(
    effects: Effects,
    state: State,
    desired: Desired,
    observation: Observation,
    ledger: Ledger,
    scope: frozenset[str],
) -> Cycle:
    mine = (ticket for address, ticket in state.queue.items() if address in scope)
    tickets = serving_order(desired, mine, observation, ledger)
    wanted = desired.by_address()
    around = Surroundings(
        active_jobs=frozenset(job.name for job in observation.jobs if job.is_active),
        submitting=state.intents.keys() | unseen_attempts(state, observation).keys(),
        wanted={model.address: model.fingerprint for model in desired.models},
        parents=parent_states(tickets, desired, state, observation),
        needs={
            ticket.address: effects.rules.needs_of(wanted[ticket.address].fields)
            for ticket in tickets
            if ticket.address in wanted
        },
    )
    return admit(tickets, ledger, around, now=observation.at)
