"""The queue as people ask about it: reasons, expected starts and ends, and who holds the slots."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.model.desired import Priority
from reconciler.model.job import JobState, LiveJob
from reconciler.outlook import Outlook, look_out
from reconciler.renderers.queue_text import encode_queue, render_queue
from reconciler.renderers.text import Style
from reconciler.state.records import Hold
from tests.builders import (
    AT,
    a_job,
    a_model,
    a_record,
    a_state,
    a_ticket,
    an_observation,
    desired_of,
    job_name,
    minutes,
)

ALPHA, BETA, GAMMA = (a_model(address) for address in ("alpha", "beta", "gamma"))
HOUR = timedelta(hours=1)


def past_jobs(count: int, *, base: str = "gemini-2.5-flash") -> tuple[LiveJob, ...]:
    """Jobs of others that took an hour each for a million tokens and two epochs."""
    fields = {"baseModel": base, "hyperParameters.epochCount": 2, "trainingDatasetUri": "gs://data/theirs.jsonl"}
    return tuple(
        a_job(
            f"past-{number}",
            fields=fields,
            state=JobState.SUCCEEDED,
            created_at=AT - 3 * HOUR,
            started_at=AT - 3 * HOUR,
            ended_at=AT - 2 * HOUR,
            billable_token_count=1_000_000,
        )
        for number in range(count)
    )


def outlook_of(*jobs: LiveJob) -> Outlook:
    """Alpha runs since half an hour on the only slot; beta and gamma wait."""
    own = a_job("own", model=ALPHA, created_at=AT - minutes(30), started_at=AT - minutes(30))
    state = a_state(a_record(ALPHA, own), a_ticket(BETA), a_ticket(GAMMA, enqueued_at=AT + minutes(1)))
    return look_out(desired_of(ALPHA, BETA, GAMMA), state, an_observation(own, *jobs))


@pytest.mark.parametrize("past", [past_jobs(0), past_jobs(2), past_jobs(5, base="gemini-2.5-pro")])
def test_below_three_similar_jobs_there_is_no_estimate(past: tuple[LiveJob, ...]) -> None:
    """Too few ended jobs of the base model make any date a guess, and a guess is not shown."""
    outlook = outlook_of(*past)
    assert {None} == {moment for row in outlook.rows for moment in (row.start, row.end)}
    assert [None] == [slot.end for slot in outlook.slots]


def test_three_similar_jobs_make_an_estimate() -> None:
    """With jobs that all took an hour, each starts when the one before it is expected to end."""
    outlook = outlook_of(*past_jobs(3))
    found = [(row.start, row.end) for row in outlook.rows]
    expected = [(AT + minutes(30), AT + minutes(90)), (AT + minutes(90), AT + minutes(150))]
    assert expected == [(start.p50, end.p90) for start, end in found if start is not None and end is not None]
    (slot,) = outlook.slots
    assert ("alpha", AT + minutes(30)) == (slot.address, slot.end.p50 if slot.end is not None else None)


def test_each_row_says_why_it_waits() -> None:
    """Places go by the order of the queue; the reason is that of the scheduler, and empty for who starts next."""
    child = a_model("child", parent=BETA)
    high = a_model("high", priority=Priority.HIGH)
    later = a_ticket(GAMMA, not_before=AT + HOUR, refused_by="permission", refusals=1, enqueued_at=AT + minutes(1))
    state = a_state(a_ticket(BETA), later, a_ticket(child, enqueued_at=AT + minutes(2)), a_ticket(high))
    rows = look_out(desired_of(BETA, GAMMA, child, high), state, an_observation()).rows
    assert [("high", 1, ""), ("beta", 2, "no_slot"), ("gamma", 3, "back_off"), ("child", 4, "parent")] == [
        (row.address, row.place, row.waits) for row in rows
    ]
    assert ["", "was refused, tries again later", "waits for beta, which it is tuned from"] == [
        row.why for row in rows if row.address != "beta"
    ]


def test_a_ticket_that_is_wanted_no_more_is_shown_all_the_same() -> None:
    """A ticket whose manifest is gone has a row without a base model or an estimate, and says what to do."""
    (row,) = look_out(desired_of(), a_state(a_ticket(BETA)), an_observation(*past_jobs(3))).rows
    assert ("beta", None, "not_desired", None) == (row.address, row.base_model, row.waits, row.start)


def test_foreign_slots_are_named() -> None:
    """A job that is not ours stands without an address, under its name and place, and is given as the reason."""
    foreign = a_job("theirs", location="europe-west4", created_at=AT - HOUR)
    outlook = look_out(desired_of(BETA), a_state(a_ticket(BETA)), an_observation(foreign))
    (slot,) = outlook.slots
    assert (None, job_name("theirs", "europe-west4"), "europe-west4") == (slot.address, slot.job, slot.location)
    (row,) = outlook.rows
    assert "1 slot, 1 used by jobs not managed here (tuningJobs/theirs in europe-west4)" == row.why
    text = render_queue(outlook, (), Style())
    assert "tuningJobs/theirs in europe-west4, not managed here, for 1 h" in text


def test_nothing_is_expected_while_a_location_is_unread() -> None:
    """With free slots unknown there is no estimate, and the row names the location."""
    observation = an_observation(*past_jobs(3), unread=["europe-west4"])
    (row,) = look_out(desired_of(BETA), a_state(a_ticket(BETA)), observation).rows
    assert (None, "slots_unknown") == (row.start, row.waits)
    assert "europe-west4" in row.why


def test_the_document_tells_the_same() -> None:
    """Instants are ISO 8601 in UTC, an unknown one is null, and a hold stands with who keeps it and why."""
    hold = Hold(slots=1, until=AT + HOUR, reason="a demonstration", by="ana")
    known, unknown = encode_queue(outlook_of(*past_jobs(3)), (hold,)), encode_queue(outlook_of(), ())
    half_past = (AT + minutes(30)).isoformat()
    assert {"p50": half_past, "p90": half_past} == known["queue"][0]["start"]
    assert (None, None) == (unknown["queue"][0]["start"], unknown["slots"][0]["end"])
    assert [{"slots": 1, "until": (AT + HOUR).isoformat(), "reason": "a demonstration", "by": "ana"}] == known["holds"]


def test_the_text_shows_slots_over_time_where_they_are_known() -> None:
    """A bar for each job with an estimate, and none without."""
    style = Style()
    assert "####" in render_queue(outlook_of(*past_jobs(3)), (), style)
    assert "#" not in render_queue(outlook_of(), (), style)
