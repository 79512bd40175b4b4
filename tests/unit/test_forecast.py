"""The queue run forward: who starts and ends when, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.coverage import World, covered
from bench.workload import START, make_batch, serve, ticket_of
from reconciler.forecast import Range, Running, Waiting, forecast, left_s
from reconciler.state.queue import CLASS_WORTH, queue_order
from tests.builders import AT

HOUR_S = 3600.0
SLOT = {"global": 1}
GPU_JOB = {"global": 1, "gpu": 8}


def waiting(address: str, hours: float | Sequence[float] | None = 1.0, **changes: object) -> Waiting:
    """A ticket whose job takes so many hours, or equally likely so many."""
    samples_s = None if hours is None else [each * HOUR_S for each in ([hours] if isinstance(hours, float) else hours)]
    ticket = Waiting(address=address, needs=SLOT, samples_s=samples_s)
    return replace(ticket, **changes)  # type: ignore[arg-type]  # a table of changes


def running(address: str = "", hours: float | None = 1.0, *, elapsed: float = 0.0) -> Running:
    """A job that has run for so many hours."""
    samples_s = None if hours is None else [hours * HOUR_S]
    return Running(address=address, needs=SLOT, samples_s=samples_s, elapsed_s=elapsed * HOUR_S)


def in_hours(at: Range | None) -> float | None:
    """The median in hours from now."""
    return None if at is None else (at.p50 - AT).total_seconds() / HOUR_S


def starts(*tickets: Waiting, busy: Sequence[Running] = (), free: int = 1, **lanes: int) -> dict[str, float | None]:
    """When each ticket is expected to start, in hours from now."""
    found = forecast(tickets, busy, {"global": free, **lanes}, now=AT)
    return {one.address: in_hours(one.start) for one in found}


def test_a_slot_is_handed_on_in_order() -> None:
    """On one slot each starts as the one before it ends, and ends after its own length."""
    found = forecast([waiting("a", 2.0), waiting("b", 1.0), waiting("c", 5.0)], (), {"global": 1}, now=AT)
    assert [("a", 0.0, 2.0), ("b", 2.0, 3.0), ("c", 3.0, 8.0)] == [
        (one.address, in_hours(one.start), in_hours(one.end)) for one in found
    ]


def test_two_slots_serve_two_at_once() -> None:
    """Whoever is next takes the slot that comes free first."""
    assert {"a": 0, "b": 0, "c": 1, "d": 3} == starts(
        waiting("a", 3.0), waiting("b", 1.0), waiting("c", 4.0), waiting("d"), free=2
    )


def test_a_running_job_is_waited_for() -> None:
    """A slot in use comes free when its job has run the rest of its length."""
    assert {"a": 1.5} == starts(waiting("a"), busy=[running(hours=2.0, elapsed=0.5)], free=0)


def test_a_child_follows_its_parent() -> None:
    """Who depends on a ticket or on a running job starts once that has ended, and holds nobody up until then."""
    tickets = waiting("child", after="parent"), waiting("parent", 2.0), waiting("grown", after="busy")
    assert {"child": 2, "parent": 0, "grown": 4} == starts(*tickets, busy=[running("busy", 4.0)], free=2)


def test_a_parent_that_is_neither_waiting_nor_running_has_ended() -> None:
    """A ticket whose parent is done does not wait for it."""
    assert {"child": 0} == starts(waiting("child", after="done"))


def test_a_child_that_becomes_ready_falls_back() -> None:
    """Where waiting counts from being ready, a child goes behind those who came before its parent had ended."""
    later = AT + timedelta(hours=0.5)
    tickets = [
        waiting("parent", since=AT - timedelta(hours=3)),
        waiting("child", after="parent", since=AT - timedelta(hours=2)),
        waiting("other", since=AT - timedelta(hours=1)),
    ]
    assert {"parent": 0, "child": 2, "other": 1} == starts(*tickets)
    assert {"parent": 0, "child": 1, "other": 2} == starts(*(replace(one, since=None) for one in tickets))
    urgent = replace(tickets[1], credit=timedelta(hours=24))
    assert {"parent": 0, "child": 1, "other": 2} == starts(tickets[0], urgent, replace(tickets[2], since=later))


def test_a_refused_ticket_waits_for_its_time() -> None:
    """Who may not try before an instant is passed until then, and no slot is kept for them."""
    refused = waiting("a", not_before=AT + timedelta(hours=0.5))
    assert {"a": 1, "b": 0} == starts(refused, waiting("b"))
    assert {"a": 0.5} == starts(refused)


def test_a_full_lane_blocks_only_itself() -> None:
    """Who lacks accelerators keeps nobody else from the free slots, but goes first among those who need them."""
    first, second = (waiting(address, 2.0, needs=GPU_JOB) for address in ("gpu1", "gpu2"))
    other = waiting("plain", 3.0)
    assert {"gpu1": 0, "gpu2": 2, "plain": 0} == starts(first, second, other, free=2, gpu=8)


def test_the_head_keeps_its_place_for_the_slot_it_lacks() -> None:
    """Who has accelerators but no slot is next for the slot, whatever those behind it need."""
    assert {"gpu": 1, "plain": 3} == starts(
        waiting("gpu", 2.0, needs=GPU_JOB), waiting("plain"), busy=[running()], free=0, gpu=8
    )


def test_nothing_is_said_where_a_length_is_not_known() -> None:
    """Who waits for a job of unknown length has no estimate; the job itself has a start and no end."""
    found = forecast([waiting("a", None), waiting("b")], (), {"global": 1}, now=AT)
    assert [("a", 0.0, None), ("b", None, None)] == [
        (one.address, in_hours(one.start), in_hours(one.end)) for one in found
    ]
    assert {"a": None} == starts(waiting("a"), busy=[running(hours=None)], free=0)


def test_an_unknown_length_does_not_matter_where_slots_come_free_without_it() -> None:
    """On two slots one of unknown length keeps one, and the others go on with the other."""
    assert {"x": 0, "a": 0, "b": 1} == starts(waiting("x", None), waiting("a"), waiting("b"), free=2)


def test_a_ticket_that_never_fits_is_never_served() -> None:
    """More accelerators than there are come free for nobody."""
    assert {"a": None, "b": 0} == starts(waiting("a", needs=GPU_JOB), waiting("b"), free=1, gpu=4)


@pytest.mark.parametrize(
    ("samples_s", "elapsed_s", "left"),
    [
        ((100.0, 200.0, 300.0), 0.0, (100.0, 200.0, 300.0)),
        ((100.0, 200.0, 300.0), 150.0, (50.0, 150.0)),
        ((100.0,), 1000.0, (100.0,)),
        ((100.0,), 110.0, (30.0,)),
    ],
    ids=["just begun", "halfway", "older than all before", "and never less than half a minute"],
)
def test_what_is_left_of_a_job(samples_s: tuple[float, ...], elapsed_s: float, left: tuple[float, ...]) -> None:
    """A job has what is left of the lengths it has not outlived; beyond all of them, a tenth of its age."""
    assert left == left_s(samples_s, elapsed_s)


def test_a_range_says_how_sure_it_is() -> None:
    """The median lies between P10 and P90, and the range widens with the place in the queue."""
    lengths = [0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 2.0]
    found = forecast([waiting(f"m{place}", lengths) for place in range(10)], (), {"global": 1}, now=AT)
    ranges = [one.start for one in found[1:] if one.start is not None]
    assert 9 == len(ranges)
    assert all(one.p10 <= one.p50 <= one.p90 for one in ranges)
    assert ranges[-1].p90 - ranges[-1].p10 > 2 * (ranges[1].p90 - ranges[1].p10)
    assert 8 < (ranges[-1].p50 - AT).total_seconds() / HOUR_S < 11


def test_the_same_question_has_the_same_answer() -> None:
    """Asked twice, it says the same; another seed says about the same."""
    tickets = [waiting(f"m{place}", [1.0, 1.3, 1.9, 2.4, 3.1, 4.6, 5.2]) for place in range(5)]
    one, two, other = (forecast(tickets, (), {"global": 1}, now=AT, seed=seed) for seed in (0, 0, 1))
    assert one == two
    assert one != other


def test_nobody_waits_for_nothing() -> None:
    """An empty queue has no forecast."""
    assert () == forecast((), [running()], {"global": 0}, now=AT)


@given(seed=st.integers(0, 10_000), slots=st.integers(1, 5), count=st.integers(1, 40))
def test_it_foretells_what_the_scheduler_does(seed: int, slots: int, count: int) -> None:
    """With lengths known for certain, every start is the one the scheduler then gives: classes, parents and all."""
    jobs = [replace(job, attempts_s=job.attempts_s[-1:]) for job in make_batch(seed, count)]
    lengths_s = {job.address: job.attempts_s[0] for job in jobs}
    tickets = queue_order(ticket_of(job, START) for job in jobs)
    queue = [
        Waiting(
            address=one.address,
            needs=SLOT,
            samples_s=[lengths_s[one.address]],
            after=one.parent,
            since=one.enqueued_at,
            credit=one.priority.rank * CLASS_WORTH,
        )
        for one in tickets
    ]
    served = serve(jobs, slots, lambda tickets, slots, busy_s, now: queue_order(tickets))
    expected = {one.address: instant_s(one.start) for one in forecast(queue, (), {"global": slots}, now=START)}
    assert pytest.approx(served.started_s, abs=1e-3) == expected


def instant_s(at: Range | None) -> float | None:
    """The median in seconds from the start of the batch."""
    return None if at is None else since_start_s(at.p50)


def since_start_s(at: datetime) -> float:
    """Seconds from the start of the batch."""
    return (at - START).total_seconds()


def test_what_comes_is_inside_the_range() -> None:
    """On replayed histories 75 to 95 % of the starts that were not certain are inside P10 to P90."""
    found = [covered(seed, World()) for seed in range(40)]
    inside, counted = (sum(each) for each in zip(*found, strict=True))
    assert counted > 1000
    assert 0.75 <= inside / counted <= 0.95
