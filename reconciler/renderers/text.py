"""Words, colours and columns for a terminal. Pure: values in, text out.

Every string that came from outside goes through `clean`, so that no name in a manifest or on a job can move the cursor,
change the colour or reverse the reading order of what a person is asked to approve.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ZERO_WIDTH = frozenset("\u200b\u200c\u200d\u2060\ufeff")
# In a group, so that splitting keeps the codes.
_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")


def clean(text: object) -> str:
    """The text with control, bidi and zero-width characters written out as `\\u202e`, so that they can be seen."""
    raw = str(text)
    if raw.isascii() and raw.isprintable():
        return raw
    return "".join(_visible(one) for one in raw)


def _visible(one: str) -> str:
    if one in _BIDI or one in _ZERO_WIDTH or unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return f"\\u{ord(one):04x}" if ord(one) <= 0xFFFF else f"\\U{ord(one):08x}"
    return one


@dataclass(frozen=True, slots=True)
class Style:
    """How text is dressed: ANSI colour or not, the columns of the terminal, and what a command to copy needs.

    `width` is None where nothing may be wrapped or cut: in pipes and files.
    """

    colour: bool = False
    options: str = ""
    width: int | None = None

    def fits(self, line: str) -> bool:
        """Whether the line stays on one row of the terminal."""
        return self.width is None or visible_len(line) <= self.width

    def wrap(self, text: str, taken: int = 0) -> list[str]:
        """The text in lines that fit beside `taken` columns, broken at spaces; its own indent is kept on every line."""
        if self.width is None or visible_len(text) + taken <= self.width:
            return [text]
        words = text.lstrip(" ")
        indent = text[: len(text) - len(words)]
        lines: list[str] = []
        for word in words.split(" "):
            if lines and visible_len(f"{lines[-1]} {word}") + taken <= self.width:
                lines[-1] += f" {word}"
            else:
                lines.append(indent + word)
        return lines

    def name(self, name: str, taken: int) -> str:
        """A resource name; where it does not fit beside `taken` columns, … stands for its first segments."""
        rest = name
        while self.width is not None and "/" in rest and visible_len(_elided(rest, name)) + taken > self.width:
            rest = rest.partition("/")[2]
        return _elided(rest, name)

    def command(self, command: str) -> str:
        """The command to copy, complete."""
        return f"{clean(command)}{self.options}" if command.startswith("tuneform ") else clean(command)

    def paint(self, code: str, text: str) -> str:
        """The text in an SGR style such as "1" (bold) or "32" (green)."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def bold(self, text: str) -> str:
        """Bold."""
        return self.paint("1", text)

    def dim(self, text: str) -> str:
        """Dim."""
        return self.paint("2", text)

    def green(self, text: str) -> str:
        """Green, for what is made."""
        return self.paint("32", text)

    def yellow(self, text: str) -> str:
        """Yellow, for what is worth a look."""
        return self.paint("33", text)

    def red(self, text: str) -> str:
        """Red, for what ends or failed."""
        return self.paint("31", text)

    def cyan(self, text: str) -> str:
        """Cyan, for what is taken over."""
        return self.paint("36", text)


def _elided(rest: str, name: str) -> str:
    return name if rest == name else f"…/{rest}"


def columns(rows: Sequence[Sequence[str]], *, gap: str = "  ", indent: str = "") -> list[str]:
    """The rows as aligned lines; the last column is left ragged. Widths ignore colour codes."""
    if not rows:
        return []
    count = max(len(row) for row in rows)
    widths = [max((visible_len(row[at]) for row in rows if at < len(row)), default=0) for at in range(count)]
    lines = []
    for row in rows:
        cells = [cell + " " * (widths[at] - visible_len(cell)) for at, cell in enumerate(row[:-1])]
        lines.append((indent + gap.join([*cells, row[-1]])).rstrip() if row else "")
    return lines


def visible_len(text: str) -> int:
    """How many columns of the screen the text takes; colour codes take none, wide characters two, accents none."""
    if text.isascii() and "\x1b" not in text:
        return len(text)
    return sum(_columns_of(one) for one in _COLOUR.sub("", text))


def cut(line: str, width: int) -> str:
    """The line in at most `width` columns, ending in … where something is missing, its colour closed."""
    if visible_len(line) <= width:
        return line
    kept: list[str] = []
    room = width - 1
    for part in _COLOUR.split(line):
        for one in part:
            room -= 0 if part.startswith("\x1b") else _columns_of(one)
            if room < 0:
                return "".join([*kept, "…", "\x1b[0m" if "\x1b" in line else ""])
            kept.append(one)
    return line


def _columns_of(one: str) -> int:
    if unicodedata.combining(one):
        return 0
    return 2 if unicodedata.east_asian_width(one) in "WF" else 1


def plural(count: int, word: str, many: str | None = None) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count} {word if count == 1 else many or word + 's'}"


def duration(span: timedelta) -> str:
    """`45 s`, `12 min`, `3 h 10 min`, `2 d 4 h`; a negative span reads as `0 s`."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def instant(at: datetime) -> str:
    """`2026-11-20 18:30:05 UTC`."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def short(name: str) -> str:
    """`tuningJobs/123` for a full resource name."""
    return clean("/".join(name.split("/")[-2:]))
