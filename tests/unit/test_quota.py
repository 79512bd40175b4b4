"""The ledger: what counts against the quota, what does not, and how many more jobs may start."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.model.desired import QuotaSettings
from reconciler.model.job import JobState
from reconciler.plan import QuotaView
from reconciler.quota import ASSUMED_LIMIT, GLOBAL_LANE, Lane, LaneRules, Ledger, own_job_names, take_ledger
from reconciler.state.records import Hold
from reconciler.state.unseen import SETTLE_TIME, unseen_attempts
from tests.builders import AT, a_job, a_model, a_record, a_state, an_intent, an_observation

TEN = QuotaSettings(concurrent_jobs=10)
ALPHA, BETA = a_model("alpha"), a_model("beta")
OWN = a_job("own", model=ALPHA)
FOREIGN = a_job("foreign")
MOMENT = timedelta(microseconds=1)


def a_ledger(*, own: int = 0, foreign: int = 0, **changes: Any) -> Ledger:
    """A ledger of four slots with so many active jobs."""
    ledger = Ledger(
        limit=4,
        limit_source="the stack's manifest",
        own=tuple(a_job(f"own-{number}", model=ALPHA) for number in range(own)),
        foreign=tuple(a_job(f"foreign-{number}") for number in range(foreign)),
        unread={},
    )
    return replace(ledger, **changes)


@pytest.mark.parametrize(
    ("ledger", "free"),
    [
        (a_ledger(), 4),
        (a_ledger(own=1, foreign=2), 1),
        (a_ledger(own=1, foreign=1, intents=1, held=1), 0),
        (a_ledger(foreign=9), 0),
        (a_ledger(max_slots=2), 2),
        (a_ledger(own=1, max_slots=2), 1),
        (a_ledger(intents=1, max_slots=2), 1),
        (a_ledger(foreign=3, max_slots=2), 1),
        (a_ledger(own=3, max_slots=2), 0),
        (a_ledger(held=3, max_slots=3), 1),
        (a_ledger(unread={"us-central1": "503"}), None),
    ],
)
def test_free_slots(ledger: Ledger, free: int | None) -> None:
    """The limit less all that uses it, our own cap less what is ours, never below none; unknown with a blind spot."""
    assert free == ledger.free


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        (JobState.QUEUED, True),
        (JobState.PENDING, True),
        (JobState.RUNNING, True),
        (JobState.PAUSED, True),
        (JobState.UPDATING, True),
        (JobState.CANCELLING, True),
        ("JOB_STATE_NOBODY_KNOWS", True),
        (JobState.SUCCEEDED, False),
        (JobState.PARTIALLY_SUCCEEDED, False),
        (JobState.FAILED, False),
        (JobState.CANCELLED, False),
        (JobState.EXPIRED, False),
    ],
)
def test_which_states_use_a_slot(state: str, counts: bool) -> None:
    """A job uses its slot until it has surely ended, ours and foreign alike."""
    jobs = (replace(OWN, state=state), replace(FOREIGN, state=state))
    ledger = take_ledger(TEN, a_state(), an_observation(*jobs))
    assert (counts, counts, 8 if counts else 10) == (bool(ledger.own), bool(ledger.foreign), ledger.free)


def test_jobs_of_every_location_count() -> None:
    """The quota is one number for the whole project."""
    elsewhere = a_job("elsewhere", location="europe-west4")
    assert 8 == take_ledger(TEN, a_state(), an_observation(FOREIGN, elsewhere)).free


@pytest.mark.parametrize(
    ("settings", "limit", "source"),
    [
        (QuotaSettings(), ASSUMED_LIMIT, "assumed, the documented minimum"),
        (QuotaSettings(concurrent_jobs=3), 3, "the stack's manifest"),
    ],
)
def test_where_the_limit_comes_from(settings: QuotaSettings, limit: int, source: str) -> None:
    """A limit nobody told is the documented minimum, and the ledger says which it is."""
    ledger = take_ledger(settings, a_state(), an_observation())
    assert (limit, source) == (ledger.limit, ledger.limit_source)


def test_whose_jobs_are_ours() -> None:
    """A job is ours when a record names it or it bears our owner label; another owner's labels make it foreign."""
    imported = a_job("imported")
    retired = a_job("retired")
    others = a_job("others", model=ALPHA, owner="another-lineage")
    state = a_state(a_record(BETA, imported), retired={"old": replace(a_record(BETA, retired), address="old")})
    jobs = (OWN, FOREIGN, imported, retired, others)
    assert frozenset({OWN.name, imported.name, retired.name}) == own_job_names(state, jobs)


def test_an_open_intent_holds_a_slot_until_its_job_is_seen() -> None:
    """What was asked for and not seen yet counts once: as an intent, then as the job."""
    intent = an_intent(ALPHA)
    job = a_job(1, model=ALPHA, nonce=intent.nonce)
    before = take_ledger(TEN, a_state(intent), an_observation())
    after = take_ledger(TEN, a_state(intent), an_observation(job))
    assert ((1, 0, 9), (0, 1, 9)) == (
        (before.intents, len(before.own), before.free),
        (after.intents, len(after.own), after.free),
    )


def test_another_owners_copy_of_a_nonce_does_not_stand_for_an_intent() -> None:
    """A foreign job that bears the nonce counts beside the intent."""
    intent = an_intent(ALPHA)
    copy = a_job(1, model=ALPHA, nonce=intent.nonce, owner="another-lineage")
    assert 8 == take_ledger(TEN, a_state(intent), an_observation(copy)).free


@pytest.mark.parametrize(
    ("age", "free"), [(timedelta(0), 9), (SETTLE_TIME - MOMENT, 9), (SETTLE_TIME, 10), (timedelta(days=3), 10)]
)
def test_a_job_no_list_shows_yet_holds_a_slot_for_the_settle_time(age: timedelta, free: int) -> None:
    """A recorded job that is not listed counts while it is fresh, and not once it is surely gone."""
    state = a_state(a_record(ALPHA, OWN, recorded_at=AT - age))
    assert free == take_ledger(TEN, state, an_observation()).free


def test_a_listed_job_is_not_counted_twice() -> None:
    """Once a list shows it, a fresh job counts as the job alone."""
    state = a_state(a_record(ALPHA, OWN, recorded_at=AT))
    assert ({}, 9) == (unseen_attempts(state, an_observation(OWN)), take_ledger(TEN, state, an_observation(OWN)).free)


def test_holds_end_by_themselves() -> None:
    """Slots held for people are kept free until their instant, that instant excluded."""
    running = Hold(slots=2, until=AT + MOMENT, reason="demo", by="ana")
    over = Hold(slots=5, until=AT, reason="demo", by="ana")
    ledger = take_ledger(TEN, a_state(holds=(running, over)), an_observation())
    assert (2, 8) == (ledger.held, ledger.free)


class TestLanes:
    """Quotas beside the global one, for accelerators and for open models."""

    rules = LaneRules(
        needs_of=lambda fields: {"a100": 8} if "pipelineTuning.trainSteps" in fields else {GLOBAL_LANE: 1},
        limits={GLOBAL_LANE: 5, "a100": 24},
        source="read from Google",
    )
    heavy = a_model("heavy", fields={"pipelineTuning.trainSteps": 10})

    def test_each_job_counts_where_it_takes_something(self) -> None:
        """A lane counts the units of our jobs, seen or not yet, and of others; the global one does not."""
        jobs = (a_job(1, model=self.heavy), a_job(2, fields=self.heavy.fields), OWN)
        ledger = take_ledger(QuotaSettings(), a_state(an_intent(self.heavy)), an_observation(*jobs), self.rules)
        assert (Lane(name="a100", limit=24, own_units=16, foreign_units=8),) == ledger.lanes
        assert ((OWN,), (), 0) == (ledger.own, ledger.foreign, ledger.intents)
        assert {GLOBAL_LANE: 4, "a100": 0} == ledger.free_units()

    def test_a_lane_never_has_less_than_nothing(self) -> None:
        """A limit that was lowered below what runs leaves nothing."""
        assert 0 == Lane(name="a100", limit=8, own_units=8, foreign_units=8).free

    def test_a_blind_spot_hides_every_lane(self) -> None:
        """With a location unread no lane's free units are known."""
        ledger = take_ledger(QuotaSettings(), a_state(), an_observation(unread=("us-west1",)), self.rules)
        assert ledger.free_units() is None

    @pytest.mark.parametrize(("told", "limit"), [(None, 5), (2, 2)])
    def test_the_manifest_goes_before_what_was_read(self, told: int | None, limit: int) -> None:
        """A limit that was read counts where the manifest says `auto`."""
        ledger = take_ledger(QuotaSettings(concurrent_jobs=told), a_state(), an_observation(), self.rules)
        assert limit == ledger.limit


def test_the_view_tells_the_figures() -> None:
    """A plan shows the ledger's own figures, foreign jobs by name and blind spots, sorted."""
    jobs = (OWN, a_job("b"), a_job("a"))
    observation = an_observation(*jobs, unread=("us-west1", "asia-east1"))
    ledger = take_ledger(TEN, a_state(an_intent(BETA)), observation)
    expected = QuotaView(
        limit=10,
        limit_source="the stack's manifest",
        own_active=1,
        foreign_active=2,
        intents=1,
        held=0,
        free=None,
        foreign_jobs=(jobs[2].name, jobs[1].name),
        unread_locations=("asia-east1", "us-west1"),
    )
    assert expected == ledger.view()
