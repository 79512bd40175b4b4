"""The simulator on a socket of this machine: HTTP/1.1 by the standard library's server, one thread a connection."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import assert_never

from reconciler.errors import TuneformError, UsageError
from reconciler.simulator.answers import JSON_TYPE, Delivery, Request, Response, internal
from reconciler.simulator.faults import Faults
from reconciler.simulator.settings import OverQuota
from reconciler.simulator.simulator import AdapterSizes, Simulator

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_BODY_MAX_BYTES = 10 * 1024 * 1024
_IDLE_S = 120


class SimulatorServer(ThreadingHTTPServer):
    """A bound server; `serve_forever` answers until `shutdown` is called from another thread.

    Close it with `server_close`, or use it in a `with` statement. `pause` waits so many real seconds, where a fault
    makes a request or its answer late.
    """

    # A restarted server must not wait for connections of the one before it.
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, host: str, port: int, respond: Callable[[Request], Response], pause: Callable[[float], None]
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.respond = respond
        self.pause = pause
        super().__init__((host, port), _Connection)

    @property
    def port(self) -> int:
        """The port it is bound to, also where 0 was asked."""
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away; its connection is closed, and that is all there is to do."""


class _Connection(BaseHTTPRequestHandler):
    """One connection, kept alive from request to request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = _IDLE_S
    server: SimulatorServer

    def _answer(self) -> None:
        refusal = self._refusal()
        if refusal is not None:
            self._refuse(refusal)
            return
        try:
            answer = self._timely(self._request())
        except TuneformError as error:
            # The world's file was spoiled while it was served; the client is told what the user would be told.
            body = json.dumps(internal(f"{error.summary}: {error.detail}").as_json()).encode()
            answer = Response(status=500, headers={"content-type": JSON_TYPE}, body=body)
        match answer.delivery:
            case Delivery.WHOLE | Delivery.LATE | Delivery.NOT_YET:
                self._send(answer, answer.body)
            case Delivery.TRUNCATED:
                self._send(answer, answer.body[: len(answer.body) // 2])
                self.close_connection = True
            case Delivery.RESET:
                self._reset()
            case never:
                assert_never(never)

    def _timely(self, request: Request) -> Response:
        """The answer, once it is due. The world is free for others meanwhile."""
        answer = self.server.respond(request)
        if answer.delay_s > 0:
            self.server.pause(answer.delay_s)
        if answer.delivery is Delivery.NOT_YET:
            return self.server.respond(replace(request, is_spared=True))
        return answer

    def _send(self, answer: Response, body: bytes) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _reset(self) -> None:
        """End the connection with RST: closed at once with nothing lingering, past the streams that hold it open."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())

    def _request(self) -> Request:
        path, _, query = self.path.partition("?")
        return Request(
            method=self.command,
            path=path,
            host=self.headers.get("host", ""),
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("content-length", "0"))),
        )

    def _refusal(self) -> int | None:
        """The status that refuses a body whose length cannot be told or is too much; None for a body to read."""
        text = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers:
            return 411
        if not (text.isascii() and text.isdecimal()):
            return 400
        return 413 if int(text) > _BODY_MAX_BYTES else None

    def _refuse(self, status: int) -> None:
        """Answer without having read the body, which ends the connection."""
        self.close_connection = True
        self.send_response_only(status)
        self.send_header("content-length", "0")
        self.send_header("connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what the server does is seen in its world."""

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = _answer


def open_server(
    simulator: Simulator, *, host: str = "127.0.0.1", port: int = 0, pause: Callable[[float], None] = time.sleep
) -> SimulatorServer:
    """A server bound to a loopback address, port 0 for any free one. Does I/O.

    Raises UsageError for an address that is not this machine's own, TuneformError where the port is taken.
    """
    if host not in LOOPBACK_HOSTS:
        raise UsageError(
            "The simulator serves this machine only",
            f"{host} can be reached from elsewhere, and it lets anybody in. Use 127.0.0.1, localhost or ::1.",
        )
    try:
        return SimulatorServer(host, port, simulator.respond, pause)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TuneformError(
            "The simulator cannot listen", f"{host}, port {port}: {reason}. Choose another port, or 0 for any free one."
        ) from None


def serve(
    world_path: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    speed: float | None = None,
    concurrent_jobs: int | None = None,
    over_quota: OverQuota | None = None,
    faults: Faults | None = None,
    adapter_sizes: AdapterSizes | None = None,
    announce: Callable[[SimulatorServer], None],
) -> None:
    """Serve the world in a file until KeyboardInterrupt, or `shutdown` of the server that `announce` is handed.

    The world is saved after every request that changed it, so there is nothing to do at the end. Raises what
    Simulator.on_file and open_server raise.
    """
    simulator = Simulator.on_file(
        world_path,
        speed=speed,
        concurrent_jobs=concurrent_jobs,
        over_quota=over_quota,
        faults=faults,
        adapter_sizes=adapter_sizes,
    )
    with open_server(simulator, host=host, port=port) as server:
        announce(server)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            # Ctrl-C is how it is stopped, not an error.
            return
