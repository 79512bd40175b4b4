"""Real values for tests, each sound as it is and changed by keyword; plain functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.errors import Source
from reconciler.model.desired import Desired, DesiredModel, Lifecycle, Priority, QuotaSettings, Stack
from reconciler.model.fields import PARENT_FINGERPRINT, Value, fingerprint
from reconciler.model.job import JobState, LiveJob
from reconciler.model.labels import ownership_labels
from reconciler.model.observation import Observation
from reconciler.plan import Action, Change, Reason
from reconciler.state.records import Attempt, Intent, Origin, Record, State, Ticket

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
PROJECT = "demo-project"
LOCATION = "us-central1"
LINEAGE = "1b4e28ba-2fa1-4d3e-883f-0016d3cca427"
STACK = "support"
SOURCE = Source("manifests/models.yaml", 1, 1)


def minutes(count: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=count)


def job_name(number: int | str, location: str = LOCATION) -> str:
    """The resource name of a tuning job."""
    return f"projects/{PROJECT}/locations/{location}/tuningJobs/{number}"


def a_stack(**changes: Any) -> Stack:
    """A stack whose quota is one job at a time."""
    stack = Stack(
        name=STACK,
        project=PROJECT,
        location=LOCATION,
        state="state/support.json",
        source=SOURCE,
        quota=QuotaSettings(concurrent_jobs=1),
    )
    return replace(stack, **changes)


def a_model(
    address: str = "alpha",
    *,
    fields: Mapping[str, Value] | None = None,
    parent: DesiredModel | None = None,
    priority: Priority = Priority.NORMAL,
    lifecycle: Lifecycle | None = None,
) -> DesiredModel:
    """A declared model with a dataset of its own; with a parent it is tuned on from that, in place of a base model."""
    given: dict[str, Value] = {
        "baseModel": "gemini-2.5-flash",
        "location": LOCATION,
        "method": "supervised",
        "trainingDatasetUri": f"gs://data/{address}.jsonl",
        "hyperParameters.epochCount": 2,
    }
    if parent is not None:
        del given["baseModel"]
        given |= {"preTunedModel.address": parent.address, PARENT_FINGERPRINT: parent.fingerprint}
    given |= fields or {}
    return DesiredModel(
        address=address,
        fields=given,
        fingerprint=fingerprint(given),
        source=SOURCE,
        priority=priority,
        lifecycle=lifecycle or Lifecycle(),
        parent=None if parent is None else parent.address,
    )


def desired_of(*models: DesiredModel, stack: Stack | None = None) -> Desired:
    """A whole stack of these models."""
    ordered = tuple(sorted(models, key=lambda one: one.address))
    return Desired(stack=stack or a_stack(), models=ordered, digests={"manifests/models.yaml": "0" * 64})


def a_job(
    number: int | str = 1,
    *,
    model: DesiredModel | None = None,
    nonce: str | None = "n1",
    owner: str = LINEAGE,
    attempt: int = 1,
    **changes: Any,
) -> LiveJob:
    """A running job; with a model it bears our labels for it, without one it is somebody else's."""
    location = changes.pop("location", LOCATION if model is None else model.location)
    labels = {"team": "somebody-else"}
    if model is not None:
        labels = ownership_labels(
            owner=owner,
            stack=STACK,
            address=model.address,
            fingerprint=model.fingerprint,
            attempt=attempt,
            nonce=nonce or "",
        )
    job = LiveJob(
        name=job_name(number, location),
        location=location,
        state=JobState.RUNNING,
        created_at=AT,
        fields={} if model is None else model.fields,
        labels=labels,
    )
    return replace(job, **changes)


def an_attempt(job: LiveJob, model: DesiredModel, **changes: Any) -> Attempt:
    """The note that this job was made for the model, an hour ago."""
    attempt = Attempt(
        number=job.attempt,
        fingerprint=model.fingerprint,
        job=job.name,
        location=job.location,
        origin=Origin.CREATED,
        recorded_at=AT - timedelta(hours=1),
        fields=model.fields,
        nonce=job.nonce,
    )
    return replace(attempt, **changes)


def a_record(model: DesiredModel, *jobs: LiveJob, **changes: Any) -> Record:
    """The record of a model with one attempt for each job; `changes` are of the last attempt."""
    attempts = [an_attempt(job, model) for job in jobs]
    return Record(
        address=model.address,
        attempts=(*attempts[:-1], replace(attempts[-1], **changes)),
        lifecycle=model.lifecycle,
        source=model.source,
    )


def a_ticket(model: DesiredModel, **changes: Any) -> Ticket:
    """An approved create of the model, enqueued now."""
    ticket = Ticket(
        address=model.address,
        fingerprint=model.fingerprint,
        attempt=1,
        reason=Reason.NEW.value,
        priority=model.priority,
        location=model.location,
        enqueued_at=AT,
        parent=model.parent,
    )
    return replace(ticket, **changes)


def an_intent(model: DesiredModel, **changes: Any) -> Intent:
    """The note that a create for the model's ticket is about to be sent."""
    ticket = a_ticket(model)
    intent = Intent(
        address=model.address,
        fingerprint=model.fingerprint,
        attempt=1,
        nonce=ticket.nonce,
        location=model.location,
        written_at=AT,
        fields=model.fields,
    )
    return replace(intent, **changes)


def a_state(*notes: Record | Ticket | Intent, **changes: Any) -> State:
    """A state that has applied before and holds these records, tickets and intents."""
    state = State(
        lineage=LINEAGE,
        stack=STACK,
        project=PROJECT,
        endpoint="simulator",
        applied=True,
        records={one.address: one for one in notes if isinstance(one, Record)},
        queue={one.address: one for one in notes if isinstance(one, Ticket)},
        intents={one.address: one for one in notes if isinstance(one, Intent)},
    )
    return replace(state, **changes)


def an_observation(*jobs: LiveJob, unread: Iterable[str] = (), **changes: Any) -> Observation:
    """A look now that saw these jobs; every location but the unread ones was read."""
    missing = tuple(unread)
    read = {LOCATION, *(job.location for job in jobs)} - set(missing)
    seen = Observation(at=AT, jobs=jobs, read=frozenset(read), unread=dict.fromkeys(missing, "503"))
    return replace(seen, **changes)


def a_change(model: DesiredModel, action: Action, reason: Reason, **changes: Any) -> Change:
    """An agreed change of the model's address."""
    change = Change(
        address=model.address,
        action=action,
        reason=reason,
        row=0,
        why="",
        fingerprint=model.fingerprint,
        attempt=1 if action in (Action.CREATE, Action.REPLACE) else None,
    )
    return replace(change, **changes)
