"""The environment turned into bearer tokens, refreshed once for all who wait. May ask Google's token services.

Imports google-auth when a token has to be refreshed, never before.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from reconciler.errors import CredentialsError, TuneformError
from reconciler.providers.connection import Connection, Timeouts, Unanswered
from reconciler.providers.credentials import (
    ACCESS_TOKEN_VARIABLE,
    SIGN_IN,
    Credentials,
    find_credentials,
    mute,
    quota_project,
)

_TOKEN = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request bears: a token, never shown, and the project that pays for the request where it is another."""

    token: str = field(repr=False)
    quota_project: str | None = None


class Tokens(Protocol):
    """Where grants come from; safe between threads. Both methods may do I/O and raise CredentialsError or ApiError."""

    def current(self) -> Grant:
        """A grant that is good now."""

    def renewed(self, rejected: Grant) -> Grant | None:
        """Another grant in place of one that was answered with 401; None where there is no other."""


class FixedToken:
    """One token for the whole session, for the embedded simulator and TUNEFORM_ACCESS_TOKEN.

    Raises CredentialsError when the text cannot be a token.
    """

    def __init__(self, token: str, *, quota_project: str | None = None) -> None:
        if not _TOKEN.fullmatch(token):
            raise CredentialsError(
                "The access token cannot be used",
                f"{ACCESS_TOKEN_VARIABLE} is empty or holds characters that no token has. Set it to the one line that"
                " this prints:",
                command="gcloud auth print-access-token",
            )
        self._grant = Grant(token, quota_project)

    def current(self) -> Grant:
        """The one grant."""
        return self._grant

    def renewed(self, rejected: Grant) -> Grant | None:
        """There is no other."""
        del rejected
        return None


class GoogleTokens:
    """Tokens of Google credentials, found at first use and refreshed once for all threads that wait for it."""

    def __init__(self, find: Callable[[], Credentials], connection: Connection) -> None:
        self._find = find
        self._request = google_request(connection)
        self._lock = threading.Lock()
        self._found: Credentials | CredentialsError | None = None

    def current(self) -> Grant:
        """A grant that is good for some minutes; asks the token service only when the last one is about to end."""
        with self._lock:
            credentials = self._credentials()
            if not credentials.valid:
                _refresh(credentials, self._request)
            return _grant(credentials)

    def renewed(self, rejected: Grant) -> Grant | None:
        """A grant newer than the rejected one; None when the token service gives the same again."""
        with self._lock:
            credentials = self._credentials()
            # Another thread may have got a new one since.
            if credentials.token == rejected.token:
                _refresh(credentials, self._request)
            fresh = _grant(credentials)
        return None if fresh.token == rejected.token else fresh

    def _credentials(self) -> Credentials:
        if self._found is None:
            try:
                self._found = self._find()
            except CredentialsError as error:
                # Kept, so that ten threads do not wait for ten probes of a metadata server that is not there.
                self._found = error
        if isinstance(self._found, CredentialsError):
            raise self._found
        return self._found


def bearer_tokens(env: Mapping[str, str], connection: Connection) -> Tokens:
    """The tokens the environment asks for; nothing is read or asked before the first is needed.

    TUNEFORM_ACCESS_TOKEN wins over application default credentials. A token that cannot be one raises
    CredentialsError at once.
    """
    if ACCESS_TOKEN_VARIABLE in env:
        return FixedToken(env[ACCESS_TOKEN_VARIABLE].strip(), quota_project=quota_project(env))
    return GoogleTokens(lambda: find_credentials(env, connection), connection)


@dataclass(frozen=True, slots=True)
class _GoogleReply:
    """A reply in the shape google-auth reads."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def google_request(connection: Connection) -> Callable[..., _GoogleReply]:
    """The callable through which google-auth asks token services, over our own connection.

    Source: `google.auth.transport.Request`; google-auth calls it and never asks for its type.
    """

    def request(
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> _GoogleReply:
        from google.auth.exceptions import TransportError

        content = body.encode() if isinstance(body, str) else body
        limits = Timeouts() if timeout is None else Timeouts(*(timeout,) * 4)
        try:
            reply = connection.send(method, url, headers=headers or {}, content=content, timeouts=limits)
        except Unanswered as error:
            raise TransportError(error.why) from None  # type: ignore[no-untyped-call]  # untyped in google-auth
        return _GoogleReply(reply.status, reply.headers, reply.body)

    return request


def _refresh(credentials: Credentials, request: Callable[..., Any]) -> None:
    from google.auth.exceptions import GoogleAuthError, TransportError

    try:
        credentials.refresh(request)
    except TuneformError:
        raise
    except Exception as error:
        # google-auth raises whatever a malformed answer leads it to, not its own errors alone.
        why = (
            _first_words(error)
            if isinstance(error, GoogleAuthError)
            else f"google-auth failed ({type(error).__name__})"
        )
        if isinstance(error, TransportError) or getattr(error, "retryable", False):
            raise mute(why) from None
        raise CredentialsError(
            "Google gave no access token",
            f"{why}. The sign-in may have ended or been withdrawn. Sign in again:",
            command=SIGN_IN,
        ) from None


def _first_words(error: Exception) -> str:
    # Later arguments hold the whole answer of the token service, which may hold tokens.
    return str(error.args[0])[:500].rstrip(". ") if error.args else type(error).__name__


def _grant(credentials: Credentials) -> Grant:
    if not _TOKEN.fullmatch(credentials.token or ""):
        raise CredentialsError("Google gave no access token", "The answer held none. Sign in again:", command=SIGN_IN)
    return Grant(str(credentials.token), credentials.quota_project_id)
