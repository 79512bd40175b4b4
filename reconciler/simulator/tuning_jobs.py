"""The collection `tuningJobs`: create, get, list and cancel, in v1 and v1beta1. There is no update and no delete."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from reconciler.model.job import ENDED_STATES, JobState
from reconciler.simulator.acceptance import accept
from reconciler.simulator.answers import PARENT, Call, Resource, Route, not_found
from reconciler.simulator.base_models import SUPERVISED
from reconciler.simulator.datasets import dataset_of
from reconciler.simulator.engine import Engine
from reconciler.simulator.listing import page, parameters, parent_of, parse_filter
from reconciler.simulator.outcomes import Outcome
from reconciler.simulator.schema import parse_message, visible
from reconciler.simulator.tuning import epoch_count_of, method_of, step_count_of, training_uri_of
from reconciler.simulator.tuning_schema import TUNING_JOB
from reconciler.simulator.world import Job, rfc3339

# How a running job's time is spent, in seconds; what is left between the two is tuning.
_PROCESSING_DATASET_S = 120
_POST_PROCESSING_S = 120
_JOB = PARENT + r"/tuningJobs/(?P<job>[^/:]+)"


def routes() -> tuple[Route, ...]:
    """The methods of this collection."""
    return (
        Route(method="POST", pattern=PARENT + "/tuningJobs", answer=_create, creates=True),
        Route(method="GET", pattern=PARENT + "/tuningJobs", answer=_list, lists=True),
        Route(method="GET", pattern=_JOB, answer=_get),
        Route(method="POST", pattern=_JOB + ":cancel", answer=_cancel),
    )


def job_view(job: Job, now: datetime, *, is_beta: bool) -> Resource:
    """The job as the API shows it; v1 does not know the fields of v1beta1."""
    state = job.state_at(now)
    view: Resource = {"name": job.name, **visible(TUNING_JOB, job.spec, is_beta=is_beta), "state": state.value}
    view |= {"createTime": rfc3339(job.created_at), "updateTime": rfc3339(job.updated_at(now))}
    if job.running_at is not None and job.running_at <= now:
        view["startTime"] = rfc3339(job.running_at)
    if state in ENDED_STATES and job.ends_at is not None:
        view["endTime"] = rfc3339(job.ends_at)
    view["experiment"] = _experiment(job)
    if job.error is not None and state in ENDED_STATES:
        view["error"] = job.error
    if job.tuned_model is not None:
        view["tunedModel"] = job.tuned_model
    if _is_dataset_processed(job, now):
        view["tuningDataStats"] = _data_stats(job)
    if is_beta:
        view |= _progress(job, state, now)
    return view


def _create(engine: Engine, call: Call) -> Resource:
    parameters(call, ())
    spec = parse_message(TUNING_JOB, call.payload(), "tuning_job", is_beta=call.is_beta)
    accepted = accept(engine, call.parts["location"], spec)
    job = engine.create_job(parent_of(call), accepted.base_model, accepted.spec)
    engine.world.record("create", job)
    return job_view(job, engine.now, is_beta=call.is_beta)


def _list(engine: Engine, call: Call) -> Resource:
    asked = parameters(call, {"filter", "pageSize", "pageToken"})
    terms = parse_filter(asked.get("filter", ""), {"state"})

    def filtered(job: Job) -> Resource:
        return {"state": job.state_at(engine.now).value, "labels": job.spec.get("labels", {})}

    return page(
        call,
        engine.world.settings,
        (job for job in _listed(engine, parent_of(call)) if all(term.fits(filtered(job)) for term in terms)),
        collection="tuningJobs",
        key=lambda job: (f"{job.sequence:012d}",),
        view=lambda job: job_view(job, engine.now, is_beta=call.is_beta),
    )


def _listed(engine: Engine, parent: str) -> Iterator[Job]:
    """The jobs of a location that a list shows by now, newest first: with a list lag, the newest are not there yet."""
    until = engine.now - timedelta(seconds=engine.world.faults.list_lag_s)
    prefix = f"{parent}/"
    newest_first = reversed(engine.world.jobs.values())
    return (job for job in newest_first if job.name.startswith(prefix) and job.created_at <= until)


def _get(engine: Engine, call: Call) -> Resource:
    parameters(call, ())
    return job_view(_named(engine, call), engine.now, is_beta=call.is_beta)


def _cancel(engine: Engine, call: Call) -> Resource:
    parameters(call, ())
    parse_message({}, call.payload(), "", is_beta=call.is_beta)
    job = _named(engine, call)
    if engine.cancel_job(job):
        engine.world.record("cancel", job)
    return {}


def _named(engine: Engine, call: Call) -> Job:
    """Source: recorded answers of sibling jobs say "The <type> does not exist."."""
    job = engine.world.jobs.get(f"{parent_of(call)}/tuningJobs/{call.parts['job']}")
    if job is None:
        raise not_found("The TuningJob does not exist.")
    return job


def _experiment(job: Job) -> str:
    stamp = job.created_at.strftime("%Y%m%d%H%M%S%f")
    parent = f"projects/{job.project_number}/locations/{job.location}"
    return f"{parent}/metadataStores/default/contexts/tuning-experiment-{stamp}"


def _is_dataset_processed(job: Job, now: datetime) -> bool:
    if job.running_at is None or job.outcome is Outcome.FAIL_DATASET:
        return False
    until = now if job.end_state is None or job.ends_at is None else job.ends_at
    return job.end_state is JobState.SUCCEEDED or until >= job.running_at + timedelta(seconds=_PROCESSING_DATASET_S)


def _data_stats(job: Job) -> Resource:
    dataset = dataset_of(training_uri_of(job.spec))
    stats = {
        "tuningDatasetExampleCount": str(dataset.example_count),
        "totalBillableTokenCount": str(dataset.token_count),
        "tuningStepCount": str(step_count_of(job.spec, epoch_count_of(job.spec))),
    }
    if method_of(job.spec) != SUPERVISED:
        return {"preferenceOptimizationDataStats": stats}
    return {"supervisedTuningDataStats": stats | {"totalTuningCharacterCount": str(dataset.character_count)}}


def _progress(job: Job, state: JobState, now: datetime) -> Resource:
    """`tuningJobState` of a job that has not ended, and how far its tuning has come."""
    progress: Resource = {}
    phase = _phase(job, state, now)
    if phase is not None:
        progress["tuningJobState"] = f"TUNING_JOB_STATE_{phase}"
    share = _share_done(job, now)
    if share > 0:
        epochs = int(epoch_count_of(job.spec) * share)
        steps = int(step_count_of(job.spec, epoch_count_of(job.spec)) * share)
        counts = {"completedEpochCount": str(epochs), "completedStepCount": str(steps)}
        progress["tuningJobMetadata"] = {name: count for name, count in counts.items() if count != "0"}
    return progress


def _phase(job: Job, state: JobState, now: datetime) -> str | None:
    if state in (JobState.PENDING, JobState.QUEUED) and job.slot_at is None:
        return "WAITING_FOR_QUOTA"
    if state is not JobState.RUNNING or job.running_at is None:
        return None
    ran_s = (now - job.running_at).total_seconds()
    if ran_s < _PROCESSING_DATASET_S:
        return "PROCESSING_DATASET"
    return "TUNING" if ran_s < job.run_s - _POST_PROCESSING_S else "POST_PROCESSING"


def _share_done(job: Job, now: datetime) -> float:
    """The share of its tuning that is done, 0 to 1; the last of its time goes into post-processing."""
    if job.end_state is JobState.SUCCEEDED:
        return 1.0
    if job.running_at is None:
        return 0.0
    until = now if job.end_state is None or job.ends_at is None else job.ends_at
    tuned_s = (until - job.running_at).total_seconds() - _PROCESSING_DATASET_S
    tuning_s = job.run_s - _PROCESSING_DATASET_S - _POST_PROCESSING_S
    return min(max(tuned_s / tuning_s, 0.0), 1.0) if tuning_s > 0 else 0.0
