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
from dataclasses import dataclass

from reconciler.errors import StateError
from reconciler.events import Kind
from reconciler.executor.effects import Effects, cancel, save, tell
from reconciler.executor.submit import end_duplicates, submit, write_intents
from reconciler.model.desired import Desired
from reconciler.model.observation import Observation
from reconciler.plan import Action, Change, Reason
from reconciler.planner.make import make_plan
from reconciler.providers.observe import observe
from reconciler.quota import Ledger, take_ledger
from reconciler.scheduler import Cycle, Deferral, Surroundings, admit
from reconciler.state.held import Held
from reconciler.state.history import Entry, EntryKind
from reconciler.state.parents import parent_states
from reconciler.state.records import Because, State
from reconciler.state.unseen import SETTLE_TIME, unseen_attempts
from reconciler.transitions import adopt_intents, approve, cancel_requested, drop_settled_intents, note_ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one cycle left: the state as stored, what it saw, who still waits, and what was given up for good."""

    held: Held
    observation: Observation
    ledger: Ledger
    deferred: tuple[Deferral, ...] = ()
    given_up: Mapping[str, str]


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
    stop: Callable[[], bool] = lambda: False,
    show: Callable[[Round], None] = lambda round: None,
) -> Round:
    """One pass: look, settle what is open, retry what declared it, admit, submit, look again.

    Only tickets and records of addresses in `scope` are acted on. Nothing is submitted once `stop` says so. `show` is
    given the round as it stands before the creates are sent.
    """
    observation = observe(effects.provider, effects.locations, now=effects.clock.now())
    state = _settled(effects, adopt_intents(held.state, observation), observation)
    state = _with_retries(effects, state, desired, observation, scope)
    held = end_duplicates(effects, save(effects, held, state), observation)
    ledger = take_ledger(desired.stack.quota, held.state, observation)
    cycle = _admit(held.state, desired, observation, ledger, scope)
    if not cycle.admitted or stop():
        return Round(held=held, observation=observation, ledger=ledger, deferred=cycle.deferred, given_up={})
    held = write_intents(effects, held, desired, cycle.admitted, observation)
    ledger = take_ledger(desired.stack.quota, held.state, observation)
    show(Round(held=held, observation=observation, ledger=ledger, deferred=cycle.deferred, given_up={}))
    intents = [held.state.intents[ticket.address] for ticket in cycle.admitted]
    held, observation, given_up = submit(effects, held, desired, intents, observation)
    ledger = take_ledger(desired.stack.quota, held.state, observation)
    return Round(held=held, observation=observation, ledger=ledger, deferred=cycle.deferred, given_up=given_up)


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


def _with_retries(
    effects: Effects, state: State, desired: Desired, observation: Observation, scope: frozenset[str]
) -> State:
    """Tickets for jobs that failed and whose manifest declares retries; the only create nobody approves anew."""
    records = state.records.values()
    ended_badly = {job.name for job in observation.jobs if job.has_failed}
    if not any(record.current.job in ended_badly and record.address in scope for record in records):
        return state
    plan = make_plan(desired, state, observation, now=observation.at, defaults=effects.defaults)
    retries = [one for one in plan.changes if one.reason is Reason.RETRY and one.address in scope]
    for change in retries:
        tell(effects, Kind.RETRY, change.address, change.why, change.job)
    return approve(state, retries, desired.by_address(), observation, approved_by="lifecycle.retries", plan_checksum="")


def _admit(state: State, desired: Desired, observation: Observation, ledger: Ledger, scope: frozenset[str]) -> Cycle:
    tickets = [ticket for address, ticket in state.queue.items() if address in scope]
    around = Surroundings(
        active_jobs=frozenset(job.name for job in observation.jobs if job.is_active),
        submitting=state.intents.keys() | unseen_attempts(state, observation).keys(),
        wanted={model.address: model.fingerprint for model in desired.models},
        parents=parent_states(tickets, desired, state, observation),
    )
    return admit(tickets, ledger, around, now=observation.at)
