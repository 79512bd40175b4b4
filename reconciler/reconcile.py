"""The whole story in a few functions: open this page first.

    desired  = manifests, read and checked              manifest.load
    live     = every job of every location              look
    recorded = what the state remembers                 opened
    plan     = desired, recorded, live -> decisions     make_plan, by the table in planner.table
    apply    = approval written, cancels asked, then    apply_changes
               cycles of admit, intend, create, record

`status` joins the same three into one line per model. Everything here takes its effects as values, so that the same
code runs against Vertex AI, the simulator and the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.errors import Diagnostic, StalePlanError, StateError
from reconciler.executor.cycle import Round, carry_out
from reconciler.executor.effects import Effects
from reconciler.executor.loop import Followed, follow
from reconciler.model.desired import Desired, Stack
from reconciler.model.observation import Observation
from reconciler.outlook import Outlook, look_out
from reconciler.plan import Action, Change, Plan, Reason
from reconciler.planner.make import make_plan
from reconciler.providers.observe import observe
from reconciler.state.held import Held, load_state
from reconciler.state.records import Because, State
from reconciler.transitions import approve


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with the state and the look it was made from."""

    plan: Plan
    held: Held
    observation: Observation


def opened(effects: Effects, stack: Stack, endpoint: str, *, lineage: str) -> Held:
    """The stack's state, or a new one of this lineage where there is none. I/O by the store.

    Raises StateError when the state belongs to another stack, project or endpoint; both sides are named.
    """
    held = load_state(effects.store)
    if held is None:
        return Held(State(lineage=lineage, stack=stack.name, project=stack.project, endpoint=endpoint), None)
    _refuse_foreign("stack", held.state.stack, stack.name, effects.store.where)
    _refuse_foreign("project", held.state.project, stack.project, effects.store.where)
    _refuse_foreign("endpoint", held.state.endpoint, endpoint, effects.store.where)
    return held


def _refuse_foreign(what: str, recorded: str, asked: str, where: str) -> None:
    if recorded == asked:
        return
    raise StateError(
        f"The state belongs to another {what}",
        f"{where} was written for {what} {recorded}, and the stack now names {asked}. Its records are about jobs that "
        f"cannot be found there, so nothing was done. Give the stack a state of its own, or set the {what} back.",
    )


def look(effects: Effects) -> Observation:
    """One look at every location that shares the quota. I/O by the provider.

    Raises ApiError where not one location answers: then it is not a location that is away, but the service or the way.
    """
    return observe(effects.provider, effects.locations, now=effects.clock.now(), some_must_answer=True)


def plan_stack(
    effects: Effects,
    desired: Desired,
    held: Held,
    *,
    obstacles: Mapping[str, Diagnostic] | None = None,
    warnings: Iterable[Diagnostic] = (),
    new_owner: bool = False,
) -> Planned:
    """What would happen, and why. Reads live state, writes nothing."""
    observation = look(effects)
    plan = make_plan(
        desired,
        held.state,
        observation,
        now=effects.clock.now(),
        defaults=effects.defaults,
        obstacles=obstacles,
        warnings=warnings,
        new_owner=new_owner,
        rules=effects.rules,
    )
    return Planned(plan=plan, held=held, observation=observation)


def foresee(effects: Effects, desired: Desired, planned: Planned) -> Outlook:
    """The queue as it would stand once the plan is approved, with what is expected of each ticket. No I/O."""
    state = approve(
        planned.held.state,
        planned.plan.changes,
        desired.by_address(),
        planned.observation,
        approved_by="",
        plan_checksum="",
    )
    return look_out(desired, state, planned.observation, effects.rules)


def apply_changes(
    effects: Effects,
    desired: Desired,
    planned: Planned,
    changes: Sequence[Change],
    *,
    wait: bool,
    approved_by: str,
    plan_checksum: str,
    ended_because: Because = Because.REMOVED,
    until: datetime | None = None,
    stop: Callable[[], bool] = lambda: False,
    show: Callable[[Round], None] = lambda round: None,
) -> Followed:
    """Does what was approved: writes it down, asks for cancels, then serves the queue for the planned addresses."""
    held = carry_out(
        effects,
        planned.held,
        desired,
        changes,
        planned.observation,
        approved_by=approved_by,
        plan_checksum=plan_checksum,
        ended_because=ended_because,
    )
    scope = frozenset(change.address for change in planned.plan.changes)
    return follow(effects, held, desired, scope, wait=wait, until=until, stop=stop, show=show)


def destroyed(desired: Desired) -> Desired:
    """The same stack with nothing desired, which is what `destroy` plans for."""
    return replace(desired, models=())


def retried(planned: Planned, address: str) -> tuple[Change, ...]:
    """The one change that tunes an address again because a person asked; empty when it is not there to be retried.

    What is queued, being submitted or running already is left alone: that would be paid twice.
    """
    for change in planned.plan.changes:
        if change.address == address and change.fingerprint is not None:
            is_running = any(job.name == change.job and job.is_active for job in planned.observation.jobs)
            if change.reason in _UNDER_WAY or (is_running and change.action is not Action.REPLACE):
                return ()
            return (_as_retry(change, planned.held.state),)
    return ()


_UNDER_WAY = frozenset(
    {Reason.QUEUED, Reason.SUBMITTING, Reason.SUBMITTED, Reason.IN_PROGRESS, Reason.CANCELLING, Reason.UNKNOWN}
)


def _as_retry(change: Change, state: State) -> Change:
    if change.action in (Action.CREATE, Action.REPLACE):
        return change
    record = state.records.get(change.address) or state.retired.get(change.address)
    made = 0 if record is None or change.fingerprint is None else record.attempts_made(change.fingerprint)
    return replace(
        change,
        action=Action.CREATE,
        reason=Reason.REQUESTED,
        why="asked for by `tuneform retry`",
        attempt=made + 1,
        diagnostics=(),
    )


def refuse_stale(saved: Plan, fresh: Plan) -> None:
    """Raises StalePlanError when any change of the saved plan would now differ; progress elsewhere does not matter."""
    if saved.lineage != fresh.lineage:
        raise StalePlanError(
            "The plan was made for another state",
            f"It was made for lineage {saved.lineage}, and the state is {fresh.lineage}. Make it anew.",
            command="tuneform plan --out FILE",
        )
    if saved.endpoint != fresh.endpoint or saved.project != fresh.project:
        raise StalePlanError(
            "The plan was made for another place",
            f"It was made for project {saved.project} at {saved.endpoint}, and this is {fresh.project} at "
            f"{fresh.endpoint}.",
        )
    if dict(saved.digests) != dict(fresh.digests):
        paths = sorted({*saved.digests.items()} ^ {*fresh.digests.items()})
        listed = ", ".join(sorted({path for path, _ in paths}))
        raise StalePlanError(
            "The manifests changed since the plan was made",
            f"These differ from what was planned: {listed}. Make the plan anew.",
            command="tuneform plan --out FILE",
        )
    moved = _moved_since(saved, fresh)
    if moved:
        listed = "\n".join(f"  {line}" for line in moved)
        raise StalePlanError(
            "The plan is stale",
            f"What it rests on has moved since it was made:\n{listed}\nNothing was done. Make it anew:",
            command="tuneform plan --out FILE",
        )


def _moved_since(saved: Plan, fresh: Plan) -> list[str]:
    now = {change.address: change for change in fresh.changes}
    moved = []
    for change in saved.changes:
        if change.action is Action.LEAVE:
            continue
        current = now.get(change.address)
        if current is None:
            moved.append(f"{change.address}: planned {change.action}, now nobody knows it")
        elif current.facts != change.facts:
            moved.append(
                f"{change.address}: planned {change.action} ({change.why}), now {current.action} ({current.why})"
            )
    return moved
