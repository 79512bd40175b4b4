"""What the simulator accepts and refuses, in whose words, and in which forms of JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from reconciler.simulator.clock import ManualClock
from reconciler.simulator.simulator import Simulator

PARENT = "/projects/demo-project/locations/us-central1"
URI = "gs://bucket/train.jsonl"
SUPERVISED = {"supervisedTuningSpec": {"trainingDatasetUri": URI}}
BASE = {"baseModel": "gemini-2.5-flash"}
VALID: dict[str, Any] = {**BASE, **SUPERVISED}


def client(base_url: str = "http://simulator", **settings: Any) -> httpx.Client:
    """A client of a new simulator."""
    simulator = Simulator.in_memory(ManualClock(datetime(2026, 11, 20, 12, tzinfo=UTC)), **settings)
    return httpx.Client(transport=simulator.transport(), base_url=base_url, headers={"authorization": "Bearer token"})


def create(body: Any, *, version: str = "v1", location: str = "us-central1", **settings: Any) -> httpx.Response:
    """The answer to a create in a new world."""
    path = f"/{version}/projects/demo-project/locations/{location}/tuningJobs"
    return client(**settings).post(path, json=body)


def supervised(**tuning: Any) -> dict[str, Any]:
    """A request with these fields in its supervised tuning spec."""
    return {**BASE, "supervisedTuningSpec": {"trainingDatasetUri": URI, **tuning}}


def hyper(**parameters: Any) -> dict[str, Any]:
    """A request with these hyper-parameters."""
    return supervised(hyperParameters=parameters)


def test_the_answer_to_a_create() -> None:
    """A create answers the whole job: numbers for names, 64-bit integers as text, defaults filled in, nothing empty."""
    job = create(VALID | {"labels": {"team": "support"}, "tunedModelDisplayName": "Intents"}).json()
    project = "projects/510850629784/locations/us-central1"
    job_id = job.pop("name").removeprefix(f"{project}/tuningJobs/")
    assert (19, True) == (len(job_id), job_id.isdecimal())
    hyper_parameters = job["supervisedTuningSpec"]["hyperParameters"]
    assert 1 <= int(hyper_parameters.pop("epochCount")) <= 40
    assert {
        "baseModel": "gemini-2.5-flash",
        "labels": {"team": "support"},
        "tunedModelDisplayName": "Intents",
        "supervisedTuningSpec": {
            "trainingDatasetUri": URI,
            "hyperParameters": {"learningRateMultiplier": 1, "adapterSize": "ADAPTER_SIZE_FOUR"},
        },
        "state": "JOB_STATE_PENDING",
        "createTime": "2026-11-20T12:00:00.000000Z",
        "updateTime": "2026-11-20T12:00:00.000000Z",
        "experiment": f"{project}/metadataStores/default/contexts/tuning-experiment-20261120120000000000",
    } == job


def test_answers_carry_googles_headers() -> None:
    """Every answer has the server's simulated time, its name and the speed of its time."""
    headers = create(VALID, speed=60).headers
    assert "Fri, 20 Nov 2026 12:00:00 GMT" == headers["date"]
    assert "ESF" == headers["server"]
    assert "application/json; charset=UTF-8" == headers["content-type"]
    assert "60" == headers["x-tuneform-simulator-speed"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (4, "4"),
        ("4", "4"),
        (4.0, "4"),
        ("4.0", "4"),
    ],
)
def test_int64_forms(sent: Any, kept: str) -> None:
    """A 64-bit integer may come as a number or as text, and is answered as text."""
    answer = create(hyper(epochCount=sent))
    assert (200, kept) == (answer.status_code, answer.json()["supervisedTuningSpec"]["hyperParameters"]["epochCount"])


@pytest.mark.parametrize("sent", [4.5, "4.5", "four", "", True, 2**63, "\u0661"])
def test_int64_forms_refused(sent: Any) -> None:
    """What is no whole number, or does not fit 64 bits, is refused with the field's place and type."""
    answer = create(hyper(epochCount=sent))
    place = "tuning_job.supervised_tuning_spec.hyper_parameters.epoch_count"
    assert 400 == answer.status_code
    assert answer.json()["error"]["message"].startswith(f"Invalid value at '{place}' (TYPE_INT64), ")
    assert place == answer.json()["error"]["details"][0]["fieldViolations"][0]["field"]


@pytest.mark.parametrize(("sent", "kept"), [(2, 2), (1.5, 1.5), ("1.5", 1.5), (2.0, 2)])
def test_double_forms(sent: Any, kept: float) -> None:
    """A double may come as a number or as text, and is answered as a number."""
    answer = create(hyper(learningRateMultiplier=sent))
    assert kept == answer.json()["supervisedTuningSpec"]["hyperParameters"]["learningRateMultiplier"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("ADAPTER_SIZE_ONE", "ONE"),
        (1, "ONE"),
        (2, "FOUR"),
        (3, "EIGHT"),
        (4, "SIXTEEN"),
        ("4", "SIXTEEN"),
        (6, "TWO"),
        (0, "FOUR"),
    ],
)
def test_enum_forms(sent: Any, kept: str) -> None:
    """An enum may come by name or by number, and the numbers of adapter sizes are not the sizes; 0 is not set."""
    answer = create(hyper(adapterSize=sent))
    assert f"ADAPTER_SIZE_{kept}" == answer.json()["supervisedTuningSpec"]["hyperParameters"]["adapterSize"]


@pytest.mark.parametrize("sent", ["adapter_size_four", "FOUR", 7, 1.5, {}])
def test_enum_forms_refused(sent: Any) -> None:
    """A name that is not the enum's exact one, or an unknown number, is refused with the enum's name."""
    answer = create(hyper(adapterSize=sent))
    assert 400 == answer.status_code
    assert "google.cloud.aiplatform.v1.SupervisedHyperParameters.AdapterSize" in answer.json()["error"]["message"]


def test_snake_case_is_accepted_and_answered_as_camel_case() -> None:
    """The mixed names of Google's own examples are accepted."""
    asked = {
        "base_model": "gemini-1.0-pro-002",
        "supervisedTuningSpec": {
            "training_dataset_uri": URI,
            "validation_dataset_uri": "gs://bucket/validation.jsonl",
            "hyper_parameters": {"epoch_count": 3, "learning_rate_multiplier": 0.5},
        },
        "tuned_model_display_name": "tuned_gemini_pro",
    }
    job = create(asked).json()
    assert "gemini-1.0-pro-002" == job["baseModel"]
    assert "tuned_gemini_pro" == job["tunedModelDisplayName"]
    assert {
        "trainingDatasetUri": URI,
        "validationDatasetUri": "gs://bucket/validation.jsonl",
        "hyperParameters": {"epochCount": "3", "learningRateMultiplier": 0.5},
    } == job["supervisedTuningSpec"]


def test_values_at_their_default_are_not_set() -> None:
    """false, 0, empty text and null mean not set: they are not answered, or the server's default stands for them."""
    asked = supervised(exportLastCheckpointOnly=False, hyperParameters={"epochCount": 2, "learningRateMultiplier": 0})
    job = create(asked | {"description": "", "serviceAccount": None}).json()
    assert {"description", "serviceAccount"}.isdisjoint(job)
    assert "exportLastCheckpointOnly" not in job["supervisedTuningSpec"]
    assert 1 == job["supervisedTuningSpec"]["hyperParameters"]["learningRateMultiplier"]


def test_output_only_fields_are_ignored() -> None:
    """A job that was read can be sent again: what the service alone sets is passed over."""
    answer = create(
        VALID | {"state": "JOB_STATE_SUCCEEDED", "name": "x", "createTime": 5, "tunedModel": {"model": "y"}}
    )
    assert (200, "JOB_STATE_PENDING") == (answer.status_code, answer.json()["state"])
    assert "tunedModel" not in answer.json()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            VALID | {"x": 1},
            "Invalid JSON payload received. Unknown name \"x\" at 'tuning_job': Cannot find field.",
        ),
        (
            hyper(epochs=4),
            'Invalid JSON payload received. Unknown name "epochs" at '
            "'tuning_job.supervised_tuning_spec.hyper_parameters': Cannot find field.",
        ),
        (
            supervised(training_datasetUri=URI),
            'Invalid JSON payload received. Unknown name "training_datasetUri" at '
            "'tuning_job.supervised_tuning_spec': Cannot find field.",
        ),
        (
            VALID | {"outputUri": "gs://bucket/out"},
            "Invalid JSON payload received. Unknown name \"outputUri\" at 'tuning_job': Cannot find field.",
        ),
        (
            VALID | {"base_model": "gemini-2.5-flash"},
            "Invalid value at 'tuning_job' (oneof), oneof field 'source_model' is already set. Cannot set 'baseModel'",
        ),
        (
            VALID | {"preTunedModel": {"tunedModelName": "projects/p/locations/us-central1/models/1"}},
            "Invalid value at 'tuning_job' (oneof), oneof field 'source_model' is already set. "
            "Cannot set 'preTunedModel'",
        ),
        (
            VALID | {"preferenceOptimizationSpec": {"trainingDatasetUri": URI}},
            "Invalid value at 'tuning_job' (oneof), oneof field 'tuning_spec' is already set. "
            "Cannot set 'preferenceOptimizationSpec'",
        ),
        (VALID | {"labels": {"a": "b", "c": 1}}, "Invalid value at 'tuning_job.labels[1].value' (TYPE_STRING), 1"),
        (VALID | {"description": 5}, "Invalid value at 'tuning_job.description' (TYPE_STRING), 5"),
        (
            VALID | {"description": ["a"]},
            "Invalid JSON payload received. Unknown name \"description\" at 'tuning_job': "
            "Proto field is not repeating, cannot start list.",
        ),
        (
            supervised(exportLastCheckpointOnly="yes"),
            "Invalid value at 'tuning_job.supervised_tuning_spec.export_last_checkpoint_only' (TYPE_BOOL), \"yes\"",
        ),
        (
            BASE | {"supervisedTuningSpec": "all of it"},
            "Invalid value at 'tuning_job.supervised_tuning_spec' "
            '(type.googleapis.com/google.cloud.aiplatform.v1.SupervisedTuningSpec), "all of it"',
        ),
    ],
)
def test_json_that_does_not_fit_the_message(body: dict[str, Any], text: str) -> None:
    """What does not fit the message is refused in the words of Google's front end."""
    answer = create(body)
    assert (400, "INVALID_ARGUMENT", text) == (
        answer.status_code,
        answer.json()["error"]["status"],
        answer.json()["error"]["message"],
    )


def test_all_complaints_about_json_come_at_once() -> None:
    """Two unknown names are two violations in one answer."""
    error = create(VALID | {"x": 1, "y": 2}).json()["error"]
    assert 2 == len(error["message"].splitlines())
    assert ["tuning_job", "tuning_job"] == [one["field"] for one in error["details"][0]["fieldViolations"]]


@pytest.mark.parametrize("content", [b"{", b"[]", b"null", b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_json_object(content: bytes) -> None:
    """A body that is no JSON object is refused with 400."""
    answer = client().post(f"/v1{PARENT}/tuningJobs", content=content)
    assert (400, "INVALID_ARGUMENT") == (answer.status_code, answer.json()["error"]["status"])
    assert answer.json()["error"]["message"].startswith("Invalid JSON payload received. ")


def test_wrong_dataset_uris_are_named_together() -> None:
    """Dataset URIs that are no JSONL objects are refused in Vertex AI's numbered text, with every field."""
    answer = create(supervised(trainingDatasetUri="https://example.com/a.jsonl", validationDatasetUri="gs://b/v.csv"))
    spec = "tuning_job.supervised_tuning_spec"
    training, validation = (
        f"{name} should be a GCS object of type JSONL." for name in ("training_dataset_uri", "validation_dataset_uri")
    )
    assert 400 == answer.status_code
    assert {
        "error": {
            "code": 400,
            "message": f"List of found errors:\t1.Field: {spec}.training_dataset_uri; Message: {training}\t"
            f"2.Field: {spec}.validation_dataset_uri; Message: {validation}\t",
            "status": "INVALID_ARGUMENT",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [
                        {"field": f"{spec}.training_dataset_uri", "description": training},
                        {"field": f"{spec}.validation_dataset_uri", "description": validation},
                    ],
                }
            ],
        }
    } == answer.json()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["tuning_job.base_model", "tuning_job.tuning_spec"]),
        ({**BASE, "supervisedTuningSpec": {}}, ["tuning_job.supervised_tuning_spec.training_dataset_uri"]),
        (supervised(trainingDatasetUri="gs://bucket"), ["tuning_job.supervised_tuning_spec.training_dataset_uri"]),
        (supervised(trainingDatasetUri="gs://bucket/a/"), ["tuning_job.supervised_tuning_spec.training_dataset_uri"]),
        (
            {"preTunedModel": {"checkpointId": "1"}, **SUPERVISED},
            ["tuning_job.pre_tuned_model.tuned_model_name"],
        ),
        (VALID | {"tunedModelDisplayName": "x" * 129}, ["tuning_job.tuned_model_display_name"]),
        (VALID | {"labels": {"Team": "a"}}, ["tuning_job.labels"]),
        (VALID | {"labels": {"team": "a b"}}, ["tuning_job.labels"]),
        (VALID | {"labels": {"team": "x" * 65}}, ["tuning_job.labels"]),
        (VALID | {"labels": {f"k{number}": "v" for number in range(65)}}, ["tuning_job.labels"]),
        (hyper(epochCount=-1), ["tuning_job.supervised_tuning_spec.hyper_parameters.epoch_count"]),
        (
            {**BASE, "preferenceOptimizationSpec": {"trainingDatasetUri": "projects/p/locations/l/datasets/1"}},
            ["tuning_job.preference_optimization_spec.training_dataset_uri"],
        ),
    ],
)
def test_fields_that_are_missing_or_wrong(body: dict[str, Any], fields: list[str]) -> None:
    """Each required or limited field that does not fit is named as a violation."""
    answer = create(body)
    assert 400 == answer.status_code
    assert fields == [one["field"] for one in answer.json()["error"]["details"][0]["fieldViolations"]]


@pytest.mark.parametrize(
    "body",
    [
        VALID | {"tunedModelDisplayName": "ü" * 128},
        VALID | {"labels": {"équipe": "数据-1_x", "empty": ""}},
        VALID | {"labels": {f"k{number}": "v" for number in range(64)}},
        supervised(trainingDatasetUri="projects/p/locations/us-central1/datasets/1"),
        {"baseModel": "publishers/google/models/gemini-3.5-flash", **SUPERVISED},
    ],
)
def test_what_the_limits_allow(body: dict[str, Any]) -> None:
    """What is at its limit, and not over it, is accepted."""
    assert 200 == create(body).status_code


@pytest.mark.parametrize(
    ("model", "accepted", "refused"),
    [
        ("gemini-1.5-pro-002", ("ONE", "FOUR"), ("TWO", "EIGHT", "SIXTEEN", "THIRTY_TWO")),
        ("gemini-2.5-pro", ("ONE", "TWO", "FOUR", "EIGHT"), ("SIXTEEN", "THIRTY_TWO")),
        ("gemini-3.5-flash", ("ONE", "TWO", "FOUR", "EIGHT", "SIXTEEN"), ("THIRTY_TWO",)),
    ],
)
def test_adapter_sizes_of_base_models(model: str, accepted: tuple[str, ...], refused: tuple[str, ...]) -> None:
    """An adapter size that the base model does not have is refused in Vertex AI's words, without details."""
    answers = {
        size: create(hyper(adapterSize=f"ADAPTER_SIZE_{size}") | {"baseModel": model}) for size in (*accepted, *refused)
    }
    assert {200} == {answers[size].status_code for size in accepted}
    text = "The adapter size is not supported for this base model."
    expected = {"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}
    assert [expected] * len(refused) == [answers[size].json() for size in refused]


def test_another_table_of_adapter_sizes() -> None:
    """A table that is passed in says which base models there are and what adapters they take."""
    table = {"gemini-9-nano": frozenset({2})}
    asked: dict[str, Any] = {"baseModel": "gemini-9-nano", **SUPERVISED}
    four = {"supervisedTuningSpec": hyper(adapterSize="ADAPTER_SIZE_FOUR")["supervisedTuningSpec"]}
    kept = create(asked, adapter_sizes=table).json()["supervisedTuningSpec"]["hyperParameters"]["adapterSize"]
    assert "ADAPTER_SIZE_TWO" == kept
    assert 400 == create(asked | four, adapter_sizes=table).status_code
    assert 400 == create(VALID, adapter_sizes=table).status_code


@pytest.mark.parametrize(
    ("body", "version", "location", "status", "text"),
    [
        ({"baseModel": "gemini-3.8-flash", **SUPERVISED}, "v1", "us-central1", "INVALID_ARGUMENT",
         "Base model gemini-3.8-flash is not supported for tuning."),
        ({"baseModel": "meta/llama@unknown", **SUPERVISED}, "v1", "us-central1", "INVALID_ARGUMENT",
         "Invalid open source publisher model resource name"),
        ({"baseModel": "meta/llama3_1@llama-3.1-8b", **SUPERVISED}, "v1beta1", "us-central1", "INVALID_ARGUMENT",
         "The output_uri field is required for this model."),
        (VALID | {"outputUri": "gs://bucket/out"}, "v1beta1", "us-central1", "INVALID_ARGUMENT",
         "The output_uri field is not supported for this model."),
        (hyper(batchSize=8), "v1beta1", "us-central1", "INVALID_ARGUMENT",
         "The batch_size field is not supported for this model."),
        ({"baseModel": "gemini-3.5-flash", "preferenceOptimizationSpec": {"trainingDatasetUri": URI}}, "v1",
         "us-central1", "INVALID_ARGUMENT", "preference_optimization_spec is not supported for this base model."),
        ({**BASE, "veoTuningSpec": {"trainingDatasetUri": URI}}, "v1beta1", "us-central1", "INVALID_ARGUMENT",
         "veo_tuning_spec is not supported for this base model."),
        (VALID, "v1", "global", "FAILED_PRECONDITION",
         "Model gemini-2.5-flash does not support global endpoint tuning."),
        ({"baseModel": "gemini-3.5-flash", **SUPERVISED}, "v1", "us-east1", "FAILED_PRECONDITION",
         "Tuning of model gemini-3.5-flash is not supported in location us-east1."),
        ({"baseModel": "gemini-3.5-flash", "encryptionSpec": {"kmsKeyName": "k"}, **SUPERVISED}, "v1", "us-central1",
         "FAILED_PRECONDITION", "Customer-managed encryption keys are not supported for this base model."),
    ],
)  # fmt: skip
def test_what_depends_on_the_base_model(
    body: dict[str, Any], version: str, location: str, status: str, text: str
) -> None:
    """What a base model cannot do is refused with 400 and the reason."""
    answer = create(body, version=version, location=location)
    assert (400, {"code": 400, "message": text, "status": status}) == (answer.status_code, answer.json()["error"])


def test_an_open_model_is_accepted_with_its_output_uri() -> None:
    """Open models tune in v1beta1, also in `global`; v1 shows the job without the fields it does not know."""
    asked = supervised(hyperParameters={"learningRate": 1e-5, "batchSize": 8}, tuningMode="TUNING_MODE_FULL") | {
        "baseModel": "meta/llama3_1@llama-3.1-8b",
        "outputUri": "gs://bucket/out",
    }
    world = client()
    job = world.post("/v1beta1/projects/demo-project/locations/global/tuningJobs", json=asked).json()
    assert ("gs://bucket/out", "8") == (job["outputUri"], job["supervisedTuningSpec"]["hyperParameters"]["batchSize"])
    older = world.get(f"/v1/{job['name']}").json()
    assert "outputUri" not in older
    assert "tuningMode" not in older["supervisedTuningSpec"]
    assert {"learningRate", "batchSize"}.isdisjoint(older["supervisedTuningSpec"]["hyperParameters"])


def test_retired_models_are_refused_on_request() -> None:
    """A base model past its retirement date is accepted, unless the settings say otherwise."""
    asked = {"baseModel": "gemini-1.5-pro-002", **SUPERVISED}
    assert [200, 404] == [create(asked, refuse_retired=refuse).status_code for refuse in (False, True)]
    assert 200 == create({"baseModel": "gemini-3.5-flash", **SUPERVISED}, refuse_retired=True).status_code


def test_a_job_without_a_display_name_gets_one() -> None:
    """The name of a job that has none is its base model's with a UUID behind it."""
    name = create(VALID).json()["tunedModelDisplayName"]
    assert name.startswith("gemini-2.5-flash-")
    assert [8, 4, 4, 4, 12] == [len(part) for part in name.removeprefix("gemini-2.5-flash-").split("-")]


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic dXNlcg=="])
def test_no_bearer_token_is_unauthenticated(header: str | None) -> None:
    """Every call needs a bearer token, whichever."""
    world = client()
    world.headers.pop("authorization")
    answer = world.get(f"/v1{PARENT}/tuningJobs", headers={} if header is None else {"authorization": header})
    assert (401, "UNAUTHENTICATED") == (answer.status_code, answer.json()["error"]["status"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v2/projects/p/locations/l/tuningJobs"),
        ("GET", "/v1/projects/p/tuningJobs"),
        ("DELETE", f"/v1{PARENT}/tuningJobs/1"),
        ("PATCH", f"/v1{PARENT}/tuningJobs/1"),
        ("PUT", f"/v1{PARENT}/tuningJobs"),
        ("GET", f"/v1{PARENT}/tuningJobs/1:cancel"),
        ("POST", f"/v1{PARENT}/tuningJobs/1"),
        ("GET", f"/v1{PARENT}/tuningJobs/1/x"),
    ],
)
def test_methods_and_paths_that_do_not_exist(method: str, path: str) -> None:
    """A method or path that the API does not have is 404, and not with JSON; there is no delete of jobs."""
    answer = client().request(method, path)
    assert (404, "text/html; charset=UTF-8") == (answer.status_code, answer.headers["content-type"])


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "tuningJobs/1", "The TuningJob does not exist."),
        ("POST", "tuningJobs/1:cancel", "The TuningJob does not exist."),
        ("GET", "models/1", "The Model does not exist."),
        ("GET", "endpoints/1", 'endpoint "projects/510850629784/locations/us-central1/endpoints/1" not found'),
    ],
)
def test_resources_that_do_not_exist(method: str, path: str, text: str) -> None:
    """A resource that does not exist is 404 in the words of its kind."""
    answer = client().request(method, f"/v1{PARENT}/{path}")
    assert {"error": {"code": 404, "message": text, "status": "NOT_FOUND"}} == answer.json()


def test_a_job_is_found_in_its_own_location_and_project_only() -> None:
    """A job answers to its project's id and number, and to no other location or project."""
    world = client()
    name = world.post(f"/v1{PARENT}/tuningJobs", json=VALID).json()["name"]
    job_id = name.rsplit("/", 1)[1]
    paths = [
        name,
        f"projects/demo-project/locations/us-central1/tuningJobs/{job_id}",
        f"projects/demo-project/locations/europe-west4/tuningJobs/{job_id}",
        f"projects/other-project/locations/us-central1/tuningJobs/{job_id}",
    ]
    assert [200, 200, 404, 404] == [world.get(f"/v1/{path}").status_code for path in paths]


@pytest.mark.parametrize(
    ("host", "location", "status"),
    [
        ("us-central1-aiplatform.googleapis.com", "us-central1", 200),
        ("us-central1-aiplatform.googleapis.com", "europe-west4", 400),
        ("aiplatform.googleapis.com", "global", 200),
        ("aiplatform.googleapis.com", "us-central1", 400),
        ("aiplatform.us.rep.googleapis.com", "us", 200),
        ("aiplatform.eu.rep.googleapis.com", "us", 400),
        ("us-aiplatform.googleapis.com", "us", 400),
        ("global-aiplatform.googleapis.com", "us-central1", 400),
        ("127.0.0.1:8080", "us-central1", 200),
        ("simulator", "europe-west4", 200),
    ],
)
def test_googles_hosts_serve_their_own_location(host: str, location: str, status: int) -> None:
    """A host of Google's serves its own location only; any other host stands for all of them."""
    answer = client(f"https://{host}").get(f"/v1/projects/demo-project/locations/{location}/tuningJobs")
    assert status == answer.status_code


def test_a_cancel_takes_an_empty_body() -> None:
    """A cancel takes no body or an empty object, and refuses anything in it."""
    world = client()
    name = world.post(f"/v1{PARENT}/tuningJobs", json=VALID).json()["name"]
    assert [200, 200, 400] == [
        world.post(f"/v1/{name}:cancel", content=content).status_code for content in (b"", b"{}", b'{"force": true}')
    ]


def test_unknown_query_parameters_are_refused() -> None:
    """A query parameter that the method does not have is refused; Google's system parameters are not."""
    world = client()
    path = f"/v1{PARENT}/tuningJobs"
    asked = [{"orderBy": "createTime"}, {"alt": "json", "$alt": "json", "prettyPrint": "false"}, {"page_size": "5"}]
    assert [400, 200, 200] == [world.get(path, params=params).status_code for params in asked]
    assert 400 == world.post(path, params={"tuningJobId": "mine"}, json=VALID).status_code


def test_a_lost_answer_leaves_a_job_behind() -> None:
    """A create whose answer is lost takes effect and is answered 503, as often as asked; refusals do not count."""
    simulator = Simulator.in_memory(concurrent_jobs=5)
    simulator.set_faults(lost_create_answers=1)
    world = httpx.Client(
        transport=simulator.transport(), base_url="http://simulator", headers={"authorization": "Bearer token"}
    )
    path = f"/v1{PARENT}/tuningJobs"
    assert [400, 503, 200] == [world.post(path, json=body).status_code for body in ({}, VALID, VALID)]
    assert 2 == len(simulator.jobs())
