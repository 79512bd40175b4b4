"""What the plan cannot decide but a person may know: pairs of a new and a departing address that look like one. Pure.

A manifest that was renamed and edited at once is, to the planner, one model that goes and another that comes. Where the
two share their training dataset or their base model, the plan names the command that would carry the model along.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from reconciler.errors import Diagnostic, Severity
from reconciler.model.desired import Desired, DesiredModel
from reconciler.model.fields import Fields, canonical
from reconciler.model.observation import Observation
from reconciler.plan import Action, Change, Reason
from reconciler.state.records import Record, State

# The same data says more than the same base model, which many models share.
_SIGNS = (("trainingDatasetUri", "baseModel"), ("trainingDatasetUri",), ("baseModel",))
_WORDS = {"trainingDatasetUri": "training dataset", "baseModel": "base model"}


def rename_hints(
    desired: Desired, state: State, observation: Observation, changes: Iterable[Change]
) -> tuple[Diagnostic, ...]:
    """A note for each new address that may be a departing one renamed and edited; each address is in one note at most.

    The likeliest pairs come first, in sorted order. Only pairs that `state mv` accepts are named.
    """
    changes = tuple(changes)
    wanted = desired.by_address()
    arriving = [wanted[one.address] for one in changes if one.reason is Reason.NEW]
    departing = [state.records[one.address] for one in changes if _is_departing(one, state)]
    # A look at all live jobs is worth it only where there is something to pair.
    return tuple(_hints(arriving, departing, observation)) if arriving and departing else ()


def _is_departing(change: Change, state: State) -> bool:
    goes = change.action in (Action.FORGET, Action.CANCEL, Action.DELETE) or change.reason is Reason.LOOK_ALIKE
    in_motion = change.address in state.intents or change.address in state.queue
    is_wanted = change.fingerprint is not None
    return goes and not is_wanted and not in_motion and change.moved is None and change.address in state.records


def _hints(arriving: list[DesiredModel], departing: list[Record], observation: Observation) -> Iterator[Diagnostic]:
    ran_with = {job.name: job.fields for job in observation.jobs}
    fields = {one.address: one.current.fields or ran_with.get(one.current.job, {}) for one in departing}
    paired: set[str] = set()
    for paths in _SIGNS:
        left: dict[tuple[str, ...], list[str]] = {}
        for old, of_old in fields.items():
            if old not in paired and (sign := _sign(of_old, paths)) is not None:
                left.setdefault(sign, []).append(old)
        for model in arriving:
            sign = None if model.address in paired else _sign(model.fields, paths)
            if sign is None or not left.get(sign):
                continue
            old = left[sign].pop(0)
            paired |= {old, model.address}
            yield _hint(old, model, paths)


def _sign(fields: Fields, paths: tuple[str, ...]) -> tuple[str, ...] | None:
    """What two addresses share that are alike in these fields; None where one is not set."""
    values = [canonical(fields.get(path)) for path in paths]
    return None if None in values else tuple(str(value) for value in values)


def _hint(old: str, new: DesiredModel, paths: tuple[str, ...]) -> Diagnostic:
    shared = " and ".join(_WORDS[path] for path in paths)
    return Diagnostic(
        severity=Severity.INFO,
        rule="maybe-renamed",
        summary="A manifest may have been renamed and edited at once",
        detail=f"{old} is no longer declared and {new.address} is new, with the same {shared}. If they are one model, "
        "this lets its record stand for the new name, so that the edit is planned as an edit:",
        source=new.source,
        command=f"tuneform state mv {shlex.quote(old)} {shlex.quote(new.address)}",
    )
