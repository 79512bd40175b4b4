"""Status and progress as text: what each model shows, the live table, the lines of what happens."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.events import Event, Kind
from reconciler.model.job import JobError, JobState, LiveJob
from reconciler.plan import QuotaView
from reconciler.renderers.state_text import encode_address, encode_summary, render_summary
from reconciler.renderers.status_json import encode_status
from reconciler.renderers.status_text import (
    phase_event,
    phase_line,
    progress_note,
    render_event,
    render_progress,
    render_status,
    slots_line,
)
from reconciler.renderers.text import Style, visible_len
from reconciler.status import ModelStatus, Phase
from tests.builders import (
    AT,
    LOCATION,
    a_job,
    a_model,
    a_record,
    a_stack,
    a_state,
    a_ticket,
    an_intent,
    an_observation,
    job_name,
)

EVIL = "\x1b[31mred\u202e\nError: all is well\x07"
FREE = QuotaView(limit=2, limit_source="x", own_active=1, foreign_active=0, intents=0, held=0, free=1)


def status(address: str = "alpha", phase: Phase = Phase.RUNNING, **more: Any) -> ModelStatus:
    """How a desired model stands."""
    return replace(ModelStatus(address=address, phase=phase, is_desired=True), **more)


def done(**changes: Any) -> LiveJob:
    """A job that succeeded after an hour and left everything it can."""
    given: dict[str, Any] = {
        "state": JobState.SUCCEEDED,
        "started_at": AT - timedelta(hours=1),
        "ended_at": AT,
        "model": "projects/1/locations/us/models/77@1",
        "endpoint": "projects/1/locations/us/endpoints/88",
        "experiment": "projects/1/locations/us-central1/metadataStores/default/contexts/tuning-experiment-20261120",
    }
    return replace(a_job(model=a_model()), **given | changes)


def test_status_prints_the_four_names_under_each_model() -> None:
    """Job, model, endpoint and experiment, each by its full name, then the counts."""
    text = render_status([status(phase=Phase.SUCCEEDED, job=done())], AT, Style())
    assert [
        "succeeded    alpha  took 1 h",
        f"             job         {job_name(1)}",
        "             model       projects/1/locations/us/models/77@1",
        "             endpoint    projects/1/locations/us/endpoints/88",
        "             experiment  projects/1/locations/us-central1/metadataStores/default/contexts/"
        "tuning-experiment-20261120",
        "",
        "1 model: 1 succeeded.",
    ] == text.splitlines()


def test_status_on_a_narrow_terminal_keeps_the_ends_of_names() -> None:
    """Names that do not fit lose their front, and a line says where they are whole."""
    lines = render_status([status(phase=Phase.SUCCEEDED, job=done())], AT, Style(width=60)).splitlines()
    assert "             experiment  …/tuning-experiment-20261120" in lines
    assert "             job         …/us-central1/tuningJobs/1" in lines
    assert "… stands for what does not fit; `tuneform status --json` has" in lines
    assert max(visible_len(line) for line in lines) <= 60


def test_a_failure_says_why_in_googles_words() -> None:
    """The error stands under the job, wrapped on a terminal, never cut."""
    job = done(state=JobState.FAILED, model=None, error=JobError(13, "Internal error occurred. Please retry the job."))
    failed = status(phase=Phase.FAILED, job=job)
    assert "error       Internal error occurred. Please retry the job. (code 13)" in render_status(
        [failed], AT, Style()
    )
    narrow = render_status([failed], AT, Style(width=60)).splitlines()
    at = next(at for at, line in enumerate(narrow) if line.strip().startswith("error"))
    assert [
        "             error       Internal error occurred. Please",
        "                         retry the job. (code",
    ] == [
        narrow[at],
        narrow[at + 1].rpartition(" ")[0],
    ]


def test_phases_line_up_in_colour_too() -> None:
    """The addresses begin at one column, whatever colour their phase has."""
    lines = render_status([status(phase.value, phase) for phase in Phase], AT, Style(colour=True)).splitlines()
    starts = {
        visible_len(line[: line.index("\x1b[1m")]) for line in lines if "\x1b[1m" in line and "models" not in line
    }
    assert {13} == starts


def test_only_what_is_shown_is_long_but_all_is_counted() -> None:
    """The counts may be of more models than are shown."""
    shown, rest = status(phase=Phase.FAILED), status("beta", Phase.SUCCEEDED)
    text = render_status([shown], AT, Style(), counted=[shown, rest])
    assert ("beta" in text, "2 models: 1 succeeded, 1 failed." in text) == (False, True)


def test_an_empty_stack_says_so() -> None:
    """Nothing declared and nothing recorded is a sentence, not silence."""
    assert "Nothing is declared and nothing is recorded." == render_status([], AT, Style())


@pytest.mark.parametrize(
    ("one", "note"),
    [
        (status(phase=Phase.QUEUED, place=3, why="all 2 slots used"), "place 3, all 2 slots used"),
        (status(phase=Phase.NOT_STARTED), ""),
        (status(job=a_job(started_at=AT - timedelta(minutes=5))), "5 min"),
        (
            status(job=a_job(phase="TUNING_JOB_STATE_PROCESSING_DATASET", started_at=AT)),
            "processing dataset, 0 s",
        ),
        (
            status(
                job=a_job(
                    phase="TUNING_JOB_STATE_TUNING",
                    completed_epoch_count=2,
                    fields={"hyperParameters.epochCount": 4},
                    started_at=AT - timedelta(hours=1),
                )
            ),
            "epoch 2 of 4, 1 h",
        ),
        (status(phase=Phase.SUCCEEDED, job=done()), "took 1 h"),
        (status(phase=Phase.FAILED, job=done(started_at=None)), ""),
    ],
)
def test_a_note_tells_what_is_worth_knowing(one: ModelStatus, note: str) -> None:
    """Place and blocker while it waits, epochs and time while it runs, and how long it took."""
    assert note == progress_note(one, AT)


def test_a_model_that_is_not_declared_or_has_changed_says_so() -> None:
    """What the manifests no longer say of a model stands beside it."""
    text = render_status([status(is_desired=False), status("beta", changed=True)], AT, Style())
    assert ["not in the manifests" in text, "the manifest changed since" in text] == [True, True]


def test_the_live_table_shows_what_works_first() -> None:
    """What runs, then the queue by place, then what failed; what is settled is only counted."""
    found = [
        status("a-queued", Phase.QUEUED, place=2),
        status("b-queued", Phase.QUEUED, place=1),
        status("c-failed", Phase.FAILED),
        status("d-done", Phase.SUCCEEDED),
        status("e-running", Phase.RUNNING, job=a_job()),
    ]
    lines = render_progress(found, FREE, AT, Style(width=80), rows=20)
    assert ["e-running", "b-queued", "a-queued", "c-failed"] == [line.split()[1] for line in lines[1:-1]]
    assert "2026-11-20 12:00:00 UTC   slots [#.] 1 of 2 used" == lines[0]
    assert "  5 models: 2 queued, 1 running, 1 succeeded, 1 failed." == lines[-1]


def test_the_live_table_is_never_higher_or_wider_than_asked() -> None:
    """Rows are left out and lines are cut, so that drawing over it never leaves remains."""
    found = [status(f"a-rather-long-name-of-a-model-{at}", Phase.QUEUED, place=at + 1) for at in range(50)]
    lines = render_progress(found, FREE, AT, Style(colour=True, width=40), rows=5)
    assert 7 == len(lines)
    assert max(visible_len(line) for line in lines) <= 40
    assert [True] * 7 == [line.count("\x1b[0m") >= line.count("\x1b[3") for line in lines]


@pytest.mark.parametrize(
    ("quota", "line"),
    [
        ({"limit": 3, "own_active": 2}, "slots [##.] 2 of 3 used"),
        ({"limit": 3, "own_active": 1, "intents": 1}, "slots [##.] 2 of 3 used"),
        ({"limit": 3, "own_active": 1, "foreign_active": 1}, "slots [#o.] 2 of 3 used, 1 by others"),
        ({"limit": 1, "own_active": 2}, "slots [##] 2 of 1 used"),
        ({"limit": 0, "own_active": 0}, "slots [] 0 of 0 used"),
        ({"limit": None, "own_active": 0}, "slots unknown"),
        ({"limit": 2, "own_active": 0, "free": None}, "slots unknown"),
        ({"limit": 500, "own_active": 1}, f"slots [#{'.' * 39}] 1 of 500 used"),
    ],
)
def test_slots_are_a_bar_and_a_count(quota: dict[str, Any], line: str) -> None:
    """Own jobs, jobs of others and free slots, at most forty marks wide."""
    assert line == slots_line(replace(FREE, **quota))


@pytest.mark.parametrize("kind", list(Kind))
def test_every_event_is_one_line_with_its_time(kind: Kind) -> None:
    """Time, mark, address, what happened, and the job by its short name."""
    line = render_event(Event(at=AT, kind=kind, address="alpha", text="it happened", job=job_name(7)), Style())
    assert ("12:00:00 ", " alpha: it happened  tuningJobs/7") == (line[:9], line[10:])


def test_an_event_that_does_not_fit_is_folded_without_its_job() -> None:
    """On a terminal the job goes first, then the text goes on below itself."""
    event = Event(at=AT, kind=Kind.CREATED, address="alpha", text="submitted", job=job_name(7))
    assert "12:00:00 + alpha: submitted" == render_event(event, Style(width=30))
    assert "12:00:00 + alpha:\n           submitted" == render_event(event, Style(width=24))


def test_nothing_from_outside_reaches_the_terminal_raw() -> None:
    """Addresses, reasons, names and Google's words cannot colour, reverse, ring or begin a line."""
    job = done(name=job_name(EVIL), model=EVIL, endpoint=EVIL, experiment=EVIL, phase=EVIL, error=JobError(1, EVIL))
    found = [status(EVIL, phase, job=job, why=EVIL, place=1) for phase in Phase]
    event = Event(at=AT, kind=Kind.CREATED, address=EVIL, text=EVIL, job=job_name(EVIL))
    texts = [
        render_status(found, AT, Style()),
        render_status(found, AT, Style(width=80)),
        *render_progress(found, FREE, AT, Style(width=80), rows=20),
        render_event(event, Style()),
        *(render_event(phase_event(one, AT), Style()) for one in found),
    ]
    for text in texts:
        assert [] == [one for one in text if one != "\n" and not one.isprintable()]
        assert [] == [line for line in text.splitlines() if line.startswith("Error: all is well")]


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (status(job=a_job(started_at=AT - timedelta(minutes=5))), "running"),
        (status(phase=Phase.SUCCEEDED, job=done()), "succeeded (took 1 h)"),
        (
            status(phase=Phase.FAILED, job=done(error=JobError(13, "Internal error."))),
            "failed (took 1 h): Internal error. (code 13)",
        ),
        (status(phase=Phase.QUEUED, place=1, why="all 2 slots used"), "queued (place 1, all 2 slots used)"),
    ],
)
def test_a_phase_is_told_with_what_it_brings(one: ModelStatus, text: str) -> None:
    """An end says how long it took, a failure why, a wait for whom."""
    assert text == phase_event(one, AT).text


def test_phases_are_counted_in_their_order() -> None:
    """From waiting to done."""
    found = [status(phase=phase) for phase in (Phase.FAILED, Phase.RUNNING, Phase.QUEUED, Phase.RUNNING)]
    assert "4 models: 1 queued, 2 running, 1 failed." == phase_line(found)


def test_status_json_has_null_where_the_service_set_nothing() -> None:
    """A model without a job has all keys, and the document is JSON."""
    document = encode_status(a_stack(), a_state(), an_observation(), [status(phase=Phase.NOT_STARTED)])
    [one] = json.loads(json.dumps(document))["models"]
    assert ("not_started", None, None, None) == (one["phase"], one["job"], one["model"], one["error"])
    assert [LOCATION == document["unread_locations"], True] == [False, document["complete"]]


def test_status_json_tells_a_failed_job_whole() -> None:
    """Times are ISO 8601 with their offset; the error has code and message."""
    job = done(state=JobState.FAILED, error=JobError(13, EVIL))
    found = [status(phase=Phase.FAILED, job=job, job_name=job.name)]
    [one] = encode_status(a_stack(), a_state(), an_observation(job), found)["models"]
    assert ({"code": 13, "message": EVIL}, "2026-11-20T12:00:00+00:00") == (one["error"], one["ended_at"])


def test_the_state_lists_every_kind_of_entry() -> None:
    """Recorded, intended, queued and retired entries each have their row, and the count is right."""
    alpha, beta, gamma, delta = (a_model(name) for name in ("alpha", "beta", "gamma", "delta"))
    retired = {delta.address: a_record(delta, a_job(2, model=delta))}
    state = a_state(a_record(alpha, a_job(1, model=alpha)), an_intent(beta), a_ticket(gamma), retired=retired)
    lines = render_summary(state).splitlines()
    assert ["recorded", "intended", "queued", "retired"] == [line.split()[0] for line in lines[1:-1]]
    assert "4 entries." == lines[-1]
    assert ["alpha", "beta", "gamma", "delta"] == [one["address"] for one in encode_summary(state)["entries"]]


def test_one_address_of_the_state_is_shown_whole() -> None:
    """All that is remembered of an address is one JSON document; of an unknown one there is none."""
    alpha = a_model("alpha")
    state = a_state(a_record(alpha, a_job(1, model=alpha)), a_ticket(alpha, attempt=2))
    document = encode_address(state, "alpha")
    assert document is not None
    assert ({"format_version", "address", "record", "ticket"}, 2) == (set(document), document["ticket"]["attempt"])
    assert json.loads(json.dumps(document)) == document
    assert encode_address(state, "beta") is None
