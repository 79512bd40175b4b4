"""How long tuning jobs take, learned from those that ended. Pure.

A job's length is its work times a rate: work is billable tokens x epochs (in millions), the rate is seconds per unit of
work for its base model. Jobs of the whole project teach, whoever made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from reconciler.model.fields import Fields
from reconciler.model.job import LiveJob

# Below so many similar jobs a length would be a guess, and a guess is not shown.
MIN_SAMPLES = 3
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """What past jobs teach. `rates` are seconds per unit of work by base model, sorted; `tokens` by dataset.

    `typical_tokens` and `typical_epochs` stand in, by base model, for what is not known of a job.
    """

    rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    tokens: Mapping[str, float] = field(default_factory=dict)
    typical_tokens: Mapping[str, float] = field(default_factory=dict)
    typical_epochs: Mapping[str, float] = field(default_factory=dict)

    def samples_s(self, base_model: str | None, fields: Fields) -> tuple[float, ...] | None:
        """Equally likely lengths in seconds, sorted, for a job with these fields; None where too little is known."""
        rates = self.rates.get(base_model or "", ())
        if base_model is None or len(rates) < MIN_SAMPLES:
            return None
        work = self._work(base_model, fields)
        return tuple(rate * work for rate in rates)

    def expected_s(self, base_model: str | None, fields: Fields) -> float | None:
        """The median length in seconds; None where too little is known."""
        samples = self.samples_s(base_model, fields)
        return None if samples is None else median(samples)

    def _work(self, base_model: str, fields: Fields) -> float:
        tokens = self.tokens.get(str(fields.get("trainingDatasetUri")), self.typical_tokens[base_model])
        epochs = fields.get("hyperParameters.epochCount")
        known = epochs if isinstance(epochs, int | float) else self.typical_epochs[base_model]
        return tokens * known / _MILLION


def learn(jobs: Iterable[LiveJob]) -> Durations:
    """The lesson of every job that succeeded and told its tokens and times."""
    rates: dict[str, list[float]] = {}
    tokens: dict[str, list[float]] = {}
    by_model: dict[str, list[float]] = {}
    epochs_of: dict[str, list[float]] = {}
    for job in jobs:
        base, epochs = job.fields.get("baseModel"), job.fields.get("hyperParameters.epochCount")
        if not job.has_succeeded or not job.billable_token_count or job.started_at is None or job.ended_at is None:
            continue
        if not isinstance(base, str) or not isinstance(epochs, int | float) or epochs <= 0:
            continue
        length_s = (job.ended_at - job.started_at).total_seconds()
        rates.setdefault(base, []).append(length_s / (job.billable_token_count * epochs / _MILLION))
        tokens.setdefault(str(job.fields.get("trainingDatasetUri")), []).append(job.billable_token_count)
        by_model.setdefault(base, []).append(job.billable_token_count)
        epochs_of.setdefault(base, []).append(epochs)
    return Durations(
        rates={base: tuple(sorted(found)) for base, found in rates.items()},
        tokens={uri: median(found) for uri, found in tokens.items()},
        typical_tokens={base: median(found) for base, found in by_model.items()},
        typical_epochs={base: median(found) for base, found in epochs_of.items()},
    )
