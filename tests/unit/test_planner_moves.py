"""Moves: a renamed manifest takes its model along, and costs nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model.desired import DesiredModel
from reconciler.model.job import JobState, LiveJob
from reconciler.plan import Action, Plan, Reason, only
from reconciler.state.records import State
from reconciler.state.unseen import SETTLE_TIME
from reconciler.transitions import approve
from tests.planner_builders import (
    AT,
    LOCATION,
    a_job,
    a_model,
    a_plan,
    a_record,
    a_state,
    a_ticket,
    an_attempt,
    an_intent,
    an_observation,
)

SUCCEEDED = JobState.SUCCEEDED
OLD = a_model("old")
NEW = a_model("new")
SPELLED_OUT = a_model("new", {"hyperParameters.adapterSize": 4})
EDITED = a_model("new", {"hyperParameters.epochCount": 8})


def decisions(plan: Plan) -> dict[str, tuple[Action, Reason, str | None]]:
    """What was decided about each address, and the other side of its move."""
    return {one.address: (one.action, one.reason, one.moved) for one in plan.changes}


def moved(old: str, new: str) -> dict[str, tuple[Action, Reason, str | None]]:
    """What a move looks like in a plan."""
    return {old: (Action.FORGET, Reason.MOVED, new), new: (Action.ADOPT, Reason.MOVED, old)}


def approved(wants: tuple[DesiredModel, ...], state: State, *jobs: LiveJob) -> State:
    """The state once the plan for it is agreed to."""
    observation = an_observation(*jobs)
    plan = a_plan(wants, state, observation)
    by_address = {model.address: model for model in wants}
    return approve(state, plan.changes, by_address, observation, approved_by="x", plan_checksum="y")


@pytest.mark.parametrize("state", [SUCCEEDED, JobState.RUNNING, JobState.FAILED, JobState.CANCELLED])
@pytest.mark.parametrize("model", [NEW, SPELLED_OUT], ids=["same fingerprint", "same in effect"])
def test_a_new_name_for_the_same_spec_is_a_move(model: DesiredModel, state: str) -> None:
    """Renaming a model moves its record, whatever became of its job, and though a default was spelled out too."""
    plan = a_plan((model,), a_state(a_record(OLD)), an_observation(a_job(OLD, 1, state)))
    assert moved("old", "new") == decisions(plan)


def test_a_new_name_with_another_spec_is_no_move() -> None:
    """Renaming and editing at once is one model less and one more."""
    plan = a_plan((EDITED,), a_state(a_record(OLD)), an_observation(a_job(OLD, 1, SUCCEEDED)))
    expected = {
        "old": (Action.FORGET, Reason.FINISHED, None),
        "new": (Action.CREATE, Reason.NEW, None),
    }
    assert expected == decisions(plan)


def test_a_move_carries_all_attempts_and_the_new_fingerprint() -> None:
    """After a move the record stands under the new name, with the history of the old one."""
    record = a_record(OLD, an_attempt(a_model("old", {"hyperParameters.epochCount": 2}), 1), an_attempt(OLD, 2))
    after = approved((SPELLED_OUT,), a_state(record), a_job(OLD, 2, SUCCEEDED))
    assert {"new"} == after.records.keys()
    assert [1, 2] == [int(one.job.rsplit("/", 1)[-1]) for one in after.records["new"].attempts]
    assert SPELLED_OUT.fingerprint == after.records["new"].current.fingerprint
    assert {} == dict(after.retired)


def test_moves_are_one_to_one_in_sorted_order() -> None:
    """Of three new names for two old ones with the same spec, the first two by name are moves."""
    olds = [a_model("old-b"), a_model("old-a")]
    records = [a_record(olds[0], an_attempt(olds[0], 1)), a_record(olds[1], an_attempt(olds[1], 2))]
    jobs = (a_job(olds[0], 1, SUCCEEDED), a_job(olds[1], 2, SUCCEEDED))
    wants = (a_model("new-c"), a_model("new-a"), a_model("new-b"))
    plan = a_plan(wants, a_state(*records), an_observation(*jobs))
    expected = moved("old-a", "new-a") | moved("old-b", "new-b") | {"new-c": (Action.CREATE, Reason.NEW, None)}
    assert expected == decisions(plan)


def test_an_equal_fingerprint_is_preferred() -> None:
    """What is the same in effect only gives way to what is equal, though it comes first by name."""
    in_effect = a_model("a-new", {"hyperParameters.adapterSize": 4})
    equal = a_model("z-new")
    plan = a_plan((in_effect, equal), a_state(a_record(OLD)), an_observation(a_job(OLD, 1, SUCCEEDED)))
    assert moved("old", "z-new") | {"a-new": (Action.CREATE, Reason.NEW, None)} == decisions(plan)


def test_what_is_still_desired_does_not_move() -> None:
    """A second model with the spec of a first one is new, and paid for."""
    plan = a_plan((OLD, NEW), a_state(a_record(OLD)), an_observation(a_job(OLD, 1, SUCCEEDED)))
    expected = {"old": (Action.LEAVE, Reason.SUCCEEDED, None), "new": (Action.CREATE, Reason.NEW, None)}
    assert expected == decisions(plan)


def test_an_address_that_is_known_takes_nothing_over() -> None:
    """An address that has a record of its own is not the new name of another one."""
    other = a_model("new", {"hyperParameters.epochCount": 2})
    state = a_state(a_record(OLD, an_attempt(OLD, 1)), a_record(other, an_attempt(other, 2)))
    plan = a_plan((NEW,), state, an_observation(a_job(OLD, 1, SUCCEEDED), a_job(other, 2, SUCCEEDED)))
    expected = {"old": (Action.FORGET, Reason.FINISHED, None), "new": (Action.CREATE, Reason.SPEC_CHANGED, None)}
    assert expected == decisions(plan)


def test_a_job_in_another_location_does_not_move() -> None:
    """Another location is another spec, so the model is tuned there anew."""
    there = a_model("new", {"location": "europe-west4"})
    plan = a_plan((there,), a_state(a_record(OLD)), an_observation(a_job(OLD, 1, SUCCEEDED)))
    assert Reason.NEW is decisions(plan)["new"][1]


def test_a_rename_to_a_forgotten_name_is_a_move() -> None:
    """A name that once stood for another spec is free for a rename, and its forgotten history is kept."""
    forgotten = a_model("new", {"hyperParameters.epochCount": 2})
    state = a_state(a_record(OLD, an_attempt(OLD, 2)), retired=[a_record(forgotten)])
    job = a_job(OLD, 2, SUCCEEDED)
    assert moved("old", "new") == decisions(a_plan((NEW,), state, an_observation(job)))
    after = approved((NEW,), state, job)
    assert [1, 2] == [int(one.job.rsplit("/", 1)[-1]) for one in after.records["new"].attempts]
    assert {} == dict(after.retired)


def test_a_forgotten_model_of_the_desired_spec_comes_before_a_move() -> None:
    """A name takes its own model back rather than another one's."""
    state = a_state(a_record(OLD, an_attempt(OLD, 2)), retired=[a_record(NEW)])
    plan = a_plan((NEW,), state, an_observation(a_job(NEW, 1, SUCCEEDED), a_job(OLD, 2, SUCCEEDED)))
    expected = {"old": (Action.FORGET, Reason.FINISHED, None), "new": (Action.LEAVE, Reason.SUCCEEDED, None)}
    assert expected == decisions(plan)


def test_a_rename_before_the_job_is_listed_creates_nothing() -> None:
    """A job made a moment ago that no list shows yet moves with its record; nothing is paid for twice."""
    record = a_record(OLD, an_attempt(OLD, recorded_at=AT - timedelta(seconds=5)))
    plan = a_plan((NEW,), a_state(record), an_observation())
    assert (Action.ADOPT, Reason.MOVED, "old") == decisions(plan)["new"]
    assert Action.CREATE not in plan.counts()


def test_a_rename_of_a_lost_job_creates_nothing() -> None:
    """A recorded job that cannot be found stays so under its new name, until somebody asks for another."""
    state = a_state(a_record(OLD))
    assert moved("old", "new") == decisions(a_plan((NEW,), state, an_observation()))
    after = approved((NEW,), state)
    assert {"new": (Action.LEAVE, Reason.GONE, None)} == decisions(a_plan((NEW,), after, an_observation()))


@pytest.mark.parametrize(
    ("age", "jobs", "expected"),
    [
        (timedelta(0), (), (Action.LEAVE, Reason.SUBMITTING)),
        (SETTLE_TIME, (a_job(OLD, 1, nonce="t1"),), (Action.LEAVE, Reason.SUBMITTING)),
        (SETTLE_TIME, (), (Action.CREATE, Reason.NEW)),
    ],
    ids=["nobody knows yet", "it exists", "it came to nothing"],
)
def test_a_rename_while_a_create_is_open_waits_for_it(
    age: timedelta, jobs: tuple[LiveJob, ...], expected: tuple[Action, Reason]
) -> None:
    """While a create for the old name may have succeeded, the new name does not send another one."""
    plan = a_plan((NEW,), a_state(intents=[an_intent(OLD, "t1", age=age)]), an_observation(*jobs))
    assert expected == decisions(plan)["new"][:2]


def test_a_rename_while_a_replacement_is_being_made_takes_the_old_job() -> None:
    """An old name whose replacement is being submitted still gives its model to a new name with the old spec."""
    replacement = a_model("old", {"hyperParameters.epochCount": 8})
    state = a_state(a_record(OLD), intents=[an_intent(replacement, "t2")], queue=[a_ticket(replacement)])
    plan = a_plan((NEW,), state, an_observation(a_job(OLD, 1, SUCCEEDED)))
    expected = {"old": (Action.LEAVE, Reason.SUBMITTING, None), "new": (Action.ADOPT, Reason.MOVED, "old")}
    assert expected == decisions(plan)


def test_a_location_that_cannot_be_read_moves_nothing() -> None:
    """Neither side of a rename is touched while their location is unknown."""
    unread = {LOCATION: "it did not answer"}
    plan = a_plan((NEW,), a_state(a_record(OLD)), an_observation(unread=unread))
    expected = {name: (Action.LEAVE, Reason.UNKNOWN, None) for name in ("old", "new")}
    assert expected == decisions(plan)


@pytest.mark.parametrize("side", ["old", "new"])
def test_a_target_on_one_side_takes_both(side: str) -> None:
    """A plan cut down to one side of a move holds the other side too, and nothing else."""
    other = a_model("other", {"hyperParameters.epochCount": 2})
    plan = a_plan((NEW, other), a_state(a_record(OLD)), an_observation(a_job(OLD, 1, SUCCEEDED)))
    cut = only(plan, frozenset({side}), (side,))
    assert (moved("old", "new"), (side,)) == (decisions(cut), cut.targets)


def test_a_move_is_planned_once() -> None:
    """After a move was agreed to, the next plan finds nothing to do."""
    job = a_job(OLD, 1, SUCCEEDED)
    after = approved((SPELLED_OUT,), a_state(a_record(OLD)), job)
    assert {"new": (Action.LEAVE, Reason.SUCCEEDED, None)} == decisions(
        a_plan((SPELLED_OUT,), after, an_observation(job))
    )


def test_renaming_a_parent_leaves_its_child_alone() -> None:
    """A child is bound to its parent's spec, not to its name."""
    parent, renamed = a_model("parent"), a_model("renamed")
    child, same_child = a_model("child", parent=parent), a_model("child", parent=renamed)
    state = a_state(a_record(parent, an_attempt(parent, 1)), a_record(child, an_attempt(child, 2)))
    jobs = (a_job(parent, 1, SUCCEEDED), a_job(child, 2, SUCCEEDED))
    plan = a_plan((renamed, same_child), state, an_observation(*jobs))
    expected = moved("parent", "renamed") | {"child": (Action.LEAVE, Reason.SUCCEEDED, None)}
    assert expected == decisions(plan)


def test_thousands_of_renames_are_quick_to_pair() -> None:
    """Pairing is a look-up, also where a whole stack gets new names."""
    count = 3_000
    models = [a_model(f"old-{n}", {"trainingDatasetUri": f"gs://data/{n}.jsonl"}) for n in range(count)]
    records = [a_record(model, an_attempt(model, n)) for n, model in enumerate(models)]
    jobs = [a_job(model, n, SUCCEEDED) for n, model in enumerate(models)]
    wants = tuple(replace(model, address=f"new-{n}") for n, model in enumerate(models))
    plan = a_plan(wants, a_state(*records), an_observation(*jobs))
    assert {Action.FORGET: count, Action.ADOPT: count} == dict(plan.counts())
