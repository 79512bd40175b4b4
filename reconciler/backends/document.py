"""A text document kept as one object: the state, the lease or a run's history on top of any Objects.

Before the first version of a document is written, the place can be asked to prove that it honours conditions: some
servers that call themselves S3-compatible, and some emulators, take every write.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass

from reconciler.errors import StateConflict, StateError
from reconciler.state.store import Objects, Stored


@dataclass(frozen=True, slots=True)
class DocumentStore:
    """A StateStore in one object. `keeps_backup` keeps the version before each write in an object ending in .backup.

    The backup is a courtesy: a write does not fail for want of it. `is_proven` says that the place needs no proof.
    """

    objects: Objects
    name: str
    keeps_backup: bool = True
    is_proven: bool = False

    @property
    def where(self) -> str:
        """The path or URL of the document."""
        return self.objects.where(self.name)

    def read(self) -> Stored | None:
        """The document, or None when there is none; an object without content is a document without content."""
        blob = self.objects.get(self.name)
        if blob is None:
            return None
        try:
            return Stored(blob.content.decode("utf-8"), blob.version)
        except UnicodeDecodeError as error:
            raise StateError(
                "The state is not text",
                f"{self.where} holds bytes that are not UTF-8, from byte {error.start} on: it is damaged or another "
                f"kind of file. Put back its last good version, {self.objects.where(self._backup)}.",
            ) from error

    def write(self, text: str, *, expected: str | None) -> str:
        """Replace the document atomically and durably; returns the new version.

        `expected` is the version last read, None to create. Raises StateConflict when it is no longer the last one, and
        StateError when the place refuses; either way the old document stays whole.
        """
        if expected is None and not self.is_proven:
            check_conditions(self.objects, self.name)
        if expected is not None and self.keeps_backup:
            # The new version matters more than a copy of the old: it may name a job that nothing else remembers.
            with contextlib.suppress(StateError):
                self.objects.copy(self.name, self._backup, expected=expected)
        return self.objects.put(self.name, text.encode("utf-8"), expected=expected)

    @property
    def _backup(self) -> str:
        return f"{self.name}.backup"


def check_conditions(objects: Objects, name: str) -> None:
    """Returns when the place refuses to create what exists and to replace what has changed; raises StateError if not.

    Writes, and removes again, one small object beside `name`.
    """
    key = f"{name}.probe-{secrets.token_hex(8)}"
    try:
        first = objects.put(key, b"first", expected=None)
        _must_conflict(objects, key, None)
        objects.put(key, b"second", expected=first)
        _must_conflict(objects, key, first)
    finally:
        # What cannot be removed is harmless, and the error that led here says more.
        with contextlib.suppress(StateError):
            objects.delete(key)


def _must_conflict(objects: Objects, key: str, expected: str | None) -> None:
    try:
        objects.put(key, b"third", expected=expected)
    except StateConflict:
        return
    ignored = "create only what does not exist" if expected is None else "replace only the version that was read"
    raise StateError(
        "This store ignores conditions",
        f"It accepted a write to {objects.where(key)} that was to {ignored}. Two runs would overwrite each other's "
        "state there without knowing. Keep the state in Cloud Storage, Amazon S3, Azure Blob Storage, another store "
        "with conditional writes, or a local file.",
    )
