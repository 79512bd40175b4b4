"""`tuneform state`: what tuneform remembers, to read and, with care, to change."""

from __future__ import annotations

import click

from reconciler.cli.state_changing import mv, push, recover, rm, unlock
from reconciler.cli.state_reading import list_entries, pull, show


@click.group(name="state", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look into the state and, with care, change it. No job is ever created, cancelled or deleted by these."""


for _each in (list_entries, show, mv, rm, pull, push, recover, unlock):
    command.add_command(_each)
