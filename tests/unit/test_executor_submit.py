"""Submitting safely: each create is sent once, lost answers and late lists make no second job, refusals are heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from reconciler.events import Kind
from reconciler.executor.loop import Ended
from reconciler.model.desired import Lifecycle, QuotaSettings
from reconciler.plan import Action, Reason
from reconciler.state.records import Because, Origin
from reconciler.state.unseen import SETTLE_TIME
from tests.builders import LINEAGE, a_model, a_stack, desired_of, minutes
from tests.worlds.service import Killed, Service, is_active

ALPHA, BETA = a_model("alpha"), a_model("beta")
STRIDE = minutes(5)
TWO_SLOTS = a_stack(quota=QuotaSettings(concurrent_jobs=2))


def fail_once(service: Service, moment: str, error: Callable[[], BaseException]) -> None:
    """Let the way to the service break at the next such moment, once."""
    broken: list[str] = []

    def on_effect(what: str) -> None:
        if what == moment and not broken:
            broken.append(what)
            raise error()

    service.wire.on_effect = service.store.on_effect = on_effect


class TestLostAnswers:
    """A create whose answer never came may have taken effect."""

    def test_a_job_that_was_made_is_adopted(self) -> None:
        """A create that took effect and was answered with 503 is found by its nonce, at once, and never repeated."""
        service = Service()
        service.simulator.set_faults(lost_create_answers=1)
        service.apply(desired_of(ALPHA), wait=False)
        assert (["alpha"], {}, Origin.CREATED) == (
            service.told(Kind.UNCERTAIN),
            dict(service.state.intents),
            service.state.records["alpha"].current.origin,
        )
        assert Ended.DONE is service.apply(desired_of(ALPHA)).ended
        assert (1, 1) == (len(service.wire.creates), len(service.own()))

    def test_a_job_that_was_made_and_is_not_listed_yet_is_waited_for(self) -> None:
        """The intent stays open and holds its slot until the list shows the job, so nothing else is submitted."""
        service = Service()
        service.simulator.set_faults(lost_create_answers=1, list_lag_s=240)
        followed = service.apply(desired_of(ALPHA, BETA), until_minutes=3)
        assert (Ended.TIME_IS_UP, 1, 1) == (followed.ended, len(service.wire.creates), followed.last.ledger.intents)
        service.simulator.set_faults()
        assert Ended.DONE is service.apply(desired_of(ALPHA, BETA)).ended
        assert (2, 2) == (len(service.wire.creates), len(service.own()))

    def test_an_open_intent_is_not_submitted_again_with_slots_free(self) -> None:
        """While nobody knows what came of a create it is not repeated, however many slots there are."""
        service = Service(concurrent_jobs=2)
        service.simulator.set_faults(lost_create_answers=1, list_lag_s=240)
        desired = desired_of(ALPHA, stack=TWO_SLOTS)
        for _ in range(4):
            service.apply(desired, wait=False)
            service.clock.advance(minutes(1))
        assert (1, 1) == (len(service.wire.creates), len(service.own()))

    def test_a_job_that_was_never_made_is_submitted_again_after_the_settle_time(self) -> None:
        """A create that was lost on its way is repeated, once, with the same nonce, when the settle time is over."""
        service = Service()
        fail_once(service, "before create", lambda: httpx.ReadTimeout("lost"))
        service.apply(desired_of(ALPHA))
        first, second = service.wire.creates
        assert first == second
        attempt = service.state.records["alpha"].current
        assert (1, 1, 2, ["alpha"]) == (
            len(service.own()),
            attempt.number,
            attempt.submissions,
            service.told(Kind.UNANSWERED),
        )
        sent = [event.at for event in service.events if event.kind in (Kind.UNCERTAIN, Kind.CREATED)]
        assert SETTLE_TIME <= sent[1] - sent[0] < SETTLE_TIME + minutes(1)

    def test_strict_once_halts_instead(self) -> None:
        """A careful stack asks a person to look, and submits nothing more."""
        service = Service()
        fail_once(service, "before create", lambda: httpx.ReadTimeout("lost"))
        with pytest.raises(Exception, match="never answered"):
            service.apply(desired_of(ALPHA), strict_once=True)
        assert (1, []) == (len(service.wire.creates), service.own())

    def test_a_job_that_appears_after_the_settle_time_is_one_too_many(self) -> None:
        """Of two jobs for one attempt the later is cancelled, and that is reported; one is left and succeeds."""
        service = Service(concurrent_jobs=2)
        service.simulator.set_faults(lost_create_answers=1, list_lag_s=SETTLE_TIME.total_seconds() + 60)
        followed = service.apply(desired_of(ALPHA), until_minutes=9)
        assert 2 == len(service.wire.creates)
        service.simulator.set_faults()
        followed = service.apply(desired_of(ALPHA))
        assert Ended.DONE is followed.ended
        assert (["succeeded", "cancelled"], ["alpha"]) == (
            service.states_of(service.own()),
            service.told(Kind.DUPLICATE),
        )
        first, second = service.own()
        record = service.state.records["alpha"]
        assert [(second["name"], Because.DUPLICATE), (first["name"], None)] == [
            (attempt.job, attempt.because) for attempt in record.attempts
        ]
        assert [Reason.SUCCEEDED] == [one.reason for one in service.plan(desired_of(ALPHA)).plan.changes]

    def test_a_duplicate_is_not_an_attempt(self) -> None:
        """The surplus job of a duplicate takes no retry away."""
        model = a_model("alpha", fields={"labels.simulate": "fail"}, lifecycle=Lifecycle(retries=1))
        service = Service(concurrent_jobs=2)
        service.simulator.set_faults(lost_create_answers=1, list_lag_s=SETTLE_TIME.total_seconds() + 60)
        service.apply(desired_of(model), until_minutes=9)
        service.simulator.set_faults()
        service.apply(desired_of(model))
        assert ["failed", "cancelled", "failed"] == service.states_of(service.own())
        assert ["1", "1", "2"] == [job["labels"]["tuneform-attempt"] for job in service.own()]


class TestListLag:
    """A job that was made and answered may not be listed yet."""

    @pytest.mark.parametrize("lag_s", [1, 45, 299])
    def test_no_second_job_and_no_slot_too_many(self, lag_s: float) -> None:
        """Within the settle time an unlisted job keeps its slot and its address."""
        service = Service(over_quota="refuse")
        service.simulator.set_faults(list_lag_s=lag_s)
        followed = service.apply(desired_of(ALPHA, BETA))
        assert (Ended.DONE, 2, 2) == (followed.ended, len(service.wire.creates), len(service.own()))
        assert [] == service.told(Kind.REFUSED)

    def test_runs_that_do_not_wait_rely_on_the_record(self) -> None:
        """A new process that cannot see the job yet neither makes it again nor fills its slot."""
        service = Service(over_quota="refuse")
        service.simulator.set_faults(list_lag_s=200)
        for _ in range(4):
            service.apply(desired_of(ALPHA, BETA), wait=False)
            service.clock.advance(timedelta(seconds=40))
        assert (1, []) == (len(service.wire.creates), service.told(Kind.REFUSED))


class TestRefusedForGood:
    """An answer that says the request can never succeed."""

    bad = a_model("alpha", fields={"hyperParameters.adapterSize": 32})

    def test_it_is_given_up_and_the_others_go_on(self) -> None:
        """A 400 closes the intent and the ticket with Google's words, and the next model is tuned."""
        service = Service(stride=STRIDE)
        followed = service.apply(desired_of(self.bad, BETA))
        assert (Ended.DONE, ["alpha"]) == (followed.ended, list(followed.given_up))
        assert "The adapter size is not supported" in followed.given_up["alpha"]
        assert (["beta"], {}, {}) == (
            list(service.state.records),
            dict(service.state.intents),
            dict(service.state.queue),
        )
        assert ["succeeded"] == service.states_of(service.own())

    def test_it_is_not_repeated_by_itself(self) -> None:
        """One run sends a refused request once; the next run asks again, since its manifest still wants it."""
        service = Service(stride=STRIDE)
        service.apply(desired_of(self.bad, BETA))
        assert 2 == len(service.wire.creates)
        assert {"alpha": Action.CREATE, "beta": Action.LEAVE} == {
            one.address: one.action for one in service.plan(desired_of(self.bad, BETA)).plan.changes
        }


class TestLookBeforeCreate:
    """What stands already is adopted instead of made again."""

    def test_a_job_with_the_nonce(self) -> None:
        """A state that was put back to before the create finds the job by the nonce that follows from its ticket."""
        service = Service(stride=STRIDE)
        service.apply(desired_of(ALPHA), stop=lambda: True)
        queued = service.state
        service.apply(desired_of(ALPHA), wait=False)
        service.keep(replace(queued, serial=queued.serial + 9))
        service.apply(desired_of(ALPHA), wait=False)
        assert (1, Origin.CREATED, 1) == (
            len(service.wire.creates),
            service.state.records["alpha"].current.origin,
            len(service.own()),
        )

    def test_a_job_that_shows_up_at_the_last_moment(self) -> None:
        """A lost job that is listed just when its create is about to be repeated is adopted instead."""
        service = Service()
        service.simulator.set_faults(lost_create_answers=1, list_lag_s=900)

        def show(what: str) -> None:
            if what == "after write" and any(one.submissions > 1 for one in service.state.intents.values()):
                service.simulator.set_faults()

        service.store.on_effect = show
        assert Ended.DONE is service.apply(desired_of(ALPHA)).ended
        assert (1, ["alpha"]) == (len(service.wire.creates), service.told(Kind.ADOPTED))

    def test_an_unreadable_location_is_not_submitted_to(self) -> None:
        """When the look right before the create fails, nothing is sent and the ticket tries again."""
        service = Service(stride=STRIDE)
        desired = desired_of(ALPHA)
        planned = service.plan(desired)

        def go_blind(what: str) -> None:
            if what == "after write" and service.state.intents:
                service.wire.unread = frozenset({"us-central1"})

        service.store.on_effect = go_blind
        followed = service.apply(desired, planned, wait=False)
        assert ([], 1, {}) == (
            service.wire.creates,
            followed.held.state.queue["alpha"].refusals,
            dict(service.state.intents),
        )

    def test_the_lease_is_asked_for_right_before_each_create(self) -> None:
        """A process that lost its lease after it wrote its intent sends nothing; the next one goes on."""
        service = Service(stride=STRIDE)

        def lost() -> None:
            raise Killed

        with pytest.raises(Killed):
            service.apply(desired_of(ALPHA), check=lost)
        assert ([], ["alpha"]) == (service.wire.creates, list(service.state.intents))
        assert Ended.DONE is service.apply(desired_of(ALPHA)).ended
        assert (1, 1) == (len(service.wire.creates), len(service.own()))


def test_every_create_bears_its_marks() -> None:
    """The user's labels and ours, and a nonce of its own, go out with each create."""
    model = a_model("alpha", fields={"labels.team": "support"})
    service = Service(stride=STRIDE, concurrent_jobs=2)
    service.apply(desired_of(model, BETA, stack=TWO_SLOTS), wait=False)
    labels = service.wire.creates[0]["labels"]
    expected = {
        "team": "support",
        "managed-by": "tuneform",
        "tuneform-owner": LINEAGE,
        "tuneform-stack": "support",
        "tuneform-spec": model.fingerprint,
        "tuneform-attempt": "1",
    }
    assert expected.items() <= labels.items()
    assert 2 == len({create["labels"]["tuneform-nonce"] for create in service.wire.creates})


MOMENTS = ("before write", "after write", "before create", "after create")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("count", range(1, 5))
def test_a_process_that_dies_anywhere_is_followed_by_one_that_finishes(moment: str, count: int) -> None:
    """Killed at any write or create, the next process tunes each model exactly once."""
    service = Service(concurrent_jobs=2, stride=STRIDE)
    seen: list[str] = []

    def die(what: str) -> None:
        seen.append(what)
        if what == moment and seen.count(moment) == count:
            raise Killed

    service.wire.on_effect = service.store.on_effect = die
    desired = desired_of(ALPHA, BETA, stack=TWO_SLOTS)
    while True:
        try:
            if service.apply(desired).ended is Ended.DONE:
                break
        except Killed:
            assert sum(1 for job in service.own() if is_active(job)) <= 2
    assert ["succeeded", "succeeded"] == service.states_of(service.own())
    assert 2 == len({job["labels"]["tuneform-name"] for job in service.own()})
