"""Live: a tuning job as Vertex AI tells it, whichever job family it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reconciler.model import labels as label
from reconciler.model.fields import Fields


class JobState(StrEnum):
    """The API's job states. A state not listed here is kept as the string it came as, and counts as active."""

    QUEUED = "JOB_STATE_QUEUED"
    PENDING = "JOB_STATE_PENDING"
    RUNNING = "JOB_STATE_RUNNING"
    SUCCEEDED = "JOB_STATE_SUCCEEDED"
    FAILED = "JOB_STATE_FAILED"
    CANCELLING = "JOB_STATE_CANCELLING"
    CANCELLED = "JOB_STATE_CANCELLED"
    PAUSED = "JOB_STATE_PAUSED"
    EXPIRED = "JOB_STATE_EXPIRED"
    UPDATING = "JOB_STATE_UPDATING"
    PARTIALLY_SUCCEEDED = "JOB_STATE_PARTIALLY_SUCCEEDED"


SUCCEEDED_STATES = frozenset({JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED})
FAILED_STATES = frozenset({JobState.FAILED, JobState.EXPIRED})
ENDED_STATES = SUCCEEDED_STATES | FAILED_STATES | {JobState.CANCELLED}


class JobFamily(StrEnum):
    """The collection a job lives in."""

    TUNING = "tuningJobs"
    PIPELINE = "pipelineJobs"


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, in Google's words; `code` is a google.rpc.Code number."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An intermediate model. `endpoint` is None where only the last checkpoint was deployed."""

    checkpoint_id: str
    epoch: int | None
    step: int | None
    endpoint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJob:
    """One live tuning job. Times are aware UTC and None until the service has set them.

    `fields` are what the job runs with, server defaults included, in the words of a manifest.
    """

    name: str
    location: str
    state: str
    created_at: datetime
    fields: Fields
    family: JobFamily = JobFamily.TUNING
    labels: Mapping[str, str] = field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime | None = None
    error: JobError | None = None
    experiment: str | None = None
    model: str | None = None
    endpoint: str | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    billable_token_count: int | None = None
    completed_epoch_count: int | None = None
    # What v1beta1 says about a job that is PENDING or RUNNING, e.g. TUNING_JOB_STATE_WAITING_FOR_QUOTA.
    phase: str | None = None

    @property
    def is_active(self) -> bool:
        """Whether the job uses quota; a state we do not know does."""
        return self.state not in ENDED_STATES

    @property
    def is_cancelling(self) -> bool:
        """Whether somebody asked for a cancel that has not ended yet."""
        return self.state == JobState.CANCELLING

    @property
    def has_succeeded(self) -> bool:
        """Whether it made a model, wholly or in part."""
        return self.state in SUCCEEDED_STATES

    @property
    def has_failed(self) -> bool:
        """Whether it ended by itself without success."""
        return self.state in FAILED_STATES

    @property
    def owner(self) -> str | None:
        """The lineage of the state that made it; None for a foreign job."""
        return self.labels.get(label.OWNER)

    @property
    def stack(self) -> str | None:
        """The stack that made it; None for a foreign job."""
        return self.labels.get(label.STACK)

    @property
    def address_label(self) -> str | None:
        """The label that stands for its address; None for a foreign job."""
        return self.labels.get(label.NAME)

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint it was made with; None for a foreign job."""
        return self.labels.get(label.SPEC)

    @property
    def nonce(self) -> str | None:
        """The mark of the one submission that made it; None for a foreign job."""
        return self.labels.get(label.NONCE)

    @property
    def attempt(self) -> int:
        """Which attempt at its fingerprint it is, from 1; 1 where the label is missing or not a number."""
        text = self.labels.get(label.ATTEMPT, "1")
        return int(text) if text.isdecimal() else 1


def location_of(name: str) -> str:
    """The location in a resource name; hosts are derived from it, never from the job that made the resource.

    Source: Gemini 3 jobs in us-central1 make models and endpoints in `us`; asking us-central1 for them answers 404.
    """
    parts = name.split("/")
    if "locations" not in parts:
        raise ValueError(f"no location in resource name {name!r}")
    return parts[parts.index("locations") + 1]
