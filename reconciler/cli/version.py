"""`tuneform version`, for when it comes with options; the bare word is answered before the command line is built."""

from __future__ import annotations

import click

from reconciler.cli.output import result
from reconciler.errors import ExitCode
from reconciler.version import __version__


@click.command(name="version")
def command() -> int:
    """Print the version."""
    result(f"tuneform {__version__}")
    return ExitCode.DONE
