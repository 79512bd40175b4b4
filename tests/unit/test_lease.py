"""The lease: one holder at a time, for no longer than it beats, and nothing that a former holder can still write."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from reconciler.errors import StateConflict, StateError, StateLocked
from reconciler.state.held import Held, load_state, save_state
from reconciler.state.lease import (
    LEASE_TIME,
    HeldLease,
    Lease,
    break_lease,
    confirm_lease,
    read_lease,
    release_lease,
    renew_lease,
    take_lease,
)
from reconciler.state.store import Stored
from tests.builders import AT, a_model, a_state, a_ticket
from tests.proof.project import Document

SECOND = timedelta(seconds=1)
EXPIRED = AT + LEASE_TIME


def a_wish(who: str, at: datetime = AT) -> Lease:
    """Somebody who wants the lease from then on."""
    return Lease(
        token=f"{who} at {at:%H:%M:%S}",
        who=who,
        host="laptop",
        pid=4711,
        purpose="apply",
        since=at,
        heartbeat_at=at,
        expires_at=at + LEASE_TIME,
    )


@pytest.fixture
def store() -> Document:
    """The place of a lease that nobody ever held."""
    return Document("state.json.lease")


@pytest.fixture
def ann(store: Document) -> HeldLease:
    """Ann holds it, from AT on."""
    return take_lease(store, a_wish("ann"))


@dataclass(slots=True)
class Crossed:
    """A store where somebody else comes first: `meanwhile` happens once, before the next write."""

    inner: Document
    meanwhile: Callable[[], object]
    where: str = "state.json.lease"
    happened: bool = False

    def read(self) -> Stored | None:
        """What was written last."""
        return self.inner.read()

    def write(self, text: str, *, expected: str | None) -> str:
        """Replace it, one moment too late."""
        if not self.happened:
            self.happened = True
            self.meanwhile()
        return self.inner.write(text, expected=expected)


def test_a_lease_that_was_taken_is_read(store: Document, ann: HeldLease) -> None:
    """Who holds it, from where, for what and until when can be read by anybody."""
    assert a_wish("ann") == ann.lease == read_lease(store)
    confirm_lease(store, ann, now=AT)


def test_nobody_holds_what_was_never_taken(store: Document) -> None:
    """Without a document there is no lease."""
    assert read_lease(store) is None


def test_a_lease_that_is_held_is_not_taken(store: Document, ann: HeldLease) -> None:
    """The second is told who holds it, where, since when and for how long, and changes nothing."""
    with pytest.raises(StateLocked) as locked:
        take_lease(store, a_wish("bob", EXPIRED - SECOND))
    said = locked.value.detail
    assert "ann on laptop (process 4711) holds state.json.lease since 2026-11-20 12:00:00 UTC for apply" in said
    assert "free at 2026-11-20 12:01:00 UTC" in said
    assert ann.lease == read_lease(store)


def test_of_two_at_once_one_gets_it(store: Document) -> None:
    """Who comes between the look and the write of another is the holder, and is the one named."""
    crossed = Crossed(store, lambda: take_lease(store, a_wish("ann")))
    with pytest.raises(StateLocked, match="The state is locked") as locked:
        take_lease(crossed, a_wish("bob"))
    assert locked.value.detail.startswith("ann on laptop")
    assert a_wish("ann") == read_lease(store)


def test_a_lease_that_has_run_out_is_taken_over(store: Document, ann: HeldLease) -> None:
    """From the instant on at which it expires anybody may have it, and its former holder has it no more."""
    bob = take_lease(store, a_wish("bob", EXPIRED))
    confirm_lease(store, bob, now=EXPIRED)
    with pytest.raises(StateLocked, match="The lease was lost"):
        confirm_lease(store, ann, now=EXPIRED)


def test_a_heartbeat_keeps_it(store: Document, ann: HeldLease) -> None:
    """Each beat moves its end, so that it lasts as long as its holder beats."""
    beaten = renew_lease(store, ann, now=EXPIRED - SECOND)
    with pytest.raises(StateLocked):
        take_lease(store, a_wish("bob", EXPIRED + SECOND))
    confirm_lease(store, beaten, now=EXPIRED + SECOND)
    assert (AT, EXPIRED - SECOND) == (beaten.lease.since, beaten.lease.heartbeat_at)


def test_a_late_heartbeat_takes_nothing_back(store: Document, ann: HeldLease) -> None:
    """Who slept past the end and was replaced cannot beat any more, and gives nothing back that is not theirs."""
    bob = take_lease(store, a_wish("bob", EXPIRED))
    with pytest.raises(StateLocked, match="The lease was lost"):
        renew_lease(store, ann, now=EXPIRED)
    release_lease(store, ann)
    confirm_lease(store, bob, now=EXPIRED)


def test_a_late_heartbeat_that_nobody_overtook_goes_on(store: Document, ann: HeldLease) -> None:
    """Where nobody took it meanwhile, a beat after its end makes it good again; until then it does not count."""
    with pytest.raises(StateLocked, match="The lease was lost"):
        confirm_lease(store, ann, now=EXPIRED)
    confirm_lease(store, renew_lease(store, ann, now=EXPIRED), now=EXPIRED)


def test_a_dead_holder_is_not_waited_for(store: Document, ann: HeldLease) -> None:
    """Where it is known that its process is gone, its time does not matter."""
    asked: list[Lease] = []

    def is_dead(lease: Lease) -> bool:
        asked.append(lease)
        return True

    bob = take_lease(store, a_wish("bob"), is_dead=is_dead)
    assert [ann.lease] == asked
    confirm_lease(store, bob, now=AT)


def test_what_was_given_back_is_free(store: Document, ann: HeldLease) -> None:
    """It is free at once, and its former holder cannot confirm it."""
    release_lease(store, ann)
    with pytest.raises(StateLocked, match="The lease was lost"):
        confirm_lease(store, ann, now=AT)
    confirm_lease(store, take_lease(store, a_wish("bob")), now=AT)


class TestBreaking:
    """`state unlock`."""

    def test_it_ends_what_the_holder_may_do(self, store: Document, ann: HeldLease) -> None:
        """A holder that lives after all neither confirms nor beats from then on, and anybody may take it."""
        assert ann.lease == break_lease(store, ann.lease.token)
        with pytest.raises(StateLocked):
            confirm_lease(store, ann, now=AT)
        with pytest.raises(StateLocked):
            renew_lease(store, ann, now=AT)
        confirm_lease(store, take_lease(store, a_wish("bob")), now=AT)

    @pytest.mark.parametrize("token", ["another", "ann at 12:00:00"])
    def test_it_breaks_only_what_was_seen(self, store: Document, ann: HeldLease, token: str) -> None:
        """A lease that is another one by now, or was given back, is left as it is."""
        release_lease(store, ann)
        before = store.read()
        assert break_lease(store, token) is None
        assert before == store.read()

    def test_a_lease_nobody_held_cannot_be_broken(self, store: Document) -> None:
        """There is nothing to free."""
        assert break_lease(store, "any") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": 1}',
        json.dumps({"format": 2}),
        json.dumps({"format": 1, **{key: "x" for key in Lease.__slots__}}),
    ],
)
def test_a_damaged_lease_is_nobodys_to_take(text: str) -> None:
    """It may be somebody's, so it is an error that says so, for whoever asks, and it is not overwritten."""
    store = Document("state.json.lease")
    store.write(text, expected=None)
    held = HeldLease(a_wish("ann"), "1")
    for ask in (
        lambda: read_lease(store),
        lambda: take_lease(store, a_wish("bob", AT + 1000 * LEASE_TIME)),
        lambda: confirm_lease(store, held, now=AT),
        lambda: break_lease(store, "any"),
    ):
        with pytest.raises(StateError, match="The lease cannot be read"):
            ask()
    assert Stored(text, "1") == store.read()


def test_a_former_holder_cannot_write_the_state(store: Document, ann: HeldLease) -> None:
    """Who takes the lease raises the epoch in the state, after which nothing builds on what the former holder read."""
    place = Document("state.json")
    first = save_state(place, Held(a_state(), None), a_state(), lambda: "w1")
    anns = load_state(place)
    assert anns is not None
    take_lease(store, a_wish("bob", EXPIRED))
    bobs = save_state(place, first, replace(first.state, epoch=1), lambda: "w2")
    with pytest.raises(StateConflict, match="changed by somebody else"):
        save_state(place, anns, a_state(a_ticket(a_model())), lambda: "w3")
    stored = load_state(place)
    assert stored is not None
    assert (1, bobs.version) == (stored.state.epoch, stored.version)
