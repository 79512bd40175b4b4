"""A provider that keeps below Google's requests per minute, and counts what it asks. I/O by the provider it wraps.

Source: 60 job submissions and 600 other requests a minute, per project and region,
https://cloud.google.com/vertex-ai/docs/quotas#request_quotas.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from reconciler.model.clock import Clock
from reconciler.model.job import LiveJob, location_of
from reconciler.providers.protocol import JobRequest, Listing, Provider

SUBMISSIONS_PER_MINUTE = 60
REQUESTS_PER_MINUTE = 600
_MINUTE = timedelta(minutes=1)

T = TypeVar("T")


class LimitedProvider:
    """The same service, asked no faster than it allows; safe between threads. A request too many waits its turn."""

    def __init__(
        self,
        provider: Provider,
        clock: Clock,
        *,
        submissions_per_minute: int = SUBMISSIONS_PER_MINUTE,
        requests_per_minute: int = REQUESTS_PER_MINUTE,
    ) -> None:
        self._provider = provider
        self._clock = clock
        self._limits = {"submissions": submissions_per_minute, "requests": requests_per_minute}
        self._sent: dict[tuple[str, str], deque[datetime]] = {}
        self._lock = threading.Lock()
        self._count = 0

    @property
    def request_count(self) -> int:
        """How many requests were sent so far; a list of several pages counts once."""
        return self._count

    def list_jobs(self, location: str) -> Listing:
        """Every tuning job of the location."""
        return self._in_turn("requests", location, lambda: self._provider.list_jobs(location))

    def get_job(self, name: str) -> LiveJob:
        """One job by its resource name."""
        return self._in_turn("requests", location_of(name), lambda: self._provider.get_job(name))

    def create_job(self, request: JobRequest) -> LiveJob:
        """Create one job; never repeated here either."""
        return self._in_turn("submissions", request.location, lambda: self._provider.create_job(request))

    def cancel_job(self, name: str) -> None:
        """Ask for a cancel."""
        self._in_turn("requests", location_of(name), lambda: self._provider.cancel_job(name))

    def _in_turn(self, kind: str, location: str, ask: Callable[[], T]) -> T:
        while (wait_s := self._wait_s(kind, location)) > 0:
            self._clock.sleep(wait_s)
        return ask()

    def _wait_s(self, kind: str, location: str) -> float:
        """0 when the request may go now, and then it counts; else for how long there is no room."""
        now = self._clock.now()
        with self._lock:
            sent = self._sent.setdefault((kind, location), deque())
            while sent and now - sent[0] >= _MINUTE:
                sent.popleft()
            if len(sent) < self._limits[kind]:
                sent.append(now)
                self._count += 1
                return 0.0
            return max(0.01, (_MINUTE - (now - sent[0])).total_seconds())
