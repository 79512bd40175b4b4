"""The orders of the queue and its forecast, measured in simulated time on the reference's workload.

Prints, for quotas of 1, 4 and 10, the mean completion of `soonest` as a share of FIFO's and its makespan as a multiple
of the lower bound (medians and worst of the seeds); the processor time of one order, one cycle and one forecast from
1,000 to 10,000 tickets; and the share of actual starts inside the forecast's P10 to P90 on replayed histories. Judges
nothing. The numbers of jobs are those at which plain FIFO takes as long as in the reference (93, 49 and 29 hours).

    python bench/scheduling.py [SEEDS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from math import log10
from random import Random
from statistics import fmean, median

from bench.coverage import World, covered
from bench.workload import START, Job, Order, Served, lower_bound_s, make_batch, serve, surroundings, ticket_of
from reconciler.forecast import Waiting, forecast
from reconciler.model.desired import Priority
from reconciler.quota import Ledger
from reconciler.scheduler import admit
from reconciler.state.queue import queue_order, soonest_order
from reconciler.state.records import Ticket

JOBS_BY_SLOTS = {1: 45, 4: 95, 10: 155}
SIZES = (1_000, 3_000, 10_000)
WORLDS: Mapping[str, World] = {
    "2 slots, 40 past jobs": World(),
    "1 slot": World(slots=1),
    "8 slots": World(slots=8),
    "150 wait for 4 slots": World(slots=4, queue=150),
    "200 past jobs": World(history=200),
    "20 past jobs": World(history=20),
    "10 past jobs": World(history=10),
    "12 min beyond the work": World(overhead_s=720.0),
    "one in ten ends early": World(failure_share=0.1),
    "three in ten on new data": World(new_share=0.3),
}


def fifo(tickets: Iterable[Ticket], slots: int, busy_s: float, now: datetime) -> Sequence[Ticket]:
    return queue_order(tickets)


def plain(tickets: Iterable[Ticket], slots: int, busy_s: float, now: datetime) -> Sequence[Ticket]:
    """First come, first served without classes, as the reference's FIFO; here everybody came at once."""
    return sorted(tickets, key=lambda one: one.address)


def soonest(jobs: Sequence[Job]) -> Order:
    expected_s = {job.address: job.estimate_s for job in jobs}

    def order(tickets: Iterable[Ticket], slots: int, busy_s: float, now: datetime) -> Sequence[Ticket]:
        return soonest_order(tickets, expected_s, slots=slots, busy_s=busy_s, now=now)

    return order


def hours_of(served: Served, jobs: Sequence[Job]) -> tuple[float, float]:
    """Mean completion in hours: of all, and of the highest class."""
    urgent = [served.ended_s[job.address] for job in jobs if job.priority is Priority.HIGH]
    return served.mean_completion_s / 3600, fmean(urgent) / 3600


def orders(seeds: int) -> None:
    print(f"{seeds} seeds             mean completion / FIFO    makespan / lower bound     mean hours (high class)")
    print("slots  jobs  plain h    median   worst (seed)     median   worst (seed)     FIFO         soonest")
    for slots, count in JOBS_BY_SLOTS.items():
        ratios, spans, before, after, plains = [], [], [], [], []
        for seed in range(seeds):
            jobs = make_batch(seed, count)
            first, best = serve(jobs, slots, fifo), serve(jobs, slots, soonest(jobs))
            ratios.append((best.mean_completion_s / first.mean_completion_s, seed))
            spans.append((best.makespan_s / lower_bound_s(jobs, slots), seed))
            before.append(hours_of(first, jobs))
            after.append(hours_of(best, jobs))
            plains.append(serve(jobs, slots, plain).mean_completion_s / 3600)
        shares = "    ".join(map(share, (ratios, spans)))
        hours = "  ".join(
            f"{fmean(a for a, _ in one):6.1f} ({fmean(b for _, b in one):4.1f})" for one in (before, after)
        )
        print(f"{slots:5} {count:5} {fmean(plains):8.1f}  {shares}   {hours}")


def share(found: Sequence[tuple[float, int]]) -> str:
    worst, seed = max(found)
    return f"{median(value for value, _ in found):8.3f} {worst:7.3f} ({seed:3})"


def cpu_s(act: Callable[[], object], times: int = 5) -> float:
    """The least processor time of a few tries, which is what is left when nobody else disturbs."""
    found = []
    for _ in range(times):
        begun = time.process_time()
        act()
        found.append(time.process_time() - begun)
    return min(found)


def costs() -> None:
    print("\nprocessor seconds     " + "".join(f"{size:>10}" for size in SIZES) + "    growth (n^x)")
    rows: dict[str, list[float]] = {}
    for size in SIZES:
        for name, act in acts(size):
            rows.setdefault(name, []).append(cpu_s(act))
    for name, spent in rows.items():
        power = log10(spent[-1] / spent[0]) / log10(SIZES[-1] / SIZES[0])
        print(f"{name:<22}" + "".join(f"{each:10.4f}" for each in spent) + f"{power:10.2f}")


def acts(size: int) -> list[tuple[str, Callable[[], object]]]:
    jobs = make_batch(1, size)
    tickets = [ticket_of(job, START) for job in jobs]
    order = soonest(jobs)
    ledger = Ledger(limit=4, limit_source="", own=(), foreign=(), unread={})
    around = surroundings(tickets, frozenset())
    waiting = waiting_of(jobs)
    return [
        ("FIFO", lambda: queue_order(tickets)),
        ("soonest", lambda: order(tickets, 4, 0.0, START)),
        ("FIFO, then a cycle", lambda: admit(queue_order(tickets), ledger, around, now=START)),
        ("soonest, then a cycle", lambda: admit(order(tickets, 4, 0.0, START), ledger, around, now=START)),
        ("forecast", lambda: forecast(waiting, (), {"global": 4}, now=START)),
    ]


def waiting_of(jobs: Sequence[Job]) -> list[Waiting]:
    chance = Random(1)
    rates = [chance.lognormvariate(0.0, 0.45) for _ in range(100)]
    samples_s = {job.address: tuple(job.estimate_s * rate for rate in rates) for job in jobs}
    return [
        Waiting(address=job.address, needs={"global": 1}, samples_s=samples_s[job.address], after=job.parent)
        for job in jobs
    ]


def coverage(seeds: int) -> None:
    print(f"\nstarts inside P10 to P90, {seeds} queues each     all   worst queue   median queue")
    for name, world in WORLDS.items():
        found = [covered(seed, world) for seed in range(seeds)]
        shares = [inside / counted for inside, counted in found if counted]
        whole = sum(inside for inside, _ in found) / sum(counted for _, counted in found)
        print(f"{name:<38} {whole:9.1%} {min(shares):12.1%} {median(shares):13.1%}")


def main(arguments: Sequence[str]) -> None:
    seeds = int(arguments[0]) if arguments else 20
    orders(seeds)
    costs()
    coverage(5 * seeds)


if __name__ == "__main__":
    main(sys.argv[1:])
