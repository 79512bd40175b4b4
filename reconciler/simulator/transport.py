"""The simulator behind httpx: the same client, no socket. Imports httpx, so import this module late.

Faults of the network are raised as the errors that httpx raises for real ones; nothing waits for a time-out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import assert_never

import httpx

from reconciler.simulator.answers import Delivery, Request, Response


class SimulatorTransport(httpx.BaseTransport):
    """An httpx transport that asks a simulator. As thread-safe as `respond`."""

    def __init__(self, respond: Callable[[Request], Response]) -> None:
        self._respond = respond

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The simulator's answer to the request; raises httpx.TransportError where a fault keeps it back."""
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        answer = self._respond(
            Request(
                method=request.method,
                path=path,
                host=request.url.host,
                query=query,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.read(),
            )
        )
        return _delivered(answer, request)


class _CutOff(httpx.SyncByteStream):
    """The first half of a body, and then the end of the connection."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        """The half that comes."""
        got = len(self._body) // 2
        yield self._body[:got]
        raise httpx.RemoteProtocolError(
            "peer closed connection without sending complete message body "
            f"(received {got} bytes, expected {len(self._body)})"
        )


def _delivered(answer: Response, request: httpx.Request) -> httpx.Response:
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    match answer.delivery:
        case Delivery.WHOLE:
            return httpx.Response(answer.status, headers=headers, content=answer.body, request=request)
        case Delivery.TRUNCATED:
            return httpx.Response(answer.status, headers=headers, stream=_CutOff(answer.body), request=request)
        case Delivery.RESET:
            raise httpx.ReadError("[Errno 104] Connection reset by peer", request=request)
        case Delivery.LATE:
            raise httpx.ReadTimeout("The read operation timed out", request=request)
        case Delivery.NOT_YET:
            raise httpx.ConnectTimeout("timed out", request=request)
        case never:
            assert_never(never)
