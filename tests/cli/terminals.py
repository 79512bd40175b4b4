"""A pseudo-terminal with a process in it, and what its screen would show."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 30.0
_PART = re.compile(r"\x1b\[(?P<count>\d*)(?P<what>[A-Za-z])|(?P<text>[^\x1b])", re.DOTALL)


@dataclass(slots=True)
class Terminal:
    """A process whose standard streams are one terminal; `seen` is everything it wrote there."""

    process: subprocess.Popen[bytes]
    master: int
    seen: str = ""
    _bytes: bytes = field(default=b"", repr=False)

    def until(self, text: str) -> str:
        """Read until the text has come; fails when the process ends or nothing comes for too long."""
        while text not in self.seen:
            assert self._read(), f"{text!r} never came:\n{self.seen}"
        return self.seen

    def type(self, keys: str) -> None:
        """Type these keys."""
        os.write(self.master, keys.encode())

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        return self.process.wait(PATIENCE_S)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], PATIENCE_S)
        try:
            content = os.read(self.master, 65536) if ready else b""
        except OSError:
            # Linux says so when the last process with this terminal is gone.
            content = b""
        self._bytes += content
        self.seen = self._bytes.decode("utf-8", "replace")
        return bool(content)


@contextmanager
def in_terminal(
    words: Sequence[str], *, env: Mapping[str, str], cwd: Path, columns: int = 80, lines: int = 30
) -> Iterator[Terminal]:
    """The command on a terminal of that size; killed at the end if it still runs."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    # A session of its own with the terminal as its own, so that ^C reaches it as a signal.
    process = subprocess.Popen(
        words, stdin=slave, stdout=slave, stderr=slave, env=dict(env), cwd=cwd, preexec_fn=_own_terminal
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def screen(written: str) -> list[str]:
    """The lines that stay when a terminal without a width has shown all of this."""
    lines, row, column = [""], 0, 0
    for part in _PART.finditer(written):
        match part["what"], part["text"]:
            case None, "\n":
                row += 1
                lines += [""] if row == len(lines) else []
            case None, "\r":
                column = 0
            case None, text:
                line = lines[row].ljust(column)
                lines[row] = line[:column] + text + line[column + 1 :]
                column += 1
            case "F", _:
                row, column = max(0, row - int(part["count"] or 1)), 0
            case "J", _:
                lines = [*lines[:row], lines[row][:column]]
    return [line.rstrip() for line in lines]
