"""One line per model: manifest, state and live job joined."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model.job import JobState
from reconciler.model.observation import Observation
from reconciler.state.records import State
from reconciler.state.unseen import SETTLE_TIME
from reconciler.status import PHASES, ModelStatus, Phase, statuses
from tests.builders import (
    AT,
    a_job,
    a_model,
    a_record,
    a_state,
    a_ticket,
    an_intent,
    an_observation,
    desired_of,
)

ALPHA = a_model("alpha")
CHANGED = a_model("alpha", fields={"hyperParameters.epochCount": 9})
JOB = a_job(1, model=ALPHA)
DONE = replace(JOB, state=JobState.SUCCEEDED)
RECORD = a_record(ALPHA, JOB)


def status_of_alpha(state: State, seen: Observation) -> ModelStatus:
    """How the one desired model stands."""
    (status,) = statuses(desired_of(ALPHA), state, seen)
    return status


@pytest.mark.parametrize(
    ("live", "phase"),
    [
        (JobState.QUEUED, Phase.PENDING),
        (JobState.PENDING, Phase.PENDING),
        (JobState.RUNNING, Phase.RUNNING),
        (JobState.CANCELLING, Phase.CANCELLING),
        (JobState.CANCELLED, Phase.CANCELLED),
        (JobState.SUCCEEDED, Phase.SUCCEEDED),
        (JobState.PARTIALLY_SUCCEEDED, Phase.SUCCEEDED),
        (JobState.FAILED, Phase.FAILED),
        (JobState.EXPIRED, Phase.FAILED),
        (JobState.PAUSED, Phase.UNKNOWN),
        ("JOB_STATE_NOBODY_KNOWS", Phase.UNKNOWN),
    ],
)
def test_the_phase_of_a_job(live: str, phase: Phase) -> None:
    """Each state of a job is one phase, and a state nobody knows is unknown."""
    assert phase is status_of_alpha(a_state(RECORD), an_observation(replace(JOB, state=live))).phase


@pytest.mark.parametrize(
    ("state", "seen", "phase"),
    [
        (a_state(), an_observation(), Phase.NOT_STARTED),
        (a_state(a_ticket(ALPHA)), an_observation(), Phase.QUEUED),
        (a_state(a_ticket(ALPHA), an_intent(ALPHA)), an_observation(), Phase.SUBMITTING),
        (a_state(RECORD, a_ticket(ALPHA)), an_observation(JOB), Phase.RUNNING),
        (a_state(RECORD, a_ticket(ALPHA)), an_observation(DONE), Phase.QUEUED),
        (a_state(RECORD), an_observation(), Phase.GONE),
        (a_state(RECORD), an_observation(unread=("us-central1",)), Phase.UNKNOWN),
        (a_state(a_record(ALPHA, JOB, recorded_at=AT)), an_observation(), Phase.PENDING),
        (a_state(a_record(ALPHA, JOB, recorded_at=AT - SETTLE_TIME)), an_observation(), Phase.GONE),
        (a_state(retired={"alpha": RECORD}), an_observation(DONE), Phase.SUCCEEDED),
    ],
    ids=[
        "nothing is known",
        "queued",
        "being submitted",
        "its replacement is queued while the old job runs",
        "its next job is queued",
        "its job is gone",
        "its location was not read",
        "its job was made a moment ago and is not listed yet",
        "its job should be listed by now",
        "declared again after it was forgotten",
    ],
)
def test_the_phase_of_what_is_no_live_job_yet(state: State, seen: Observation, phase: Phase) -> None:
    """Where no job tells, queue, intent and what could be read do."""
    assert phase is status_of_alpha(state, seen).phase


def test_everything_known_has_a_line() -> None:
    """Desired, recorded, queued and submitted addresses have one line each, sorted; forgotten ones have none."""
    beta, gamma, delta, omega = (a_model(one) for one in ("beta", "gamma", "delta", "omega"))
    state = a_state(
        a_record(beta, a_job(2, model=beta)),
        a_ticket(gamma),
        an_intent(delta),
        retired={"omega": a_record(omega, a_job(3, model=omega))},
    )
    found = statuses(desired_of(ALPHA), state, an_observation())
    assert [("alpha", True), ("beta", False), ("delta", False), ("gamma", False)] == [
        (one.address, one.is_desired) for one in found
    ]


def test_what_a_line_tells() -> None:
    """A line has the model's base model and place, its job, and whether the manifest has moved on since."""
    expected = ModelStatus(
        address="alpha",
        phase=Phase.SUCCEEDED,
        is_desired=True,
        base_model="gemini-2.5-flash",
        location="us-central1",
        job=DONE,
        job_name=DONE.name,
        changed=True,
    )
    assert (expected,) == statuses(desired_of(CHANGED), a_state(RECORD), an_observation(DONE))


def test_a_model_without_a_manifest_is_told_by_its_job() -> None:
    """What nobody desires any more still has the base model and location of its job."""
    (status,) = statuses(desired_of(), a_state(RECORD), an_observation(DONE))
    assert ("gemini-2.5-flash", "us-central1", False) == (status.base_model, status.location, status.changed)


def test_places_and_reasons() -> None:
    """Queued models have their place and why they wait; what is being submitted waits no more."""
    first, second, third = (a_model(one) for one in ("first", "second", "third"))
    later = AT + timedelta(hours=1)
    state = a_state(
        a_ticket(first), a_ticket(second, enqueued_at=later), a_ticket(third, enqueued_at=later), an_intent(first)
    )
    found = statuses(desired_of(first, second, third), state, an_observation(), {"second": "all used"})
    assert [("first", None, AT, ""), ("second", 1, later, "all used"), ("third", 2, later, "")] == [
        (one.address, one.place, one.enqueued_at, one.why) for one in found
    ]


def test_every_state_that_ends_a_job_has_a_phase() -> None:
    """No state in which a job has ended is shown as unknown."""
    assert {one for one in JobState if one not in PHASES} == {JobState.PAUSED, JobState.UPDATING}
