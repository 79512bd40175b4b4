"""The queue at work against the simulated Vertex AI: order, quota, foreign jobs, and runs that come and go."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.events import Kind
from reconciler.executor.cycle import Round
from reconciler.executor.loop import Ended
from reconciler.model.desired import Desired, Priority, QuotaSettings
from reconciler.plan import Action, only
from reconciler.scheduler import Waits
from reconciler.simulator.settings import OverQuota
from reconciler.state.records import Hold
from tests.builders import AT, PROJECT, a_model, desired_of, minutes
from tests.worlds.service import Resource, Service, is_active

THREE = desired_of(a_model("alpha"), a_model("beta"), a_model("gamma"))
STRIDE = minutes(5)


def with_slots(desired: Desired, limit: int | None, *, max_slots: int | None = None) -> Desired:
    """The same models in a stack that counts on so many slots."""
    quota = QuotaSettings(concurrent_jobs=limit, max_slots=max_slots)
    return replace(desired, stack=replace(desired.stack, quota=quota))


def addresses(jobs: list[Resource]) -> list[str]:
    """The addresses of jobs, from their label, in order of creation."""
    return [job["labels"]["tuneform-name"].rsplit("-", 1)[0] for job in jobs]


def most_active(seen: list[int]) -> Callable[[Round], None]:
    """Notes how many jobs a round saw at once."""
    return lambda last: seen.append(sum(1 for job in last.observation.jobs if job.is_active))


@pytest.mark.parametrize("over_quota", ["wait", "refuse"])
@pytest.mark.parametrize("limit", [1, 2])
def test_a_first_apply_tunes_everything(over_quota: OverQuota, limit: int) -> None:
    """Three models go through the quota in order, one create each, and the next plan has nothing to do."""
    service, seen = Service(concurrent_jobs=limit, over_quota=over_quota, stride=STRIDE), list[int]()
    desired = with_slots(THREE, limit)
    followed = service.apply(desired, show=most_active(seen))
    assert Ended.DONE is followed.ended
    assert (["alpha", "beta", "gamma"], ["succeeded"] * 3) == (
        addresses(service.own()),
        service.states_of(service.own()),
    )
    assert limit == max(seen)
    assert (3, []) == (len(service.wire.creates), service.told(Kind.REFUSED))
    assert {Action.LEAVE} == {change.action for change in service.plan(desired).plan.changes}


def test_a_quota_nobody_told_is_one() -> None:
    """Without a limit in the manifests one job runs at a time, although the project has room for more."""
    service, seen = Service(concurrent_jobs=3, stride=STRIDE), list[int]()
    service.apply(with_slots(THREE, None), show=most_active(seen))
    assert (1, 3) == (max(seen), len(service.wire.creates))


@pytest.mark.parametrize(("limit", "cap", "most"), [(3, 1, 1), (3, 2, 2), (1, 3, 1)])
def test_our_own_cap_leaves_room_for_people(limit: int, cap: int, most: int) -> None:
    """`maxSlots` bounds our own jobs below the quota."""
    service, seen = Service(concurrent_jobs=limit, stride=STRIDE), list[int]()
    service.apply(with_slots(THREE, limit, max_slots=cap), show=most_active(seen))
    assert most == max(seen)


def test_higher_classes_go_first() -> None:
    """The queue is served by class where everything was approved at once."""
    desired = desired_of(
        a_model("alpha", priority=Priority.LOW), a_model("beta"), a_model("gamma", priority=Priority.HIGH)
    )
    service = Service(stride=STRIDE)
    service.apply(desired)
    assert ["gamma", "beta", "alpha"] == addresses(service.own())


def test_who_came_first_goes_first_over_several_runs() -> None:
    """What was approved in an earlier run stands before what comes later, whatever the addresses are."""
    service = Service(stride=STRIDE)
    service.apply(desired_of(a_model("zeta"), a_model("yota")), wait=False)
    service.clock.advance(minutes(1))
    service.apply(desired_of(a_model("zeta"), a_model("yota"), a_model("alpha")))
    assert ["yota", "zeta", "alpha"] == addresses(service.own())


@pytest.mark.parametrize("location", ["us-central1", "europe-west4"])
def test_a_foreign_job_blocks_in_every_location(location: str) -> None:
    """Somebody else's job uses the quota: nothing is submitted until it ends, and it is named."""
    service, why = Service(stride=STRIDE), list[str]()
    foreign = service.simulator.inject_foreign_job(PROJECT, location, duration_s=3600)
    service.apply(desired_of(a_model("alpha")), show=lambda last: why.extend(one.why for one in last.deferred))
    (own,) = service.own()
    theirs = next(job for job in service.simulator.jobs() if job["name"] == foreign)
    assert own["createTime"] > theirs["endTime"]
    assert {f"1 slot, 1 used by jobs not managed here (tuningJobs/{foreign.rsplit('/', 1)[1]} in {location})"} == set(
        why
    )
    assert [] == service.wire.cancels


def test_held_slots_stay_free() -> None:
    """Slots held for people are left free until the hold is over."""
    service = Service(stride=STRIDE)
    service.apply(desired_of(), wait=False)
    until = AT + timedelta(hours=2)
    held = replace(service.state, holds=(Hold(slots=1, until=until, reason="a demonstration", by="ana"),))
    service.keep(held)
    service.apply(desired_of(a_model("alpha")))
    (job,) = service.own()
    assert datetime.fromisoformat(job["createTime"]) >= until


@pytest.mark.parametrize("unread", ["us-central1", "europe-west4"])
def test_nothing_is_submitted_on_a_blind_spot(unread: str) -> None:
    """While any location cannot be read the free slots are unknown, so the ticket waits and says why."""
    service, waits = Service(stride=STRIDE), set[Waits]()
    desired = desired_of(a_model("alpha"))
    planned = service.plan(desired)
    service.wire.unread = frozenset({unread})
    followed = service.apply(
        desired, planned, until_minutes=20, show=lambda last: waits.update(one.waits for one in last.deferred)
    )
    assert (Ended.TIME_IS_UP, [], {Waits.SLOTS_UNKNOWN}) == (followed.ended, service.wire.creates, waits)
    service.wire.unread = frozenset()
    assert Ended.DONE is service.apply(desired).ended
    assert ["succeeded"] == service.states_of(service.own())


def test_a_plan_made_on_a_blind_spot_queues_nothing_there() -> None:
    """A model whose location could not be read is left as it is."""
    service = Service(stride=STRIDE)
    service.wire.unread = frozenset({"us-central1"})
    followed = service.apply(desired_of(a_model("alpha")), wait=False)
    assert (Ended.DONE, {}, []) == (followed.ended, dict(service.state.queue), service.wire.creates)


def test_one_pass_after_another_drains_the_queue() -> None:
    """Runs that do not wait submit what has room, leave the rest queued in its place, and are done in the end."""
    service, queues = Service(), list[list[str]]()
    ended = None
    while ended is not Ended.DONE:
        ended = service.apply(THREE, wait=False).ended
        assert sum(1 for job in service.own() if is_active(job)) <= 1
        assert {AT} >= {ticket.enqueued_at for ticket in service.state.queue.values()}
        queues.append(list(service.state.queue))
        service.clock.advance(minutes(30))
    assert ["alpha", "beta", "gamma"] == addresses(service.own())
    assert [["beta", "gamma"], ["gamma"], []] == [queue for queue, _ in itertools.groupby(queues)]


def test_stopping_leaves_jobs_and_queue_as_they_are() -> None:
    """A run that is asked to stop returns after its cycle; its job goes on, and the next run picks up from there."""
    service = Service(stride=STRIDE)
    followed = service.apply(THREE, stop=lambda: len(service.own()) == 1)
    assert Ended.STOPPED is followed.ended
    assert (1, ["beta", "gamma"], []) == (len(service.own()), sorted(service.state.queue), service.wire.cancels)
    assert Ended.DONE is service.apply(THREE).ended
    assert ["succeeded"] * 3 == service.states_of(service.own())


def test_a_stop_before_the_first_create_submits_nothing() -> None:
    """Once asked to stop, not even what has room is submitted; what was approved is kept."""
    service = Service(stride=STRIDE)
    followed = service.apply(THREE, stop=lambda: True)
    assert (Ended.STOPPED, [], 3) == (followed.ended, service.wire.creates, len(service.state.queue))


def test_time_that_is_up_ends_the_wait() -> None:
    """A wait that is bounded returns when its time is up, and the job goes on."""
    service = Service(stride=STRIDE)
    assert Ended.TIME_IS_UP is service.apply(THREE, until_minutes=10).ended
    assert ["running"] == service.states_of(service.own())


def test_a_limit_lowered_below_what_runs_ends_nothing() -> None:
    """With fewer slots than running jobs nothing is submitted and nothing cancelled."""
    service = Service(concurrent_jobs=2, stride=STRIDE)
    service.apply(with_slots(THREE, 2), wait=False)
    followed = service.apply(with_slots(THREE, 1), wait=False)
    assert (Ended.ONE_PASS, 2, []) == (followed.ended, len(service.wire.creates), service.wire.cancels)


class TestRefusedForTheQuota:
    """The manifests count on more slots than the project has, and the service refuses."""

    def test_it_backs_off_and_keeps_its_place(self) -> None:
        """A 429 is no attempt: the ticket waits on in its place, tries again, and everything is tuned in order."""
        service = Service(concurrent_jobs=1, over_quota="refuse")
        followed = service.apply(with_slots(THREE, 2))
        assert (Ended.DONE, {}) == (followed.ended, followed.given_up)
        assert ["alpha", "beta", "gamma"] == addresses(service.own())
        assert {1} == {len(record.attempts) for record in service.state.records.values()}
        assert "beta" in service.told(Kind.REFUSED)

    def test_it_tries_ever_less_often(self) -> None:
        """The pauses between refused submissions of one ticket double from 30 s to 5 minutes."""
        service = Service(concurrent_jobs=1, over_quota="refuse")
        service.simulator.inject_foreign_job(PROJECT, duration_s=3 * 3600)
        service.apply(with_slots(desired_of(a_model("alpha")), 2), until_minutes=40)
        at = [event.at for event in service.events if event.kind is Kind.REFUSED]
        pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(at)]
        assert [30, 60, 120, 240] == pauses[:4]
        assert {300} == set(pauses[4:])

    def test_a_pass_that_does_not_wait_honours_the_pause(self) -> None:
        """The next run does not ask again before the ticket's pause is over."""
        service = Service(concurrent_jobs=1, over_quota="refuse")
        service.simulator.inject_foreign_job(PROJECT)
        desired = with_slots(desired_of(a_model("alpha")), 2)
        service.apply(desired, wait=False)
        service.clock.advance(timedelta(seconds=29))
        service.apply(desired, wait=False)
        assert 1 == len(service.wire.creates)
        service.clock.advance(timedelta(seconds=2))
        service.apply(desired, wait=False)
        assert 2 == len(service.wire.creates)

    def test_nobody_passes_who_waits_out_a_pause(self) -> None:
        """A slot that comes free during the pause of the first in line is not given to who came later."""
        service = Service(concurrent_jobs=1, over_quota="refuse")
        service.simulator.inject_foreign_job(PROJECT, duration_s=58 * 60)
        first, both = desired_of(a_model("zeta")), desired_of(a_model("zeta"), a_model("alpha"))
        service.apply(with_slots(first, 2), until_minutes=57)
        service.apply(with_slots(both, 2))
        assert ["zeta", "alpha"] == addresses(service.own())


def test_only_what_the_run_is_about_is_served() -> None:
    """A run for one address leaves the tickets of others where they are."""
    service = Service(concurrent_jobs=3, stride=STRIDE)
    desired = with_slots(THREE, 3)
    service.apply(desired, stop=lambda: True)
    planned = service.plan(desired)
    followed = service.apply(desired, replace(planned, plan=only(planned.plan, frozenset({"beta"}), ("beta",))))
    assert (Ended.DONE, ["beta"], ["alpha", "gamma"]) == (
        followed.ended,
        addresses(service.own()),
        sorted(service.state.queue),
    )


def test_a_child_of_a_queued_parent_that_is_not_served_is_not_waited_for() -> None:
    """A run for a child alone says that the parent's ticket is not its own to serve, and ends."""
    parent = a_model("parent")
    desired = desired_of(parent, a_model("child", parent=parent))
    service = Service(stride=STRIDE)
    service.apply(desired, stop=lambda: True)
    planned = service.plan(desired)
    followed = service.apply(desired, replace(planned, plan=only(planned.plan, frozenset({"child"}), ("child",))))
    assert (Ended.DONE, [Waits.PARENT_NOT_SERVED], []) == (
        followed.ended,
        [one.waits for one in followed.last.deferred],
        service.wire.creates,
    )


def test_nothing_wanted_is_one_look() -> None:
    """With nothing wanted a run looks once, writes down that it has applied, and is done."""
    service = Service()
    planned = service.plan(desired_of())
    lists = service.wire.lists
    assert Ended.DONE is service.apply(desired_of(), planned).ended
    assert (lists + len(service.locations), True) == (service.wire.lists, service.state.applied)
