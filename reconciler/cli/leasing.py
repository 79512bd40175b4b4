"""Holds the lease for the length of one command: takes it, beats while the command works, gives it back.

Leases count real time, whatever clock a simulator runs on: they protect a document of the real world.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.cli.session import Session, history_store, open_lease_store, place_of, reopened, who
from reconciler.errors import StateError, StateLocked
from reconciler.executor.effects import save
from reconciler.state.chronicle import RunChronicle
from reconciler.state.held import Held
from reconciler.state.history import Entry, EntryKind, read_head
from reconciler.state.lease import (
    HEARTBEAT_S,
    LEASE_TIME,
    HeldLease,
    Lease,
    confirm_lease,
    release_lease,
    renew_lease,
    take_lease,
)
from reconciler.state.store import StateStore
from reconciler.version import __version__

_ASK_AGAIN_S = 2.0
_GIT_TIMEOUT_S = 10


@contextmanager
def leased(session: Session, purpose: str, *, timeout_s: float = 0.0, plan_checksum: str = "") -> Iterator[Session]:
    """The session with the lease held, its state read anew and its epoch raised; `effects.check` asks for the lease.

    Raises StateLocked when somebody else holds it for longer than `timeout_s`.
    """
    store = open_lease_store(session.desired.stack)
    held = _take(store, purpose, timeout_s, session)
    beat = _Heartbeat(store, held)
    beat.start()
    try:
        fresh = reopened(session)
        # From here on every write of a former holder builds on a version that is gone.
        state = replace(fresh.held.state, epoch=fresh.held.state.epoch + 1)
        chronicle = _begun(fresh, purpose, plan_checksum)
        effects = replace(fresh.effects, check=beat.confirm, chronicle=chronicle)
        yield replace(fresh, held=save(effects, fresh.held, state), effects=effects)
    finally:
        beat.stop()


def _begun(session: Session, purpose: str, plan_checksum: str) -> RunChronicle:
    """The history of this run, opened with who, where and from which commit."""
    stack = session.desired.stack
    place = place_of(stack)
    chronicle = RunChronicle(lambda run: history_store(place, run), read_head(session.held.state.history_head))
    facts = {
        "command": purpose,
        "who": who(),
        "host": socket.gethostname(),
        "stack": stack.name,
        "lineage": session.held.state.lineage,
        "version": __version__,
        "plan": plan_checksum,
        "commit": commit_of(Path(stack.source.path).parent),
        "ci": ci_run(os.environ),
    }
    known = {key: value for key, value in facts.items() if value}
    chronicle.add(Entry(kind=EntryKind.RUN_STARTED, at=session.effects.clock.now(), facts=known))
    return chronicle


def finished(session: Session, held: Held, facts: Mapping[str, Any]) -> Held:
    """Closes the run in the history and has the state cover it; `facts` say how it ended."""
    session.effects.chronicle.add(Entry(kind=EntryKind.RUN_ENDED, at=session.effects.clock.now(), facts=facts))
    return save(session.effects, held, held.state)


def ci_run(env: Mapping[str, str]) -> str:
    """The address of the CI run this is part of; empty outside of one."""
    if "GITHUB_RUN_ID" in env:
        repository = f"{env.get('GITHUB_SERVER_URL', '')}/{env.get('GITHUB_REPOSITORY', '')}"
        return f"{repository}/actions/runs/{env['GITHUB_RUN_ID']}"
    return env.get("CI_JOB_URL", "")


def commit_of(folder: Path) -> str:
    """The commit the manifests are at, with `-dirty` where they differ from it; empty outside of a git checkout."""
    import subprocess

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_GIT_TIMEOUT_S)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}-dirty" if commit and git("status", "--porcelain", "--", ".") else commit
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _take(store: StateStore, purpose: str, timeout_s: float, session: Session) -> HeldLease:
    give_up_at = time.monotonic() + timeout_s
    is_local = "://" not in session.desired.stack.state
    told = False
    while True:
        try:
            return take_lease(store, _wish(purpose), is_dead=_is_dead_here if is_local else lambda lease: False)
        except StateLocked as error:
            if time.monotonic() >= give_up_at or session.stop.is_set():
                raise
            if not told:
                sys.stderr.write(f"Waiting: {error.detail.split(';')[0]}.\n")
                told = True
        session.stop.wait(min(_ASK_AGAIN_S, max(0.05, give_up_at - time.monotonic())))


def _wish(purpose: str) -> Lease:
    now = datetime.now(UTC)
    return Lease(
        token=uuid.uuid4().hex,
        who=who(),
        host=socket.gethostname(),
        pid=os.getpid(),
        purpose=purpose,
        since=now,
        heartbeat_at=now,
        expires_at=now + LEASE_TIME,
    )


def _is_dead_here(lease: Lease) -> bool:
    """Whether the holder was a process of this machine that is gone, so that a kill -9 on a desk blocks nobody.

    Asked for local states only: only then do "this machine" and its process numbers surely mean the same for both.
    """
    if lease.host != socket.gethostname() or lease.pid == os.getpid():
        return False
    try:
        os.kill(lease.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class _Heartbeat:
    """A thread that renews the lease while the command works."""

    def __init__(self, store: StateStore, held: HeldLease) -> None:
        self._store = store
        self._held = held
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def confirm(self) -> None:
        """Returns while the lease is ours; raises StateLocked otherwise."""
        with self._lock:
            confirm_lease(self._store, self._held, now=datetime.now(UTC))

    def stop(self) -> None:
        """Stop beating and give the lease back."""
        self._ended.set()
        self._thread.join()
        with self._lock:
            _quietly(lambda: release_lease(self._store, self._held))

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            with self._lock:
                _quietly(self._renew)

    def _renew(self) -> None:
        self._held = renew_lease(self._store, self._held, now=datetime.now(UTC))


def _quietly(act: Callable[[], None]) -> None:
    """Does it, and leaves a failure to `confirm`, which asks the store itself before anything is changed."""
    try:
        act()
    except StateError:
        return
