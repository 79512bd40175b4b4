"""A state in a file: locked, compared, written beside, made durable, and moved into place.

Touches the state file and, in the same folder, three more: `NAME.lock` (held while writing, never removed),
`NAME.backup` (the version before this one) and `NAME.tmp` (a write that has not finished; left over only by a crash).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import StateConflict, StateError
from reconciler.state.store import Stored

# A state names jobs, buckets and people; nobody else on the machine needs to read it unless its owner says so.
_NEW_FILE_MODE = 0o600

_ADVICE: Mapping[int, str] = {
    errno.EACCES: "Give yourself the right to read and write it and its folder, or name another place in the stack.",
    errno.EPERM: "Give yourself the right to read and write it and its folder, or name another place in the stack.",
    errno.EROFS: "Name a place in the stack that can be written to.",
    errno.ENOSPC: "Make room on the disk and run the command again.",
    errno.EDQUOT: "Make room within your disk quota and run the command again.",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f) and run the command again.",
    errno.ENOTDIR: "A file stands where its folder should be; move that file, or name another place in the stack.",
    errno.EEXIST: "A file stands where its folder should be; move that file, or name another place in the stack.",
    errno.ENAMETOOLONG: "Name a shorter path in the stack.",
    errno.ENOLCK: "Its file system cannot lock files. Keep the state on a local disk or in a bucket.",
    errno.ENOTSUP: "Its file system cannot lock files. Keep the state on a local disk or in a bucket.",
}
_ADVICE_ELSE = "See to it and run the command again."


@dataclass(frozen=True, slots=True)
class LocalStore:
    """A StateStore in one regular file. Versions are the sha256 of its bytes; the version before is kept on request."""

    path: Path
    keeps_backup: bool = True

    @property
    def where(self) -> str:
        """The path as it was given."""
        return str(self.path)

    def read(self) -> Stored | None:
        """The document, or None when there is no such file; a file without content is a document without content."""
        with self._explained("read"):
            content = self._content()
        if content is None:
            return None
        try:
            return Stored(content.decode("utf-8"), _version(content))
        except UnicodeDecodeError as error:
            raise StateError(
                "The state is not text",
                f"{self.path} holds bytes that are not UTF-8, from byte {error.start} on: it is damaged or another "
                f"kind of file. Put back its last good version, {self._beside('.backup')}.",
            ) from error

    def write(self, text: str, *, expected: str | None) -> str:
        """Replace the document atomically and durably, keep the version before as backup; returns the new version.

        `expected` is the version last read, None to create. Raises StateConflict when it is no longer the last one, and
        StateError when the disk refuses; either way the old document stays whole.
        """
        content = text.encode("utf-8")
        with self._explained("written"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked():
                current = self._content()
                if (None if current is None else _version(current)) != expected:
                    raise StateConflict(
                        "The state was changed by somebody else",
                        f"{self.path} is not what was read before. Nothing was overwritten. Run the command again.",
                    )
                if current is not None and self.keeps_backup:
                    self._replace(self._beside(".backup"), current)
                self._replace(self.path, content)
        return _version(content)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def _content(self) -> bytes | None:
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return None
        # Replacing a link would leave what it points to behind, and two paths to one state would not see each other.
        if not stat.S_ISREG(mode):
            kind = "link" if stat.S_ISLNK(mode) else "folder" if stat.S_ISDIR(mode) else "device"
            raise StateError(
                "The state is not a regular file",
                f"{self.path} is a {kind}. Name the file itself as `state` in the stack's manifest.",
            )
        return self.path.read_bytes()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else writes meanwhile; the kernel lets go of the lock when its holder dies."""
        descriptor = os.open(self._beside(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _replace(self, target: Path, content: bytes) -> None:
        """Put the content in the target's place, all of it or nothing; the lock must be held."""
        temporary = self._beside(".tmp")
        temporary.unlink(missing_ok=True)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, self._mode())
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        self._settle_folder()

    def _mode(self) -> int:
        """The permissions of the file that is there, which its owner may have chosen."""
        try:
            return stat.S_IMODE(self.path.stat().st_mode)
        except FileNotFoundError:
            return _NEW_FILE_MODE

    def _settle_folder(self) -> None:
        """Make a rename survive a loss of power."""
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise StateError(
                f"The state cannot be {done}",
                f"{self.path}: {reason}. {_ADVICE.get(error.errno or 0, _ADVICE_ELSE)}",
            ) from error


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
