"""The base models the simulated service can tune, and what it knows of each. Data, and pure look-ups.

Not the catalogue: the service judges requests by facts of its own, so that a mistake in one is seen by the other.
Source: the supervised, preference and continuous tuning pages of the documentation as of 2026-08, and its table of
model versions for the retirement dates. Durations are the simulator's own invention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

SUPERVISED = "supervisedTuningSpec"
PREFERENCE = "preferenceOptimizationSpec"

_GOOGLE = "publishers/google/models/"
_SFT = frozenset({SUPERVISED})
_SFT_AND_PREFERENCE = frozenset({SUPERVISED, PREFERENCE})
_GEMINI_3_LOCATIONS = frozenset({"us-central1", "europe-west4"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseModel:
    """What the service knows of a base model.

    `adapters` are the adapter sizes it accepts; with none, setting one is refused. `seconds_per_example` is what one
    example costs in one epoch. `has_checkpoints`: a checkpoint per epoch is kept. `is_multi_region`: its models and
    endpoints live in `us` or `eu`, whatever region the job ran in. `locations` None means every region.
    `is_open`: an open model, which needs `outputUri` and is not deployed.
    """

    adapters: frozenset[int]
    default_adapter: int | None = None
    seconds_per_example: float = 0.3
    methods: frozenset[str] = _SFT
    has_checkpoints: bool = False
    is_multi_region: bool = False
    is_open: bool = False
    locations: frozenset[str] | None = None
    retires_on: date | None = None


def _gemini_3(seconds_per_example: float, default_adapter: int, retires_on: date) -> BaseModel:
    return BaseModel(
        adapters=frozenset({1, 2, 4, 8, 16}),
        default_adapter=default_adapter,
        seconds_per_example=seconds_per_example,
        has_checkpoints=True,
        is_multi_region=True,
        locations=_GEMINI_3_LOCATIONS,
        retires_on=retires_on,
    )


def _gemini_25(seconds_per_example: float) -> BaseModel:
    return BaseModel(
        adapters=frozenset({1, 2, 4, 8, 16}),
        default_adapter=4,
        seconds_per_example=seconds_per_example,
        methods=_SFT_AND_PREFERENCE,
        has_checkpoints=True,
        retires_on=date(2026, 10, 20),
    )


def _open_model(seconds_per_example: float) -> BaseModel:
    return BaseModel(
        adapters=frozenset({1, 2, 4, 8, 16, 32}),
        default_adapter=16,
        seconds_per_example=seconds_per_example,
        is_open=True,
    )


def default_base_models() -> Mapping[str, BaseModel]:
    """Every base model the simulator knows, by its short id."""
    up_to_8 = frozenset({1, 2, 4, 8})
    return {
        "gemini-1.0-pro-002": BaseModel(adapters=frozenset(), retires_on=date(2025, 4, 21)),
        "gemini-1.5-pro-002": BaseModel(
            adapters=frozenset({1, 4}), default_adapter=4, seconds_per_example=0.6, retires_on=date(2025, 9, 24)
        ),
        "gemini-1.5-flash-002": BaseModel(
            adapters=frozenset({1, 4, 8, 16}), default_adapter=8, retires_on=date(2025, 9, 24)
        ),
        "gemini-2.0-flash-001": BaseModel(adapters=up_to_8, default_adapter=4, retires_on=date(2026, 6, 1)),
        "gemini-2.0-flash-lite-001": BaseModel(
            adapters=up_to_8, default_adapter=4, seconds_per_example=0.2, retires_on=date(2026, 6, 1)
        ),
        "gemini-2.5-pro": replace(_gemini_25(0.6), adapters=up_to_8, methods=_SFT),
        "gemini-2.5-flash": _gemini_25(0.3),
        "gemini-2.5-flash-lite": _gemini_25(0.2),
        "gemini-3.1-flash-lite": _gemini_3(0.2, 2, date(2027, 5, 7)),
        "gemini-3.5-flash": _gemini_3(0.3, 4, date(2027, 5, 19)),
        "gemini-3.5-flash-lite": _gemini_3(0.2, 4, date(2027, 7, 21)),
        "translation-llm-002": BaseModel(
            adapters=frozenset({4}), default_adapter=4, locations=frozenset({"us-central1"})
        ),
        "meta/llama3_1@llama-3.1-8b": _open_model(0.2),
        "meta/llama3_1@llama-3.1-8b-instruct": _open_model(0.2),
        "qwen/qwen3-6@qwen3.6-27b": _open_model(0.6),
        "zai-org/glm-4.7-flash@glm-4.7-flash": _open_model(0.6),
    }


def base_models_with(adapter_sizes: Mapping[str, frozenset[int]] | None) -> Mapping[str, BaseModel]:
    """The base models of such a table with its adapter sizes; the simulator's own table for None."""
    known = default_base_models()
    if adapter_sizes is None:
        return known
    return {name: _with_adapters(known.get(name), sizes) for name, sizes in adapter_sizes.items()}


def _with_adapters(known: BaseModel | None, sizes: frozenset[int]) -> BaseModel:
    default = (
        known.default_adapter if known is not None and known.default_adapter in sizes else min(sizes, default=None)
    )
    model = known if known is not None else BaseModel(adapters=sizes)
    return replace(model, adapters=sizes, default_adapter=default)


def model_id(name: str) -> str:
    """The short id of a base model named in either form, `publishers/google/models/X` or `X`; open models too."""
    if name.startswith(_GOOGLE):
        return name.removeprefix(_GOOGLE)
    parts = name.split("/")
    if len(parts) == 4 and parts[0] == "publishers" and parts[2] == "models":
        return f"{parts[1]}/{parts[3]}"
    return name
