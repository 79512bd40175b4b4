"""`tuneform queue`: who waits, for what and until when; slots held for people."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from pathlib import Path

import click

from reconciler.cli.options import json_option, manifests_option
from reconciler.cli.output import remark, result, result_json, style_for
from reconciler.errors import ExitCode, UsageError


@click.group(name="queue", invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@manifests_option
@json_option
@click.pass_context
def command(context: click.Context, manifests: Path, as_json: bool) -> int:
    """Show who waits at which place, for what, and when each is expected to start and end; who holds the slots now."""
    if context.invoked_subcommand is not None:
        return ExitCode.DONE
    from reconciler.cli.session import open_session, with_limits
    from reconciler.outlook import look_out
    from reconciler.reconcile import look
    from reconciler.renderers.queue_text import encode_queue, render_queue
    from reconciler.transitions import adopt_intents

    session = with_limits(open_session(manifests))
    observation = look(session.effects)
    state = adopt_intents(session.held.state, observation)
    outlook = look_out(session.desired, state, observation, session.effects.rules)
    if as_json:
        result_json(encode_queue(outlook, state.holds))
    else:
        result(render_queue(outlook, state.holds, style_for(sys.stdout, manifests)))
    return ExitCode.DONE


@command.command(name="hold")
@click.option("--slots", type=click.IntRange(min=1), default=1, show_default=True, help="How many to keep free.")
@click.option("--for", "span", required=True, metavar="TIME", help="For how long: 30m, 4h, 2d.")
@click.option("--reason", required=True, help="Why, for those who wait.")
@manifests_option
def hold_command(slots: int, span: str, reason: str, manifests: Path) -> int:
    """Keep slots free for people for a while. Nothing running is cancelled; an apply that runs heeds it at once."""
    from dataclasses import replace

    from reconciler.cli.session import open_session, who
    from reconciler.renderers.text import instant
    from reconciler.state.held import save_holds
    from reconciler.state.records import Hold

    length = _span(span)
    session = open_session(manifests)
    now = session.effects.clock.now()
    one = Hold(slots=slots, until=now + length, reason=reason, by=who())
    save_holds(
        session.effects.store,
        lambda state: replace(state, holds=(*(each for each in state.holds if each.until > now), one)),
        session.effects.new_id,
    )
    remark(f"{slots} slot{'' if slots == 1 else 's'} held until {instant(one.until)}.")
    return ExitCode.DONE


@command.command(name="release")
@manifests_option
def release_command(manifests: Path) -> int:
    """Give all held slots back."""
    from dataclasses import replace

    from reconciler.cli.session import open_session
    from reconciler.state.held import save_holds

    session = open_session(manifests)
    released = len(session.held.state.holds)
    save_holds(session.effects.store, lambda state: replace(state, holds=()), session.effects.new_id)
    remark(f"{released} hold{'' if released == 1 else 's'} released.")
    return ExitCode.DONE


_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9]\d{0,3})([mhd])", text)
    if found is None:
        raise UsageError("This is no length of time", f"{text} is not understood; write 30m, 4h or 2d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
