"""Hints: what the plan says where a manifest may have been renamed and edited at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import Severity
from reconciler.model.desired import DesiredModel
from reconciler.model.fields import Value
from reconciler.model.job import JobState, LiveJob
from reconciler.state.records import Origin, State
from tests.planner_builders import (
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

DATA = "gs://data/one.jsonl"
OTHER_DATA = {"trainingDatasetUri": "gs://data/two.jsonl"}
OTHER_BASE = {"baseModel": "gemini-2.5-pro"}
EDIT = {"hyperParameters.epochCount": 8}


def made(name: str, **changes: Value) -> DesiredModel:
    """A model tuned on the common dataset."""
    fields: dict[str, Value] = {"trainingDatasetUri": DATA}
    return a_model(name, fields | changes)


def hinted(wants: tuple[DesiredModel, ...], state: State, *jobs: LiveJob) -> list[str | None]:
    """The commands that the plan's hints name."""
    found = a_plan(wants, state, an_observation(*jobs)).diagnostics
    return [one.command for one in found if one.rule == "maybe-renamed"]


@pytest.mark.parametrize("job_state", [JobState.SUCCEEDED, JobState.RUNNING, JobState.FAILED])
@pytest.mark.parametrize("edit", [EDIT, EDIT | OTHER_BASE, EDIT | OTHER_DATA], ids=["parameter", "base", "data"])
def test_a_new_address_that_shares_data_or_base_with_a_departing_one_is_hinted_at(
    edit: dict[str, Value], job_state: str
) -> None:
    """The command that would carry the model along is named at the new manifest, whatever became of the old job."""
    old, new = made("old"), made("new", **edit)
    plan = a_plan((new,), a_state(a_record(old)), an_observation(a_job(old, 1, job_state)))
    [hint] = [one for one in plan.diagnostics if one.rule == "maybe-renamed"]
    assert "tuneform state mv old new" == hint.command
    assert (Severity.INFO, new.source) == (hint.severity, hint.source)
    assert hint.detail.startswith("old is no longer declared and new is new, with the same ")
    assert not plan.errored


def test_addresses_are_quoted_for_the_shell() -> None:
    """A sweep's addresses hold brackets, which a shell would take for wildcards."""
    old, new = made("s[epochCount=2]"), made("t[epochCount=4]", **EDIT)
    state = a_state(a_record(old))
    assert ["tuneform state mv 's[epochCount=2]' 't[epochCount=4]'"] == hinted((new,), state, a_job(old, 1))


def test_nothing_in_common_is_no_hint() -> None:
    """Another dataset and another base model make another model."""
    old, new = made("old"), made("new", **OTHER_DATA, **OTHER_BASE)
    assert [] == hinted((new,), a_state(a_record(old)), a_job(old, 1, JobState.SUCCEEDED))


def test_a_move_needs_no_hint() -> None:
    """A manifest that was only renamed is paired by the plan itself, and what stays declared departs nowhere."""
    old = made("old")
    state, job = a_state(a_record(old)), a_job(old, 1, JobState.SUCCEEDED)
    assert [] == hinted((made("new"),), state, job)
    assert [] == hinted((old, made("new", **EDIT)), state, job)
    assert [] == hinted((), state, job)


def test_each_address_is_in_one_hint_at_most_and_the_likeliest_pairs_come_first() -> None:
    """Same data and base go before same data, and same data before same base."""
    both, data, base = made("both"), made("data", **OTHER_BASE), made("base", **OTHER_DATA)
    record = a_state(*(a_record(one) for one in (both, data, base)))
    jobs = [a_job(one, number, JobState.SUCCEEDED) for number, one in enumerate((both, data, base), start=1)]
    wants = (
        made("a", **EDIT, baseModel="gemini-2.5-flash-lite"),
        made("b", **EDIT),
        made("c", **EDIT, trainingDatasetUri="gs://data/three.jsonl"),
    )
    assert [
        "tuneform state mv both b",
        "tuneform state mv data a",
        "tuneform state mv base c",
    ] == hinted(wants, record, *jobs)


def test_what_is_known_by_its_labels_alone_is_compared_by_what_its_job_ran_with() -> None:
    """A recovered record holds no fields, so the live job's stand for them."""
    old, new = made("old"), made("new", **EDIT)
    attempt = replace(an_attempt(old, origin=Origin.LABEL), fields={})
    for job_state in (JobState.SUCCEEDED, JobState.RUNNING):
        job = a_job(old, 1, job_state)
        assert ["tuneform state mv old new"] == hinted((new,), a_state(a_record(old, attempt)), job)


def test_what_the_rename_would_refuse_is_not_hinted_at() -> None:
    """An old address that waits or is being submitted cannot be renamed now, and a queued new one is taken."""
    old, new = made("old"), made("new", **EDIT)
    job = a_job(old, 1, JobState.SUCCEEDED)
    for state in (
        a_state(a_record(old), queue=[a_ticket(made("old", **EDIT))]),
        a_state(a_record(old), intents=[an_intent(made("old", **EDIT))]),
        a_state(a_record(old), queue=[a_ticket(new)]),
    ):
        assert [] == hinted((new,), state, job)
