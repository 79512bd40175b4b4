"""Progress while an apply waits: a table that updates on a terminal, plain timestamped lines elsewhere."""

from __future__ import annotations

import shutil
from typing import TextIO

from reconciler.cli.output import style_for
from reconciler.events import Event, Kind
from reconciler.executor.cycle import Round
from reconciler.model.desired import Desired
from reconciler.renderers.status_text import phase_line, progress_note, render_event, render_progress
from reconciler.status import ModelStatus, Phase, statuses

# A live table taller than this would scroll away; the rest is summed up in one line.
MAX_LIVE_ROWS = 20
_SETTLED = (Phase.SUCCEEDED, Phase.CANCELLED, Phase.NOT_STARTED)


class Progress:
    """Writes what happens to one stream. On a terminal the last lines are a table that is drawn over itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._style = style_for(stream)
        self._live = stream.isatty()
        self._drawn = 0
        self._phases: dict[str, str] = {}
        self._table: list[str] = []

    def report(self, event: Event) -> None:
        """One line for one event, above the table."""
        self._erase()
        self._write(render_event(event, self._style) + "\n")
        self._draw()

    def show(self, desired: Desired, last: Round) -> None:
        """The round as it stands: the table anew, or a line for each phase that changed."""
        reasons = {one.ticket.address: one.why for one in last.deferred}
        found = statuses(desired, last.held.state, last.observation, reasons)
        self._tell_changes(found, last)
        if self._live:
            self._erase()
            self._table = self._rows(found, last)
            self._draw()

    def close(self) -> None:
        """Takes the table away; what stays on the screen are the lines."""
        self._erase()
        self._table = []

    def _tell_changes(self, found: tuple[ModelStatus, ...], last: Round) -> None:
        at = last.observation.at
        for one in found:
            phase = one.phase.value
            before = self._phases.get(one.address)
            self._phases[one.address] = phase
            if phase == before or (before is None and one.phase in _SETTLED):
                continue
            note = progress_note(one, at)
            text = f"{phase}{f' ({note})' if note else ''}"
            job = None if one.job is None else one.job.name
            self.report(Event(at=at, kind=Kind.PHASE, address=one.address, text=text, job=job))

    def _rows(self, found: tuple[ModelStatus, ...], last: Round) -> list[str]:
        size = shutil.get_terminal_size()
        busy = [one for one in found if one.phase not in _SETTLED]
        room = max(1, min(MAX_LIVE_ROWS, size.lines - 4))
        lines = render_progress(busy[:room], last.ledger.view(), last.observation.at, self._style, size.columns - 1)
        return [*lines, f"  {phase_line(found)}"]

    def _erase(self) -> None:
        if self._drawn:
            self._write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    def _draw(self) -> None:
        if self._live and self._table:
            self._write("\n".join(self._table) + "\n")
            self._drawn = len(self._table)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
