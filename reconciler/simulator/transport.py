"""The simulator behind httpx: the same client, no socket. Imports httpx, so import this module late."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from reconciler.simulator.answers import Request, Response


class SimulatorTransport(httpx.BaseTransport):
    """An httpx transport that asks a simulator. As thread-safe as `respond`."""

    def __init__(self, respond: Callable[[Request], Response]) -> None:
        self._respond = respond

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The simulator's answer to the request."""
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
        return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body, request=request)
