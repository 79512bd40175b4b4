"""How long tuning jobs take, learned from those that ended. Pure.

A job's length is its work times a rate: work is billable tokens x epochs (in millions), the rate is seconds per unit of
work for its base model. Jobs of the whole project teach, whoever made them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from reconciler.model.fields import Fields
from reconciler.model.job import LiveJob

# Below so many similar jobs a length would be a guess, and a guess is not shown.
MIN_SAMPLES = 3
# More say nothing more about a length, and each is multiplied out for each ticket.
_SAMPLES_MAX = 100
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """What past jobs teach, by base model: seconds per unit of work and seconds per epoch, sorted, and usual epochs.

    `tokens` are billable tokens by dataset URI. A dataset that nobody tuned on yet may be of any size that was seen, so
    its jobs are measured by the epoch.
    """

    rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    epochs_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    usual_epochs: Mapping[str, float] = field(default_factory=dict)
    tokens: Mapping[str, float] = field(default_factory=dict)

    def samples_s(self, base_model: str | None, fields: Fields) -> tuple[float, ...] | None:
        """Equally likely lengths in seconds, sorted, for a job with these fields; None where too little is known."""
        pace = self._pace(base_model, fields)
        return None if pace is None else tuple(each * pace[1] for each in pace[0])

    def expected_s(self, base_model: str | None, fields: Fields) -> float | None:
        """The median length in seconds; None where too little is known."""
        pace = self._pace(base_model, fields)
        return None if pace is None else median(pace[0]) * pace[1]

    def _pace(self, base_model: str | None, fields: Fields) -> tuple[Sequence[float], float] | None:
        """Equally likely seconds for each of so many units of the job."""
        if base_model is None or len(self.rates.get(base_model, ())) < MIN_SAMPLES:
            return None
        asked = fields.get("hyperParameters.epochCount")
        epochs = asked if isinstance(asked, int | float) else self.usual_epochs[base_model]
        tokens = self.tokens.get(str(fields.get("trainingDatasetUri")))
        if tokens is None:
            return self.epochs_s[base_model], epochs
        return self.rates[base_model], tokens * epochs / _MILLION


@dataclass(frozen=True, slots=True)
class _Lesson:
    base_model: str
    dataset: str | None
    tokens: float
    epochs: float
    length_s: float

    @property
    def rate(self) -> float:
        return self.length_s / (self.tokens * self.epochs / _MILLION)

    @property
    def epoch_s(self) -> float:
        return self.length_s / self.epochs


def learn(jobs: Iterable[LiveJob]) -> Durations:
    """The lesson of every job that succeeded and told its tokens and times."""
    lessons = [lesson for job in jobs if (lesson := _lesson(job)) is not None]
    by_model = _grouped((one.base_model, one) for one in lessons)
    by_dataset = _grouped((one.dataset, one) for one in lessons if one.dataset is not None)
    return Durations(
        rates={base: _thinned(sorted(one.rate for one in found)) for base, found in by_model.items()},
        epochs_s={base: _thinned(sorted(one.epoch_s for one in found)) for base, found in by_model.items()},
        usual_epochs={base: median(one.epochs for one in found) for base, found in by_model.items()},
        tokens={uri: median(one.tokens for one in found) for uri, found in by_dataset.items()},
    )


def _lesson(job: LiveJob) -> _Lesson | None:
    base, epochs = job.fields.get("baseModel"), job.fields.get("hyperParameters.epochCount")
    if not job.has_succeeded or not job.billable_token_count or job.started_at is None or job.ended_at is None:
        return None
    if not isinstance(base, str) or not isinstance(epochs, int | float) or epochs <= 0:
        return None
    length_s = (job.ended_at - job.started_at).total_seconds()
    if length_s <= 0:
        return None
    uri = job.fields.get("trainingDatasetUri")
    return _Lesson(base, uri if isinstance(uri, str) else None, job.billable_token_count, epochs, length_s)


def _grouped(pairs: Iterable[tuple[str, _Lesson]]) -> dict[str, list[_Lesson]]:
    groups: dict[str, list[_Lesson]] = {}
    for key, lesson in pairs:
        groups.setdefault(key, []).append(lesson)
    return groups


def _thinned(ordered: Sequence[float]) -> tuple[float, ...]:
    """At most so many of the values, evenly spread over them."""
    count = min(len(ordered), _SAMPLES_MAX)
    return tuple(ordered[(2 * index + 1) * len(ordered) // (2 * count)] for index in range(count))
