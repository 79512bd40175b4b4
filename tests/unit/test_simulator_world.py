"""The simulator's memory and time: what survives a process, what several share, and how fast it goes."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.errors import TuneformError, UsageError
from reconciler.model.desired import SimulatorSettings
from reconciler.simulator.answers import Request
from reconciler.simulator.clock import ManualClock, RealTime, SimulatedClock, resumed_at
from reconciler.simulator.embedded import EMBEDDED_TOKEN, Embedded, open_embedded
from reconciler.simulator.settings import Settings
from reconciler.simulator.simulator import Simulator

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
TUNING_JOBS = "/v1beta1/projects/demo-project/locations/us-central1/tuningJobs"
BODY = {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": {"trainingDatasetUri": "gs://bucket/train.jsonl"}}


class Machine:
    """The machine's time, moved by hand and by its own sleep."""

    def __init__(self) -> None:
        self.at = START

    def time(self) -> RealTime:
        """This machine's time as the simulator takes it."""
        return RealTime(now=lambda: self.at, monotonic=lambda: (self.at - START).total_seconds(), sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        """Be so many real seconds later."""
        self.at += timedelta(seconds=seconds)


def opened(path: Path, machine: Machine, **settings: Any) -> Embedded:
    """The world in the file, as a stack opens it."""
    return open_embedded(SimulatorSettings(world=str(path), **settings), real=machine.time())


def create(simulator: Simulator) -> str:
    """The name of a new job."""
    answer = simulator.respond(request("POST", TUNING_JOBS, BODY))
    assert 200 == answer.status, answer.body
    return str(answer.json()["name"])


def state(simulator: Simulator, name: str) -> str:
    """The state of a job, without its prefix."""
    return str(simulator.respond(request("GET", f"/v1/{name}")).json()["state"]).removeprefix("JOB_STATE_")


def request(method: str, path: str, body: object = None) -> Request:
    """A request with a token."""
    content = b"" if body is None else json.dumps(body).encode()
    return Request(method=method, path=path, headers={"authorization": "Bearer token"}, body=content)


def test_simulated_time_goes_at_its_speed() -> None:
    """At speed 600 a real second is ten simulated minutes, and sleeping so long takes that second."""
    machine = Machine()
    clock = SimulatedClock(START, 600, machine.time())
    machine.sleep(1.5)
    assert START + timedelta(minutes=15) == clock.now()
    clock.sleep(600)
    assert (START + timedelta(seconds=2.5), START + timedelta(minutes=25)) == (machine.at, clock.now())


def test_simulated_time_is_pulled_forward_and_never_back() -> None:
    """A clock follows another process that is ahead, and ignores one that is behind."""
    machine = Machine()
    clock = SimulatedClock(START, 10, machine.time())
    clock.advance_to(START + timedelta(hours=1))
    clock.advance_to(START)
    machine.sleep(1)
    assert START + timedelta(hours=1, seconds=10) == clock.now()


def test_manual_time_moves_when_told() -> None:
    """A manual clock moves by sleep and advance, forward only."""
    clock = ManualClock(START)
    clock.sleep(10)
    clock.sleep(-10)
    clock.advance(timedelta(seconds=5))
    clock.advance_to(START)
    assert START + timedelta(seconds=15) == clock.now()


@pytest.mark.parametrize(
    ("idle", "passed"),
    [
        (timedelta(seconds=2), timedelta(seconds=1200)),
        (timedelta(seconds=144), timedelta(hours=24)),
        (timedelta(days=30), timedelta(hours=24)),
        (timedelta(seconds=-5), timedelta(0)),
    ],
)
def test_an_idle_world_goes_on_for_a_day_at_most(idle: timedelta, passed: timedelta) -> None:
    """Time passes at its speed while nobody looks, but never more than 24 hours, and never backwards."""
    assert START + passed == resumed_at(START, START, START + idle, 600)


def test_a_world_survives_its_process(tmp_path: Path) -> None:
    """What was created is there when the file is opened again, with all that happened meanwhile."""
    machine, path = Machine(), tmp_path / "state" / "world.json"
    first = opened(path, machine)
    waiting = [create(first.simulator) for _ in range(2)]
    machine.sleep(30)
    second = opened(path, machine)
    assert START + timedelta(hours=5) == second.clock.now()
    assert ["SUCCEEDED", "SUCCEEDED"] == [state(second.simulator, name) for name in waiting]
    assert first.simulator.jobs() == second.simulator.jobs()


def test_a_world_saved_and_read_is_the_same_world(tmp_path: Path) -> None:
    """Every kind of job, model and setting comes back from the file as it was."""
    machine, path = Machine(), tmp_path / "world.json"
    simulator = opened(path, machine, concurrent_jobs=3).simulator
    simulator.set_faults(list_lag_s=5, lost_create_answers=2)
    simulator.finish_job(simulator.inject_foreign_job("demo-project"))
    simulator.fail_job(simulator.inject_foreign_job("demo-project"))
    for _ in range(4):
        simulator.inject_foreign_job("demo-project", duration_s=36_000)
    machine.sleep(1)
    simulator.cancel_elsewhere(simulator.jobs()[2]["name"])
    before = simulator.snapshot()
    after = opened(path, machine, concurrent_jobs=3).simulator.snapshot()
    # The reader saves nothing, so all but the instant of the save must be equal.
    assert {**before, "real_at": None} == {**after, "real_at": None}
    assert {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLING", "JOB_STATE_RUNNING"} <= {
        job["state"] for job in simulator.jobs()
    }


def test_a_new_world_begins_now(tmp_path: Path) -> None:
    """A world that was just made stands at the machine's time."""
    machine = Machine()
    assert machine.at == opened(tmp_path / "world.json", machine).clock.now()


def test_ids_of_a_deleted_world_do_not_come_back(tmp_path: Path) -> None:
    """A world that was deleted and made anew gives its jobs other names."""
    machine, path = Machine(), tmp_path / "world.json"
    old = create(opened(path, machine).simulator)
    path.unlink()
    machine.sleep(0.001)
    assert old != create(opened(path, machine).simulator)


def test_settings_of_the_stack_replace_those_of_the_world(tmp_path: Path) -> None:
    """Each opening applies the stack's settings: a raised quota starts the job that waited, at that instant."""
    machine, path = Machine(), tmp_path / "world.json"
    first = opened(path, machine, concurrent_jobs=1)
    create(first.simulator)
    waiting = create(first.simulator)
    machine.sleep(1)
    second = opened(path, machine, concurrent_jobs=2, speed=60)
    machine.sleep(2)
    job = second.simulator.jobs()[1]
    assert (waiting, "JOB_STATE_RUNNING") == (job["name"], job["state"])
    assert "2026-11-20T12:12:00.000000Z" == job["startTime"]


def test_settings_that_are_not_given_stay(tmp_path: Path) -> None:
    """Opening a world without settings keeps those it was saved with."""
    path, machine = tmp_path / "world.json", Machine()
    Simulator.on_file(path, speed=7, concurrent_jobs=5, over_quota="refuse", real=machine.time())
    settings = Simulator.on_file(path, real=machine.time()).snapshot()["settings"]
    assert (7, 5, "refuse") == (settings["speed"], settings["concurrent_jobs"], settings["over_quota"])


@pytest.mark.parametrize(
    "change",
    [
        {"speed": 0},
        {"speed": float("nan")},
        {"concurrent_jobs": -1},
        {"over_quota": "queue"},
        {"failure_rate": 1.5},
        {"page_size": 0},
    ],
)
def test_settings_that_cannot_be(change: dict[str, Any]) -> None:
    """Settings that would stop or break the world are refused as wrong usage."""
    with pytest.raises(UsageError):
        replace(Settings(), **change)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"format": 1}', b'{"format": 99}', b"\xff\xfe", b"[" * 100_000],
)
def test_a_damaged_world_is_told_with_its_path(tmp_path: Path, content: bytes) -> None:
    """A file that is no world is an error that says to delete it, and where it is; the file stays as it is."""
    path = tmp_path / "my world.json"
    path.write_bytes(content)
    with pytest.raises(TuneformError) as caught:
        opened(path, Machine())
    assert str(path) in caught.value.detail
    assert f"rm '{path}'" == caught.value.command
    assert content == path.read_bytes()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda world: world["settings"].update(speed=0),
        lambda world: world["settings"].update(colour="red"),
        lambda world: world["jobs"][0].update(outcome="maybe"),
        lambda world: world["jobs"][0].pop("spec"),
        lambda world: world.update(at="yesterday"),
        lambda world: world.update(models=None),
    ],
)
def test_a_spoiled_world_is_told(tmp_path: Path, spoil: Callable[[dict[str, Any]], None]) -> None:
    """A world with a part that does not fit is told like a damaged one, never as a traceback."""
    path = tmp_path / "world.json"
    create(opened(path, Machine()).simulator)
    world = json.loads(path.read_text())
    spoil(world)
    path.write_text(json.dumps(world))
    with pytest.raises(TuneformError, match="cannot be read as a world"):
        opened(path, Machine())


def test_a_world_where_no_file_can_be(tmp_path: Path) -> None:
    """A path that cannot be a file is an error that names it."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "world.json"):
        with pytest.raises(TuneformError) as caught:
            opened(path, Machine())
        assert str(path) in caught.value.detail


def test_reading_does_not_write(tmp_path: Path) -> None:
    """A request that changes nothing leaves the file alone, until an hour of simulated time went unrecorded."""
    machine, path = Machine(), tmp_path / "world.json"
    simulator = opened(path, machine).simulator
    create(simulator)
    written = path.stat().st_mtime_ns
    machine.sleep(0.1)
    simulator.jobs()
    assert written == path.stat().st_mtime_ns
    machine.sleep(6)
    simulator.jobs()
    assert written != path.stat().st_mtime_ns


def test_two_openings_share_one_world(tmp_path: Path) -> None:
    """Two commands on the same file see each other's jobs at once, and the same time."""
    machine, path = Machine(), tmp_path / "world.json"
    first, second = opened(path, machine).simulator, opened(path, machine).simulator
    mine, theirs = create(first), create(second)
    assert [mine, theirs] == [job["name"] for job in first.jobs()] == [job["name"] for job in second.jobs()]
    machine.sleep(3600)
    assert first.clock.now() == second.clock.now()


def test_an_opening_that_is_ahead_pulls_the_other_along(tmp_path: Path) -> None:
    """Time in a shared world never runs backwards, whatever speeds its commands have."""
    machine, path = Machine(), tmp_path / "world.json"
    slow = opened(path, machine, speed=1)
    fast = opened(path, machine, speed=1000)
    machine.sleep(10)
    create(fast.simulator)
    slow.simulator.jobs()
    assert START + timedelta(seconds=10_000) == slow.clock.now()


def add_jobs(path: str, count: int) -> None:
    """Create jobs in the world of a file; runs in a process of its own."""
    simulator = Simulator.on_file(Path(path), speed=1)
    for _ in range(count):
        create(simulator)


def test_two_processes_share_one_world(tmp_path: Path) -> None:
    """Two processes that create jobs at once lose none of them and share no name."""
    path = tmp_path / "world.json"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add_jobs, args=(str(path), 20)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [0, 0] == [process.exitcode for process in processes]
    names = [job["name"] for job in Simulator.on_file(path).jobs()]
    assert (40, 40) == (len(names), len(set(names)))


def test_threads_share_one_simulator() -> None:
    """Threads that create jobs through one simulator lose none of them."""
    simulator = Simulator.in_memory(ManualClock(START))
    threads = [threading.Thread(target=lambda: [create(simulator) for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 100 == len({job["name"] for job in simulator.jobs()})


def test_the_same_requests_make_the_same_world() -> None:
    """Seed, instants and requests decide everything; another seed gives other names."""

    def played(seed: int) -> dict[str, Any]:
        clock = ManualClock(START)
        simulator = Simulator.in_memory(clock, seed=seed, concurrent_jobs=2, failure_rate=0.5)
        for _ in range(6):
            create(simulator)
            clock.advance(timedelta(minutes=17))
        clock.advance(timedelta(days=2))
        return simulator.snapshot()

    assert played(1) == played(1)
    assert played(1)["jobs"][0]["name"] != played(2)["jobs"][0]["name"]


def test_the_embedded_simulator_behind_httpx(tmp_path: Path) -> None:
    """A stack's simulator is an httpx transport and a clock that belong together."""
    machine = Machine()
    embedded = opened(tmp_path / "world.json", machine, speed=60)
    headers = {"authorization": f"Bearer {EMBEDDED_TOKEN}"}
    with httpx.Client(transport=embedded.transport, base_url="https://simulator", headers=headers) as client:
        name = client.post(TUNING_JOBS, json=BODY).json()["name"]
        embedded.clock.sleep(180)
        answer = client.get(f"/v1/{name}")
    assert START + timedelta(seconds=3) == machine.at
    assert ("JOB_STATE_RUNNING", "60") == (answer.json()["state"], answer.headers["x-tuneform-simulator-speed"])
    assert "Fri, 20 Nov 2026 12:03:00 GMT" == answer.headers["date"]
