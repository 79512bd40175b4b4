"""tuneform as a series of processes against one in-memory Vertex AI: what tests apply with, watch and break.

A `Service` holds what outlives a process: the simulated Vertex AI, its clock and the stored state. Each call of `plan`
or `apply` is a process of its own: it opens the state anew and speaks to Vertex AI through the real client.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx

from reconciler.errors import StateConflict
from reconciler.events import Event, Kind
from reconciler.executor.cycle import Round
from reconciler.executor.effects import Effects
from reconciler.executor.loop import Followed
from reconciler.model.clock import Clock
from reconciler.model.desired import Desired
from reconciler.model.job import ENDED_STATES
from reconciler.model.labels import OWNER
from reconciler.plan import Change
from reconciler.providers.auth import FixedToken
from reconciler.providers.connection import Connection
from reconciler.providers.http import Http
from reconciler.providers.vertex import VertexClient
from reconciler.reconcile import Planned, apply_changes, opened, plan_stack
from reconciler.simulator.clock import ManualClock
from reconciler.simulator.settings import OverQuota
from reconciler.simulator.simulator import Simulator
from reconciler.state.codec import encode_state
from reconciler.state.held import load_state
from reconciler.state.records import State
from reconciler.state.store import Stored
from tests.builders import AT, LINEAGE, LOCATION, PROJECT

Resource = dict[str, Any]
Hook = Callable[[str], None]


class Killed(BaseException):
    """The process ends here; no Exception, so that no error handling survives its own death."""


@dataclass(slots=True)
class MemoryStore:
    """A place for one state. `on_effect` is asked before and after each write and may end the process there."""

    where: str = "memory"
    text: str | None = None
    version: int = 0
    on_effect: Hook = lambda what: None

    def read(self) -> Stored | None:
        """What was written last."""
        return None if self.text is None else Stored(self.text, str(self.version))

    def write(self, text: str, *, expected: str | None) -> str:
        """Replace it, for who has seen the last version."""
        self.on_effect("before write")
        if expected != (None if self.text is None else str(self.version)):
            raise StateConflict("conflict", f"version {self.version} is not {expected}")
        self.text, self.version = text, self.version + 1
        self.on_effect("after write")
        return str(self.version)


@dataclass(slots=True)
class Wire(httpx.BaseTransport):
    """The way to a simulator: keeps every request that changes something, and breaks where it is told to.

    `unread` are locations whose lists answer 503. `on_effect` is asked before and after each change.
    """

    inner: httpx.BaseTransport
    unread: frozenset[str] = frozenset()
    on_effect: Hook = lambda what: None
    creates: list[Resource] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    lists: int = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The simulator's answer, or none."""
        location = request.url.path.split("/locations/")[1].split("/")[0]
        if request.method == "GET":
            self.lists += 1
            if location in self.unread:
                return httpx.Response(503, json={"error": {"code": 503, "message": "down", "status": "UNAVAILABLE"}})
            return self.inner.handle_request(request)
        is_cancel = request.url.path.endswith(":cancel")
        what = "cancel" if is_cancel else "create"
        if is_cancel:
            self.cancels.append(request.url.path.split("/", 2)[2].removesuffix(":cancel"))
        else:
            self.creates.append(json.loads(request.read()))
        self.on_effect(f"before {what}")
        response = self.inner.handle_request(request)
        self.on_effect(f"after {what}")
        return response


@dataclass(frozen=True, slots=True)
class Strides:
    """The clock of a process that looks at most once in a stride, so that long jobs take few looks."""

    clock: ManualClock
    stride: timedelta

    def now(self) -> Any:
        """The present simulated instant."""
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        """Be that much later, or a stride."""
        self.clock.advance(max(self.stride, timedelta(seconds=seconds)))


@dataclass(frozen=True, slots=True)
class Still:
    """A clock that does not wait, for repeated reads: their pauses are not what is tested."""

    clock: ManualClock

    def now(self) -> Any:
        """The present simulated instant."""
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        """Return at once."""


class Service:
    """One project on an in-memory Vertex AI, one state, and the processes that come and go between them."""

    def __init__(
        self,
        *,
        concurrent_jobs: int = 1,
        over_quota: OverQuota = "wait",
        locations: Sequence[str] = (LOCATION, "europe-west4"),
        stride: timedelta = timedelta(0),
        seed: int = 0,
    ) -> None:
        self.clock = ManualClock(AT)
        self.simulator = Simulator.in_memory(
            self.clock, concurrent_jobs=concurrent_jobs, over_quota=over_quota, seed=seed
        )
        self.wire = Wire(self.simulator.transport())
        self.store = MemoryStore()
        self.locations = tuple(locations)
        self.events: list[Event] = []
        self._process_clock: Clock = Strides(self.clock, stride)
        self._ids = itertools.count(1)

    def effects(self) -> Effects:
        """What a new process can do."""
        http = Http(
            connection=Connection(transport=self.wire),
            tokens=FixedToken("token"),
            clock=Still(self.clock),
            jitter=lambda: 0.0,
        )
        return Effects(
            provider=VertexClient(project=PROJECT, http=http),
            store=self.store,
            clock=self._process_clock,
            locations=self.locations,
            new_id=lambda: f"write-{next(self._ids)}",
            report=self.events.append,
        )

    def stride(self, stride: timedelta) -> None:
        """Let processes look at most once in so much time from now on."""
        self._process_clock = Strides(self.clock, stride)

    def plan(self, desired: Desired) -> Planned:
        """The plan of a new process."""
        return self._planned(self.effects(), desired)

    def apply(
        self,
        desired: Desired,
        planned: Planned | None = None,
        *,
        wait: bool = True,
        only: Callable[[Change], bool] = lambda change: True,
        until_minutes: float | None = None,
        stop: Callable[[], bool] = lambda: False,
        show: Callable[[Round], None] = lambda last: None,
        **more: Any,
    ) -> Followed:
        """A new process plans, unless it is given a plan, and carries out the changes that `only` agrees to.

        `more` are further fields of its effects.
        """
        effects = replace(self.effects(), **more)
        planned = planned or self._planned(effects, desired)
        return apply_changes(
            effects,
            desired,
            planned,
            [change for change in planned.plan.changes if only(change)],
            wait=wait,
            approved_by="somebody",
            plan_checksum="0",
            until=None if until_minutes is None else self.clock.now() + timedelta(minutes=until_minutes),
            stop=stop,
            show=show,
        )

    def _planned(self, effects: Effects, desired: Desired) -> Planned:
        return plan_stack(effects, desired, opened(effects, desired.stack, "simulator", lineage=LINEAGE))

    @property
    def state(self) -> State:
        """The state as it is stored, read and checked like a new process would."""
        held = load_state(self.store)
        assert held is not None, "nothing was stored yet"
        return held.state

    def keep(self, state: State) -> None:
        """Store this state, as a person would with a command."""
        stored = self.store.read()
        self.store.write(encode_state(state), expected=None if stored is None else stored.version)

    def own(self) -> list[Resource]:
        """Every job that bears our owner label, oldest first."""
        return [job for job in self.simulator.jobs() if job.get("labels", {}).get(OWNER) == LINEAGE]

    def states_of(self, jobs: Iterable[Resource]) -> list[str]:
        """The states of jobs, in words."""
        return [str(job["state"]).removeprefix("JOB_STATE_").lower() for job in jobs]

    def told(self, kind: Kind) -> list[str]:
        """The addresses of events of one kind, in order."""
        return [event.address for event in self.events if event.kind is kind]


def is_active(job: Resource) -> bool:
    """Whether a job, as the API shows it, uses quota."""
    return job["state"] not in ENDED_STATES
