"""Answers that are no success, told apart."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ApiError, Refusal
from reconciler.providers.connection import Reply, Unanswered
from reconciler.providers.refusals import lost, refusal_of, server_time

NESTED = json.loads("[" * 400 + "]" * 400)
NOW = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)


def error_body(message: str, *, code: int = 429, status: str = "RESOURCE_EXHAUSTED", details: Any = None) -> bytes:
    """Google's error envelope."""
    error = {"code": code, "message": message, "status": status}
    return json.dumps({"error": error if details is None else {**error, "details": details}}).encode()


def refusal(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> ApiError:
    """The refusal that an answer stands for."""
    reply = Reply(status, headers or {}, body)
    return refusal_of(reply, doing="create the tuning job", host="us-central1-aiplatform.googleapis.com", now=NOW)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, Refusal.INVALID),
        (302, Refusal.INVALID),
        (303, Refusal.AMBIGUOUS),
        (307, Refusal.INVALID),
        (400, Refusal.INVALID),
        (401, Refusal.UNAUTHENTICATED),
        (403, Refusal.PERMISSION),
        (404, Refusal.NOT_FOUND),
        (405, Refusal.INVALID),
        (407, Refusal.UNREACHABLE),
        (408, Refusal.AMBIGUOUS),
        (409, Refusal.CONFLICT),
        (412, Refusal.CONFLICT),
        (413, Refusal.INVALID),
        (429, Refusal.RATE),
        (499, Refusal.AMBIGUOUS),
        (500, Refusal.AMBIGUOUS),
        (502, Refusal.AMBIGUOUS),
        (503, Refusal.AMBIGUOUS),
        (504, Refusal.AMBIGUOUS),
        (599, Refusal.AMBIGUOUS),
    ],
)
def test_each_status_has_its_meaning(status: int, kind: Refusal) -> None:
    """Only what may have been carried out is ambiguous; the status is kept."""
    error = refusal(status)
    assert (kind, status) == (error.kind, error.status)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (
            "The following quota metrics exceed quota limits: aiplatform.googleapis.com/global_concurrent_tuning_jobs",
            Refusal.QUOTA,
        ),
        ("Quota 'Global concurrent tuning jobs' exceeded. Limit: 1 in project demo.", Refusal.QUOTA),
        ("Global concurrent managed OSS model fine-tuning jobs per project: limit 1 reached", Refusal.QUOTA),
        ("Quota exceeded for aiplatform.googleapis.com/tuning with base model: gemini", Refusal.QUOTA),
        (
            "The following quota metrics exceed quota limits: "
            "aiplatform.googleapis.com/restricted_image_training_nvidia_a100_80gb_gpus",
            Refusal.ACCELERATOR,
        ),
        (
            "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_tpu_v3",
            Refusal.ACCELERATOR,
        ),
        (
            "Quota exceeded for quota metric 'Job or LRO submission requests' and limit 'Job or LRO submission requests"
            " per minute per region' of service 'aiplatform.googleapis.com' for consumer 'project_number:1'.",
            Refusal.RATE,
        ),
        ("Resource exhausted, please try again later.", Refusal.RATE),
        ("", Refusal.RATE),
    ],
)
def test_the_four_meanings_of_429_are_told_by_their_words(message: str, kind: Refusal) -> None:
    """A full tuning quota, a region without accelerators and too many requests ask for different things."""
    assert kind is refusal(429, error_body(message)).kind


@pytest.mark.parametrize(
    ("detail", "kind"),
    [
        ({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED"}, Refusal.RATE),
        ({"metadata": {"quota_metric": "aiplatform.googleapis.com/global_concurrent_tuning_jobs"}}, Refusal.QUOTA),
        ({"violations": [{"subject": "custom_model_training_nvidia_l4_gpus"}]}, Refusal.ACCELERATOR),
    ],
)
def test_the_details_of_a_429_count_too(detail: dict[str, Any], kind: Refusal) -> None:
    """Where the message is general, the structured details decide."""
    assert kind is refusal(429, error_body("Tuning quota exceeded", details=[detail])).kind


def test_googles_words_are_kept_with_every_violation_and_what_to_do() -> None:
    """The detail is Google's message as it came, each field it names, and the next step."""
    message = "List of found errors:\t1.Field: tuning_job.supervised_tuning_spec.training_dataset_uri; Message: ...\t"
    violation = {
        "field": "tuning_job.supervised_tuning_spec.training_dataset_uri",
        "description": "training_dataset_uri should be a GCS object of type JSONL.",
    }
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
    error = refusal(400, error_body(message, code=400, status="INVALID_ARGUMENT", details=details))
    assert "Could not create the tuning job: the request was refused" == error.summary
    assert [
        f"us-central1-aiplatform.googleapis.com answered 400 INVALID_ARGUMENT: {message}",
        f"{violation['field']}: {violation['description']}",
        "Nothing was done, and repeating it unchanged will not help: correct what the message names.",
    ] == error.detail.split("\n")


def test_a_page_in_place_of_an_answer_is_quoted_in_short() -> None:
    """A proxy's page is shown as far as it helps, on one line."""
    error = refusal(502, b"<html>\n<title>Bad  Gateway</title>" + b"x" * 10_000)
    first = error.detail.split("\n")[0]
    assert "answered 502: not an answer of the API: <html> <title>Bad Gateway</title>xxx" in first
    assert len(first) < 500


def test_an_error_in_a_list_is_read() -> None:
    """Some of Google's front ends wrap the envelope in a list."""
    assert Refusal.QUOTA is refusal(429, b"[" + error_body("concurrent tuning jobs") + b"]").kind


def test_missing_credentials_name_the_command() -> None:
    """A 401 comes with the command that signs in again."""
    assert "gcloud auth application-default login" == refusal(401).command


@pytest.mark.parametrize(
    ("headers", "details", "expected"),
    [
        ({}, [], None),
        ({"retry-after": "30"}, [], 30.0),
        ({"retry-after": "soon"}, [], None),
        ({"retry-after": "-3"}, [], None),
        ({"retry-after": "Fri, 20 Nov 2026 18:32:00 GMT"}, [], 120.0),
        ({"retry-after": "Fri, 20 Nov 2026 18:32:00 GMT", "date": "Fri, 20 Nov 2026 18:31:30 GMT"}, [], 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 18:00:00 GMT"}, [], 0.0),
        ({}, [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}], 3.5),
        ({"retry-after": "30"}, [{"retryDelay": "3.5s"}], 30.0),
    ],
)
def test_the_rest_a_server_asks_for_is_read(
    headers: dict[str, str], details: list[dict[str, str]], expected: float | None
) -> None:
    """Retry-After in seconds or as a date by the server's clock, else RetryInfo."""
    assert expected == refusal(503, error_body("later", details=details), headers).retry_after_s


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Fri, 20 Nov 2026 18:30:00 GMT", NOW),
        ("Fri, 20 Nov 2026 18:30:00 -0000", NOW),
        ("Fri, 20 Nov 2026 20:30:00 +0200", NOW),
        ("", None),
        ("today", None),
        ("Fri, 99 Nov 2026 18:30:00 GMT", None),
    ],
)
def test_the_servers_time_is_aware_utc_or_unknown(date: str, expected: datetime | None) -> None:
    """The Date header is read in any zone; what cannot be read is no time."""
    actual = server_time(Reply(200, {"date": date}, b""))
    assert expected == actual
    assert actual is None or actual.tzinfo is UTC


@pytest.mark.parametrize(
    ("sent", "changes", "kind", "advice"),
    [
        (False, True, Refusal.UNREACHABLE, "Nothing was sent."),
        (False, False, Refusal.UNREACHABLE, "Nothing was sent."),
        (True, True, Refusal.AMBIGUOUS, "It is open whether the request took effect"),
        (True, False, Refusal.AMBIGUOUS, "Nothing was changed."),
    ],
)
def test_a_missing_answer_is_ambiguous_only_if_the_request_was_sent(
    sent: bool, changes: bool, kind: Refusal, advice: str
) -> None:
    """What never left is unreachable, and a read that got lost changed nothing."""
    error = lost(Unanswered("the connection broke", sent=sent), doing="x", host="h", changes=changes)
    assert kind is error.kind
    assert advice in error.detail


@given(st.integers(300, 599), st.binary(max_size=200), st.text(max_size=40), st.text(max_size=40))
def test_any_answer_becomes_an_error_with_words(status: int, body: bytes, retry_after: str, date: str) -> None:
    """Whatever bytes a server or proxy sends, the user gets a sentence."""
    error = refusal(status, body, {"retry-after": retry_after, "date": date})
    assert error.summary.startswith("Could not create the tuning job: ")
    assert error.retry_after_s is None or error.retry_after_s >= 0


@pytest.mark.parametrize(
    "document",
    [
        {"error": "invalid_grant"},
        {"error": {"message": 5}},
        {"error": {"message": "m", "status": 7, "details": {"a": 1}}},
        {"error": {"message": "m", "details": [None, {"fieldViolations": [3, {}]}, {"fieldViolations": "x"}]}},
        [],
        [[]],
        None,
        {"error": {"message": "m", "details": [NESTED]}},
    ],
)
def test_odd_error_documents_are_no_trouble(document: object) -> None:
    """An envelope of another shape still gives an error of the right kind."""
    assert Refusal.INVALID is refusal(400, json.dumps(document).encode()).kind
