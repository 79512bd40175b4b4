"""A folder of manifest files -> desired. The only part of the manifests that reads files; it reads nothing else.

The folder comes from a pull request as often as from its user: no symlink is followed, only regular files are opened,
and nothing is read that is not directly in the folder.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import Diagnostic, ManifestError, Severity, Source
from reconciler.manifest.origin import error
from reconciler.manifest.parse import ManifestFile, parse_manifests
from reconciler.model.desired import Desired
from reconciler.yamldoc import DEFAULT_LIMITS

FILES_MAX_COUNT = 20_000
FILE_MAX_BYTES = DEFAULT_LIMITS.max_bytes
TOTAL_MAX_CHARS = 128 * 1024 * 1024
_LOOK_MAX_FILES = 100
_SUFFIXES = (".yaml", ".yml")
# Without O_NONBLOCK, opening a pipe that nobody writes to would never return.
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_STACK_LINE = re.compile(rb"^kind:\s*[\"']?Stack\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What is in a folder, by name, sorted."""

    files: tuple[str, ...]
    folders: tuple[str, ...]
    symlinks: tuple[str, ...]
    others: tuple[str, ...]


def load_manifests(directory: Path) -> tuple[Desired, tuple[Diagnostic, ...]]:
    """What the *.yaml and *.yml files of a folder say, and warnings about it.

    Raises ManifestError with every problem there is, in files and manifests alike; a missing, empty or unreadable
    folder is one. Reads files.
    """
    with _collector_paused():
        files, found = _read_folder(directory)
        unread = any(one.severity is Severity.ERROR for one in found)
        try:
            desired, more = parse_manifests(files, root=str(directory), complete=not unread)
        except ManifestError as invalid:
            raise ManifestError([*found, *invalid.found]) from None
    if unread:
        raise ManifestError([*found, *more])
    return desired, (*found, *more)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    # Every document makes thousands of objects and no cycle: looking for cycles would take longer than reading.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read_folder(directory: Path) -> tuple[list[ManifestFile], list[Diagnostic]]:
    try:
        with _opened(directory) as folder:
            return _read_opened(directory, folder)
    except OSError as refused:
        return [], [_folder_problem(directory, refused)]


@contextlib.contextmanager
def _opened(name: Path | str, *, within: int | None = None) -> Iterator[int]:
    """A folder's descriptor, so that its name can change afterwards without harm; raises OSError."""
    descriptor = os.open(name, _OPEN_FLAGS | os.O_DIRECTORY, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _folder_problem(directory: Path, refused: OSError) -> Diagnostic:
    if directory.is_symlink():
        detail = f"{directory} is a symbolic link, and none is followed here. Name the folder it points to."
    elif not directory.exists():
        detail = f"There is no folder {directory}. Name another with --manifests DIR, or make one with:"
        return error("folder", "The manifests cannot be read", detail, None, command="tuneform init")
    elif not directory.is_dir():
        detail = f"{directory} is a file. Name the folder it is in."
    else:
        detail = f"{directory} cannot be opened: {refused.strerror}. Check its permissions."
    return error("folder", "The manifests cannot be read", detail, None)


def _read_opened(directory: Path, folder: int) -> tuple[list[ManifestFile], list[Diagnostic]]:
    listing = _list(folder)
    found = _listing_problems(directory, listing)
    if not found and not listing.files:
        return [], [_nothing_here(directory, folder, listing.folders)]
    files: list[ManifestFile] = []
    chars_left = TOTAL_MAX_CHARS
    for name in listing.files[:FILES_MAX_COUNT]:
        read = _read_file(folder, name, str(directory / name))
        if isinstance(read, Diagnostic):
            found.append(read)
            continue
        chars_left -= len(read.text)
        if chars_left < 0:
            detail = f"At most {TOTAL_MAX_CHARS:,} characters are read. Split the stack."
            found.append(error("limit", "The manifests are too large together", detail, Source(read.path, 1, 1)))
            break
        files.append(read)
    found += [_ignored(directory, name) for name in listing.folders if _manifests_below(folder, name)]
    return files, found


def _list(folder: int) -> _Listing:
    files: list[str] = []
    folders: list[str] = []
    symlinks: list[str] = []
    others: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            is_manifest = entry.name.endswith(_SUFFIXES)
            if entry.is_symlink():
                symlinks += [entry.name] if is_manifest or entry.is_dir() else []
            elif entry.is_dir(follow_symlinks=False) and not is_manifest:
                folders.append(entry.name)
            elif is_manifest:
                (files if entry.is_file(follow_symlinks=False) else others).append(entry.name)
    return _Listing(*(tuple(sorted(names)) for names in (files, folders, symlinks, others)))


def _listing_problems(directory: Path, listing: _Listing) -> list[Diagnostic]:
    found = [
        error(
            "symlink",
            "Symbolic links are not followed",
            f"{name} is one. Put the file itself here, or remove the link.",
            Source(str(directory / name), 1, 1),
        )
        for name in listing.symlinks
    ]
    found += [_not_regular(str(directory / name)) for name in listing.others]
    if len(listing.files) > FILES_MAX_COUNT:
        detail = f"There are {len(listing.files):,} files, and at most {FILES_MAX_COUNT:,} are read. Join some of them."
        found.append(error("limit", "Too many manifest files", detail, None))
    return found


def _not_regular(path: str) -> Diagnostic:
    detail = "It has the name of a manifest, but is a folder, a pipe or a device. Rename or remove it."
    return error("file", "Not a regular file", detail, Source(path, 1, 1))


def _nothing_here(directory: Path, folder: int, folders: tuple[str, ...]) -> Diagnostic:
    stacks = [name for name in folders if _holds_stack(folder, name)]
    if not stacks:
        detail = f"{directory} holds no *.yaml or *.yml file. Name another folder with --manifests DIR, or start with:"
        return error("folder", "There are no manifests", detail, None, command="tuneform init")
    shown = ", ".join(str(directory / name) for name in stacks[:20])
    more = f" and {len(stacks) - 20} more" if len(stacks) > 20 else ""
    detail = f"Each of these folders is a stack of its own: {shown}{more}. Name one of them:"
    command = f"tuneform plan --manifests {directory / stacks[0]}"
    return error("folder", "The manifests are in folders of their own", detail, None, command=command)


def _manifests_below(folder: int, name: str) -> tuple[str, ...]:
    """The names of the manifests in a folder below, sorted; none where it cannot be opened."""
    try:
        with _opened(name, within=folder) as below:
            return _list(below).files
    except OSError:
        return ()


def _holds_stack(folder: int, name: str) -> bool:
    """Whether one of the first manifests in a folder below looks like a stack's; only for a better message."""
    try:
        with _opened(name, within=folder) as below:
            reads = (_read_bytes(below, inner) for inner in _list(below).files[:_LOOK_MAX_FILES])
            return any(isinstance(read, bytes) and _STACK_LINE.search(read) for read in reads)
    except OSError:
        return False


def _ignored(directory: Path, name: str) -> Diagnostic:
    return Diagnostic(
        severity=Severity.WARNING,
        rule="manifest-folder-ignored",
        summary="Manifests in a folder below are not read",
        detail="One folder is one stack. Move them up to join this stack, or name their folder with --manifests DIR.",
        source=Source(str(directory / name), 1, 1),
    )


def _read_file(folder: int, name: str, path: str) -> ManifestFile | Diagnostic:
    read = _read_bytes(folder, name)
    if isinstance(read, OSError):
        detail = f"It cannot be read: {read.strerror}. Check its permissions."
        return error("file", "A manifest cannot be read", detail, Source(path, 1, 1))
    if read is None:
        return _not_regular(path)
    if len(read) > FILE_MAX_BYTES:
        detail = f"At most {FILE_MAX_BYTES:,} bytes of a file are read. Split it into several files."
        return error("limit", "The file is too large", detail, Source(path, 1, 1))
    try:
        text = read.decode("utf-8")
    except UnicodeDecodeError as wrong:
        before = read[: wrong.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        detail = f"Byte 0x{read[wrong.start]:02X} is not UTF-8. Save the file in the encoding UTF-8."
        return error("encoding", "Not UTF-8 text", detail, Source(path, before.count(b"\n") + 1, column))
    return ManifestFile(path=path, text=text, sha256=hashlib.sha256(read).hexdigest())


def _read_bytes(folder: int, name: str) -> bytes | OSError | None:
    """The file's bytes, one more than allowed at most; None where it is no regular file."""
    try:
        descriptor = os.open(name, _OPEN_FLAGS, dir_fd=folder)
    except OSError as refused:
        return refused
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(FILE_MAX_BYTES + 1)
    except OSError as refused:
        return refused
    finally:
        os.close(descriptor)
