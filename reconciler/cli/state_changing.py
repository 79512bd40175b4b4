"""`tuneform state mv`, `rm`, `push`, `recover` and `unlock`: changes to what is remembered, under the lease."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import lock_option, manifests_option
from reconciler.cli.output import remark
from reconciler.errors import ExitCode, StateError, UsageError

if TYPE_CHECKING:
    from reconciler.model.desired import Stack
    from reconciler.state.records import State
    from reconciler.state.store import StateStore, Stored


@click.command(name="mv")
@click.argument("old")
@click.argument("new")
@manifests_option
@lock_option
def mv(old: str, new: str, manifests: Path, lock_timeout_s: float) -> int:
    """Let the record of OLD stand for NEW: a manifest that was renamed and edited keeps its model."""
    from reconciler.recovery import renamed

    _change(manifests, f"state mv {old} {new}", lock_timeout_s, lambda state, _: renamed(state, old, new))
    remark(f"{old} is now {new}.")
    return ExitCode.DONE


@click.command(name="rm")
@click.argument("address")
@manifests_option
@lock_option
def rm(address: str, manifests: Path, lock_timeout_s: float) -> int:
    """Forget ADDRESS altogether. Its job and model are not touched, and its queued ticket is dropped.

    If a manifest still declares it, the next plan looks for its job by its labels and adopts it.
    """
    from reconciler.recovery import removed

    _change(manifests, f"state rm {address}", lock_timeout_s, lambda state, _: removed(state, address))
    remark(f"{address} is forgotten.")
    return ExitCode.DONE


@click.command(name="push")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@manifests_option
@lock_option
def push(file: Path, manifests: Path, lock_timeout_s: float) -> int:
    """Replace the state by the document in FILE, as `state pull` printed it and you edited it.

    Refused when it is of another lineage or older than what is stored.
    """
    from dataclasses import replace

    from reconciler.cli.session import open_store
    from reconciler.state.codec import decode_state

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("The file cannot be read", f"{file}: {error}.") from error
    pushed = decode_state(text, str(file), accept_edits=True)

    def take(state: State, serial: int) -> State:
        _refuse_other(pushed, state, file)
        if pushed.serial < serial:
            raise StateError(
                "The file is older than the state",
                f"{file} has serial {pushed.serial}, and the state has moved on to {serial} since. Pull it again and "
                "repeat your edit.",
                command="tuneform state pull",
            )
        return replace(pushed, serial=state.serial, epoch=state.epoch, history_head=state.history_head)

    def open_edited(stack: Stack) -> StateStore:
        return _Edited(open_store(stack))

    _change(manifests, f"state push {file.name}", lock_timeout_s, take, open_edited)
    remark(f"{file} is the state now.")
    return ExitCode.DONE


def _refuse_other(pushed: State, state: State, file: Path) -> None:
    """Raises StateError for a document about other jobs, or one that the stack could not read again."""
    for what in ("lineage", "stack", "project", "endpoint"):
        theirs, ours = getattr(pushed, what), getattr(state, what)
        if theirs != ours:
            raise StateError(
                f"The file belongs to another {what}",
                f"{file} is of {what} {theirs}, and the state of {ours}. They describe other jobs.",
            )


@dataclass(frozen=True, slots=True)
class _Edited:
    """A store whose document may have been edited where it lies: it is read as if its digest fitted.

    Only for who is about to replace it with what its owner has looked at.
    """

    inner: StateStore

    @property
    def where(self) -> str:
        return self.inner.where

    def read(self) -> Stored | None:
        from reconciler.state.codec import decode_state, encode_state
        from reconciler.state.store import Stored

        stored = self.inner.read()
        if stored is None:
            return None
        return Stored(encode_state(decode_state(stored.text, self.where, accept_edits=True)), stored.version)

    def write(self, text: str, *, expected: str | None) -> str:
        return self.inner.write(text, expected=expected)


@click.command(name="recover")
@click.option("--owner", metavar="LINEAGE", help="Which owner's jobs, where several used the stack's name.")
@manifests_option
def recover(owner: str | None, manifests: Path) -> int:
    """Rebuild a lost state from the labels of the live jobs, all past attempts counted: nothing is tuned again.

    Takes the lineage back that the labels name. Refused while a state is there. What it finds is known by labels
    alone, so nothing of it is cancelled or deleted until `tuneform import` confirms it.
    """
    from reconciler.cli.recovering import recover_stack

    return recover_stack(manifests, owner)


@click.command(name="unlock")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@manifests_option
def unlock(auto_approve: bool, manifests: Path) -> int:
    """Free the lease of an applier that is dead. One that still lives can submit nothing more after this."""
    from reconciler.cli.applying import Request, confirmed, refuse_unasked
    from reconciler.cli.output import result
    from reconciler.cli.session import open_lease_store
    from reconciler.manifest.load import load_manifests
    from reconciler.renderers.text import clean, instant
    from reconciler.state.lease import break_lease, read_lease

    request = Request(manifests=manifests, auto_approve=auto_approve)
    refuse_unasked(request)
    desired, _ = load_manifests(manifests)
    store = open_lease_store(desired.stack)
    lease = read_lease(store)
    if lease is None or lease.is_free:
        remark("Nobody holds the lease.")
        return ExitCode.DONE
    result(
        f"{clean(lease.who)} on {clean(lease.host)} (process {lease.pid}) holds it for {clean(lease.purpose)} since "
        f"{instant(lease.since)}; last heartbeat {instant(lease.heartbeat_at)}, free at {instant(lease.expires_at)}."
    )
    if not confirmed(request, "Free it? Only yes is accepted: "):
        remark("Nothing was done.")
        return ExitCode.ERROR
    freed = break_lease(store, lease.token)
    remark("Freed." if freed is not None else "It was given back meanwhile.")
    return ExitCode.DONE


def _change(
    manifests: Path,
    purpose: str,
    lock_timeout_s: float,
    change: Callable[[State, int], State],
    open_state: Callable[[Stack], StateStore] | None = None,
) -> None:
    """Writes what `change` makes of the state and of the serial it had before the lease was taken."""
    from reconciler.cli.leasing import finished, leased
    from reconciler.cli.session import open_session
    from reconciler.executor.effects import save

    session = open_session(manifests, open_state=open_state)
    if session.held.version is None:
        raise UsageError("There is no state yet", f"{session.effects.store.where} does not exist.")
    # What cannot be is told before the lease is taken and the history says that something was begun.
    change(session.held.state, session.held.state.serial)
    with leased(session, purpose, timeout_s=lock_timeout_s) as holder:
        state = holder.held.state
        # Taking the lease was one write.
        held = save(holder.effects, holder.held, change(state, state.serial - 1))
        finished(holder, held, {"ended": "done"})
