"""What one look at the whole project saw: every job of every location that could be read, and which could not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.model.job import LiveJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One look. `at` is the server's time, aware UTC.

    `read` are the locations read to their last page; `unread` maps the others to the reason in words. `models` are the
    resource names of existing tuned models, None when nobody looked.
    """

    at: datetime
    jobs: tuple[LiveJob, ...]
    read: frozenset[str]
    unread: Mapping[str, str] = field(default_factory=dict)
    models: frozenset[str] | None = None

    def by_name(self) -> dict[str, LiveJob]:
        """The jobs by resource name."""
        return {job.name: job for job in self.jobs}

    def updated(self, newer: Observation) -> Observation:
        """This look with the locations that a later one asked for as that one found them, at the later one's time.

        Jobs of a location that the later one could not read are kept as last seen, and the location is unread.
        """
        kept = tuple(job for job in self.jobs if job.location not in newer.read)
        still_unread = {location: why for location, why in self.unread.items() if location not in newer.read}
        return replace(
            self,
            at=max(self.at, newer.at),
            jobs=kept + newer.jobs,
            read=(self.read - newer.unread.keys()) | newer.read,
            unread={**still_unread, **newer.unread},
        )

    @property
    def is_complete(self) -> bool:
        """Whether every location asked for was read."""
        return not self.unread
