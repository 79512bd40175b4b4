"""Requests in, answers out: the values the handler works on, and every error in Google's envelope. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

# A JSON object as it goes over the wire.
Resource: TypeAlias = dict[str, Any]

JSON_TYPE = "application/json; charset=UTF-8"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. `path` is still percent-encoded, `query` is without its `?`, header names are lower case.

    `is_spared` is for one that has met its fault on the way in, and is to be carried out and answered now.
    """

    method: str
    path: str
    host: str = ""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_spared: bool = False


class Delivery(StrEnum):
    """What becomes of an answer on its way to the client."""

    WHOLE = "whole"
    TRUNCATED = "truncated"  # its body ends half-way, and the connection with it
    RESET = "reset"  # the connection is reset instead
    LATE = "late"  # it comes when the client may have given up
    NOT_YET = "not yet"  # the request waits on its way in: it has had no effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One HTTP answer; header names are lower case.

    `delay_s` is how long LATE and NOT_YET last, in real seconds. Where no answer was made, `status` is 0.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    delivery: Delivery = Delivery.WHOLE
    delay_s: float = 0.0

    def json(self) -> Any:
        """The body, parsed; raises ValueError where it is not JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that found its route. `parts` are the decoded parts of the path: project, location and ids."""

    request: Request
    version: str
    parts: Mapping[str, str]
    query: Mapping[str, Sequence[str]]

    @property
    def is_beta(self) -> bool:
        """Whether v1beta1 was asked."""
        return self.version == "v1beta1"

    def payload(self) -> Resource:
        """The body as a JSON object; raises Problem 400 where it is none. No body is an empty object."""
        if not self.request.body.strip():
            return {}
        try:
            parsed = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise invalid_argument(f"Invalid JSON payload received. {error}") from None
        if not isinstance(parsed, dict):
            raise invalid_argument("Invalid JSON payload received. Root element must be a message.")
        return parsed


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that is wrong, in the words of google.rpc.BadRequest; `field` is empty for the root of the body."""

    field: str
    description: str

    def as_json(self) -> Resource:
        """This as an element of fieldViolations."""
        return (
            {"field": self.field, "description": self.description} if self.field else {"description": self.description}
        )


class Problem(Exception):
    """A request that Vertex AI would refuse, as what it would answer. `retry_after_s` None sends no Retry-After."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Sequence[Resource] = (),
        *,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.retry_after_s = retry_after_s

    def as_json(self) -> Resource:
        """The error envelope. Source: recorded answers all have code, message, status and sometimes details."""
        error: Resource = {"code": self.status, "message": self.message, "status": self.code}
        if self.details:
            error["details"] = list(self.details)
        return {"error": error}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of the API. `pattern` is a regular expression for the whole path, with named groups.

    `creates` and `lists` tell the faults which requests may meet them.
    """

    method: str
    pattern: str
    answer: Callable[[Any, Call], Resource]
    creates: bool = False
    lists: bool = False


# The path of everything that lives in a location.
PARENT = r"/(?P<version>v1|v1beta1)/projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)"


def invalid_argument(message: str, violations: Sequence[Violation] = ()) -> Problem:
    """400 INVALID_ARGUMENT, with the fields that are wrong where there are any."""
    details = [{"@type": _BAD_REQUEST, "fieldViolations": [one.as_json() for one in violations]}] if violations else []
    return Problem(400, "INVALID_ARGUMENT", message, details)


def invalid_fields(violations: Sequence[Violation]) -> Problem:
    """Every field that is wrong at once, in Vertex AI's numbered text.

    Source: https://github.com/GoogleCloudPlatform/generative-ai/issues/2081 shows this text and its tabs.
    """
    found = "".join(
        f"{number}.Field: {one.field}; Message: {one.description}\t" for number, one in enumerate(violations, start=1)
    )
    return invalid_argument(f"List of found errors:\t{found}", violations)


def failed_precondition(message: str) -> Problem:
    """400 FAILED_PRECONDITION."""
    return Problem(400, "FAILED_PRECONDITION", message)


def not_found(message: str) -> Problem:
    """404 NOT_FOUND."""
    return Problem(404, "NOT_FOUND", message)


def unauthenticated(method: str) -> Problem:
    """401 for a request without a bearer token."""
    info = {
        "@type": _ERROR_INFO,
        "reason": "CREDENTIALS_MISSING",
        "domain": "googleapis.com",
        "metadata": {"service": "aiplatform.googleapis.com", "method": method},
    }
    message = (
        "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other "
        "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    return Problem(401, "UNAUTHENTICATED", message, [info])


def permission_denied(permission: str, project: str) -> Problem:
    """403 in Google's standard text, which does not tell a missing right from a missing project."""
    info = {
        "@type": _ERROR_INFO,
        "reason": "IAM_PERMISSION_DENIED",
        "domain": "aiplatform.googleapis.com",
        "metadata": {"permission": permission, "resource": f"projects/{project}"},
    }
    resource = f"//aiplatform.googleapis.com/projects/{project}"
    message = f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
    return Problem(403, "PERMISSION_DENIED", message, [info])


def over_quota() -> Problem:
    """429 for the one quota that matters here."""
    return _over_metrics("global_concurrent_tuning_jobs")


def over_accelerators() -> Problem:
    """429 for the accelerators of a region.

    Source: https://cloud.google.com/vertex-ai/docs/quotas gives the quota's display name; the id follows its siblings.
    """
    return _over_metrics("restricted_image_training_nvidia_a100_80gb_gpus")


def over_rate(location: str, *, retry_after_s: int | None = None) -> Problem:
    """429 for too many requests a minute, as every Google API words it."""
    metric = "aiplatform.googleapis.com/create_requests"
    limit = "CreateRequestsPerMinutePerProjectPerRegion"
    info = {
        "@type": _ERROR_INFO,
        "reason": "RATE_LIMIT_EXCEEDED",
        "domain": "googleapis.com",
        "metadata": {
            "service": "aiplatform.googleapis.com",
            "quota_metric": metric,
            "quota_limit": limit,
            "quota_limit_value": "60",
            "quota_location": location,
        },
    }
    message = (
        f"Quota exceeded for quota metric '{metric}' and limit '{limit}' of service 'aiplatform.googleapis.com' for "
        "this project."
    )
    return Problem(429, "RESOURCE_EXHAUSTED", message, [info], retry_after_s=retry_after_s)


def _over_metrics(metric: str) -> Problem:
    """Source: recorded refusals of sibling services have this text, and no details."""
    return Problem(
        429,
        "RESOURCE_EXHAUSTED",
        f"The following quota metrics exceed quota limits: aiplatform.googleapis.com/{metric}",
    )


def internal(message: str) -> Problem:
    """500 INTERNAL."""
    return Problem(500, "INTERNAL", message)


def unavailable() -> Problem:
    """503, after which nobody knows whether the request took effect."""
    return Problem(503, "UNAVAILABLE", "The service is currently unavailable.")
