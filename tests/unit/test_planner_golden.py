"""Whole plans of realistic stacks, from files to text and JSON: tests/plans/<case>/plan.txt and plan.json.

Each case is a folder of manifests, what the service listed, and the state. `--update-golden` writes the plans anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.catalogue.check import base_model_of
from reconciler.cli.session import Checked, check_manifests
from reconciler.model.desired import DesiredModel
from reconciler.model.fields import Fields
from reconciler.model.observation import Observation
from reconciler.plan import Action, Plan, decode_plan, encode_plan
from reconciler.planner.make import make_plan
from reconciler.providers.wire.tuning_jobs import job_from_body
from reconciler.renderers.plan_text import render_plan
from reconciler.renderers.text import Style
from reconciler.state.codec import decode_state
from reconciler.state.records import State
from reconciler.transitions import approve

PLANS = Path(__file__).parents[1] / "plans"
CASES = sorted(path.parent.name for path in PLANS.glob("*/live.json"))
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
Golden = Callable[[str, str], None]


@pytest.fixture
def folder(case: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The case's folder, where the test also stands, so that paths in plans are short and the same anywhere."""
    monkeypatch.chdir(PLANS / case)
    return PLANS / case


def look(checked: Checked) -> Observation:
    """What the service listed, as the file has it, of every location the catalogue knows."""
    document: dict[str, Any] = json.loads(Path("live.json").read_text())
    unread, models = document["unread"], document["models"]
    return Observation(
        at=NOW,
        jobs=tuple(job_from_body(body) for body in document["tuningJobs"]),
        read=frozenset(checked.catalogue.locations) - unread.keys(),
        unread=unread,
        models=None if models is None else frozenset(models),
    )


def plan_of(checked: Checked, state: State) -> Plan:
    """The plan as the command line would make it."""
    by_address = checked.desired.by_address()

    def defaults(model: DesiredModel) -> Fields:
        return checked.catalogue.default_fields(base_model_of(model, by_address) or "")

    return make_plan(
        checked.desired,
        state,
        look(checked),
        now=NOW,
        defaults=defaults,
        obstacles=checked.obstacles,
        warnings=checked.warnings,
    )


@pytest.mark.parametrize("case", CASES)
def test_a_plan_is_the_golden_one(folder: Path, golden: Golden) -> None:
    """The plan of the case reads as its golden text, and as JSON is its golden document."""
    plan = plan_of(check_manifests(Path("manifests")), decode_state(Path("state.json").read_text(), "state.json"))
    # The version of the tool is no part of what is decided.
    document = {**encode_plan(plan), "tuneform_version": "0"}
    golden(str(folder / "plan.txt"), render_plan(plan, Style()) + "\n")
    golden(str(folder / "plan.json"), json.dumps(document, indent=1) + "\n")
    assert plan == decode_plan(encode_plan(plan))


@pytest.mark.parametrize("case", CASES)
def test_a_plan_agreed_to_is_not_made_again(folder: Path) -> None:
    """Once a plan is agreed to, the next one from the same look creates nothing: what was wanted is queued or left."""
    checked = check_manifests(Path("manifests"))
    state = decode_state(Path("state.json").read_text(), "state.json")
    plan = plan_of(checked, state)
    after = approve(
        state, plan.changes, checked.desired.by_address(), look(checked), approved_by="x", plan_checksum="y"
    )
    again = plan_of(checked, after)
    # A job that is to be replaced still runs in this look, so the same is asked of it once more.
    assert [] == [one.address for one in again.changes if one.action is Action.CREATE]
