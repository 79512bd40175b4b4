"""Simulated time: the machine's time times a speed, or time that moves only when told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

# A world left alone over a night or a holiday goes on by a day, not by a year.
IDLE_MAX = timedelta(hours=24)


class WorldClock(Protocol):
    """The clock of a simulated world: reconciler.model.clock.Clock, and able to be pulled forward."""

    def now(self) -> datetime:
        """The present simulated instant, aware UTC."""

    def sleep(self, seconds: float) -> None:
        """Return after that many simulated seconds."""

    def advance_to(self, instant: datetime) -> None:
        """Make it at least that instant; does nothing where it is later already."""


@dataclass(frozen=True, slots=True)
class RealTime:
    """The machine's time: the present instant (aware UTC), a monotonic count of seconds, and a pause in seconds."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


def machine_time() -> RealTime:
    """The real thing."""
    return RealTime(now=lambda: datetime.now(UTC), monotonic=time.monotonic, sleep=time.sleep)


def resumed_at(at: datetime, real_at: datetime, real_now: datetime, speed: float) -> datetime:
    """Where a world that stood at `at` when it was saved at `real_at` has come to by now; it never goes back."""
    idle_s = max(0.0, (real_now - real_at).total_seconds()) * speed
    return at + timedelta(seconds=min(idle_s, IDLE_MAX.total_seconds()))


class SimulatedClock:
    """Simulated time that flows from `start`, `speed` simulated seconds to each real one."""

    def __init__(self, start: datetime, speed: float, real: RealTime) -> None:
        self._speed = speed
        self._real = real
        # Replaced as a whole, so that threads always see a pair that belongs together.
        self._anchor = (start, real.monotonic())

    def now(self) -> datetime:
        """The present simulated instant, aware UTC."""
        start, since = self._anchor
        return start + timedelta(seconds=(self._real.monotonic() - since) * self._speed)

    def sleep(self, seconds: float) -> None:
        """Return after that many simulated seconds, which are `seconds / speed` real ones."""
        self._real.sleep(max(0.0, seconds) / self._speed)

    def advance_to(self, instant: datetime) -> None:
        """Go on from that instant where it lies ahead: another process has been there already."""
        if instant > self.now():
            self._anchor = (instant, self._real.monotonic())


class ManualClock:
    """Time that moves only by `sleep`, `advance` and `advance_to`, at once; for tests and worlds without waiting."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        """The present instant, aware UTC."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Be that many seconds later."""
        self._now += timedelta(seconds=max(0.0, seconds))

    def advance(self, by: timedelta) -> None:
        """Be that much later."""
        self._now += by

    def advance_to(self, instant: datetime) -> None:
        """Be at least that instant."""
        self._now = max(self._now, instant)
