"""A Sweep -> one model for each combination of its matrix, each judged as if it had been written out."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.errors import Diagnostic
from reconciler.manifest.explain import close_to, validate
from reconciler.manifest.flatten import Draft, draft
from reconciler.manifest.origin import Origin, error
from reconciler.manifest.rules import spec_problems
from reconciler.manifest.schema import SweepManifest, TunedModelSpec
from reconciler.model.address import ADDRESS_MAX_CHARS, sweep_address
from reconciler.model.fields import EFFECTS, PARENT_FINGERPRINT, Effect, canonical
from reconciler.yamldoc import Path

SWEEP_MAX_MODELS = 200
DISPLAY_NAME_MAX_CHARS = 128
# Only what makes another model: a sweep over anything else would pay several times for one.
SWEEPABLE = tuple(
    sorted(
        {path for path, effect in EFFECTS.items() if effect is Effect.RETRAIN and path != PARENT_FINGERPRINT}
        | {"preTunedModel.address"}
    )
)
_MATRIX: Path = ("spec", "matrix")


def expand(
    manifest: SweepManifest, template: Any, labels: Mapping[str, str], origin: Origin, location: str
) -> tuple[list[Draft], list[Diagnostic]]:
    """The models of a sweep whose matrix has no problems; `template` is its plain value, defaults merged in."""
    matrix = manifest.spec.matrix
    found: list[Diagnostic] = []
    drafts: list[Draft] = []
    for choice in itertools.product(*(range(len(values)) for values in matrix.values())):
        picked = dict(zip(matrix, choice, strict=True))
        items = {(*origin.spec, *path.split(".")): (*_MATRIX, path, index) for path, index in picked.items()}
        values = {path: matrix[path][index] for path, index in picked.items()}
        address = sweep_address(manifest.metadata.name, {path: _word(value) for path, value in values.items()})
        filled = _filled(template, values, address.removeprefix(manifest.metadata.name))
        member = replace(origin, items=items)
        spec, problems = validate(TunedModelSpec, filled, member, origin.spec)
        problems += spec_problems(filled, member)
        drafts += [draft(address, spec, labels, member, location)] if spec else []
        # What is wrong with the template, or with one value, is wrong with many members: once is enough.
        found += [problem for problem in problems if problem not in found]
    return drafts, found + list(_address_problems(drafts, origin))


def _filled(template: Any, values: Mapping[str, Any], brackets: str) -> dict[str, Any]:
    """The template with the values put in, and with a display name of its own."""
    spec = dict(template or {})
    for path, value in values.items():
        outer, _, inner = path.partition(".")
        spec[outer] = {**(spec.get(outer) or {}), inner: value} if inner else value
    if isinstance(spec.get("tunedModelDisplayName"), str):
        spec["tunedModelDisplayName"] += f" {brackets}"
    return spec


def _word(value: Any) -> Any:
    """A value as an address says it: 1.0 as 1, true in small letters."""
    return json.dumps(value) if isinstance(value, bool) else canonical(value)


def matrix_problems(matrix: Any, origin: Origin) -> Iterator[Diagnostic]:
    """What is wrong with a matrix as a whole; its values are judged in each model they make."""
    if not isinstance(matrix, Mapping):
        return
    for path, values in matrix.items():
        if path not in SWEEPABLE:
            place = origin.source_of((*_MATRIX, path))
            yield error("sweep", "A field that cannot be swept", _not_sweepable(path), place)
        elif isinstance(values, list):
            yield from _value_problems((*_MATRIX, path), values, origin)
    count = math.prod(len(values) for values in matrix.values() if isinstance(values, list))
    if count > SWEEP_MAX_MODELS:
        detail = f"It makes {count:,} models, and can make at most {SWEEP_MAX_MODELS}. Take out values, or split it."
        yield error("sweep", "The sweep is too large", detail, origin.source_of(_MATRIX))


def _value_problems(place: Path, values: Sequence[Any], origin: Origin) -> Iterator[Diagnostic]:
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        source = origin.source_of((*place, index))
        if value is None or isinstance(value, list | dict):
            detail = "A matrix holds text, numbers, true and false. Write one of these."
            yield error("sweep", "A matrix value that is no single value", detail, source)
            continue
        first = seen.setdefault(str(_word(value)), index)
        if first != index:
            detail = f"It is already at {origin.source_of((*place, first))}. Keep one of the two."
            yield error("sweep", "A matrix value is written twice", detail, source)


def _not_sweepable(path: str) -> str:
    close = close_to(path, SWEEPABLE)
    if path in EFFECTS and path != PARENT_FINGERPRINT:
        return f"Changing {path} makes no other model, so the sweep would pay several times for one. Remove it."
    return f"“{path[:80]}” is not a field that shapes a model. " + (
        f"Did you mean {close}?" if close else f"Those are {', '.join(SWEEPABLE)}."
    )


def _address_problems(drafts: Sequence[Draft], origin: Origin) -> Iterator[Diagnostic]:
    for one in drafts:
        if len(one.address) > ADDRESS_MAX_CHARS:
            detail = (
                f"{one.address[:80]}… has {len(one.address)} characters, and can have at most {ADDRESS_MAX_CHARS}. "
                "Shorten the name or the values, or write the models out."
            )
            yield error("sweep", "An address is too long", detail, origin.source_of(_MATRIX))
            # One is enough: the others are as long.
            return
