"""One admission cycle: who gets a slot, and for what reason each of the others waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.desired import Priority
from reconciler.quota import GLOBAL_LANE, Lane, Ledger
from reconciler.scheduler import Cycle, Deferral, Surroundings, Waits, admit
from reconciler.state.parents import ParentState
from reconciler.state.queue import queue_order
from reconciler.state.records import Ticket
from tests.builders import AT, a_job, a_model, a_ticket

ALPHA, BETA, GAMMA = (a_model(address) for address in ("alpha", "beta", "gamma"))
OLD = a_job("old", model=ALPHA)
CHILD = a_ticket(a_model("child", parent=ALPHA))


def a_ledger(free: int = 1, **changes: Any) -> Ledger:
    """A ledger with so many free slots."""
    return replace(Ledger(limit=free, limit_source="the stack's manifest", own=(), foreign=(), unread={}), **changes)


def around(*tickets: Ticket, **changes: Any) -> Surroundings:
    """Surroundings in which nothing but the slots keeps these tickets back."""
    wanted = {ticket.address: ticket.fingerprint for ticket in tickets}
    found = Surroundings(active_jobs=frozenset(), submitting=frozenset(), wanted=wanted, parents={})
    return replace(found, **changes)


def one_cycle(*tickets: Ticket, ledger: Ledger | None = None, **changes: Any) -> Cycle:
    """A cycle over these tickets with one free slot."""
    return admit(queue_order(tickets), ledger or a_ledger(), around(*tickets, **changes), now=AT)


def addresses(cycle: Cycle) -> tuple[list[str], list[str]]:
    """Who got a slot and who waits, in order."""
    return [one.address for one in cycle.admitted], [one.ticket.address for one in cycle.deferred]


def the_deferral(ticket: Ticket, ledger: Ledger | None = None, **changes: Any) -> Deferral:
    """Why the only ticket waits."""
    (deferral,) = one_cycle(ticket, ledger=ledger, **changes).deferred
    return deferral


def test_slots_go_to_the_front_of_the_queue() -> None:
    """Two free slots go to the first two by the order of the queue, however they are given."""
    late = a_ticket(ALPHA, enqueued_at=AT + timedelta(hours=1))
    urgent = a_ticket(replace(GAMMA, priority=Priority.HIGH), enqueued_at=AT + timedelta(hours=2))
    cycle = one_cycle(late, a_ticket(BETA), urgent, ledger=a_ledger(2))
    assert (["gamma", "beta"], ["alpha"]) == addresses(cycle)


def test_no_slot_no_admission() -> None:
    """With nothing free nobody is admitted, and everybody is told."""
    cycle = one_cycle(a_ticket(ALPHA), a_ticket(BETA), ledger=a_ledger(0))
    assert ([], ["alpha", "beta"]) == addresses(cycle)
    assert {Waits.NO_SLOT} == {one.waits for one in cycle.deferred}


@pytest.mark.parametrize(
    ("surroundings", "waits", "hopeless"),
    [
        ({"wanted": {"child": "v1-something-else"}}, Waits.NOT_DESIRED, True),
        ({"wanted": {}}, Waits.NOT_DESIRED, True),
        ({"submitting": {"child"}}, Waits.SUBMITTING, False),
        ({"parents": {"child": ParentState.WAITING}}, Waits.PARENT, False),
        ({"parents": {"child": ParentState.FAILED}}, Waits.PARENT_FAILED, True),
        ({"parents": {"child": ParentState.NOT_SERVED}}, Waits.PARENT_NOT_SERVED, True),
    ],
)
def test_why_a_ticket_waits_with_free_slots(surroundings: Mapping[str, Any], waits: Waits, hopeless: bool) -> None:
    """A ticket that cannot start yet waits for a named reason, and says whether waiting can help."""
    deferral = the_deferral(CHILD, **surroundings)
    assert (waits, hopeless) == (deferral.waits, deferral.is_hopeless)


def test_a_ready_parent_keeps_nobody() -> None:
    """A child whose parent made its model is admitted."""
    assert (["child"], []) == addresses(one_cycle(CHILD, parents={"child": ParentState.READY}))


@pytest.mark.parametrize("active", [True, False])
def test_a_replacement_waits_for_the_old_job_to_end(active: bool) -> None:
    """The ticket of a replacement starts once the job it replaces has ended, and not before."""
    ticket = a_ticket(ALPHA, after=OLD.name)
    cycle = one_cycle(ticket, active_jobs=frozenset({OLD.name}) if active else frozenset())
    expected: tuple[list[str], list[str]] = ([], ["alpha"]) if active else (["alpha"], [])
    assert expected == addresses(cycle)
    assert [Waits.OLD_JOB] * active == [one.waits for one in cycle.deferred]


@pytest.mark.parametrize(("seconds", "admitted"), [(-1, True), (0, True), (1, False)])
def test_a_refused_ticket_waits_out_its_back_off(seconds: int, admitted: bool) -> None:
    """A back-off holds until its instant, and says when to look again."""
    until = AT + timedelta(seconds=seconds)
    cycle = one_cycle(a_ticket(ALPHA, not_before=until, refusals=1))
    assert admitted == bool(cycle.admitted)
    assert [(Waits.BACK_OFF, until)] * (not admitted) == [(one.waits, one.look_again_at) for one in cycle.deferred]


def test_who_cannot_start_takes_no_slot_from_who_can() -> None:
    """The head of the queue blocks others only for the slot."""
    blocked = a_ticket(ALPHA, after=OLD.name)
    cycle = one_cycle(blocked, a_ticket(BETA), active_jobs=frozenset({OLD.name}))
    assert (["beta"], ["alpha"]) == addresses(cycle)


def test_a_blind_spot_admits_nobody() -> None:
    """With a location unread the free slots are unknown, nobody is admitted, and the location is named."""
    deferral = the_deferral(a_ticket(ALPHA), ledger=a_ledger(5, unread={"us-west1": "503", "asia-east1": "503"}))
    assert (Waits.SLOTS_UNKNOWN, "asia-east1, us-west1 could not be read, so free slots are unknown") == (
        deferral.waits,
        deferral.why,
    )


class TestBackOff:
    """What a refusal of one ticket means for those behind it."""

    ahead = a_ticket(ALPHA, not_before=AT + timedelta(minutes=1), refusals=1)

    @pytest.mark.parametrize(("refused_by", "admitted"), [("quota", []), ("rate", ["beta"]), (None, ["beta"])])
    def test_a_refusal_for_the_quota_holds_for_everybody(self, refused_by: str | None, admitted: list[str]) -> None:
        """Nobody passes a ticket that the server refused for the quota they share."""
        cycle = one_cycle(replace(self.ahead, refused_by=refused_by), a_ticket(BETA))
        assert admitted == addresses(cycle)[0]

    def test_a_refusal_for_an_accelerator_holds_for_its_lane(self) -> None:
        """Only those that need the same accelerators wait behind it."""
        queue = (replace(self.ahead, refused_by="accelerator"), a_ticket(BETA), a_ticket(GAMMA))
        needs = {"alpha": {"a100": 8}, "beta": {"a100": 8}, "gamma": {GLOBAL_LANE: 1}}
        cycle = one_cycle(*queue, ledger=a_ledger(lanes=(a_lane(16),)), needs=needs)
        assert (["gamma"], ["alpha", "beta"]) == addresses(cycle)


def a_lane(limit: int, own: int = 0, foreign: int = 0) -> Lane:
    """A quota of accelerators beside the global one."""
    return Lane(name="a100", limit=limit, own_units=own, foreign_units=foreign)


class TestLanes:
    """Quotas beside the global one."""

    needs: ClassVar[Mapping[str, Mapping[str, int]]] = {"alpha": {"a100": 8}, "beta": {"a100": 4}}

    def test_a_lane_is_filled_to_its_limit(self) -> None:
        """Two jobs that fit are admitted, whatever the global quota has."""
        cycle = one_cycle(a_ticket(ALPHA), a_ticket(BETA), ledger=a_ledger(0, lanes=(a_lane(12),)), needs=self.needs)
        assert ["alpha", "beta"] == addresses(cycle)[0]

    def test_who_lacks_room_in_a_lane_blocks_that_lane_alone(self) -> None:
        """Smaller ones behind wait, or the big one would starve; other lanes go on; and the figures are said."""
        queue = (a_ticket(ALPHA), a_ticket(BETA), a_ticket(GAMMA))
        cycle = one_cycle(*queue, ledger=a_ledger(1, lanes=(a_lane(12, own=2, foreign=4),)), needs=self.needs)
        assert (["gamma"], ["alpha", "beta"]) == addresses(cycle)
        assert "needs 8 of quota a100, which has 12: 2 used here, 4 elsewhere" == cycle.deferred[0].why

    def test_a_lane_nobody_knows_the_limit_of_has_no_room(self) -> None:
        """Nothing is guessed about a quota."""
        deferral = the_deferral(a_ticket(ALPHA), needs=self.needs)
        assert (Waits.NO_SLOT, "needs 8 of quota a100, of which nobody told the limit") == (
            deferral.waits,
            deferral.why,
        )


FOREIGN = tuple(a_job(number, location="europe-west4") for number in (1, 2, 3, 4, 5))


@pytest.mark.parametrize(
    ("ledger", "why"),
    [
        (
            a_ledger(1, foreign=FOREIGN[:1]),
            "1 slot, 1 used by jobs not managed here (tuningJobs/1 in europe-west4)",
        ),
        (
            a_ledger(5, foreign=FOREIGN),
            "5 slots, 5 used by jobs not managed here (tuningJobs/1 in europe-west4, tuningJobs/2 in europe-west4, "
            "tuningJobs/3 in europe-west4 and 2 more)",
        ),
        (a_ledger(1, own=(OLD,)), "the only slot is used"),
        (a_ledger(2, own=(OLD,), intents=1), "all 2 slots used"),
        (a_ledger(4, own=(OLD,), max_slots=1), "all used of the only slot that this stack may use"),
        (a_ledger(4, own=(OLD,), intents=1, max_slots=2), "all used of the 2 slots that this stack may use"),
        (a_ledger(2, held=2), "2 slots, 2 held"),
    ],
)
def test_who_is_in_the_way_is_said(ledger: Ledger, why: str) -> None:
    """A ticket without room says who holds the slots, and names those that nobody here can end."""
    deferral = the_deferral(a_ticket(ALPHA), ledger=ledger)
    assert (Waits.NO_SLOT, why) == (deferral.waits, deferral.why)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[tuple[Ticket, ...], Ledger, Surroundings]:
    """Any queue, in its order, with any ledger and surroundings."""
    names = draw(st.lists(st.text("abcd", min_size=1, max_size=2), unique=True, max_size=7))
    hours = st.integers(0, 50).map(lambda count: timedelta(hours=count))
    queue = [
        a_ticket(
            a_model(name, priority=draw(st.sampled_from(Priority))),
            enqueued_at=AT - draw(hours),
            not_before=draw(st.none() | hours.map(lambda by: AT - timedelta(hours=25) + by)),
            after=draw(st.sampled_from((None, OLD.name))),
        )
        for name in names
    ]
    some = st.sets(st.sampled_from(names)) if names else st.just(set())
    ledger = a_ledger(
        draw(st.integers(0, 6)),
        foreign=FOREIGN[: draw(st.integers(0, 3))],
        intents=draw(st.integers(0, 2)),
        held=draw(st.integers(0, 2)),
        max_slots=draw(st.none() | st.integers(0, 5)),
        unread=draw(st.sampled_from(({}, {}, {"us-west1": "503"}))),
    )
    surroundings = around(
        *(ticket for ticket in queue if ticket.address not in draw(some)),
        submitting=frozenset(draw(some)),
        active_jobs=draw(st.sampled_from((frozenset(), frozenset({OLD.name})))),
        parents={name: draw(st.sampled_from(ParentState)) for name in draw(some)},
    )
    return queue_order(queue), ledger, surroundings


@given(worlds())
def test_never_more_than_is_free(world: tuple[tuple[Ticket, ...], Ledger, Surroundings]) -> None:
    """A cycle admits at most what is free, nobody where that is unknown, and everybody is answered once, in order."""
    queue, ledger, surroundings = world
    cycle = admit(queue, ledger, surroundings, now=AT)
    assert len(cycle.admitted) <= (ledger.free or 0)
    order = [one.address for one in queue]
    admitted, deferred = addresses(cycle)
    assert sorted(order) == sorted(admitted + deferred)
    assert ([one for one in order if one in admitted], [one for one in order if one in deferred]) == (
        admitted,
        deferred,
    )


@given(worlds())
def test_a_free_slot_is_never_left_to_who_could_use_it(world: tuple[tuple[Ticket, ...], Ledger, Surroundings]) -> None:
    """Work conserving: nobody waits for a slot while one is left, and nobody is passed for a slot."""
    queue, ledger, surroundings = world
    cycle = admit(queue, ledger, surroundings, now=AT)
    without_room = [one for one in cycle.deferred if one.waits is Waits.NO_SLOT]
    if without_room:
        assert len(cycle.admitted) == ledger.free
        order = [one.address for one in queue]
        last_in = max((order.index(one.address) for one in cycle.admitted), default=-1)
        assert last_in < min(order.index(one.ticket.address) for one in without_room)
