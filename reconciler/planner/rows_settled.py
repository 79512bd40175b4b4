"""Rows 22 to 29: desired and live agree on the spec; what the job came to decides."""

from __future__ import annotations

import shlex

from reconciler.model.job import JobState
from reconciler.plan import Action, Reason
from reconciler.planner.facts import Facts
from reconciler.planner.verdict import Verdict, error, leave, warning
from reconciler.state.records import Because

# google.rpc.Code numbers after which the same request may succeed: UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED,
# ABORTED, INTERNAL, UNAVAILABLE. What is wrong with the dataset or with rights stays wrong.
# Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
RETRYABLE_CODES = frozenset({2, 4, 8, 10, 13, 14})


def in_progress(facts: Facts) -> Verdict | None:
    """Row 22."""
    if facts.live is None or not facts.live.is_active:
        return None
    state = facts.live.state.removeprefix("JOB_STATE_").lower()
    return leave(Reason.IN_PROGRESS, f"its job is {state}", facts.live)


def model_gone(facts: Facts) -> Verdict | None:
    """Row 23."""
    if not facts.has_succeeded or facts.model_exists is not False:
        return None
    return Verdict(
        action=Action.LEAVE,
        reason=Reason.MODEL_GONE,
        why="its model was deleted outside tuneform",
        job=facts.live_name,
        diagnostics=(
            warning(
                facts,
                "model-gone",
                "A tuned model is gone",
                f"The job of {facts.address} succeeded, but its model no longer exists. Nothing is tuned again unless "
                "you ask for it:",
                command=f"tuneform retry {shlex.quote(facts.address)}",
            ),
        ),
    )


def dataset_retrain(facts: Facts) -> Verdict | None:
    """Row 24."""
    if facts.desired is None or not facts.has_succeeded or not facts.dataset_changed:
        return None
    if facts.desired.lifecycle.on_dataset_change != "retrain":
        return None
    return Verdict(
        action=Action.CREATE,
        reason=Reason.DATASET_CHANGED,
        why="the dataset holds other bytes than it was tuned on, `onDatasetChange: retrain`",
        job=facts.live_name,
    )


def metadata_changed(facts: Facts) -> Verdict | None:
    """Row 25."""
    if not facts.has_succeeded or not facts.metadata_differs:
        return None
    return Verdict(
        action=Action.UPDATE,
        reason=Reason.METADATA_CHANGED,
        why="display name or labels changed; the model is kept",
        job=facts.live_name,
    )


def succeeded(facts: Facts) -> Verdict | None:
    """Row 26."""
    if not facts.has_succeeded or facts.live is None or facts.desired is None:
        return None
    if facts.dataset_changed and facts.desired.lifecycle.on_dataset_change == "warn":
        return Verdict(
            action=Action.LEAVE,
            reason=Reason.DATASET_CHANGED,
            why="tuned; its dataset holds other bytes since",
            job=facts.live.name,
            diagnostics=(
                warning(
                    facts,
                    "dataset-changed",
                    "A dataset changed since it was tuned on",
                    f"{facts.address} was tuned on other bytes than its dataset holds now. It is kept. To tune it "
                    "again, set `lifecycle.onDatasetChange: retrain`, or ask for this one:",
                    command=f"tuneform retry {shlex.quote(facts.address)}",
                ),
            ),
        )
    if facts.live.state == JobState.PARTIALLY_SUCCEEDED:
        return Verdict(
            action=Action.LEAVE,
            reason=Reason.SUCCEEDED,
            why="tuned, in part",
            job=facts.live.name,
            diagnostics=(
                warning(
                    facts,
                    "partially-succeeded",
                    "A tuning job succeeded only in part",
                    f"{facts.live.name} ended as {facts.live.state}. Its model is kept as it is.",
                ),
            ),
        )
    return leave(Reason.SUCCEEDED, "tuned", facts.live)


def cancelled(facts: Facts) -> Verdict | None:
    """Row 27."""
    if facts.live is None or facts.live.state != JobState.CANCELLED:
        return None
    if facts.record is not None and facts.record.current.because is Because.REQUESTED:
        return leave(Reason.CANCELLED, "cancelled by `tuneform cancel`", facts.live)
    return Verdict(
        action=Action.LEAVE,
        reason=Reason.CANCELLED_ELSEWHERE,
        why="cancelled by somebody else",
        job=facts.live.name,
        diagnostics=(
            warning(
                facts,
                "cancelled-elsewhere",
                "A job was cancelled outside tuneform",
                f"{facts.live.name} of {facts.address} was cancelled by somebody else. It is left so; to tune it "
                "again, run:",
                command=f"tuneform retry {shlex.quote(facts.address)}",
            ),
        ),
    )


def retry(facts: Facts) -> Verdict | None:
    """Row 28."""
    if facts.live is None or facts.desired is None or not facts.live.has_failed:
        return None
    if facts.attempts_made > facts.desired.lifecycle.retries or not is_retryable(facts):
        return None
    if facts.record is not None and facts.record.current.because is Because.REQUESTED:
        # Somebody asked to end it; that it failed before the cancel came is no wish for another one.
        return None
    return Verdict(
        action=Action.CREATE,
        reason=Reason.RETRY,
        why=f"failed; attempt {facts.attempts_made + 1} of {facts.desired.lifecycle.retries + 1}",
        job=facts.live.name,
    )


def is_retryable(facts: Facts) -> bool:
    """Whether the same job may succeed when it is tried again; an expired job may."""
    if facts.live is None:
        return False
    return facts.live.error is None or facts.live.error.code in RETRYABLE_CODES


def failed(facts: Facts) -> Verdict | None:
    """Row 29."""
    if facts.live is None or not facts.live.has_failed:
        return None
    said = facts.live.error.message if facts.live.error is not None else f"it ended as {facts.live.state}"
    return Verdict(
        action=Action.LEAVE,
        reason=Reason.FAILED,
        why="its job failed",
        job=facts.live.name,
        diagnostics=(
            error(
                facts,
                "job-failed",
                "A tuning job failed",
                f"{facts.live.name} of {facts.address} failed. Google says: {said}\n"
                "It stays failed until you ask for another attempt:",
                command=f"tuneform retry {shlex.quote(facts.address)}",
            ),
        ),
    )
