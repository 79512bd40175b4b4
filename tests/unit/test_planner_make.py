"""The plan around its rows: attempts, places, what is unmanaged, unknown or forbidden, and what a plan rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.errors import Diagnostic, Severity
from reconciler.model.desired import DesiredModel, Lifecycle, Priority
from reconciler.model.fields import Effect
from reconciler.model.job import JobError, JobState, LiveJob
from reconciler.plan import Action, Plan, Reason
from reconciler.planner.make import make_plan
from reconciler.reconcile import Planned, refuse_stale, retried
from reconciler.state.held import Held
from reconciler.state.records import Because, Record, State
from reconciler.transitions import approve
from tests.planner_builders import (
    ADDRESS,
    AT,
    DEFAULTS,
    LONG_AGO,
    a_desired,
    a_job,
    a_job_name,
    a_model,
    a_model_name,
    a_plan,
    a_record,
    a_state,
    a_ticket,
    an_attempt,
    an_intent,
    an_observation,
)

SUCCEEDED, FAILED = JobState.SUCCEEDED, JobState.FAILED
MODEL = a_model()
EDITED = a_model(fields={"hyperParameters.epochCount": 8})
UNAVAILABLE = JobError(14, "try again later")


def test_changes_are_sorted_and_complete() -> None:
    """Every address that is desired, recorded, intended or queued gets one change, by name."""
    state = a_state(
        a_record(a_model("recorded")),
        intents=[an_intent(a_model("intended", {"hyperParameters.epochCount": 1}))],
        queue=[a_ticket(a_model("queued", {"hyperParameters.epochCount": 2}))],
        retired=[a_record(a_model("retired"))],
    )
    wants = (a_model("wanted", {"hyperParameters.epochCount": 3}),)
    plan = a_plan(wants, state, an_observation())
    assert ["intended", "queued", "recorded", "wanted"] == [one.address for one in plan.changes]


def test_the_head_of_a_plan_says_what_it_was_made_for() -> None:
    """Stack, project, endpoint, lineage, serial and manifest digests are those of what was given."""
    plan = a_plan(a_desired(MODEL, digests={"a.yaml": "1"}), a_state(), an_observation())
    assert ("support", "demo-project", "vertex-ai", 7, {"a.yaml": "1"}, AT, True) == (
        plan.stack,
        plan.project,
        plan.endpoint,
        plan.serial,
        plan.digests,
        plan.created_at,
        plan.complete,
    )


def attempts_of(*models: DesiredModel) -> Record:
    """A record of jobs 1, 2, ... that were made for these models, in this order."""
    made = (an_attempt(model, number, attempt=1) for number, model in enumerate(models, start=1))
    return a_record(MODEL, *made)


@pytest.mark.parametrize(
    ("wants", "record", "jobs", "expected"),
    [
        (MODEL, None, (), 1),
        (EDITED, attempts_of(MODEL), (a_job(MODEL, 1, SUCCEEDED),), 1),
        (EDITED, attempts_of(EDITED, MODEL), (a_job(EDITED, 1, FAILED), a_job(MODEL, 2, SUCCEEDED)), 2),
        (EDITED, attempts_of(EDITED, MODEL), (a_job(EDITED, 1, FAILED), a_job(MODEL, 2)), 2),
        (
            a_model(lifecycle=Lifecycle(retries=5)),
            a_record(MODEL, an_attempt(MODEL, 1, attempt=3)),
            (a_job(MODEL, 1, FAILED, error=UNAVAILABLE),),
            4,
        ),
        (
            a_model(lifecycle=Lifecycle(retries=9)),
            a_record(MODEL, an_attempt(MODEL, 1, attempt=3), an_attempt(MODEL, 2, attempt=5)),
            (a_job(MODEL, 2, FAILED, error=UNAVAILABLE),),
            6,
        ),
        (MODEL, attempts_of(MODEL), (a_job(MODEL, 1, SUCCEEDED),), None),
        (EDITED, a_record(MODEL), (), 1),
    ],
    ids=["new", "edited", "tried before", "replace", "after the third", "after the fifth", "left alone", "job gone"],
)
def test_attempts_count_per_fingerprint(
    wants: DesiredModel, record: Record | None, jobs: tuple[LiveJob, ...], expected: int | None
) -> None:
    """A create is numbered after the jobs already made for its fingerprint; other actions have no number."""
    state = a_state() if record is None else a_state(record)
    assert [expected] == [one.attempt for one in a_plan((wants,), state, an_observation(*jobs)).changes]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (SUCCEEDED, (Action.LEAVE, Reason.SUCCEEDED)),
        (JobState.RUNNING, (Action.LEAVE, Reason.IN_PROGRESS)),
        (FAILED, (Action.LEAVE, Reason.FAILED)),
    ],
)
def test_a_re_declared_address_takes_its_model_back(state: str, expected: tuple[Action, Reason]) -> None:
    """Removing a manifest and putting it back costs nothing: the forgotten record stands again."""
    before = a_state(retired=[a_record(MODEL)])
    observation = an_observation(a_job(MODEL, 1, state))
    plan = a_plan((MODEL,), before, observation)
    assert [expected] == [(one.action, one.reason) for one in plan.changes]
    after = approve(before, plan.changes, {ADDRESS: MODEL}, observation, approved_by="x", plan_checksum="y")
    assert ([ADDRESS], []) == (list(after.records), list(after.retired))


def test_a_retired_record_is_no_change_of_its_own() -> None:
    """What was forgotten and is not wanted stays out of the plan."""
    assert () == a_plan((), a_state(retired=[a_record(MODEL)]), an_observation(a_job(MODEL, 1, SUCCEEDED))).changes


def test_places_are_those_of_the_queue() -> None:
    """A queued address knows its place: a class of priority is worth a day, the earlier ticket comes first."""
    models = [
        a_model("b-late", {"hyperParameters.epochCount": 1}),
        a_model("a-later", {"hyperParameters.epochCount": 2}),
        a_model("z-high", {"hyperParameters.epochCount": 3}, priority=Priority.HIGH),
        a_model("not-queued", {"hyperParameters.epochCount": 5}),
    ]
    queue = [
        a_ticket(models[0], enqueued_at=LONG_AGO),
        a_ticket(models[1], enqueued_at=LONG_AGO + timedelta(hours=1)),
        a_ticket(models[2], enqueued_at=LONG_AGO + timedelta(hours=2)),
    ]
    plan = a_plan(tuple(models), a_state(queue=queue), an_observation())
    expected = {"z-high": 1, "b-late": 2, "a-later": 3, "not-queued": None}
    assert expected == {one.address: one.place for one in plan.changes}
    assert "waits for a slot, place 2" == next(one.why for one in plan.changes if one.address == "b-late")


def test_own_jobs_that_no_address_stands_for_are_named() -> None:
    """A live job with our owner label is reported unless a record, an intent or an adoption stands for it."""
    intended = a_model("intended", {"hyperParameters.epochCount": 1})
    adopted = a_model("adopted", {"hyperParameters.epochCount": 2})
    stray = a_model("stray", {"hyperParameters.epochCount": 3})
    state = a_state(
        a_record(MODEL, an_attempt(EDITED, 1), an_attempt(MODEL, 2)),
        retired=[a_record(a_model("retired"), an_attempt(a_model("retired"), 3))],
        intents=[an_intent(intended, "n4")],
    )
    jobs = (
        a_job(EDITED, 1, SUCCEEDED),
        a_job(MODEL, 2, SUCCEEDED),
        a_job(a_model("retired"), 3, SUCCEEDED),
        a_job(intended, 4, nonce="n4"),
        a_job(adopted, 5),
        a_job(stray, 6, SUCCEEDED),
        a_job(stray, 7, SUCCEEDED, owner="somebody-else", stack="elsewhere"),
        replace(a_job(stray, 8), labels={}),
    )
    plan = a_plan((MODEL, intended, adopted), state, an_observation(*jobs))
    assert (a_job_name(6),) == plan.unmanaged


@pytest.mark.parametrize(
    ("applied", "expected"),
    [(False, ("stack-name-taken", Severity.ERROR, True)), (True, ("stack-namesake", Severity.WARNING, False))],
    ids=["never applied", "applied before"],
)
def test_another_owner_of_the_same_stack_name(applied: bool, expected: tuple[str, Severity, bool]) -> None:
    """A state that never applied does not start beside live jobs of this stack's name; a proven one only warns."""
    namesake = a_job(a_model("their-own", {"hyperParameters.epochCount": 1}), 1, SUCCEEDED, owner="lost-lineage")
    plan = a_plan((MODEL,), a_state(applied=applied), an_observation(namesake))
    found = plan.diagnostics
    assert [expected[:2]] == [(one.rule, one.severity) for one in found]
    assert expected[2] is plan.errored
    assert "owner lost-lineage" in found[0].detail
    assert "1 live job in project demo-project bears the stack name support" in found[0].detail


@pytest.mark.parametrize(
    "jobs",
    [
        (),
        (a_job(MODEL, 1, SUCCEEDED),),
        (a_job(MODEL, 1, SUCCEEDED, owner="another", stack="elsewhere"),),
        (replace(a_job(MODEL, 1, SUCCEEDED), labels={"tuneform-stack": "support"}),),
    ],
    ids=["nothing", "own", "another stack", "no owner"],
)
def test_who_is_no_namesake(jobs: tuple[LiveJob, ...]) -> None:
    """Own jobs, other stacks' jobs and jobs without an owner take no stack name."""
    assert () == a_plan((MODEL,), a_state(applied=False), an_observation(*jobs)).diagnostics


def test_a_first_apply_that_missed_a_location_proves_nothing() -> None:
    """A state has applied only once a look has seen every location, since one that is missing may hold a namesake."""
    observation = an_observation(unread={"europe-west4": "it did not answer"})
    state = a_state(applied=False)
    plan = a_plan((MODEL,), state, observation)
    after = approve(state, plan.changes, {ADDRESS: MODEL}, observation, approved_by="x", plan_checksum="y")
    namesake = a_job(a_model("theirs", {"location": "europe-west4"}), 1, SUCCEEDED, owner="lost-lineage")
    assert (False, True) == (after.applied, a_plan((MODEL,), after, an_observation(namesake)).errored)


RETIRED = Diagnostic(severity=Severity.ERROR, rule="retired-base-model", summary="It is retired", source=MODEL.source)
WARNED = replace(RETIRED, severity=Severity.WARNING)


@pytest.mark.parametrize(
    ("state", "jobs", "wants", "expected"),
    [
        (a_state(), (), MODEL, [RETIRED]),
        (a_state(a_record(MODEL)), (a_job(MODEL, 1),), EDITED, [RETIRED]),
        (a_state(a_record(MODEL)), (a_job(MODEL, 1),), MODEL, [WARNED]),
        (a_state(a_record(MODEL)), (a_job(MODEL, 1, SUCCEEDED),), MODEL, [WARNED]),
        (a_state(queue=[a_ticket(MODEL)]), (), MODEL, [WARNED]),
        (a_state(), (a_job(MODEL, 1),), MODEL, [WARNED]),
    ],
    ids=["create", "replace", "in progress", "tuned", "queued", "adopt"],
)
def test_what_forbids_tuning_forbids_creates_only(
    state: State, jobs: tuple[LiveJob, ...], wants: DesiredModel, expected: list[Diagnostic]
) -> None:
    """A retired base model is an error where a job would be made, and a warning where none is."""
    plan = make_plan(
        a_desired(wants),
        state,
        an_observation(*jobs),
        now=AT,
        defaults=lambda model: DEFAULTS,
        obstacles={ADDRESS: RETIRED, "another": RETIRED},
        warnings=[WARNED],
    )
    assert expected == list(plan.diagnostics)


def test_facts_nobody_looked_at_are_named() -> None:
    """A plan made without a look at models says what it does not know; with one it says nothing."""
    job = a_job(MODEL, 1, SUCCEEDED)
    blind = a_plan((MODEL,), a_state(a_record(MODEL)), an_observation(job))
    seeing = a_plan((MODEL,), a_state(a_record(MODEL)), an_observation(job, models={a_model_name(1)}))
    assert (
        "whether tuned models still exist",
        "whether datasets changed since",
        "display names and labels of models",
    ) == blind.unknown
    assert () == seeing.unknown


def test_a_location_that_cannot_be_read_makes_the_plan_incomplete() -> None:
    """An unread location is named with its reason, free slots are unknown, and nothing is created there."""
    there = a_model("there", {"location": "europe-west4"})
    plan = a_plan((MODEL, there), a_state(), an_observation(unread={"europe-west4": "it answered 503"}))
    assert (False, None, ("europe-west4",)) == (plan.complete, plan.quota.free, plan.quota.unread_locations)
    assert ["quota-unknown"] == [one.rule for one in plan.diagnostics]
    assert "europe-west4: it answered 503" in plan.diagnostics[0].detail
    assert {ADDRESS: Reason.NEW, "there": Reason.UNKNOWN} == {one.address: one.reason for one in plan.changes}


@pytest.mark.parametrize(
    ("before", "after", "job_state", "expected"),
    [
        ({}, {"hyperParameters.epochCount": 8}, SUCCEEDED, [("hyperParameters.epochCount", 4, 8, Effect.RETRAIN)]),
        ({}, {"description": "d"}, SUCCEEDED, [("description", None, "d", Effect.NEXT_JOB)]),
        ({"labels.team": "a"}, {"labels.team": "b"}, JobState.RUNNING, [("labels.team", "a", "b", Effect.UPDATE)]),
        ({}, {}, SUCCEEDED, []),
        ({}, {"description": "d"}, FAILED, []),
    ],
    ids=["edited", "counts for the next job", "updates the model", "nothing", "failed"],
)
def test_differences_are_shown_where_they_say_something(
    before: Mapping[str, str],
    after: Mapping[str, str],
    job_state: str,
    expected: list[tuple[str, object, object, Effect]],
) -> None:
    """An edit shows its fields; a model that is left alone shows only fields that tune nothing again."""
    old, new = a_model(fields=before), a_model(fields=after)
    plan = a_plan((new,), a_state(a_record(old)), an_observation(a_job(old, 1, job_state)))
    found = [(one.path, one.before, one.after, one.effect) for one in plan.changes[0].field_changes]
    assert expected == found


def facts_of(plan: Plan, address: str = ADDRESS) -> str:
    """What the row of an address rested on."""
    return next(one.facts for one in plan.changes if one.address == address)


FAILING = a_model("failing", {"hyperParameters.epochCount": 2}, lifecycle=Lifecycle(retries=9))
GROUND = a_plan(
    (EDITED,),
    a_state(a_record(MODEL)),
    an_observation(a_job(MODEL, 1, SUCCEEDED)),
)


@pytest.mark.parametrize(
    ("wants", "state", "jobs"),
    [
        ((EDITED,), a_state(a_record(MODEL)), (a_job(MODEL, 1, SUCCEEDED),)),
        ((EDITED, a_model("another")), a_state(a_record(MODEL)), (a_job(MODEL, 1, SUCCEEDED),)),
        (
            (EDITED,),
            replace(a_state(a_record(MODEL)), serial=99, write_id="later"),
            (a_job(MODEL, 1, SUCCEEDED), a_job(a_model("x", {"location": "us"}), 9, owner="o", stack="s")),
        ),
        ((EDITED,), a_state(a_record(MODEL), queue=[a_ticket(a_model("other"))]), (a_job(MODEL, 1, SUCCEEDED),)),
    ],
    ids=["the same", "another model", "later and busier", "a longer queue"],
)
def test_progress_elsewhere_leaves_the_ground_as_it_is(
    wants: tuple[DesiredModel, ...], state: State, jobs: tuple[LiveJob, ...]
) -> None:
    """Equal facts give an equal digest, whatever else happens in the stack and the project."""
    assert facts_of(GROUND) == facts_of(a_plan(wants, state, an_observation(*jobs)))


@pytest.mark.parametrize(
    ("wants", "state", "jobs"),
    [
        (a_model(fields={"hyperParameters.epochCount": 9}), a_state(a_record(MODEL)), (a_job(MODEL, 1, SUCCEEDED),)),
        (EDITED, a_state(a_record(MODEL)), (a_job(MODEL, 1),)),
        (EDITED, a_state(a_record(MODEL, an_attempt(MODEL, 2))), (a_job(MODEL, 2, SUCCEEDED),)),
        (
            EDITED,
            a_state(a_record(MODEL, an_attempt(EDITED, 2), an_attempt(MODEL, 1))),
            (a_job(MODEL, 1, SUCCEEDED), a_job(EDITED, 2, FAILED)),
        ),
        (EDITED, a_state(), ()),
        (EDITED, a_state(a_record(MODEL), queue=[a_ticket(EDITED)]), (a_job(MODEL, 1, SUCCEEDED),)),
    ],
    ids=["another fingerprint", "it runs", "another job", "another attempt", "no record", "queued meanwhile"],
)
def test_a_row_that_rests_on_other_facts_has_another_digest(
    wants: DesiredModel, state: State, jobs: tuple[LiveJob, ...]
) -> None:
    """A saved plan goes stale when its own row, job, fingerprint or attempt is another one."""
    assert facts_of(GROUND) != facts_of(a_plan((wants,), state, an_observation(*jobs)))


def test_two_addresses_never_share_a_digest() -> None:
    """The address is part of what a row rests on."""
    plan = a_plan((a_model("a"), a_model("b")), a_state(), an_observation())
    assert facts_of(plan, "a") != facts_of(plan, "b")


def test_a_plan_of_equal_ground_is_not_stale() -> None:
    """A saved plan may be applied while other models go on, and not once its own job has moved."""
    later = a_plan((EDITED,), replace(a_state(a_record(MODEL)), serial=8), an_observation(a_job(MODEL, 1, SUCCEEDED)))
    refuse_stale(GROUND, later)
    restarted = a_plan((EDITED,), a_state(a_record(MODEL)), an_observation(a_job(MODEL, 1)))
    with pytest.raises(Exception, match="The plan is stale"):
        refuse_stale(GROUND, restarted)


@pytest.mark.parametrize(
    ("wants", "state", "jobs"),
    [
        (MODEL, a_state(a_record(MODEL)), (a_job(MODEL, 1),)),
        (
            a_model(fields={"hyperParameters.adapterSize": 4}),
            a_state(a_record(MODEL)),
            (a_job(MODEL, 1),),
        ),
        (
            a_model(fields=EDITED.fields, lifecycle=Lifecycle(prevent_replace=True)),
            a_state(a_record(MODEL)),
            (a_job(MODEL, 1),),
        ),
        (MODEL, a_state(), (a_job(MODEL, 1),)),
        (MODEL, a_state(a_record(MODEL)), (a_job(MODEL, 1, JobState.CANCELLING),)),
        (MODEL, a_state(queue=[a_ticket(MODEL)]), ()),
        (MODEL, a_state(intents=[an_intent(MODEL)]), ()),
    ],
    ids=["running", "same spec", "protected", "unrecorded", "cancelling", "queued", "submitting"],
)
def test_a_retry_never_runs_beside_a_running_job(wants: DesiredModel, state: State, jobs: tuple[LiveJob, ...]) -> None:
    """`retry` leaves alone what runs, is queued or is being submitted: it would be paid twice."""
    observation = an_observation(*jobs)
    plan = a_plan((wants,), state, observation)
    assert () == retried(Planned(plan=plan, held=Held(state, "v"), observation=observation), ADDRESS)


@pytest.mark.parametrize(
    ("jobs", "because"),
    [
        ((a_job(MODEL, 1, FAILED),), None),
        ((a_job(MODEL, 1, SUCCEEDED),), None),
        ((a_job(MODEL, 1, JobState.CANCELLED),), Because.REQUESTED),
        ((), None),
    ],
    ids=["failed", "tuned", "cancelled", "gone"],
)
def test_a_retry_makes_what_has_ended_anew(jobs: tuple[LiveJob, ...], because: Because | None) -> None:
    """`retry` gives one more attempt to what failed, was cancelled or is gone, and also to what is tuned."""
    state, observation = a_state(a_record(MODEL, because=because)), an_observation(*jobs)
    plan = a_plan((MODEL,), state, observation)
    changes = retried(Planned(plan=plan, held=Held(state, "v"), observation=observation), ADDRESS)
    assert [(Action.CREATE, Reason.REQUESTED, 2)] == [(one.action, one.reason, one.attempt) for one in changes]
