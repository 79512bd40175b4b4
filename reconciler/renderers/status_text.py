"""Status and progress for a terminal. Pure: statuses and events in, lines out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from reconciler.events import Event, Kind
from reconciler.model.job import LiveJob
from reconciler.plan import QuotaView
from reconciler.renderers.text import Style, clean, columns, cut, duration, instant, short
from reconciler.status import ModelStatus, Phase

_GOOD = frozenset({Phase.SUCCEEDED})
_BAD = frozenset({Phase.FAILED, Phase.GONE})
_BUSY = frozenset({Phase.RUNNING, Phase.PENDING, Phase.SUBMITTING, Phase.CANCELLING})
# Nothing more will happen to these by themselves, and nothing is wrong with them.
SETTLED = frozenset({Phase.SUCCEEDED, Phase.CANCELLED, Phase.NOT_STARTED})


def render_status(
    found: Sequence[ModelStatus], now: datetime, style: Style, *, counted: Sequence[ModelStatus] | None = None
) -> str:
    """Each model with its job, model, endpoint and experiment, as Google's own samples print them after a job.

    `counted` are the models that the last line counts, where these are more than the ones shown.
    """
    counted = found if counted is None else counted
    if not counted:
        return "Nothing is declared and nothing is recorded."
    blocks = [line for one in found for line in _block(one, now, style)]
    if any("…/" in line for line in blocks):
        remark = "… stands for what does not fit; `tuneform status --json` has names whole."
        blocks += ["", *(style.dim(line) for line in style.wrap(remark))]
    return "\n".join([*blocks, *([""] if blocks else []), style.bold(phase_line(counted))])


def _block(one: ModelStatus, now: datetime, style: Style) -> list[str]:
    phase = one.phase.value
    head = f"{_painter(one.phase, style)(phase)}{' ' * (_WIDTH - len(phase))}  {style.bold(clean(one.address))}"
    notes = "; ".join(note for note in (progress_note(one, now), _aside(one)) if note)
    lines = [f"{head}  {style.dim(notes)}"] if notes else [head]
    if not style.fits(lines[0]):
        lines = [head, *(style.dim(_UNDER + line) for line in style.wrap(notes, len(_UNDER)))]
    taken = len(_UNDER) + _LABEL_WIDTH
    rows = [[label, style.name(clean(value), taken)] for label, value in _outputs(one)]
    rows += [["" if at else "error", line] for at, line in enumerate(style.wrap(error_text(one), taken))]
    return lines + columns([row for row in rows if row[1]], indent=_UNDER)


_WIDTH = max(len(phase.value) for phase in Phase)
_UNDER = " " * (_WIDTH + 2)
_LABEL_WIDTH = len("experiment") + 2


def _painter(phase: Phase, style: Style) -> Callable[[str], str]:
    if phase in _GOOD:
        return style.green
    if phase in _BAD:
        return style.red
    return style.yellow if phase in _BUSY else style.dim


def _outputs(one: ModelStatus) -> list[tuple[str, str]]:
    job = one.job
    if job is None:
        return [("job", one.job_name)] if one.job_name is not None else []
    rows = [("job", job.name), ("model", job.model), ("endpoint", job.endpoint), ("experiment", job.experiment)]
    return [(label, value) for label, value in rows if value]


def _aside(one: ModelStatus) -> str:
    parts = [] if one.is_desired else ["not in the manifests"]
    parts += ["the manifest changed since"] if one.changed else []
    return ", ".join(parts)


def error_text(one: ModelStatus) -> str:
    """Why its job failed, in Google's words; empty where it did not."""
    error = None if one.job is None else one.job.error
    return "" if error is None else f"{clean(error.message)} (code {error.code})"


def progress_note(one: ModelStatus, now: datetime) -> str:
    """What is worth knowing of its phase: place and blocker, epochs done, how long it runs or ran."""
    if one.phase is Phase.QUEUED:
        place = f"place {one.place}" if one.place is not None else ""
        return ", ".join(part for part in (place, clean(one.why)) if part)
    job = one.job
    if job is None:
        return ""
    if one.phase in (Phase.PENDING, Phase.RUNNING):
        return ", ".join(part for part in (*_progress(job), duration(now - (job.started_at or job.created_at))) if part)
    if job.started_at is not None and job.ended_at is not None:
        return f"took {duration(job.ended_at - job.started_at)}"
    return ""


def _progress(job: LiveJob) -> tuple[str, str]:
    word = "" if job.phase is None else clean(job.phase.removeprefix("TUNING_JOB_STATE_").replace("_", " ").lower())
    wanted = job.fields.get("hyperParameters.epochCount")
    if job.completed_epoch_count is None or wanted is None:
        return word, ""
    # Who counts epochs is tuning.
    return "" if word == "tuning" else word, f"epoch {job.completed_epoch_count} of {clean(wanted)}"


def phase_line(found: Sequence[ModelStatus]) -> str:
    """`6 models: 4 succeeded, 1 running, 1 queued.`"""
    counts = Counter(one.phase for one in found)
    parts = [f"{counts[phase]} {phase.value}" for phase in Phase if counts[phase]]
    return f"{len(found)} model{'' if len(found) == 1 else 's'}: {', '.join(parts)}."


def render_progress(
    found: Sequence[ModelStatus], quota: QuotaView, now: datetime, style: Style, *, rows: int
) -> list[str]:
    """The lines of the live view, none wider than the terminal: the slots, a row for each model at work, the counts.

    At most `rows` models are shown: what runs, then the queue by place, then what failed.
    """
    busy = sorted((one for one in found if one.phase not in SETTLED), key=_interest)[:rows]
    table = [
        [_painter(one.phase, style)(one.phase.value), clean(one.address), style.dim(progress_note(one, now))]
        for one in busy
    ]
    lines = [f"{instant(now)}   {slots_line(quota)}", *columns(table, indent="  "), f"  {phase_line(found)}"]
    return lines if style.width is None else [cut(line, style.width) for line in lines]


def _interest(one: ModelStatus) -> tuple[int, int, str]:
    rank = 0 if one.phase in _BUSY else 1 if one.phase is Phase.QUEUED else 2
    return rank, one.place or 0, one.address


def slots_line(quota: QuotaView) -> str:
    """`slots [##.] 2 of 3 used`; others' jobs are marked `o`."""
    if quota.limit is None or quota.free is None:
        return "slots unknown"
    own, others = quota.own_active + quota.intents, quota.foreign_active
    bar = ("#" * own + "o" * others + "." * max(0, quota.limit - own - others))[:40]
    return f"slots [{bar}] {own + others} of {quota.limit} used" + (f", {others} by others" if others else "")


_MARKS = {
    Kind.CREATED: "+",
    Kind.ADOPTED: ">",
    Kind.REFUSED: "!",
    Kind.GIVEN_UP: "!",
    Kind.UNCERTAIN: "?",
    Kind.RETRY: "+",
    Kind.UNANSWERED: "?",
    Kind.CANCEL_REQUESTED: "-",
    Kind.CANCEL_FAILED: "!",
    Kind.DUPLICATE: "!",
    Kind.FORGOTTEN: ".",
    Kind.PHASE: " ",
    Kind.LOOKED: " ",
}


def render_event(event: Event, style: Style) -> str:
    """One timestamped line; where it does not fit, without its job, and folded under itself."""
    at, mark = style.dim(f"{event.at:%H:%M:%S}"), _MARKS[event.kind]
    text = f"{clean(event.address)}: {clean(event.text)}"
    whole = f"{at} {mark} {text}" + (style.dim(f"  {short(event.job)}") if event.job is not None else "")
    if style.fits(whole):
        return whole
    under = " " * len("00:00:00 + ")
    first, *rest = style.wrap(text, len(under))
    return "\n".join([f"{at} {mark} {first}", *(f"{under}{line}" for line in rest)])


def phase_event(one: ModelStatus, at: datetime) -> Event:
    """That a model has come to its phase."""
    # What has just begun to run has nothing to tell yet.
    note = "" if one.phase in _BUSY else progress_note(one, at)
    error = error_text(one) if one.phase in _BAD else ""
    text = one.phase.value + (f" ({note})" if note else "") + (f": {error}" if error else "")
    job = None if one.job is None else one.job.name
    return Event(at=at, kind=Kind.PHASE, address=one.address, text=text, job=job)
