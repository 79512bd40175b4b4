"""The decision table: for each row and each of its reasons one situation, and which row wins where several fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from reconciler.model.desired import DesiredModel, Lifecycle
from reconciler.model.fields import FINGERPRINT_VERSION, PARENT_FINGERPRINT
from reconciler.model.job import JobError, JobState, LiveJob
from reconciler.plan import Action, Reason
from reconciler.planner.facts import Facts
from reconciler.planner.table import ROWS, decide
from reconciler.planner.verdict import Verdict
from reconciler.state.records import Because, Origin, State
from reconciler.state.unseen import SETTLE_TIME
from tests.planner_builders import (
    ADDRESS,
    AT,
    LOCATION,
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

JUST_NOW = AT - timedelta(seconds=10)
OTHER_OWNER = "another-lineage"
UNREAD = {LOCATION: "it did not answer"}
MODEL = a_model()
EDITED = a_model(fields={"hyperParameters.epochCount": 8})
SPELLED_OUT = a_model(fields={"hyperParameters.adapterSize": 4})
RETRYING = a_model(lifecycle=Lifecycle(retries=1))
DELETING = Lifecycle(on_remove="delete")
PARENT = a_model("parent")
EDITED_PARENT = a_model("parent", {"hyperParameters.epochCount": 8})
CHILD = a_model("child", parent=PARENT)
CHILD_OF_EDITED = a_model("child", parent=EDITED_PARENT)
QUOTA_GONE = JobError(8, "out of capacity")
BAD_DATASET = JobError(3, "row 7 is not JSON")
RUNNING, SUCCEEDED, FAILED = JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED
CANCELLED, EXPIRED, CANCELLING = JobState.CANCELLED, JobState.EXPIRED, JobState.CANCELLING
PARTIAL = JobState.PARTIALLY_SUCCEEDED


@dataclass(frozen=True, kw_only=True)
class Case:
    """A situation, and what is decided about one address in it. `job` is the number of the job it is about."""

    name: str
    wants: tuple[DesiredModel, ...] = ()
    state: State = field(default_factory=a_state)
    jobs: tuple[LiveJob, ...] = ()
    models: frozenset[str] | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
    address: str = ADDRESS
    row: int
    action: Action = Action.LEAVE
    reason: Reason
    job: int | None = None
    rules: tuple[str, ...] = ()


def recorded(model: DesiredModel = MODEL, because: Because | None = None, origin: Origin = Origin.CREATED) -> State:
    """A state in which job 1 was made for this model."""
    return a_state(a_record(model, because=because, origin=origin))


def attempts(*models: DesiredModel, because: Because | None = None) -> State:
    """A state in which jobs 1, 2, ... were made for these models, at one address; `because` is about the last."""
    numbered = list(enumerate(models, start=1))
    made = tuple(
        an_attempt(model, number, because=because if number == len(models) else None) for number, model in numbered
    )
    return a_state(a_record(models[-1], *made))


RETIRED_FIRST = a_state(retired=[a_record(MODEL)])
KEPT = frozenset({a_model_name(1), a_model_name(2)})
NONE_KEPT: frozenset[str] = frozenset()

CASES = (
    Case(
        name="1 desired's location unread",
        wants=(MODEL,),
        unread=UNREAD,
        row=1,
        reason=Reason.UNKNOWN,
        rules=("location-unread",),
    ),
    Case(
        name="1 recorded job's location unread",
        wants=(a_model(fields={"location": "europe-west4"}),),
        state=recorded(),
        unread=UNREAD,
        row=1,
        reason=Reason.UNKNOWN,
        rules=("location-unread",),
    ),
    Case(
        name="1 intent's location unread",
        state=a_state(intents=[an_intent(MODEL, age=SETTLE_TIME)]),
        unread=UNREAD,
        row=1,
        reason=Reason.UNKNOWN,
        rules=("location-unread",),
    ),
    Case(
        name="2 create sent, nothing listed yet",
        wants=(MODEL,),
        state=a_state(intents=[an_intent(MODEL)]),
        row=2,
        reason=Reason.SUBMITTING,
    ),
    Case(
        name="2 create sent for what nobody wants any more",
        state=a_state(intents=[an_intent(MODEL)]),
        row=2,
        reason=Reason.SUBMITTING,
    ),
    Case(
        name="2 recorded a moment ago, not listed yet",
        wants=(MODEL,),
        state=a_state(a_record(MODEL, an_attempt(MODEL, recorded_at=JUST_NOW))),
        row=2,
        reason=Reason.SUBMITTING,
    ),
    Case(
        name="3 create succeeded unheard",
        wants=(MODEL,),
        state=a_state(intents=[an_intent(MODEL, "t1")], queue=[a_ticket(MODEL)]),
        jobs=(a_job(MODEL, 1, nonce="t1"),),
        row=3,
        action=Action.ADOPT,
        reason=Reason.SUBMITTED,
        job=1,
    ),
    Case(
        name="3 create succeeded unheard, seen after the settle time",
        wants=(MODEL,),
        state=a_state(intents=[an_intent(MODEL, "t1", age=SETTLE_TIME)]),
        jobs=(a_job(MODEL, 1, SUCCEEDED, nonce="t1"),),
        row=3,
        action=Action.ADOPT,
        reason=Reason.SUBMITTED,
        job=1,
    ),
    Case(
        name="4 being cancelled",
        wants=(MODEL,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, CANCELLING),),
        row=4,
        reason=Reason.CANCELLING,
        job=1,
    ),
    Case(
        name="4 being cancelled and not desired",
        state=recorded(),
        jobs=(a_job(MODEL, 1, CANCELLING),),
        row=4,
        reason=Reason.CANCELLING,
        job=1,
    ),
    Case(
        name="5 renamed",
        wants=(a_model("new-name"),),
        state=recorded(),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        row=5,
        action=Action.FORGET,
        reason=Reason.MOVED,
        job=1,
    ),
    Case(
        name="6 removed while it runs",
        state=recorded(),
        jobs=(a_job(MODEL, 1),),
        row=6,
        action=Action.CANCEL,
        reason=Reason.REMOVED,
        job=1,
    ),
    Case(
        name="6 removed, its state is a word we do not know",
        state=recorded(),
        jobs=(a_job(MODEL, 1, "JOB_STATE_THINKING"),),
        row=6,
        action=Action.CANCEL,
        reason=Reason.REMOVED,
        job=1,
    ),
    Case(
        name="6 label alone: removed while it runs",
        state=recorded(origin=Origin.LABEL),
        jobs=(a_job(MODEL, 1),),
        row=6,
        reason=Reason.LOOK_ALIKE,
        job=1,
        rules=("look-alike",),
    ),
    Case(
        name="6 label alone: queued, removed, and a job with its labels runs that no record names",
        state=a_state(queue=[a_ticket(MODEL)]),
        jobs=(a_job(MODEL, 1),),
        row=6,
        reason=Reason.LOOK_ALIKE,
        job=1,
        rules=("look-alike",),
    ),
    Case(
        name="7 removed with its model to be deleted",
        state=recorded(a_model(lifecycle=DELETING)),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        models=KEPT,
        row=7,
        action=Action.DELETE,
        reason=Reason.REMOVED,
        job=1,
    ),
    Case(
        name="7 to be deleted, but nobody looked at models",
        state=recorded(a_model(lifecycle=DELETING)),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        row=7,
        reason=Reason.UNKNOWN,
        job=1,
        rules=("model-not-looked-at",),
    ),
    Case(
        name="7 label alone: removed with its model to be deleted",
        state=a_state(a_record(MODEL, origin=Origin.LABEL, lifecycle=DELETING)),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        models=KEPT,
        row=7,
        reason=Reason.LOOK_ALIKE,
        job=1,
        rules=("look-alike",),
    ),
    Case(
        name="8 removed, tuned: the model is kept",
        state=recorded(),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        row=8,
        action=Action.FORGET,
        reason=Reason.FINISHED,
        job=1,
    ),
    Case(
        name="8 removed, failed",
        state=recorded(a_model(lifecycle=DELETING)),
        jobs=(a_job(MODEL, 1, FAILED),),
        row=8,
        action=Action.FORGET,
        reason=Reason.FINISHED,
        job=1,
    ),
    Case(name="8 removed, job gone", state=recorded(), row=8, action=Action.FORGET, reason=Reason.GONE),
    Case(
        name="8 removed while queued",
        state=a_state(queue=[a_ticket(MODEL)]),
        row=8,
        action=Action.FORGET,
        reason=Reason.DEQUEUED,
    ),
    Case(
        name="8 removed, and its create came to nothing",
        state=a_state(intents=[an_intent(MODEL, age=SETTLE_TIME)]),
        row=8,
        action=Action.FORGET,
        reason=Reason.DEQUEUED,
    ),
    Case(
        name="9 queued and new",
        wants=(MODEL,),
        state=a_state(queue=[a_ticket(MODEL)]),
        row=9,
        reason=Reason.QUEUED,
    ),
    Case(
        name="9 queued again after a failure",
        wants=(MODEL,),
        state=a_state(a_record(MODEL), queue=[a_ticket(MODEL, attempt=2)]),
        jobs=(a_job(MODEL, 1, FAILED),),
        row=9,
        reason=Reason.QUEUED,
    ),
    Case(
        name="9 queued, its create came to nothing within the settle time",
        wants=(MODEL,),
        state=a_state(intents=[an_intent(MODEL, age=SETTLE_TIME)], queue=[a_ticket(MODEL)]),
        row=9,
        reason=Reason.QUEUED,
    ),
    Case(
        name="10 new name of a tuned model",
        wants=(a_model("new-name"),),
        state=recorded(),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        address="new-name",
        row=10,
        action=Action.ADOPT,
        reason=Reason.MOVED,
    ),
    Case(
        name="11 runs unrecorded",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1),),
        row=11,
        action=Action.ADOPT,
        reason=Reason.UNRECORDED,
        job=1,
    ),
    Case(
        name="11 runs unrecorded with another spec",
        wants=(EDITED,),
        jobs=(a_job(MODEL, 1),),
        row=11,
        action=Action.ADOPT,
        reason=Reason.UNRECORDED,
        job=1,
    ),
    Case(
        name="11 tuned unrecorded",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        row=11,
        action=Action.ADOPT,
        reason=Reason.UNRECORDED,
        job=1,
    ),
    Case(
        name="11 failed unrecorded: a state that lost a failure does not pay for it again",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1, FAILED, error=BAD_DATASET),),
        row=11,
        action=Action.ADOPT,
        reason=Reason.UNRECORDED,
        job=1,
    ),
    Case(
        name="11 tuned unrecorded, its model deleted: a deleted model starts no job",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        models=NONE_KEPT,
        row=11,
        action=Action.ADOPT,
        reason=Reason.UNRECORDED,
        job=1,
    ),
    Case(
        name="11 tuned unrecorded, and a later job with another spec failed",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1, SUCCEEDED), a_job(EDITED, 2, FAILED)),
        row=11,
        action=Action.ADOPT,
        reason=Reason.UNRECORDED,
        job=1,
    ),
    Case(
        name="11 tuned unrecorded, and a later attempt at the same failed",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1, SUCCEEDED), a_job(MODEL, 2, FAILED)),
        row=11,
        action=Action.ADOPT,
        reason=Reason.UNRECORDED,
        job=1,
    ),
    Case(
        name="11 runs unrecorded, and a later job failed",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1), a_job(MODEL, 2, FAILED)),
        row=11,
        action=Action.ADOPT,
        reason=Reason.UNRECORDED,
        job=1,
    ),
    Case(
        name="11 tuned unrecorded, the record is of an older spec: an old state was put back",
        wants=(EDITED,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, SUCCEEDED), a_job(EDITED, 2, SUCCEEDED)),
        row=11,
        action=Action.ADOPT,
        reason=Reason.UNRECORDED,
        job=2,
    ),
    Case(
        name="12 tuned by another owner",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1, SUCCEEDED, owner=OTHER_OWNER),),
        row=12,
        reason=Reason.FOREIGN,
        job=1,
        rules=("foreign-owner",),
    ),
    Case(
        name="12 runs for another owner",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1, owner=OTHER_OWNER),),
        row=12,
        reason=Reason.FOREIGN,
        job=1,
        rules=("foreign-owner",),
    ),
    Case(name="13 new", wants=(MODEL,), row=13, action=Action.CREATE, reason=Reason.NEW),
    Case(
        name="13 another owner's job failed",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1, FAILED, owner=OTHER_OWNER),),
        row=13,
        action=Action.CREATE,
        reason=Reason.NEW,
    ),
    Case(
        name="13 another owner tuned another spec",
        wants=(MODEL,),
        jobs=(a_job(EDITED, 1, SUCCEEDED, owner=OTHER_OWNER),),
        row=13,
        action=Action.CREATE,
        reason=Reason.NEW,
    ),
    Case(
        name="13 another stack's job",
        wants=(MODEL,),
        jobs=(a_job(MODEL, 1, SUCCEEDED, owner=OTHER_OWNER, stack="elsewhere"),),
        row=13,
        action=Action.CREATE,
        reason=Reason.NEW,
    ),
    Case(
        name="13 an own job with another spec has ended",
        wants=(MODEL,),
        jobs=(a_job(EDITED, 1, SUCCEEDED),),
        row=13,
        action=Action.CREATE,
        reason=Reason.NEW,
    ),
    *(
        Case(
            name=f"14 cancelled by us as {because}, wanted again",
            wants=(MODEL,),
            state=recorded(because=because),
            jobs=(a_job(MODEL, 1, CANCELLED),),
            row=14,
            action=Action.CREATE,
            reason=Reason.RESTORED,
            job=1,
        )
        for because in (Because.REMOVED, Because.REPLACED, Because.DESTROYED, Because.DUPLICATE)
    ),
    Case(
        name="14 model deleted by us, wanted again",
        wants=(MODEL,),
        state=recorded(because=Because.REMOVED),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        models=NONE_KEPT,
        row=14,
        action=Action.CREATE,
        reason=Reason.RESTORED,
        job=1,
    ),
    Case(
        name="15 job gone",
        wants=(MODEL,),
        state=recorded(),
        row=15,
        reason=Reason.GONE,
        job=1,
        rules=("job-gone",),
    ),
    Case(
        name="16 a default spelled out",
        wants=(SPELLED_OUT,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        row=16,
        reason=Reason.SAME_SPEC,
        job=1,
    ),
    Case(
        name="16 a spelled-out default dropped, while it runs",
        wants=(MODEL,),
        state=recorded(SPELLED_OUT),
        jobs=(a_job(SPELLED_OUT, 1),),
        row=16,
        reason=Reason.SAME_SPEC,
        job=1,
    ),
    Case(
        name="16 a default spelled out after it failed",
        wants=(SPELLED_OUT,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, FAILED, error=BAD_DATASET),),
        row=16,
        reason=Reason.SAME_SPEC,
        job=1,
    ),
    Case(
        name="17 reverted",
        wants=(MODEL,),
        state=attempts(MODEL, EDITED),
        jobs=(a_job(MODEL, 1, SUCCEEDED), a_job(EDITED, 2, SUCCEEDED)),
        models=KEPT,
        row=17,
        action=Action.ADOPT,
        reason=Reason.ROLLED_BACK,
        job=1,
    ),
    Case(
        name="17 reverted while the new one runs",
        wants=(MODEL,),
        state=attempts(MODEL, EDITED),
        jobs=(a_job(MODEL, 1, SUCCEEDED), a_job(EDITED, 2)),
        row=17,
        action=Action.CANCEL,
        reason=Reason.ROLLED_BACK,
        job=2,
    ),
    Case(
        name="17 label alone: reverted while the new one runs",
        wants=(MODEL,),
        state=a_state(a_record(MODEL, an_attempt(MODEL, 1), an_attempt(EDITED, 2, origin=Origin.LABEL))),
        jobs=(a_job(MODEL, 1, SUCCEEDED), a_job(EDITED, 2)),
        row=17,
        reason=Reason.LOOK_ALIKE,
        job=2,
        rules=("look-alike",),
    ),
    *(
        Case(
            name=f"18 the parent was edited, {what}",
            wants=(EDITED_PARENT, CHILD_OF_EDITED),
            state=a_state(a_record(CHILD), a_record(PARENT, an_attempt(PARENT, 2))),
            jobs=jobs,
            address="child",
            row=18,
            reason=Reason.PARENT_CHANGED,
            job=job,
            rules=("parent-changed",),
        )
        for what, jobs, job in (
            ("the child is tuned", (a_job(CHILD, 1, SUCCEEDED),), 1),
            ("the child runs", (a_job(CHILD, 1),), 1),
            ("the child's job is gone", (), None),
        )
    ),
    *(
        Case(
            name=f"19 protected, {state}",
            wants=(a_model(fields=EDITED.fields, lifecycle=Lifecycle(prevent_replace=True)),),
            state=recorded(),
            jobs=(a_job(MODEL, 1, state),),
            row=19,
            reason=Reason.PROTECTED,
            job=1,
            rules=("protected",),
        )
        for state in (RUNNING, SUCCEEDED)
    ),
    Case(
        name="20 edited while it runs",
        wants=(EDITED,),
        state=recorded(),
        jobs=(a_job(MODEL, 1),),
        row=20,
        action=Action.REPLACE,
        reason=Reason.SPEC_CHANGED,
        job=1,
    ),
    Case(
        name="20 label alone: edited while it runs",
        wants=(EDITED,),
        state=recorded(origin=Origin.LABEL),
        jobs=(a_job(MODEL, 1),),
        row=20,
        reason=Reason.LOOK_ALIKE,
        job=1,
        rules=("look-alike",),
    ),
    *(
        Case(
            name=f"21 edited after {state}",
            wants=(EDITED,),
            state=recorded(),
            jobs=(a_job(MODEL, 1, state),),
            row=21,
            action=Action.CREATE,
            reason=Reason.SPEC_CHANGED,
            job=1,
        )
        for state in (SUCCEEDED, FAILED, CANCELLED)
    ),
    Case(
        name="21 edited, and its job is gone",
        wants=(EDITED,),
        state=recorded(),
        row=21,
        action=Action.CREATE,
        reason=Reason.SPEC_CHANGED,
    ),
    Case(
        name="21 the parent was edited, the child is to follow",
        wants=(
            EDITED_PARENT,
            a_model("child", parent=EDITED_PARENT, lifecycle=Lifecycle(on_parent_change="retrain")),
        ),
        state=a_state(a_record(CHILD), a_record(PARENT, an_attempt(PARENT, 2))),
        jobs=(a_job(CHILD, 1, SUCCEEDED), a_job(PARENT, 2, SUCCEEDED)),
        address="child",
        row=21,
        action=Action.CREATE,
        reason=Reason.SPEC_CHANGED,
        job=1,
    ),
    *(
        Case(
            name=f"22 {state}",
            wants=(MODEL,),
            state=recorded(),
            jobs=(a_job(MODEL, 1, state),),
            row=22,
            reason=Reason.IN_PROGRESS,
            job=1,
        )
        for state in (JobState.QUEUED, JobState.PENDING, RUNNING, JobState.PAUSED, "JOB_STATE_THINKING")
    ),
    Case(
        name="23 model deleted by others",
        wants=(MODEL,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        models=NONE_KEPT,
        row=23,
        reason=Reason.MODEL_GONE,
        job=1,
        rules=("model-gone",),
    ),
    Case(
        name="26 tuned",
        wants=(MODEL,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        row=26,
        reason=Reason.SUCCEEDED,
        job=1,
    ),
    Case(
        name="26 tuned in part",
        wants=(MODEL,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, PARTIAL),),
        row=26,
        reason=Reason.SUCCEEDED,
        job=1,
        rules=("partially-succeeded",),
    ),
    Case(
        name="26 taken back",
        wants=(MODEL,),
        state=RETIRED_FIRST,
        jobs=(a_job(MODEL, 1, SUCCEEDED),),
        row=26,
        reason=Reason.SUCCEEDED,
        job=1,
    ),
    Case(
        name="27 cancelled by request",
        wants=(MODEL,),
        state=recorded(because=Because.REQUESTED),
        jobs=(a_job(MODEL, 1, CANCELLED),),
        row=27,
        reason=Reason.CANCELLED,
        job=1,
    ),
    Case(
        name="27 cancelled elsewhere",
        wants=(MODEL,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, CANCELLED),),
        row=27,
        reason=Reason.CANCELLED_ELSEWHERE,
        job=1,
        rules=("cancelled-elsewhere",),
    ),
    Case(
        name="28 failed for want of capacity, one retry declared",
        wants=(RETRYING,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, FAILED, error=QUOTA_GONE),),
        row=28,
        action=Action.CREATE,
        reason=Reason.RETRY,
        job=1,
    ),
    Case(
        name="28 expired, one retry declared",
        wants=(RETRYING,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, EXPIRED),),
        row=28,
        action=Action.CREATE,
        reason=Reason.RETRY,
        job=1,
    ),
    Case(
        name="29 failed, no retry declared",
        wants=(MODEL,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, FAILED, error=QUOTA_GONE),),
        row=29,
        reason=Reason.FAILED,
        job=1,
        rules=("job-failed",),
    ),
    Case(
        name="29 failed, would fail again",
        wants=(RETRYING,),
        state=recorded(),
        jobs=(a_job(MODEL, 1, FAILED, error=BAD_DATASET),),
        row=29,
        reason=Reason.FAILED,
        job=1,
        rules=("job-failed",),
    ),
    Case(
        name="29 failed, retries used up",
        wants=(RETRYING,),
        state=attempts(MODEL, MODEL),
        jobs=(a_job(MODEL, 1, FAILED, error=QUOTA_GONE), a_job(MODEL, 2, FAILED, error=QUOTA_GONE)),
        row=29,
        reason=Reason.FAILED,
        job=2,
        rules=("job-failed",),
    ),
    Case(
        name="29 failed, the state has lost the attempts before it",
        wants=(RETRYING,),
        state=a_state(a_record(MODEL, an_attempt(MODEL, 1, attempt=2, origin=Origin.LABEL))),
        jobs=(a_job(MODEL, 1, FAILED, error=QUOTA_GONE),),
        row=29,
        reason=Reason.FAILED,
        job=1,
        rules=("job-failed",),
    ),
    Case(
        name="29 failed after somebody asked to cancel it",
        wants=(RETRYING,),
        state=recorded(because=Because.REQUESTED),
        jobs=(a_job(MODEL, 1, FAILED, error=QUOTA_GONE),),
        row=29,
        reason=Reason.FAILED,
        job=1,
        rules=("job-failed",),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_situation_gets_the_verdict_of_its_row(case: Case) -> None:
    """What is desired, recorded and live decides the action, its reason, the row, the job and what is said about it."""
    plan = a_plan(case.wants, case.state, an_observation(*case.jobs, models=case.models, unread=case.unread))
    change = next(one for one in plan.changes if one.address == case.address)
    location = next((model.location for model in case.wants if model.address == case.address), LOCATION)
    expected = (
        case.row,
        case.action,
        case.reason,
        None if case.job is None else a_job_name(case.job, location),
        case.rules,
    )
    assert expected == (
        change.row,
        change.action,
        change.reason,
        change.job,
        tuple(one.rule for one in change.diagnostics),
    )


SETTLED = Facts(
    address=ADDRESS, desired=MODEL, record=a_record(MODEL), live=a_job(MODEL, 1, SUCCEEDED), model_exists=True
)
DATASET = {on: a_model(lifecycle=Lifecycle(on_dataset_change=on)) for on in ("warn", "retrain", "ignore")}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(SETTLED, desired=DATASET["retrain"], dataset_changed=True), (24, Action.CREATE, "dataset_changed")),
        (replace(SETTLED, desired=DATASET["warn"], dataset_changed=True), (26, Action.LEAVE, "dataset_changed")),
        (replace(SETTLED, desired=DATASET["ignore"], dataset_changed=True), (26, Action.LEAVE, "succeeded")),
        (replace(SETTLED, desired=DATASET["retrain"], dataset_changed=False), (26, Action.LEAVE, "succeeded")),
        (replace(SETTLED, desired=DATASET["retrain"], dataset_changed=None), (26, Action.LEAVE, "succeeded")),
        (replace(SETTLED, metadata_differs=True), (25, Action.UPDATE, "metadata_changed")),
        (replace(SETTLED, metadata_differs=False), (26, Action.LEAVE, "succeeded")),
    ],
)
def test_what_only_a_closer_look_tells(facts: Facts, expected: tuple[int, Action, str]) -> None:
    """Other bytes in the dataset tune again only where that was declared; another display name is an update."""
    verdict = decide(facts)
    assert expected == (verdict.row, verdict.action, verdict.reason.value)


def test_a_changed_dataset_that_is_kept_is_warned_about() -> None:
    """A model whose dataset changed since is kept, with a warning that says how to tune it again."""
    verdict = decide(replace(SETTLED, dataset_changed=True))
    assert [("dataset-changed", f"tuneform retry {ADDRESS}")] == [
        (one.rule, one.command) for one in verdict.diagnostics
    ]


def test_every_row_has_a_case() -> None:
    """The cases here and the closer look cover all rows of the table."""
    assert {number for number, _ in ROWS} == {case.row for case in CASES} | {24, 25}


def test_every_reason_of_the_table_has_a_case() -> None:
    """Each reason the table can give is given once; REQUESTED is what `retry` says and no row does."""
    given = {case.reason for case in CASES} | {Reason.DATASET_CHANGED, Reason.METADATA_CHANGED}
    assert set(Reason) - {Reason.REQUESTED} == given


@pytest.mark.parametrize(
    ("name", "wants", "state", "jobs", "expected"),
    [
        (
            "submitting before in progress",
            (MODEL,),
            a_state(a_record(MODEL), intents=[an_intent(MODEL, "t2")]),
            (a_job(MODEL, 1),),
            (2, Reason.SUBMITTING),
        ),
        (
            "submitting before new",
            (EDITED,),
            a_state(intents=[an_intent(MODEL)]),
            (),
            (2, Reason.SUBMITTING),
        ),
        (
            "submitted before removed",
            (),
            a_state(intents=[an_intent(MODEL, "t1")]),
            (a_job(MODEL, 1, nonce="t1"),),
            (3, Reason.SUBMITTED),
        ),
        (
            "cancelling before spec changed",
            (EDITED,),
            recorded(),
            (a_job(MODEL, 1, CANCELLING),),
            (4, Reason.CANCELLING),
        ),
        (
            "moved before cancel",
            (a_model("new-name"),),
            recorded(),
            (a_job(MODEL, 1),),
            (5, Reason.MOVED),
        ),
        (
            "in progress before queued",
            (MODEL,),
            a_state(a_record(MODEL), queue=[a_ticket(MODEL)]),
            (a_job(MODEL, 1),),
            (22, Reason.IN_PROGRESS),
        ),
        (
            "queued before rolled back",
            (MODEL,),
            a_state(a_record(EDITED, an_attempt(MODEL, 1), an_attempt(EDITED, 2)), queue=[a_ticket(MODEL)]),
            (a_job(MODEL, 1, SUCCEEDED), a_job(EDITED, 2, SUCCEEDED)),
            (9, Reason.QUEUED),
        ),
        (
            "spec changed before a ticket for another spec",
            (EDITED,),
            a_state(a_record(MODEL), queue=[a_ticket(SPELLED_OUT)]),
            (a_job(MODEL, 1, SUCCEEDED),),
            (21, Reason.SPEC_CHANGED),
        ),
        (
            "unrecorded before foreign",
            (MODEL,),
            a_state(),
            (a_job(MODEL, 1, SUCCEEDED), a_job(MODEL, 2, SUCCEEDED, owner=OTHER_OWNER)),
            (11, Reason.UNRECORDED),
        ),
        (
            "the record before what another owner made",
            (MODEL,),
            recorded(),
            (a_job(MODEL, 1, SUCCEEDED), a_job(MODEL, 2, SUCCEEDED, owner=OTHER_OWNER)),
            (26, Reason.SUCCEEDED),
        ),
        (
            "restored before cancelled elsewhere",
            (MODEL,),
            recorded(because=Because.REMOVED),
            (a_job(MODEL, 1, CANCELLED),),
            (14, Reason.RESTORED),
        ),
        (
            "same spec before protected",
            (a_model(fields=SPELLED_OUT.fields, lifecycle=Lifecycle(prevent_replace=True)),),
            recorded(),
            (a_job(MODEL, 1),),
            (16, Reason.SAME_SPEC),
        ),
        (
            "spec changed before same spec, where we ended the job",
            (SPELLED_OUT,),
            recorded(because=Because.REPLACED),
            (a_job(MODEL, 1, CANCELLED),),
            (21, Reason.SPEC_CHANGED),
        ),
        (
            "same spec before rolled back",
            (SPELLED_OUT,),
            attempts(SPELLED_OUT, MODEL),
            (a_job(SPELLED_OUT, 1, SUCCEEDED), a_job(MODEL, 2, SUCCEEDED)),
            (16, Reason.SAME_SPEC),
        ),
        (
            "rolled back before protected",
            (a_model(fields=MODEL.fields, lifecycle=Lifecycle(prevent_replace=True)),),
            attempts(MODEL, EDITED),
            (a_job(MODEL, 1, SUCCEEDED), a_job(EDITED, 2, SUCCEEDED)),
            (17, Reason.ROLLED_BACK),
        ),
        (
            "parent changed before protected",
            (EDITED_PARENT, a_model(parent=EDITED_PARENT, lifecycle=Lifecycle(prevent_replace=True))),
            a_state(a_record(a_model(parent=PARENT)), a_record(PARENT, an_attempt(PARENT, 2))),
            (a_job(a_model(parent=PARENT), 1, SUCCEEDED),),
            (18, Reason.PARENT_CHANGED),
        ),
        (
            "protected before replace, and not for what has failed",
            (a_model(fields=EDITED.fields, lifecycle=Lifecycle(prevent_replace=True)),),
            recorded(),
            (a_job(MODEL, 1, FAILED),),
            (21, Reason.SPEC_CHANGED),
        ),
        (
            "replace before an older job of the same spec that never succeeded",
            (MODEL,),
            attempts(MODEL, EDITED),
            (a_job(MODEL, 1, FAILED), a_job(EDITED, 2)),
            (20, Reason.SPEC_CHANGED),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_first_row_that_fits_wins(
    name: str,
    wants: tuple[DesiredModel, ...],
    state: State,
    jobs: tuple[LiveJob, ...],
    expected: tuple[int, Reason],
) -> None:
    """Where two rows fit, the one further up in the table decides."""
    plan = a_plan(wants, state, an_observation(*jobs))
    change = next(one for one in plan.changes if one.address == ADDRESS)
    assert expected == (change.row, change.reason)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(SETTLED, model_exists=False, metadata_differs=True), 23),
        (replace(SETTLED, model_exists=False, desired=DATASET["retrain"], dataset_changed=True), 23),
        (replace(SETTLED, metadata_differs=True, desired=DATASET["retrain"], dataset_changed=True), 24),
        (replace(SETTLED, metadata_differs=True, dataset_changed=True), 25),
        (replace(SETTLED, unread=(LOCATION,), metadata_differs=True), 1),
    ],
)
def test_the_first_row_that_fits_wins_after_success(facts: Facts, expected: int) -> None:
    """A deleted model comes before a changed dataset, and that before changed metadata."""
    assert expected == decide(facts).row


def test_an_older_job_whose_model_is_gone_is_not_gone_back_to() -> None:
    """A revert tunes again when the model it would go back to was deleted."""
    jobs = (a_job(MODEL, 1, SUCCEEDED), a_job(EDITED, 2, SUCCEEDED))
    plan = a_plan((MODEL,), attempts(MODEL, EDITED), an_observation(*jobs, models={a_model_name(2)}))
    assert [(21, Action.CREATE, 2)] == [(one.row, one.action, one.attempt) for one in plan.changes]


@pytest.mark.parametrize(
    ("path", "value"),
    [("hyperParameters.adapterSize", 8), ("validationDatasetUri", "gs://data/validation.jsonl")],
    ids=["another than the default", "no default"],
)
def test_dropping_what_mattered_is_not_the_same_spec(path: str, value: str | int) -> None:
    """Dropping a value tunes again, unless the job ran with what the service would choose by itself."""
    before = a_model(fields={path: value})
    plan = a_plan((MODEL,), recorded(before), an_observation(a_job(before, 1, SUCCEEDED)))
    assert [(21, Reason.SPEC_CHANGED)] == [(one.row, one.reason) for one in plan.changes]


def test_without_a_row_that_fits_the_table_says_so() -> None:
    """Facts that no row fits are a defect, and are not left in silence."""
    with pytest.raises(AssertionError, match=f"no row of the decision table fits {ADDRESS}"):
        decide(SETTLED, rows=())


def test_a_verdict_bears_the_number_of_its_row() -> None:
    """The number of the row that fired is in the verdict, whichever rows are asked."""
    said = Verdict(action=Action.LEAVE, reason=Reason.SUCCEEDED, why="because")
    assert replace(said, row=7) == decide(SETTLED, rows=((3, lambda facts: None), (7, lambda facts: said)))


def test_the_parents_fingerprint_is_what_a_child_differs_by() -> None:
    """The cases about parents differ by the parent's fingerprint alone, in this version's form."""
    changed = {path for path in CHILD.fields if CHILD.fields[path] != CHILD_OF_EDITED.fields[path]}
    assert {PARENT_FINGERPRINT} == changed
    assert str(CHILD.fields[PARENT_FINGERPRINT]).startswith(f"{FINGERPRINT_VERSION}-")
