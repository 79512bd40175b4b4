"""`tuneform status`: each model's job, model, endpoint and experiment."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler.cli.options import json_option, manifests_option
from reconciler.cli.output import result, result_json, style_for
from reconciler.errors import ExitCode


@click.command(name="status")
@manifests_option
@json_option
def command(manifests: Path, as_json: bool) -> int:
    """Show how each model stands: its phase, and the job, model, endpoint and experiment that exist for it.

    Reads state and live jobs; changes nothing. Exits 3 when a wanted model failed.
    """
    from reconciler.cli.session import open_session, with_limits
    from reconciler.outlook import look_out
    from reconciler.reconcile import look
    from reconciler.renderers.queue_text import encode_queue, expected_rows
    from reconciler.renderers.status_json import encode_status
    from reconciler.renderers.status_text import render_status
    from reconciler.status import Phase, statuses
    from reconciler.transitions import adopt_intents

    session = with_limits(open_session(manifests))
    observation = look(session.effects)
    # Seen, not written: a submission whose answer was lost shows as what it became.
    state = adopt_intents(session.held.state, observation)
    outlook = look_out(session.desired, state, observation, session.effects.rules)
    found = statuses(session.desired, state, observation, {row.address: row.why for row in outlook.rows})
    if as_json:
        queue = encode_queue(outlook, state.holds)["queue"]
        result_json({**encode_status(session.desired.stack, state, observation, found), "queue": queue})
    else:
        style = style_for(sys.stdout, manifests)
        expected = expected_rows(outlook, state.queue.keys(), style)
        result("\n\n".join(one for one in (render_status(found, observation.at, style), expected) if one))
    failed = any(one.is_desired and one.phase in (Phase.FAILED, Phase.GONE) for one in found)
    return ExitCode.MODEL_FAILED if failed else ExitCode.DONE
