"""What `order: soonest` in a manifest changes, and that a dependency's waiting counts from when it is met."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from reconciler.model.desired import QuotaSettings
from reconciler.model.job import JobState
from reconciler.quota import take_ledger
from reconciler.serving import serving_order
from reconciler.state.parents import ParentState
from reconciler.transitions import note_ready
from tests.planner_builders import AT, a_desired, a_job, a_model, a_state, a_ticket, an_observation

SHORT = a_model("a-short", {"hyperParameters.epochCount": 1})
LONG = a_model("b-long", {"hyperParameters.epochCount": 40})
# The long one came first.
QUEUE = (a_ticket(LONG, enqueued_at=AT - timedelta(hours=2)), a_ticket(SHORT, enqueued_at=AT - timedelta(hours=1)))
PAST = an_observation(
    *(
        replace(
            a_job(a_model(f"past-{number}"), number, JobState.SUCCEEDED),
            billable_token_count=1_000_000,
            started_at=AT - timedelta(hours=9),
            ended_at=AT - timedelta(hours=8, minutes=number),
        )
        for number in (1, 2, 3)
    )
)


def test_fifo_serves_who_came_first() -> None:
    """Without `order` the queue is first come, first served, whatever takes how long."""
    desired = a_desired(SHORT, LONG)
    ledger = take_ledger(desired.stack.quota, a_state(), PAST)

    served = serving_order(desired, QUEUE, PAST, ledger)

    assert ["b-long", "a-short"] == [ticket.address for ticket in served]


def test_soonest_serves_the_shortest_first() -> None:
    """With `order: soonest` the job that past jobs show to be shorter goes first."""
    desired = a_desired(SHORT, LONG, quota=QuotaSettings(concurrent_jobs=1, order="soonest"))
    ledger = take_ledger(desired.stack.quota, a_state(), PAST)

    served = serving_order(desired, QUEUE, PAST, ledger)

    assert ["a-short", "b-long"] == [ticket.address for ticket in served]


def test_soonest_without_lessons_is_fifo() -> None:
    """Where no job has ended yet nothing is known to be shorter."""
    desired = a_desired(SHORT, LONG, quota=QuotaSettings(concurrent_jobs=1, order="soonest"))
    ledger = take_ledger(desired.stack.quota, a_state(), an_observation())

    served = serving_order(desired, QUEUE, an_observation(), ledger)

    assert ["b-long", "a-short"] == [ticket.address for ticket in served]


def test_waiting_counts_from_when_the_parent_was_there() -> None:
    """The instant at which a parent became ready is kept once, and never moves again."""
    state = a_state(queue=QUEUE)

    ready = note_ready(state, {"b-long": ParentState.READY, "a-short": ParentState.WAITING}, AT)
    later = note_ready(ready, {"b-long": ParentState.READY}, AT + timedelta(hours=1))

    assert {"b-long": AT, "a-short": None} == {address: one.ready_at for address, one in later.queue.items()}
