"""`tuneform retry ADDRESS`: tune one address again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler.cli.options import lock_option, manifests_option


@click.command(name="retry")
@click.argument("address")
@manifests_option
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Queue it, make one pass and exit.")
@lock_option
def command(address: str, manifests: Path, auto_approve: bool, no_wait: bool, lock_timeout_s: float) -> int:
    """Tune ADDRESS again although nothing in its manifest changed: after a failure, a cancel, or a lost model.

    Spends money because you ask for it, so it asks back. What is queued or running already is left alone.
    """
    from dataclasses import replace

    from reconciler.cli.applying import Request, carry_out_plan, refuse_unasked
    from reconciler.cli.output import result, style_for
    from reconciler.cli.planning import make_session_plan
    from reconciler.cli.progress import Progress
    from reconciler.cli.session import open_session, with_limits
    from reconciler.errors import UsageError
    from reconciler.reconcile import Planned, retried
    from reconciler.renderers.plan_text import render_plan

    request = Request(manifests=manifests, auto_approve=auto_approve, wait=not no_wait, lock_timeout_s=lock_timeout_s)
    refuse_unasked(request)
    progress = Progress(sys.stderr)
    session = with_limits(open_session(manifests, report=progress.report))

    def narrow(planned: Planned) -> Planned:
        changes = retried(planned, address)
        if not changes:
            why = next((one.why for one in planned.plan.changes if one.address == address), "it is not desired")
            raise UsageError("There is nothing to retry", f"{address}: {why}.")
        return replace(planned, plan=replace(planned.plan, changes=changes))

    planned = narrow(make_session_plan(session, (address,)))
    result(render_plan(planned.plan, style_for(sys.stdout, manifests)))
    return carry_out_plan(session, planned, request, progress, narrow)
