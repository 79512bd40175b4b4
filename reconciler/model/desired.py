"""Desired: what the manifests say, with defaults and sweeps expanded and every field's place in its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from reconciler.errors import Source
from reconciler.model.fields import Fields


class Priority(StrEnum):
    """A class of the queue: one class is worth 24 hours of waiting."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """0, 1 or 2."""
        return ("low", "normal", "high").index(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """What happens to a tuned model when the world around it changes."""

    on_remove: Literal["keep", "delete"] = "keep"
    on_dataset_change: Literal["warn", "retrain", "ignore"] = "warn"
    on_parent_change: Literal["warn", "retrain"] = "warn"
    retries: int = 0
    prevent_replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredModel:
    """One declared tuned model.

    `fields` holds only what the user set (defaults of the stack count as set). `parent` is the address it is tuned on
    from, None for a base model or a model named by its resource name. `positions` maps a field's path to (line,
    column).
    """

    address: str
    fields: Fields
    fingerprint: str
    source: Source
    priority: Priority = Priority.NORMAL
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    parent: str | None = None
    positions: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def location(self) -> str:
        """The region its job runs in."""
        return str(self.fields["location"])

    @property
    def base_model(self) -> str | None:
        """The short base-model id; None for continuous tuning, where the parent knows it."""
        value = self.fields.get("baseModel")
        return None if value is None else str(value)

    def place_of(self, path: str) -> Source:
        """Where the field stands in its file; the model's own place when the field came from elsewhere."""
        line, column = self.positions.get(path, (self.source.line, self.source.column))
        return Source(self.source.path, line, column)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaSettings:
    """The queue of a stack. `concurrent_jobs` None means `auto`; `max_slots` None means no limit of our own.

    `order` is "fifo", first come, first served by class, or "soonest", the shortest expected first.
    """

    concurrent_jobs: int | None = None
    max_slots: int | None = None
    order: Literal["fifo", "soonest"] = "fifo"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """How the embedded simulator behaves. `world` is a path; `speed` is simulated seconds per real second."""

    world: str
    speed: float = 600.0
    concurrent_jobs: int = 1
    over_quota: Literal["refuse", "wait"] = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The set of manifests that share one state.

    `endpoint` is None for Vertex AI, "simulator" for the embedded one, else a URL. `state` is a path or an object
    store URL, already resolved. `catalogue_as_of` None means: judge model lifecycles as of today.
    """

    name: str
    project: str
    location: str
    state: str
    source: Source
    endpoint: str | None = None
    catalogue_as_of: date | None = None
    quota: QuotaSettings = field(default_factory=QuotaSettings)
    simulator: SimulatorSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """A whole stack: its models sorted by address, and the sha256 of each manifest file by its path."""

    stack: Stack
    models: tuple[DesiredModel, ...]
    digests: Mapping[str, str]

    def by_address(self) -> dict[str, DesiredModel]:
        """The models by address."""
        return {model.address: model for model in self.models}
