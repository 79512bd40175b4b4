"""The catalogue of base models: packaged YAML in, one value to ask out. Only `load_catalogue` does I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import yaml

from reconciler.catalogue.entries import (
    BaseModel,
    Quota,
    Task,
    read_model,
    read_quota,
    read_regions,
    read_task,
)
from reconciler.catalogue.rows import CatalogueError, Row
from reconciler.model.fields import Fields

RETIRING_NOTICE = timedelta(days=90)

_GOOGLE = "google"
# What a document of the catalogue may hold, and the key that tells its rows apart.
_SECTIONS: Mapping[str, str] = {"models": "id", "regions": "name", "quotas": "name", "tasks": "name"}
_T = TypeVar("_T")
# By section and key: where the row first stands, and its values.
_RawRows = dict[str, dict[str, Row]]


class LifecycleStage(StrEnum):
    """Where a base model stands on a day.

    RETIRING: its (earliest) retirement is at most 90 days away, or the earliest day has passed. DEPRECATED: closed to
    projects that never used it. RETIRED: no new tuning job is accepted.
    """

    AVAILABLE = "available"
    DEPRECATED = "deprecated"
    RETIRING = "retiring"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything known about base models. `quotas` are by name: global, open, GPU, TPU."""

    by_id: Mapping[str, BaseModel]
    quotas: Mapping[str, Quota]
    tasks: tuple[Task, ...]

    @property
    def models(self) -> tuple[BaseModel, ...]:
        """All base models, sorted by id."""
        return tuple(self.by_id.values())

    @property
    def locations(self) -> tuple[str, ...]:
        """Every location where a tuning job of some model can live, sorted: a global quota is used in all of them."""
        return tuple(sorted({location for model in self.models for location in model.regions.locations}))

    def find(self, base_model: str) -> BaseModel | None:
        """The model by its short id or its name below `publishers/`; None for one the catalogue does not know."""
        return next((self.by_id[one] for one in _spellings(base_model) if one in self.by_id), None)

    def versions_of(self, base_model: str) -> tuple[str, ...]:
        """The ids that are this name with a version: `code-bison@002` for `code-bison`; empty for a full id."""
        return tuple(one for one in self.by_id for name in _spellings(base_model) if one.startswith(f"{name}@"))

    def suggest(self, base_model: str) -> tuple[str, ...]:
        """Up to three ids that look like this one, the likeliest first."""
        name = _spellings(base_model)[0]
        numbered = tuple(one for one in self.by_id if re.fullmatch(rf"{re.escape(name)}-\d+", one))
        return self.versions_of(name) or numbered or tuple(get_close_matches(name, self.by_id, n=3))

    def default_fields(self, base_model: str) -> Fields:
        """The documented constants that Vertex AI fills in for fields that are not set; empty for an unknown model."""
        model = self.find(base_model)
        return {} if model is None else model.defaults

    def tasks_of(self, model: BaseModel) -> tuple[Task, ...]:
        """The recommendations that hold for the model."""
        return tuple(
            task
            for task in self.tasks
            if task.family is model.family and (task.models is None or model.id in task.models)
        )


def load_catalogue(extra_texts: Iterable[str] = ()) -> Catalogue:
    """Read the packaged catalogue, then merge the rows of the extra YAML texts over it, key by key.

    Raises CatalogueError, naming the file and the row. Reads files; nothing is cached.
    """
    raw: _RawRows = {section: {} for section in _SECTIONS}
    for path in sorted((Path(__file__).parent / "data").glob("*.yaml")):
        _merge(raw, path.name, path.read_text(encoding="utf-8"))
    for number, text in enumerate(extra_texts, start=1):
        _merge(raw, f"extra catalogue {number}", text)
    regions = _each(raw["regions"], read_regions)
    return Catalogue(
        by_id=_each(raw["models"], lambda row: read_model(row, regions)),
        quotas=_each(raw["quotas"], read_quota),
        tasks=tuple(_each(raw["tasks"], read_task).values()),
    )


def lifecycle_of(model: BaseModel, as_of: date) -> LifecycleStage:
    """Where the model stands on that day. A model without dates is available."""
    if model.retires_on is not None:
        if as_of >= model.retires_on and not model.retires_not_before:
            return LifecycleStage.RETIRED
        if as_of >= model.retires_on - RETIRING_NOTICE:
            return LifecycleStage.RETIRING
    if model.no_new_projects_from is not None and as_of >= model.no_new_projects_from:
        return LifecycleStage.DEPRECATED
    return LifecycleStage.AVAILABLE


def steps_to_epochs(model: BaseModel, accelerator: str, steps: int, examples: int) -> float:
    """How often a legacy model sees each example: steps x batch size / examples. `accelerator` is GPU or TPU.

    Raises ValueError for a model or an accelerator without a batch size, and for less than one example.
    Source: https://cloud.google.com/vertex-ai/generative-ai/docs/models/tune-code-models, "STEPS".
    """
    batch_size = None if model.legacy is None else model.legacy.batch_sizes.get(accelerator)
    if batch_size is None:
        raise ValueError(f"{model.id} has no batch size on {accelerator}")
    if examples < 1:
        raise ValueError(f"a dataset of {examples} examples has no epochs")
    return steps * batch_size / examples


def _spellings(name: str) -> tuple[str, ...]:
    """The ids a name may stand for. Google's own models bear no publisher in their id, its open models do."""
    _, found, rest = name.rpartition("publishers/")
    if not found:
        return (name, f"{_GOOGLE}/{name}") if "/" not in name else (name,)
    publisher, _, model = rest.partition("/models/")
    return (f"{publisher}/{model}", model) if publisher == _GOOGLE else (f"{publisher}/{model}",)


def _merge(raw: _RawRows, where: str, text: str) -> None:
    # The C parser is several times faster, and not built everywhere.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents: list[Any] = list(yaml.load_all(text, loader))
    except yaml.YAMLError as error:
        raise CatalogueError("The catalogue of base models cannot be read", f"{where}: {error}") from None
    for document in documents:
        if not isinstance(document, dict):
            raise Row(where, {}).error("every document must be a mapping")
        page = Row(where, document).only("shared", *_SECTIONS)
        shared = page.part("shared").values
        for section, key in _SECTIONS.items():
            for values in page.many(section, dict) or ():
                _merge_row(raw[section], Row(where, {**shared, **values}), key)


def _merge_row(rows: dict[str, Row], row: Row, key: str) -> None:
    name = row.need(key, str)
    before = rows.get(name)
    values = row.values if before is None else {**before.values, **row.values}
    rows[name] = Row(f"{row.where}: {name}", values)


def _each(rows: Mapping[str, Row], read: Callable[[Row], _T]) -> dict[str, _T]:
    return {name: read(rows[name]) for name in sorted(rows)}
