"""A bucket of Google Cloud Storage, over our own HTTP client and the JSON API. Versions are generations.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects and
https://cloud.google.com/storage/docs/request-preconditions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from reconciler.backends.bucket import ConditionError, UnsettledError, named_endpoint
from reconciler.errors import ApiError, CredentialsError, Refusal, StateError
from reconciler.model.clock import Clock
from reconciler.providers.connection import Reply, Unanswered
from reconciler.providers.http import Http
from reconciler.providers.refusals import refusal_of
from reconciler.state.store import Blob

EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
_HOST = "https://storage.googleapis.com"
_CONTENT_TYPE = "text/plain; charset=utf-8"
_TEXT_MAX_CHARS = 500

_PERMISSIONS = (
    "Whoever runs tuneform needs the role roles/storage.objectUser on the bucket, which reads, writes, lists and "
    "deletes its objects."
)
_ADVICE: Mapping[Refusal, str] = {
    Refusal.UNAUTHENTICATED: "The token has expired or is of another kind: sign in again.",
    Refusal.PERMISSION: _PERMISSIONS,
    Refusal.NOT_FOUND: "There is no such bucket. Check its name in the stack, or create it:",
}
_ADVICE_ELSE = "Repeating it unchanged will not help: correct what the message names."
_PAYER = "The bucket lets its readers pay: set GOOGLE_CLOUD_QUOTA_PROJECT to the project that is to."


def storage_url(env: Mapping[str, str]) -> str:
    """Where the API is: Google's host, or the one in STORAGE_EMULATOR_HOST, with or without http:// before it.

    Raises UsageError for one that is not https, or http to this machine.
    """
    emulator = env.get(EMULATOR_VARIABLE)
    if not emulator:
        return _HOST
    return named_endpoint(EMULATOR_VARIABLE, emulator if "://" in emulator else f"http://{emulator}")


class GcsBucket:
    """One bucket behind the JSON API at `base_url`; safe between threads."""

    def __init__(self, name: str, *, http: Http, base_url: str, clock: Clock) -> None:
        self._name = name
        self._http = http
        self._base_url = base_url
        self._clock = clock

    @property
    def url(self) -> str:
        """gs:// and the bucket's name."""
        return f"gs://{self._name}"

    def get(self, name: str) -> Blob | None:
        """The object and its generation, from one request."""
        reply = self._ask("GET", self._object(name), {"alt": "media"})
        if reply.status == 404:
            self._check_bucket()
            return None
        self._check(reply, f"read {self.url}/{name}")
        generation = reply.headers.get("x-goog-generation", "")
        if not generation.isdecimal():
            raise self._strange("it sent an object without its generation")
        return Blob(reply.body, generation)

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        """Upload under ifGenerationMatch, 0 for an object that must not be there."""
        condition = "0" if expected is None else _generation(expected)
        params = {"uploadType": "media", "name": name, "ifGenerationMatch": condition}
        reply = self._ask("POST", f"{self._base_url}/upload/storage/v1/b/{self._name}/o", params, content)
        if reply.status == 412:
            raise ConditionError
        self._check(reply, f"write {self.url}/{name}")
        generation = str(self._document(reply).get("generation", ""))
        if not generation.isdecimal():
            raise self._strange("it took an object without telling its generation")
        return generation

    def copy(self, name: str, to: str, expected: str) -> None:
        """Copy within the bucket under ifSourceGenerationMatch; the bytes stay where they are."""
        url = f"{self._object(name)}/copyTo/b/{self._name}/o/{quote(to, safe='')}"
        reply = self._ask("POST", url, {"ifSourceGenerationMatch": _generation(expected)})
        if reply.status in (404, 412):
            raise ConditionError
        self._check(reply, f"copy {self.url}/{name}")

    def delete(self, name: str) -> None:
        """Delete whatever generation is there."""
        reply = self._ask("DELETE", self._object(name), {})
        if reply.status != 404:
            self._check(reply, f"delete {self.url}/{name}")

    def list(self, prefix: str) -> tuple[str, ...]:
        """The names below the prefix, page after page."""
        names: list[str] = []
        params = {"prefix": prefix, "fields": "items/name,nextPageToken"}
        while True:
            page = self._page(params)
            names += [str(item["name"]) for item in page.get("items", ())]
            if not page.get("nextPageToken"):
                return tuple(names)
            params["pageToken"] = str(page["nextPageToken"])

    def _page(self, params: Mapping[str, str]) -> Mapping[str, Any]:
        reply = self._ask("GET", f"{self._base_url}/storage/v1/b/{self._name}/o", params)
        self._check(reply, f"list {self.url}")
        return self._document(reply)

    def _check_bucket(self) -> None:
        """Raise StateError when there is no such bucket: a misspelt one must not look like a stack without a state."""
        self._page({"maxResults": "1", "fields": "nextPageToken"})

    def _object(self, name: str) -> str:
        return f"{self._base_url}/storage/v1/b/{self._name}/o/{quote(name, safe='')}"

    def _ask(self, method: str, url: str, params: Mapping[str, str], content: bytes | None = None) -> Reply:
        """One reply that settles the matter, good or bad."""
        try:
            reply = self._http.reply(method, url, params=params, content=content, content_type=_CONTENT_TYPE)
        except Unanswered as error:
            raise UnsettledError(error.why, is_open=error.sent) from None
        except ApiError as error:
            # The token service did not answer, so nothing was sent.
            raise UnsettledError(error.summary, is_open=False) from None
        except CredentialsError as error:
            raise StateError(error.summary, error.detail, command=error.command) from None
        if reply.status in (408, 409, 429, 499) or reply.status >= 500:
            refusal = refusal_of(reply, doing="", host="", now=self._clock.now())
            raise UnsettledError(
                f"Cloud Storage answered {_said(reply)}",
                # 409 says that another change was under way; neither it nor 429 changes anything.
                is_open=reply.status not in (409, 429),
                asked_s=refusal.retry_after_s,
            )
        return reply

    def _check(self, reply: Reply, doing: str) -> None:
        if 200 <= reply.status < 300:
            return
        kind = refusal_of(reply, doing=doing, host="", now=self._clock.now()).kind
        said = _said(reply)
        raise StateError(
            f"Could not {doing}",
            f"Cloud Storage answered {said}. {_PAYER if 'requester pays' in said else _ADVICE.get(kind, _ADVICE_ELSE)}",
            command={
                Refusal.UNAUTHENTICATED: "gcloud auth application-default login",
                Refusal.NOT_FOUND: f"gcloud storage buckets create {self.url} --uniform-bucket-level-access",
            }.get(kind),
        )

    def _document(self, reply: Reply) -> Mapping[str, Any]:
        try:
            document = json.loads(reply.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise UnsettledError("its answer is not the API's JSON, or was cut off", is_open=True)
        return document

    def _strange(self, what: str) -> StateError:
        return StateError(
            "This is not Cloud Storage",
            f"{self._base_url} was asked for {self.url}, and {what}. Check {EMULATOR_VARIABLE}, and any proxy between.",
        )


def _generation(version: str) -> str:
    # What is no number was never a generation here, and the API would call it a bad request.
    if not version.isdecimal():
        raise ConditionError
    return version


def _said(reply: Reply) -> str:
    """The status and the API's own words; a download's errors are plain text."""
    try:
        text = str(json.loads(reply.body)["error"]["message"])
    except (ValueError, RecursionError, LookupError, TypeError):
        text = reply.body.decode(errors="replace")
    words = " ".join(text.split())[:_TEXT_MAX_CHARS].rstrip(".")
    return f"{reply.status}: {words}" if words else str(reply.status)
