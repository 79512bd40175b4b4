"""The plan as a document: nothing lost on the way there and back, and what is no plan is refused in words."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Diagnostic, Severity, Source, TuneformError
from reconciler.model.fields import Effect, FieldChange
from reconciler.plan import (
    PLAN_FORMAT_VERSION,
    SIGNS,
    Action,
    Change,
    Plan,
    QuotaView,
    Reason,
    decode_plan,
    encode_plan,
    only,
    plan_checksum,
)

texts = st.text(max_size=10)
counts = st.integers(0, 99)
sources = st.none() | st.builds(Source, texts, counts, counts)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
diagnostics = st.builds(
    Diagnostic,
    severity=st.sampled_from(Severity),
    rule=texts,
    summary=texts,
    detail=texts,
    source=sources,
    command=st.none() | texts,
)
field_changes = st.lists(
    st.builds(FieldChange, texts, values, values, st.sampled_from(Effect)), max_size=4, unique_by=lambda one: one.path
).map(lambda changes: tuple(sorted(changes, key=lambda one: one.path)))
changes = st.builds(
    Change,
    address=texts,
    action=st.sampled_from(Action),
    reason=st.sampled_from(Reason),
    row=counts,
    why=texts,
    fingerprint=st.none() | texts,
    location=st.none() | texts,
    base_model=st.none() | texts,
    priority=texts,
    attempt=st.none() | counts,
    job=st.none() | texts,
    moved=st.none() | texts,
    place=st.none() | counts,
    field_changes=field_changes,
    diagnostics=st.lists(diagnostics, max_size=2).map(tuple),
    source=sources,
    facts=texts,
)
quotas = st.builds(
    QuotaView,
    limit=st.none() | counts,
    limit_source=texts,
    own_active=counts,
    foreign_active=counts,
    intents=counts,
    held=counts,
    free=st.none() | counts,
    foreign_jobs=st.lists(texts, max_size=2).map(tuple),
    unread_locations=st.lists(texts, max_size=2).map(tuple),
)
plans = st.builds(
    Plan,
    created_at=st.datetimes(timezones=st.just(UTC)),
    tool_version=texts,
    stack=texts,
    project=texts,
    endpoint=texts,
    lineage=texts,
    serial=counts,
    digests=st.dictionaries(texts, texts, max_size=2),
    changes=st.lists(changes, max_size=3).map(tuple),
    quota=quotas,
    complete=st.booleans(),
    unknown=st.lists(texts, max_size=2).map(tuple),
    unmanaged=st.lists(texts, max_size=2).map(tuple),
    diagnostics=st.lists(diagnostics, max_size=2).map(tuple),
    targets=st.lists(texts, max_size=2).map(tuple),
    mode=texts,
)


@given(plans)
def test_a_plan_survives_its_document(plan: Plan) -> None:
    """A plan that is written as JSON and read back is the same plan, with the same checksum."""
    again = decode_plan(json.loads(json.dumps(encode_plan(plan))))
    assert plan == again
    assert plan_checksum(plan) == plan_checksum(again)


CHANGE = Change(
    address="intent-sweep[epochCount=4]",
    action=Action.REPLACE,
    reason=Reason.SPEC_CHANGED,
    row=20,
    why="the manifest changed",
    fingerprint="v1-0123456789abcdef",
    location="us-central1",
    base_model="gemini-3.5-flash",
    attempt=2,
    job="projects/1/locations/us-central1/tuningJobs/1",
    field_changes=(
        FieldChange("description", None, "d", Effect.NEXT_JOB),
        FieldChange("hyperParameters.epochCount", 4, 8, Effect.RETRAIN),
        FieldChange("labels.team", "a", "b", Effect.UPDATE),
    ),
    diagnostics=(Diagnostic(severity=Severity.WARNING, rule="r", summary="s", command="c"),),
    source=Source("manifests/a.yaml", 12, 3),
    facts="0123456789abcdef",
)
PLAN = Plan(
    created_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
    tool_version="1.0.0",
    stack="support",
    project="demo-project",
    endpoint="simulator",
    lineage="0b5c7d1e",
    serial=7,
    digests={"manifests/b.yaml": "1", "manifests/a.yaml": "0"},
    changes=(CHANGE,),
    quota=QuotaView(
        limit=2, limit_source="the stack's manifest", own_active=1, foreign_active=0, intents=0, held=0, free=1
    ),
    complete=True,
)
ERROR = Diagnostic(severity=Severity.ERROR, rule="r", summary="s")
DOCUMENT = encode_plan(PLAN)

OTHER_PLANS: dict[str, Any] = {
    "created_at": PLAN.created_at + timedelta(seconds=1),
    "tool_version": "1.0.1",
    "stack": "other",
    "project": "other",
    "endpoint": "other",
    "lineage": "other",
    "serial": 8,
    "digests": {"manifests/a.yaml": "1"},
    "changes": (),
    "quota": replace(PLAN.quota, free=0),
    "complete": False,
    "unknown": ("something",),
    "unmanaged": ("a job",),
    "diagnostics": (ERROR,),
    "targets": ("a",),
    "mode": "destroy",
    "format_version": "1.1",
}
OTHER_CHANGES: dict[str, Any] = {
    "address": "other",
    "action": Action.CREATE,
    "reason": Reason.RESTORED,
    "row": 14,
    "why": "other",
    "fingerprint": None,
    "location": None,
    "base_model": None,
    "priority": "high",
    "attempt": 3,
    "job": None,
    "moved": "other",
    "place": 1,
    "field_changes": (),
    "diagnostics": (),
    "source": None,
    "facts": "other",
}


@pytest.mark.parametrize("name", [one.name for one in fields(Plan)])
def test_the_checksum_covers_every_part_of_a_plan(name: str) -> None:
    """A plan that differs in anything has another checksum."""
    assert plan_checksum(PLAN) != plan_checksum(replace(PLAN, **{name: OTHER_PLANS[name]}))


@pytest.mark.parametrize("name", [one.name for one in fields(Change)])
def test_the_checksum_covers_every_part_of_a_change(name: str) -> None:
    """A plan with one change that differs in anything has another checksum."""
    other = replace(PLAN, changes=(replace(CHANGE, **{name: OTHER_CHANGES[name]}),))
    assert plan_checksum(PLAN) != plan_checksum(other)


def test_the_checksum_does_not_rest_on_the_order_of_digests() -> None:
    """A plan's checksum is 64 hex digits, and equal for equal plans."""
    turned = replace(PLAN, digests=dict(reversed(list(PLAN.digests.items()))))
    assert plan_checksum(PLAN) == plan_checksum(turned)
    assert 64 == len(plan_checksum(PLAN))


def test_a_change_speaks_the_words_of_other_tools() -> None:
    """A replacement is a delete and a create, with before, after and what forces it."""
    found = DOCUMENT["changes"][0]
    assert (
        ["delete", "create"],
        "spec_changed",
        {"description": None, "hyperParameters.epochCount": 4, "labels.team": "a"},
        {"description": "d", "hyperParameters.epochCount": 8, "labels.team": "b"},
        ["hyperParameters.epochCount"],
        ["labels.team"],
        ["description"],
    ) == (
        found["actions"],
        found["action_reason"],
        found["before"],
        found["after"],
        found["replace_paths"],
        found["update_paths"],
        found["next_job_paths"],
    )


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (PLAN, (True, False)),
        (replace(PLAN, diagnostics=(ERROR,)), (False, True)),
        (replace(PLAN, diagnostics=(replace(ERROR, severity=Severity.WARNING),)), (True, False)),
        (replace(PLAN, changes=(replace(CHANGE, diagnostics=(ERROR,)),)), (True, False)),
        (replace(PLAN, changes=(replace(CHANGE, action=Action.LEAVE),)), (False, False)),
        (replace(PLAN, changes=()), (False, False)),
    ],
    ids=["changes", "an error", "a warning", "an error of one row", "nothing to do", "nothing at all"],
)
def test_whether_a_plan_can_be_applied(plan: Plan, expected: tuple[bool, bool]) -> None:
    """Errors of the plan forbid it, errors of single rows do not, and without changes there is nothing to apply."""
    document = encode_plan(plan)
    assert expected == (document["applyable"], document["errored"])


def test_a_plan_counts_its_actions() -> None:
    """The summary counts addresses by action, and leaves out what does not happen."""
    plan = replace(PLAN, changes=(CHANGE, replace(CHANGE, action=Action.LEAVE), CHANGE))
    assert {"leave": 1, "replace": 2} == encode_plan(plan)["summary"]


def test_diagnostics_of_the_plan_come_before_those_of_its_rows() -> None:
    """All there is to say, in the order it is told."""
    plan = replace(PLAN, diagnostics=(ERROR,))
    assert (ERROR, *CHANGE.diagnostics) == plan.all_diagnostics()


def test_every_action_has_a_sign_of_its_own() -> None:
    """No two actions look alike in a plan."""
    assert len(Action) == len({action.sign for action in Action}) == len(SIGNS)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [({"a"}, ["a", "b"]), ({"b"}, ["a", "b"]), ({"c"}, ["c"]), (set(), []), ({"a", "c"}, ["a", "b", "c"])],
)
def test_a_plan_for_some_addresses(addresses: set[str], expected: list[str]) -> None:
    """A target takes the other side of its move along, and nothing more."""
    whole = replace(
        PLAN,
        changes=(
            replace(CHANGE, address="a", moved="b"),
            replace(CHANGE, address="b", moved="a"),
            replace(CHANGE, address="c"),
        ),
    )
    cut = only(whole, frozenset(addresses), tuple(sorted(addresses)))
    assert (expected, tuple(sorted(addresses))) == ([one.address for one in cut.changes], cut.targets)


def without(key: str) -> Callable[[dict[str, Any]], None]:
    """Damage: a key is missing."""
    return lambda document: document.pop(key)


def with_value(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Damage: a key holds something else."""
    return lambda document: document.update({key: value})


def in_change(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Damage: a key of the first change holds something else."""
    return lambda document: document["changes"][0].update({key: value})


@pytest.mark.parametrize(
    "damage",
    [
        *(without(key) for key in DOCUMENT if key not in ("applyable", "errored", "summary")),
        with_value("format_version", "2.0"),
        with_value("timestamp", "yesterday"),
        with_value("state", None),
        with_value("state", "7"),
        with_value("changes", [None]),
        with_value("changes", {"a": 1}),
        with_value("manifests", ["a"]),
        with_value("quota", {"limit": 1}),
        with_value("quota", {**DOCUMENT["quota"], "more": 1}),
        with_value("diagnostics", [{"severity": "loud"}]),
        in_change("actions", ["explode"]),
        in_change("actions", [["create"]]),
        in_change("action_reason", "boredom"),
        in_change("replace_paths", ["location"]),
        in_change("source", {"path": "a"}),
    ],
)
def test_what_is_no_plan_is_refused_in_words(damage: Callable[[dict[str, Any]], Any]) -> None:
    """A damaged or foreign document is a clear error with the command that makes a new plan, never a traceback."""
    document = copy.deepcopy(DOCUMENT)
    damage(document)
    with pytest.raises(TuneformError, match="The plan file cannot be read") as caught:
        decode_plan(document)
    assert f"format {PLAN_FORMAT_VERSION}" in caught.value.detail
    assert "tuneform plan --out FILE" == caught.value.command


def test_a_plan_of_a_later_minor_format_is_read() -> None:
    """Formats with the same first number can be read."""
    assert "1.7" == decode_plan({**DOCUMENT, "format_version": "1.7"}).format_version
