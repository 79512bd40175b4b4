"""How each tuned model stands: manifest, state and live job joined into one line per address. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reconciler.model.desired import Desired, DesiredModel
from reconciler.model.job import JobState, LiveJob
from reconciler.model.observation import Observation
from reconciler.state.queue import queue_places
from reconciler.state.records import Record, State
from reconciler.state.unseen import is_fresh


class Phase(StrEnum):
    """Where a tuned model stands, in one word."""

    NOT_STARTED = "not started"
    QUEUED = "queued"
    SUBMITTING = "submitting"
    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    GONE = "gone"
    UNKNOWN = "unknown"


PHASES: Mapping[str, Phase] = {
    JobState.QUEUED: Phase.PENDING,
    JobState.PENDING: Phase.PENDING,
    JobState.RUNNING: Phase.RUNNING,
    JobState.SUCCEEDED: Phase.SUCCEEDED,
    JobState.PARTIALLY_SUCCEEDED: Phase.SUCCEEDED,
    JobState.FAILED: Phase.FAILED,
    JobState.EXPIRED: Phase.FAILED,
    JobState.CANCELLING: Phase.CANCELLING,
    JobState.CANCELLED: Phase.CANCELLED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """One tuned model. `job` is None while none was submitted; `place` is its place in the queue, from 1.

    `changed` says that the manifest asks for something else than what `job` is.
    """

    address: str
    phase: Phase
    is_desired: bool
    base_model: str | None = None
    location: str | None = None
    job: LiveJob | None = None
    job_name: str | None = None
    place: int | None = None
    why: str = ""
    changed: bool = False
    enqueued_at: datetime | None = None


def statuses(
    desired: Desired, state: State, observation: Observation, reasons: Mapping[str, str] | None = None
) -> tuple[ModelStatus, ...]:
    """One status for every address that is desired, recorded, being submitted or queued, sorted by address.

    `reasons` says why a ticket still waits, by address.
    """
    jobs = observation.by_name()
    wanted = desired.by_address()
    # What is being submitted keeps its ticket until the answer is there, but waits no more.
    places = queue_places(ticket for ticket in state.queue.values() if ticket.address not in state.intents)
    addresses = wanted.keys() | state.records.keys() | state.intents.keys() | state.queue.keys()
    return tuple(
        _status(
            address,
            wanted.get(address),
            state,
            observation,
            jobs,
            why=(reasons or {}).get(address, ""),
            place=places.get(address),
        )
        for address in sorted(addresses)
    )


def _status(
    address: str,
    model: DesiredModel | None,
    state: State,
    observation: Observation,
    jobs: Mapping[str, LiveJob],
    *,
    why: str,
    place: int | None,
) -> ModelStatus:
    record = state.records.get(address) or (state.retired.get(address) if model is not None else None)
    ticket = state.queue.get(address)
    job = None if record is None else jobs.get(record.current.job)
    base = None if model is None else model.base_model
    location = model.location if model is not None else None if record is None else record.current.location
    return ModelStatus(
        address=address,
        phase=_phase(address, state, record, job, observation),
        is_desired=model is not None,
        base_model=base or (None if job is None else str(job.fields.get("baseModel", "")) or None),
        location=location,
        job=job,
        job_name=None if record is None else record.current.job,
        place=place,
        why=why,
        changed=model is not None and record is not None and record.current.fingerprint != model.fingerprint,
        enqueued_at=None if ticket is None else ticket.enqueued_at,
    )


def _phase(address: str, state: State, record: Record | None, job: LiveJob | None, observation: Observation) -> Phase:
    if address in state.intents:
        return Phase.SUBMITTING
    if address in state.queue and (job is None or not job.is_active):
        return Phase.QUEUED
    if record is None:
        return Phase.NOT_STARTED
    if job is not None:
        return PHASES.get(job.state, Phase.UNKNOWN)
    if is_fresh(record.current, observation):
        return Phase.PENDING
    return Phase.GONE if record.current.location in observation.read else Phase.UNKNOWN
