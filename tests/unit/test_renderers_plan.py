"""The plan as text: escapes, widths, large stacks and the summary."""

from __future__ import annotations

import time
from typing import Any

import pytest

from reconciler.errors import Diagnostic, Severity, Source
from reconciler.model.fields import Effect, FieldChange
from reconciler.plan import Action, Change, Plan, QuotaView, Reason
from reconciler.renderers.diagnostics import count_diagnostics, render_diagnostic, render_diagnostics
from reconciler.renderers.plan_text import SHOW_ROWS, render_plan, summary_line
from reconciler.renderers.text import Style, visible_len
from tests.builders import AT, a_change, a_model, job_name

FREE = QuotaView(
    limit=2, limit_source="the stack's manifest", own_active=0, foreign_active=0, intents=0, held=0, free=2
)
EVIL = "\x1b[31mred\u202e\nError: all is well\x07"


def a_plan(*changes: Change, **more: Any) -> Plan:
    """A plan of these changes with two free slots."""
    given: dict[str, Any] = {"quota": FREE, "complete": True} | more
    return Plan(
        created_at=AT,
        tool_version="1.0",
        stack=given.pop("stack", "support"),
        project="demo-project",
        endpoint="simulator",
        lineage="lineage",
        serial=3,
        digests={},
        changes=changes,
        **given,
    )


def change(address: str, action: Action = Action.CREATE, reason: Reason = Reason.NEW, **more: Any) -> Change:
    """A change of one address, with a base model and a reason in words."""
    given = {"base_model": "gemini-3.5-flash", "location": "us-central1", "why": "new in the manifests"} | more
    return a_change(a_model(address), action, reason, **given)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([], "No changes: 0 models as declared."),
        ([(Action.LEAVE, Reason.SUCCEEDED)], "No changes: 1 model as declared."),
        (
            [(Action.LEAVE, Reason.SUCCEEDED), (Action.LEAVE, Reason.FAILED), (Action.LEAVE, Reason.IN_PROGRESS)],
            "No changes: 1 model as declared, 1 failed, 1 running.",
        ),
        ([(Action.CREATE, Reason.NEW), (Action.REPLACE, Reason.SPEC_CHANGED)], "Plan: 1 to tune, 1 to replace."),
        (
            [(Action.CREATE, Reason.NEW), (Action.LEAVE, Reason.QUEUED), (Action.LEAVE, Reason.SUCCEEDED)],
            "Plan: 1 to tune, 1 queued, 1 as declared.",
        ),
        ([(Action.LEAVE, Reason.MODEL_GONE)], "No changes: 1 model gone."),
    ],
)
def test_the_summary_counts_what_happens_and_what_is_left(changes: list[tuple[Action, Reason]], line: str) -> None:
    """The last line counts each action, and what is left alone by how it stands."""
    plan = a_plan(*(change(f"m{at}", action, reason) for at, (action, reason) in enumerate(changes)))
    assert line == summary_line(plan)


def test_the_summary_of_an_incomplete_plan_does_not_call_it_done() -> None:
    """Where a location could not be read, nothing is said to be as declared."""
    assert "No changes planned, and not everything could be read." == summary_line(a_plan(complete=False))


def test_every_action_has_its_sign_and_word() -> None:
    """Each of the eight actions reads as in the help of `plan`."""
    text = render_plan(a_plan(*(change(action.value, action) for action in Action)), Style())
    rows = [line.split()[:3] for line in text.splitlines() if line.startswith("  ")]
    expected = {
        "create": ("+", "tune"),
        "replace": ("-/+", "replace"),
        "update": ("~", "update"),
        "cancel": ("-", "cancel"),
        "delete": ("x", "delete"),
        "leave": ("=", "leave"),
        "adopt": (">", "adopt"),
        "forget": (".", "forget"),
    }
    assert expected == {address: (sign, word) for sign, address, word in rows}


def test_nothing_from_outside_reaches_the_terminal_raw() -> None:
    """Names, reasons, values, diagnostics and jobs of others cannot colour, reverse, ring or begin a line."""
    evil = change(
        EVIL,
        Action.REPLACE,
        Reason.SPEC_CHANGED,
        base_model=EVIL,
        why=EVIL,
        job=job_name(EVIL),
        field_changes=(
            FieldChange(EVIL, EVIL, None, Effect.RETRAIN),
            FieldChange("nested", {EVIL: [EVIL]}, [EVIL], Effect.UPDATE),
        ),
        diagnostics=(
            Diagnostic(
                severity=Severity.WARNING, rule="r", summary=EVIL, detail=EVIL, source=Source(EVIL, 1, 1), command=EVIL
            ),
        ),
    )
    quota = QuotaView(
        limit=1,
        limit_source=EVIL,
        own_active=0,
        foreign_active=1,
        intents=0,
        held=0,
        free=0,
        foreign_jobs=(job_name(EVIL),),
    )
    plan = a_plan(evil, quota=quota, stack=EVIL, unknown=(EVIL,), unmanaged=(EVIL,))
    for style in (Style(), Style(width=80)):
        text = render_plan(plan, style)
        assert [] == [one for one in text if one != "\n" and not one.isprintable()]
        assert [] == [line for line in text.splitlines() if line.startswith("Error: all is well")]


def test_colour_is_closed_on_every_line() -> None:
    """A plan in colour leaves no line with an open colour, so that no prompt is painted."""
    changes = [change(action.value, action, job=job_name(1)) for action in Action]
    for line in render_plan(a_plan(*changes), Style(colour=True)).splitlines():
        assert line.count("\x1b[0m") * 2 == line.count("\x1b[")


def test_a_row_that_does_not_fit_is_folded_and_loses_nothing() -> None:
    """On a narrow terminal the reason goes on a line of its own under the address; in a pipe it never does."""
    plan = a_plan(change("a-sweep[epochCount=4,adapterSize=8]"))
    assert (
        "    +  a-sweep[epochCount=4,adapterSize=8]  tune  gemini-3.5-flash, us-central1  new in the manifests"
        in render_plan(plan, Style()).splitlines()
    )
    narrow = render_plan(plan, Style(width=60)).splitlines()
    at = narrow.index("    +  a-sweep[epochCount=4,adapterSize=8]  tune")
    assert "       gemini-3.5-flash, us-central1; new in the manifests" == narrow[at + 1]


def test_values_that_do_not_fit_stand_one_above_the_other() -> None:
    """Two long URIs are compared on two lines; short values stay on one."""
    before, after = "gs://bucket/a-folder/first/train.jsonl", "gs://bucket/a-folder/second/train.jsonl"
    fields = (FieldChange("trainingDatasetUri", before, after, Effect.RETRAIN),)
    narrow = render_plan(a_plan(change("a", field_changes=fields)), Style(width=70)).splitlines()
    at = narrow.index("       trainingDatasetUri  forces a new job")
    assert [f"            {before}", f"         -> {after}"] == narrow[at + 1 : at + 3]
    assert max(visible_len(line) for line in narrow) <= 70


def test_values_that_are_not_set_say_so() -> None:
    """A field that appears or goes has no value on one side."""
    fields = (FieldChange("hyperParameters.adapterSize", None, 4, Effect.RETRAIN),)
    assert "(not set) -> 4  forces a new job" in render_plan(a_plan(change("a", field_changes=fields)), Style())


def test_a_plan_of_ten_thousand_models_stays_readable() -> None:
    """What is as declared is counted, changes are shown up to a limit, and it takes no time."""
    quiet = [change(f"model-{at:05}", Action.LEAVE, Reason.SUCCEEDED) for at in range(9_000)]
    loud = [change(f"new-{at:05}") for at in range(1_000)]
    started = time.process_time()
    lines = render_plan(a_plan(*quiet, *loud), Style()).splitlines()
    assert time.process_time() - started < 2.0
    assert len(lines) < SHOW_ROWS + 20
    assert "  and 9000 to leave (succeeded), 800 to tune (new); `--json` has them all" in lines
    assert "Plan: 1000 to tune, 9000 as declared." == lines[-1]


def test_a_change_among_many_that_are_left_is_shown() -> None:
    """One change of ten thousand models is on the screen, with its details."""
    quiet = [change(f"model-{at:05}", Action.LEAVE, Reason.SUCCEEDED) for at in range(10_000)]
    failed = change("failed", Action.LEAVE, Reason.FAILED, why="its job failed")
    text = render_plan(a_plan(*quiet, change("new"), failed), Style())
    assert ["+", "="] == [line.split()[0] for line in text.splitlines() if line.startswith("    ")]


def test_the_quota_names_who_uses_it() -> None:
    """Jobs of others are named, up to three, since nobody here can end those; held and submitted slots are counted."""
    quota = QuotaView(
        limit=8,
        limit_source="x",
        own_active=1,
        foreign_active=5,
        intents=1,
        held=1,
        free=0,
        foreign_jobs=tuple(job_name(at) for at in range(5)),
    )
    assert (
        "Quota: 8 slots (x), 1 used by this stack, 1 being submitted, 1 held, 5 used by others "
        "(tuningJobs/0, tuningJobs/1, tuningJobs/2 and 2 more), 0 free." in render_plan(a_plan(quota=quota), Style())
    )


def test_many_unmanaged_jobs_are_counted() -> None:
    """Ten are named, the rest counted."""
    text = render_plan(a_plan(unmanaged=tuple(f"job-{at}" for at in range(12))), Style())
    assert ("  job-9\n  and 2 more" in text, "job-10" in text) == (True, False)


def test_diagnostics_end_with_the_errors() -> None:
    """What stays on the screen at the end is what matters most."""
    made = [Diagnostic(severity=one, rule="r", summary=one.value) for one in (Severity.ERROR, Severity.INFO)]
    assert "Note: info\n\nError: error" == render_diagnostics(made, Style())


def test_a_diagnostic_folds_on_a_terminal_and_keeps_its_command_whole() -> None:
    """Sentences are wrapped at words; the command to copy stays on one line, alone."""
    one = Diagnostic(
        severity=Severity.ERROR,
        rule="r",
        summary="Wrong",
        detail="A sentence that is rather too long for a terminal of forty columns.",
        source=Source("a.yaml", 3, 7),
        command="tuneform retry an-address-that-is-itself-rather-long",
    )
    assert [
        "Error: Wrong",
        "  at a.yaml:3:7",
        "  A sentence that is rather too long for",
        "  a terminal of forty columns.",
        "",
        "      tuneform retry an-address-that-is-itself-rather-long",
    ] == render_diagnostic(one, Style(width=40)).splitlines()


def test_a_detail_cannot_pose_as_another_diagnostic() -> None:
    """Every line of a detail is indented, whatever breaks it."""
    one = Diagnostic(severity=Severity.INFO, rule="r", summary="s", detail="a\nError: b\x0bError: c\u2028Error: d")
    assert ["  a", "  Error: b", "  Error: c", "  Error: d"] == render_diagnostic(one, Style()).splitlines()[1:]


@pytest.mark.parametrize(
    ("severities", "text"),
    [
        ([], ""),
        ([Severity.INFO], ""),
        ([Severity.ERROR, Severity.ERROR, Severity.WARNING], "2 errors, 1 warning"),
    ],
)
def test_diagnostics_are_counted(severities: list[Severity], text: str) -> None:
    """Errors and warnings count, notes do not."""
    assert text == count_diagnostics([Diagnostic(severity=one, rule="r", summary="s") for one in severities])
