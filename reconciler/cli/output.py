"""Where results and remarks go: results to stdout, everything else to stderr; colour only where it is wanted."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any, TextIO

from reconciler.renderers.text import Style

DEFAULT_MANIFESTS = Path("manifests")


def style_for(stream: TextIO, manifests: Path | None = None) -> Style:
    """Colour on a terminal, unless NO_COLOR is set; FORCE_COLOR turns it on anywhere. Only a terminal has a width.

    `manifests` is the folder in use, which the commands in messages then name too. Source: https://no-color.org.
    """
    options = "" if manifests in (None, DEFAULT_MANIFESTS) else f" --manifests {shlex.quote(str(manifests))}"
    width = terminal_size(stream).columns if stream.isatty() else None
    return Style(colour=_wants_colour(stream), options=options, width=width)


def terminal_size(stream: TextIO) -> os.terminal_size:
    """Columns and lines of the terminal behind the stream; 80 and 24 where it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    return os.terminal_size((size.columns or 80, size.lines or 24))


def can_move_cursor(stream: TextIO) -> bool:
    """Whether lines that were written can be drawn over."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _wants_colour(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return can_move_cursor(stream)


def result(text: str) -> None:
    """A result, to stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def result_json(document: Any) -> None:
    """A JSON document, to stdout; characters that could fool a terminal are escaped."""
    result(json.dumps(document, indent=2, ensure_ascii=True))


def remark(text: str) -> None:
    """Anything that is not the result, to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
