"""What a run may do without a person having looked: bounds on cancels, deletes, forgetting and tuning again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.errors import RefusedError
from reconciler.plan import Action, Change, Plan, Reason

# A plan that undoes more than this share of a stack is more likely a mistake than a wish.
LARGE_SHARE = 0.30
SMALL_STACK = 2


class Kind(StrEnum):
    """What a change does that deserves a bound."""

    CANCEL = "cancel"
    DELETE = "delete"
    FORGET = "forget"
    RETRAIN = "retrain"


# What is not done where nobody said yes to it expressly.
NEEDS_A_YES = frozenset({Kind.CANCEL, Kind.DELETE})


@dataclass(frozen=True, slots=True)
class Allowed:
    """How many changes of each kind this run may make; a kind that is not in it was not mentioned."""

    counts: Mapping[Kind, int] = field(default_factory=dict)

    def covers(self, kind: Kind, count: int) -> bool:
        """Whether so many changes of the kind are expressly allowed."""
        return count <= self.counts.get(kind, -1)


def kinds_of(change: Change) -> frozenset[Kind]:
    """What the change does that deserves a bound; a move is nothing of the kind."""
    if change.reason is Reason.MOVED:
        return frozenset()
    if change.action is Action.REPLACE:
        return frozenset({Kind.CANCEL, Kind.RETRAIN})
    if change.action is Action.CREATE:
        return frozenset({Kind.RETRAIN}) if change.reason in _AGAIN else frozenset()
    return _BY_ACTION.get(change.action, frozenset())


_BY_ACTION = {
    Action.CANCEL: frozenset({Kind.CANCEL}),
    Action.DELETE: frozenset({Kind.DELETE}),
    Action.FORGET: frozenset({Kind.FORGET}),
}
_AGAIN = frozenset({Reason.SPEC_CHANGED, Reason.DATASET_CHANGED})


def refuse_large(plan: Plan, allowed: Allowed) -> None:
    """Raises RefusedError when the plan would undo a large share of the stack and nobody expressly allowed that."""
    known = sum(1 for change in plan.changes if change.reason is not Reason.NEW)
    if known <= SMALL_STACK:
        return
    for kind in Kind:
        count = sum(1 for change in plan.changes if kind in kinds_of(change))
        if count > LARGE_SHARE * known and not allowed.covers(kind, count):
            raise RefusedError(
                "Unsafe plan",
                f"This plan would {_VERBS[kind]} {count} of {known} models ({count / known:.0%}), above the limit of "
                f"{LARGE_SHARE:.0%}. Nothing was done. If that is what you want, run:",
                command=f"tuneform apply --allow-{kind.value} {count}",
            )


_VERBS = {Kind.CANCEL: "cancel", Kind.DELETE: "delete", Kind.FORGET: "forget", Kind.RETRAIN: "tune again"}


def permitted(changes: Iterable[Change], allowed: Allowed) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """(what may be done, what is withheld): without a person's yes, cancels and deletes need express permission."""
    changes = tuple(changes)
    withheld_kinds = {
        kind
        for kind in NEEDS_A_YES
        if not allowed.covers(kind, sum(1 for change in changes if kind in kinds_of(change)))
    }
    withheld = tuple(change for change in changes if kinds_of(change) & withheld_kinds)
    return tuple(change for change in changes if change not in withheld), withheld
