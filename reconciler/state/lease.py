"""One applier at a time: a small document beside the state that says who writes, kept alive by heartbeats.

A lease alone does not protect anything, since Vertex AI knows nothing of it: it may expire while its holder sleeps. So
taking it also writes an epoch into the state, after which the former holder's writes fail, and the executor asks
`confirm` right before each call that changes something. Does I/O through its store; times are the machine's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from reconciler.errors import StateConflict, StateError, StateLocked
from reconciler.state.store import StateStore, Stored

# A killed runner blocks others for no longer than this; a heartbeat every third of it survives two lost ones.
LEASE_TIME = timedelta(seconds=60)
HEARTBEAT_S = LEASE_TIME.total_seconds() / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who may write, and until when. `token` is fresh for every holding; `is_free` once it was given back."""

    token: str
    who: str
    host: str
    pid: int
    purpose: str
    since: datetime
    heartbeat_at: datetime
    expires_at: datetime
    is_free: bool = False


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease that we hold, at the version it was last written."""

    lease: Lease
    version: str


def read_lease(store: StateStore) -> Lease | None:
    """Who holds the state now or held it last; None when nobody ever did. Raises StateError when it is damaged."""
    stored = store.read()
    return None if stored is None else _decode(stored, store.where)


def take_lease(store: StateStore, wish: Lease, *, is_dead: Callable[[Lease], bool] = lambda lease: False) -> HeldLease:
    """Takes the lease if it is free, expired, or its holder is known to be dead; raises StateLocked otherwise.

    `wish` says who we are; its times say from when and until when we want it.
    """
    stored = store.read()
    current = None if stored is None else _decode(stored, store.where)
    if current is not None and not current.is_free and wish.since < current.expires_at and not is_dead(current):
        raise _locked(current, store.where)
    try:
        return HeldLease(wish, store.write(_encode(wish), expected=None if stored is None else stored.version))
    except StateConflict:
        # Somebody took it between our look and our write; they are the holder to name.
        raise _locked(read_lease(store) or wish, store.where) from None


def renew_lease(store: StateStore, held: HeldLease, *, now: datetime) -> HeldLease:
    """The heartbeat: the same lease with a later end. Raises StateLocked when it is no longer ours."""
    lease = replace(held.lease, heartbeat_at=now, expires_at=now + LEASE_TIME)
    try:
        return HeldLease(lease, store.write(_encode(lease), expected=held.version))
    except StateConflict:
        raise _lost(store) from None


def confirm_lease(store: StateStore, held: HeldLease, *, now: datetime) -> None:
    """Returns while the lease is ours and has not run out; raises StateLocked otherwise. Asks the store each time."""
    current = read_lease(store)
    if current is None or current.token != held.lease.token or current.is_free or now >= current.expires_at:
        raise _lost(store)


def release_lease(store: StateStore, held: HeldLease) -> None:
    """Gives the lease back. One that somebody else took meanwhile is left to them."""
    try:
        store.write(_encode(replace(held.lease, is_free=True)), expected=held.version)
    except StateConflict:
        return


def break_lease(store: StateStore, token: str) -> Lease | None:
    """Frees the lease whose token this is, whoever holds it; returns it as it was, None when it is not there any more.

    Its holder can write nothing more: the next taking raises the epoch, and `confirm_lease` fails for it at once.
    """
    stored = store.read()
    current = None if stored is None else _decode(stored, store.where)
    if stored is None or current is None or current.token != token or current.is_free:
        return None
    store.write(_encode(replace(current, is_free=True)), expected=stored.version)
    return current


def _locked(lease: Lease, where: str) -> StateLocked:
    return StateLocked(
        "The state is locked",
        f"{lease.who} on {lease.host} (process {lease.pid}) holds {where} since {_at(lease.since)} for "
        f"{lease.purpose}; last heartbeat {_at(lease.heartbeat_at)}, free at {_at(lease.expires_at)} unless it beats "
        "again. Wait for it (--lock-timeout), or, if you are sure that it is dead:",
        command="tuneform state unlock",
    )


def _lost(store: StateStore) -> StateLocked:
    return StateLocked(
        "The lease was lost",
        f"{store.where} was taken by somebody else, or ran out while this process could not renew it. Nothing more is "
        "submitted from here; jobs go on, and the next apply goes on from what is there.",
        command="tuneform apply",
    )


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


_TIMES = ("since", "heartbeat_at", "expires_at")


def _encode(lease: Lease) -> str:
    document: dict[str, Any] = {"format": 1, **asdict(lease)}
    for key in _TIMES:
        document[key] = document[key].isoformat()
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _decode(stored: Stored, where: str) -> Lease:
    try:
        document = json.loads(stored.text)
        if document.pop("format") != 1:
            raise ValueError("another format")
        return Lease(**{**document, **{key: datetime.fromisoformat(document[key]) for key in _TIMES}})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StateError(
            "The lease cannot be read",
            f"{where} is damaged or was written by another version: {error!r}. If nobody applies right now, remove it.",
        ) from error
