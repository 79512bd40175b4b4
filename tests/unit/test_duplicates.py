"""Two jobs for one attempt: which is kept, which is one too many, and what is no duplicate at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.duplicates import Duplicate, find_duplicates, note_duplicates
from reconciler.model.job import JobState, LiveJob
from reconciler.state.codec import encode_state
from reconciler.state.records import Because, Record, State
from tests.builders import AT, a_job, a_model, a_record, a_state, a_ticket, an_attempt, an_observation

ALPHA = a_model("alpha")
CHANGED = a_model("alpha", fields={"hyperParameters.epochCount": 9})
NONCE = a_ticket(ALPHA).nonce
FIRST = a_job(1, model=ALPHA, nonce=NONCE)
SECOND = replace(a_job(2, model=ALPHA, nonce=NONCE), created_at=AT + timedelta(seconds=1))
SENT_TWICE = a_record(ALPHA, SECOND, submissions=2)


def the_pair(state: State, *jobs: LiveJob) -> tuple[str, str] | None:
    """The names of what is kept and what is one too many; None where there is no duplicate."""
    found = find_duplicates(state, an_observation(*jobs))
    assert len(found) <= 1
    return (found[0].kept.name, found[0].surplus.name) if found else None


def in_state(job: LiveJob, state: JobState) -> LiveJob:
    """The job in another state."""
    return replace(job, state=state)


@pytest.mark.parametrize("recorded", [FIRST, SECOND])
def test_of_two_that_run_the_earlier_is_kept(recorded: LiveJob) -> None:
    """Whichever the state names, the later by time of creation is one too many, in whatever order they are listed."""
    state = a_state(a_record(ALPHA, recorded, submissions=2))
    assert (FIRST.name, SECOND.name) == the_pair(state, SECOND, FIRST)


def test_equal_times_go_by_name() -> None:
    """Two jobs of one instant are told apart by name, so that everybody keeps the same one."""
    twin = replace(SECOND, created_at=AT)
    assert (FIRST.name, twin.name) == the_pair(a_state(SENT_TWICE), twin, FIRST)


@pytest.mark.parametrize(
    ("first", "kept"),
    [
        (in_state(FIRST, JobState.FAILED), SECOND),
        (in_state(FIRST, JobState.CANCELLED), SECOND),
        (in_state(FIRST, JobState.CANCELLING), SECOND),
        (in_state(FIRST, JobState.SUCCEEDED), FIRST),
    ],
)
def test_what_is_worth_more_is_kept(first: LiveJob, kept: LiveJob) -> None:
    """A success is kept before what runs, and what runs before what failed or is being cancelled."""
    pair = the_pair(a_state(SENT_TWICE), first, SECOND)
    assert pair is not None
    assert kept.name == pair[0]


@pytest.mark.parametrize(
    ("submissions", "second"),
    [
        (1, SECOND),
        (2, a_job(2, model=ALPHA, nonce="another")),
        (2, a_job(2, model=ALPHA, nonce=NONCE, owner="another-lineage")),
    ],
    ids=["sent once", "another attempt", "another owner"],
)
def test_what_is_no_duplicate(submissions: int, second: LiveJob) -> None:
    """Only a job of an attempt for which two creates were sent can be a duplicate of ours."""
    state = a_state(a_record(ALPHA, FIRST, submissions=submissions))
    assert the_pair(state, FIRST, second) is None


def test_no_more_than_were_sent_are_ours() -> None:
    """A third job with the nonce of two submissions is somebody's copy of our labels, and is left alone."""
    copy = replace(a_job(3, model=ALPHA, nonce=NONCE), created_at=AT + timedelta(minutes=1))
    assert (FIRST.name, SECOND.name) == the_pair(a_state(SENT_TWICE), FIRST, SECOND, copy)


def test_nothing_is_decided_while_the_recorded_job_is_not_listed() -> None:
    """Without the job that the state names it is not known what the other one is."""
    assert the_pair(a_state(SENT_TWICE), FIRST) is None


def test_an_attempt_gone_by_keeps_what_the_state_names() -> None:
    """Where the address has moved on, the job that the record names stays, and the late one ends."""
    newer = a_job(3, model=CHANGED, nonce="newer")
    ended = in_state(SECOND, JobState.FAILED)
    state = a_state(Record(address="alpha", attempts=(*SENT_TWICE.attempts, an_attempt(newer, CHANGED))))
    assert (SECOND.name, FIRST.name) == the_pair(state, FIRST, ended, newer)


def test_a_forgotten_address_has_its_duplicates_ended_too() -> None:
    """A late job of a retired record is one too many."""
    state = a_state(retired={"alpha": SENT_TWICE})
    assert (SECOND.name, FIRST.name) == the_pair(state, FIRST, in_state(SECOND, JobState.SUCCEEDED))


class TestNoting:
    """The state learns of a duplicate before its job is cancelled."""

    def noted(self) -> State:
        """The state that knows of the two jobs."""
        state = a_state(SENT_TWICE)
        return note_duplicates(state, find_duplicates(state, an_observation(FIRST, SECOND)))

    def test_both_jobs_are_in_the_record(self) -> None:
        """The surplus job is noted as ended by us, the kept one stands for the address, and the state can be stored."""
        state = self.noted()
        assert [(SECOND.name, Because.DUPLICATE), (FIRST.name, None)] == [
            (one.job, one.because) for one in state.records["alpha"].attempts
        ]
        assert encode_state(state)

    def test_a_duplicate_that_is_known_is_still_to_be_ended(self) -> None:
        """A process that died before it cancelled the surplus job is followed by one that does."""
        found = find_duplicates(self.noted(), an_observation(FIRST, SECOND))
        expected = Duplicate(address="alpha", nonce=NONCE, kept=FIRST, surplus=SECOND, is_known=True)
        assert ((expected,), True) == (found, found[0].is_to_end)

    def test_noting_it_twice_changes_nothing(self) -> None:
        """The same two jobs give the same record."""
        state = self.noted()
        assert state == note_duplicates(state, find_duplicates(state, an_observation(FIRST, SECOND)))

    def test_it_is_no_attempt_of_its_own(self) -> None:
        """The surplus job does not count against declared retries."""
        assert 1 == self.noted().records["alpha"].attempts_made(ALPHA.fingerprint)
