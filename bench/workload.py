"""A batch of jobs as the measured policies had it, and a slot-by-slot serving of it in simulated time.

An estimate is 12 minutes + examples x epochs x seconds for each, with lognormal examples; the seconds and epochs are
chosen so that estimates have the wanted median of 1.6 h and mean of 3.5 h. True lengths differ from it lognormally.
Three jobs in ten belong to chains and fan-outs, one attempt in ten fails (half of those early) and is retried.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from reconciler.model.desired import Priority
from reconciler.quota import Ledger
from reconciler.scheduler import Surroundings, admit
from reconciler.state.parents import ParentState
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

# Tickets, slots, what running jobs are still expected to take in seconds, now.
Order = Callable[[Iterable[Ticket], int, float, datetime], Sequence[Ticket]]


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
    """The batch, enqueued at once, served by the scheduler whenever something changed.

    As in the queue, a child waits for its parent and is as old as the wait since then, and a job that failed is
    enqueued anew.
    """
    serving = _Serving({job.address: job for job in jobs}, slots, order)
    for job in jobs:
        serving.enqueue(job)
    serving.admit()
    while serving.events:
        serving.step()
        serving.admit()
    return Served(started_s=serving.started_s, ended_s=serving.ended_s)


@dataclass(slots=True)
class _Serving:
    """One batch being served; `events` are ends of attempts, and retries that have waited long enough."""

    jobs: Mapping[str, Job]
    slots: int
    order: Order
    now_s: float = 0.0
    waiting: dict[str, Ticket] = field(default_factory=dict)
    running_s: dict[str, float] = field(default_factory=dict)
    started_s: dict[str, float] = field(default_factory=dict)
    ended_s: dict[str, float] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    events: list[tuple[float, str]] = field(default_factory=list)

    def enqueue(self, job: Job) -> None:
        """Adds a ticket that waits from now on."""
        now = START + timedelta(seconds=self.now_s)
        self.waiting[job.address] = ticket_of(job, now, is_ready=job.parent in self.ended_s)

    def admit(self) -> None:
        """Starts who gets a slot."""
        used = len(self.running_s)
        if used == self.slots or not self.waiting:
            return
        now = START + timedelta(seconds=self.now_s)
        busy_s = sum(
            max(0.0, begun_s + self.jobs[address].estimate_s - self.now_s)
            for address, begun_s in self.running_s.items()
        )
        tickets = self.order(self.waiting.values(), self.slots, busy_s, now)
        ledger = Ledger(limit=self.slots, limit_source="", own=(), foreign=(), intents=used, unread={})
        for ticket in admit(tickets, ledger, surroundings(tickets, self.ended_s.keys()), now=now).admitted:
            job = self.jobs[ticket.address]
            del self.waiting[job.address]
            self.running_s[job.address] = self.started_s[job.address] = self.now_s
            length_s = job.attempts_s[self.failures[job.address]]
            heapq.heappush(self.events, (self.now_s + length_s, job.address))

    def step(self) -> None:
        """Goes on to the next event."""
        self.now_s, address = heapq.heappop(self.events)
        job = self.jobs[address]
        if self.running_s.pop(address, None) is None:
            self.enqueue(job)
            return
        self.failures[address] += 1
        if self.failures[address] < len(job.attempts_s):
            heapq.heappush(self.events, (self.now_s + RETRY_AFTER_S, address))
            return
        self.ended_s[address] = self.now_s
        now = START + timedelta(seconds=self.now_s)
        for child, ticket in self.waiting.items():
            if ticket.parent == address:
                self.waiting[child] = replace(ticket, ready_at=now)


def surroundings(tickets: Iterable[Ticket], ended: Set[str]) -> Surroundings:
    """Surroundings in which only parents that have not ended keep a ticket back."""
    return Surroundings(
        active_jobs=frozenset(),
        submitting=frozenset(),
        wanted={one.address: one.fingerprint for one in tickets},
        parents={
            one.address: ParentState.READY if one.parent in ended else ParentState.WAITING
            for one in tickets
            if one.parent is not None
        },
    )


def ticket_of(job: Job, now: datetime, *, is_ready: bool = False) -> Ticket:
    """The job as it stands in the queue, enqueued now; `is_ready` where its parent has ended."""
    return Ticket(
        address=job.address,
        fingerprint="v1-0000000000000000",
        attempt=1,
        reason="new",
        priority=job.priority,
        location="us-central1",
        enqueued_at=now,
        ready_at=now if is_ready else None,
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
    lengths_s: list[float] = []
    while True:
        true_s = estimate_s * chance.lognormvariate(0.0, _TRUE_SIGMA)
        if chance.random() >= _FAILURE_SHARE:
            return (*lengths_s, true_s)
        is_early = chance.random() < 0.5
        lengths_s.append(true_s * (chance.uniform(0.02, 0.1) if is_early else chance.uniform(0.1, 1.0)))
