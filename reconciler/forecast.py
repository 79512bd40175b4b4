"""When each ticket is expected to start and end: the queue run forward many times over sampled lengths. Pure.

It serves tickets as the scheduler does, and assumes that nobody else starts jobs meanwhile. A range is told, P50 to P90,
and nothing at all where a length that matters is not known.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

# More scenarios say the same more slowly; fewer for long queues, so that a forecast stays a matter of a moment.
_SCENARIOS_MAX = 200
_SCENARIOS_MIN = 12
_STARTS_MAX = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One ticket, in the order of the queue. `samples_s` are equally likely lengths, None where not known.

    `needs` are units by lane; `after` is the address of a ticket or running job that must have ended first.
    """

    address: str
    needs: Mapping[str, int]
    samples_s: Sequence[float] | None
    after: str | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One job that holds units now. `elapsed_s` is how long it has; `address` is "" for jobs of others."""

    address: str
    needs: Mapping[str, int]
    samples_s: Sequence[float] | None
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A range of instants: as likely before as after `p50`, and nine times in ten before `p90`. `p10` for checks."""

    p10: datetime
    p50: datetime
    p90: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """When one ticket is expected to start and end; None where that cannot be said."""

    address: str
    start: Range | None
    end: Range | None


@dataclass(slots=True)
class _Scenario:
    """One run forward; all times in seconds from now."""

    free: dict[str, int]
    ends: list[tuple[float, int, str, Mapping[str, int]]] = field(default_factory=list)
    ended_at: dict[str, float] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)


def forecast(
    waiting: Sequence[Waiting],
    running: Sequence[Running],
    free: Mapping[str, int],
    *,
    now: datetime,
    seed: int = 0,
) -> tuple[Expected, ...]:
    """What is expected of each ticket, in the order given. `free` are the free units of each lane now.

    The same arguments give the same answer.
    """
    count = max(_SCENARIOS_MIN, min(_SCENARIOS_MAX, _STARTS_MAX // max(1, len(waiting))))
    chance = random.Random(seed)
    scenarios = [_play(waiting, running, free, now, chance) for _ in range(count)]
    return tuple(
        Expected(
            address=ticket.address,
            start=_range([one.starts.get(ticket.address, inf) for one in scenarios], now),
            end=_range([one.ended_at.get(ticket.address, inf) for one in scenarios], now),
        )
        for ticket in waiting
    )


def _play(
    waiting: Sequence[Waiting],
    running: Sequence[Running],
    free: Mapping[str, int],
    now: datetime,
    chance: random.Random,
) -> _Scenario:
    scenario = _Scenario(dict(free))
    for number, job in enumerate(running):
        left_s = _left_s(job, chance)
        heapq.heappush(scenario.ends, (left_s, -number - 1, job.address, job.needs))
    known = {ticket.address for ticket in waiting} | {job.address for job in running}
    pauses_s = sorted((one.not_before - now).total_seconds() for one in waiting if one.not_before is not None)
    at_s = 0.0
    line = _Line(waiting)
    while not line.is_empty:
        _admit(scenario, line, known, at_s, now, chance)
        at_s = _next_s(scenario, pauses_s, at_s)
        if at_s == inf:
            return scenario
        while scenario.ends and scenario.ends[0][0] <= at_s:
            end_s, _, address, needs = heapq.heappop(scenario.ends)
            scenario.ended_at[address] = end_s
            for lane, units in needs.items():
                scenario.free[lane] = scenario.free.get(lane, 0) + units
    for end_s, _, address, _ in scenario.ends:
        scenario.ended_at[address] = end_s
    return scenario


class _Line:
    """The queue of one scenario: those passed over before, then those nobody has looked at yet; both in order.

    Most tickets leave it from the front, so it is never copied.
    """

    def __init__(self, waiting: Sequence[Waiting]) -> None:
        self._waiting = waiting
        self._next = 0
        self._passed: list[Waiting] = []

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits any more."""
        return not self._passed and self._next == len(self._waiting)

    def serve(self, take: Callable[[Waiting], bool], is_full: Callable[[], bool]) -> None:
        """Offers each in order to `take` until `is_full`; who is not taken waits on."""
        passed: list[Waiting] = []
        for index, ticket in enumerate(self._passed):
            if is_full():
                passed += self._passed[index:]
                break
            if not take(ticket):
                passed.append(ticket)
        while self._next < len(self._waiting) and not is_full():
            ticket = self._waiting[self._next]
            self._next += 1
            if not take(ticket):
                passed.append(ticket)
        self._passed = passed


def _admit(
    scenario: _Scenario, line: _Line, known: set[str], at_s: float, now: datetime, chance: random.Random
) -> None:
    """Starts what has room, in order; a ticket without room closes the lanes it lacks for those behind it."""
    closed: set[str] = set()

    def is_full() -> bool:
        return not any(units > 0 and lane not in closed for lane, units in scenario.free.items())

    def take(ticket: Waiting) -> bool:
        if not _is_ready(ticket, scenario, known, at_s, now):
            return False
        short = {lane for lane, units in ticket.needs.items() if scenario.free.get(lane, 0) < units or lane in closed}
        if short:
            closed.update(short)
            return False
        for lane, units in ticket.needs.items():
            scenario.free[lane] -= units
        length_s = inf if ticket.samples_s is None else chance.choice(ticket.samples_s)
        scenario.starts[ticket.address] = at_s
        heapq.heappush(scenario.ends, (at_s + length_s, len(scenario.starts), ticket.address, ticket.needs))
        return True

    line.serve(take, is_full)


def _is_ready(ticket: Waiting, scenario: _Scenario, known: set[str], at_s: float, now: datetime) -> bool:
    if ticket.after is not None and ticket.after in known and ticket.after not in scenario.ended_at:
        return False
    return ticket.not_before is None or ticket.not_before <= now + timedelta(seconds=at_s)


def _next_s(scenario: _Scenario, pauses_s: Sequence[float], at_s: float) -> float:
    """The next instant at which anything can change; inf when nothing ever will."""
    later = next((pause_s for pause_s in pauses_s if pause_s > at_s), inf)
    return min(scenario.ends[0][0] if scenario.ends else inf, later)


def _left_s(job: Running, chance: random.Random) -> float:
    """A length that the job has not outlived yet, less what it has behind it."""
    if job.samples_s is None:
        return inf
    longer = [sample for sample in job.samples_s if sample > job.elapsed_s]
    # One that outlives everything seen so far may end any moment; a tenth of its age is as good a word as another.
    return chance.choice(longer) - job.elapsed_s if longer else max(30.0, job.elapsed_s * 0.1)


def _range(seconds: list[float], now: datetime) -> Range | None:
    ordered = sorted(seconds)
    p10, p50, p90 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.1, 0.5, 0.9))
    if p90 == inf:
        return None
    at = [now + timedelta(seconds=each) for each in (p10, p50, p90)]
    return Range(p10=at[0], p50=at[1], p90=at[2])
