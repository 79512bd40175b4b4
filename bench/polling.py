"""The polling rule alone, in simulated time: how busy it keeps the slots, and how many calls that takes.

Jobs of an hour on average, lognormal, one in ten ending early, a queue that never empties. A look is one list of the
one location with own jobs; before a submission, and once an hour, all 31 locations are listed. Beside it a fixed pause,
and the loop of Google's own samples: one thread a job that sleeps a minute, asks for its job, and starts the next one
when it has ended. `formula` is what one job at a time would come to, with mean pause p, latency of a create c and mean
length L: L / (L + p/2 + c). The loop as it really runs is measured in bench/waiting.py.

    python bench/polling.py [DAYS]
"""

from __future__ import annotations

import heapq
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from reconciler.polling import Watched, pause_s

HOUR_S = 3600.0
LENGTH_S = HOUR_S
LOCATIONS = 31
CREATE_S = 2.0
SAMPLE_PAUSE_S = 60.7
FAILURE_SHARE = 0.1
SLOTS = (1, 4, 100)
SIGMAS = (0.15, 0.45)

Pause = Callable[[Sequence[float]], float]


@dataclass(frozen=True, slots=True)
class Figures:
    """Share of slot time with a job, calls an hour, the mean pause, and the mean length of a job, in seconds."""

    busy: float
    calls: float
    pause_s: float
    length_s: float

    @property
    def formula(self) -> float:
        return self.length_s / (self.length_s + self.pause_s / 2 + CREATE_S)


class Jobs:
    """Lengths of jobs, and how much of the slots they have used until the end of the measurement."""

    def __init__(self, chance: Random, sigma: float, until_s: float) -> None:
        self._chance, self._sigma, self._until_s = chance, sigma, until_s
        self.count = 0
        self.used_s = self.total_s = 0.0

    def start(self, at_s: float) -> float:
        """Starts a job and says when it ends."""
        length_s = self.length_s()
        if self._chance.random() < FAILURE_SHARE:
            length_s *= self._chance.random()
        self.count += 1
        self.total_s += length_s
        self.used_s += max(0.0, min(at_s + length_s, self._until_s) - at_s)
        return at_s + length_s

    def length_s(self) -> float:
        return LENGTH_S * self._chance.lognormvariate(-0.5 * self._sigma**2, self._sigma)


def one_loop(slots: int, sigma: float, until_s: float, pause: Pause) -> Figures:
    """One loop that looks at all jobs at once; `pause` is given their ages."""
    jobs = Jobs(Random(1), sigma, until_s)
    running = [(jobs.start(0.0), 0.0) for _ in range(slots)]
    now_s = full_s = 0.0
    calls = looks = 0
    while True:
        now_s += pause([now_s - begun_s for _, begun_s in running])
        if now_s >= until_s:
            return Figures(
                jobs.used_s / slots / until_s, calls / until_s * HOUR_S, until_s / looks, jobs.total_s / jobs.count
            )
        looks += 1
        active = [one for one in running if one[0] > now_s]
        ended = slots - len(active)
        is_full = ended > 0 or now_s - full_s >= HOUR_S
        calls += 1 + is_full * (LOCATIONS - 1) + ended
        full_s = now_s if is_full else full_s
        running = active + [(jobs.start(now_s + CREATE_S), now_s + CREATE_S) for _ in range(ended)]


def threads(slots: int, sigma: float, until_s: float) -> Figures:
    """A thread a job: sleep a minute, ask, and start the next when it has ended."""
    jobs = Jobs(Random(1), sigma, until_s)
    at = [(number * SAMPLE_PAUSE_S / slots, jobs.start(0.0)) for number in range(slots)]
    heapq.heapify(at)
    calls = 0
    while at[0][0] < until_s:
        now_s, end_s = heapq.heappop(at)
        calls += 1
        if end_s <= now_s:
            calls += 1
            now_s += CREATE_S
            end_s = jobs.start(now_s)
        heapq.heappush(at, (now_s + SAMPLE_PAUSE_S, end_s))
    return Figures(jobs.used_s / slots / until_s, calls / until_s * HOUR_S, SAMPLE_PAUSE_S, jobs.total_s / jobs.count)


def adaptive(sigma: float) -> Pause:
    """The product's rule, with a history of 40 jobs that succeeded."""
    chance = Random(2)
    past = Jobs(chance, sigma, math.inf)
    samples_s = tuple(past.length_s() for _ in range(40))
    return lambda ages_s: pause_s(
        [Watched(age_s, samples_s) for age_s in ages_s], is_waiting=True, jitter=chance.random()
    )


def fixed(every_s: float) -> Pause:
    return lambda ages_s: every_s


def row(name: str, figures: Figures, beside: Figures) -> str:
    ratio, idle = figures.calls / beside.calls, (1 - figures.busy) / (1 - beside.busy)
    return (
        f"{name:<22} {figures.busy:8.2%} {figures.formula:8.2%} {figures.pause_s:8.1f} {figures.calls:9.1f}"
        f" {ratio:12.2f} {idle:11.2f}"
    )


def main(arguments: Sequence[str]) -> None:
    until_s = float(arguments[0] if arguments else 20) * 24 * HOUR_S
    print("                           busy  formula  pause s   calls/h  calls ratio  idle ratio")
    for slots in SLOTS:
        # Many slots tell as much in less time.
        span_s = until_s / math.sqrt(slots)
        for sigma in SIGMAS:
            beside = threads(slots, sigma, span_s)
            print(f"{slots} slots, lengths +-{sigma:.0%}")
            print(row("  a thread a job", beside, beside))
            print(row("  every 30 s", one_loop(slots, sigma, span_s, fixed(30.0)), beside))
            print(row("  adaptive", one_loop(slots, sigma, span_s, adaptive(sigma)), beside))


if __name__ == "__main__":
    main(sys.argv[1:])
