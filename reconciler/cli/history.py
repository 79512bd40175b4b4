"""`tuneform history`: who did what, and whether anybody changed the record of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import json_option, manifests_option
from reconciler.cli.output import remark, result, result_json, style_for
from reconciler.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.model.desired import Stack
    from reconciler.state.records import State


@click.group(name="history", invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@manifests_option
@json_option
@click.pass_context
def command(context: click.Context, manifests: Path, as_json: bool) -> int:
    """Show who applied what, when and from which commit, run by run; `history verify` checks that nobody changed it."""
    if context.invoked_subcommand is not None:
        return ExitCode.DONE
    from reconciler.renderers.history_text import encode_runs, render_runs

    runs, _ = _runs(manifests)
    if as_json:
        result_json(encode_runs(runs))
    else:
        result(render_runs(runs, style_for(sys.stdout, manifests)))
    return ExitCode.DONE


@command.command(name="verify")
@manifests_option
@click.option("--expect-head", metavar="HEAD", help="The head an apply printed, from a CI log or a note of yours.")
def verify_command(manifests: Path, expect_head: str | None) -> int:
    """Check the chain of the history: each line holds the digest of the line before it.

    A changed, dropped or swapped line is found, and a cut tail as far as the state covers it. Who can rewrite history
    and state together is found only with --expect-head, a head that was kept elsewhere.
    """
    from reconciler.state.history import read_head, verify

    runs, state = _runs(manifests)
    try:
        expected = read_head(expect_head)
    except ValueError as error:
        raise UsageError("This is not a head", f"{error}. A head looks like 12-<64 hex digits>.") from error
    found = verify(runs, covered=read_head(state.history_head), expected=expected)
    if found.problems:
        listed = "\n".join(f"  {problem}" for problem in found.problems)
        remark(f"The history does not hold:\n{listed}")
        return ExitCode.ERROR
    result(f"The history holds: {found.lines} lines in {found.runs} runs, head {found.head}.")
    if found.unfinished:
        remark(f"The last {found.unfinished} lines are of a run that ended before it wrote the state.")
    if expected is None:
        remark("Whoever can rewrite history and state together could cut its tail unseen; --expect-head tells.")
    return ExitCode.DONE


def _runs(manifests: Path) -> tuple[list[str], State]:
    from reconciler.cli.session import open_store
    from reconciler.manifest.load import load_manifests
    from reconciler.state.held import load_state

    desired, _ = load_manifests(manifests)
    store = open_store(desired.stack)
    held = load_state(store)
    if held is None:
        raise UsageError("There is no state yet", f"{store.where} does not exist; the first apply begins the history.")
    return _documents(desired.stack), held.state


def _documents(stack: Stack) -> list[str]:
    from reconciler.cli.session import history_store, place_of

    place = place_of(stack)

    documents: list[str] = []
    while True:
        stored = history_store(place, len(documents) + 1).read()
        if stored is None:
            return documents
        documents.append(stored.text)
