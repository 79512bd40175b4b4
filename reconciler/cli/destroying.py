"""The course of a destroy: cancel, wait until the cancels have ended, then forget."""

from __future__ import annotations

from dataclasses import replace

from reconciler.cli.applying import tell_withheld
from reconciler.cli.leasing import finished
from reconciler.cli.output import remark
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, who
from reconciler.errors import ExitCode
from reconciler.executor.cycle import carry_out
from reconciler.executor.loop import Ended
from reconciler.plan import Action, Change, plan_checksum
from reconciler.reconcile import Planned, apply_changes, plan_stack
from reconciler.renderers.text import plural
from reconciler.state.records import Because


def destroy_stack(session: Session, planned: Planned, withheld: tuple[Change, ...], progress: Progress) -> int:
    """Carries out a plan in which nothing is desired; the exit code."""
    changes = tuple(change for change in planned.plan.changes if change not in withheld)
    followed = apply_changes(
        session.effects,
        session.desired,
        replace(planned, plan=replace(planned.plan, changes=changes)),
        changes,
        wait=True,
        approved_by=who(),
        plan_checksum=plan_checksum(planned.plan),
        ended_because=Because.DESTROYED,
        stop=session.stop.is_set,
        show=lambda last: progress.show(session.desired, last),
    )
    progress.close()
    tell_withheld(withheld)
    if followed.ended is not Ended.DONE:
        remark("Some jobs have not ended yet; run destroy again to forget them.")
        return ExitCode.REFUSED if withheld else ExitCode.WORK_LEFT
    # What was cancelled has ended now, so a second plan forgets it.
    rest = plan_stack(session.effects, session.desired, followed.held)
    forgets = tuple(change for change in rest.plan.changes if change.action is Action.FORGET)
    held = carry_out(session.effects, rest.held, session.desired, forgets, rest.observation, approved_by=who())
    held = finished(session, held, {"ended": followed.ended.value})
    remark(f"Destroyed: {plural(len(held.state.retired), 'model')} kept as retired, {len(held.state.records)} left.")
    return ExitCode.REFUSED if withheld else ExitCode.DONE
