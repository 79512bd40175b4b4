"""Continuous tuning between addresses: what became of the model another one is tuned from. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from reconciler.model.desired import Desired, DesiredModel
from reconciler.model.fields import PARENT_FINGERPRINT
from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.state.records import State, Ticket


class ParentState(StrEnum):
    """What became of the model another one is tuned from."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


def parent_states(
    tickets: Iterable[Ticket], desired: Desired, state: State, observation: Observation
) -> dict[str, ParentState]:
    """The state of each ticket's parent by the ticket's address; only tickets that have a parent are in it."""
    wanted = desired.by_address()
    jobs = observation.by_name()
    found = {}
    for ticket in tickets:
        model = wanted.get(ticket.address)
        if model is not None and model.parent is not None:
            found[ticket.address] = _parent_state(model, model.parent, state, jobs)
    return found


def _parent_state(model: DesiredModel, parent: str, state: State, jobs: dict[str, LiveJob]) -> ParentState:
    record = state.records.get(parent)
    if parent in state.queue or parent in state.intents:
        return ParentState.WAITING
    job = None if record is None else jobs.get(record.current.job)
    if record is None or job is None:
        return ParentState.FAILED
    if job.is_active:
        return ParentState.WAITING
    # A parent that was tuned otherwise than the child's manifest counts on is not the parent that was approved.
    expected = model.fields.get(PARENT_FINGERPRINT)
    if job.has_succeeded and job.model is not None and expected in (None, record.current.fingerprint):
        return ParentState.READY
    return ParentState.FAILED


def parent_model(model: DesiredModel, state: State, observation: Observation) -> str | None:
    """The resource name of the model to go on from; None for a base model. Without I/O.

    A model named in the manifest is taken as written; a parent address gives what its recorded job made.
    """
    named = model.fields.get("preTunedModel.tunedModelName")
    if named is not None:
        return str(named)
    if model.parent is None:
        return None
    record = state.records.get(model.parent)
    job = None if record is None else observation.by_name().get(record.current.job)
    return None if job is None else job.model
