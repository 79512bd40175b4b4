"""`tuneform state list`, `show` and `pull`: the state as it is, without asking Vertex AI anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import json_option, manifests_option
from reconciler.cli.output import result, result_json
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.state.held import Held


@click.command(name="list")
@manifests_option
@json_option
def list_entries(manifests: Path, as_json: bool) -> int:
    """List every address the state knows, with what is known of it."""
    from reconciler.renderers.state_text import encode_summary, render_summary

    state = _held(manifests).state
    if as_json:
        result_json(encode_summary(state))
    else:
        result(render_summary(state))
    return ExitCode.DONE


@click.command(name="show")
@click.argument("address")
@manifests_option
def show(address: str, manifests: Path) -> int:
    """Show all that is remembered of ADDRESS, as JSON."""
    from reconciler.renderers.state_text import encode_address

    document = encode_address(_held(manifests).state, address)
    if document is None:
        raise UsageError("The state does not know this address", f"Nothing is remembered of {address}.")
    result_json(document)
    return ExitCode.DONE


@click.command(name="pull")
@manifests_option
def pull(manifests: Path) -> int:
    """Print the state's document, to keep, to read, or to edit and push."""
    from reconciler.state.codec import encode_state

    result(encode_state(_held(manifests).state).rstrip("\n"))
    return ExitCode.DONE


def _held(manifests: Path) -> Held:
    from reconciler.cli.session import open_store
    from reconciler.manifest.load import load_manifests
    from reconciler.state.held import load_state

    desired, _ = load_manifests(manifests)
    store = open_store(desired.stack)
    held = load_state(store)
    if held is None:
        raise UsageError("There is no state yet", f"{store.where} does not exist; the first apply writes it.")
    return held
