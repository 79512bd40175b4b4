"""Status as a JSON document for scripts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from reconciler.model.desired import Stack
from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.state.records import State
from reconciler.status import ModelStatus

STATUS_FORMAT_VERSION = "1.0"


def encode_status(stack: Stack, state: State, observation: Observation, found: Sequence[ModelStatus]) -> dict[str, Any]:
    """One entry per model; times are ISO 8601 in UTC, null where the service has not set them."""
    return {
        "format_version": STATUS_FORMAT_VERSION,
        "timestamp": observation.at.isoformat(),
        "stack": stack.name,
        "project": stack.project,
        "endpoint": state.endpoint,
        "state": {"lineage": state.lineage, "serial": state.serial},
        "complete": observation.is_complete,
        "unread_locations": sorted(observation.unread),
        "models": [_encode_model(one) for one in found],
    }


def _encode_model(one: ModelStatus) -> dict[str, Any]:
    return {
        "address": one.address,
        "phase": one.phase.value.replace(" ", "_"),
        "desired": one.is_desired,
        "changed": one.changed,
        "base_model": one.base_model,
        "location": one.location,
        "place": one.place,
        "enqueued_at": _iso(one.enqueued_at),
        "job": one.job_name,
        **_encode_job(one.job),
    }


def _encode_job(job: LiveJob | None) -> dict[str, Any]:
    if job is None:
        return {"job_state": None, "model": None, "endpoint": None, "experiment": None, "error": None}
    return {
        "job_state": job.state,
        "model": job.model,
        "endpoint": job.endpoint,
        "experiment": job.experiment,
        "checkpoints": [
            {"checkpoint_id": one.checkpoint_id, "epoch": one.epoch, "step": one.step, "endpoint": one.endpoint}
            for one in job.checkpoints
        ],
        "error": None if job.error is None else {"code": job.error.code, "message": job.error.message},
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "ended_at": _iso(job.ended_at),
        "billable_token_count": job.billable_token_count,
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
