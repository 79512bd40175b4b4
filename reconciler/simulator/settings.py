"""How a simulated Vertex AI behaves when nothing goes wrong; values that live in the world. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from reconciler.errors import UsageError

OverQuota: TypeAlias = Literal["refuse", "wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a world. Raises UsageError for a value that cannot be.

    `speed` is simulated seconds per real second. `concurrent_jobs` is the limit of the global concurrent tuning jobs
    quota, over all locations of a project. Over it a create is refused with 429, or accepted to wait in create order.
    `failure_rate` is the share, 0 to 1, of jobs that fail for no fault of theirs. `copy_labels` says whether a job's
    user labels appear on its model and endpoints. `refuse_retired` refuses base models past their retirement date.
    """

    speed: float = 600.0
    concurrent_jobs: int = 1
    over_quota: OverQuota = "wait"
    copy_labels: bool = True
    failure_rate: float = 0.0
    refuse_retired: bool = False
    page_size: int = 100
    page_size_max: int = 1000

    def __post_init__(self) -> None:
        """Refuse what would stop or break the simulated time."""
        if not 0 < self.speed <= 1e9:
            raise UsageError("The simulator's speed must be above 0 and at most 1e9", f"It is {self.speed}.")
        if self.concurrent_jobs < 0:
            raise UsageError("The simulator's quota must not be negative", f"It is {self.concurrent_jobs}.")
        if self.over_quota not in ("refuse", "wait"):
            raise UsageError("The simulator's over-quota mode must be refuse or wait", f"It is {self.over_quota!r}.")
        if not 0 <= self.failure_rate <= 1:
            raise UsageError("The simulator's failure rate must be from 0 to 1", f"It is {self.failure_rate}.")
        if not 1 <= self.page_size <= self.page_size_max:
            raise UsageError("The simulator's page size must be from 1 to its maximum", f"It is {self.page_size}.")
