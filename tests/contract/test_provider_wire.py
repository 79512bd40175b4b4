"""What goes to `tuningJobs` and what comes back, in the forms Google documents and was seen to send."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.fields import Fields, effect_of
from reconciler.model.job import Checkpoint, JobError, LiveJob
from reconciler.providers.protocol import JobRequest
from reconciler.providers.wire.tuning_jobs import READ_VERSION, api_version_for, body_from_request, job_from_body

NAME = "projects/123456789012/locations/us-central1/tuningJobs/4982013113894174720"
MINIMAL = {"name": NAME, "createTime": "2026-11-20T18:30:00Z"}
SUPERVISED: Fields = {
    "baseModel": "gemini-3.5-flash",
    "location": "us-central1",
    "method": "supervised",
    "trainingDatasetUri": "gs://bucket/train.jsonl",
}
LABELS = {"team": "support", "tuneform-owner": "3f2a", "tuneform-nonce": "n0"}


def request_of(fields: Fields, **more: Any) -> JobRequest:
    """A request for these fields."""
    return JobRequest(location="us-central1", fields=fields, labels=LABELS, nonce="n0", **more)


def live(**more: Any) -> LiveJob:
    """A job of the smallest body and these members."""
    return job_from_body({**MINIMAL, **more})


def test_a_supervised_job_is_sent_whole() -> None:
    """Every field has its place: names of enums, int64 as text, our own fields left out."""
    fields: Fields = {
        **SUPERVISED,
        "validationDatasetUri": "gs://bucket/validation.jsonl",
        "hyperParameters.epochCount": 4,
        "hyperParameters.adapterSize": 4,
        "hyperParameters.learningRateMultiplier": 0.5,
        "exportLastCheckpointOnly": True,
        "evaluationConfig": {"metrics": [{"name": "bleu"}]},
        "description": "Sorts mail",
        "encryptionSpec.kmsKeyName": "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k",
        "serviceAccount": "tuner@p.iam.gserviceaccount.com",
        "tunedModelDisplayName": "Intent classifier",
        "labels.team": "support",
    }
    expected = {
        "baseModel": "gemini-3.5-flash",
        "supervisedTuningSpec": {
            "trainingDatasetUri": "gs://bucket/train.jsonl",
            "validationDatasetUri": "gs://bucket/validation.jsonl",
            "hyperParameters": {
                "epochCount": "4",
                "adapterSize": "ADAPTER_SIZE_FOUR",
                "learningRateMultiplier": 0.5,
            },
            "exportLastCheckpointOnly": True,
            "evaluationConfig": {"metrics": [{"name": "bleu"}]},
        },
        "description": "Sorts mail",
        "encryptionSpec": {"kmsKeyName": "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"},
        "serviceAccount": "tuner@p.iam.gserviceaccount.com",
        "tunedModelDisplayName": "Intent classifier",
        "labels": LABELS,
    }
    assert expected == body_from_request(request_of(fields))


def test_what_is_not_set_is_not_sent() -> None:
    """The smallest job names a model, a dataset and its labels, and leaves the rest to the service."""
    expected = {
        "baseModel": "gemini-3.5-flash",
        "supervisedTuningSpec": {"trainingDatasetUri": "gs://bucket/train.jsonl"},
        "labels": LABELS,
    }
    assert expected == body_from_request(request_of({**SUPERVISED, "description": None}))


def test_a_job_without_a_method_is_supervised() -> None:
    """The method's default in a manifest is the one that is sent."""
    fields = {path: value for path, value in SUPERVISED.items() if path != "method"}
    assert "supervisedTuningSpec" in body_from_request(request_of(fields))


def test_a_preference_job_has_its_own_spec() -> None:
    """Preference tuning bears the same fields and beta under its own name."""
    fields: Fields = {**SUPERVISED, "method": "preference", "hyperParameters.beta": 0.1}
    expected = {"trainingDatasetUri": "gs://bucket/train.jsonl", "hyperParameters": {"beta": 0.1}}
    assert expected == body_from_request(request_of(fields))["preferenceOptimizationSpec"]


def test_the_display_name_of_the_request_wins() -> None:
    """The executor may give a job without a display name one of its own."""
    body = body_from_request(request_of(SUPERVISED, display_name="support/intent"))
    assert "support/intent" == body["tunedModelDisplayName"]


@pytest.mark.parametrize(
    ("size", "name"),
    [(1, "ONE"), (2, "TWO"), (4, "FOUR"), (8, "EIGHT"), (16, "SIXTEEN"), (32, "THIRTY_TWO"), (4.0, "FOUR")],
)
def test_adapter_sizes_travel_by_name(size: int, name: str) -> None:
    """A bare 4 is sixteen in the enum's numbers, so the name goes out, and comes back as the size."""
    body = body_from_request(request_of({**SUPERVISED, "hyperParameters.adapterSize": size}))
    spec = body["supervisedTuningSpec"]
    assert f"ADAPTER_SIZE_{name}" == spec["hyperParameters"]["adapterSize"]
    assert size == live(supervisedTuningSpec=spec).fields["hyperParameters.adapterSize"]


@pytest.mark.parametrize(("number", "size"), [(1, 1), (2, 4), (3, 8), (4, 16), (5, 32), (6, 2)])
def test_adapter_sizes_are_read_by_number_too(number: int, size: int) -> None:
    """Proto JSON allows the enum's number, which is no rank."""
    spec = {"hyperParameters": {"adapterSize": number}}
    assert size == live(supervisedTuningSpec=spec).fields["hyperParameters.adapterSize"]


def test_a_model_to_go_on_from_stands_for_the_base_model() -> None:
    """Continuous tuning names the parent and its checkpoint; the base model is the parent's affair."""
    fields: Fields = {
        "location": "us-central1",
        "method": "supervised",
        "trainingDatasetUri": "gs://bucket/train.jsonl",
        "baseModel": "gemini-3.5-flash",
        "preTunedModel.address": "intent",
        "preTunedModel.fingerprint": "v1-0123456789abcdef",
        "preTunedModel.checkpointId": "3",
    }
    body = body_from_request(request_of(fields, pre_tuned_model="projects/p/locations/us/models/7@1"))
    expected = {"tunedModelName": "projects/p/locations/us/models/7@1", "checkpointId": "3"}
    assert expected == body["preTunedModel"]
    assert "baseModel" not in body


def test_a_parent_named_in_the_manifest_is_sent() -> None:
    """A resource name in the manifest needs no other source."""
    fields: Fields = {"method": "supervised", "preTunedModel.tunedModelName": "projects/p/locations/us/models/7"}
    body = body_from_request(request_of(fields))
    assert {"tunedModelName": "projects/p/locations/us/models/7"} == body["preTunedModel"]


@pytest.mark.parametrize(
    "fields",
    [
        {**SUPERVISED, "method": "distillation"},
        {**SUPERVISED, "pipelineTuning.trainSteps": 100},
        {**SUPERVISED, "hyperParameters.adapterSize": 3},
        {**SUPERVISED, "hyperParameters.epochCount": 2.5},
        {**SUPERVISED, "hyperParameters.epochCount": True},
        {**SUPERVISED, "hyperParameters.learningRateMultiplier": float("nan")},
        {**SUPERVISED, "hyperParameters.warmth": 1},
        {"method": "supervised", "trainingDatasetUri": "gs://b/o"},
        {"method": "supervised", "preTunedModel.address": "intent"},
        {**SUPERVISED, "preTunedModel.address": "intent"},
    ],
)
def test_what_a_job_has_no_place_for_is_refused(fields: Fields) -> None:
    """Nothing is left out silently: a job that cannot be said whole is not sent."""
    with pytest.raises(ValueError, match=r"."):
        body_from_request(request_of(fields))


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        (SUPERVISED, "v1"),
        ({**SUPERVISED, "evaluationConfig": {}}, "v1"),
        ({**SUPERVISED, "outputUri": "gs://bucket/out"}, "v1beta1"),
        ({**SUPERVISED, "tuningMode": "FULL"}, "v1beta1"),
        ({**SUPERVISED, "customBaseModel": "gs://bucket/weights"}, "v1beta1"),
        ({**SUPERVISED, "hyperParameters.learningRate": 0.1}, "v1beta1"),
        ({**SUPERVISED, "hyperParameters.batchSize": 8}, "v1beta1"),
        ({**SUPERVISED, "outputUri": None}, "v1"),
    ],
)
def test_the_beta_api_is_used_only_where_it_is_needed(fields: Fields, version: str) -> None:
    """Five fields exist only in v1beta1; every other job is created with v1."""
    assert version == api_version_for(fields)


def test_an_open_model_bears_the_fields_of_the_beta_api() -> None:
    """Where weights come from, go to, and how they are tuned."""
    fields: Fields = {
        **SUPERVISED,
        "baseModel": "meta/llama3_1@llama-3.1-8b",
        "customBaseModel": "gs://bucket/weights",
        "outputUri": "gs://bucket/out",
        "tuningMode": "PEFT_ADAPTER",
        "hyperParameters.learningRate": 0.0002,
        "hyperParameters.batchSize": 8,
    }
    body = body_from_request(request_of(fields))
    assert "gs://bucket/weights" == body["customBaseModel"]
    assert "gs://bucket/out" == body["outputUri"]
    assert "TUNING_MODE_PEFT_ADAPTER" == body["supervisedTuningSpec"]["tuningMode"]
    assert {"learningRate": 0.0002, "batchSize": "8"} == body["supervisedTuningSpec"]["hyperParameters"]


def test_reads_use_the_version_that_shows_everything() -> None:
    """Only v1beta1 shows what a waiting job waits for."""
    assert "v1beta1" == READ_VERSION


@pytest.mark.parametrize(
    "fields",
    [
        {**SUPERVISED, "exportLastCheckpointOnly": True, "description": "d", "tunedModelDisplayName": "n"},
        {**SUPERVISED, "method": "preference", "hyperParameters.beta": 0.1, "hyperParameters.epochCount": 3},
        {**SUPERVISED, "tuningMode": "FULL", "outputUri": "gs://b/o", "hyperParameters.batchSize": 8},
        {**SUPERVISED, "labels.team": "support", "hyperParameters.adapterSize": 2},
    ],
)
def test_what_is_sent_is_read_back_in_the_same_words(fields: Fields) -> None:
    """A job that the service returns as it was sent has every field the manifest set, unchanged."""
    job = live(**body_from_request(request_of(fields)))
    assert {**fields} == {path: value for path, value in job.fields.items() if path in fields}


def test_a_recorded_failed_job_is_read() -> None:
    """A real answer: defaults filled in, a failure that left a model behind, statistics."""
    job = live(
        tunedModelDisplayName="gemini-1.5-pro-002-0d6f4b0e",
        baseModel="gemini-1.5-pro-002",
        supervisedTuningSpec={
            "trainingDatasetUri": "gs://bucket/train.jsonl",
            "hyperParameters": {"epochCount": "10", "learningRateMultiplier": 1, "adapterSize": "ADAPTER_SIZE_FOUR"},
        },
        state="JOB_STATE_FAILED",
        startTime="2026-11-20T18:30:23.123456789Z",
        endTime="2026-11-20T21:02:40.5+02:00",
        updateTime="2026-11-20T19:02:41Z",
        error={"code": 13, "message": "Failed to create endpoint."},
        experiment="projects/123456789012/locations/us-central1/metadataStores/default/contexts/tuning-1",
        tunedModel={"model": "projects/123456789012/locations/us-central1/models/77@1"},
        tuningDataStats={"supervisedTuningDataStats": {"totalBillableTokenCount": "255243"}},
    )
    expected = LiveJob(
        name=NAME,
        location="us-central1",
        state="JOB_STATE_FAILED",
        created_at=datetime(2026, 11, 20, 18, 30, tzinfo=UTC),
        fields={
            "location": "us-central1",
            "baseModel": "gemini-1.5-pro-002",
            "tunedModelDisplayName": "gemini-1.5-pro-002-0d6f4b0e",
            "method": "supervised",
            "trainingDatasetUri": "gs://bucket/train.jsonl",
            "hyperParameters.epochCount": 10,
            "hyperParameters.learningRateMultiplier": 1,
            "hyperParameters.adapterSize": 4,
            "exportLastCheckpointOnly": False,
        },
        started_at=datetime(2026, 11, 20, 18, 30, 23, 123456, tzinfo=UTC),
        ended_at=datetime(2026, 11, 20, 19, 2, 40, 500000, tzinfo=UTC),
        updated_at=datetime(2026, 11, 20, 19, 2, 41, tzinfo=UTC),
        error=JobError(13, "Failed to create endpoint."),
        experiment="projects/123456789012/locations/us-central1/metadataStores/default/contexts/tuning-1",
        model="projects/123456789012/locations/us-central1/models/77@1",
        billable_token_count=255243,
    )
    assert expected == job


def test_a_job_with_nothing_optional_is_read() -> None:
    """A name and a time of creation make a job; its state is then unknown and counts as active."""
    job = job_from_body(MINIMAL)
    assert "JOB_STATE_UNSPECIFIED" == job.state
    assert job.is_active
    assert {"location": "us-central1"} == job.fields


def test_a_waiting_job_tells_what_it_waits_for() -> None:
    """The finer state and the progress of v1beta1 are kept."""
    job = live(
        state="JOB_STATE_PENDING",
        tuningJobState="TUNING_JOB_STATE_WAITING_FOR_QUOTA",
        tuningJobMetadata={"completedEpochCount": "2", "completedStepCount": "40"},
    )
    assert "TUNING_JOB_STATE_WAITING_FOR_QUOTA" == job.phase
    assert 2 == job.completed_epoch_count
    assert live(tuningJobState="TUNING_JOB_STATE_UNSPECIFIED").phase is None


def test_checkpoints_are_read() -> None:
    """Each checkpoint has its id, its epoch and step as numbers, and an endpoint where it was deployed."""
    job = live(
        tunedModel={
            "model": "projects/1/locations/us/models/7@1",
            "endpoint": "projects/1/locations/us/endpoints/8",
            "checkpoints": [
                {"checkpointId": "1", "epoch": "1", "step": "20", "endpoint": "projects/1/locations/us/endpoints/9"},
                {"checkpointId": "2"},
            ],
        }
    )
    assert "projects/1/locations/us/endpoints/8" == job.endpoint
    assert (
        Checkpoint("1", 1, 20, "projects/1/locations/us/endpoints/9"),
        Checkpoint("2", None, None, None),
    ) == job.checkpoints


def test_labels_of_the_user_are_fields_and_all_labels_are_kept() -> None:
    """Ours and Google's labels identify a job; only the user's are part of what was declared."""
    job = live(labels={**LABELS, "google-vertex-llm-tuning-job-id": "1"})
    assert {**LABELS, "google-vertex-llm-tuning-job-id": "1"} == job.labels
    assert {"location": "us-central1", "labels.team": "support"} == job.fields


def test_continuous_tuning_is_read() -> None:
    """The parent and its checkpoint, and the base model the service knows behind it."""
    parent = {
        "tunedModelName": "projects/1/locations/us/models/7@1",
        "checkpointId": "2",
        "baseModel": "publishers/google/models/gemini-3.5-flash",
    }
    expected = {
        "location": "us-central1",
        "baseModel": "gemini-3.5-flash",
        "preTunedModel.tunedModelName": "projects/1/locations/us/models/7@1",
        "preTunedModel.checkpointId": "2",
    }
    assert expected == live(preTunedModel=parent).fields


@pytest.mark.parametrize(
    ("spec", "method"),
    [
        ("distillationSpec", "distillation"),
        ("reinforcementTuningSpec", "reinforcement"),
        ("veoTuningSpec", "veo"),
        ("partnerModelTuningSpec", "partnerModel"),
        ("someFutureTuningSpec", "someFuture"),
    ],
)
@pytest.mark.parametrize("content", [{"hyperParameters": {"epochCount": "many"}}, "odd", {}])
def test_methods_that_are_not_ours_to_start_are_told(spec: str, method: str, content: object) -> None:
    """A foreign job uses quota whatever its method and whatever shape its spec has."""
    assert method == live(**{spec: content}).fields["method"]


def test_what_is_unknown_is_kept_as_it_is() -> None:
    """States and adapter sizes that came after this version stay what they are."""
    spec = {"hyperParameters": {"adapterSize": "ADAPTER_SIZE_SIXTY_FOUR"}}
    job = live(state="JOB_STATE_DREAMING", supervisedTuningSpec=spec)
    assert "JOB_STATE_DREAMING" == job.state
    assert job.is_active
    assert "ADAPTER_SIZE_SIXTY_FOUR" == job.fields["hyperParameters.adapterSize"]


@pytest.mark.parametrize("text", ["4", 4, 4.0, "4.0"])
def test_every_form_of_int64_is_read(text: object) -> None:
    """Proto JSON writes int64 as text and allows three other forms."""
    spec = {"hyperParameters": {"epochCount": text}}
    assert 4 == live(supervisedTuningSpec=spec).fields["hyperParameters.epochCount"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": NAME},
        {"createTime": "2026-11-20T18:30:00Z"},
        {**MINIMAL, "name": 4982013113894174720},
        {**MINIMAL, "name": "projects/1/locations"},
        {**MINIMAL, "name": "projects/1/locations/evil.example/tuningJobs/1"},
        {**MINIMAL, "name": "projects/1/locations/us/tuningJobs/1?x"},
        {**MINIMAL, "createTime": "yesterday"},
        {**MINIMAL, "createTime": "2026-11-20T18:30:00"},
        {**MINIMAL, "createTime": "0001-01-01T00:00:00+14:00"},
        {**MINIMAL, "state": 3},
        {**MINIMAL, "labels": ["a"]},
        {**MINIMAL, "labels": {"a": 1}},
        {**MINIMAL, "tunedModel": "x"},
        {**MINIMAL, "tunedModel": {"checkpoints": {}}},
        {**MINIMAL, "supervisedTuningSpec": {"hyperParameters": {"epochCount": "4.5"}}},
        {**MINIMAL, "supervisedTuningSpec": {"hyperParameters": {"epochCount": 10**400, "beta": 10**400}}},
        {**MINIMAL, "supervisedTuningSpec": {"hyperParameters": {"beta": "NaN"}}},
        {**MINIMAL, "supervisedTuningSpec": {"hyperParameters": {"beta": 1e999}}},
    ],
)
def test_what_cannot_be_a_job_is_refused(body: dict[str, Any]) -> None:
    """A body of the wrong shape is a ValueError, never a guess."""
    with pytest.raises(ValueError, match=r"."):
        job_from_body(body)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["4", "gs://b/o"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["hyperParameters", "adapterSize", "epochCount", "beta", "code", "model", "checkpoints"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
MEMBERS = st.sampled_from(
    [
        "state",
        "labels",
        "error",
        "startTime",
        "baseModel",
        "preTunedModel",
        "tunedModel",
        "tuningDataStats",
        "tuningJobMetadata",
        "tuningJobState",
        "encryptionSpec",
        "supervisedTuningSpec",
        "preferenceOptimizationSpec",
        "distillationSpec",
    ]
)


@given(st.dictionaries(MEMBERS, VALUES, max_size=6))
def test_any_answer_is_a_job_or_a_value_error(members: dict[str, Any]) -> None:
    """Whatever JSON comes, it is read or refused; what is read can be compared, shown and stored."""
    try:
        job = live(**members)
    except ValueError:
        return
    assert json.loads(json.dumps(dict(job.fields), allow_nan=False)) == job.fields
    for path in job.fields:
        # Raises KeyError for a field that nobody classed.
        effect_of(path)
