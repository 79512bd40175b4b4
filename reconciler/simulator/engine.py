"""The simulated time of jobs: who holds a slot, who waits, what happens when. No I/O and no clock; memory is the World.

Time moves from one event to the next: each job ends at its exact instant, its model appears then, and the next waiting
job of the project takes the slot at that same instant. So what happens does not depend on how often anybody asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.model.job import JobState
from reconciler.simulator import answers
from reconciler.simulator.answers import Resource
from reconciler.simulator.base_models import BaseModel
from reconciler.simulator.datasets import dataset_of
from reconciler.simulator.faults import Faults, drawn
from reconciler.simulator.outcomes import ERRORS, Outcome, course_of
from reconciler.simulator.outputs import publish
from reconciler.simulator.settings import Settings
from reconciler.simulator.tuning import epoch_count_of, training_uri_of
from reconciler.simulator.world import Job, World

# Source: a recorded poll saw two minutes of PENDING before RUNNING.
PENDING_S = 120
# Source: recorded cancels of sibling jobs: 3 s for a pending one, about 32 s for a running one.
CANCEL_PENDING_S = 3
CANCEL_RUNNING_S = 30
_PREPARE_S = 12 * 60
_RUN_MIN_S = 15 * 60
_RUN_MAX_S = 4 * 3600
_END_STATES: Mapping[Outcome, JobState] = {
    Outcome.SUCCEED: JobState.SUCCEEDED,
    Outcome.FAIL: JobState.FAILED,
    Outcome.FAIL_DATASET: JobState.FAILED,
    Outcome.FAIL_WITH_MODEL: JobState.FAILED,
    Outcome.CANCEL: JobState.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Engine:
    """The rules by which a world moves. `base_models` are the models it can tune, by short id."""

    world: World
    base_models: Mapping[str, BaseModel]

    @property
    def now(self) -> datetime:
        """The instant the world stands at."""
        return self.world.at

    def advance_to(self, instant: datetime) -> None:
        """Let everything happen that happens until then, then included; does nothing for an instant gone by."""
        while (job := self._next_to_end()) is not None and job.ends_at is not None and job.ends_at <= instant:
            self._end(job, job.ends_at)
        self.world.at = max(self.world.at, instant)

    def configure(self, settings: Settings) -> None:
        """Use these settings from now on; a higher quota starts waiting jobs at once, a lower one stops none."""
        if settings == self.world.settings:
            return
        self.world.settings = settings
        self.world.revision += 1
        for project in sorted({job.project_number for job in self.world.active.values()}):
            self._give_slots(project, self.now)

    def play(self, faults: Faults) -> None:
        """Play these faults from now on, and no others; foreign jobs come from now on."""
        self.world.faults = faults
        self.world.foreign_at = None
        self.world.revision += 1

    def create_job(self, parent: str, base_model: str, spec: Resource, *, duration_s: int | None = None) -> Job:
        """A new job under `projects/NUMBER/locations/L`, for an accepted spec; raises Problem 429 over quota.

        `duration_s` is how long it would be RUNNING; None lets dataset, epochs and base model say.
        """
        world = self.world
        project = parent.split("/")[1]
        if world.settings.over_quota == "refuse" and len(self._active_of(project)) >= world.settings.concurrent_jobs:
            raise answers.over_quota()
        job_id = world.new_id()
        course = course_of(
            spec.get("labels", {}),
            duration_s=self._duration_s(base_model, spec) if duration_s is None else duration_s,
            failure_rate=world.settings.failure_rate,
            seed=world.seed,
            job_id=job_id,
        )
        job = Job(
            name=f"{parent}/tuningJobs/{job_id}",
            sequence=len(world.jobs) + 1,
            base_model=base_model,
            spec=self._named(base_model, spec),
            created_at=self.now,
            run_s=course.run_s,
            outcome=course.outcome,
            flickers=drawn(world.seed, "flicker", job_id) < world.faults.flicker,
        )
        world.put(job)
        self._give_slots(project, self.now)
        return world.jobs[job.name]

    def cancel_job(self, job: Job) -> bool:
        """Ask for a cancel; whether that changed anything. A job that ends by itself before keeps its own outcome."""
        if job.end_state is not None or job.cancel_at is not None:
            # The command-line client documents that cancelling a finished job does nothing.
            return False
        seed, faults = self.world.seed, self.world.faults
        if drawn(seed, "cancel ignored", job.job_id) < faults.cancel_ignored:
            return False
        if job.is_running_at(self.now):
            cancelled_at, running_at = self.now + timedelta(seconds=CANCEL_RUNNING_S), job.running_at
        else:
            cancelled_at, running_at = self.now + timedelta(seconds=CANCEL_PENDING_S), None
        asked = replace(job, cancel_at=self.now, running_at=running_at)
        if job.ends_at is None or cancelled_at < job.ends_at:
            is_won = running_at is not None and drawn(seed, "cancel race", job.job_id) < faults.cancel_race
            asked = replace(asked, ends_at=cancelled_at, outcome=Outcome.SUCCEED if is_won else Outcome.CANCEL)
        self.world.put(asked)
        return True

    def end_job(self, job: Job, outcome: Outcome, *, error: Resource | None = None) -> None:
        """End an active job now, whatever it was going to do; for tests and demonstrations."""
        begun = job.running_at if job.is_running_at(self.now) else self.now
        slot_at = self.now if job.slot_at is None else job.slot_at
        ended = replace(job, slot_at=slot_at, running_at=begun, ends_at=self.now, outcome=outcome, error=error)
        self.world.put(ended)
        self.advance_to(self.now)

    def _named(self, base_model: str, spec: Resource) -> Resource:
        """Source: a job without a display name was seen to get `gemini-1.5-pro-002-<uuid>`."""
        if "tunedModelDisplayName" in spec:
            return spec
        return spec | {"tunedModelDisplayName": f"{base_model.rsplit('/', 1)[-1]}-{self.world.new_uuid()}"}

    def _active_of(self, project: str) -> list[Job]:
        return [job for job in self.world.active.values() if job.project_number == project]

    def _next_to_end(self) -> Job | None:
        ahead = [(job.ends_at, job.sequence, job) for job in self.world.active.values() if job.ends_at is not None]
        return min(ahead, key=lambda one: one[:2])[2] if ahead else None

    def _end(self, job: Job, instant: datetime) -> None:
        tuned_model = None
        if job.outcome in (Outcome.SUCCEED, Outcome.FAIL_WITH_MODEL):
            base = self.base_models.get(job.base_model, BaseModel(adapters=frozenset()))
            tuned_model = publish(self.world, job, base, instant)
        error = job.error
        if error is None and job.outcome in ERRORS:
            code, message = ERRORS[job.outcome]
            error = {"code": code, "message": message}
        self.world.put(replace(job, end_state=_END_STATES[job.outcome], error=error, tuned_model=tuned_model))
        self._give_slots(job.project_number, instant)

    def _give_slots(self, project: str, instant: datetime) -> None:
        active = self._active_of(project)
        waiting = [job for job in active if job.slot_at is None and job.cancel_at is None]
        held = sum(1 for job in active if job.slot_at is not None)
        free = max(0, self.world.settings.concurrent_jobs - held)
        for job in waiting[:free]:
            running_at = instant + timedelta(seconds=PENDING_S)
            ends_at = running_at + timedelta(seconds=job.run_s)
            self.world.put(replace(job, slot_at=instant, running_at=running_at, ends_at=ends_at))

    def _duration_s(self, base_model: str, spec: Resource) -> int:
        examples = dataset_of(training_uri_of(spec)).example_count
        known = self.base_models.get(base_model, BaseModel(adapters=frozenset()))
        run_s = _PREPARE_S + examples * epoch_count_of(spec) * known.seconds_per_example
        return min(max(round(run_s), _RUN_MIN_S), _RUN_MAX_S)
