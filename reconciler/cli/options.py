"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.cli.output import DEFAULT_MANIFESTS

Command = TypeVar("Command", bound=Callable[..., Any])


def manifests_option(command: Command) -> Command:
    """`--manifests DIR`, the folder that is one stack."""
    return click.option(
        "--manifests",
        type=click.Path(path_type=Path),
        default=DEFAULT_MANIFESTS,
        show_default=True,
        metavar="DIR",
        help="The folder of YAML manifests; one folder is one stack.",
    )(command)


def json_option(command: Command) -> Command:
    """`--json`, the versioned document instead of text."""
    return click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON document instead of text.")(
        command
    )


def target_option(command: Command) -> Command:
    """`--target ADDRESS`, repeatable; only `*` and `?` are wildcards, since addresses may hold brackets."""
    return click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="ADDRESS",
        help="Only this address; may be repeated; * and ? are wildcards.",
    )(command)


def max_wait_option(command: Command) -> Command:
    """`--max-wait SECONDS`, after which to stop watching with exit code 4."""
    return click.option(
        "--max-wait",
        "max_wait_s",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Stop waiting after so long (exit 4); jobs go on.",
    )(command)


def new_owner_option(command: Command) -> Command:
    """`--new-owner`, to begin a state beside another owner of the same stack name."""
    return click.option(
        "--new-owner", is_flag=True, help="Begin although live jobs of another owner bear this stack's name."
    )(command)


def lock_option(command: Command) -> Command:
    """`--lock-timeout SECONDS`, how long to wait for another applier."""
    return click.option(
        "--lock-timeout",
        "lock_timeout_s",
        type=click.FloatRange(min=0),
        default=0.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait while somebody else applies.",
    )(command)


def allow_options(command: Command) -> Command:
    """`--allow-cancel N` and its sisters."""
    for kind, what in (
        ("retrain", "tune again"),
        ("forget", "forget"),
        ("delete", "delete"),
        ("cancel", "cancel"),
    ):
        command = click.option(
            f"--allow-{kind}",
            type=click.IntRange(min=0),
            metavar="N",
            help=f"Allow this run to {what} up to N models.",
        )(command)
    return command
