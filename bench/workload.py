"""A batch of jobs as the measured policies had it, and a slot-by-slot serving of it in simulated time.

An estimate is 12 minutes + examples x epochs x seconds for each, with lognormal examples; the seconds and epochs are
chosen so that estimates have the wanted median of 1.6 h and mean of 3.5 h. True lengths differ from it lognormally.
Three jobs in ten belong to chains and fan-outs, one attempt in ten fails (half of those early) and is retried.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from reconciler.model.desired import Priority
from reconciler.state.records import Ticket

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
RETRY_AFTER_S = 300.0

_FIXED_S = 720.0
_SHORTEST_S, _LONGEST_S = 600.0, 86_400.0
_EXAMPLES_MEDIAN, _EXAMPLES_SIGMA = 2500.0, 1.0
_EPOCHS = (1, 2, 3, 4)
_EXAMPLE_S = (0.3, 1.0, 2.5)
_TRUE_SIGMA = 0.45
_LINKED_SHARE = 0.3
_FAILURE_SHARE = 0.1
# Four classes are drawn alike; the two in the middle are one here.
_CLASSES = (Priority.LOW, Priority.NORMAL, Priority.NORMAL, Priority.HIGH)

Order = Callable[[Iterable[Ticket], int, datetime], Sequence[Ticket]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One model to tune. `attempts_s` are the true lengths of its attempts, of which only the last succeeds."""

    address: str
    estimate_s: float
    attempts_s: tuple[float, ...]
    parent: str | None
    priority: Priority

    @property
    def work_s(self) -> float:
        """The slot time it takes in all."""
        return sum(self.attempts_s)

    @property
    def span_s(self) -> float:
        """The time from its first start to its success on slots of its own."""
        return self.work_s + RETRY_AFTER_S * (len(self.attempts_s) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What came of a batch, in seconds from its start; both mappings are by address and about the last attempt."""

    started_s: Mapping[str, float]
    ended_s: Mapping[str, float]

    @property
    def makespan_s(self) -> float:
        """When the last job succeeded."""
        return max(self.ended_s.values())

    @property
    def mean_completion_s(self) -> float:
        """The mean over all jobs of the instant of success."""
        return math.fsum(self.ended_s.values()) / len(self.ended_s)


def make_batch(seed: int, count: int) -> tuple[Job, ...]:
    """So many jobs, the same for the same seed."""
    chance = Random(seed)
    parents = _parents(chance, count)
    # Addresses say nothing about the order in which jobs were drawn, so that ties are broken at random.
    addresses = [f"m{number:05}" for number in chance.sample(range(count), count)]
    jobs = []
    for number in range(count):
        estimate_s = _estimate_s(chance)
        parent = parents[number]
        jobs.append(
            Job(
                address=addresses[number],
                estimate_s=estimate_s,
                attempts_s=_attempts_s(chance, estimate_s),
                parent=None if parent is None else addresses[parent],
                priority=chance.choice(_CLASSES),
            )
        )
    return tuple(jobs)


def lower_bound_s(jobs: Sequence[Job], slots: int) -> float:
    """No order ends sooner: the work over the slots, or the longest path, whichever is more."""
    by_address = {job.address: job for job in jobs}
    path_s: dict[str, float] = {}
    for job in jobs:
        # Parents are drawn before their children.
        path_s[job.address] = job.span_s + (0.0 if job.parent is None else path_s[by_address[job.parent].address])
    return max(sum(job.work_s for job in jobs) / slots, max(path_s.values()))


def serve(jobs: Sequence[Job], slots: int, order: Order) -> Served:
    """The batch, enqueued at once, served in an order that is asked for anew whenever a slot is free.

    As in the queue, a child waits for its parent, waits from then on, and a job that failed goes to the back.
    """
    by_address = {job.address: job for job in jobs}
    children: dict[str, list[Job]] = {}
    for job in jobs:
        if job.parent is not None:
            children.setdefault(job.parent, []).append(job)
    waiting = {job.address: ticket_of(job) for job in jobs}
    blocked = {job.address for job in jobs if job.parent is not None}
    events: list[tuple[float, str, bool]] = []
    started_s: dict[str, float] = {}
    ended_s: dict[str, float] = {}
    tries = dict.fromkeys(by_address, 0)
    free, now_s = slots, 0.0
    while len(ended_s) < len(jobs):
        if free and len(waiting) > len(blocked):
            now = START + timedelta(seconds=now_s)
            ready = [ticket for ticket in order(waiting.values(), slots, now) if ticket.address not in blocked]
            for ticket in ready[:free]:
                address = ticket.address
                del waiting[address]
                free -= 1
                started_s[address] = now_s
                heapq.heappush(events, (now_s + by_address[address].attempts_s[tries[address]], address, True))
        now_s, address, is_end = heapq.heappop(events)
        job = by_address[address]
        if not is_end:
            waiting[address] = ticket_of(job, at_s=now_s)
            continue
        free += 1
        tries[address] += 1
        if tries[address] < len(job.attempts_s):
            heapq.heappush(events, (now_s + RETRY_AFTER_S, address, False))
            continue
        ended_s[address] = now_s
        for child in children.get(address, ()):
            blocked.discard(child.address)
            waiting[child.address] = ticket_of(child, ready_s=now_s)
    return Served(started_s=started_s, ended_s=ended_s)


def ticket_of(job: Job, *, at_s: float = 0.0, ready_s: float | None = None) -> Ticket:
    """The job as it stands in the queue, enqueued so many seconds after the start."""
    return Ticket(
        address=job.address,
        fingerprint="v1-0000000000000000",
        attempt=1,
        reason="new",
        priority=job.priority,
        location="us-central1",
        enqueued_at=START + timedelta(seconds=at_s),
        ready_at=None if ready_s is None else START + timedelta(seconds=ready_s),
        parent=job.parent,
    )


def _parents(chance: Random, count: int) -> list[int | None]:
    """The number of each job's parent; groups of two to four in a chain, or of three to five as a fan-out."""
    parents: list[int | None] = []
    while len(parents) < _LINKED_SHARE * count:
        root = len(parents)
        if chance.random() < 0.5:
            parents += [None, *range(root, root + chance.randint(1, 3))]
        else:
            parents += [None, *[root] * chance.randint(2, 4)]
    return (parents + [None] * count)[:count]


def _estimate_s(chance: Random) -> float:
    examples = chance.lognormvariate(math.log(_EXAMPLES_MEDIAN), _EXAMPLES_SIGMA)
    estimate_s = _FIXED_S + examples * chance.choice(_EPOCHS) * chance.choice(_EXAMPLE_S)
    return min(_LONGEST_S, max(_SHORTEST_S, estimate_s))


def _attempts_s(chance: Random, estimate_s: float) -> tuple[float, ...]:
    lengths_s = []
    while True:
        true_s = estimate_s * chance.lognormvariate(0.0, _TRUE_SIGMA)
        if chance.random() >= _FAILURE_SHARE:
            return (*lengths_s, true_s)
        is_early = chance.random() < 0.5
        lengths_s.append(true_s * (chance.uniform(0.02, 0.1) if is_early else chance.uniform(0.1, 1.0)))
