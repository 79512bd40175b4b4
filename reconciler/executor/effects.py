"""Everything the executor can do to the world, in one value that is handed down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reconciler.errors import ApiError
from reconciler.events import Event, Kind
from reconciler.model.clock import Clock
from reconciler.model.desired import DesiredModel
from reconciler.model.fields import Fields
from reconciler.providers.protocol import Provider
from reconciler.state.store import StateStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Everything the executor can do to the world, in one place.

    `locations` are all locations whose jobs share the quota. `new_id` gives a fresh id for each state write. `report`
    is told what happens. `check` raises when we may no longer write. `defaults` are the service's own field values.
    """

    provider: Provider
    store: StateStore
    clock: Clock
    locations: Sequence[str]
    new_id: Callable[[], str]
    report: Callable[[Event], None]
    check: Callable[[], None] = lambda: None
    defaults: Callable[[DesiredModel], Fields] = lambda model: {}


def tell(effects: Effects, kind: Kind, address: str, text: str, job: str | None = None) -> None:
    """Report one event, at the time of the effects' clock."""
    effects.report(Event(at=effects.clock.now(), kind=kind, address=address, text=text, job=job))


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
