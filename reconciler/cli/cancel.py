"""`tuneform cancel ADDRESS`: cancel one running or queued job."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reconciler.cli.options import lock_option, manifests_option


@click.command(name="cancel")
@click.argument("address")
@manifests_option
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@lock_option
def command(address: str, manifests: Path, auto_approve: bool, lock_timeout_s: float) -> int:
    """Cancel the running job of ADDRESS, and take it out of the queue.

    A cancelled job stays cancelled until `tuneform retry ADDRESS`. What only waited comes back with the next apply, as
    long as a manifest declares it.
    """
    from reconciler.cli.applying import Request, confirmed, refuse_unasked
    from reconciler.cli.leasing import finished, leased
    from reconciler.cli.output import remark, result
    from reconciler.cli.progress import Progress
    from reconciler.cli.session import open_session
    from reconciler.errors import ExitCode, StalePlanError, UsageError
    from reconciler.executor.cycle import request_cancel
    from reconciler.executor.effects import save
    from reconciler.reconcile import look
    from reconciler.renderers.text import clean, short
    from reconciler.state.records import Because, Origin
    from reconciler.transitions import adopt_intents

    request = Request(manifests=manifests, auto_approve=auto_approve)
    refuse_unasked(request)
    session = open_session(manifests, report=Progress(sys.stderr).report)
    observation = look(session.effects)
    state = adopt_intents(session.held.state, observation)
    if address in state.intents:
        raise UsageError(
            "It is being submitted", f"A create of {address} was sent and is not listed yet. Try again soon."
        )
    record, ticket = state.records.get(address), state.queue.get(address)
    if record is None and ticket is None:
        raise UsageError("There is nothing to cancel", f"The state knows nothing of {address}. See `tuneform status`.")
    job = None if record is None else observation.by_name().get(record.current.job)
    is_running = job is not None and job.is_active
    if not is_running and ticket is None:
        raise UsageError("There is nothing to cancel", f"The job of {address} has ended and nothing is queued for it.")
    if is_running and record is not None and record.current.origin is Origin.LABEL:
        raise UsageError(
            "This job is known by its labels alone",
            f"{record.current.job} was not made by this state, so it is not cancelled. Cancel it in the console.",
        )
    what = "Drop it from the queue" if job is None or not is_running else f"Cancel {short(job.name)}"
    result(f"{what}: {clean(address)}")
    if not confirmed(request, "What it has cost is lost. Only yes is accepted: "):
        remark("Nothing was done.")
        return ExitCode.ERROR
    with leased(session, "cancel", timeout_s=lock_timeout_s) as holder:
        # What was confirmed is this job; should another stand there by now, nothing is done to it.
        state = adopt_intents(holder.held.state, observation)
        current = state.records.get(address)
        if is_running and (current is None or job is None or current.current.job != job.name):
            raise StalePlanError("Another job stands there by now", f"{address} changed meanwhile; nothing was done.")
        held = save(holder.effects, holder.held, state)
        held = request_cancel(holder.effects, held, address, Because.REQUESTED, is_running=is_running)
        finished(holder, held, {"ended": "cancel requested"})
    return ExitCode.DONE
