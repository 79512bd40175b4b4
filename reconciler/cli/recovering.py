"""The course of `state recover` and of `import`: look, find, say, write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.cli.applying import Request, confirmed, refuse_unasked
from reconciler.cli.leasing import finished, leased
from reconciler.cli.output import remark, result
from reconciler.cli.session import Session, open_session, open_store
from reconciler.errors import ExitCode, StateError, UsageError
from reconciler.executor.effects import save
from reconciler.manifest.load import load_manifests
from reconciler.model.observation import Observation
from reconciler.reconcile import look
from reconciler.recovery import (
    Import,
    find_confirmations,
    find_imports,
    import_named,
    owners_of,
    recover_state,
    with_imports,
)
from reconciler.renderers.text import clean, columns, plural, short
from reconciler.state.held import Held


def recover_stack(manifests: Path, owner: str | None) -> int:
    """Rebuilds the state of a stack from the labels of its jobs; the exit code."""
    desired, _ = load_manifests(manifests)
    store = open_store(desired.stack)
    if store.read() is not None:
        raise StateError(
            "A state is there",
            f"{store.where} exists and is not overwritten. If it is damaged, move it away first, and keep it.",
        )
    session = open_session(manifests)
    observation = _complete_look(session)
    owners = owners_of(desired.stack.name, observation.jobs)
    chosen = _chosen_owner(owners, owner, desired.stack.name)
    state = recover_state(
        desired.stack, session.held.state.endpoint, chosen, desired, observation.jobs, now=observation.at
    )
    # The lease writes the state it was opened with, so that is what has to be recovered.
    session = replace(session, held=Held(state, None))
    with leased(session, "state recover") as holder:
        finished(holder, holder.held, {"ended": "recovered", "records": len(state.records)})
    jobs = sum(len(record.attempts) for record in state.records.values())
    remark(
        f"Recovered lineage {chosen}: {plural(len(state.records), 'address', 'addresses')} with {plural(jobs, 'job')}, "
        "known by their labels alone. See `tuneform plan`; `tuneform import --all` confirms them."
    )
    return ExitCode.DONE


def _chosen_owner(owners: dict[str, int], asked: str | None, stack: str) -> str:
    if asked is not None and asked not in owners:
        raise UsageError("This owner has no jobs here", f"No live job of stack {stack} bears owner {asked}.")
    if asked is not None:
        return asked
    if not owners:
        raise UsageError("There is nothing to recover", f"No live job bears the stack name {stack}.")
    if len(owners) > 1:
        listed = "\n".join(f"  {owner}: {plural(count, 'job')}" for owner, count in owners.items())
        raise UsageError(
            "Several owners used this stack name",
            f"Say which one was this stack:\n{clean_lines(listed)}",
            command=f"tuneform state recover --owner {next(iter(owners))}",
        )
    return next(iter(owners))


def clean_lines(text: str) -> str:
    """The text cleaned line by line, its line ends kept."""
    return "\n".join(clean(line) for line in text.splitlines())


def _complete_look(session: Session) -> Observation:
    """A look at all locations; a state made from half a look would forget jobs, and forgotten jobs are tuned again."""
    observation = look(session.effects)
    if observation.unread:
        listed = "\n".join(f"  {location}: {why}" for location, why in sorted(observation.unread.items()))
        raise StateError("Not every location could be read", f"Nothing was written. Unread:\n{listed}")
    return observation


def import_jobs(
    manifests: Path, address: str | None, job: str | None, *, take_over: bool, auto_approve: bool, timeout_s: float
) -> int:
    """Takes existing jobs into the state; the exit code."""
    request = Request(manifests=manifests, auto_approve=auto_approve)
    refuse_unasked(request)
    session = open_session(manifests)
    found = _found(session, address, job, take_over=take_over)
    if not found:
        remark("Nothing to import: no unrecorded job matches what is declared.")
        return ExitCode.DONE
    rows = [[clean(one.address), "confirm" if one.confirms else "import", clean(one.job.name)] for one in found]
    result("\n".join(columns(rows)))
    if not confirmed(request, "Let these jobs stand for these addresses? Only yes is accepted: "):
        remark("Nothing was done.")
        return ExitCode.ERROR
    with leased(session, "import", timeout_s=timeout_s) as holder:
        agreed = {(one.address, one.job.name) for one in found}
        fresh = _found(holder, address, job, take_over=take_over)
        kept = tuple(one for one in fresh if (one.address, one.job.name) in agreed)
        state = with_imports(holder.held.state, kept, holder.desired.by_address(), now=holder.effects.clock.now())
        held = save(holder.effects, holder.held, state)
        told = {one.address: one.job.name for one in kept}
        finished(holder, held, {"ended": "imported", "jobs": told})
    for one in kept:
        remark(f"{clean(one.address)} is now {short(one.job.name)}.")
    made_elsewhere = [one for one in kept if one.job.owner not in (None, session.held.state.lineage)]
    for one in made_elsewhere:
        remark(
            f"{clean(one.address)} was made by stack {clean(one.job.stack)}. Remove it from that state too "
            "(`tuneform state rm` there): an apply of that stack may cancel its job otherwise."
        )
    return ExitCode.DONE


def _found(session: Session, address: str | None, job: str | None, *, take_over: bool) -> tuple[Import, ...]:
    observation = _complete_look(session)
    jobs = observation.by_name()
    wanted = session.desired.by_address()
    confirmations = () if job is not None else find_confirmations(session.held.state, jobs, address)
    if address is not None and address not in wanted:
        if confirmations:
            return confirmations
        raise UsageError(
            "No manifest declares this address", f"{address} is not declared, so nothing can stand for it."
        )
    models = session.desired.models if address is None else (wanted[address],)
    if job is not None:
        return (import_named(models[0], session.held.state, jobs, job, session.effects.defaults(models[0])),)
    defaults = session.effects.defaults
    return confirmations + find_imports(models, session.held.state, jobs, take_over=take_over, defaults=defaults)
