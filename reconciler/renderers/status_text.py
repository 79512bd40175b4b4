"""Status and progress for a terminal. Pure: statuses and events in, lines out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from reconciler.events import Event, Kind
from reconciler.model.job import LiveJob
from reconciler.plan import QuotaView
from reconciler.renderers.text import Style, clean, columns, duration, instant, short
from reconciler.status import ModelStatus, Phase

_GOOD = frozenset({Phase.SUCCEEDED})
_BAD = frozenset({Phase.FAILED, Phase.GONE})
_BUSY = frozenset({Phase.RUNNING, Phase.PENDING, Phase.SUBMITTING})


def render_status(found: Sequence[ModelStatus], now: datetime, style: Style) -> str:
    """Each model with its job, model, endpoint and experiment, as Google's own samples print them after a job."""
    if not found:
        return "Nothing is declared and nothing is recorded."
    blocks = ["\n".join(_block(one, now, style)) for one in found]
    return "\n".join([*blocks, "", style.bold(phase_line(found))])


def _block(one: ModelStatus, now: datetime, style: Style) -> list[str]:
    head = f"{_painter(one.phase, style)(one.phase.value):{_WIDTH + _colour_len(style)}}"
    notes = [note for note in (progress_note(one, now), _aside(one)) if note]
    lines = [f"{head}  {style.bold(clean(one.address))}  {style.dim('; '.join(notes))}".rstrip()]
    rows = [[label, clean(value)] for label, value in _outputs(one)]
    return lines + columns(rows, indent=" " * (_WIDTH + 2))


_WIDTH = max(len(phase.value) for phase in Phase)


def _colour_len(style: Style) -> int:
    return len(style.green("x")) - 1


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
    if job.error is not None:
        rows.append(("error", f"{job.error.message} (code {job.error.code})"))
    return [(label, value) for label, value in rows if value]


def _aside(one: ModelStatus) -> str:
    parts = [] if one.is_desired else ["not in the manifests"]
    parts += ["the manifest changed since"] if one.changed else []
    return ", ".join(parts)


def progress_note(one: ModelStatus, now: datetime) -> str:
    """What is worth knowing of its phase: place and blocker, epochs done, how long it runs or ran."""
    if one.phase is Phase.QUEUED:
        place = f"place {one.place}" if one.place is not None else ""
        return ", ".join(part for part in (place, clean(one.why)) if part)
    job = one.job
    if job is None:
        return ""
    if one.phase in (Phase.PENDING, Phase.RUNNING):
        return ", ".join(part for part in (_phase_word(job), _epochs(job), _running_for(job, now)) if part)
    if job.started_at is not None and job.ended_at is not None:
        return f"took {duration(job.ended_at - job.started_at)}"
    return ""


def _phase_word(job: LiveJob) -> str:
    return "" if job.phase is None else clean(job.phase.removeprefix("TUNING_JOB_STATE_").replace("_", " ").lower())


def _epochs(job: LiveJob) -> str:
    wanted = job.fields.get("hyperParameters.epochCount")
    if job.completed_epoch_count is None or wanted is None:
        return ""
    return f"epoch {job.completed_epoch_count} of {clean(wanted)}"


def _running_for(job: LiveJob, now: datetime) -> str:
    since = job.started_at or job.created_at
    return duration(now - since)


def phase_line(found: Sequence[ModelStatus]) -> str:
    """`6 models: 4 succeeded, 1 running, 1 queued.`"""
    counts = Counter(one.phase for one in found)
    parts = [f"{counts[phase]} {phase.value}" for phase in Phase if counts[phase]]
    return f"{len(found)} model{'' if len(found) == 1 else 's'}: {', '.join(parts)}."


def render_progress(
    found: Sequence[ModelStatus], quota: QuotaView, now: datetime, style: Style, width: int
) -> list[str]:
    """The lines of the live view: a bar of slots, then a row for each model, cut to the width of the terminal."""
    rows = [
        [_painter(one.phase, style)(one.phase.value), clean(one.address), style.dim(progress_note(one, now))]
        for one in found
    ]
    return [f"{instant(now)}   {slots_line(quota)}", *(_cut(line, width) for line in columns(rows, indent="  "))]


def slots_line(quota: QuotaView) -> str:
    """`slots [##.] 2 of 3 used`; others' jobs are marked `o`."""
    if quota.limit is None or quota.free is None:
        return "slots unknown"
    own, others = quota.own_active + quota.intents, quota.foreign_active
    bar = ("#" * own + "o" * others + "." * max(0, quota.limit - own - others))[:40]
    return f"slots [{bar}] {own + others} of {quota.limit} used" + (f", {others} by others" if others else "")


def _cut(line: str, width: int) -> str:
    """The line in at most `width` characters; colour is closed where it is cut."""
    count, inside = 0, False
    kept: list[str] = []
    for one in line:
        if one == "\x1b":
            inside = True
        if not inside:
            count += 1
            if count > width:
                return "".join(kept) + "\x1b[0m" if "\x1b" in line else "".join(kept)
        kept.append(one)
        if inside and one == "m":
            inside = False
    return line


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
    Kind.PHASE: " ",
    Kind.LOOKED: " ",
}


def render_event(event: Event, style: Style) -> str:
    """One timestamped line."""
    job = f"  {short(event.job)}" if event.job is not None else ""
    at = style.dim(f"{event.at:%H:%M:%S}")
    return f"{at} {_MARKS[event.kind]} {clean(event.address)}: {clean(event.text)}{style.dim(job)}"
