"""The order that serves the soonest done first: the shortest, guarded paths before them, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.workload import lower_bound_s, make_batch, serve
from reconciler.model.desired import Priority
from reconciler.state.queue import AGE_CAP, queue_order, soonest_order, waits_since
from reconciler.state.records import Ticket
from tests.builders import AT, a_model, a_ticket

HOUR_S = 3600.0
# The length of each, in hours, is its first letter; x is not known.
HOURS: Mapping[str, float | None] = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 12.0, "x": None}


def ticket(
    address: str,
    priority: Priority = Priority.NORMAL,
    *,
    hours: float = 0,
    parent: str | None = None,
    ready: float | None = None,
) -> Ticket:
    """A ticket enqueued, and ready, so many hours after the first."""
    return a_ticket(
        a_model(address, priority=priority),
        enqueued_at=AT + timedelta(hours=hours),
        ready_at=None if ready is None else AT + timedelta(hours=ready),
        parent=parent,
    )


def lengths_s(*tickets: Ticket) -> dict[str, float | None]:
    """The lengths that their first letters stand for."""
    hours = {one.address: HOURS[one.address[0]] for one in tickets}
    return {address: None if each is None else each * HOUR_S for address, each in hours.items()}


def served(*tickets: Ticket, slots: int = 1, after_hours: float = 0, busy_hours: float = 0) -> list[str]:
    """The addresses in the order served, so many hours after the first came."""
    now = AT + timedelta(hours=after_hours)
    order = soonest_order(tickets, lengths_s(*tickets), slots=slots, busy_s=busy_hours * HOUR_S, now=now)
    return [one.address for one in order]


@st.composite
def queues(draw: st.DrawFn) -> list[Ticket]:
    """Tickets of all lengths and classes, some of them children of others."""
    addresses = draw(st.lists(st.from_regex("[abcdx][0-9]", fullmatch=True), unique=True, max_size=10))
    return [
        ticket(
            address,
            draw(st.sampled_from(Priority)),
            hours=draw(st.integers(0, 100)),
            parent=draw(st.none() | st.sampled_from(addresses[:index])) if index else None,
            ready=draw(st.none() | st.integers(0, 100)),
        )
        for index, address in enumerate(addresses)
    ]


def ordered(queue: list[Ticket], slots: int) -> list[Ticket]:
    """The queue a hundred hours after the first came."""
    return list(soonest_order(queue, lengths_s(*queue), slots=slots, now=AT + timedelta(hours=100)))


def test_the_shortest_goes_first() -> None:
    """On one slot, shorter jobs go before longer ones, whoever came first."""
    assert ["a", "b", "c", "d"] == served(ticket("d"), ticket("c"), ticket("b", hours=1), ticket("a", hours=2))


@pytest.mark.parametrize(
    ("short", "long", "order"),
    [
        (Priority.NORMAL, Priority.HIGH, ["b", "c"]),
        (Priority.LOW, Priority.HIGH, ["c", "b"]),
        (Priority.LOW, Priority.NORMAL, ["c", "b"]),
        (Priority.HIGH, Priority.LOW, ["b", "c"]),
    ],
)
def test_a_class_weighs_against_length(short: Priority, long: Priority, order: list[str]) -> None:
    """A job half as long again goes first where its class is higher by enough, or by just enough and it came first."""
    assert order == served(ticket("b", short, hours=1), ticket("c", long))


def test_equal_jobs_go_as_they_came() -> None:
    """Where lengths and classes are equal, it is first come, first served, then by address."""
    assert ["a3", "a1", "a2"] == served(ticket("a2", hours=1), ticket("a1", hours=1), ticket("a3"))


def test_a_long_path_goes_first_where_it_would_set_the_end() -> None:
    """On two slots the one long job starts at once, since all others together take no longer."""
    shorter = [ticket(f"b{number}") for number in range(6)]
    assert "d" == served(*shorter, ticket("d"), slots=2)[0]
    assert "d" == served(*shorter, ticket("d"), slots=1)[-1]


def test_a_parent_counts_with_its_longest_line() -> None:
    """A short job goes first where a long line waits for it."""
    line = [ticket("a1"), ticket("c2", parent="a1"), ticket("c3", parent="c2"), ticket("c4", parent="c3")]
    others = [ticket(f"b{number}") for number in range(6)]
    assert ["a1", "c2"] == served(*others, *line, slots=2)[:2]
    assert "c2" not in served(*others, ticket("a1"), ticket("c2"), slots=2)[:6]


def test_what_runs_puts_the_end_off() -> None:
    """A long job is in no hurry while the jobs that run take longer still."""
    shorter = [ticket(f"b{number}") for number in range(6)]
    assert "d" == served(*shorter, ticket("d"), slots=2, busy_hours=100)[-1]


def test_who_waited_too_long_goes_first() -> None:
    """After three days the longest job is served before any shorter one that came later."""
    queue = [ticket("d"), ticket("a", hours=71)]
    assert ["a", "d"] == served(*queue, after_hours=71.9)
    assert ["d", "a"] == served(*queue, after_hours=72)


@pytest.mark.parametrize(("ready", "order"), [(None, ["a", "d"]), (10, ["a", "d"]), (0, ["d", "a"])])
def test_a_child_waits_only_since_its_parent_was_there(ready: float | None, order: list[str]) -> None:
    """The time in which nothing could be done about a ticket does not count as waiting."""
    assert order == served(ticket("d", parent="gone", ready=ready), ticket("a", hours=70), after_hours=75)


def test_jobs_of_unknown_length_keep_their_order() -> None:
    """Nothing is made up about the unknown: they keep the order of FIFO, as jobs of the usual length."""
    unknown = [ticket("x1", hours=2), ticket("x2", Priority.HIGH, hours=5), ticket("x3", Priority.LOW, hours=1)]
    assert ["x2", "x1", "x3"] == served(*unknown)
    assert ["a", "x2", "c", "x1", "x3", "d"] == served(ticket("d"), *unknown, ticket("c"), ticket("a"))


def test_a_circle_of_parents_is_ordered_all_the_same() -> None:
    """Tickets that wait for each other do no harm to the order of the rest."""
    circle = [ticket("a1", parent="a2"), ticket("a2", parent="a1"), ticket("b1")]
    assert ["a1", "a2", "b1"] == sorted(served(*circle, slots=2))


@given(queues(), st.integers(0, 5))
def test_nobody_is_lost_or_served_twice(queue: list[Ticket], slots: int) -> None:
    """The order holds the tickets it was given, each once, however many slots there are."""
    assert queue_order(queue) == queue_order(ordered(queue, slots))


@given(queues(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_the_queue_is_held(queue: list[Ticket], slots: int, random: Random) -> None:
    """Whatever order a file or a mapping gives them in, tickets are served alike."""
    shuffled = queue.copy()
    random.shuffle(shuffled)
    assert ordered(queue, slots) == ordered(shuffled, slots)


@given(queues(), st.integers(1, 5))
def test_over_the_cap_it_is_first_come_first_served(queue: list[Ticket], slots: int) -> None:
    """The bound on waiting: only those who are over the cap too, and stand before it, go before a ticket over it."""
    now = AT + timedelta(hours=100)
    over = [
        one
        for one in queue_order(queue)
        if (one.parent is None or one.ready_at is not None) and now - waits_since(one) >= AGE_CAP
    ]
    known = any(length is not None for length in lengths_s(*queue).values())
    assert not known or over == ordered(queue, slots)[: len(over)]


@given(queues(), st.integers(1, 5))
def test_the_unknown_never_pass_each_other(queue: list[Ticket], slots: int) -> None:
    """Below the cap, those of unknown length are served among themselves as by FIFO."""
    young = [one for one in queue if AT + timedelta(hours=100) - waits_since(one) < AGE_CAP]
    unknown = [one for one in queue_order(young) if one.address.startswith("x")]
    assert unknown == [one for one in ordered(young, slots) if one.address.startswith("x")]


@pytest.mark.parametrize("slots", [1, 4])
def test_models_are_ready_much_sooner_and_the_last_hardly_later(slots: int) -> None:
    """Served by the scheduler, a batch has its mean completion well before FIFO's, and ends near the lower bound."""
    jobs = make_batch(3, 24 * slots)
    estimates_s = {job.address: job.estimate_s for job in jobs}
    first = serve(jobs, slots, lambda tickets, slots, busy_s, now: queue_order(tickets))
    best = serve(
        jobs,
        slots,
        lambda tickets, slots, busy_s, now: soonest_order(tickets, estimates_s, slots=slots, busy_s=busy_s, now=now),
    )
    assert best.mean_completion_s < 0.75 * first.mean_completion_s
    assert best.makespan_s < 1.25 * lower_bound_s(jobs, slots)
