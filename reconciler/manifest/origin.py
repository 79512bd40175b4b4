"""Where a value of a manifest stands in its file, although the stack's defaults and a sweep's matrix were merged in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.errors import Diagnostic, Severity, Source
from reconciler.yamldoc import Document, Path

LABELS: Path = ("metadata", "labels")


@dataclass(frozen=True, slots=True)
class Origin:
    """The document a value was written in, and the stack whose defaults stand under it.

    `spec` is where the document's TunedModel spec stands. `items` says, for a value that a matrix put in, which item
    of the matrix it is.
    """

    document: Document
    stack: Document | None = None
    spec: Path = ("spec",)
    items: Mapping[Path, Path] = field(default_factory=dict)

    def source_of(self, path: Path = ()) -> Source:
        """The place of a value; of the nearest thing around it where it was not written at all."""
        positions = self.document.positions
        path = self.items.get(path, path)
        if self.stack is not None and path not in positions:
            there = self.stack.positions.get(self._in_defaults(path))
            if there is not None:
                return Source(self.stack.path, *there)
        while path not in positions:
            path = path[:-1]
        return Source(self.document.path, *positions[path])

    def is_default(self, path: Path) -> bool:
        """Whether the value was written in the stack's defaults only, where it is judged already."""
        if self.stack is None or path in self.items or path in self.document.positions:
            return False
        return self._in_defaults(path) in self.stack.positions

    def _in_defaults(self, path: Path) -> Path:
        if path[:2] == LABELS:
            return ("spec", "defaults", "labels", *path[2:])
        if path[: len(self.spec)] == self.spec:
            return ("spec", "defaults", *path[len(self.spec) :])
        # Not a place in any document: what is not part of a model's spec has no default.
        return ("", *path)


def error(rule: str, summary: str, detail: str, source: Source | None, *, command: str | None = None) -> Diagnostic:
    """An error; `rule` without its family, which is the same for all manifests."""
    return Diagnostic(
        severity=Severity.ERROR,
        rule=f"manifest-{rule}",
        summary=summary,
        detail=detail,
        source=source,
        command=command,
    )
