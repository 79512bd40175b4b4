"""`tuneform retry ADDRESS`: tune one address again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler.cli.options import manifests_option


@click.command(name="retry")
@click.argument("address")
@manifests_option
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Queue it, make one pass and exit.")
def command(address: str, manifests: Path, auto_approve: bool, no_wait: bool) -> int:
    """Tune ADDRESS again although nothing in its manifest changed: after a failure, a cancel, or a lost model.

    Spends money because you ask for it, so it asks back. What is queued or running already is left alone.
    """
    from dataclasses import replace

    from reconciler.cli.applying import Request, carry_out_plan, refuse_unasked
    from reconciler.cli.output import result, style_for
    from reconciler.cli.planning import make_session_plan
    from reconciler.cli.progress import Progress
    from reconciler.cli.session import open_session
    from reconciler.errors import UsageError
    from reconciler.reconcile import retried
    from reconciler.renderers.plan_text import render_plan

    request = Request(manifests=manifests, auto_approve=auto_approve, wait=not no_wait)
    refuse_unasked(request)
    progress = Progress(sys.stderr)
    session = open_session(manifests, report=progress.report)
    planned = make_session_plan(session, (address,))
    changes = retried(planned, address)
    if not changes:
        why = next((change.why for change in planned.plan.changes if change.address == address), "it is not desired")
        raise UsageError("There is nothing to retry", f"{address}: {why}.")
    planned = replace(planned, plan=replace(planned.plan, changes=changes))
    result(render_plan(planned.plan, style_for(sys.stdout, manifests)))
    return carry_out_plan(session, planned, session.desired, request, progress)
