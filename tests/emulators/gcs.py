"""The part of the Cloud Storage JSON API that keeps objects under generation conditions, served on loopback.

Buckets are there from the start; `faults` are spent one a request, and conditions can be `ignored`.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Answer = tuple[int, bytes, Mapping[str, str]]


class Lose(Enum):
    """A connection that breaks before the request is carried out, or after."""

    REQUEST = "request"
    ANSWER = "answer"


class FakeGcs:
    """Objects by bucket and name, each with its generation. Safe between threads."""

    def __init__(self, *buckets: str) -> None:
        self.objects: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.buckets = set(buckets)
        self.faults: deque[Lose | Answer | None] = deque()
        self.requests: list[tuple[str, str, Mapping[str, str]]] = []
        self.ignored: Literal["none", "create", "update"] = "none"
        self._generation = 1_700_000_000_000_000
        self._lock = threading.Lock()

    def text(self, url: str) -> str:
        """The text of the object at gs://bucket/name."""
        bucket, _, name = url.removeprefix("gs://").partition("/")
        return self.objects[bucket, name][1].decode()

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """Carry out one request."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        path = [unquote(one) for one in parts.path.removeprefix("/upload").split("/")[3:]]
        with self._lock:
            if path[1] not in self.buckets:
                return error(404, "The specified bucket does not exist.")
            match method, path:
                case "POST", ["b", bucket, "o"]:
                    return self._put((bucket, query["name"]), body, query.get("ifGenerationMatch"))
                case "GET", ["b", bucket, "o"]:
                    return self._list(bucket, query)
                case "POST", ["b", bucket, "o", name, "copyTo", "b", _, "o", to]:
                    if not self._fits((bucket, name), query.get("ifSourceGenerationMatch")):
                        return error(412, "At least one of the pre-conditions you specified did not hold.")
                    return self._put((bucket, to), self.objects[bucket, name][1], None)
                case "GET" | "DELETE", ["b", bucket, "o", name] if (bucket, name) not in self.objects:
                    return 404, f"No such object: {bucket}/{name}".encode(), {}
                case "GET", ["b", bucket, "o", name]:
                    generation, content = self.objects[bucket, name]
                    return 200, content, {"x-goog-generation": str(generation)}
                case "DELETE", ["b", bucket, "o", name]:
                    del self.objects[bucket, name]
                    return 204, b"", {}
        return error(400, f"not part of this fake: {method} {target}")

    def _put(self, key: tuple[str, str], content: bytes, condition: str | None) -> Answer:
        if not self._fits(key, condition):
            return error(412, "At least one of the pre-conditions you specified did not hold.")
        self._generation += 1
        self.objects[key] = self._generation, content
        return document({"name": key[1], "generation": str(self._generation)})

    def _fits(self, key: tuple[str, str], condition: str | None) -> bool:
        if condition is None or self.ignored == ("create" if condition == "0" else "update"):
            return True
        return int(condition) == self.objects.get(key, (0, b""))[0]

    def _list(self, bucket: str, query: Mapping[str, str]) -> Answer:
        """Pages of two, so that whoever lists has to turn them."""
        start = int(query.get("pageToken", "0"))
        names = sorted(name for b, name in self.objects if b == bucket and name.startswith(query.get("prefix", "")))
        page: dict[str, object] = {"items": [{"name": name} for name in names[start : start + 2]]}
        if names[start + 2 :]:
            page["nextPageToken"] = str(start + 2)
        return document(page)


def document(content: object) -> Answer:
    """A success with JSON."""
    return 200, json.dumps(content).encode(), {"content-type": "application/json"}


def error(status: int, message: str, **headers: str) -> Answer:
    """A refusal in the API's envelope."""
    body = {"error": {"code": status, "message": message, "status": HTTPStatus(status).name}}
    return status, json.dumps(body).encode(), {"content-type": "application/json", **headers}


@contextmanager
def served(fake: FakeGcs) -> Iterator[str]:
    """The fake behind a socket on loopback; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body in one packet; in two, the system holds the second back for 40 ms.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            fake.requests.append((self.command, self.path, dict(self.headers.items())))
            fault = fake.faults.popleft() if fake.faults else None
            if isinstance(fault, tuple):
                self.respond(fault)
                return
            answer = None if fault is Lose.REQUEST else fake.answer(self.command, self.path, body)
            if fault is None and answer is not None:
                self.respond(answer)
            else:
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = do_any

        def respond(self, answer: Answer) -> None:
            status, body, headers = answer
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
