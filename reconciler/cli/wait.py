"""`tuneform wait`: attach to what runs and waits, without changing anything."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.options import manifests_option, max_wait_option


@click.command(name="wait")
@manifests_option
@max_wait_option
def command(manifests: Path, max_wait_s: float | None) -> int:
    """Watch until every running and queued model of the stack has ended. Changes nothing; Ctrl-C only stops watching.

    If models wait in the queue and nobody applies, nothing would ever start: it says so and exits 4.
    """
    from reconciler.cli.waiting import wait_for_stack

    return wait_for_stack(manifests, max_wait_s)
