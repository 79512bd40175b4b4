"""An answer that is not a success, or that never came, turned into an ApiError that says what it means. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from reconciler.errors import ApiError, Refusal
from reconciler.providers.connection import Reply, Unanswered

_MESSAGE_MAX_CHARS = 8_000
_PAGE_MAX_CHARS = 300
_DETAILS_MAX_DEPTH = 16

_KIND_OF_STATUS: Mapping[int, Refusal] = {
    401: Refusal.UNAUTHENTICATED,
    403: Refusal.PERMISSION,
    404: Refusal.NOT_FOUND,
    # A proxy wants credentials of its own: the request went no further than that.
    407: Refusal.UNREACHABLE,
    408: Refusal.AMBIGUOUS,
    409: Refusal.CONFLICT,
    412: Refusal.CONFLICT,
    # Google's number for "the client closed the request": it may have been carried out all the same.
    499: Refusal.AMBIGUOUS,
}
# The metric's id is not published; users cite global_concurrent_tuning_jobs, the documentation shows the display
# names "Global concurrent tuning jobs" and "Global concurrent managed OSS model fine-tuning jobs per project".
# Source: https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning.
_CONCURRENT_JOBS = re.compile(r"concurrent[\w \-]*tuning[_ ]jobs?", re.IGNORECASE)
# Source: https://cloud.google.com/vertex-ai/docs/quotas, and a recorded refusal in
# https://github.com/google-deepmind/xmanager/issues/29.
_ACCELERATORS = re.compile(r"(restricted_image|custom_model)_training_|restricted image training", re.IGNORECASE)
_PER_TIME = re.compile(r"RATE_LIMIT_EXCEEDED|per[ _](second|minute|day)", re.IGNORECASE)
_OVER_QUOTA = re.compile(r"exceeds? (the )?quota|quota exceeded", re.IGNORECASE)

_HEADLINES: Mapping[Refusal, str] = {
    Refusal.QUOTA: "the quota of concurrent tuning jobs is in use",
    Refusal.RATE: "too many requests",
    Refusal.ACCELERATOR: "the region's accelerator quota is in use",
    Refusal.UNAUTHENTICATED: "the credentials were not accepted",
    Refusal.PERMISSION: "permission denied",
    Refusal.INVALID: "the request was refused",
    Refusal.NOT_FOUND: "it was not found",
    Refusal.CONFLICT: "it exists already or has changed meanwhile",
    Refusal.UNREACHABLE: "the service could not be reached",
    Refusal.AMBIGUOUS: "no usable answer came",
}
_ADVICE: Mapping[Refusal, str] = {
    Refusal.QUOTA: "Nothing was created. It fits once a running tuning job ends; a higher quota can be requested on"
    " the Quotas page of the project.",
    Refusal.RATE: "Nothing was done. Wait a minute and repeat it.",
    Refusal.ACCELERATOR: "Nothing was created. Wait until the accelerators of this region are free, choose another"
    " region, or request a higher quota on the Quotas page of the project.",
    Refusal.UNAUTHENTICATED: "Nothing was done. The token has expired or is of another kind: sign in again, or set"
    " TUNEFORM_ACCESS_TOKEN to a new one.",
    Refusal.PERMISSION: "Nothing was done. Check the project's id, that the Vertex AI API is enabled in it, and that"
    " the caller has the role roles/aiplatform.user there.",
    Refusal.INVALID: "Nothing was done, and repeating it unchanged will not help: correct what the message names.",
    Refusal.NOT_FOUND: "Nothing was done. Check the project, the location and the name; it may have been deleted.",
    Refusal.CONFLICT: "Nothing was done. Look at what is there now, then repeat it.",
    Refusal.UNREACHABLE: "Nothing was sent. Check the network, HTTPS_PROXY and NO_PROXY, and that the location exists.",
    Refusal.AMBIGUOUS: "It is open whether the request took effect: look before it is repeated.",
}
_READ_AGAIN = "Nothing was changed. Repeat it later."


def refusal_of(reply: Reply, *, doing: str, host: str, now: datetime) -> ApiError:
    """The error an answer outside 200-299 stands for.

    `doing` goes into "Could not ...". `now` is used where the answer bears no date of its own and asks to wait until
    an instant.
    """
    said = _google_error(reply.body)
    kind = _kind_of(reply.status, said)
    first = f"{host} answered {reply.status}{f' {said.status}' if said.status else ''}: {said.message}"
    return ApiError(
        f"Could not {doing}: {_HEADLINES[kind]}",
        "\n".join((first, *said.violations, _ADVICE[kind])),
        kind=kind,
        status=reply.status,
        retry_after_s=_retry_after_s(reply, said, now),
        command="gcloud auth application-default login" if kind is Refusal.UNAUTHENTICATED else None,
    )


def lost(error: Unanswered, *, doing: str, host: str, changes: bool) -> ApiError:
    """The error a missing answer stands for; `changes` is whether the request could have changed anything."""
    kind = Refusal.AMBIGUOUS if error.sent else Refusal.UNREACHABLE
    return _without_answer(error.why, kind=kind, status=None, doing=doing, host=host, changes=changes)


def unreadable(why: str, *, status: int, doing: str, host: str, changes: bool) -> ApiError:
    """The error a success stands for whose body is not what was asked for; always AMBIGUOUS."""
    return _without_answer(why, kind=Refusal.AMBIGUOUS, status=status, doing=doing, host=host, changes=changes)


def _without_answer(why: str, *, kind: Refusal, status: int | None, doing: str, host: str, changes: bool) -> ApiError:
    advice = _READ_AGAIN if kind is Refusal.AMBIGUOUS and not changes else _ADVICE[kind]
    return ApiError(f"Could not {doing}: {_HEADLINES[kind]}", f"{host}: {why}.\n{advice}", kind=kind, status=status)


def server_time(reply: Reply) -> datetime | None:
    """The instant in the answer's Date header, aware UTC; None where there is none that can be read."""
    return _http_date(reply.headers.get("date", ""))


@dataclass(frozen=True, slots=True)
class _GoogleError:
    """The parts of Google's error envelope. `searched` is every string in it, for telling refusals apart."""

    message: str
    status: str = ""
    violations: tuple[str, ...] = ()
    retry_delay_s: float | None = None
    searched: str = ""


def _kind_of(status: int, said: _GoogleError) -> Refusal:
    if status == 429:
        return _kind_of_429(said.searched)
    if status >= 500 or status == 303:
        # 303 says: carried out, see elsewhere. Other redirects were not carried out, and are never followed.
        return Refusal.AMBIGUOUS
    return _KIND_OF_STATUS.get(status, Refusal.INVALID)


def _kind_of_429(text: str) -> Refusal:
    if _CONCURRENT_JOBS.search(text):
        return Refusal.QUOTA
    if _ACCELERATORS.search(text):
        return Refusal.ACCELERATOR
    if _PER_TIME.search(text):
        return Refusal.RATE
    if _OVER_QUOTA.search(text) and "tuning" in text.lower():
        return Refusal.QUOTA
    return Refusal.RATE


def _google_error(body: bytes) -> _GoogleError:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return _page(body)
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return _page(body)
    details = [one for one in _list(error.get("details")) if isinstance(one, dict)]
    status = error.get("status")
    return _GoogleError(
        message=error["message"][:_MESSAGE_MAX_CHARS],
        status=status[:100] if isinstance(status, str) else "",
        violations=tuple(_violations(details)),
        retry_delay_s=_retry_delay_s(details),
        searched="\n".join(_strings(error)),
    )


def _page(body: bytes) -> _GoogleError:
    text = " ".join(body[: 4 * _PAGE_MAX_CHARS].decode(errors="replace").split())[:_PAGE_MAX_CHARS]
    return _GoogleError(message=f"not an answer of the API: {text}" if text else "nothing", searched=text)


def _violations(details: list[dict[str, Any]]) -> Iterator[str]:
    for detail in details:
        for one in _list(detail.get("fieldViolations")):
            if isinstance(one, dict):
                yield f"{one.get('field', '?')}: {one.get('description', '')}"[:_MESSAGE_MAX_CHARS]


def _retry_delay_s(details: list[dict[str, Any]]) -> float | None:
    for detail in details:
        # google.rpc.RetryInfo; a duration is written as seconds with an s, "3.5s".
        match = re.fullmatch(r"(\d{1,6}(\.\d{1,9})?)s", str(detail.get("retryDelay", "")))
        if match:
            return float(match[1])
    return None


def _retry_after_s(reply: Reply, said: _GoogleError, now: datetime) -> float | None:
    text = reply.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    until = _http_date(text)
    if until is not None:
        return max(0.0, (until - (server_time(reply) or now)).total_seconds())
    return said.retry_delay_s


def _http_date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
        # A date without a zone is in UTC by the standard. Source: RFC 9110, section 5.6.7.
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _strings(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    # Google's details are five levels deep; what is nested without end is not Google's.
    elif isinstance(value, dict | list) and depth < _DETAILS_MAX_DEPTH:
        if isinstance(value, dict):
            yield from value
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one, depth + 1)
