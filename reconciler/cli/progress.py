"""Progress while an apply waits: a table that updates on a terminal, plain timestamped lines elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from reconciler.cli.output import can_move_cursor, style_for, terminal_size
from reconciler.events import Event
from reconciler.executor.cycle import Round
from reconciler.model.desired import Desired
from reconciler.renderers.status_text import SETTLED, phase_event, render_event, render_progress
from reconciler.renderers.text import Style
from reconciler.status import ModelStatus, Phase, statuses

# A live table taller than this would scroll away; what it leaves out is counted in its last line.
MAX_LIVE_ROWS = 20
# Lines of the screen that are not rows of the table: its first and last, the cursor's, and one to tell what it was.
_OTHER_LINES = 4
_FAILED = frozenset({Phase.FAILED, Phase.GONE})
# Another event says it (submitting), or the table does while it lasts.
_SHOWN_BY_TABLE = frozenset({Phase.SUBMITTING, Phase.QUEUED, Phase.PENDING})


class Progress:
    """Writes what happens to one stream. On a terminal the last lines are a table that is drawn over itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = can_move_cursor(stream)
        self._drawn = 0
        self._phases: dict[str, Phase] = {}
        self._table: Sequence[str] = ()

    def report(self, event: Event) -> None:
        """One line for one event, above the table."""
        self._write([render_event(event, self._style())])

    def show(self, desired: Desired, last: Round) -> None:
        """The round as it stands: a line for each phase that changed, and the table anew."""
        reasons = {one.ticket.address: one.why for one in last.deferred}
        found = statuses(desired, last.held.state, last.observation, reasons)
        changed = [one for one in found if self._is_news(one)]
        self._phases = {one.address: one.phase for one in found}
        if self._live:
            room = max(1, min(MAX_LIVE_ROWS, terminal_size(self._stream).lines - _OTHER_LINES))
            self._table = render_progress(found, last.ledger.view(), last.observation.at, self._style(), rows=room)
        at = last.observation.at
        self._write([render_event(phase_event(one, at), self._style()) for one in changed])

    def close(self) -> None:
        """Takes the table away; what stays on the screen are the lines."""
        self._table = ()
        self._write([])

    def interject(self, text: str) -> None:
        """A line in place of the table, which comes back with the next round. For signal handlers.

        It goes around the stream's buffer, which may be in use when the signal comes and would not stand a second user.
        """
        # Also where no table is drawn: the terminal has put ^C there.
        erase = "\r\x1b[J" if self._live else ""
        erase += f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        self._drawn = 0
        os.write(self._stream.fileno(), f"{erase}{text}\n".encode())

    def _is_news(self, one: ModelStatus) -> bool:
        before = self._phases.get(one.address)
        if one.phase is before or (before is None and one.phase in SETTLED | _FAILED):
            return False
        return one.phase is not Phase.SUBMITTING and not (self._live and one.phase in _SHOWN_BY_TABLE)

    def _style(self) -> Style:
        style = style_for(self._stream)
        # The last column stays free: some terminals wrap as soon as it is written.
        return style if style.width is None else replace(style, width=style.width - 1)

    def _write(self, lines: Sequence[str]) -> None:
        """The old table away, the lines, the table: in one write, so that nothing flickers."""
        erase = f"\x1b[{self._drawn}F\x1b[J" if self._drawn else ""
        self._drawn = len(self._table)
        self._stream.write(erase + "".join(f"{line}\n" for line in (*lines, *self._table)))
        self._stream.flush()
