"""Continuous tuning between addresses: when a child may start, and from which model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from reconciler.model.job import JobState
from reconciler.model.observation import Observation
from reconciler.state.parents import parent_model, parent_states
from reconciler.state.records import State
from reconciler.state.unseen import SETTLE_TIME
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

ROOT = a_model("root")
MIDDLE = a_model("middle", parent=ROOT)
LEAF = a_model("leaf", parent=MIDDLE)
DESIRED = desired_of(ROOT, MIDDLE, LEAF)
MODEL = "projects/1/locations/us-central1/models/7@1"
RUNNING = a_job("root", model=ROOT)
TUNED = replace(RUNNING, state=JobState.SUCCEEDED, model=MODEL)
OTHERWISE = a_model("root", fields={"hyperParameters.epochCount": 9})
TICKETS = (a_ticket(MIDDLE), a_ticket(LEAF))


def states(state: State, seen: Observation, *, served: Collection[str] = ("root", "middle", "leaf")) -> list[str]:
    """What the parents of the two queued children came to, the upper child first."""
    tickets = [ticket for address, ticket in state.queue.items() if address in served]
    found = parent_states(tickets, DESIRED, state, seen)
    return [found[address].value for address in ("middle", "leaf") if address in found]


@pytest.mark.parametrize(
    ("state", "seen", "expected"),
    [
        (a_state(a_record(ROOT, TUNED)), an_observation(TUNED), "ready"),
        (a_state(a_record(ROOT, RUNNING)), an_observation(RUNNING), "waiting"),
        (a_state(a_ticket(ROOT)), an_observation(), "waiting"),
        (a_state(an_intent(ROOT)), an_observation(), "waiting"),
        (a_state(a_record(ROOT, RUNNING, recorded_at=AT)), an_observation(), "waiting"),
        (a_state(a_record(ROOT, RUNNING)), an_observation(read=frozenset()), "waiting"),
        (a_state(a_record(ROOT, RUNNING, recorded_at=AT - SETTLE_TIME)), an_observation(), "failed"),
        (a_state(), an_observation(), "failed"),
        (a_state(a_record(ROOT, RUNNING)), an_observation(replace(RUNNING, state=JobState.FAILED)), "failed"),
        (a_state(a_record(ROOT, RUNNING)), an_observation(replace(RUNNING, state=JobState.CANCELLED)), "failed"),
        (a_state(a_record(ROOT, RUNNING)), an_observation(replace(TUNED, model=None)), "failed"),
        (a_state(a_record(OTHERWISE, TUNED)), an_observation(TUNED), "failed"),
    ],
    ids=[
        "tuned",
        "running",
        "queued",
        "being submitted",
        "made a moment ago and not listed yet",
        "its location was not read",
        "its job is gone",
        "never made",
        "failed",
        "cancelled",
        "succeeded without a model",
        "tuned otherwise than the child counts on",
    ],
)
def test_what_became_of_a_parent(state: State, seen: Observation, expected: str) -> None:
    """A child may start when its parent made the model that is declared, waits while it may, and else never does."""
    state = replace(state, queue={**state.queue, "middle": TICKETS[0]})
    assert [expected] == states(state, seen)


@pytest.mark.parametrize(
    ("state", "seen", "expected"),
    [
        (a_state(a_ticket(ROOT), *TICKETS), an_observation(), ["waiting", "waiting"]),
        (a_state(a_record(ROOT, TUNED), *TICKETS), an_observation(TUNED), ["ready", "waiting"]),
        (a_state(*TICKETS), an_observation(), ["failed", "failed"]),
    ],
    ids=["the root is queued", "the root is tuned", "the root was never made"],
)
def test_a_chain_of_parents(state: State, seen: Observation, expected: list[str]) -> None:
    """What keeps a queued parent from ever being tuned keeps its children too, so that nobody waits in vain."""
    assert expected == states(state, seen)


def test_a_parent_that_this_run_does_not_serve() -> None:
    """A queued parent outside the scope of a run is waited for in vain, by its children and theirs."""
    state = a_state(a_ticket(ROOT), *TICKETS)
    assert ["not_served", "not_served"] == states(state, an_observation(), served=("middle", "leaf"))


def test_who_has_no_parent_is_not_asked_about() -> None:
    """Only declared children have an answer."""
    assert {} == parent_states([a_ticket(ROOT), a_ticket(a_model("undeclared"))], DESIRED, a_state(), an_observation())


def test_the_model_to_go_on_from() -> None:
    """A child goes on from what its parent's recorded job made, a named model is taken as written, else none."""
    state, seen = a_state(a_record(ROOT, TUNED)), an_observation(TUNED)
    named = a_model("named", fields={"preTunedModel.tunedModelName": "projects/1/locations/us/models/9"})
    found = [parent_model(model, state, seen) for model in (MIDDLE, LEAF, named, ROOT)]
    assert [MODEL, None, "projects/1/locations/us/models/9", None] == found
