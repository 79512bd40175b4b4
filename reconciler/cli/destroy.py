"""`tuneform destroy`: cancel what runs, forget the rest."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli.options import allow_options, lock_option, manifests_option
from reconciler.cli.output import remark, result, style_for
from reconciler.errors import ExitCode


@click.command(name="destroy")
@manifests_option
@click.option("--auto-approve", is_flag=True, help="Do not ask; cancels then need --allow-cancel N.")
@lock_option
@allow_options
def command(manifests: Path, auto_approve: bool, lock_timeout_s: float, **allowed: int | None) -> int:
    """Cancel every running job of the stack, drop what is queued and forget the rest.

    Tuned models and their endpoints are kept; the state keeps its records as retired, so that applying the same
    manifests again takes finished models back without tuning anything twice.
    """
    from reconciler.cli.applying import Request, confirmed, refuse_unasked
    from reconciler.cli.destroying import destroy_stack
    from reconciler.cli.leasing import leased
    from reconciler.cli.planning import make_session_plan
    from reconciler.cli.progress import Progress
    from reconciler.cli.session import open_session, stop_on_signals
    from reconciler.reconcile import destroyed, refuse_stale
    from reconciler.renderers.plan_text import render_plan
    from reconciler.safety import Allowed, Kind, permitted

    counts = {Kind(name.removeprefix("allow_")): count for name, count in allowed.items() if count is not None}
    request = Request(manifests=manifests, auto_approve=auto_approve, allowed=Allowed(counts))
    refuse_unasked(request)
    progress = Progress(sys.stderr)
    session = open_session(manifests, report=progress.report)
    nothing = replace(session, checked=replace(session.checked, desired=destroyed(session.desired), warnings=()))
    planned = make_session_plan(nothing, ())
    result(render_plan(planned.plan, style_for(sys.stdout, manifests)) + "\n")
    if not planned.plan.has_changes:
        return ExitCode.DONE
    if not confirmed(request, "Destroy this? Models are kept. Only yes is accepted: "):
        remark("Nothing was done.")
        return ExitCode.ERROR
    stop_on_signals(session.stop, progress.interject)
    with leased(nothing, "destroy", timeout_s=lock_timeout_s) as holder:
        fresh = make_session_plan(holder, ())
        if not auto_approve:
            refuse_stale(planned.plan, fresh.plan)
        withheld = permitted(fresh.plan.changes, request.allowed)[1] if auto_approve else ()
        return destroy_stack(holder, fresh, withheld, progress)
