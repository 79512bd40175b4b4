"""What past jobs teach about how long a job will take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.durations import Durations, learn
from reconciler.model.fields import Value
from reconciler.model.job import JobState, LiveJob
from tests.builders import AT, a_job

FLASH = "gemini-2.5-flash"
HOUR_S = 3600.0


def a_past_job(
    hours: float = 1.0, *, tokens: int | None = 1_000_000, epochs: int | None = 2, **changes: Any
) -> LiveJob:
    """A job that took so many hours for so many tokens over so many epochs; `changes` are of its other fields."""
    fields: dict[str, Value] = {
        "baseModel": FLASH,
        "trainingDatasetUri": "gs://data/known.jsonl",
        "hyperParameters.epochCount": epochs,
    }
    return a_job(
        state=JobState.SUCCEEDED,
        fields={path: value for path, value in (fields | changes).items() if value is not None},
        started_at=AT,
        ended_at=AT + timedelta(hours=hours),
        billable_token_count=tokens,
    )


def asked(uri: str = "gs://data/known.jsonl", epochs: int | None = 2) -> Mapping[str, Value]:
    """The fields of a job that is to come."""
    fields: dict[str, Value] = {"trainingDatasetUri": uri}
    return fields if epochs is None else fields | {"hyperParameters.epochCount": epochs}


def three(*hours: float, **changes: Any) -> list[LiveJob]:
    """Jobs of these hours."""
    return [a_past_job(each, **changes) for each in hours]


def test_jobs_like_the_past_take_as_long() -> None:
    """The same data over the same epochs takes what it took; lengths come in order, and their median is expected."""
    lessons = learn(three(3.0, 1.0, 2.0))
    assert (HOUR_S, 2 * HOUR_S, 3 * HOUR_S) == pytest.approx(lessons.samples_s(FLASH, asked()))
    assert pytest.approx(2 * HOUR_S) == lessons.expected_s(FLASH, asked())


def test_length_grows_with_tokens_and_epochs() -> None:
    """Three times the tokens over twice the epochs take six times as long."""
    large = a_past_job(3.0, tokens=3_000_000, trainingDatasetUri="gs://data/large.jsonl")
    lessons = learn([*three(1.0, 1.0), large])
    assert pytest.approx(6 * HOUR_S) == lessons.expected_s(FLASH, asked("gs://data/large.jsonl", epochs=4))


def test_a_dataset_of_unknown_size_may_be_any_that_was_seen() -> None:
    """Data that nobody tuned on yet is measured by the epoch, so that the spread of sizes shows in the lengths."""
    large = a_past_job(10.0, tokens=10_000_000, trainingDatasetUri="gs://data/large.jsonl")
    lessons = learn([*three(1.0, 2.0), large])
    assert (HOUR_S, 2 * HOUR_S, 10 * HOUR_S) == pytest.approx(lessons.samples_s(FLASH, asked("gs://data/new.jsonl")))


def test_epochs_that_are_not_set_are_the_usual_ones() -> None:
    """Where Vertex AI chooses the epochs, the median of past jobs stands in."""
    lessons = learn(three(1.0, 1.0, 1.0))
    assert pytest.approx(HOUR_S) == lessons.expected_s(FLASH, asked(epochs=None))


@pytest.mark.parametrize("base_model", [None, "gemini-2.5-pro"])
def test_nothing_is_said_of_other_base_models(base_model: str | None) -> None:
    """A base model that nobody tuned yet, or one that is not known, has no estimate."""
    lessons = learn(three(1.0, 1.0, 1.0))
    assert lessons.samples_s(base_model, asked()) is None
    assert lessons.expected_s(base_model, asked()) is None


def test_below_three_similar_jobs_nothing_is_said() -> None:
    """Two jobs are no history; a third makes one."""
    assert learn(three(1.0, 1.0)).expected_s(FLASH, asked()) is None
    assert learn(three(1.0, 1.0, 1.0)).expected_s(FLASH, asked()) is not None


@pytest.mark.parametrize(
    "job",
    [
        replace(a_past_job(), state=JobState.FAILED),
        replace(a_past_job(), state=JobState.RUNNING, ended_at=None),
        replace(a_past_job(), started_at=None),
        replace(a_past_job(), ended_at=AT),
        a_past_job(tokens=None),
        a_past_job(tokens=0),
        a_past_job(baseModel=None),
        a_past_job(epochs=None),
        a_past_job(epochs=0),
    ],
    ids=[
        "failed",
        "running",
        "never started",
        "took no time",
        "tokens not told",
        "no tokens",
        "tuned on from a model",
        "epochs not told",
        "no epochs",
    ],
)
def test_jobs_that_teach_nothing_are_left_out(job: LiveJob) -> None:
    """A job without success, or without the figures of its work, has no lesson."""
    assert Durations() == learn([job])


def test_a_long_history_is_thinned_evenly() -> None:
    """A thousand past jobs are told by a hundred, spread as they were."""
    samples = learn([a_past_job(hours) for hours in range(1, 1001)]).samples_s(FLASH, asked())
    assert samples is not None
    assert [6, 16, 26, 996] == [round(samples[place] / HOUR_S) for place in (0, 1, 2, 99)]
    assert 100 == len(samples)


def test_jobs_without_a_dataset_are_not_each_others_data() -> None:
    """Jobs that name no dataset teach no size that another job without one could have."""
    assert {} == learn([a_past_job(trainingDatasetUri=None)]).tokens
