"""Vertex AI's `tuningJobs` as a Provider: requests into URLs and bodies, answers into jobs. Does I/O through Http."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from reconciler.errors import ApiError, Refusal
from reconciler.model.job import JobFamily, LiveJob, location_of
from reconciler.providers.hosts import DEFAULT_UNIVERSE_DOMAIN, base_url
from reconciler.providers.http import Answer, Http, Repeat
from reconciler.providers.protocol import JobRequest, Listing
from reconciler.providers.wire.tuning_jobs import (
    CANCEL_VERSION,
    JOB_NAME,
    READ_VERSION,
    api_version_for,
    body_from_request,
    job_from_body,
)

# The most a page may hold is not documented; a service gives fewer when it is asked for more than it will give.
# Source: https://google.aip.dev/158.
PAGE_SIZE = 1000


class VertexClient:
    """The tuning jobs of one project, in all locations; safe between threads, so that locations are read in parallel.

    `endpoint` stands in for Google's hosts (an emulator, a proxy, a simulator). Besides what Provider says, every
    method raises UsageError for a location or an endpoint that cannot be one.
    """

    def __init__(
        self,
        *,
        project: str,
        http: Http,
        endpoint: str | None = None,
        universe_domain: str = DEFAULT_UNIVERSE_DOMAIN,
    ) -> None:
        self._project = project
        self._http = http
        self._endpoint = endpoint
        self._universe_domain = universe_domain

    @property
    def simulator_speed(self) -> float | None:
        """Simulated seconds per real second where a simulator answered last, else None."""
        return self._http.simulator_speed

    def list_jobs(self, location: str) -> Listing:
        """Every tuning job of the location, all pages. All or nothing: a page that cannot be read fails the listing."""
        doing = "list the tuning jobs"
        jobs: dict[str, LiveJob] = {}
        first_at: datetime | None = None
        token, seen = "", {""}
        while True:
            params = {"pageSize": str(PAGE_SIZE)} | ({"pageToken": token} if token else {})
            answer = self._http.get_json(self._collection(location, READ_VERSION), doing=doing, params=params)
            first_at = first_at or answer.at
            # A job that is created while we page moves the others to later pages: the same one may come twice.
            jobs |= {job.name: job for job in _jobs(answer, doing)}
            token = _next_page_token(answer, doing)
            if not token:
                return Listing(location, tuple(jobs.values()), first_at)
            if token in seen:
                raise _not_understood(doing, "it gave the same page token twice, so the list has no end")
            seen.add(token)

    def get_job(self, name: str) -> LiveJob:
        """One job by its resource name, from the host of the location in that name."""
        doing = "read the tuning job"
        answer = self._http.get_json(self._resource(name, READ_VERSION, doing), doing=doing)
        return _job(answer.document, doing)

    def create_job(self, request: JobRequest) -> LiveJob:
        """Create one job, with one request. An answer that cannot be understood is AMBIGUOUS: the job may exist."""
        doing = "create the tuning job"
        if request.family is not JobFamily.TUNING:
            raise _inexpressible(doing, f"a job of {request.family.value} is not made by tuningJobs")
        try:
            body = body_from_request(request)
        except ValueError as error:
            raise _inexpressible(doing, str(error)) from None
        url = self._collection(request.location, api_version_for(request.fields))
        return _job(self._http.post_json(url, body, doing=doing).document, doing)

    def cancel_job(self, name: str) -> None:
        """Ask for a cancel. A job that has ended is no error, however the service answers."""
        doing = "cancel the tuning job"
        url = f"{self._resource(name, CANCEL_VERSION, doing)}:cancel"
        try:
            self._http.post_json(url, {}, doing=doing, repeat=Repeat.IF_UNSENT)
        except ApiError as error:
            # What the service answers for a job that has ended is not documented: the job itself tells.
            if error.kind is not Refusal.INVALID or self.get_job(name).is_active:
                raise

    def _collection(self, location: str, version: str) -> str:
        project = quote(self._project, safe=":")
        return f"{self._base(location)}/{version}/projects/{project}/locations/{location}/tuningJobs"

    def _resource(self, name: str, version: str, doing: str) -> str:
        if not JOB_NAME.fullmatch(name):
            raise _inexpressible(doing, f"{name!r} is not projects/PROJECT/locations/LOCATION/tuningJobs/ID")
        return f"{self._base(location_of(name))}/{version}/{name}"

    def _base(self, location: str) -> str:
        return base_url(location, endpoint=self._endpoint, universe_domain=self._universe_domain)


def _jobs(answer: Answer, doing: str) -> list[LiveJob]:
    document = answer.document
    # An empty list is `{}`. Anything else without jobs is somebody else's answer, and must not pass for "no jobs".
    if "tuningJobs" not in document and document.keys() - {"nextPageToken"}:
        raise _not_understood(doing, "it is no list of tuning jobs")
    bodies = document.get("tuningJobs", [])
    if not isinstance(bodies, list) or not all(isinstance(body, dict) for body in bodies):
        raise _not_understood(doing, "tuningJobs is not a list of objects")
    return [_job(body, doing) for body in bodies]


def _next_page_token(answer: Answer, doing: str) -> str:
    token = answer.document.get("nextPageToken") or ""
    if not isinstance(token, str):
        raise _not_understood(doing, "nextPageToken is not text")
    return token


def _job(body: Mapping[str, Any], doing: str) -> LiveJob:
    try:
        return job_from_body(body)
    except ValueError as error:
        raise _not_understood(doing, str(error)) from None


def _not_understood(doing: str, why: str) -> ApiError:
    return ApiError(
        f"Could not {doing}: the answer was not understood",
        f"Vertex AI answered, but {why}. If a proxy or another endpoint is in use, look at what it answers.",
        kind=Refusal.AMBIGUOUS,
        status=200,
    )


def _inexpressible(doing: str, why: str) -> ApiError:
    return ApiError(f"Could not {doing}: it cannot be asked for", f"Nothing was sent: {why}.", kind=Refusal.INVALID)
