"""One look at a whole project: every location listed at once, and what could not be read said. I/O by the provider."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from reconciler.errors import ApiError, Refusal
from reconciler.model.observation import Observation
from reconciler.providers.protocol import Listing, Provider

# httpx 0.28 slows down with the square of its open connections, so more at once would be slower.
MAX_LISTS_AT_ONCE = 8


def observe(
    provider: Provider, locations: Sequence[str], *, now: datetime, some_must_answer: bool = False
) -> Observation:
    """Every job of these locations. A location that cannot be read is named in `unread`, never silently shorter.

    `now` stands in for the server's time where no location answered. Raises CredentialsError, and with
    `some_must_answer` the first ApiError where not one location answered.
    """
    answers = _list_all(provider, locations)
    listings = [one for one in answers if isinstance(one, Listing)]
    if some_must_answer and not listings:
        for one in answers:
            if isinstance(one, ApiError):
                raise one
    failures = {
        location: one.summary for location, one in zip(locations, answers, strict=True) if isinstance(one, ApiError)
    }
    return Observation(
        at=max((listing.at for listing in listings), default=now),
        jobs=tuple(job for listing in listings for job in listing.jobs),
        read=frozenset(listing.location for listing in listings),
        unread=failures,
    )


def _list_all(provider: Provider, locations: Sequence[str]) -> list[Listing | ApiError]:
    def list_one(location: str) -> Listing | ApiError:
        try:
            return provider.list_jobs(location)
        except ApiError as error:
            return error

    if len(locations) <= 1:
        return [list_one(location) for location in locations]
    first, rest = locations[:MAX_LISTS_AT_ONCE], locations[MAX_LISTS_AT_ONCE:]
    with ThreadPoolExecutor(max_workers=MAX_LISTS_AT_ONCE) as pool:
        answers = list(pool.map(list_one, first))
        away = [one for one in answers if isinstance(one, ApiError) and one.kind is Refusal.UNREACHABLE]
        if len(away) == len(first):
            # Not eight locations are away, but the way there; the others would only make their user wait longer.
            return [*answers, *(away[0] for _ in rest)]
        return [*answers, *pool.map(list_one, rest)]
