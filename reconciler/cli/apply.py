"""`tuneform apply`: do what the plan says, through the quota's queue."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.options import (
    allow_options,
    lock_option,
    manifests_option,
    max_wait_option,
    new_owner_option,
    target_option,
)


@click.command(name="apply")
@click.argument("plan_file", required=False, type=click.Path(path_type=Path, dir_okay=False), metavar="[PLAN]")
@manifests_option
@target_option
@click.option("--auto-approve", is_flag=True, help="Do not ask; cancels and deletes then need --allow-…")
@click.option(
    "--no-wait", is_flag=True, help="One pass: submit what has room, keep the rest queued in the state, exit."
)
@click.option("--strict-once", is_flag=True, help="Halt where a submission was never answered; do not send it again.")
@new_owner_option
@max_wait_option
@lock_option
@click.option("--queued", is_flag=True, help="Plan nothing new: only serve what is queued already.")
@allow_options
def command(
    plan_file: Path | None,
    manifests: Path,
    targets: tuple[str, ...],
    auto_approve: bool,
    no_wait: bool,
    lock_timeout_s: float,
    strict_once: bool,
    new_owner: bool,
    max_wait_s: float | None,
    queued: bool,
    **allowed: int | None,
) -> int:
    """Make live what the manifests declare.

    Shows the plan and asks; then cancels what has to go, and submits what is new as the quota has room, in the order
    of the queue. Waits until every model has ended; with --no-wait it makes one pass and the next run goes on.

    Ctrl-C once stops submitting and exits cleanly, twice exits at once. Neither cancels a job, and nothing is lost.

    With PLAN, a file saved by `plan --out`, it does exactly that or, when the ground has moved, nothing (exit 7).
    """
    from reconciler.cli.applying import Request, apply_command
    from reconciler.safety import Allowed, Kind

    counts = {Kind(name.removeprefix("allow_")): count for name, count in allowed.items() if count is not None}
    return apply_command(
        Request(
            manifests=manifests,
            plan_file=plan_file,
            targets=targets,
            auto_approve=auto_approve,
            wait=not no_wait,
            lock_timeout_s=lock_timeout_s,
            strict_once=strict_once,
            new_owner=new_owner,
            max_wait_s=max_wait_s,
            queued=queued,
            allowed=Allowed(counts),
        )
    )
