"""Reads one mapping of the catalogue's YAML with the types it must have. Pure: a mapping in, values or an error out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TypeVar

from reconciler.errors import TuneformError

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)


class CatalogueError(TuneformError):
    """The catalogue's data are not what they must be; names the file and the row."""

    rule = "catalogue"


@dataclass(frozen=True, slots=True)
class Row:
    """One mapping and where it stands, e.g. `gemini.yaml: gemini-2.5-pro`. A null and a missing key are the same.

    Every method raises CatalogueError when a value is of another type than asked for.
    """

    where: str
    values: Mapping[str, object]

    def only(self, *known: str) -> Row:
        """The same row, once all of its keys are among the known ones."""
        for key in self.values:
            if key not in known:
                near = get_close_matches(str(key), known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
                raise self.error(f"unknown key {key}{hint}")
        return self

    def maybe(self, key: str, kind: type[T]) -> T | None:
        """The value, or None where it is unknown. An integer serves as a float."""
        value = self.values.get(key)
        return None if value is None else self._typed(key, value, kind)

    def need(self, key: str, kind: type[T]) -> T:
        """The value; that it is unknown is an error."""
        value = self.maybe(key, kind)
        if value is None:
            raise self.error(f"{key} is missing")
        return value

    def many(self, key: str, kind: type[T]) -> tuple[T, ...] | None:
        """The values of a list, or None where it is unknown; an empty list is known to be empty."""
        found = self.maybe(key, list)
        return None if found is None else tuple(self._typed(key, one, kind) for one in found)

    def choice(self, key: str, kind: type[E]) -> E:
        """The value as one word of an enumeration."""
        text = self.need(key, str)
        try:
            return kind(text)
        except ValueError:
            raise self.error(f"{key} is {text!r}; it must be one of {', '.join(kind)}") from None

    def table(self, key: str, kind: type[T]) -> dict[str, T]:
        """A mapping with values of one type; empty where it is unknown."""
        return {name: self._typed(f"{key}.{name}", one, kind) for name, one in self.part(key).values.items()}

    def part(self, key: str) -> Row:
        """A nested mapping as a row of its own; empty where it is unknown."""
        found = self.maybe(key, dict)
        if found is not None and not all(isinstance(name, str) for name in found):
            raise self.error(f"{key} must have texts as keys")
        return Row(f"{self.where}, {key}", found or {})

    def error(self, what: str) -> CatalogueError:
        """An error that names this row."""
        return CatalogueError("The catalogue of base models cannot be read", f"{self.where}: {what}.")

    def _typed(self, key: str, value: object, kind: type[T]) -> T:
        if kind is float and type(value) is int:
            value = float(value)
        # Not isinstance: YAML's true would pass as the integer 1, an instant as a date.
        if type(value) is not kind:
            raise self.error(f"{key} must be of type {kind.__name__}, not {value!r}")
        return value
