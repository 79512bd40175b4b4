"""What a run may do without a person having looked, as tables of limits."""

from __future__ import annotations

import pytest

from reconciler.errors import ExitCode, RefusedError
from reconciler.plan import Action, Change, Plan, QuotaView, Reason
from reconciler.safety import Allowed, Kind, kinds_of, permitted, refuse_large
from tests.planner_builders import AT, LINEAGE


def a_change(number: int, action: Action, reason: Reason) -> Change:
    """A change of the address of this number."""
    return Change(address=f"model-{number:03}", action=action, reason=reason, row=1, why="")


CREATE = (Action.CREATE, Reason.NEW)
RETRAIN = (Action.CREATE, Reason.SPEC_CHANGED)
REPLACE = (Action.REPLACE, Reason.SPEC_CHANGED)
CANCEL = (Action.CANCEL, Reason.REMOVED)
DELETE = (Action.DELETE, Reason.REMOVED)
FORGET = (Action.FORGET, Reason.FINISHED)
MOVE_AWAY = (Action.FORGET, Reason.MOVED)
MOVE_HERE = (Action.ADOPT, Reason.MOVED)
LEAVE = (Action.LEAVE, Reason.SUCCEEDED)
Decided = tuple[Action, Reason]


def a_plan(*counts: tuple[int, Decided]) -> Plan:
    """A plan with so many changes of each kind."""
    decided = [one for count, decision in counts for one in [decision] * count]
    return Plan(
        created_at=AT,
        tool_version="0",
        stack="support",
        project="demo-project",
        endpoint="simulator",
        lineage=LINEAGE,
        serial=1,
        digests={},
        changes=tuple(a_change(number, *decision) for number, decision in enumerate(decided)),
        quota=QuotaView(limit=1, limit_source="", own_active=0, foreign_active=0, intents=0, held=0, free=1),
        complete=True,
    )


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (CREATE, set()),
        (RETRAIN, {Kind.RETRAIN}),
        ((Action.CREATE, Reason.DATASET_CHANGED), {Kind.RETRAIN}),
        ((Action.CREATE, Reason.RETRY), set()),
        ((Action.CREATE, Reason.RESTORED), set()),
        ((Action.CREATE, Reason.REQUESTED), set()),
        (REPLACE, {Kind.CANCEL, Kind.RETRAIN}),
        (CANCEL, {Kind.CANCEL}),
        ((Action.CANCEL, Reason.ROLLED_BACK), {Kind.CANCEL}),
        (DELETE, {Kind.DELETE}),
        (FORGET, {Kind.FORGET}),
        ((Action.FORGET, Reason.DEQUEUED), {Kind.FORGET}),
        (MOVE_AWAY, set()),
        (MOVE_HERE, set()),
        ((Action.ADOPT, Reason.ROLLED_BACK), set()),
        ((Action.UPDATE, Reason.METADATA_CHANGED), set()),
        (LEAVE, set()),
    ],
)
def test_what_deserves_a_bound(decision: Decided, expected: set[Kind]) -> None:
    """Cancels, deletes, forgetting and tuning again are bounded; a move and a first tuning are not."""
    assert expected == kinds_of(a_change(0, *decision))


@pytest.mark.parametrize(
    ("plan", "refused"),
    [
        (a_plan((3, FORGET), (7, LEAVE)), False),
        (a_plan((4, FORGET), (6, LEAVE)), True),
        (a_plan((3, CANCEL), (7, LEAVE)), False),
        (a_plan((4, CANCEL), (6, LEAVE)), True),
        (a_plan((4, DELETE), (6, LEAVE)), True),
        (a_plan((4, RETRAIN), (6, LEAVE)), True),
        (a_plan((4, REPLACE), (6, LEAVE)), True),
        (a_plan((2, CANCEL), (2, REPLACE), (6, LEAVE)), True),
        (a_plan((2, CANCEL), (2, FORGET), (6, LEAVE)), False),
        (a_plan((10, MOVE_AWAY), (10, MOVE_HERE)), False),
        (a_plan((100, CREATE)), False),
        (a_plan((1, FORGET), (100, CREATE), (2, LEAVE)), True),
        (a_plan((2, DELETE)), False),
        (a_plan((1, DELETE), (2, LEAVE)), True),
        (a_plan(), False),
    ],
    ids=[
        "forget 3 of 10",
        "forget 4 of 10",
        "cancel 3 of 10",
        "cancel 4 of 10",
        "delete 4 of 10",
        "tune 4 of 10 again",
        "replace 4 of 10",
        "cancels of both sorts count together",
        "kinds count apart",
        "moves do not count",
        "new models do not count",
        "new models do not make the stack larger",
        "a stack of two",
        "a stack of three",
        "nothing",
    ],
)
def test_a_plan_that_undoes_a_large_share_is_refused(plan: Plan, refused: bool) -> None:
    """More than 30 % of a stack of more than two models needs express permission, each kind by itself."""
    if not refused:
        refuse_large(plan, Allowed())
        return
    with pytest.raises(RefusedError) as caught:
        refuse_large(plan, Allowed())
    assert ExitCode.REFUSED == caught.value.exit_code


@pytest.mark.parametrize(("count", "refused"), [(3, True), (4, False), (5, False)])
def test_an_express_permission_is_a_number(count: int, refused: bool) -> None:
    """`--allow-forget N` lets N through and no more."""
    plan, allowed = a_plan((4, FORGET), (6, LEAVE)), Allowed({Kind.FORGET: count})
    if refused:
        with pytest.raises(RefusedError):
            refuse_large(plan, allowed)
    else:
        refuse_large(plan, allowed)


def test_a_permission_is_for_its_kind_only() -> None:
    """Leave to cancel is no leave to tune again, which a replacement also is."""
    with pytest.raises(RefusedError, match="Unsafe plan") as caught:
        refuse_large(a_plan((4, REPLACE), (6, LEAVE)), Allowed({Kind.CANCEL: 4}))
    assert "tuneform apply --allow-retrain 4" == caught.value.command


def test_a_refusal_gives_the_numbers_and_the_command() -> None:
    """The refusal says how many of how many, the limit, and what to run if that is what is wanted."""
    with pytest.raises(RefusedError) as caught:
        refuse_large(a_plan((4, CANCEL), (6, LEAVE)), Allowed())
    assert "This plan would cancel 4 of 10 models (40%), above the limit of 30%." in caught.value.detail
    assert "tuneform apply --allow-cancel 4" == caught.value.command


@pytest.mark.parametrize(
    ("allowed", "withheld"),
    [
        ({}, {CANCEL, REPLACE, DELETE}),
        ({Kind.CANCEL: 2}, {CANCEL, REPLACE, DELETE}),
        ({Kind.CANCEL: 3}, {DELETE}),
        ({Kind.DELETE: 1}, {CANCEL, REPLACE}),
        ({Kind.CANCEL: 3, Kind.DELETE: 1}, set()),
        ({Kind.CANCEL: 99, Kind.DELETE: 99}, set()),
        ({Kind.DELETE: 0, Kind.FORGET: 9, Kind.RETRAIN: 9}, {CANCEL, REPLACE, DELETE}),
    ],
)
def test_without_a_person_cancels_and_deletes_need_permission(allowed: dict[Kind, int], withheld: set[Decided]) -> None:
    """What is not permitted is withheld as a whole kind, a replacement among the cancels, and the rest goes on."""
    plan = a_plan((2, CANCEL), (1, REPLACE), (1, DELETE), (1, FORGET), (1, RETRAIN), (1, CREATE), (1, LEAVE))
    done, kept_back = permitted(plan.changes, Allowed(allowed))
    assert withheld == {(one.action, one.reason) for one in kept_back}
    assert plan.changes == tuple(sorted((*done, *kept_back), key=lambda one: one.address))
    assert not withheld & {(one.action, one.reason) for one in done}


def test_without_cancels_nothing_is_withheld() -> None:
    """A plan that cancels and deletes nothing needs no permission."""
    changes = a_plan((3, CREATE), (1, FORGET), (2, MOVE_AWAY)).changes
    assert (changes, ()) == permitted(changes, Allowed())
