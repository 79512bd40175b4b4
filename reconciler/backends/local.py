"""Objects in the files of a folder: locked, compared, written beside, made durable, and moved into place.

Touches the file of each key and, for NAME, three more in the folder: `NAME.lock` (held while anything in NAME changes,
never removed), `NAME.backup` (the version before this one) and `NAME.tmp` (a write that has not finished; left over
only by a crash). Names with these endings are taken.
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

from reconciler.backends.document import DocumentStore
from reconciler.errors import StateError
from reconciler.state.store import Blob, Stored, changed_elsewhere

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
_NO_OBJECTS = frozenset({".lock", ".tmp"})


@dataclass(frozen=True, slots=True)
class LocalObjects:
    """Objects in the regular files below a folder. Versions are the sha256 of their bytes."""

    folder: Path

    def where(self, key: str) -> str:
        """The path below the folder as it was given."""
        return str(self.folder / key)

    def get(self, key: str) -> Blob | None:
        """The file's content, or None when there is no such file."""
        path = self.folder / key
        with _explained(path, "read"):
            content = _content(path)
        return None if content is None else Blob(content, _version(content))

    def put(self, key: str, content: bytes, *, expected: str | None) -> str:
        """Replace the file, making the folders above it; see Objects. The old content stays whole whatever happens."""
        path = self.folder / key
        with _explained(path, "written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked(key):
                self._check(key, expected)
                _replace(path, content, mode=_mode(path), temporary=_temporary(path))
        return _version(content)

    def copy(self, key: str, to: str, *, expected: str) -> None:
        """Put a copy with the same permissions in place of whatever is at `to`, which only copies go to."""
        path = self.folder / key
        with _explained(path, "copied"):
            if not path.parent.is_dir():
                raise changed_elsewhere(str(path))
            with self._locked(key):
                content = self._check(key, expected)
                _replace(self.folder / to, content or b"", mode=_mode(path), temporary=_temporary(path))

    def delete(self, key: str) -> None:
        """Remove the file durably, if it is there."""
        path = self.folder / key
        with _explained(path, "removed"):
            if not path.parent.is_dir():
                return
            with self._locked(key):
                path.unlink(missing_ok=True)
                _settle(path.parent)

    def list(self, folder: str) -> tuple[str, ...]:
        """The keys of all regular files below the folder, without locks and unfinished writes."""
        top = self.folder / folder
        with _explained(top, "listed"):
            found = [path for path in top.rglob("*") if path.suffix not in _NO_OBJECTS and path.is_file()]
        return tuple(sorted(path.relative_to(self.folder).as_posix() for path in found))

    def _check(self, key: str, expected: str | None) -> bytes | None:
        """The content, which is the expected one; the lock must be held."""
        current = _content(self.folder / key)
        if (None if current is None else _version(current)) != expected:
            raise changed_elsewhere(self.where(key))
        return current

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """Nobody else writes meanwhile; the kernel lets go of the lock when its holder dies."""
        # One lock for all below a folder, beside it, so that a long history is not half locks.
        top = self.folder / key.split("/")[0]
        descriptor = os.open(top.with_name(f"{top.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class LocalStore:
    """A StateStore in one regular file; the version before is kept on request."""

    path: Path
    keeps_backup: bool = True

    @property
    def where(self) -> str:
        """The path as it was given."""
        return str(self.path)

    def read(self) -> Stored | None:
        """The document, or None when there is no such file."""
        return self._document().read()

    def write(self, text: str, *, expected: str | None) -> str:
        """Replace the document; see DocumentStore."""
        return self._document().write(text, expected=expected)

    def _document(self) -> DocumentStore:
        objects = LocalObjects(self.path.parent)
        return DocumentStore(objects, self.path.name, keeps_backup=self.keeps_backup, is_proven=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp")


def _content(path: Path) -> bytes | None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return None
    # Replacing a link would leave what it points to behind, and two paths to one state would not see each other.
    if not stat.S_ISREG(mode):
        kind = "link" if stat.S_ISLNK(mode) else "folder" if stat.S_ISDIR(mode) else "device"
        raise StateError(
            "The state is not a regular file",
            f"{path} is a {kind}. Name the file itself as `state` in the stack's manifest.",
        )
    return path.read_bytes()


def _replace(target: Path, content: bytes, *, mode: int, temporary: Path) -> None:
    """Put the content in the target's place, all of it or nothing; the lock must be held."""
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    _settle(target.parent)


def _mode(path: Path) -> int:
    """The permissions of the file that is there, which its owner may have chosen."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return _NEW_FILE_MODE


def _settle(folder: Path) -> None:
    """Make a rename survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StateError(
            f"The state cannot be {done}",
            f"{path}: {reason}. {_ADVICE.get(error.errno or 0, _ADVICE_ELSE)}",
        ) from error


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
