"""The course of a wait: look, show, sleep, until nothing runs or waits any more."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.cli.output import remark, result, style_for
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, open_lease_store, open_session, reopened, stop_on_signals, with_limits
from reconciler.errors import ExitCode
from reconciler.executor.cycle import Round, watched_locations
from reconciler.executor.loop import POLL_INTERVAL_S, has_work_left
from reconciler.providers.observe import observe
from reconciler.quota import take_ledger
from reconciler.reconcile import look
from reconciler.renderers.status_text import render_status
from reconciler.state.lease import read_lease
from reconciler.status import Phase, statuses
from reconciler.transitions import adopt_intents


def wait_for_stack(manifests: Path, max_wait_s: float | None) -> int:
    """Watches a stack; the exit code."""
    progress = Progress(sys.stderr)
    session = with_limits(open_session(manifests))
    stop_on_signals(session.stop, progress.interject)
    until = None if max_wait_s is None else session.effects.clock.now() + timedelta(seconds=max_wait_s)
    last = _look(session, None)
    while True:
        progress.show(session.desired, last)
        scope = frozenset(last.held.state.records) | frozenset(last.held.state.queue)
        if not has_work_left(last, scope):
            break
        if last.held.state.queue and not _somebody_applies(session):
            progress.close()
            remark("Models wait in the queue and nobody applies. To serve it, run:\n")
            remark(f"      {style_for(sys.stderr, manifests).command('tuneform apply --queued')}")
            return ExitCode.WORK_LEFT
        if session.stop.is_set() or (until is not None and session.effects.clock.now() >= until):
            progress.close()
            return ExitCode.WORK_LEFT
        session.effects.clock.sleep(POLL_INTERVAL_S)
        session = reopened(session)
        last = _look(session, last)
    progress.close()
    found = statuses(session.desired, last.held.state, last.observation)
    result(render_status(found, last.observation.at, style_for(sys.stdout, manifests)))
    failed = any(one.is_desired and one.phase in (Phase.FAILED, Phase.GONE) for one in found)
    return ExitCode.MODEL_FAILED if failed else ExitCode.DONE


def _look(session: Session, before: Round | None) -> Round:
    """What is there now, as a round of an apply that does nothing."""
    effects, held = session.effects, session.held
    if before is None:
        observation = look(effects)
    else:
        watched = watched_locations(held.state, before.observation) or (session.desired.stack.location,)
        observation = before.observation.updated(observe(effects.provider, watched, now=effects.clock.now()))
    seen = replace(held, state=adopt_intents(held.state, observation))
    return Round(
        held=seen,
        observation=observation,
        ledger=take_ledger(session.desired.stack.quota, seen.state, observation, effects.rules),
        given_up={},
    )


def _somebody_applies(session: Session) -> bool:
    lease = read_lease(open_lease_store(session.desired.stack))
    return lease is not None and not lease.is_free and datetime.now(UTC) < lease.expires_at
