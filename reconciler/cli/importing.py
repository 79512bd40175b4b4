"""`tuneform import`: take jobs that exist already into the state, so that nothing is tuned for them."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.options import lock_option, manifests_option
from reconciler.errors import UsageError


@click.command(name="import")
@click.argument("address", required=False)
@manifests_option
@click.option("--job", metavar="NAME", help="This very job, by its resource name or the end of it.")
@click.option("--all", "everything", is_flag=True, help="Every declared model for which a job is there.")
@click.option("--take-over", is_flag=True, help="Also jobs that another tuneform state made.")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@lock_option
def command(
    address: str | None,
    manifests: Path,
    job: str | None,
    everything: bool,
    take_over: bool,
    auto_approve: bool,
    lock_timeout_s: float,
) -> int:
    """Let a job that exists already stand for ADDRESS: one made by hand, in the console, or by a state that was lost.

    Finds jobs that ran with exactly the values the manifest declares, succeeded or running. Also confirms what the
    state knows by its labels alone; only then may tuneform cancel or delete it.
    """
    from reconciler.cli.recovering import import_jobs

    if (address is None) == (not everything):
        raise UsageError("Say what to import", "Give one ADDRESS, or --all for every declared model.")
    if job is not None and address is None:
        raise UsageError("A job stands for one address", "Give the ADDRESS with --job.")
    return import_jobs(
        manifests, address, job, take_over=take_over, auto_approve=auto_approve, timeout_s=lock_timeout_s
    )
