"""`tuneform state`: look into what tuneform remembers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import json_option, manifests_option
from reconciler.cli.output import result, result_json
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.state.records import State


@click.group(name="state", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look into the state: what was done, is being done and waits. Asks Vertex AI nothing."""


@command.command(name="list")
@manifests_option
@json_option
def list_command(manifests: Path, as_json: bool) -> int:
    """List every address the state knows, with what is known of it."""
    from reconciler.renderers.state_text import encode_summary, render_summary

    state = _state(manifests)
    if as_json:
        result_json(encode_summary(state))
    else:
        result(render_summary(state))
    return ExitCode.DONE


@command.command(name="show")
@click.argument("address")
@manifests_option
def show_command(address: str, manifests: Path) -> int:
    """Show all that is remembered of ADDRESS, as JSON."""
    from reconciler.renderers.state_text import encode_address

    document = encode_address(_state(manifests), address)
    if document is None:
        raise UsageError("The state does not know this address", f"Nothing is remembered of {address}.")
    result_json(document)
    return ExitCode.DONE


def _state(manifests: Path) -> State:
    from reconciler.cli.session import open_store
    from reconciler.manifest.load import load_manifests
    from reconciler.state.held import load_state

    desired, _ = load_manifests(manifests)
    store = open_store(desired.stack)
    held = load_state(store)
    if held is None:
        raise UsageError("There is no state yet", f"{store.where} does not exist; the first apply writes it.")
    return held.state
