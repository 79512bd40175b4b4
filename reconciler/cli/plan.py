"""`tuneform plan`: what would happen, and why."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli.options import json_option, manifests_option, new_owner_option, target_option
from reconciler.cli.output import remark, result, result_json, style_for
from reconciler.errors import ExitCode


@click.command(name="plan")
@manifests_option
@target_option
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Save the plan for `apply FILE`."
)
@new_owner_option
@json_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes, 0 when there are none.")
def command(
    manifests: Path, targets: tuple[str, ...], out: Path | None, new_owner: bool, as_json: bool, detailed_exitcode: bool
) -> int:
    """Show what would happen, and why. Reads live jobs of every location; changes nothing and takes no lock.

    Signs: + tune, -/+ replace, ~ update, - cancel, x delete, = leave, > adopt, . forget.
    """
    from reconciler.cli.planning import make_session_plan, save_plan
    from reconciler.cli.session import open_session, with_limits
    from reconciler.plan import encode_plan
    from reconciler.reconcile import foresee
    from reconciler.renderers.plan_text import render_plan
    from reconciler.renderers.queue_text import encode_queue

    session = replace(with_limits(open_session(manifests)), new_owner=new_owner)
    planned = make_session_plan(session, targets)
    plan = planned.plan
    outlook = foresee(session.effects, session.desired, planned)
    if out is not None:
        save_plan(plan, out)
    if as_json:
        result_json({**encode_plan(plan), "queue": encode_queue(outlook, session.held.state.holds)["queue"]})
    else:
        result(render_plan(plan, style_for(sys.stdout, manifests), outlook))
    if out is not None:
        command_line = style_for(sys.stderr, manifests).command(f"tuneform apply {out}")
        remark(f"\nSaved. To do exactly this, run:\n\n      {command_line}")
    if plan.errored:
        return ExitCode.ERROR
    return ExitCode.CHANGES if detailed_exitcode and plan.has_changes else ExitCode.DONE
