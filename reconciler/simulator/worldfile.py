"""Where a world lives between requests: in memory, or in a JSON file that several processes share.

The file is replaced as a whole, under a lock in `<file>.lock`, and read again when another process has replaced it.
It is written only when something changed, or when an hour of simulated time has passed unrecorded.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeAlias

from reconciler.errors import TuneformError
from reconciler.simulator.world import World, decode_world, encode_world

# Without this, a process that only reads would look idle to the next one that opens the world.
_UNRECORDED_MAX = timedelta(hours=1)

_Signature: TypeAlias = tuple[int, int, int]


class WorldStore(Protocol):
    """Gives out the world for one request at a time."""

    def session(self) -> AbstractContextManager[World]:
        """The world, for this request alone; what was changed is kept unless the request raises."""


class MemoryWorld:
    """A world that ends with the process."""

    def __init__(self, world: World) -> None:
        self._world = world

    @contextmanager
    def session(self) -> Iterator[World]:
        """The world."""
        yield self._world


class FileWorld:
    """A world in a file, made by `create` where there is none. `real_now` is the machine's time, for the next opening.

    Raises TuneformError where the file or its folder cannot be read or written, or is no world.
    """

    def __init__(self, path: Path, create: Callable[[], World], real_now: Callable[[], datetime]) -> None:
        self._path = path
        self._create = create
        self._real_now = real_now
        self._seen: tuple[World, _Signature | None, int, datetime] | None = None

    @contextmanager
    def session(self) -> Iterator[World]:
        """The world as it is in the file by now, locked against every other process."""
        with self._locked():
            world, signature, revision, at = self._current()
            # Forgotten until the request is through: a half-done change must not be seen by the next one.
            self._seen = None
            yield world
            if signature is None or world.revision != revision or world.at - at >= _UNRECORDED_MAX:
                signature, revision, at = self._save(world), world.revision, world.at
            self._seen = (world, signature, revision, at)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            # Closing the file gives the lock back.
            os.close(lock)

    def _current(self) -> tuple[World, _Signature | None, int, datetime]:
        signature = self._signature()
        if self._seen is not None and signature is not None and self._seen[1] == signature:
            return self._seen
        world = self._create() if signature is None else self._load()
        return world, signature, world.revision, world.at

    def _signature(self) -> _Signature | None:
        """What changes when the file is replaced; None where there is none."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _load(self) -> World:
        try:
            return decode_world(json.loads(self._path.read_bytes()))
        except OSError as error:
            raise self._unusable(error) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, TuneformError) as error:
            raise TuneformError(
                "The simulator's world file cannot be read as a world",
                f"{self._path} is damaged, or was written by another version ({type(error).__name__}: {error}). It "
                "holds a simulation only, nothing real: delete it, and the next command begins a new world.",
                command=f"rm {shlex.quote(str(self._path))}",
            ) from None

    def _save(self, world: World) -> _Signature | None:
        world.real_at = self._real_now()
        temporary = Path(f"{self._path}.tmp")
        try:
            # No fsync: losing a simulation to a power cut costs nothing.
            temporary.write_text(json.dumps(encode_world(world), separators=(",", ":")))
            os.replace(temporary, self._path)
        except OSError as error:
            raise self._unusable(error) from None
        return self._signature()

    def _unusable(self, error: OSError) -> TuneformError:
        return TuneformError(
            "The simulator's world file cannot be used",
            f"{self._path}: {error.strerror or error}. Choose another path, or see to its permissions.",
        )
