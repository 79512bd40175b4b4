"""How the state moves: each transition gives exactly the state it promises, and one that can be stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.errors import Source
from reconciler.model.desired import DesiredModel, Lifecycle, Priority
from reconciler.model.fields import Fields
from reconciler.model.job import JobState, LiveJob
from reconciler.plan import Action, Change, Reason
from reconciler.state.codec import encode_state
from reconciler.state.records import Because, Origin, Record, State, Ticket
from reconciler.state.unseen import SETTLE_TIME
from reconciler.transitions import (
    adopt_intents,
    approve,
    cancel_requested,
    created,
    drop_settled_intents,
    intend,
    note_ended,
    refused,
)
from tests.builders import (
    AT,
    a_change,
    a_job,
    a_model,
    a_record,
    a_state,
    a_ticket,
    an_attempt,
    an_intent,
    an_observation,
)

ALPHA = a_model("alpha")
CHANGED = a_model("alpha", fields={"hyperParameters.epochCount": 9})
BETA = a_model("beta")
JOB = a_job(1, model=ALPHA)
RECORD = a_record(ALPHA, JOB)
YESTERDAY = AT - timedelta(days=1)
MOMENT = timedelta(microseconds=1)


def agreed(
    state: State, *changes: Change, wanted: Iterable[DesiredModel] = (), because: Because = Because.REMOVED
) -> State:
    """The state once somebody agreed to these changes."""
    approved = approve(
        state,
        changes,
        {model.address: model for model in wanted},
        an_observation(JOB),
        approved_by="ana",
        plan_checksum="c0ffee",
        ended_because=because,
    )
    assert encode_state(approved), "what was approved can be stored"
    return approved


def test_a_create_becomes_a_ticket() -> None:
    """A ticket holds what was approved, by whom, when by the service's clock, and from which plan."""
    model = a_model("child", parent=ALPHA, priority=Priority.HIGH)
    change = a_change(model, Action.CREATE, Reason.RETRY, attempt=3, job=JOB.name)
    expected = Ticket(
        address="child",
        fingerprint=model.fingerprint,
        attempt=3,
        reason="retry",
        priority=Priority.HIGH,
        location="us-central1",
        enqueued_at=AT,
        parent="alpha",
        approved_by="ana",
        plan_checksum="c0ffee",
    )
    assert {"child": expected} == agreed(a_state(), change, wanted=[model]).queue


def test_a_replacement_waits_for_the_job_it_replaces() -> None:
    """A replace notes on the old job that we end it, and its ticket names that job."""
    state = agreed(
        a_state(RECORD), a_change(CHANGED, Action.REPLACE, Reason.SPEC_CHANGED, job=JOB.name), wanted=[CHANGED]
    )
    assert (Because.REPLACED, JOB.name, CHANGED.fingerprint) == (
        state.records["alpha"].current.because,
        state.queue["alpha"].after,
        state.queue["alpha"].fingerprint,
    )


def test_what_was_approved_before_keeps_its_place() -> None:
    """Approving the same create again changes its class, and neither its place nor the mark of its attempt."""
    waiting = a_ticket(ALPHA, enqueued_at=YESTERDAY, refusals=2, submissions=1, approved_by="bo")
    urgent = replace(ALPHA, priority=Priority.HIGH)
    state = agreed(a_state(waiting), a_change(ALPHA, Action.CREATE, Reason.NEW), wanted=[urgent])
    assert {"alpha": replace(waiting, priority=Priority.HIGH)} == state.queue
    assert waiting.nonce == state.queue["alpha"].nonce


def test_another_spec_takes_another_place() -> None:
    """A create of another spec replaces the ticket that waited, and goes to the back."""
    waiting = a_ticket(ALPHA, enqueued_at=YESTERDAY)
    state = agreed(a_state(waiting), a_change(CHANGED, Action.CREATE, Reason.SPEC_CHANGED), wanted=[CHANGED])
    assert (CHANGED.fingerprint, AT) == (state.queue["alpha"].fingerprint, state.queue["alpha"].enqueued_at)


@pytest.mark.parametrize(
    ("reason", "because", "noted"),
    [
        (Reason.REMOVED, Because.REMOVED, Because.REMOVED),
        (Reason.REMOVED, Because.DESTROYED, Because.DESTROYED),
        (Reason.ROLLED_BACK, Because.REMOVED, Because.REPLACED),
    ],
)
def test_a_cancel_notes_why_and_takes_the_ticket(reason: Reason, because: Because, noted: Because) -> None:
    """The reason for a cancel is on the job before it is asked for, and nothing is queued for the address."""
    state = a_state(RECORD, a_ticket(CHANGED))
    state = agreed(state, a_change(ALPHA, Action.CANCEL, reason, job=JOB.name), because=because)
    assert (noted, {}) == (state.records["alpha"].current.because, state.queue)


def test_forgetting_retires_the_record() -> None:
    """A forgotten address leaves the records, the queue and the intents, and its record is kept apart."""
    state = a_state(RECORD, a_ticket(ALPHA), an_intent(ALPHA))
    state = agreed(state, a_change(ALPHA, Action.FORGET, Reason.FINISHED))
    assert ({}, {"alpha": RECORD}, {}, {}) == (state.records, state.retired, state.queue, state.intents)


def test_forgetting_what_was_never_started_leaves_nothing() -> None:
    """A ticket without a record goes without a trace."""
    state = agreed(a_state(a_ticket(ALPHA)), a_change(ALPHA, Action.FORGET, Reason.DEQUEUED))
    assert ({}, {}, {}) == (state.records, state.retired, state.queue)


def test_a_redeclared_address_takes_its_record_back() -> None:
    """Any change of a desired address brings its retired record back."""
    state = a_state(retired={"alpha": RECORD})
    state = agreed(state, a_change(ALPHA, Action.LEAVE, Reason.SUCCEEDED), wanted=[ALPHA])
    assert (["alpha"], {}) == (list(state.records), state.retired)
    assert RECORD.attempts == state.records["alpha"].attempts


def test_lifecycle_and_place_in_the_manifest_are_kept_current() -> None:
    """Every apply copies what the manifest says about the life of a model, also where it is left alone."""
    moved = replace(ALPHA, lifecycle=Lifecycle(on_remove="delete"), source=Source("manifests/b.yaml", 7, 1))
    state = agreed(a_state(RECORD), a_change(ALPHA, Action.LEAVE, Reason.SUCCEEDED), wanted=[moved])
    record = state.records["alpha"]
    assert (moved.lifecycle, moved.source) == (record.lifecycle, record.source)


class TestAdoption:
    """What is taken over without tuning again."""

    def test_a_move_takes_the_job_along(self) -> None:
        """The record goes to the new address and counts for its fingerprint from then on."""
        moved = a_model("omega", fields={"trainingDatasetUri": "gs://data/alpha.jsonl", "labels.team": "b"})
        adopt = a_change(moved, Action.ADOPT, Reason.MOVED, moved="alpha", job=JOB.name)
        forget = a_change(ALPHA, Action.FORGET, Reason.MOVED, moved="omega")
        state = agreed(a_state(RECORD), forget, adopt, wanted=[moved])
        assert (["omega"], {}) == (list(state.records), state.retired)
        expected = an_attempt(JOB, ALPHA, fingerprint=moved.fingerprint, fields=moved.fields)
        assert (expected,) == state.records["omega"].attempts

    def test_a_roll_back_makes_the_older_job_the_current_one(self) -> None:
        """The older attempt comes last again, once, and is no longer noted as ended by us."""
        newer = a_job(2, model=CHANGED)
        attempts = (an_attempt(JOB, ALPHA, because=Because.REPLACED), an_attempt(newer, CHANGED))
        record = Record(address="alpha", attempts=attempts)
        change = a_change(ALPHA, Action.ADOPT, Reason.ROLLED_BACK, job=JOB.name)
        state = agreed(a_state(record, a_ticket(CHANGED)), change, wanted=[ALPHA])
        assert (attempts[1], replace(attempts[0], because=None)) == state.records["alpha"].attempts
        assert {} == state.queue

    @pytest.mark.parametrize(("model", "fields"), [(ALPHA, ALPHA.fields), (CHANGED, {})])
    def test_a_job_known_by_its_labels(self, model: DesiredModel, fields: Fields) -> None:
        """It is recorded as known by labels alone, with its own fingerprint, and with fields where those are known."""
        change = a_change(model, Action.ADOPT, Reason.UNRECORDED, job=JOB.name)
        state = agreed(a_state(a_ticket(model)), change, wanted=[model])
        attempt = state.records["alpha"].current
        assert (Origin.LABEL, ALPHA.fingerprint, fields, JOB.nonce, AT) == (
            attempt.origin,
            attempt.fingerprint,
            attempt.fields,
            attempt.nonce,
            attempt.recorded_at,
        )
        assert {} == state.queue

    def test_a_late_job_of_the_ticket_itself(self) -> None:
        """A job that bears the nonce of the ticket that waits is surely ours: the state knows its mark, too."""
        ticket = a_ticket(ALPHA, submissions=2)
        late = a_job(1, model=ALPHA, nonce=ticket.nonce)
        change = a_change(ALPHA, Action.ADOPT, Reason.UNRECORDED, job=late.name)
        state = approve(
            a_state(ticket), [change], {"alpha": ALPHA}, an_observation(late), approved_by="ana", plan_checksum=""
        )
        attempt = state.records["alpha"].current
        assert (Origin.CREATED, 2, {}) == (attempt.origin, attempt.submissions, dict(state.queue))

    def test_a_submission_that_succeeded_is_left_to_the_next_cycle(self) -> None:
        """Adopting by an intent is the first thing every cycle does, so the approval changes nothing."""
        state = a_state(an_intent(ALPHA), a_ticket(ALPHA))
        change = a_change(ALPHA, Action.ADOPT, Reason.SUBMITTED, job=JOB.name)
        assert state == agreed(state, change, wanted=[ALPHA])


class TestLeaving:
    """A leave writes too, where the manifest and the state would drift apart else."""

    def test_the_same_spec_in_other_words(self) -> None:
        """The record takes the new fingerprint and fields, so that the next plan sees no difference."""
        change = a_change(CHANGED, Action.LEAVE, Reason.SAME_SPEC, job=JOB.name)
        attempt = agreed(a_state(RECORD), change, wanted=[CHANGED]).records["alpha"].current
        assert (CHANGED.fingerprint, CHANGED.fields, JOB.name) == (attempt.fingerprint, attempt.fields, attempt.job)

    @pytest.mark.parametrize("reason", [Reason.IN_PROGRESS, Reason.SUCCEEDED])
    def test_what_is_wanted_again_is_no_longer_ended_by_us(self, reason: Reason) -> None:
        """A job that was to be cancelled and is desired again loses that note."""
        state = a_state(a_record(ALPHA, JOB, because=Because.REMOVED))
        assert (
            agreed(state, a_change(ALPHA, Action.LEAVE, reason), wanted=[ALPHA]).records["alpha"].current.because
            is None
        )

    def test_what_a_person_asked_to_cancel_stays_so(self) -> None:
        """A cancel that a person asked for is not taken back by the next apply."""
        state = a_state(a_record(ALPHA, JOB, because=Because.REQUESTED))
        state = agreed(state, a_change(ALPHA, Action.LEAVE, Reason.IN_PROGRESS), wanted=[ALPHA])
        assert Because.REQUESTED is state.records["alpha"].current.because

    def test_a_queued_ticket_takes_the_class_the_manifest_says(self) -> None:
        """Its place follows from its class, and from nothing else that is new."""
        waiting = a_ticket(ALPHA, enqueued_at=YESTERDAY)
        urgent = replace(ALPHA, priority=Priority.HIGH)
        state = agreed(a_state(waiting), a_change(ALPHA, Action.LEAVE, Reason.QUEUED), wanted=[urgent])
        assert {"alpha": replace(waiting, priority=Priority.HIGH)} == state.queue

    @pytest.mark.parametrize(("waiting", "left"), [(ALPHA, ["alpha"]), (CHANGED, [])])
    def test_a_ticket_for_another_spec_goes(self, waiting: DesiredModel, left: list[str]) -> None:
        """A ticket nobody wants any more goes even where the plan puts nothing in its place; another one stays."""
        state = a_state(RECORD, a_ticket(waiting))
        assert left == list(agreed(state, a_change(ALPHA, Action.LEAVE, Reason.CANCELLING), wanted=[ALPHA]).queue)

    def test_an_address_nobody_desires_is_left_as_it_is(self) -> None:
        """Leaving what is not desired writes nothing."""
        state = a_state(RECORD, a_ticket(CHANGED))
        assert state == agreed(state, a_change(ALPHA, Action.LEAVE, Reason.CANCELLING))


@pytest.mark.parametrize(
    ("before", "unread", "after"), [(False, (), True), (False, ("us-west1",), False), (True, ("us-west1",), True)]
)
def test_when_a_state_counts_as_applied(before: bool, unread: tuple[str, ...], after: bool) -> None:
    """It has applied once everything was looked at, and stays so."""
    state = approve(a_state(applied=before), (), {}, an_observation(unread=unread), approved_by="ana", plan_checksum="")
    assert after == state.applied


class TestIntents:
    """From the note that a create is about to be sent to what it came to."""

    ticket = a_ticket(ALPHA, attempt=2, submissions=1)
    intent = an_intent(ALPHA, attempt=2, nonce=ticket.nonce, submissions=2)
    job = a_job(5, model=ALPHA, nonce=ticket.nonce)

    def test_what_is_about_to_be_sent_is_noted(self) -> None:
        """An intent carries all of its ticket that the answer will need, and counts this call."""
        state = intend(a_state(self.ticket, a_ticket(BETA)), [self.ticket], {"alpha": ALPHA}, AT)
        assert ({"alpha": self.intent}, ["alpha", "beta"]) == (state.intents, list(state.queue))

    def test_intents_join_those_that_are_open(self) -> None:
        """The intents of a cycle do not close those of an earlier one."""
        state = intend(a_state(an_intent(BETA), self.ticket), [self.ticket], {"alpha": ALPHA}, AT)
        assert ["beta", "alpha"] == list(state.intents)

    def test_the_nonce_follows_from_the_ticket(self) -> None:
        """Two appliers that read the same ticket mark their jobs alike, and every attempt has a mark of its own."""
        others = [
            replace(self.ticket, attempt=3),
            replace(self.ticket, enqueued_at=AT + MOMENT),
            replace(self.ticket, address="beta"),
            replace(self.ticket, fingerprint=CHANGED.fingerprint),
        ]
        again = replace(self.ticket, refusals=4, submissions=9, not_before=AT, priority=Priority.HIGH, approved_by="bo")
        assert again.nonce == self.ticket.nonce
        assert 5 == len({self.ticket.nonce, *(one.nonce for one in others)})

    def test_an_answered_create_is_recorded(self) -> None:
        """The job becomes the current attempt; intent and ticket are gone."""
        before = a_state(RECORD, self.ticket, self.intent)
        after = created(before, self.intent, self.job, now=AT)
        expected = an_attempt(self.job, ALPHA, number=2, recorded_at=AT, submissions=2)
        assert (*RECORD.attempts, expected) == after.records["alpha"].attempts
        assert ({}, {}) == (after.intents, after.queue)

    def test_a_live_nonce_is_adopted(self) -> None:
        """An intent whose job is live is recorded as if its answer had come, however the job stands by now."""
        state = a_state(self.ticket, self.intent, an_intent(BETA))
        seen = an_observation(JOB, replace(self.job, state=JobState.FAILED))
        adopted = adopt_intents(state, seen)
        assert (self.job.name, Origin.CREATED) == (
            adopted.records["alpha"].current.job,
            adopted.records["alpha"].current.origin,
        )
        assert (["beta"], {}) == (list(adopted.intents), adopted.queue)

    def test_of_two_jobs_with_one_nonce_the_earlier_is_adopted(self) -> None:
        """The job that is kept of a duplicate is the one that was created first."""
        later = replace(a_job(4, model=ALPHA, nonce=self.ticket.nonce), created_at=AT + MOMENT)
        adopted = adopt_intents(a_state(self.intent), an_observation(later, self.job))
        assert self.job.name == adopted.records["alpha"].current.job

    def test_another_owners_nonce_is_not_adopted(self) -> None:
        """A copied nonce under another owner's label is foreign."""
        copy = a_job(5, model=ALPHA, nonce=self.ticket.nonce, owner="another-lineage")
        state = a_state(self.intent)
        assert state == adopt_intents(state, an_observation(copy))

    @pytest.mark.parametrize(
        ("age", "read", "is_open"),
        [
            (SETTLE_TIME - MOMENT, True, True),
            (SETTLE_TIME, True, False),
            (SETTLE_TIME, False, True),
            (timedelta(days=9), False, True),
        ],
    )
    def test_when_a_lost_submission_is_given_up(self, age: timedelta, read: bool, is_open: bool) -> None:
        """An intent closes once it is older than the settle time and its location was read; its ticket goes on."""
        intent = replace(self.intent, written_at=AT - age)
        seen = an_observation(read=frozenset({"us-central1"} if read else ()))
        state = drop_settled_intents(a_state(self.ticket, intent), seen, SETTLE_TIME)
        assert (is_open, 1 if is_open else 2) == ("alpha" in state.intents, state.queue["alpha"].submissions)
        assert self.ticket.nonce == state.queue["alpha"].nonce

    def test_a_lost_submission_counts_for_its_own_ticket_only(self) -> None:
        """A ticket with another mark was never submitted, so nothing that bears its mark can be a duplicate."""
        intent = replace(self.intent, written_at=AT - SETTLE_TIME)
        other = a_ticket(CHANGED)
        state = drop_settled_intents(a_state(other, intent), an_observation(), SETTLE_TIME)
        assert ({}, {"alpha": other}) == (state.intents, state.queue)

    @pytest.mark.parametrize("not_before", [AT + timedelta(seconds=30), None])
    def test_a_definite_refusal(self, not_before: datetime | None) -> None:
        """Nothing was created: the intent closes, and the ticket waits on in its place or is given up."""
        state = refused(a_state(self.ticket, self.intent), self.intent, not_before=not_before, by="rate")
        waiting = {"alpha": replace(self.ticket, not_before=not_before, refusals=1, refused_by="rate")}
        assert ({}, {} if not_before is None else waiting) == (state.intents, state.queue)

    def test_a_refusal_of_what_is_no_longer_queued(self) -> None:
        """Without a ticket only the intent closes."""
        state = refused(a_state(self.intent), self.intent, not_before=AT)
        assert ({}, {}) == (state.intents, state.queue)


@pytest.mark.parametrize("because", [Because.REQUESTED, None])
def test_a_cancel_that_a_person_asked_for(because: Because | None) -> None:
    """The ticket goes, and the reason is noted where a job runs."""
    state = cancel_requested(a_state(RECORD, a_ticket(CHANGED)), "alpha", because)
    assert (because, {}) == (state.records["alpha"].current.because, state.queue)


def test_how_a_job_ended_is_noted_once() -> None:
    """The end of a recorded job is told the first time it is seen, and not again."""
    done = replace(JOB, state=JobState.SUCCEEDED, billable_token_count=700)
    state, told = note_ended(a_state(RECORD), an_observation(done))
    assert (("alpha", done),) == told
    assert (JobState.SUCCEEDED, 700) == (
        state.records["alpha"].current.ended_as,
        state.records["alpha"].current.billable_token_count,
    )
    assert (state, ()) == note_ended(state, an_observation(done))


@pytest.mark.parametrize("seen", [(JOB,), ()])
def test_nothing_is_noted_of_a_job_that_has_not_ended(seen: tuple[LiveJob, ...]) -> None:
    """A running job, or one that is not listed, has not ended."""
    state = a_state(RECORD)
    assert (state, ()) == note_ended(state, an_observation(*seen))
