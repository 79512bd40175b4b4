"""The state together with the version it was read at, so that every write says what it builds on. I/O by the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from reconciler.state.codec import decode_state, encode_state
from reconciler.state.records import State
from reconciler.state.store import StateStore


@dataclass(frozen=True, slots=True)
class Held:
    """A state as it stands in its store. `version` is None while it was never written."""

    state: State
    version: str | None


def load_state(store: StateStore) -> Held | None:
    """The stored state; None when there is none yet. Raises StateError when it cannot be read or trusted."""
    stored = store.read()
    return None if stored is None else Held(decode_state(stored.text, store.where), stored.version)


def save_state(store: StateStore, held: Held, state: State, new_id: Callable[[], str]) -> Held:
    """Writes the state if it differs from what is held, with the next serial and a write id of its own.

    Raises StateConflict when somebody else wrote since; nothing is overwritten then.
    """
    if state == held.state and held.version is not None:
        return held
    state = replace(state, serial=held.state.serial + 1, write_id=new_id())
    return Held(state, store.write(encode_state(state), expected=held.version))
