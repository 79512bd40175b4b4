"""Real values for tests, each complete in itself; a test names only what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from reconciler.errors import Source
from reconciler.model.desired import Desired, DesiredModel, Lifecycle, Priority, QuotaSettings, Stack
from reconciler.model.fields import PARENT_FINGERPRINT, Fields, Value, fingerprint
from reconciler.model.job import JobError, JobState, LiveJob
from reconciler.model.labels import ownership_labels
from reconciler.model.observation import Observation
from reconciler.plan import Plan
from reconciler.planner.make import make_plan
from reconciler.state.records import Attempt, Because, Intent, Origin, Record, State, Ticket
from reconciler.state.unseen import SETTLE_TIME

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LINEAGE = "0b5c7d1e-2f3a-4b5c-8d6e-7f8091a2b3c4"
STACK = "support"
LOCATION = "us-central1"
ADDRESS = "support-classifier"
LONG_AGO = AT - timedelta(days=2)
# What the service fills in for gemini-3.5-flash where a manifest says nothing.
DEFAULTS: Fields = {"hyperParameters.adapterSize": 4, "hyperParameters.learningRateMultiplier": 1}


def a_model(
    address: str = ADDRESS,
    fields: Mapping[str, Value] | None = None,
    *,
    priority: Priority = Priority.NORMAL,
    lifecycle: Lifecycle | None = None,
    parent: DesiredModel | None = None,
) -> DesiredModel:
    """A desired model; `fields` stand over the usual ones, and a None takes one away."""
    usual: dict[str, Value] = {
        "location": LOCATION,
        "method": "supervised",
        "baseModel": "gemini-3.5-flash",
        "trainingDatasetUri": "gs://data/train.jsonl",
        "hyperParameters.epochCount": 4,
    }
    if parent is not None:
        del usual["baseModel"]
        usual |= {"preTunedModel.address": parent.address, PARENT_FINGERPRINT: parent.fingerprint}
    merged = {path: value for path, value in {**usual, **(fields or {})}.items() if value is not None}
    return DesiredModel(
        address=address,
        fields=merged,
        fingerprint=fingerprint(merged),
        source=Source("manifests/models.yaml", 3, 1),
        priority=priority,
        lifecycle=lifecycle or Lifecycle(),
        parent=None if parent is None else parent.address,
    )


def a_desired(
    *models: DesiredModel,
    stack: str = STACK,
    quota: QuotaSettings | None = None,
    digests: Mapping[str, str] | None = None,
) -> Desired:
    """A stack that wants these models."""
    return Desired(
        stack=Stack(
            name=stack,
            project="demo-project",
            location=LOCATION,
            state="state/support.json",
            source=Source("manifests/stack.yaml", 1, 1),
            quota=quota or QuotaSettings(concurrent_jobs=2),
        ),
        models=tuple(sorted(models, key=lambda one: one.address)),
        digests=digests or {"manifests/models.yaml": "0" * 64},
    )


def a_job(
    model: DesiredModel,
    number: int = 1,
    state: str = JobState.RUNNING,
    *,
    owner: str = LINEAGE,
    stack: str = STACK,
    attempt: int = 1,
    nonce: str | None = None,
    fields: Fields | None = None,
    error: JobError | None = None,
    created_at: datetime | None = None,
) -> LiveJob:
    """The live job of a model, as its create made it; a higher number was created later.

    `fields` stand over what the service returns. A job that succeeded has made the model of its number.
    """
    hidden = {"preTunedModel.address", PARENT_FINGERPRINT}
    returned = {path: value for path, value in model.fields.items() if path not in hidden}
    has_model = state in (JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED)
    return LiveJob(
        name=a_job_name(number, model.location),
        location=model.location,
        state=state,
        created_at=created_at or LONG_AGO + timedelta(minutes=number),
        fields={**DEFAULTS, **returned, **(fields or {})},
        labels=ownership_labels(
            owner=owner,
            stack=stack,
            address=model.address,
            fingerprint=model.fingerprint,
            attempt=attempt,
            nonce=nonce or f"t{number}",
        ),
        error=error,
        model=a_model_name(number) if has_model else None,
    )


def a_job_name(number: int, location: str = LOCATION) -> str:
    """The resource name of a job."""
    return f"projects/demo-project/locations/{location}/tuningJobs/{number}"


def a_model_name(number: int) -> str:
    """The resource name of the model that the job of this number made."""
    return f"projects/1/locations/us/models/{number}"


def an_attempt(
    model: DesiredModel,
    number: int = 1,
    *,
    attempt: int = 1,
    because: Because | None = None,
    origin: Origin = Origin.CREATED,
    recorded_at: datetime = LONG_AGO,
    submissions: int = 1,
) -> Attempt:
    """The attempt that says: the job of this number was made for this model."""
    return Attempt(
        number=attempt,
        fingerprint=model.fingerprint,
        job=a_job_name(number, model.location),
        location=model.location,
        origin=origin,
        recorded_at=recorded_at,
        fields=model.fields,
        nonce=f"t{number}",
        because=because,
        submissions=submissions,
    )


def a_record(
    model: DesiredModel,
    *attempts: Attempt,
    address: str | None = None,
    because: Because | None = None,
    origin: Origin = Origin.CREATED,
    lifecycle: Lifecycle | None = None,
) -> Record:
    """The record of a model, by default of one attempt whose job has the number 1."""
    return Record(
        address=address or model.address,
        attempts=attempts or (an_attempt(model, because=because, origin=origin),),
        lifecycle=lifecycle or model.lifecycle,
        source=model.source,
    )


def an_intent(
    model: DesiredModel, nonce: str = "t1", *, attempt: int = 1, age: timedelta = timedelta(0), submissions: int = 1
) -> Intent:
    """An open intent, written `age` before AT."""
    return Intent(
        address=model.address,
        fingerprint=model.fingerprint,
        attempt=attempt,
        nonce=nonce,
        location=model.location,
        written_at=AT - age,
        fields=model.fields,
        submissions=submissions,
    )


def a_ticket(
    model: DesiredModel, *, attempt: int = 1, enqueued_at: datetime = LONG_AGO, after: str | None = None
) -> Ticket:
    """An approved create that waits."""
    return Ticket(
        address=model.address,
        fingerprint=model.fingerprint,
        attempt=attempt,
        reason="new",
        priority=model.priority,
        location=model.location,
        enqueued_at=enqueued_at,
        after=after,
        parent=model.parent,
    )


def a_state(
    *records: Record,
    retired: Iterable[Record] = (),
    intents: Iterable[Intent] = (),
    queue: Iterable[Ticket] = (),
    applied: bool = True,
) -> State:
    """A state that remembers these."""
    return State(
        lineage=LINEAGE,
        stack=STACK,
        project="demo-project",
        endpoint="vertex-ai",
        serial=7,
        applied=applied,
        records={one.address: one for one in records},
        retired={one.address: one for one in retired},
        intents={one.address: one for one in intents},
        queue={one.address: one for one in queue},
    )


def an_observation(
    *jobs: LiveJob,
    at: datetime = AT,
    unread: Mapping[str, str] | None = None,
    models: Iterable[str] | None = None,
) -> Observation:
    """A look at three locations that saw these jobs. `models` None means that nobody looked for models."""
    missed = unread or {}
    return Observation(
        at=at,
        jobs=jobs,
        read=frozenset({LOCATION, "europe-west4", "us"} - missed.keys()),
        unread=missed,
        models=None if models is None else frozenset(models),
    )


def a_plan(desired: Desired | Iterable[DesiredModel], state: State, observation: Observation) -> Plan:
    """The plan for these models, this state and this look, made at AT."""
    wanted = desired if isinstance(desired, Desired) else a_desired(*desired)
    return make_plan(wanted, state, observation, now=AT, defaults=lambda model: DEFAULTS)


# Older than the time for which a job is believed to exist although no list shows it.
SETTLED = SETTLE_TIME
