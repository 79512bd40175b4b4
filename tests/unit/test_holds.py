"""Slots held for people while somebody applies: heeded at once, and the only thing others may write meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from reconciler.errors import StateConflict, StateError
from reconciler.executor.cycle import Round
from reconciler.executor.loop import Ended
from reconciler.state.codec import encode_state
from reconciler.state.held import load_state, refreshed, save_holds
from reconciler.state.records import Hold, State
from tests.builders import AT, a_job, a_model, a_record, a_state, desired_of, minutes
from tests.worlds.service import MemoryStore, Service

TWO = desired_of(a_model("alpha"), a_model("beta"))
LATER = AT + timedelta(hours=9)
HOLD = Hold(slots=1, until=LATER, reason="a demonstration", by="ana")


def with_hold(state: State) -> State:
    """The state with one slot held."""
    return replace(state, holds=(HOLD,))


def new_ids() -> Callable[[], str]:
    """Ids for writes of another process."""
    count = itertools.count(1)
    return lambda: f"other-{next(count)}"


def change_holds(service: Service, holds: tuple[Hold, ...]) -> None:
    """Set the holds, as another process does with a command."""
    save_holds(service.store, lambda state: replace(state, holds=holds), new_ids())


def once(act: Callable[[], None]) -> Callable[[Round], None]:
    """Does it when the first round is shown, and never again."""
    left = [act]
    return lambda last: left.pop()() if left else None


def test_an_apply_heeds_a_hold_placed_meanwhile() -> None:
    """A slot held while the first model runs stays free until the hold is over and the apply's writes keep it."""
    service = Service(stride=minutes(20))
    followed = service.apply(TWO, show=once(lambda: change_holds(service, (HOLD,))))
    first, second = (datetime.fromisoformat(job["createTime"]) for job in service.own())
    assert (Ended.DONE, AT) == (followed.ended, first)
    assert second >= LATER
    assert (HOLD,) == service.state.holds


def test_an_apply_heeds_a_release_placed_meanwhile() -> None:
    """A slot given back early is used before the hold would have ended."""
    service = Service(stride=minutes(20))
    service.apply(desired_of(), wait=False)
    save_holds(service.store, with_hold, new_ids())
    release = once(lambda: change_holds(service, ()))
    assert Ended.DONE is service.apply(TWO, show=release).ended
    assert all(datetime.fromisoformat(job["createTime"]) < LATER for job in service.own())


def test_a_hold_that_comes_between_look_and_write_is_kept() -> None:
    """The applier's next write takes a hold along that was placed right before it, without asking anybody."""
    service = Service(stride=minutes(20))
    service.apply(desired_of(), wait=False)
    left = [with_hold]

    def between(what: str) -> None:
        if what == "before write" and left:
            save_holds(service.store, left.pop(), new_ids())

    service.store.on_effect = between
    assert Ended.DONE is service.apply(TWO).ended
    assert ((HOLD,), ["succeeded"] * 2) == (service.state.holds, service.states_of(service.own()))


def test_any_other_foreign_write_ends_the_apply() -> None:
    """Who writes more than holds is in conflict: the apply stops, and what the other wrote stands."""
    service = Service(stride=minutes(20))

    def forget() -> None:
        service.keep(replace(service.state, queue={}, holds=(HOLD,), serial=99))

    with pytest.raises(StateConflict, match="changed by somebody else"):
        service.apply(TWO, show=once(forget))
    assert (99, {}, 1) == (service.state.serial, dict(service.state.queue), len(service.wire.creates))


def a_store(state: State) -> MemoryStore:
    """A store that holds this state."""
    store = MemoryStore()
    put(store, state)
    return store


def put(store: MemoryStore, state: State) -> None:
    """Write the state as it is."""
    store.write(encode_state(state), expected=None if store.text is None else str(store.version))


class TestSaveHolds:
    """Changing the holds while others write."""

    def test_it_tries_again_when_somebody_came_between(self) -> None:
        """The change is made to what the other wrote, and both stand."""
        store, model = a_store(a_state()), a_model()
        recorded = a_state(a_record(model, a_job(model=model)), serial=5)
        left = [recorded]

        def between(what: str) -> None:
            if what == "before write" and left:
                put(store, left.pop())

        store.on_effect = between
        saved = save_holds(store, with_hold, new_ids())
        assert ((HOLD,), recorded.records, 6) == (saved.holds, saved.records, saved.serial)

    def test_it_gives_up_on_a_store_that_always_changes(self) -> None:
        """After a number of tries it says that the state is busy."""
        store, busy = a_store(a_state()), [False]

        def between(what: str) -> None:
            if what == "before write" and not busy[0]:
                busy[0] = True
                put(store, a_state(serial=store.version))
                busy[0] = False

        store.on_effect = between
        with pytest.raises(StateConflict, match="state is busy"):
            save_holds(store, with_hold, new_ids())

    def test_there_must_be_a_state(self) -> None:
        """A hold is kept in the state, so before the first apply there is nowhere to keep it."""
        with pytest.raises(StateError, match="no state yet"):
            save_holds(MemoryStore(), with_hold, new_ids())


class TestRefreshed:
    """What is held, brought up to date."""

    def test_only_the_holds_are_taken_over(self) -> None:
        """With the holds come the serial and version they were written with, so the next write builds on them."""
        store = a_store(a_state(serial=4))
        held = load_state(store)
        assert held is not None
        saved = save_holds(store, with_hold, new_ids())
        fresh = refreshed(store, held)
        assert (saved, "2") == (fresh.state, fresh.version)

    def test_a_state_of_somebody_else_is_refused(self) -> None:
        """A record that we did not write is a conflict."""
        store, model = a_store(a_state()), a_model()
        held = load_state(store)
        assert held is not None
        put(store, a_state(a_record(model, a_job(model=model)), holds=(HOLD,)))
        with pytest.raises(StateConflict):
            refreshed(store, held)
