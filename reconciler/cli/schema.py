"""`tuneform schema`: the JSON Schema of manifests."""

from __future__ import annotations

import click

from reconciler.cli.output import result_json
from reconciler.errors import ExitCode


@click.command(name="schema")
def command() -> int:
    """Print the JSON Schema of manifests, so that editors complete and check them.

    Save it, and name it in the first line of a manifest:

    \b
      # yaml-language-server: $schema=tuneform.schema.json
    """
    from reconciler.manifest.schema import json_schema

    result_json(json_schema())
    return ExitCode.DONE
