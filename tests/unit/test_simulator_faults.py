"""The simulator's faults: what the real client makes of each, and whether the job exists all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from reconciler.cli.main import LazyGroup
from reconciler.errors import ApiError, Refusal, UsageError
from reconciler.model.desired import SimulatorSettings
from reconciler.model.job import LiveJob
from reconciler.providers.auth import FixedToken
from reconciler.providers.connection import Connection, Timeouts
from reconciler.providers.http import Http
from reconciler.providers.protocol import JobRequest
from reconciler.providers.vertex import VertexClient
from reconciler.simulator.clock import ManualClock
from reconciler.simulator.embedded import open_embedded
from reconciler.simulator.faults import Faults, fault_table, parse_faults
from reconciler.simulator.server import open_server
from reconciler.simulator.simulator import Simulator

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
PLACE = "us-central1"
SPEC = {"baseModel": "gemini-2.5-flash", "method": "supervised", "trainingDatasetUri": "gs://bucket/train.jsonl"}


class World:
    """A simulator in memory, its clock, and the real client of it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(START)
        self.simulator = Simulator.in_memory(self.clock, **{"concurrent_jobs": 100, **settings})
        self.client = client(Connection(transport=self.simulator.transport()), self.clock)

    def create(self, nonce: str = "n0", location: str = PLACE) -> LiveJob:
        """A new job with this nonce; raises ApiError."""
        return create(self.client, nonce, location)

    def refusal(self) -> ApiError:
        """The error of a create."""
        with pytest.raises(ApiError) as caught:
            self.create()
        return caught.value

    def at(self, seconds: float) -> World:
        """The world so many seconds after its start."""
        self.clock.advance_to(START + timedelta(seconds=seconds))
        return self

    def state(self, job: LiveJob) -> str:
        """The job's state by now, without its prefix."""
        return self.client.get_job(job.name).state.removeprefix("JOB_STATE_")


def client(connection: Connection, clock: ManualClock, endpoint: str | None = None) -> VertexClient:
    """The real client over a connection."""
    http = Http(connection=connection, tokens=FixedToken("token"), clock=clock, jitter=lambda: 0.0)
    return VertexClient(project="demo-project", http=http, endpoint=endpoint)


def create(vertex: VertexClient, nonce: str = "n0", location: str = PLACE) -> LiveJob:
    """A new job with this nonce, through this client."""
    labels = {"tuneform-nonce": nonce}
    return vertex.create_job(JobRequest(location=location, fields=SPEC, labels=labels, nonce=nonce))


@contextmanager
def serving(simulator: Simulator, pause: Callable[[float], None]) -> Iterator[str]:
    """The URL of a simulator on a socket."""
    with open_server(simulator, pause=pause) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.shutdown()
            thread.join(30)


@contextmanager
def served(simulator: Simulator, pause: Callable[[float], None], timeouts: Timeouts) -> Iterator[VertexClient]:
    """The real client of a simulator on a socket."""
    connection = Connection(timeouts=timeouts)
    with serving(simulator, pause) as url, closing(connection):
        yield client(connection, ManualClock(START), url)


def no_pause(seconds: float) -> None:
    """For servers that are not to be slow."""
    raise AssertionError(f"asked to wait {seconds} s")


CREATES = [
    ("refuse_permission", Refusal.PERMISSION, 403, 0),
    ("refuse_invalid", Refusal.INVALID, 400, 0),
    ("refuse_accelerator", Refusal.ACCELERATOR, 429, 0),
    ("refuse_quota", Refusal.QUOTA, 429, 0),
    ("refuse_rate", Refusal.RATE, 429, 0),
    ("fail_before", Refusal.AMBIGUOUS, 503, 0),
    ("reset_before", Refusal.AMBIGUOUS, None, 0),
    ("slow_before", Refusal.UNREACHABLE, None, 0),
    ("lost_create_answers", Refusal.AMBIGUOUS, 503, 1),
    ("reset_after", Refusal.AMBIGUOUS, None, 1),
    ("slow_after", Refusal.AMBIGUOUS, None, 1),
    ("malformed_answers", Refusal.AMBIGUOUS, 200, 1),
    ("truncated_answers", Refusal.AMBIGUOUS, None, 1),
]


@pytest.mark.parametrize(("fault", "kind", "status", "existing"), CREATES)
def test_a_create_that_meets_a_fault(fault: str, kind: Refusal, status: int | None, existing: int) -> None:
    """The client tells what kind of refusal it was, the job exists or not, and the create after it goes well."""
    world = World()
    world.simulator.set_faults(**{fault: 1})
    error = world.refusal()
    assert (kind, status) == (error.kind, error.status)
    assert existing == len(world.client.list_jobs(PLACE).jobs)
    assert Faults() == world.simulator.faults()
    world.create("n1")
    expected = [("create", "n0")] * existing + [("create", "n1")]
    assert expected == [(effect.verb, effect.nonce) for effect in world.simulator.effects_log()]


# On a socket a slow create is one whose answer is late: that a connection is not made cannot be told from a distance.
SERVED = [one for one in CREATES if one[0] not in ("slow_before", "slow_after")]


@pytest.mark.parametrize(("fault", "kind", "status", "existing"), SERVED)
def test_a_served_create_that_meets_a_fault(fault: str, kind: Refusal, status: int | None, existing: int) -> None:
    """Over a real socket the same faults are told as the same refusals, and the next create goes well."""
    simulator = Simulator.in_memory(ManualClock(START), concurrent_jobs=9)
    simulator.set_faults(**{fault: 1})
    with served(simulator, no_pause, Timeouts()) as vertex:
        with pytest.raises(ApiError) as caught:
            create(vertex)
        assert (kind, status) == (caught.value.kind, caught.value.status)
        assert existing == len(simulator.jobs())
        create(vertex, "n1")
    assert existing + 1 == len(simulator.jobs())


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
def test_a_served_reset_is_a_reset(fault: str) -> None:
    """The socket is closed with RST, which a client reads as an error and not as an orderly end."""
    simulator = Simulator.in_memory(ManualClock(START))
    simulator.set_faults(**{fault: 1})
    body = {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": {"trainingDatasetUri": "gs://bucket/train.jsonl"}}
    with serving(simulator, no_pause) as url, pytest.raises(httpx.ReadError):
        httpx.post(
            f"{url}/v1/projects/demo-project/locations/{PLACE}/tuningJobs",
            json=body,
            headers={"authorization": "Bearer token"},
        )


@pytest.mark.parametrize(("fault", "existing_meanwhile"), [("slow_before", 0), ("slow_after", 1)])
def test_a_served_create_is_slow(fault: str, existing_meanwhile: int) -> None:
    """A client that has given up on a slow create cannot know; the job is there before or after the pause."""
    simulator = Simulator.in_memory(ManualClock(START))
    simulator.set_faults(**{fault: 1, "slow_s": 7.5})
    asked: list[float] = []
    pauses, has_given_up = threading.Event(), threading.Event()

    def pause(seconds: float) -> None:
        asked.append(seconds)
        pauses.set()
        has_given_up.wait(30)

    with served(simulator, pause, Timeouts(read_s=0.2)) as vertex:
        with pytest.raises(ApiError) as caught:
            create(vertex)
        assert pauses.wait(30)
        assert existing_meanwhile == len(simulator.jobs())
        has_given_up.set()
        assert any(simulator.jobs() or threading.Event().wait(0.01) for _ in range(3000))
    assert (Refusal.AMBIGUOUS, [7.5]) == (caught.value.kind, asked)
    assert ["n0"] == [effect.nonce for effect in simulator.effects_log()]


def test_creates_meet_faults_in_order_of_arrival() -> None:
    """Each create meets one fault: those without an effect first, then those with one, then none."""
    world = World()
    world.simulator.set_faults(lost_create_answers=1, reset_before=1, fail_before=2, refuse_quota=1)
    kinds = [(error.kind, error.status) for error in (world.refusal() for _ in range(5))]
    lost = Refusal.AMBIGUOUS
    assert [(Refusal.QUOTA, 429), (lost, 500), (lost, 503), (lost, None), (lost, 503)] == kinds
    assert 1 == len(world.simulator.jobs())
    assert "PENDING" == world.state(world.create())


def test_a_create_that_is_refused_anyway_uses_up_no_lost_answer() -> None:
    """Faults of answers wait for a create that takes effect."""
    world = World(concurrent_jobs=0, over_quota="refuse")
    world.simulator.set_faults(lost_create_answers=1)
    assert Refusal.QUOTA == world.refusal().kind
    assert 1 == world.simulator.faults().lost_create_answers


@pytest.mark.parametrize(("switches", "expected_s"), [({}, None), ({"retry_after_s": 17}, 17.0)])
def test_a_refused_rate_may_say_when_to_come_back(switches: dict[str, int], expected_s: float | None) -> None:
    """Retry-After is sent where it was asked for, and only there."""
    world = World()
    world.simulator.set_faults(refuse_rate=1, **switches)
    assert expected_s == world.refusal().retry_after_s


def test_locations_that_cannot_be_read() -> None:
    """Lists of these locations fail for as long as the fault is set; jobs there can be read and made, others listed."""
    world = World()
    job = world.create()
    world.simulator.set_faults(unread_locations=(PLACE,))
    for _ in range(2):
        with pytest.raises(ApiError) as caught:
            world.client.list_jobs(PLACE)
        assert (Refusal.AMBIGUOUS, 503) == (caught.value.kind, caught.value.status)
    assert () == world.client.list_jobs("europe-west4").jobs
    assert job.name == world.client.get_job(job.name).name
    world.create("n1")
    world.simulator.set_faults()
    assert 2 == len(world.client.list_jobs(PLACE).jobs)


def test_a_list_lags() -> None:
    """A new job is readable by name at once and listed only when the lag is over."""
    world = World()
    world.simulator.set_faults(list_lag_s=30)
    job = world.create()
    assert (job.name, ()) == (world.client.get_job(job.name).name, world.at(29.9).client.list_jobs(PLACE).jobs)
    assert [job.name] == [one.name for one in world.at(30).client.list_jobs(PLACE).jobs]


def test_a_cancel_loses_its_race() -> None:
    """A cancelled running job is CANCELLING and then SUCCEEDED, with a model; a pending one is cancelled."""
    world = World()
    running, pending = world.create("n0"), world.at(200).create("n1")
    world.simulator.set_faults(cancel_race=1)
    for job in (running, pending):
        world.client.cancel_job(job.name)
    assert ["CANCELLING", "PENDING"] == [world.state(running), world.state(pending)]
    world.at(230)
    assert ["SUCCEEDED", "CANCELLED"] == [world.state(running), world.state(pending)]
    assert world.client.get_job(running.name).model is not None
    assert ["n0", "n1"] == [effect.nonce for effect in world.simulator.effects_log() if effect.verb == "cancel"]


def test_a_cancel_is_ignored() -> None:
    """An ignored cancel is answered like any other, has no effect, and the job goes on to its end."""
    world = World()
    job = world.create()
    world.at(200).simulator.set_faults(cancel_ignored=1)
    world.client.cancel_job(job.name)
    assert "RUNNING" == world.at(300).state(job)
    assert "SUCCEEDED" == world.at(86_400).state(job)
    assert ["create"] == [effect.verb for effect in world.simulator.effects_log()]


@pytest.mark.parametrize("fault", ["cancel_race", "cancel_ignored"])
def test_a_share_of_cancels_goes_wrong(fault: str) -> None:
    """About the share that was asked for goes wrong, and the same jobs in every world with the same seed."""

    def succeeded() -> list[bool]:
        world = World()
        jobs = [world.create(f"n{number}") for number in range(100)]
        world.at(200).simulator.set_faults(**{fault: 0.4})
        for job in jobs:
            world.client.cancel_job(job.name)
        world.at(86_400)
        return [world.client.get_job(job.name).has_succeeded for job in jobs]

    first = succeeded()
    assert 25 <= sum(first) <= 55
    assert first == succeeded()


def test_a_job_flickers() -> None:
    """A flickering job goes back from PENDING to QUEUED and forth, and then runs like any other."""
    world = World()
    world.simulator.set_faults(flicker=1)
    job = world.create()
    world.simulator.set_faults()
    steady = world.create("n1")
    seen = [(world.at(second).state(job), world.state(steady)) for second in (0, 29, 30, 60, 90, 119.9, 120)]
    expected = ["PENDING", "PENDING", "QUEUED", "PENDING", "QUEUED", "QUEUED", "RUNNING"]
    assert expected == [one for one, _ in seen]
    assert {"PENDING", "RUNNING"} == {one for _, one in seen}


FOREIGN = Faults(foreign_project="demo-project", foreign_per_hour=2, foreign_locations=(PLACE, "europe-west4"))


def test_foreign_jobs_come_and_go() -> None:
    """Jobs of others come at about their rate, run for their time, and have no nonce and no place in the log."""
    world = World()
    world.simulator.set_faults(FOREIGN, foreign_min_s=600, foreign_max_s=1200)
    world.at(100 * 3600)
    jobs = [job for place in FOREIGN.foreign_locations for job in world.client.list_jobs(place).jobs]
    assert 160 <= len(jobs) <= 240
    assert {PLACE, "europe-west4"} == {job.location for job in jobs}
    ended = [job for job in jobs if not job.is_active]
    ran_s = [(job.ended_at - job.started_at).total_seconds() for job in ended if job.ended_at and job.started_at]
    assert len(jobs) - 5 <= len(ran_s)
    assert (True, True) == (600 <= min(ran_s) < 700, 1100 < max(ran_s) <= 1200)
    assert {None} == {job.nonce for job in jobs}
    assert () == world.simulator.effects_log()


@pytest.mark.parametrize("over_quota", ["wait", "refuse"])
def test_foreign_jobs_obey_the_quota(over_quota: str) -> None:
    """At no instant do more jobs run than the quota allows; over it foreign jobs wait, or go away."""
    world = World(concurrent_jobs=2, over_quota=over_quota)
    world.simulator.set_faults(FOREIGN, foreign_per_hour=6)
    jobs = world.at(24 * 3600).simulator.jobs()
    changes: list[tuple[str, int]] = []
    for job in jobs:
        if "startTime" in job:
            changes += [(job["startTime"], 1), (job.get("endTime", "9"), -1)]
    running = [sum(change for _, change in sorted(changes)[: upto + 1]) for upto in range(len(changes))]
    assert 2 == max(running)
    assert (over_quota == "wait") == any("startTime" not in job for job in jobs)


def test_foreign_jobs_come_at_the_same_instants_whoever_asks() -> None:
    """A world that is looked at often and one that is not see the same foreign jobs at the same instants."""
    watched, quiet = World(), World()
    for world in (watched, quiet):
        world.simulator.set_faults(FOREIGN)
    for hour in range(1, 48):
        watched.at(hour * 3600).client.list_jobs(PLACE)
    for world in (watched, quiet):
        world.at(48 * 3600).create("mine")
    assert quiet.simulator.snapshot() == watched.simulator.snapshot()


def test_foreign_jobs_stop_coming() -> None:
    """No more foreign jobs come once the faults are set without them."""
    world = World()
    world.simulator.set_faults(FOREIGN)
    came = len(world.at(12 * 3600).simulator.jobs())
    world.simulator.set_faults()
    assert came == len(world.at(24 * 3600).simulator.jobs()) > 0


def test_effects_are_logged_in_their_order() -> None:
    """The log has each create and cancel that took effect: when, which job, and whose submission; nothing else."""
    world = World()
    first = world.create("n0")
    second = world.at(10).create("n1", "europe-west4")
    for _ in range(2):
        world.at(20).client.cancel_job(first.name)
    world.simulator.cancel_elsewhere(second.name)
    assert [
        (START, "create", first.name, "n0"),
        (START + timedelta(seconds=10), "create", second.name, "n1"),
        (START + timedelta(seconds=20), "cancel", first.name, "n0"),
    ] == [(effect.at, effect.verb, effect.job, effect.nonce) for effect in world.simulator.effects_log()]


def test_faults_and_effects_are_kept_in_the_world(tmp_path: Path) -> None:
    """A world on file goes on with the faults that are left, for the embedded simulator too, and remembers effects."""
    path = tmp_path / "world.json"
    begun = Simulator.on_file(path, faults=Faults(reset_before=1, lost_create_answers=1, unread_locations=("asia",)))
    for _ in range(2):
        with pytest.raises(ApiError):
            create(client(Connection(transport=begun.transport()), ManualClock(START)))
    again = open_embedded(SimulatorSettings(world=str(path))).simulator
    assert Faults(unread_locations=("asia",)) == again.faults()
    assert begun.effects_log() == again.effects_log()
    assert ["n0"] == [effect.nonce for effect in again.effects_log()]
    cleared = open_embedded(SimulatorSettings(world=str(path)), faults=Faults()).simulator
    assert Faults() == cleared.faults() == begun.faults()


def test_switches_are_read() -> None:
    """Switches set the faults they name in the form of each, and `none` sets none."""
    switches = ["fail_before=2", "list_lag_s=1.5", "unread_locations=us-central1, asia", "foreign_project=p"]
    expected = Faults(
        fail_before=2, list_lag_s=1.5, unread_locations=("us-central1", "asia"), foreign_project="p", slow_s=90
    )
    assert expected == parse_faults(switches)
    assert Faults() == parse_faults(["none"])


@pytest.mark.parametrize(
    ("switches", "says"),
    [
        (["explode=1"], "no fault 'explode'"),
        (["fail_before"], "fail_before takes a whole number"),
        (["fail_before=1.5"], "fail_before takes a whole number"),
        (["list_lag_s=soon"], "list_lag_s takes a number"),
        (["fail_before=-1"], "fail_before must be from 0"),
        (["list_lag_s=nan"], "list_lag_s must be from 0"),
        (["cancel_race=1.1"], "cancel_race must be from 0 to 1"),
        (["foreign_per_hour=1"], "need a project"),
        (["foreign_min_s=9000"], "cannot run longer"),
    ],
)
def test_switches_that_cannot_be(switches: list[str], says: str) -> None:
    """A name or a value that cannot be is wrong usage, told with what it was."""
    with pytest.raises(UsageError, match=says):
        parse_faults(switches)


def test_every_switch_is_documented() -> None:
    """The table has a line for each switch and for nothing else, and the command's help shows it."""
    documented = [line.split("=")[0].removeprefix("  ") for line in fault_table().splitlines() if "=" in line[:22]]
    assert sorted(one.name for one in fields(Faults)) == sorted(documented)
    command = LazyGroup().get_command(click.Context(LazyGroup()), "simulator")
    assert command is not None
    assert fault_table().splitlines()[1] in command.get_help(click.Context(command))
