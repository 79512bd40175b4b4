"""What a job leaves behind: its model, its endpoints and its checkpoints, and how they are listed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from reconciler.simulator.clock import ManualClock
from reconciler.simulator.simulator import Simulator

LOCATION = "/v1/projects/demo-project/locations/us-central1"
PROJECT = "projects/510850629784"


class World:
    """A simulator in memory with room for many jobs, its clock, and a client of its API."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(datetime(2026, 11, 20, 12, tzinfo=UTC))
        self.simulator = Simulator.in_memory(self.clock, concurrent_jobs=100, **settings)
        self.client = httpx.Client(
            transport=self.simulator.transport(), base_url="http://simulator", headers={"authorization": "Bearer token"}
        )

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """A resource, or a list."""
        answer: dict[str, Any] = self.client.get(path if path.startswith("/") else f"/v1/{path}", params=query).json()
        return answer

    def tuned(self, source: dict[str, Any] | str = "gemini-2.5-flash", **fields: Any) -> dict[str, Any]:
        """A job that has just succeeded, from a base model or from `preTunedModel`; `epochs` and `last` shape it."""
        tuning: dict[str, Any] = {
            "trainingDatasetUri": "gs://bucket/train.jsonl",
            "exportLastCheckpointOnly": fields.pop("last", False),
            "hyperParameters": {"epochCount": fields.pop("epochs", 3)},
        }
        base = {"baseModel": source} if isinstance(source, str) else {"preTunedModel": source}
        location = fields.pop("location", "us-central1")
        path = LOCATION.replace("us-central1", location) + "/tuningJobs"
        answer = self.client.post(path, json={**base, **fields, "supervisedTuningSpec": tuning})
        assert 200 == answer.status_code, answer.text
        name = answer.json()["name"]
        self.clock.advance(timedelta(days=1))
        return self.get(name)


def test_a_job_leaves_a_model_and_an_endpoint() -> None:
    """The tuned model is version 1 of a Model, and serves from an Endpoint that names it; each knows the other."""
    world = World()
    job = world.tuned(tunedModelDisplayName="Intents", last=True)
    tuned = job["tunedModel"]
    assert {"model", "endpoint"} == tuned.keys()
    model, endpoint = world.get(tuned["model"]), world.get(tuned["endpoint"])
    assert (tuned["model"], "Intents") == (f"{model['name']}@{model['versionId']}", model["displayName"])
    deployed = endpoint["deployedModels"][0]
    assert (model["name"], "1") == (deployed["model"], deployed["modelVersionId"])
    assert {deployed["id"]: 100} == endpoint["trafficSplit"]
    assert [{"endpoint": endpoint["name"], "deployedModelId": deployed["id"]}] == model["deployedModels"]
    assert [job["endTime"]] * 2 == [model["createTime"], endpoint["createTime"]]


def test_labels_lead_from_model_and_endpoint_to_the_job() -> None:
    """Model and endpoint bear the job's labels and Google's own, by which they can be found."""
    world = World()
    job = world.tuned("gemini-2.5-flash", labels={"team": "support"})
    job_id = job["name"].rsplit("/", 1)[1]
    expected = {
        "team": "support",
        "google-vertex-llm-tuning-base-model-id": "gemini-2_5-flash",
        "google-vertex-llm-tuning-job-id": job_id,
        "tune-type": "sft",
    }
    assert expected == world.get(job["tunedModel"]["model"])["labels"]
    assert expected == world.get(job["tunedModel"]["endpoint"])["labels"]
    assert {"team": "support"} == job["labels"]
    found = world.get(f"{LOCATION}/endpoints", filter=f"labels.google-vertex-llm-tuning-job-id={job_id}")
    assert {one["endpoint"] for one in job["tunedModel"]["checkpoints"]} == {one["name"] for one in found["endpoints"]}


def test_user_labels_need_not_be_copied() -> None:
    """A service that does not copy user labels still sets its own."""
    world = World(copy_labels=False)
    labels = world.get(world.tuned(labels={"team": "support"})["tunedModel"]["model"])["labels"]
    assert "team" not in labels
    assert "tune-type" in labels


@pytest.mark.parametrize(
    ("model", "location", "output"),
    [
        ("gemini-2.5-flash", "us-central1", "us-central1"),
        ("gemini-2.5-flash", "europe-west1", "europe-west1"),
        ("gemini-3.5-flash", "us-central1", "us"),
        ("gemini-3.1-flash-lite", "europe-west4", "eu"),
    ],
)
def test_where_models_and_endpoints_live(model: str, location: str, output: str) -> None:
    """Gemini 3 puts models and endpoints into `us` or `eu`, the others into the job's region."""
    world = World()
    tuned = world.tuned(model, location=location)["tunedModel"]
    assert tuned["model"].startswith(f"{PROJECT}/locations/{output}/models/")
    assert tuned["endpoint"].startswith(f"{PROJECT}/locations/{output}/endpoints/")
    assert "models" in world.get(f"/v1/projects/demo-project/locations/{output}/models")


@pytest.mark.parametrize(
    ("epochs", "kept"), [(1, [1]), (4, [1, 2, 3, 4]), (10, list(range(1, 11))), (40, list(range(4, 41, 4)))]
)
def test_checkpoints_of_a_job(epochs: int, kept: list[int]) -> None:
    """There is a checkpoint for each epoch, at most ten; each has an endpoint, and the last one's is the model's."""
    world = World()
    tuned = world.tuned(epochs=epochs)["tunedModel"]
    checkpoints = tuned["checkpoints"]
    assert [str(epoch) for epoch in kept] == [one["epoch"] for one in checkpoints]
    assert [str(number) for number in range(1, len(kept) + 1)] == [one["checkpointId"] for one in checkpoints]
    assert tuned["endpoint"] == checkpoints[-1]["endpoint"]
    assert len(kept) == len({one["endpoint"] for one in checkpoints})
    assert checkpoints[-1]["checkpointId"] == world.get(tuned["model"])["defaultCheckpointId"]


def test_older_models_have_no_checkpoints() -> None:
    """A base model without intermediate checkpoints leaves one endpoint only."""
    tuned = World().tuned("gemini-1.5-flash-002")["tunedModel"]
    assert {"model", "endpoint"} == tuned.keys()


def test_an_open_model_is_not_deployed() -> None:
    """An open model leaves a model in the registry and no endpoint."""
    world = World()
    asked = {
        "baseModel": "zai-org/glm-4.7-flash@glm-4.7-flash",
        "outputUri": "gs://bucket/out",
        "supervisedTuningSpec": {"trainingDatasetUri": "gs://bucket/train.jsonl"},
    }
    path = "/v1beta1/projects/demo-project/locations/global/tuningJobs"
    name = world.client.post(path, json=asked).json()["name"]
    world.clock.advance(timedelta(days=1))
    tuned = world.get(name)["tunedModel"]
    assert {"model"} == tuned.keys()
    assert tuned["model"].startswith(f"{PROJECT}/locations/us-central1/")


def test_continuous_tuning_makes_the_next_version() -> None:
    """Without a new display name, going on from a model makes its next version, which becomes the default."""
    world = World()
    first = world.tuned(tunedModelDisplayName="Intents")["tunedModel"]["model"]
    model = first.removesuffix("@1")
    job = world.tuned({"tunedModelName": first, "checkpointId": "2"})
    assert f"{model}@2" == job["tunedModel"]["model"]
    assert {"tunedModelName": first, "checkpointId": "2", "baseModel": "gemini-2.5-flash"} == job["preTunedModel"]
    assert "Intents" == job["tunedModelDisplayName"]
    versions = {name: world.get(name)["versionId"] for name in (model, f"{model}@1", f"{model}@2", f"{model}@default")}
    assert {model: "2", f"{model}@1": "1", f"{model}@2": "2", f"{model}@default": "2"} == versions
    assert ["2"] == [one["versionId"] for one in world.get(f"{LOCATION}/models")["models"]]


def test_continuous_tuning_under_another_name_makes_another_model() -> None:
    """With a new display name, going on from a model makes a Model of its own."""
    world = World()
    first = world.tuned(tunedModelDisplayName="Intents")["tunedModel"]["model"]
    bare_name = first.removesuffix("@1").replace(PROJECT, "projects/demo-project")
    job = world.tuned({"tunedModelName": bare_name}, tunedModelDisplayName="Intents 2")
    assert job["tunedModel"]["model"].endswith("@1")
    assert first != job["tunedModel"]["model"]
    assert 2 == len(world.get(f"{LOCATION}/models")["models"])


@pytest.mark.parametrize(
    ("change", "status"), [({"tunedModelName": f"{PROJECT}/locations/us-central1/models/1"}, 404),
                           ({"checkpointId": "9"}, 400)]
)  # fmt: skip
def test_a_parent_that_does_not_exist(change: dict[str, str], status: int) -> None:
    """Going on from a model or a checkpoint that does not exist is refused."""
    world = World()
    parent = {"tunedModelName": world.tuned()["tunedModel"]["model"]} | change
    asked = {"preTunedModel": parent, "supervisedTuningSpec": {"trainingDatasetUri": "gs://bucket/train.jsonl"}}
    assert status == world.client.post(f"{LOCATION}/tuningJobs", json=asked).status_code


def test_what_a_job_says_of_its_data() -> None:
    """A job that succeeded counts the examples and billable tokens of its dataset; the same URI always has the same."""
    stats = [World().tuned(model)["tuningDataStats"] for model in ("gemini-2.5-flash", "gemini-3.5-flash")]
    assert stats[0] == stats[1]
    supervised = stats[0]["supervisedTuningDataStats"]
    assert 100 <= int(supervised["tuningDatasetExampleCount"]) <= 20_000
    assert int(supervised["tuningDatasetExampleCount"]) < int(supervised["totalBillableTokenCount"])


def test_preference_tuning_has_its_own_stats_and_label() -> None:
    """A preference job tells its counts under its own name, and its model says how it was tuned."""
    world = World()
    asked = {
        "baseModel": "gemini-2.5-flash",
        "preferenceOptimizationSpec": {
            "trainingDatasetUri": "gs://bucket/pairs.jsonl",
            "hyperParameters": {"beta": 0.1},
        },
    }
    name = world.client.post(f"{LOCATION}/tuningJobs", json=asked).json()["name"]
    world.clock.advance(timedelta(days=1))
    job = world.get(name)
    assert 0.1 == job["preferenceOptimizationSpec"]["hyperParameters"]["beta"]
    assert {"preferenceOptimizationDataStats"} == job["tuningDataStats"].keys()
    assert "preference" == world.get(job["tunedModel"]["model"])["labels"]["tune-type"]


def test_etags_are_no_fingerprint() -> None:
    """The etag of an unchanged model differs from read to read; nothing else does."""
    world = World()
    name = world.tuned()["tunedModel"]["model"]
    first = world.get(name)
    world.clock.advance(timedelta(seconds=1))
    second = world.get(name)
    assert first.pop("etag") != second.pop("etag")
    assert first == second


def names(answer: dict[str, Any], collection: str = "tuningJobs") -> list[str]:
    """The names on a page."""
    return [one["name"] for one in answer.get(collection, [])]


def test_an_empty_list_is_an_empty_object() -> None:
    """Lists without entries have no field for them."""
    world = World()
    assert [{}, {}, {}] == [world.get(f"{LOCATION}/{one}") for one in ("tuningJobs", "models", "endpoints")]


def test_lists_are_per_location_and_newest_first() -> None:
    """A list shows the jobs of its own location and project, the newest first."""
    world = World()
    first, second = world.tuned()["name"], world.tuned()["name"]
    world.tuned(location="europe-west4")
    world.simulator.inject_foreign_job("other-project")
    assert [second, first] == names(world.get(f"{LOCATION}/tuningJobs"))
    assert 2 == len(names(world.get(f"{LOCATION}/models"), "models"))


@pytest.mark.parametrize(("collection", "count"), [("tuningJobs", 5), ("models", 5), ("endpoints", 15)])
def test_pages_cover_a_list_once(collection: str, count: int) -> None:
    """Following the page tokens shows every entry exactly once, in the order of one big page."""
    world = World()
    for _ in range(5):
        world.tuned()
    whole = names(world.get(f"{LOCATION}/{collection}"), collection)
    seen: list[str] = []
    token = ""
    while True:
        answer = world.get(f"{LOCATION}/{collection}", pageSize="2", pageToken=token)
        seen += names(answer, collection)
        token = answer.get("nextPageToken", "")
        if not token:
            break
    assert (whole, count) == (seen, len(seen))


def test_a_new_job_does_not_upset_pages() -> None:
    """A job created between two pages neither repeats nor hides another."""
    world = World()
    first, second = world.tuned()["name"], world.tuned()["name"]
    page = world.get(f"{LOCATION}/tuningJobs", pageSize="1")
    world.tuned()
    rest = world.get(f"{LOCATION}/tuningJobs", pageSize="1", pageToken=page["nextPageToken"])
    assert ([second], [first]) == (names(page), names(rest))
    assert "nextPageToken" not in rest


def test_the_default_page_size() -> None:
    """Without a page size, or with 0, a page has the default size; a larger one than the maximum means the maximum."""
    world = World(page_size=2)
    for _ in range(3):
        world.simulator.inject_foreign_job("demo-project")
    sizes = [len(names(world.get(f"{LOCATION}/tuningJobs", pageSize=size))) for size in ("", "0", "1", "5000")]
    assert [2, 2, 1, 3] == sizes


@pytest.mark.parametrize(
    "query",
    [
        {"pageSize": "-1"},
        {"pageSize": "many"},
        {"pageSize": "99999999999"},
        {"pageToken": "x"},
        {"pageToken": "W10="},
        {"pageToken": "W1sxXSwgWyIxIl1d"},
        {"filter": "state"},
        {"filter": 'colour="red"'},
        {"filter": 'state="A" OR state="B"'},
        {"filter": "(state=A)"},
        {"filter": "state=A AND"},
    ],
)
def test_lists_refuse_what_they_cannot_do(query: dict[str, str]) -> None:
    """A page size, token or filter that makes no sense is refused."""
    answer = World().client.get(f"{LOCATION}/tuningJobs", params=query)
    assert (400, "INVALID_ARGUMENT") == (answer.status_code, answer.json()["error"]["status"])


def test_a_page_token_belongs_to_its_list() -> None:
    """A token of one list, or of one filter, is refused by another."""
    world = World()
    for _ in range(3):
        world.tuned()
    token = world.get(f"{LOCATION}/models", pageSize="1")["nextPageToken"]
    for path, query in ((f"{LOCATION}/endpoints", {}), (f"{LOCATION}/models", {"filter": "labels:tune-type"})):
        assert 400 == world.client.get(path, params={"pageToken": token, **query}).status_code


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('state="JOB_STATE_SUCCEEDED"', ["a"]),
        ("state=JOB_STATE_RUNNING", ["b"]),
        ('state != "JOB_STATE_RUNNING"', ["a"]),
        ("labels.team=b", ["b"]),
        ('labels.team="b" AND state="JOB_STATE_RUNNING"', ["b"]),
        ('labels.team="a" AND state="JOB_STATE_RUNNING"', []),
        ("labels.team:*", ["b", "a"]),
        ("labels:team", ["b", "a"]),
        ("labels.none:*", []),
    ],
)
def test_filters_of_jobs(query: str, expected: list[str]) -> None:
    """Jobs can be filtered by state and by labels, with AND."""
    world = World()
    world.tuned(labels={"team": "a"})
    world.simulator.inject_foreign_job("demo-project", labels={"team": "b"}, duration_s=9000)
    world.clock.advance(timedelta(minutes=10))
    found = world.get(f"{LOCATION}/tuningJobs", filter=query)
    assert expected == [job["labels"]["team"] for job in found.get("tuningJobs", [])]


def test_filters_of_models() -> None:
    """Models can be filtered by display name, in either spelling, and by labels."""
    world = World()
    world.tuned(tunedModelDisplayName="A")
    world.tuned(tunedModelDisplayName="B", labels={"team": "b"})
    for query in ('display_name="B"', "displayName=B", 'labels.team="b" AND labels.tune-type:*'):
        found = world.get(f"{LOCATION}/models", filter=query)
        assert ["B"] == [model["displayName"] for model in found["models"]]


def test_a_list_lags_behind() -> None:
    """With a list lag, a new job can be read at once and appears in lists only later."""
    world = World()
    world.simulator.set_faults(list_lag_s=30)
    name = world.simulator.inject_foreign_job("demo-project")
    assert (name, {}) == (world.get(name)["name"], world.get(f"{LOCATION}/tuningJobs"))
    world.clock.advance(timedelta(seconds=29.9))
    assert {} == world.get(f"{LOCATION}/tuningJobs")
    world.clock.advance(timedelta(seconds=0.1))
    assert [name] == names(world.get(f"{LOCATION}/tuningJobs"))
    assert 1 == len(world.simulator.jobs())
