"""When each ticket is expected to start and end: the queue run forward many times over sampled lengths. Pure.

It serves tickets as the scheduler does, and assumes that nobody else starts jobs meanwhile. It tells a range, P50 to
P90, and nothing at all where a length that matters is not known.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from random import Random

# More scenarios say the same more slowly; fewer for long queues, so that a forecast stays a matter of a moment.
_SCENARIOS_MAX = 200
_SCENARIOS_MIN = 12
_STARTS_MAX = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One ticket, in the order of the queue. `samples_s` are equally likely lengths, None where not known.

    `needs` are units by lane; `after` is the address of a ticket or running job that must have ended first. Where
    `since` is given, the ticket stands in virtual time at `since` less `credit`; one that becomes ready later waits
    from then on, and falls back accordingly. Without it a ticket keeps its place.
    """

    address: str
    needs: Mapping[str, int]
    samples_s: Sequence[float] | None
    after: str | None = None
    not_before: datetime | None = None
    since: datetime | None = None
    credit: timedelta = timedelta(0)


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
    setting = _setting(waiting, running, now)
    chance = Random(seed)
    scenarios = [_play(setting, dict(free), _Lengths(chance)) for _ in range(max(1, count - 3))]
    starts = zip(*(one.starts_s for one in scenarios), strict=True)
    ends = zip(*(one.ends_s for one in scenarios), strict=True)
    return tuple(
        Expected(address=ticket.address, start=_range(starts_s, now), end=_range(ends_s, now))
        for ticket, starts_s, ends_s in zip(waiting, starts, ends, strict=True)
    )


def left_s(samples_s: Sequence[float], elapsed_s: float) -> tuple[float, ...]:
    """Equally likely seconds that a job of this age still takes, from equally likely lengths."""
    longer = tuple(sample - elapsed_s for sample in samples_s if sample > elapsed_s)
    # One that outlives everything seen so far may end any moment; a tenth of its age is as good a word as another.
    return longer or (max(30.0, elapsed_s * 0.1),)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all scenarios share; tickets and running jobs by number, times in seconds from now.

    Tickets with the same needs share a line, by number in `needs`. `dependents` are tickets by what they come after.
    """

    tickets: Sequence[Waiting]
    needs: Sequence[tuple[tuple[str, int], ...]]
    line_of: Sequence[int]
    stands_s: Sequence[float]
    ready_s: Sequence[float]
    independent: Sequence[int]
    dependents: Mapping[str, Sequence[int]]
    running: Sequence[Running]
    left_s: Sequence[Sequence[float] | None]


def _setting(waiting: Sequence[Waiting], running: Sequence[Running], now: datetime) -> _Setting:
    known = {ticket.address for ticket in waiting} | {job.address for job in running}
    numbers: dict[tuple[tuple[str, int], ...], int] = {}
    independent: list[int] = []
    dependents: dict[str, list[int]] = {}
    for number, ticket in enumerate(waiting):
        if ticket.after is None or ticket.after not in known:
            independent.append(number)
        else:
            dependents.setdefault(ticket.after, []).append(number)
    return _Setting(
        tickets=waiting,
        line_of=[numbers.setdefault(tuple(ticket.needs.items()), len(numbers)) for ticket in waiting],
        needs=tuple(numbers),
        stands_s=[0.0 if one.since is None else (one.since - one.credit - now).total_seconds() for one in waiting],
        ready_s=[0.0 if one.not_before is None else (one.not_before - now).total_seconds() for one in waiting],
        independent=independent,
        dependents=dependents,
        running=running,
        left_s=[None if job.samples_s is None else left_s(job.samples_s, job.elapsed_s) for job in running],
    )


@dataclass(slots=True)
class _Scenario:
    """One run forward; `starts_s` and `ends_s` by number of the ticket, inf where it never comes to that.

    `lines` hold who is ready, the next at the front; `ends` and `entries` are what is yet to happen.
    """

    free: dict[str, int]
    lines: list[list[tuple[float, int]]]
    starts_s: list[float]
    ends_s: list[float]
    ends: list[tuple[float, int]] = field(default_factory=list)
    entries: list[tuple[float, int]] = field(default_factory=list)


class _Lengths:
    """Lengths of one scenario, drawn from what the history could have been as well.

    A few past jobs may all have been quick ones. Drawing from the very same samples in all scenarios would take that
    for certain, and tell far too narrow a range for who waits behind many.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._histories: dict[int, Sequence[int]] = {}

    def draw(self, samples_s: Sequence[float]) -> float:
        """One length. Samples that are equally many are taken for those of one history, in the same order."""
        count, random = len(samples_s), self._chance.random
        history = self._histories.get(count)
        if history is None:
            # Few samples spread less than what they come from; drawing even fewer of them makes up for it.
            history = self._histories[count] = [int(random() * count) for _ in range(max(2, count - 2))]
        return samples_s[history[int(random() * len(history))]]


def _play(setting: _Setting, free: dict[str, int], lengths: _Lengths) -> _Scenario:
    count = len(setting.tickets)
    scenario = _Scenario(free, [[] for _ in setting.needs], [inf] * count, [inf] * count)
    # Running jobs are numbered after the tickets.
    for number, samples_s in enumerate(setting.left_s, start=count):
        if samples_s is not None:
            heapq.heappush(scenario.ends, (lengths.draw(samples_s), number))
    for number in setting.independent:
        _enter(scenario, setting, number, 0.0)
    _admit(scenario, setting, 0.0, lengths)
    while scenario.ends or scenario.entries:
        at_s = min(queue[0][0] for queue in (scenario.ends, scenario.entries) if queue)
        while scenario.ends and scenario.ends[0][0] <= at_s:
            _end(scenario, setting, heapq.heappop(scenario.ends)[1], at_s)
        while scenario.entries and scenario.entries[0][0] <= at_s:
            _enter(scenario, setting, heapq.heappop(scenario.entries)[1], at_s)
        _admit(scenario, setting, at_s, lengths)
    return scenario


def _enter(scenario: _Scenario, setting: _Setting, number: int, at_s: float) -> None:
    """A ticket waits for nothing but room, or for its time to come."""
    if setting.ready_s[number] > at_s:
        heapq.heappush(scenario.entries, (setting.ready_s[number], number))
        return
    ticket, stands_s = setting.tickets[number], setting.stands_s[number]
    if ticket.after in setting.dependents and ticket.since is not None:
        stands_s = max(stands_s, at_s - ticket.credit.total_seconds())
    heapq.heappush(scenario.lines[setting.line_of[number]], (stands_s, number))


def _end(scenario: _Scenario, setting: _Setting, number: int, at_s: float) -> None:
    """A job gives its units back, and those that come after it enter."""
    job = _job(setting, number)
    if number < len(setting.tickets):
        scenario.ends_s[number] = at_s
    for lane, units in job.needs.items():
        scenario.free[lane] = scenario.free.get(lane, 0) + units
    for dependent in setting.dependents.get(job.address, ()):
        _enter(scenario, setting, dependent, at_s)


def _job(setting: _Setting, number: int) -> Waiting | Running:
    count = len(setting.tickets)
    return setting.tickets[number] if number < count else setting.running[number - count]


def _admit(scenario: _Scenario, setting: _Setting, at_s: float, lengths: _Lengths) -> None:
    """Starts what has room, in order; a ticket without room closes the lanes it lacks for those behind it."""
    closed: set[str] = set()
    fronts = [(line[0], number) for number, line in enumerate(scenario.lines) if line]
    heapq.heapify(fronts)
    while fronts:
        (_, number), line_number = heapq.heappop(fronts)
        needs = setting.needs[line_number]
        short = [lane for lane, units in needs if lane in closed or scenario.free.get(lane, 0) < units]
        if short:
            # Those behind it in its line need the same, so they have no room either.
            closed.update(short)
            continue
        for lane, units in needs:
            scenario.free[lane] = scenario.free.get(lane, 0) - units
        _start(scenario, setting, number, at_s, lengths)
        line = scenario.lines[line_number]
        heapq.heappop(line)
        if line:
            heapq.heappush(fronts, (line[0], line_number))


def _start(scenario: _Scenario, setting: _Setting, number: int, at_s: float, lengths: _Lengths) -> None:
    scenario.starts_s[number] = at_s
    samples_s = setting.tickets[number].samples_s
    if samples_s is not None:
        heapq.heappush(scenario.ends, (at_s + lengths.draw(samples_s), number))


def _range(seconds: Sequence[float], now: datetime) -> Range | None:
    ordered = sorted(seconds)
    p10, p50, p90 = (ordered[int(share * len(ordered))] for share in (0.1, 0.5, 0.9))
    if p90 == inf:
        return None
    return Range(p10=now + timedelta(seconds=p10), p50=now + timedelta(seconds=p50), p90=now + timedelta(seconds=p90))
