"""Money is spent only because a manifest changed, a declared retry allows it, or a person asked: a random search.

Whatever becomes of jobs, models, lists and the state, a plan for unchanged manifests creates, replaces and cancels
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.desired import DesiredModel, Lifecycle
from reconciler.model.fields import Value
from reconciler.model.job import JobError, JobState, LiveJob
from reconciler.model.observation import Observation
from reconciler.plan import Action, Plan
from reconciler.state.records import Because, Intent, Origin, State
from tests.planner_builders import (
    AT,
    LONG_AGO,
    a_job,
    a_model,
    a_model_name,
    a_plan,
    a_record,
    a_state,
    an_attempt,
    an_intent,
    an_observation,
)

LOCATIONS = ("us-central1", "europe-west4")
ERRORS = (None, JobError(14, "unavailable"), JobError(3, "bad dataset"))
COSTLY = (Action.CREATE, Action.REPLACE, Action.CANCEL, Action.DELETE)


@dataclass(frozen=True)
class Model:
    """One model of a random stack: what is desired, and the job that was made for it."""

    desired: DesiredModel
    number: int
    job: LiveJob | None
    because: Because | None
    origin: Origin
    recorded_at: datetime
    older: DesiredModel | None


@st.composite
def models(draw: st.DrawFn) -> tuple[Model, ...]:
    """Up to four models that were all submitted as they are desired now, some tuned on from another one."""
    found: list[Model] = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        parents = [one.desired for one in found]
        parent = draw(st.sampled_from([None, *parents]))
        on_dataset_change = draw(st.sampled_from(["warn", "ignore"]))
        lifecycle = Lifecycle(
            on_dataset_change="warn" if on_dataset_change == "warn" else "ignore",
            on_parent_change="retrain" if draw(st.booleans()) else "warn",
            prevent_replace=draw(st.booleans()),
        )
        fields: dict[str, Value] = {
            "location": draw(st.sampled_from(LOCATIONS)),
            "hyperParameters.epochCount": draw(st.integers(1, 2)),
            "hyperParameters.adapterSize": draw(st.sampled_from([None, 4, 8])),
        }
        desired = a_model(f"model-{number}", fields, parent=parent, lifecycle=lifecycle)
        states = [*JobState, "JOB_STATE_THINKING"]
        job = a_job(desired, number, draw(st.sampled_from(states)), error=draw(st.sampled_from(ERRORS)))
        older = draw(st.sampled_from([None, a_model(f"model-{number}", {"hyperParameters.epochCount": 9})]))
        found.append(
            Model(
                desired=desired,
                number=number,
                job=draw(st.sampled_from([job, None])),
                because=draw(st.sampled_from([None, Because.REQUESTED])),
                origin=draw(st.sampled_from(Origin)),
                recorded_at=draw(st.sampled_from([LONG_AGO, AT - timedelta(seconds=5)])),
                older=older,
            )
        )
    return tuple(found)


def state_of(
    stack: Iterable[Model], retired: frozenset[int] = frozenset(), lost: frozenset[int] = frozenset()
) -> State:
    """The state that made these models; some of its records are retired, some are lost."""
    records = {}
    for one in stack:
        attempt = an_attempt(
            one.desired, one.number, because=one.because, origin=one.origin, recorded_at=one.recorded_at
        )
        earlier = () if one.older is None else (an_attempt(one.older, one.number + 100),)
        records[one.number] = a_record(one.desired, *earlier, attempt)
    return a_state(
        *(record for number, record in records.items() if number not in retired | lost),
        retired=[record for number, record in records.items() if number in retired - lost],
    )


@st.composite
def looks(draw: st.DrawFn, stack: tuple[Model, ...]) -> Observation:
    """A look at these models: locations may be unread, models deleted, strangers and namesakes about."""
    unread = draw(st.sampled_from([(), ("us-central1",), LOCATIONS]))
    jobs = [one.job for one in stack if one.job is not None]
    others = [replace(job, name=f"{job.name}-other", labels={}) for job in jobs]
    theirs = [a_job(one.desired, one.number + 200, JobState.SUCCEEDED, owner="another") for one in stack]
    seen = [*jobs, *draw(st.sampled_from([[], others, theirs]))]
    kept = draw(st.sets(st.sampled_from([a_model_name(one.number) for one in stack])))
    return an_observation(
        *(job for job in draw(st.permutations(seen)) if job.location not in unread),
        unread=dict.fromkeys(unread, "it did not answer"),
        models=draw(st.sampled_from([None, kept])),
    )


def costly(plan: Plan) -> list[tuple[str, Action, int]]:
    """What would cost money or undo what did."""
    return [(one.address, one.action, one.row) for one in plan.changes if one.action in COSTLY]


@given(st.data())
def test_unchanged_manifests_cost_nothing(data: st.DataObject) -> None:
    """Whatever became of the jobs and their models, a plan for what was submitted already starts and ends no job."""
    stack = data.draw(models())
    observation = data.draw(looks(stack))
    retired = data.draw(st.frozensets(st.sampled_from([one.number for one in stack])))
    plan = a_plan(tuple(one.desired for one in stack), state_of(stack, retired), observation)
    assert [] == costly(plan)


@given(st.data())
def test_renaming_costs_nothing(data: st.DataObject) -> None:
    """New names for any of the models, children among them, start and end no job."""
    stack = data.draw(models())
    observation = data.draw(looks(stack))
    renamed = data.draw(st.frozensets(st.sampled_from([one.desired.address for one in stack])))
    wants = tuple(
        replace(one.desired, address=f"new-{one.desired.address}") if one.desired.address in renamed else one.desired
        for one in stack
    )
    assert [] == costly(a_plan(wants, state_of(stack), observation))


@given(st.data())
def test_lost_records_cost_nothing(data: st.DataObject) -> None:
    """Records that an old state lacks are found again by the labels of their jobs, as long as the jobs are listed."""
    stack = data.draw(models())
    observation = data.draw(looks(stack))
    listed = [one.number for one in stack if one.job in observation.jobs]
    lost = data.draw(st.frozensets(st.sampled_from(listed))) if listed else frozenset()
    plan = a_plan(tuple(one.desired for one in stack), state_of(stack, lost=lost), observation)
    assert [] == costly(plan)


@given(st.data())
def test_open_creates_cost_nothing_more(data: st.DataObject) -> None:
    """While a create may have succeeded, no plan sends another one, under the old name or a new one."""
    stack = data.draw(models())
    observation = data.draw(looks(stack))
    intents: list[Intent] = [an_intent(one.desired, f"open-{one.number}") for one in stack]
    wants = tuple(
        replace(one.desired, address=f"new-{one.desired.address}") if data.draw(st.booleans()) else one.desired
        for one in stack
    )
    unheard = replace(observation, jobs=())
    assert [] == costly(a_plan(wants, a_state(intents=intents), unheard))
