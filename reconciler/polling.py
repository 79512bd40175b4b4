"""How long to pause before the next look: long while nothing is likely to end, short when something is. Pure.

The square-root rule of inspection: of all ways to spend the same number of looks, the idle time of a slot is least when
looks come in proportion to the square root of the chance that a job ends. The wanted idle share sets their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, exp, log, pi, sqrt
from statistics import fmean

# A slot may stand idle for so much of a job's length on average, before the next in line is submitted.
IDLE_SHARE = 0.005
FIXED_S = 30.0
SHORTEST_S = 10.0
LONGEST_S = 600.0
# Pauses vary by so much either way, so that many pollers do not come at once.
_JITTER = 0.2
# Estimates are never sharper than this (a standard deviation of the logarithm), however alike past jobs were.
_SIGMA_MIN = 0.15
# Jobs also end early, by failing: so many in one median length.
_FAILURES_PER_LENGTH = 0.1


@dataclass(frozen=True, slots=True)
class Watched:
    """One running job. `samples_s` are equally likely lengths in seconds, None where not known."""

    elapsed_s: float
    samples_s: Sequence[float] | None


def pause_s(watched: Sequence[Watched], *, is_waiting: bool, jitter: float, idle_share: float = IDLE_SHARE) -> float:
    """Seconds until the next look. `jitter` is a number in [0, 1); `is_waiting`: somebody waits for a slot.

    30 s where a length is not known. While nobody waits for a slot, an end may be noticed later.
    """
    spread = 1.0 + _JITTER * (2.0 * jitter - 1.0)
    known = [one.samples_s for one in watched if one.samples_s]
    if not watched or len(known) < len(watched):
        return FIXED_S * spread
    usual = sum(1.0 / max(1.0, fmean(samples)) for samples in known)
    chance = sum(_hazard(one.elapsed_s, samples) for one, samples in zip(watched, known, strict=True))
    best_s = 2.0 * idle_share * (len(watched) / usual) * sqrt(usual / max(chance, 1e-12))
    if not is_waiting:
        best_s = max(best_s, FIXED_S)
    return min(LONGEST_S, max(SHORTEST_S, best_s)) * spread


def _hazard(elapsed_s: float, samples_s: Sequence[float]) -> float:
    """The chance per second that a job of this age ends now, lengths being lognormal, or that it fails."""
    logs = [log(max(1.0, sample)) for sample in samples_s]
    middle = fmean(logs)
    sigma = max(_SIGMA_MIN, sqrt(fmean((each - middle) ** 2 for each in logs)))
    failing = _FAILURES_PER_LENGTH / exp(middle)
    if elapsed_s <= 0:
        return failing
    at = (log(elapsed_s) - middle) / sigma
    outlives = 0.5 * erfc(at / sqrt(2.0))
    if outlives < 1e-6:
        # Older than anything seen: it may end any moment, at the rate that its tail tends to.
        return failing + at / (elapsed_s * sigma)
    density = exp(-0.5 * at * at) / (elapsed_s * sigma * sqrt(2.0 * pi))
    return failing + density / outlives
