"""The order of the queue: first come, first served, with 24 hours for each class of priority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.desired import Priority
from reconciler.state.queue import queue_order, queue_places
from reconciler.state.records import Ticket
from tests.builders import AT, a_model, a_ticket

DAY = timedelta(hours=24)


def ticket(address: str, priority: Priority = Priority.NORMAL, *, hours: float = 0) -> Ticket:
    """A ticket enqueued so many hours after the first."""
    return a_ticket(a_model(address, priority=priority), enqueued_at=AT + timedelta(hours=hours))


tickets = st.lists(
    st.builds(
        ticket,
        address=st.text("abc", min_size=1, max_size=3),
        priority=st.sampled_from(Priority),
        hours=st.integers(0, 72),
    ),
    unique_by=lambda one: one.address,
    max_size=8,
)


@pytest.mark.parametrize(
    ("queue", "order"),
    [
        ((), []),
        ((ticket("b", hours=1), ticket("a", hours=2)), ["b", "a"]),
        ((ticket("b"), ticket("a")), ["a", "b"]),
        ((ticket("normal"), ticket("high", Priority.HIGH, hours=23.9)), ["high", "normal"]),
        # At exactly 24 hours the two stand equal, and who came first goes first.
        ((ticket("a-high", Priority.HIGH, hours=24), ticket("normal")), ["normal", "a-high"]),
        ((ticket("normal"), ticket("high", Priority.HIGH, hours=24.1)), ["normal", "high"]),
        ((ticket("high", Priority.HIGH), ticket("low", Priority.LOW)), ["high", "low"]),
        ((ticket("low", Priority.LOW), ticket("high", Priority.HIGH, hours=47)), ["high", "low"]),
        ((ticket("low", Priority.LOW), ticket("high", Priority.HIGH, hours=49)), ["low", "high"]),
    ],
    ids=[
        "empty",
        "first come, first served",
        "equal instants go by address",
        "a class is worth nearly 24 hours",
        "and no more than 24 hours",
        "beyond 24 hours it is worth nothing",
        "higher class first",
        "two classes are worth 48 hours",
        "and no more than 48 hours",
    ],
)
def test_who_is_served_first(queue: Sequence[Ticket], order: list[str]) -> None:
    """Tickets go by the instant they were enqueued, moved back by 24 hours for each class."""
    assert order == [one.address for one in queue_order(queue)]


@pytest.mark.parametrize(("ready_hours", "order"), [(None, ["child", "other"]), (1, ["other", "child"])])
def test_waiting_counts_from_when_the_parent_was_there(ready_hours: float | None, order: list[str]) -> None:
    """A ticket does not gain on others while what it depends on is missing."""
    ready_at = None if ready_hours is None else AT + timedelta(hours=ready_hours)
    child = replace(ticket("child"), ready_at=ready_at)
    assert order == [one.address for one in queue_order([ticket("other", hours=0.5), child])]


@given(tickets, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_the_queue_is_held(queue: list[Ticket], random: Random) -> None:
    """Whatever order a file or a mapping gives them in, tickets are served alike."""
    shuffled = queue.copy()
    random.shuffle(shuffled)
    assert queue_order(queue) == queue_order(shuffled)


@given(tickets)
def test_nobody_is_passed_by_more_than_the_difference_of_classes(queue: list[Ticket]) -> None:
    """The starvation bound: one passes another only if it came at most 24 hours a class later."""
    order = queue_order(queue)
    for place, passed in enumerate(order):
        for passing in order[:place]:
            assert passing.enqueued_at <= passed.enqueued_at + DAY * (passing.priority.rank - passed.priority.rank)


@given(tickets)
def test_places_count_from_one_in_the_order_served(queue: list[Ticket]) -> None:
    """Each address has its place, the first one 1."""
    assert {one.address: place for place, one in enumerate(queue_order(queue), 1)} == queue_places(queue)
