"""What a rule of the catalogue looks at, and how it tells what it found. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.catalogue.catalogue import Catalogue
from reconciler.catalogue.entries import BaseModel
from reconciler.errors import Diagnostic, Severity
from reconciler.model.desired import DesiredModel
from reconciler.model.fields import Value

SUPERVISED = "supervised"
PREFERENCE = "preference"


@dataclass(frozen=True, slots=True)
class Subject:
    """A declared model, its base model, and the declared model it goes on from, if any."""

    model: DesiredModel
    base: BaseModel
    catalogue: Catalogue
    parent: DesiredModel | None = None

    @property
    def method(self) -> str:
        """How it is tuned; supervised when the manifest does not say."""
        return str(self.model.fields.get("method", SUPERVISED))

    def has(self, path: str) -> bool:
        """Whether the manifest sets the field."""
        return path in self.model.fields

    def get(self, path: str) -> Value:
        """The field's value, else the default that Vertex AI fills in, else None."""
        return self.model.fields.get(path, self.base.defaults.get(path))

    def set_below(self, *paths: str) -> tuple[str, ...]:
        """The fields that are set and are one of the paths, or start with one that ends in a dot, sorted."""
        return tuple(sorted(one for one in self.model.fields if any(_covers(path, one) for path in paths)))


def misfit(model: DesiredModel, path: str, rule: str, summary: str, detail: str) -> Diagnostic:
    """An error at a field's place; the detail is told of the model by its address."""
    return _diagnostic(Severity.ERROR, model, path, rule, summary, detail)


def doubt(model: DesiredModel, path: str, rule: str, summary: str, detail: str) -> Diagnostic:
    """A warning at a field's place; the detail is told of the model by its address."""
    return _diagnostic(Severity.WARNING, model, path, rule, summary, detail)


def _diagnostic(severity: Severity, model: DesiredModel, path: str, rule: str, summary: str, detail: str) -> Diagnostic:
    return Diagnostic(
        severity=severity,
        rule=rule,
        summary=summary,
        detail=f"{model.address}: {detail}",
        source=model.place_of(path),
    )


def earliest(model: DesiredModel, paths: Iterable[str]) -> str:
    """The path whose field stands first in the manifest."""
    return min(paths, key=lambda path: (model.place_of(path).line, model.place_of(path).column))


def either(values: Sequence[object]) -> str:
    """`1, 4 or 8`."""
    words = [str(one) for one in values]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _covers(path: str, field: str) -> bool:
    return field.startswith(path) if path.endswith(".") else field == path
