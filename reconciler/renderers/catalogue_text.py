"""Base models for people and scripts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from enum import StrEnum
from typing import Any

from reconciler.catalogue.catalogue import lifecycle_of
from reconciler.catalogue.entries import BaseModel
from reconciler.renderers.text import columns

_HEAD = ["base model", "family", "methods", "adapter sizes", "lifecycle", "retires", "USD per 1M tokens"]


def render_table(models: Sequence[BaseModel], as_of: date) -> str:
    """A row per base model, lifecycles judged as of the day."""
    rows = [_HEAD, *(_row(model, as_of) for model in models)]
    return "\n".join(
        [*columns(rows), "", f"{len(models)} base models, lifecycles as of {as_of}. ? means not documented."]
    )


def _row(model: BaseModel, as_of: date) -> list[str]:
    return [
        model.id,
        model.family.value,
        ", ".join(model.methods),
        _sizes(model),
        lifecycle_of(model, as_of).value,
        _retires(model),
        _prices(model),
    ]


def _sizes(model: BaseModel) -> str:
    if model.legacy is not None:
        return "-"
    if model.adapter_sizes is None:
        return "?"
    default = model.default_adapter_size
    return ", ".join(f"{size}*" if size == default else str(size) for size in model.adapter_sizes)


def _retires(model: BaseModel) -> str:
    if model.retires_on is None:
        return "?"
    return f"{model.retires_on} or later" if model.retires_not_before else str(model.retires_on)


def _prices(model: BaseModel) -> str:
    if not model.prices:
        return "?"
    if len(set(model.prices.values())) == 1:
        return f"{next(iter(model.prices.values())):g}"
    return ", ".join(f"{method} {price:g}" for method, price in model.prices.items())


def render_model(model: BaseModel, as_of: date) -> str:
    """All of one base model, with where each group of facts comes from."""
    limits = [[name, str(value)] for name, value in asdict(model.limits).items() if value is not None]
    supports = [name for name, value in asdict(model.supports).items() if value is True]
    rows = [
        ["family", model.family.value],
        ["lifecycle", f"{lifecycle_of(model, as_of).value} as of {as_of}, retires {_retires(model)}"],
        ["methods", ", ".join(model.methods)],
        ["adapter sizes", f"{_sizes(model)}   (* is the default)"],
        ["USD per 1M tokens", _prices(model)],
        ["supports", ", ".join(supports) or "?"],
        ["regions", ", ".join(model.regions.locations)],
        *limits,
        ["source", f"{model.evidence.source} ({model.evidence.checked}, {model.evidence.certainty.value})"],
    ]
    if model.notes:
        rows.append(["notes", model.notes])
    return "\n".join([model.id, *columns(rows, indent="  ")])


def encode_model(model: BaseModel, as_of: date) -> dict[str, Any]:
    """One base model as JSON; null means not documented."""
    document: dict[str, Any] = _plain(asdict(model))
    return {**document, "lifecycle": lifecycle_of(model, as_of).value}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    return value.value if isinstance(value, StrEnum) else value
