"""Everything the executor can do to the world, in one value that is handed down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from reconciler.errors import ApiError, StateConflict
from reconciler.events import Event, Kind
from reconciler.model.clock import Clock
from reconciler.model.desired import DesiredModel
from reconciler.model.fields import Fields
from reconciler.providers.protocol import Provider
from reconciler.quota import LaneRules
from reconciler.state.chronicle import Chronicle, NoChronicle
from reconciler.state.held import Held, refreshed, save_state
from reconciler.state.history import Entry, EntryKind
from reconciler.state.records import State
from reconciler.state.store import StateStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Everything the executor can do to the world, in one place.

    `locations` are all locations whose jobs share the quota. `new_id` gives a fresh id for each state write. `report`
    is told what happens. `check` raises when we may no longer write. `chronicle` keeps the history. `strict_once` halts
    where a submission was never answered, instead of submitting again after the settle time. `defaults` are the
    service's own field values, `rules` what jobs take from which quota. `jitter` gives numbers in [0, 1)
    that spread the looks.
    """

    provider: Provider
    store: StateStore
    clock: Clock
    locations: Sequence[str]
    new_id: Callable[[], str]
    report: Callable[[Event], None]
    check: Callable[[], None] = lambda: None
    chronicle: Chronicle = field(default_factory=NoChronicle)
    strict_once: bool = False
    rules: LaneRules = field(default_factory=LaneRules)
    jitter: Callable[[], float] = lambda: 0.5
    defaults: Callable[[DesiredModel], Fields] = lambda model: {}


def tell(effects: Effects, kind: Kind, address: str, text: str, job: str | None = None) -> None:
    """Report one event, at the time of the effects' clock."""
    at = effects.clock.now()
    effects.report(Event(at=at, kind=kind, address=address, text=text, job=job))
    facts = {"event": kind.value, "address": address, "text": text} | ({"job": job} if job is not None else {})
    effects.chronicle.add(Entry(kind=EntryKind.EVENT, at=at, facts=facts))


def save(effects: Effects, held: Held, state: State) -> Held:
    """Writes the history so far, then the state with its head. Raises StateConflict when somebody else wrote."""
    head = effects.chronicle.flush()
    if head is not None:
        state = replace(state, history_head=head)
    try:
        return save_state(effects.store, held, state, effects.new_id)
    except StateConflict:
        # Somebody may have changed a hold meanwhile, which nobody has to be asked for. Anything else raises here.
        fresh = refreshed(effects.store, held)
        return save_state(effects.store, fresh, replace(state, holds=fresh.state.holds), effects.new_id)


def cancel(effects: Effects, address: str, job: str, why: str) -> bool:
    """Asks for one cancel; whether it was accepted. Best effort: the job may still succeed."""
    effects.check()
    try:
        effects.provider.cancel_job(job)
    except ApiError as error:
        tell(effects, Kind.CANCEL_FAILED, address, f"cancel failed: {error.detail or error.summary}", job)
        return False
    tell(effects, Kind.CANCEL_REQUESTED, address, f"cancel requested ({why})", job)
    return True
