"""The simulator on a real socket of this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue

import httpx
import pytest

from reconciler.errors import TuneformError, UsageError
from reconciler.simulator.server import SimulatorServer, open_server, serve
from reconciler.simulator.simulator import Simulator

TUNING_JOBS = "/v1/projects/demo-project/locations/us-central1/tuningJobs"
BODY = {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": {"trainingDatasetUri": "gs://bucket/train.jsonl"}}
HEADERS = {"authorization": "Bearer token"}


@contextmanager
def serving(path: Path) -> Iterator[SimulatorServer]:
    """A server of the world in a file, in a thread, shut down at the end."""
    announced: SimpleQueue[SimulatorServer] = SimpleQueue()
    thread = threading.Thread(
        target=serve, args=(path,), kwargs={"speed": 60, "concurrent_jobs": 2, "announce": announced.put}
    )
    thread.start()
    server = announced.get(timeout=30)
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(30)
        assert not thread.is_alive()


def test_requests_over_a_socket(tmp_path: Path) -> None:
    """A client on this machine creates, reads and lists over one kept-alive connection, with the answers' headers."""
    with (
        serving(tmp_path / "world.json") as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=HEADERS) as client,
    ):
        created = client.post(TUNING_JOBS, json=BODY)
        read = client.get(f"/v1/{created.json()['name']}")
        listed = client.get(TUNING_JOBS, params={"filter": 'state="JOB_STATE_PENDING"'})
        missing = client.get("/nothing")
    assert [200, 200, 200, 404] == [one.status_code for one in (created, read, listed, missing)]
    assert [created.json()["name"]] == [job["name"] for job in listed.json()["tuningJobs"]]
    assert ("60", "ESF") == (read.headers["x-tuneform-simulator-speed"], read.headers["server"])
    assert 1 == len(read.headers.get_list("date"))


def test_a_served_world_survives_the_server(tmp_path: Path) -> None:
    """What was created through the server is in the file when the server is gone, and the port is free again."""
    path = tmp_path / "world.json"
    with serving(path) as server:
        port = server.port
        name = httpx.post(f"http://127.0.0.1:{port}{TUNING_JOBS}", json=BODY, headers=HEADERS).json()["name"]
    assert [name] == [job["name"] for job in Simulator.on_file(path).jobs()]
    with open_server(Simulator.in_memory(), port=port) as again:
        assert port == again.port


def test_a_world_spoiled_while_it_is_served(tmp_path: Path) -> None:
    """A file that was spoiled under the server is answered with 500 and what to do."""
    path = tmp_path / "world.json"
    with serving(path) as server:
        path.write_text("spoiled")
        answer = httpx.get(f"http://127.0.0.1:{server.port}{TUNING_JOBS}", headers=HEADERS)
    assert (500, "INTERNAL") == (answer.status_code, answer.json()["error"]["status"])
    assert str(path) in answer.json()["error"]["message"]


def test_many_clients_at_once(tmp_path: Path) -> None:
    """Clients in several threads each get their own answer."""
    names: SimpleQueue[str] = SimpleQueue()
    with serving(tmp_path / "world.json") as server:
        url = f"http://127.0.0.1:{server.port}{TUNING_JOBS}"

        def create() -> None:
            with httpx.Client(headers=HEADERS) as client:
                for _ in range(5):
                    names.put(client.post(url, json=BODY).json()["name"])

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert 20 == len({names.get(timeout=1) for _ in range(20)})


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"content-length: 99999999999\r\n", b"413"),
        (b"content-length: -1\r\n", b"400"),
        (b"content-length: ten\r\n", b"400"),
        (b"transfer-encoding: chunked\r\n", b"411"),
    ],
)
def test_bodies_that_are_not_read(head: bytes, status: bytes) -> None:
    """A body that is too long, or whose length cannot be told, is refused unread, and the connection ends."""
    with open_server(Simulator.in_memory()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(b"POST " + TUNING_JOBS.encode() + b" HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n")
            answer = b""
            while received := connection.recv(4096):
                answer += received
        server.shutdown()
        thread.join(30)
    assert status == answer.split()[1]


def test_only_this_machine_is_served() -> None:
    """An address that others could reach is refused as wrong usage."""
    with pytest.raises(UsageError, match="this machine only"):
        open_server(Simulator.in_memory(), host="0.0.0.0")


def test_a_port_that_is_taken() -> None:
    """A port that is taken, or is none, is an error that names it."""
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        for port in (taken, 70_000):
            with pytest.raises(TuneformError) as caught:
                open_server(Simulator.in_memory(), port=port)
            assert str(port) in caught.value.detail
