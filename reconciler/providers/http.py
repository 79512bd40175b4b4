"""JSON asked for and sent to Google's APIs: tokens put on, answers read, reads repeated, refusals told apart.

The one place that speaks HTTP for the API clients. A request that creates something is sent exactly once, whatever
happens; the one exception is an answer of 401, which says that nothing was done and that the token was too old.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, assert_never
from urllib.parse import urlsplit

from reconciler.errors import ApiError, Refusal
from reconciler.model.clock import Clock
from reconciler.providers.auth import Grant, Tokens
from reconciler.providers.connection import Connection, Reply, Unanswered
from reconciler.providers.refusals import lost, refusal_of, server_time, unreadable

# Source: https://cloud.google.com/vertex-ai/generative-ai/docs/retry-strategy: 408, 429 and 5xx, exponential, jitter.
READ_ATTEMPTS = 4
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
_JSON = "application/json; charset=utf-8"
# A server that asks for a longer rest than this gets it from the caller, who has other things to do meanwhile.
LONGEST_RETRY_AFTER_S = 60.0
# Google's access tokens are above a hundred characters long.
SECRET_MIN_CHARS = 16
# Only tuneform's simulator sends this header: simulated seconds per real second, so that polling can keep pace.
SIMULATOR_SPEED_HEADER = "x-tuneform-simulator-speed"


class Repeat(Enum):
    """When a request may be sent again."""

    NEVER = "never"
    IF_UNSENT = "if unsent"
    IF_FAILED = "if failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON object, and the server's time when it was given (ours where the server tells none), aware UTC."""

    document: Mapping[str, Any]
    at: datetime


class Http:
    """A speaker of Google's JSON over one connection, safe between threads.

    `jitter` gives numbers in [0, 1) and spreads the delays between attempts at a read.
    """

    def __init__(
        self, *, connection: Connection, tokens: Tokens, clock: Clock, jitter: Callable[[], float] = random.random
    ) -> None:
        self._connection = connection
        self._tokens = tokens
        self._clock = clock
        self._jitter = jitter
        self._simulator_speed: float | None = None

    @property
    def simulator_speed(self) -> float | None:
        """Simulated seconds per real second, as the last answer told it; None when no simulator has answered."""
        return self._simulator_speed

    def get_json(self, url: str, *, doing: str, params: Mapping[str, str] | None = None) -> Answer:
        """Ask for a JSON object; repeated when the network, the rate or the server fails, with growing pauses.

        `doing` goes into "Could not ...". Raises ApiError or CredentialsError.
        """
        return self._ask("GET", url, doing=doing, params=params, content=None, repeat=Repeat.IF_FAILED)

    def post_json(self, url: str, body: Mapping[str, Any], *, doing: str, repeat: Repeat = Repeat.NEVER) -> Answer:
        """Send a JSON object, once unless `repeat` says more; an AMBIGUOUS ApiError leaves open what it did.

        Raises ApiError or CredentialsError.
        """
        content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        return self._ask("POST", url, doing=doing, params=None, content=content, repeat=repeat)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._connection.close()

    def _ask(
        self,
        method: str,
        url: str,
        *,
        doing: str,
        params: Mapping[str, str] | None,
        content: bytes | None,
        repeat: Repeat,
    ) -> Answer:
        attempt = 1
        while True:
            try:
                return self._once(method, url, doing=doing, params=params, content=content)
            except ApiError as error:
                delay_s = delay_before_repeat_s(error, attempt, repeat, self._jitter())
                if delay_s is None:
                    raise
            self._clock.sleep(delay_s)
            attempt += 1

    def _once(
        self, method: str, url: str, *, doing: str, params: Mapping[str, str] | None, content: bytes | None
    ) -> Answer:
        host, changes = urlsplit(url).netloc, method != "GET"
        try:
            reply = self.reply(method, url, params=params, content=content)
        except Unanswered as error:
            raise lost(error, doing=doing, host=host, changes=changes) from None
        now = self._clock.now()
        if not 200 <= reply.status < 300:
            raise refusal_of(reply, doing=doing, host=host, now=now)
        self._simulator_speed = _speed(reply)
        try:
            document = _json_object(reply)
        except ValueError as error:
            raise unreadable(str(error), status=reply.status, doing=doing, host=host, changes=changes) from None
        return Answer(document, server_time(reply) or now)

    def reply(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        content_type: str = _JSON,
    ) -> Reply:
        """The reply under a good token, whatever its status: one answered with 401 is renewed once, if it can be.

        For who reads replies that are not JSON. Raises Unanswered, ApiError or CredentialsError.
        """
        grant = self._tokens.current()
        reply = self._sent(method, url, params, content, content_type, grant)
        if reply.status != 401:
            return reply
        fresh = self._tokens.renewed(grant)
        return reply if fresh is None else self._sent(method, url, params, content, content_type, fresh)

    def _sent(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        content: bytes | None,
        content_type: str,
        grant: Grant,
    ) -> Reply:
        headers = {"authorization": f"Bearer {grant.token}"}
        if grant.quota_project is not None:
            headers["x-goog-user-project"] = grant.quota_project
        if content is not None:
            headers["content-type"] = content_type
        reply = self._connection.send(method, url, headers=headers, params=params, content=content)
        if reply.status < 300:
            return reply
        # A proxy's error page may echo the request's headers.
        return Reply(reply.status, reply.headers, _without_token(reply.body, grant.token))


def delay_before_repeat_s(error: ApiError, attempt: int, repeat: Repeat, jitter: float) -> float | None:
    """Seconds to wait before the next attempt; None when there is to be none.

    `attempt` is the number of the attempt that failed, from 1; `jitter` is in [0, 1).
    """
    if attempt >= READ_ATTEMPTS or not _may_repeat(error.kind, repeat):
        return None
    asked_s = error.retry_after_s or 0.0
    if asked_s > LONGEST_RETRY_AFTER_S:
        return None
    own_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** (attempt - 1)) * (0.5 + jitter / 2)
    return max(own_s, asked_s)


def _may_repeat(kind: Refusal, repeat: Repeat) -> bool:
    match repeat:
        case Repeat.NEVER:
            return False
        case Repeat.IF_UNSENT:
            return kind is Refusal.UNREACHABLE
        case Repeat.IF_FAILED:
            return kind in (Refusal.UNREACHABLE, Refusal.AMBIGUOUS, Refusal.RATE)
        case _:
            assert_never(repeat)


def _json_object(reply: Reply) -> Mapping[str, Any]:
    """The body as a JSON object, whatever its content type says; raises ValueError with words for the user."""
    if reply.status == 204:
        return {}
    try:
        document = json.loads(reply.body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ValueError(f"it answered {reply.status} with something that is not JSON, or was cut off") from None
    if not isinstance(document, dict):
        raise ValueError(f"it answered {reply.status} with JSON that is not an object")
    return document


def _without_token(body: bytes, token: str) -> bytes:
    # A short token is no secret but a word, such as an emulator takes; it may stand in any message.
    secret = token if len(token) >= SECRET_MIN_CHARS else f"Bearer {token}"
    return body.replace(secret.encode(), b"[token]")


def _refuse_constant(name: str) -> None:
    # NaN and Infinity are no JSON, though Python's parser takes them.
    raise ValueError(name)


def _speed(reply: Reply) -> float | None:
    try:
        speed = float(reply.headers.get(SIMULATOR_SPEED_HEADER, ""))
    except ValueError:
        return None
    return speed if math.isfinite(speed) and speed > 0 else None
