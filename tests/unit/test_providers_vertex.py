"""The client of `tuningJobs`: which URL it asks, how it pages, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from reconciler.errors import ApiError, Refusal, UsageError
from reconciler.model.job import JobFamily
from reconciler.providers.auth import FixedToken
from reconciler.providers.connection import Connection
from reconciler.providers.http import Http
from reconciler.providers.protocol import JobRequest, Provider
from reconciler.providers.vertex import PAGE_SIZE, VertexClient

JOBS = "projects/demo-project/locations/us-central1/tuningJobs"
HOST = "https://us-central1-aiplatform.googleapis.com"
DATES = ("Fri, 20 Nov 2026 18:30:00 GMT", "Fri, 20 Nov 2026 18:30:05 GMT")
REQUEST = JobRequest(
    location="us-central1",
    fields={"baseModel": "gemini-3.5-flash", "method": "supervised", "trainingDatasetUri": "gs://bucket/train.jsonl"},
    labels={"tuneform-nonce": "n0"},
    nonce="n0",
)


class StillClock:
    """A clock for which waiting takes no time."""

    def now(self) -> datetime:
        """One instant."""
        return datetime(2026, 11, 20, tzinfo=UTC)

    def sleep(self, seconds: float) -> None:
        """Return at once."""
        assert seconds >= 0


class Service:
    """A transport that answers by a function and keeps the requests."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Keep the request and answer it."""
        self.requests.append(request)
        return self.answer(request)

    def client(self, **more: Any) -> VertexClient:
        """A client of this service."""
        connection = Connection(transport=httpx.MockTransport(self))
        http = Http(connection=connection, tokens=FixedToken("token"), clock=StillClock(), jitter=lambda: 0.0)
        return VertexClient(**{"project": "demo-project", "http": http, **more})

    @property
    def asked(self) -> list[str]:
        """Methods and URLs of the requests, in turn."""
        return [f"{request.method} {request.url}" for request in self.requests]


def job(number: int, **more: object) -> dict[str, object]:
    """A job as the service tells it, under the project's number."""
    name = f"projects/123/locations/us-central1/tuningJobs/{number}"
    return {"name": name, "createTime": "2026-11-20T18:00:00Z", "state": "JOB_STATE_RUNNING", **more}


def always(document: object, status: int = 200) -> Service:
    """A service with one answer."""
    return Service(lambda _: httpx.Response(status, json=document))


def pages(*documents: Mapping[str, object]) -> Service:
    """A service that gives the pages of a list, by number as the token."""

    def answer(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params.get("pageToken", "0"))
        return httpx.Response(200, json=documents[number], headers={"date": DATES[min(number, 1)]})

    return Service(answer)


def test_the_client_is_a_provider() -> None:
    """What the executor needs, the client has."""
    provider: Provider = always({}).client()
    assert () == provider.list_jobs("us-central1").jobs


def test_a_list_is_read_to_its_last_page() -> None:
    """All pages, an empty one between them included, at the server's time of the first."""
    service = pages(
        {"tuningJobs": [job(1), job(2)], "nextPageToken": "1"}, {"nextPageToken": "2"}, {"tuningJobs": [job(3)]}
    )
    listing = service.client().list_jobs("us-central1")
    assert ["1", "2", "3"] == [one.name.rpartition("/")[2] for one in listing.jobs]
    assert ("us-central1", datetime(2026, 11, 20, 18, 30, tzinfo=UTC)) == (listing.location, listing.at)
    assert [
        f"GET {HOST}/v1beta1/{JOBS}?pageSize={PAGE_SIZE}",
        f"GET {HOST}/v1beta1/{JOBS}?pageSize={PAGE_SIZE}&pageToken=1",
        f"GET {HOST}/v1beta1/{JOBS}?pageSize={PAGE_SIZE}&pageToken=2",
    ] == service.asked


def test_a_page_token_is_passed_on_as_it_came() -> None:
    """A token is opaque, whatever characters it has."""
    token = "a+b/c=&d é"
    service = Service(
        lambda request: httpx.Response(200, json={} if "pageToken" in request.url.params else {"nextPageToken": token})
    )
    service.client().list_jobs("us-central1")
    assert token == service.requests[1].url.params["pageToken"]


def test_a_job_that_moves_between_pages_is_listed_once() -> None:
    """Its later state counts."""
    service = pages(
        {"tuningJobs": [job(1)], "nextPageToken": "1"}, {"tuningJobs": [job(1, state="JOB_STATE_SUCCEEDED"), job(2)]}
    )
    listing = service.client().list_jobs("us-central1")
    assert ["JOB_STATE_SUCCEEDED", "JOB_STATE_RUNNING"] == [one.state for one in listing.jobs]


@pytest.mark.parametrize("tokens", [["same", "same"], ["a", "b", "a"]])
def test_a_list_without_an_end_is_an_error(tokens: list[str]) -> None:
    """A page token that comes again would be followed for ever."""
    service = Service(
        lambda _: httpx.Response(200, json={"nextPageToken": tokens[min(len(service.requests), len(tokens)) - 1]})
    )
    with pytest.raises(ApiError, match="not understood") as caught:
        service.client().list_jobs("us-central1")
    assert (Refusal.AMBIGUOUS, len(tokens)) == (caught.value.kind, len(service.requests))


@pytest.mark.parametrize(
    "document",
    [
        {"message": "Please log in"},
        {"error": {"code": 403}},
        {"tuningJobs": {}},
        {"tuningJobs": None, "nextPageToken": 5},
        {"tuningJobs": ["x"]},
        {"tuningJobs": [job(1), {"name": "nonsense"}]},
        {"tuningJobs": [job(1)], "nextPageToken": 5},
    ],
)
def test_an_answer_that_is_no_list_of_jobs_never_passes_for_an_empty_one(document: object) -> None:
    """A stranger's JSON or one unreadable job fails the listing: a job must not vanish unseen."""
    with pytest.raises(ApiError, match="not understood") as caught:
        always(document).client().list_jobs("us-central1")
    assert Refusal.AMBIGUOUS is caught.value.kind


def test_a_failed_page_fails_the_listing() -> None:
    """Half a list is no list."""
    service = Service(
        lambda request: (
            httpx.Response(403)
            if "pageToken" in request.url.params
            else httpx.Response(200, json={"tuningJobs": [job(1)], "nextPageToken": "1"})
        )
    )
    with pytest.raises(ApiError) as caught:
        service.client().list_jobs("us-central1")
    assert Refusal.PERMISSION is caught.value.kind


def test_locations_are_listed_in_parallel_each_at_its_host() -> None:
    """One client serves many threads."""
    locations = ["us-central1", "europe-west4", "global", "us", "asia-southeast1"] * 4
    service = always({"tuningJobs": [job(1)]})
    client = service.client()
    with ThreadPoolExecutor(8) as pool:
        listings = list(pool.map(client.list_jobs, locations))
    assert locations == [listing.location for listing in listings]
    expected = {
        "us-central1-aiplatform.googleapis.com",
        "europe-west4-aiplatform.googleapis.com",
        "aiplatform.googleapis.com",
        "aiplatform.us.rep.googleapis.com",
        "asia-southeast1-aiplatform.googleapis.com",
    }
    assert expected == {request.url.host for request in service.requests}


def test_a_job_is_read_at_the_host_its_name_tells() -> None:
    """The name has the location, and the project's number."""
    service = always(job(1))
    name = "projects/123/locations/europe-west4/tuningJobs/1"
    assert "JOB_STATE_RUNNING" == service.client().get_job(name).state
    assert [f"GET https://europe-west4-aiplatform.googleapis.com/v1beta1/{name}"] == service.asked


def test_a_job_that_is_not_there_is_not_found() -> None:
    """404 has a kind of its own."""
    body = {"error": {"code": 404, "message": "The TuningJob does not exist.", "status": "NOT_FOUND"}}
    for ask in (VertexClient.get_job, VertexClient.cancel_job):
        with pytest.raises(ApiError) as caught:
            ask(always(body, 404).client(), "projects/123/locations/us-central1/tuningJobs/1")
        assert Refusal.NOT_FOUND is caught.value.kind
        assert "The TuningJob does not exist." in caught.value.detail


@pytest.mark.parametrize(
    "name",
    [
        "1",
        "projects/p/locations/us-central1/tuningJobs/1/../2",
        "projects/p/locations/us-central1/tuningJobs/1?alt=x",
        "projects/p/locations/evil.example#/tuningJobs/1",
        "projects/p/locations/us-central1/pipelineJobs/1",
        "projects/p/locations/us-central1/tuningJobs/1\n",
        "projects/p/locations",
    ],
)
def test_what_is_no_name_of_a_job_is_not_asked_for(name: str) -> None:
    """A name from a file or a command line does not shape a URL unless it is one."""
    service = always(job(1))
    for ask in (VertexClient.get_job, VertexClient.cancel_job):
        with pytest.raises(ApiError) as caught:
            ask(service.client(), name)
        assert Refusal.INVALID is caught.value.kind
    assert [] == service.requests


def test_a_location_that_is_none_is_refused() -> None:
    """Nothing is sent to a host made of nonsense."""
    service = always({})
    with pytest.raises(UsageError):
        service.client().list_jobs("evil.example/")
    assert [] == service.requests


def test_a_project_cannot_leave_its_place_in_the_url() -> None:
    """Whatever a project is called, it stays one segment of the path."""
    service = always({})
    service.client(project="a/../b?c#d").list_jobs("us-central1")
    assert service.requests[0].url.raw_path.startswith(b"/v1beta1/projects/a%2F..%2Fb%3Fc%23d/locations/us-central1/")


@pytest.mark.parametrize(
    ("more", "version"), [({}, "v1"), ({"tuningMode": "FULL", "outputUri": "gs://b/o"}, "v1beta1")]
)
def test_a_job_is_created_with_one_request_in_the_version_it_needs(more: dict[str, str], version: str) -> None:
    """The body goes to the location's collection, and the answer is the job."""
    service = always(job(7))
    request = JobRequest(location="us-central1", fields={**REQUEST.fields, **more}, labels=REQUEST.labels, nonce="n0")
    assert service.client().create_job(request).name.endswith("/7")
    assert [f"POST {HOST}/{version}/{JOBS}"] == service.asked
    assert {"tuneform-nonce": "n0"} == json.loads(service.requests[0].content)["labels"]


@pytest.mark.parametrize("document", [{}, {"name": "nonsense"}, {"done": True}])
def test_an_answer_to_a_create_that_is_no_job_is_ambiguous(document: object) -> None:
    """The job may exist all the same, so nobody may conclude that it does not."""
    service = always(document)
    with pytest.raises(ApiError) as caught:
        service.client().create_job(REQUEST)
    assert (Refusal.AMBIGUOUS, 1) == (caught.value.kind, len(service.requests))


@pytest.mark.parametrize(
    "request_",
    [
        JobRequest(location="us-central1", fields={}, labels={}, nonce="n"),
        JobRequest(location="us-central1", fields={"baseModel": "m", "method": "magic"}, labels={}, nonce="n"),
        JobRequest(location="us-central1", fields=REQUEST.fields, labels={}, nonce="n", family=JobFamily.PIPELINE),
    ],
)
def test_a_job_that_cannot_be_said_is_not_sent(request_: JobRequest) -> None:
    """What tuningJobs has no words for is refused before anything goes out."""
    service = always(job(1))
    with pytest.raises(ApiError, match="cannot be asked for") as caught:
        service.client().create_job(request_)
    assert (Refusal.INVALID, []) == (caught.value.kind, service.requests)


def test_a_cancel_is_asked_for() -> None:
    """An empty object goes to the job's own name."""
    service = always({})
    service.client().cancel_job("projects/123/locations/us-central1/tuningJobs/1")
    assert [f"POST {HOST}/v1/projects/123/locations/us-central1/tuningJobs/1:cancel"] == service.asked
    assert b"{}" == service.requests[0].content


def test_a_cancel_that_never_left_is_sent_again() -> None:
    """Nobody should pay for a job because one connection failed."""

    def second_time(_: httpx.Request) -> httpx.Response:
        if len(service.requests) == 1:
            raise httpx.ConnectError("no route")
        return httpx.Response(200, json={})

    service = Service(second_time)
    service.client().cancel_job("projects/123/locations/us-central1/tuningJobs/1")
    assert 2 == len(service.requests)


def refusing_cancel(state: str) -> Service:
    """A service that refuses to cancel a job in some state."""
    body = {"error": {"code": 400, "message": "Job has ended.", "status": "FAILED_PRECONDITION"}}
    return Service(
        lambda request: (
            httpx.Response(400, json=body)
            if request.method == "POST"
            else httpx.Response(200, json=job(1, state=state))
        )
    )


@pytest.mark.parametrize("state", ["JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"])
def test_a_job_that_has_ended_needs_no_cancel(state: str) -> None:
    """A refusal is no error when there is nothing left to cancel."""
    service = refusing_cancel(state)
    service.client().cancel_job("projects/123/locations/us-central1/tuningJobs/1")
    assert ["POST", "GET"] == [request.method for request in service.requests]


def test_a_refused_cancel_of_a_running_job_is_an_error() -> None:
    """A job that goes on costs money, so its refusal is told in Google's words."""
    with pytest.raises(ApiError) as caught:
        refusing_cancel("JOB_STATE_RUNNING").client().cancel_job("projects/123/locations/us-central1/tuningJobs/1")
    assert "Job has ended." in caught.value.detail


def test_an_endpoint_stands_in_for_every_host() -> None:
    """An emulator gets all locations, told apart by the path."""
    service = always(job(1))
    client = service.client(endpoint="http://localhost:8080/")
    client.get_job("projects/123/locations/europe-west4/tuningJobs/1")
    client.create_job(REQUEST)
    assert [
        "GET http://localhost:8080/v1beta1/projects/123/locations/europe-west4/tuningJobs/1",
        f"POST http://localhost:8080/v1/{JOBS}",
    ] == service.asked


def test_a_token_is_not_sent_unencrypted() -> None:
    """Plain http to another machine is refused before anything goes out."""
    service = always({})
    with pytest.raises(UsageError):
        service.client(endpoint="http://emulator.example").list_jobs("us-central1")
    assert [] == service.requests


def test_a_simulators_speed_is_passed_on() -> None:
    """A session paces its polling by it."""
    service = Service(lambda _: httpx.Response(200, json={}, headers={"x-tuneform-simulator-speed": "600"}))
    client = service.client()
    client.list_jobs("us-central1")
    assert 600.0 == client.simulator_speed
