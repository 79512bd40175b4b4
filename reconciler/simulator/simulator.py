"""A simulated Vertex AI as one thing: a world, its clock and its rules, asked one request at a time.

    Simulator.in_memory(ManualClock(now), concurrent_jobs=2).transport()      for tests and random worlds
    Simulator.on_file(Path("state/world.json"), speed=600).transport()        for commands, which share the file

Everything but `respond` and `transport` is a backstage door for tests: no API lets anybody do these things.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import UsageError
from reconciler.simulator.answers import Request, Resource, Response
from reconciler.simulator.base_models import base_models_with
from reconciler.simulator.clock import ManualClock, RealTime, SimulatedClock, WorldClock, machine_time, resumed_at
from reconciler.simulator.engine import Engine
from reconciler.simulator.faults import Faults
from reconciler.simulator.foreign import FOREIGN_BASE_MODEL, advance, create_foreign_job
from reconciler.simulator.handler import handle
from reconciler.simulator.outcomes import Outcome
from reconciler.simulator.settings import OverQuota, Settings
from reconciler.simulator.tuning_jobs import job_view
from reconciler.simulator.world import Effect, Job, World, encode_world
from reconciler.simulator.worldfile import FileWorld, MemoryWorld, WorldStore

if TYPE_CHECKING:
    from reconciler.simulator.transport import SimulatorTransport

AdapterSizes = Mapping[str, frozenset[int]]


class Simulator:
    """A simulated Vertex AI. Threads may share it; requests are answered one after the other.

    `adapter_sizes` names the base models that can be tuned and their adapter sizes; None takes the simulator's table.
    """

    def __init__(self, store: WorldStore, clock: WorldClock, adapter_sizes: AdapterSizes | None = None) -> None:
        self._store = store
        self._clock = clock
        self._base_models = base_models_with(adapter_sizes)
        self._lock = threading.Lock()

    @classmethod
    def in_memory(
        cls,
        clock: WorldClock | None = None,
        *,
        concurrent_jobs: int = 1,
        over_quota: OverQuota = "wait",
        speed: float = 600.0,
        copy_labels: bool = True,
        failure_rate: float = 0.0,
        refuse_retired: bool = False,
        page_size: int = 100,
        adapter_sizes: AdapterSizes | None = None,
        seed: int = 0,
    ) -> Simulator:
        """A new world that ends with the process; without a clock, one that stands still at 2026-11-20 12:00 UTC.

        `seed` shapes the ids: the same requests at the same instants give the same world.
        """
        settings = Settings(
            speed=speed,
            concurrent_jobs=concurrent_jobs,
            over_quota=over_quota,
            copy_labels=copy_labels,
            failure_rate=failure_rate,
            refuse_retired=refuse_retired,
            page_size=page_size,
        )
        own_clock = clock if clock is not None else ManualClock(datetime(2026, 11, 20, 12, tzinfo=UTC))
        world = World(seed=seed, at=own_clock.now(), settings=settings)
        return cls(MemoryWorld(world), own_clock, adapter_sizes)

    @classmethod
    def on_file(
        cls,
        path: Path,
        *,
        speed: float | None = None,
        concurrent_jobs: int | None = None,
        over_quota: OverQuota | None = None,
        faults: Faults | None = None,
        adapter_sizes: AdapterSizes | None = None,
        real: RealTime | None = None,
    ) -> Simulator:
        """The world in the file, or a new one; the settings and faults given here replace those it was saved with.

        Time has passed since it was saved, at its speed, but at most 24 simulated hours. Raises TuneformError for a
        file that is no world or cannot be used, UsageError for settings that cannot be.
        """
        time = machine_time() if real is None else real

        def create() -> World:
            # Another seed for each world: ids of a deleted world must never come back for other jobs.
            return World(seed=int(time.now().timestamp() * 1_000_000), at=time.now())

        store = FileWorld(path, create, time.now)
        with store.session() as world:
            settings = _overridden(world.settings, speed, concurrent_jobs, over_quota)
            saved_at = time.now() if world.real_at is None else world.real_at
            start = resumed_at(world.at, saved_at, time.now(), world.settings.speed)
            engine = Engine(world, base_models_with(adapter_sizes))
            advance(engine, start)
            engine.configure(settings)
            if faults is not None:
                engine.play(faults)
        return cls(store, SimulatedClock(start, settings.speed, time), adapter_sizes)

    @property
    def clock(self) -> WorldClock:
        """The clock the world moves by."""
        return self._clock

    def respond(self, request: Request) -> Response:
        """The answer to a request, now. Does I/O where the world is in a file."""
        with self._engine() as engine:
            return handle(engine, request)

    def transport(self) -> SimulatorTransport:
        """This simulator as an httpx transport, without a socket."""
        from reconciler.simulator.transport import SimulatorTransport

        return SimulatorTransport(self.respond)

    def snapshot(self) -> Resource:
        """The whole world as JSON, a copy."""
        with self._engine() as engine:
            copied: Resource = json.loads(json.dumps(encode_world(engine.world)))
            return copied

    def jobs(self) -> tuple[Resource, ...]:
        """Every job of every project and location, oldest first, as v1beta1 shows it; no list lag."""
        with self._engine() as engine:
            return tuple(job_view(job, engine.now, is_beta=True) for job in engine.world.jobs.values())

    def finish_job(self, name: str) -> None:
        """Let an active job succeed now. Raises UsageError for one that is not active."""
        with self._engine() as engine:
            engine.end_job(_active(engine, name), Outcome.SUCCEED)

    def fail_job(self, name: str, *, code: int = 13, message: str = "Internal error occurred.") -> None:
        """Let an active job fail now, with a google.rpc.Code number. Raises UsageError for one that is not active."""
        with self._engine() as engine:
            engine.end_job(_active(engine, name), Outcome.FAIL, error={"code": code, "message": message})

    def cancel_elsewhere(self, name: str) -> None:
        """Cancel a job as somebody else would, through the console. Raises UsageError for one that is not active."""
        with self._engine() as engine:
            engine.cancel_job(_active(engine, name))

    def inject_foreign_job(
        self,
        project: str,
        location: str = "us-central1",
        *,
        base_model: str = FOREIGN_BASE_MODEL,
        labels: Mapping[str, str] | None = None,
        duration_s: int | None = None,
    ) -> str:
        """Create a job as somebody else would; returns its name. The quota and its over-quota mode count for it too.

        `duration_s` is how long it runs once it is RUNNING; None lets its dataset say. Raises Problem where the service
        would refuse it.
        """
        known_by = labels or {"team": "somebody-else"}
        with self._engine() as engine:
            return create_foreign_job(
                engine, project, location, base_model=base_model, labels=known_by, duration_s=duration_s
            ).name

    def set_faults(self, faults: Faults | None = None, /, **named: Any) -> None:
        """Play these faults from now on, and no others; `named` are fields of Faults, instead or on top.

        Raises UsageError for a value that cannot be.
        """
        wanted = replace(Faults() if faults is None else faults, **named)
        with self._engine() as engine:
            engine.play(wanted)

    def faults(self) -> Faults:
        """The faults that are still to be played: counts go down as creates meet them."""
        with self._engine() as engine:
            return engine.world.faults

    def effects_log(self) -> tuple[Effect, ...]:
        """The creates and cancels asked through the API that took effect, in their order, whatever was answered."""
        with self._engine() as engine:
            return tuple(engine.world.effects)

    def configure(self, change: Callable[[Settings], Settings]) -> None:
        """Change the settings of the world from now on."""
        with self._engine() as engine:
            engine.configure(change(engine.world.settings))

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        with self._lock, self._store.session() as world:
            self._clock.advance_to(world.at)
            engine = Engine(world, self._base_models)
            advance(engine, self._clock.now())
            yield engine


def _overridden(
    settings: Settings, speed: float | None, concurrent_jobs: int | None, over_quota: OverQuota | None
) -> Settings:
    return replace(
        settings,
        speed=settings.speed if speed is None else speed,
        concurrent_jobs=settings.concurrent_jobs if concurrent_jobs is None else concurrent_jobs,
        over_quota=settings.over_quota if over_quota is None else over_quota,
    )


def _active(engine: Engine, name: str) -> Job:
    job = engine.world.active.get(name)
    if job is None:
        raise UsageError("The simulator has no such active job", f"{name} does not exist or has ended.")
    return job
