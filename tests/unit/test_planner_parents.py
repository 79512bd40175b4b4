"""A child that follows its parent is tuned again only where there is something new to go on from."""

from __future__ import annotations

import pytest

from reconciler.model.desired import Lifecycle
from reconciler.model.job import JobState
from reconciler.plan import Action, Reason
from tests.planner_builders import a_job, a_model, a_plan, a_record, a_state, an_attempt, an_observation

FOLLOWS = Lifecycle(on_parent_change="retrain")
PARENT = a_model("parent")
CHILD = a_model("child", {"trainingDatasetUri": "gs://data/more.jsonl"}, parent=PARENT, lifecycle=FOLLOWS)
STATE = a_state(a_record(PARENT, an_attempt(PARENT, 1)), a_record(CHILD, an_attempt(CHILD, 2)))
TUNED = an_observation(a_job(PARENT, 1, JobState.SUCCEEDED), a_job(CHILD, 2, JobState.SUCCEEDED))


@pytest.mark.parametrize(
    ("edit", "lifecycle", "parent", "child"),
    [
        ({"hyperParameters.epochCount": 9}, Lifecycle(), (Action.CREATE, Reason.SPEC_CHANGED), Action.CREATE),
        (
            {"hyperParameters.epochCount": 9},
            Lifecycle(prevent_replace=True),
            (Action.LEAVE, Reason.PROTECTED),
            Action.LEAVE,
        ),
        # The parent ran with the service's own adapter size, and now its manifest says so.
        ({"hyperParameters.adapterSize": 4}, Lifecycle(), (Action.LEAVE, Reason.SAME_SPEC), Action.LEAVE),
    ],
    ids=["edited", "protected", "same spec"],
)
def test_a_child_follows_a_parent_only_where_it_is_tuned_again(
    edit: dict[str, int], lifecycle: Lifecycle, parent: tuple[Action, Reason], child: Action
) -> None:
    """A parent that is edited takes its child along; one that stays as it is does not."""
    edited = a_model("parent", {**PARENT.fields, **edit}, lifecycle=lifecycle)
    follower = a_model("child", {"trainingDatasetUri": "gs://data/more.jsonl"}, parent=edited, lifecycle=FOLLOWS)
    ran = {"hyperParameters.adapterSize": 4}
    seen = an_observation(a_job(PARENT, 1, JobState.SUCCEEDED, fields={**PARENT.fields, **ran}), TUNED.jobs[1])

    plan = a_plan((edited, follower), STATE, seen)

    changes = {one.address: one for one in plan.changes}
    assert parent == (changes["parent"].action, changes["parent"].reason)
    assert child == changes["child"].action
