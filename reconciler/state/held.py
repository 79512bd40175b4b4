"""The state together with the version it was read at, so that every write says what it builds on. I/O by the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from reconciler.errors import StateConflict, StateError
from reconciler.state.codec import decode_state, encode_state
from reconciler.state.records import State
from reconciler.state.store import StateStore

_HOLD_TRIES = 20


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


def refreshed(store: StateStore, held: Held) -> Held:
    """What is held, with the holds as they stand now. Holds alone may be changed by anybody at any time.

    Raises StateConflict when anything else was written by somebody else.
    """
    stored = store.read()
    if stored is None or stored.version == held.version:
        return held
    other = decode_state(stored.text, store.where)
    if replace(other, holds=held.state.holds, serial=held.state.serial, write_id=held.state.write_id) != held.state:
        raise StateConflict(
            "The state was changed by somebody else",
            f"{store.where} is not what was read before. Nothing was overwritten. Run the command again.",
        )
    state = replace(held.state, holds=other.holds, serial=other.serial, write_id=other.write_id)
    return Held(state, stored.version)


def save_holds(store: StateStore, change: Callable[[State], State], new_id: Callable[[], str]) -> State:
    """Changes the holds of the stored state, while somebody may be applying; repeated until nobody came between.

    Raises StateError where there is no state, or where others write faster than this can.
    """
    for _ in range(_HOLD_TRIES):
        held = load_state(store)
        if held is None:
            raise StateError("There is no state yet", f"{store.where} does not exist; the first apply writes it.")
        try:
            return save_state(store, held, change(held.state), new_id).state
        except StateConflict:
            continue
    raise StateConflict("The state is busy", f"{store.where} changed again and again. Run the command again.")
