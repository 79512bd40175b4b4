"""The simulator's time: what happens to jobs, and at which instant, whoever asks and however often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.simulator.clock import ManualClock
from reconciler.simulator.simulator import Simulator

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
TUNING_JOBS = "/v1beta1/projects/demo-project/locations/us-central1/tuningJobs"


class World:
    """A simulator in memory, its clock, and a client of its API."""

    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(START)
        self.simulator = Simulator.in_memory(self.clock, **settings)
        self.client = httpx.Client(
            transport=self.simulator.transport(), base_url="http://simulator", headers={"authorization": "Bearer token"}
        )

    def create(self, location: str = "us-central1", **labels: str) -> str:
        """The name of a new job with these labels."""
        answer = self.client.post(TUNING_JOBS.replace("us-central1", location), json=body(**labels))
        assert 200 == answer.status_code, answer.text
        return str(answer.json()["name"])

    def get(self, name: str) -> dict[str, Any]:
        """A job as v1beta1 shows it."""
        answer: dict[str, Any] = self.client.get(f"/v1beta1/{name}").json()
        return answer

    def cancel(self, name: str) -> httpx.Response:
        """The answer to a cancel."""
        return self.client.post(f"/v1beta1/{name}:cancel")

    def at(self, seconds: float) -> World:
        """The world so many seconds after its start."""
        self.clock.advance_to(START + timedelta(seconds=seconds))
        return self

    def states(self, *names: str) -> list[str]:
        """The states of these jobs, without their prefix."""
        return [self.get(name)["state"].removeprefix("JOB_STATE_") for name in names]


def body(**labels: str) -> dict[str, Any]:
    """A request for a tuning job, the same each time but for its labels."""
    return {
        "baseModel": "gemini-2.5-flash",
        "labels": labels,
        "supervisedTuningSpec": {"trainingDatasetUri": "gs://bucket/train.jsonl", "hyperParameters": {"epochCount": 4}},
    }


def run_s() -> float:
    """How long a job of `body` is RUNNING."""
    probe = World()
    name = probe.create()
    ended = probe.at(86_400).get(name)
    return (when(ended["endTime"]) - when(ended["startTime"])).total_seconds()


def when(text: str) -> datetime:
    """An instant of an answer."""
    return datetime.fromisoformat(text)


def test_a_job_moves_at_exact_instants() -> None:
    """A job is PENDING for two minutes and RUNNING for its duration, to the microsecond."""
    world = World()
    length = run_s()
    name = world.create()
    seen = [(at, world.at(at).states(name)[0]) for at in (0, 119.999999, 120, 119.999999 + length, 120 + length)]
    expected = ["PENDING", "PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]
    assert expected == [state for _, state in seen]


def test_times_of_a_finished_job_are_those_of_its_events() -> None:
    """However late anybody looks, start and end are the instants at which they happened."""
    world = World()
    name = world.create()
    job = world.at(7 * 86_400).get(name)
    end = START + timedelta(seconds=120 + run_s())
    assert (START, START + timedelta(seconds=120), end, end) == (
        when(job["createTime"]),
        when(job["startTime"]),
        when(job["endTime"]),
        when(job["updateTime"]),
    )
    assert job["createTime"].endswith(".000000Z")


def test_durations_are_plausible() -> None:
    """Jobs run for 15 minutes to 4 hours, and half of them for less than about 45 minutes."""
    world = World(concurrent_jobs=400)
    for number in range(400):
        asked = body() | {"supervisedTuningSpec": {"trainingDatasetUri": f"gs://bucket/{number}.jsonl"}}
        assert 200 == world.client.post(TUNING_JOBS, json=asked).status_code
    world.at(86_400)
    minutes = sorted(
        (when(job["endTime"]) - when(job["startTime"])).total_seconds() / 60 for job in world.simulator.jobs()
    )
    assert 15 <= minutes[0]
    assert 40 <= minutes[200] <= 50
    assert minutes[-1] <= 240


def test_more_epochs_take_longer() -> None:
    """The same dataset takes longer for twice the epochs."""
    world = World(concurrent_jobs=2)
    asked = body()
    asked["supervisedTuningSpec"]["hyperParameters"]["epochCount"] = 8
    names = [world.create(), world.client.post(TUNING_JOBS, json=asked).json()["name"]]
    world.at(86_400)
    four, eight = (world.get(name)["endTime"] for name in names)
    assert four < eight


def test_over_quota_jobs_wait_in_create_order() -> None:
    """A job over quota is accepted, says what it waits for, and starts the instant the one before it ends."""
    world = World()
    length = run_s()
    first, second, third = world.create(), world.create("europe-west4"), world.create()
    assert ["PENDING"] * 3 == world.states(first, second, third)
    phases = [world.get(name).get("tuningJobState") for name in (first, second, third)]
    assert [None, "TUNING_JOB_STATE_WAITING_FOR_QUOTA", "TUNING_JOB_STATE_WAITING_FOR_QUOTA"] == phases
    world.at(10 * 86_400)
    expected = [START + timedelta(seconds=120 * (place + 1) + length * place) for place in range(3)]
    assert expected == [when(world.get(name)["startTime"]) for name in (first, second, third)]


def test_quota_is_counted_per_project() -> None:
    """Another project's jobs take no slot of this one."""
    world = World()
    mine = world.create()
    theirs = world.simulator.inject_foreign_job("other-project")
    assert ["RUNNING", "RUNNING"] == world.at(120).states(mine, theirs)


def test_over_quota_is_refused_on_request() -> None:
    """With over_quota refuse, a create over the limit is 429 without details, in whatever location."""
    world = World(over_quota="refuse")
    world.create()
    answer = world.client.post(TUNING_JOBS.replace("us-central1", "europe-west4"), json=body())
    expected = {
        "code": 429,
        "message": "The following quota metrics exceed quota limits: "
        "aiplatform.googleapis.com/global_concurrent_tuning_jobs",
        "status": "RESOURCE_EXHAUSTED",
    }
    assert (429, expected) == (answer.status_code, answer.json()["error"])
    assert 1 == len(world.simulator.jobs())


def test_a_cancelling_job_keeps_its_slot_until_it_has_ended() -> None:
    """Only an ended job frees its slot, and it does so at the instant it ends."""
    world = World(over_quota="refuse")
    first = world.create()
    world.at(200).cancel(first)
    assert 429 == world.at(229).client.post(TUNING_JOBS, json=body()).status_code
    assert 200 == world.at(230).client.post(TUNING_JOBS, json=body()).status_code


def test_a_pending_job_is_cancelled_within_seconds() -> None:
    """The cancel of a PENDING job skips CANCELLING and leaves an error of code 1 and no start."""
    world = World()
    name = world.create()
    answer = world.at(10).cancel(name)
    assert (200, {}) == (answer.status_code, answer.json())
    assert ["PENDING"] == world.at(12.9).states(name)
    job = world.at(13).get(name)
    assert "JOB_STATE_CANCELLED" == job["state"]
    assert {"code": 1, "message": "CANCELED"} == job["error"]
    assert START + timedelta(seconds=13) == when(job["endTime"])
    assert "startTime" not in job


def test_a_waiting_job_can_be_cancelled_and_never_starts() -> None:
    """A slot that frees while a waiting job is being cancelled goes to the one behind it."""
    world = World()
    first, second, third = world.create(), world.create(), world.create()
    world.at(118.5).cancel(first)
    world.at(119).cancel(second)
    assert ["CANCELLED", "PENDING", "PENDING"] == world.at(121.5).states(first, second, third)
    assert ["CANCELLED", "RUNNING"] == world.at(241.5).states(second, third)


def test_a_running_job_is_cancelling_for_half_a_minute() -> None:
    """The cancel of a RUNNING job takes 30 s, in which it is CANCELLING."""
    world = World()
    name = world.create()
    world.at(500).cancel(name)
    assert ["CANCELLING"] == world.states(name)
    assert ["CANCELLING"] == world.at(529.9).states(name)
    job = world.at(530).get(name)
    assert ("JOB_STATE_CANCELLED", {"code": 1, "message": "CANCELED"}) == (job["state"], job["error"])
    assert "tunedModel" not in job


def test_a_cancel_may_come_too_late() -> None:
    """A job that ends by itself before its cancel is through keeps its own outcome."""
    world = World()
    name = world.create()
    end_s = 120 + run_s()
    world.at(end_s - 10).cancel(name)
    assert ["CANCELLING"] == world.states(name)
    job = world.at(end_s).get(name)
    assert "JOB_STATE_SUCCEEDED" == job["state"]
    assert "tunedModel" in job


def test_cancelling_again_or_too_late_changes_nothing() -> None:
    """The cancel of a job that is CANCELLING or has ended is answered 200 and does nothing."""
    world = World()
    name = world.create()
    world.at(500).cancel(name)
    assert 200 == world.at(520).cancel(name).status_code
    ended = world.at(530).get(name)
    assert 200 == world.at(600).cancel(name).status_code
    assert ended == world.at(900).get(name)


@pytest.mark.parametrize(
    ("simulate", "code", "runs_s", "leaves_model"),
    [("fail", 13, None, False), ("fail-dataset", 3, 120.0, False), ("fail-with-model", 13, None, True)],
)
def test_the_simulate_label_makes_a_job_fail(
    simulate: str, code: int, runs_s: float | None, leaves_model: bool
) -> None:
    """The user label `simulate` says how a job fails: with which code, when, and whether a model is left."""
    world = World()
    name = world.create(simulate=simulate)
    job = world.at(86_400).get(name)
    ran_s = (when(job["endTime"]) - when(job["startTime"])).total_seconds()
    assert ("JOB_STATE_FAILED", code) == (job["state"], job["error"]["code"])
    assert (run_s() if runs_s is None else runs_s) == ran_s
    assert leaves_model == ("tunedModel" in job)
    assert "endpoint" not in job.get("tunedModel", {})


def test_the_failure_rate_is_the_share_of_jobs_that_fail() -> None:
    """A failure rate of 30 % fails about that share of many jobs, and 0 none."""
    world = World(concurrent_jobs=500, failure_rate=0.3)
    for _ in range(500):
        world.create()
    world.at(86_400)
    failed = sum(1 for job in world.simulator.jobs() if job["state"] == "JOB_STATE_FAILED")
    assert 110 <= failed <= 190


def test_a_higher_quota_starts_waiting_jobs_at_once() -> None:
    """Raising the quota gives slots at that instant; lowering it stops nothing that has one."""
    world = World()
    first, second, third = world.create(), world.create(), world.create()
    world.at(300).simulator.configure(lambda settings: type(settings)(concurrent_jobs=2))
    assert ["RUNNING", "RUNNING", "PENDING"] == world.at(420).states(first, second, third)
    world.simulator.configure(lambda settings: type(settings)(concurrent_jobs=1))
    assert ["RUNNING", "RUNNING", "PENDING"] == world.at(500).states(first, second, third)


def test_v1beta1_tells_the_phases_and_the_progress_of_a_running_job() -> None:
    """A RUNNING job processes its dataset, tunes and post-processes, and counts its epochs; v1 shows none of it."""
    world = World()
    name = world.create()
    end_s = 120 + run_s()
    seen = [world.at(at).get(name).get("tuningJobState") for at in (0, 120, 240, end_s - 120, end_s)]
    phases = [None, "PROCESSING_DATASET", "TUNING", "POST_PROCESSING", None]
    assert [phase and f"TUNING_JOB_STATE_{phase}" for phase in phases] == seen
    done = world.get(name)
    assert "4" == done["tuningJobMetadata"]["completedEpochCount"]
    older = world.client.get(f"/v1/{name}").json()
    assert {"tuningJobState", "tuningJobMetadata"}.isdisjoint(older)
    assert done["tuningDataStats"] == older["tuningDataStats"]


def test_progress_counts_up() -> None:
    """Half-way through its tuning, a job has done half of its epochs."""
    world = World()
    name = world.create()
    middle_s = 120 + run_s() / 2
    assert "2" == world.at(middle_s).get(name)["tuningJobMetadata"]["completedEpochCount"]
    assert "tuningDataStats" in world.get(name)


def test_backstage_a_job_can_be_finished_or_failed_now() -> None:
    """Tests end a job at the present instant, as success or as failure with a code of theirs."""
    world = World(concurrent_jobs=2)
    finished, failed = world.create(), world.create()
    world.at(30).simulator.finish_job(finished)
    world.simulator.fail_job(failed, code=8, message="no accelerators")
    assert ["SUCCEEDED", "FAILED"] == world.states(finished, failed)
    assert {"code": 8, "message": "no accelerators"} == world.get(failed)["error"]
    assert START + timedelta(seconds=30) == when(world.get(finished)["endTime"])
    assert "endpoint" in world.get(finished)["tunedModel"]


def test_backstage_a_foreign_job_takes_part_in_the_quota() -> None:
    """A foreign job waits, runs for as long as it was told to, and makes others wait."""
    world = World()
    foreign = world.simulator.inject_foreign_job("demo-project", labels={"team": "other"}, duration_s=60)
    mine = world.create()
    assert ["RUNNING", "PENDING"] == world.at(179).states(foreign, mine)
    assert ["SUCCEEDED", "RUNNING"] == world.at(300).states(foreign, mine)
    assert {"team": "other"} == world.get(foreign)["labels"]


STEPS = st.lists(
    st.tuples(st.sampled_from(["create", "cancel", "look", "foreign"]), st.integers(0, 5), st.integers(0, 3000)),
    max_size=25,
)


def play(world: World, steps: list[tuple[str, int, int]], *, look: bool) -> list[str]:
    """Play the steps, each a while after the one before; with `look`, everything is read at instants in between."""
    names: list[str] = []
    at = 0
    for action, which, pause_s in steps:
        if look:
            world.at(at + pause_s / 2).client.get(TUNING_JOBS)
        at += pause_s
        world.at(at)
        if action == "create":
            names.append(world.create())
        elif action == "foreign":
            names.append(world.simulator.inject_foreign_job("demo-project", duration_s=which * 700))
        elif action == "cancel" and names:
            world.cancel(names[which % len(names)])
    world.at(at + 5 * 86_400)
    return names


@given(steps=STEPS, quota=st.integers(1, 3))
def test_never_more_jobs_run_at_once_than_the_quota_allows(steps: list[tuple[str, int, int]], quota: int) -> None:
    """At no instant do more jobs of a project run than its quota has room for, and all of them end."""
    world = World(concurrent_jobs=quota)
    play(world, steps, look=False)
    changes: list[tuple[datetime, int]] = []
    for job in world.simulator.jobs():
        assert job["state"] in ("JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED")
        if "startTime" in job:
            changes += [(when(job["startTime"]), 1), (when(job["endTime"]), -1)]
    running = 0
    for _, change in sorted(changes):
        running += change
        assert running <= quota


@given(steps=STEPS)
def test_asking_changes_nothing(steps: list[tuple[str, int, int]]) -> None:
    """The same requests give the same world, whether or not anybody read it in between."""
    quiet, watched = World(), World()
    play(quiet, steps, look=False)
    play(watched, steps, look=True)
    assert quiet.simulator.snapshot() == watched.simulator.snapshot()
