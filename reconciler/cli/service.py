"""The service one run speaks to: Vertex AI, the embedded simulator, or whatever TUNEFORM_ENDPOINT names.

`TUNEFORM_ENDPOINT` stands in for the stack's endpoint and `TUNEFORM_ACCESS_TOKEN` for the credentials, so that proxies,
emulators and tests can take Google's place.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.catalogue.catalogue import Catalogue
from reconciler.errors import UsageError
from reconciler.model.clock import Clock
from reconciler.model.desired import Desired, SimulatorSettings, Stack
from reconciler.providers.limited import LimitedProvider
from reconciler.quota import GLOBAL_LANE, LaneRules

if TYPE_CHECKING:
    from reconciler.providers.http import Http

SIMULATOR = "simulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where requests go and whose time counts. `endpoint` None means Google's hosts."""

    provider: LimitedProvider
    clock: Clock
    http: Http
    endpoint: str | None


class StoppableClock:
    """A clock whose sleep ends early when somebody asks to stop. `speed` is clock seconds per real second."""

    def __init__(self, now: Callable[[], datetime], speed: Callable[[], float], stop: threading.Event) -> None:
        self._now = now
        self._speed = speed
        self._stop = stop

    def now(self) -> datetime:
        """The present instant, aware UTC."""
        return self._now()

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds of this clock, or when somebody asks to stop."""
        self._stop.wait(seconds / self._speed())


def trusted_endpoint(stack: Stack) -> str | None:
    """Where requests go. Whoever may edit a manifest must not have your credentials sent to a host of theirs."""
    from urllib.parse import urlsplit

    from reconciler.providers.hosts import is_google_url, is_loopback

    named = os.environ.get("TUNEFORM_ENDPOINT")
    if named or stack.endpoint in (None, SIMULATOR):
        return named or stack.endpoint
    if is_google_url(stack.endpoint) or is_loopback(urlsplit(stack.endpoint).hostname or ""):
        return stack.endpoint
    raise UsageError(
        "The endpoint of the stack is not trusted",
        f"{stack.source} sends requests, and with them your credentials, to {stack.endpoint}. That is not Google's "
        "and not on this machine. If you trust it, say so yourself:",
        command=f"export TUNEFORM_ENDPOINT={stack.endpoint}",
    )


def open_service(stack: Stack, endpoint: str | None, stop: threading.Event) -> Service:
    """The service at the endpoint; asks it nothing yet. Reads the simulator's world where that is what it names."""
    if endpoint != SIMULATOR:
        return _remote(stack, endpoint, stop)
    if stack.simulator is None:
        raise UsageError(
            "The stack has no simulator",
            "TUNEFORM_ENDPOINT=simulator needs `endpoint: simulator` in the stack, which says where its world is kept.",
        )
    return _embedded(stack, stack.simulator, stop)


def _embedded(stack: Stack, settings: SimulatorSettings, stop: threading.Event) -> Service:
    from reconciler.providers.auth import FixedToken
    from reconciler.providers.connection import Connection
    from reconciler.providers.http import Http
    from reconciler.providers.vertex import VertexClient
    from reconciler.simulator.embedded import EMBEDDED_TOKEN, open_embedded

    embedded = open_embedded(settings)
    clock = StoppableClock(embedded.clock.now, lambda: settings.speed, stop)
    http = Http(connection=Connection(transport=embedded.transport), tokens=FixedToken(EMBEDDED_TOKEN), clock=clock)
    provider = LimitedProvider(VertexClient(project=stack.project, http=http), clock)
    return Service(provider=provider, clock=clock, http=http, endpoint=None)


def _remote(stack: Stack, named: str | None, stop: threading.Event) -> Service:
    from reconciler.providers.auth import bearer_tokens
    from reconciler.providers.connection import Connection
    from reconciler.providers.hosts import check_endpoint
    from reconciler.providers.http import Http
    from reconciler.providers.vertex import VertexClient

    endpoint = None if named is None else check_endpoint(named)
    connection = Connection()
    speakers: list[Http] = []
    clock = StoppableClock(lambda: datetime.now(UTC), lambda: speakers[0].simulator_speed or 1.0, stop)
    http = Http(connection=connection, tokens=bearer_tokens(os.environ, connection), clock=clock)
    # The clock asks for the speed only once the first answer told it, and the client is made with the clock.
    speakers.append(http)
    provider = LimitedProvider(VertexClient(project=stack.project, http=http, endpoint=endpoint), clock)
    return Service(provider=provider, clock=clock, http=http, endpoint=endpoint)


def read_rules(service: Service, desired: Desired, catalogue: Catalogue) -> tuple[LaneRules, tuple[str, ...]]:
    """What jobs take from which quota, with the limits Google tells; also what could not be read, in words.

    A limit that the stack sets itself, or that nothing declared needs, is not asked for. I/O by the service.
    """
    from reconciler.catalogue.needs import needs_of
    from reconciler.providers.quotas import QuotaName, read_limits

    stack = desired.stack
    lanes = {lane for model in desired.models for lane in needs_of(catalogue, model.fields)}
    wanted = lanes - ({GLOBAL_LANE} if stack.quota.concurrent_jobs is not None else set())
    asked = [
        QuotaName(name, quota.display_name, quota.location)
        for name, quota in catalogue.quotas.items()
        if name in wanted
    ]
    if not asked:
        return offline_rules(catalogue), ()
    told = read_limits(service.http, stack.project, asked, endpoint=service.endpoint)
    defaults = {name: quota.default_limit for name, quota in catalogue.quotas.items() if name != GLOBAL_LANE}
    rules = LaneRules(
        needs_of=lambda fields: needs_of(catalogue, fields),
        limits={**defaults, **told.by_lane},
        source=told.source,
    )
    missing = wanted - told.by_lane.keys()
    return rules, told.problems if missing else ()


def offline_rules(catalogue: Catalogue) -> LaneRules:
    """The rules without asking anybody: the documented default limits."""
    from reconciler.catalogue.needs import needs_of

    defaults = {name: quota.default_limit for name, quota in catalogue.quotas.items() if name != GLOBAL_LANE}
    return LaneRules(needs_of=lambda fields: needs_of(catalogue, fields), limits=defaults)
