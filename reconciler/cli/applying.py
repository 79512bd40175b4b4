"""The course of an apply as its user meets it: plan, question, progress, and what is left at the end."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.cli.leasing import finished, leased
from reconciler.cli.output import remark, result, style_for
from reconciler.cli.planning import make_session_plan, read_plan
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, open_session, stop_on_signals, who, with_limits
from reconciler.duplicates import find_duplicates
from reconciler.errors import ExitCode, PlanError, UsageError
from reconciler.executor.effects import save
from reconciler.executor.loop import Ended, Followed
from reconciler.model.desired import Desired
from reconciler.plan import Action, Change, Plan, Reason, plan_checksum
from reconciler.reconcile import Planned, apply_changes, foresee, refuse_stale
from reconciler.renderers.plan_text import render_plan
from reconciler.renderers.status_text import render_status
from reconciler.renderers.text import Style, clean, duration, plural
from reconciler.safety import NEEDS_A_YES, Allowed, kinds_of, permitted, refuse_large
from reconciler.state.records import State
from reconciler.status import ModelStatus, Phase, statuses
from reconciler.transitions import approve

# So many addresses are named in a sentence; the status names all.
_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asked for."""

    manifests: Path
    plan_file: Path | None = None
    targets: tuple[str, ...] = ()
    auto_approve: bool = False
    wait: bool = True
    lock_timeout_s: float = 0.0
    strict_once: bool = False
    new_owner: bool = False
    max_wait_s: float | None = None
    queued: bool = False
    allowed: Allowed = field(default_factory=Allowed)


def apply_command(request: Request) -> int:
    """Plans, asks, applies, tells; the exit code."""
    refuse_unasked(request)
    progress = Progress(sys.stderr)
    session = with_limits(open_session(request.manifests, report=progress.report))
    effects = replace(session.effects, strict_once=request.strict_once)
    session = replace(session, effects=effects, new_owner=request.new_owner)
    if request.plan_file is None:
        planned = make_session_plan(session, request.targets)
    else:
        session, planned = _saved(session, request.plan_file)
    if request.queued:
        planned = queued_only(planned)
    outlook = foresee(session.effects, session.desired, planned)
    result(render_plan(planned.plan, style_for(sys.stdout, request.manifests), outlook) + "\n")
    if not planned.plan.has_changes and not _has_work(session, planned, request):
        _refuse_errored(planned.plan)
        if not request.queued:
            _remember(session, planned, request)
        return _code(statuses(session.desired, session.held.state, planned.observation), planned.plan)
    return carry_out_plan(session, planned, request, progress, queued_only if request.queued else _as_it_is)


def _remember(session: Session, planned: Planned, request: Request) -> None:
    """Writes what a plan without changes still tells: the life each model is to lead, and that a forgotten one is back.

    Nothing is asked, since nothing happens to any job.
    """

    def told(session: Session, planned: Planned) -> State:
        left = [change for change in planned.plan.changes if change.action is Action.LEAVE]
        by_address = session.desired.by_address()
        return approve(session.held.state, left, by_address, planned.observation, approved_by=who(), plan_checksum="")

    if session.held.version is None or told(session, planned) == session.held.state:
        return
    with leased(session, "apply", timeout_s=request.lock_timeout_s) as holder:
        fresh = make_session_plan(holder, planned.plan.targets)
        held = finished(holder, save(holder.effects, holder.held, told(holder, fresh)), {"ended": Ended.DONE.value})
    remark(f"History: {held.state.history_head}")


def queued_only(planned: Planned) -> Planned:
    """The plan cut down to what was approved before and waits, is being submitted, or runs: nothing new."""
    state = planned.held.state
    going = state.queue.keys() | state.intents.keys()
    kept = tuple(one for one in planned.plan.changes if one.address in going and one.reason in _SERVED)
    return replace(planned, plan=replace(planned.plan, changes=kept))


_SERVED = frozenset({Reason.QUEUED, Reason.SUBMITTING, Reason.SUBMITTED, Reason.CANCELLING})


def _as_it_is(planned: Planned) -> Planned:
    return planned


def carry_out_plan(
    session: Session,
    shown: Planned,
    request: Request,
    progress: Progress,
    narrow: Callable[[Planned], Planned] = _as_it_is,
) -> int:
    """Everything after the plan is shown: limits, question, lease, work, the end.

    `narrow` cuts a plan of the whole stack down to what was asked for.
    """
    _refuse_errored(shown.plan)
    withheld = _withheld(shown.plan, request)
    if shown.plan.has_changes and not confirmed(request, "Apply this? Only yes is accepted: "):
        remark("Nothing was done.")
        return ExitCode.ERROR
    stop_on_signals(session.stop, progress.interject)
    checksum = plan_checksum(shown.plan)
    began_at = session.effects.clock.now()
    with (
        leased(session, "apply", timeout_s=request.lock_timeout_s, plan_checksum=checksum) as holder,
        closing(progress),
    ):
        fresh = narrow(make_session_plan(holder, shown.plan.targets))
        planned = _agreed(shown, fresh, request)
        if planned is not shown:
            withheld = _withheld(planned.plan, request)
        changes = tuple(change for change in planned.plan.changes if change not in withheld)
        if request.wait:
            remark("Ctrl-C: submit nothing more and exit. Twice: exit at once. Jobs go on.")
        followed = apply_changes(
            holder.effects,
            holder.desired,
            # What is withheld is not waited for either.
            replace(planned, plan=replace(planned.plan, changes=changes)),
            changes,
            wait=request.wait,
            approved_by=who(),
            plan_checksum=checksum,
            until=_until(holder, request),
            stop=session.stop.is_set,
            show=lambda last: progress.show(holder.desired, last),
        )
        progress.close()
        held = finished(holder, followed.held, _outcome(followed, withheld))
    remark(f"History: {held.state.history_head}")
    if request.wait:
        remark(_asked(session, began_at))
    return _tell_end(session.desired, planned.plan, followed, withheld, style_for(sys.stdout, request.manifests))


def _asked(session: Session, began_at: datetime) -> str:
    """How much Vertex AI was asked; its quota of requests is shared too."""
    count = session.service.provider.request_count
    span = session.effects.clock.now() - began_at
    rate = f", {count / (span / timedelta(hours=1)):.0f} an hour" if span >= timedelta(minutes=10) else ""
    return f"Asked Vertex AI {plural(count, 'time')} in {duration(span)}{rate}."


def _until(session: Session, request: Request) -> datetime | None:
    if request.max_wait_s is None:
        return None
    return session.effects.clock.now() + timedelta(seconds=request.max_wait_s)


def _outcome(followed: Followed, withheld: tuple[Change, ...]) -> dict[str, object]:
    """How the run ended, for the history."""
    found = {"ended": followed.ended.value, "given_up": dict(followed.given_up)}
    return found | ({"withheld": [change.address for change in withheld]} if withheld else {})


def _agreed(shown: Planned, fresh: Planned, request: Request) -> Planned:
    """The plan to carry out, made under the lease: what was shown, or what it has become where nobody was asked.

    Raises StalePlanError when a person or a file said yes to something else.
    """
    if request.plan_file is not None or not (request.auto_approve or request.queued):
        refuse_stale(shown.plan, fresh.plan)
        by_address = {change.address for change in shown.plan.changes}
        kept = tuple(change for change in fresh.plan.changes if change.address in by_address)
        return replace(fresh, plan=replace(fresh.plan, changes=kept))
    _refuse_errored(fresh.plan)
    if [one.facts for one in fresh.plan.changes] != [one.facts for one in shown.plan.changes]:
        remark("The plan changed while the lease was taken; this is what is applied now:")
        result(render_plan(fresh.plan, style_for(sys.stdout, request.manifests)))
    return fresh


def _refuse_errored(plan: Plan) -> None:
    if plan.errored:
        raise PlanError("The plan holds errors", "Nothing was done. What has to change is said above.")


def refuse_unasked(request: Request) -> None:
    """Raises UsageError when nobody can be asked and nobody said yes beforehand; before anything is done."""
    if request.auto_approve or request.queued or request.plan_file is not None or sys.stdin.isatty():
        return
    raise UsageError(
        "Nobody can be asked",
        "Input is not a terminal, so nothing can be confirmed. Apply a reviewed plan file, or say yes beforehand:",
        command="tuneform apply --auto-approve",
    )


def confirmed(request: Request, question: str) -> bool:
    """Whether a person says yes, or said so beforehand."""
    if request.auto_approve or request.queued or request.plan_file is not None:
        return True
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"


def _saved(session: Session, path: Path) -> tuple[Session, Planned]:
    """The saved plan on top of a fresh look; raises StalePlanError when what it rests on has moved."""
    saved = read_plan(path)
    if session.held.version is None:
        # No state exists yet: the one this apply makes takes the identity the plan was made with.
        state = replace(session.held.state, lineage=saved.lineage)
        session = replace(session, held=replace(session.held, state=state))
    fresh = make_session_plan(session, saved.targets)
    refuse_stale(saved, fresh.plan)
    planned_addresses = {change.address for change in saved.changes}
    changes = tuple(change for change in fresh.plan.changes if change.address in planned_addresses)
    return session, replace(fresh, plan=replace(fresh.plan, changes=changes))


def _has_work(session: Session, planned: Planned, request: Request) -> bool:
    """Whether something waits or is being submitted, was made twice, or runs and was to be waited for."""
    state = session.held.state
    runs = any(one.reason in (Reason.IN_PROGRESS, Reason.CANCELLING) for one in planned.plan.changes)
    doubled = any(one.is_to_end for one in find_duplicates(state, planned.observation))
    return bool(state.queue or state.intents or doubled) or (request.wait and not request.queued and runs)


def _withheld(plan: Plan, request: Request) -> tuple[Change, ...]:
    if request.plan_file is not None:
        # A saved plan is itself the approval, also for the cancels it shows.
        return ()
    refuse_large(plan, request.allowed)
    if not request.auto_approve:
        return ()
    return permitted(plan.changes, request.allowed)[1]


def _tell_end(desired: Desired, plan: Plan, followed: Followed, withheld: tuple[Change, ...], style: Style) -> int:
    last = followed.last
    reasons = {one.ticket.address: one.why for one in last.deferred}
    scope = {change.address for change in plan.changes}
    found = [one for one in statuses(desired, last.held.state, last.observation, reasons) if one.address in scope]
    # What was there before and is left as it is would bury what this run is about.
    settled = {change.address for change in plan.changes if change.reason is Reason.SUCCEEDED}
    shown = [one for one in found if one.address not in settled]
    result("\n" + render_status(shown, last.observation.at, style, counted=found))
    for address, why in followed.given_up.items():
        remark(f"{clean(address)} was refused: {clean(why)}")
    tell_withheld(withheld)
    failed = [one.address for one in shown if one.phase is Phase.FAILED and one.is_desired]
    if failed:
        remark(f"{plural(len(failed), 'job')} failed. A failed job is tuned again when you ask for it:\n")
        for address in failed[:_NAMED]:
            remark(f"      {style.command(f'tuneform retry {shlex.quote(address)}')}")
    if followed.ended is not Ended.DONE:
        remark(f"{_left(found)}\n\n      {style.command('tuneform apply')}")
    if withheld:
        return ExitCode.REFUSED
    if followed.given_up:
        return ExitCode.MODEL_FAILED
    if followed.ended in (Ended.STOPPED, Ended.TIME_IS_UP):
        return ExitCode.WORK_LEFT
    return _code(found, plan)


def tell_withheld(withheld: Sequence[Change]) -> None:
    """Names what was not done because nobody could be asked, and the option that allows it."""
    if not withheld:
        return
    counts = Counter(kind for change in withheld for kind in kinds_of(change) & NEEDS_A_YES)
    options = " ".join(f"--allow-{kind} {count}" for kind, count in sorted(counts.items()))
    names = ", ".join(clean(change.address) for change in withheld[:_NAMED])
    more = f" and {len(withheld) - _NAMED} more" if len(withheld) > _NAMED else ""
    remark(f"Not touched, since nobody was asked: {names}{more}. To allow that, add: {options}")


def _left(found: Sequence[ModelStatus]) -> str:
    running = sum(1 for one in found if one.job is not None and one.job.is_active)
    queued = sum(1 for one in found if one.phase in (Phase.QUEUED, Phase.SUBMITTING))
    return f"{plural(running, 'job')} running on, {queued} queued in the state. The next apply goes on from here:"


def _code(found: Sequence[ModelStatus], plan: Plan) -> int:
    scope = {change.address for change in plan.changes}
    bad = (Phase.FAILED, Phase.GONE)
    failed = any(one.phase in bad and one.is_desired and one.address in scope for one in found)
    return ExitCode.MODEL_FAILED if failed else ExitCode.DONE
