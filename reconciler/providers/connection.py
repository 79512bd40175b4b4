"""One request turned into one reply, and everything httpx can raise turned into one exception.

The only module that touches httpx, which it imports when the first request is made. It never repeats a request,
follows a redirect or looks into a body.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.errors import UsageError
from reconciler.version import __version__

if TYPE_CHECKING:
    import httpx

# Above ten connections a client of httpcore 1.0 spends its time searching its own pool.
# Source: measured; the search is quadratic, https://github.com/encode/httpcore/pull/1035.
MAX_CONNECTIONS = 10
MAX_BODY_BYTES = 64 * 1024 * 1024
# Plain hosts that no proxy stands in front of: this machine, and the metadata server of a Google machine.
_NEVER_PROXIED = ("localhost", "127.0.0.1", "[::1]", "169.254.169.254", "metadata.google.internal")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each step of a request may take, in seconds. `pool_s` is the wait for a free connection."""

    connect_s: float = 10.0
    read_s: float = 60.0
    write_s: float = 30.0
    pool_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unanswered(Exception):
    """No whole answer came. `sent` is false where the request certainly never reached the service.

    Its text is ours, not the library's: the library quotes header values, and one of them is the token.
    """

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.why = why
        self.sent = sent


class Connection:
    """The one client of a session: one connection pool and one TLS context for all hosts, safe between threads.

    `transport` stands in for the network (a simulator, a test). Without it the environment's HTTPS_PROXY, NO_PROXY,
    SSL_CERT_FILE and SSL_CERT_DIR count.
    """

    def __init__(
        self,
        *,
        transport: httpx.BaseTransport | None = None,
        timeouts: Timeouts | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._transport = transport
        self._timeouts = timeouts or Timeouts()
        self._max_body_bytes = max_body_bytes
        self._lock = threading.Lock()
        self._made: httpx.Client | None = None

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        timeouts: Timeouts | None = None,
    ) -> Reply:
        """Send one request once and read its whole answer, whatever its status.

        Raises Unanswered when none came, UsageError when the environment's proxy or certificate settings are unusable.
        """
        client = self._client()
        try:
            with client.stream(
                method,
                url,
                headers=dict(headers),
                params=None if params is None else dict(params),
                content=content,
                timeout=_httpx_timeout(timeouts or self._timeouts),
            ) as response:
                body = self._read(response)
                lower = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status_code, lower, body)
        except _foreign_errors() as error:
            raise unanswered(error) from None

    def close(self) -> None:
        """Close all connections; the next request opens new ones."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def _read(self, response: httpx.Response) -> bytes:
        parts, total = [], 0
        for part in response.iter_bytes():
            total += len(part)
            if total > self._max_body_bytes:
                raise Unanswered(f"the answer is longer than {self._max_body_bytes} bytes", sent=True)
            parts.append(part)
        return b"".join(parts)

    def _client(self) -> httpx.Client:
        with self._lock:
            if self._made is None:
                self._made = self._new_client()
            return self._made

    def _new_client(self) -> httpx.Client:
        import httpx

        headers = {"user-agent": f"tuneform/{__version__}", "accept": "application/json"}
        if self._transport is not None:
            return httpx.Client(transport=self._transport, headers=headers, trust_env=False, follow_redirects=False)
        try:
            return httpx.Client(
                # One context for the direct connection and every proxy; httpx would build one for each.
                verify=httpx.create_ssl_context(),
                headers=headers,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS),
                mounts={f"all://{host}": None for host in _NEVER_PROXIED},
            )
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            raise UsageError(
                "The network settings of the environment cannot be used",
                f"{error}. Look at HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR.",
            ) from None


def unanswered(error: Exception) -> Unanswered:
    """What one of httpx's exceptions means for the request; anything that is not known to be unsent counts as sent."""
    import httpx

    if isinstance(error, Unanswered):
        return error
    for kinds, why, sent in (
        (httpx.ConnectTimeout, "the connection was not made in time", False),
        # Errors of connecting come from the system's resolver, sockets and TLS, before any header was written.
        (httpx.ConnectError, f"no connection: {error}", False),
        (httpx.PoolTimeout, "no connection became free in time", False),
        (httpx.ProxyError, f"the proxy refused: {error}", False),
        ((httpx.UnsupportedProtocol, httpx.InvalidURL), "the URL cannot be asked", False),
        (httpx.TimeoutException, "the answer did not come in time", True),
        (httpx.NetworkError, "the connection broke", True),
        (httpx.ProtocolError, "the connection broke, or the answer was cut off", True),
        (httpx.DecodingError, "the answer's compression is broken", True),
    ):
        if isinstance(error, kinds):
            return Unanswered(why, sent=sent)
    return Unanswered(f"the HTTP client failed ({type(error).__name__})", sent=True)


def _foreign_errors() -> tuple[type[Exception], ...]:
    import httpx

    return (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)


def _httpx_timeout(timeouts: Timeouts) -> httpx.Timeout:
    import httpx

    return httpx.Timeout(connect=timeouts.connect_s, read=timeouts.read_s, write=timeouts.write_s, pool=timeouts.pool_s)
