"""One look at a whole project: all locations, or which of them could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from reconciler.errors import ApiError, CredentialsError, Refusal
from reconciler.model.job import LiveJob
from reconciler.model.observation import Observation
from reconciler.providers.observe import observe
from reconciler.providers.protocol import JobRequest, Listing
from tests.builders import AT, a_job, an_observation

US, EU = "us-central1", "europe-west4"
IN_US, IN_EU = a_job(1), a_job(2, location=EU)
LATER = AT + timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class Lists:
    """A service that knows its lists by location, each an answer or the error that comes instead."""

    answers: Mapping[str, Listing | Exception]

    def list_jobs(self, location: str) -> Listing:
        """The list, or its error."""
        answer = self.answers[location]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def get_job(self, name: str) -> LiveJob:
        """Never asked."""
        raise AssertionError(name)

    def create_job(self, request: JobRequest) -> LiveJob:
        """Never asked."""
        raise AssertionError(request)

    def cancel_job(self, name: str) -> None:
        """Never asked."""
        raise AssertionError(name)


def listing(location: str, *jobs: LiveJob, at: datetime = AT) -> Listing:
    """A location read to its last page."""
    return Listing(location, jobs, at)


UNREADABLE = ApiError("Could not list the tuning jobs", kind=Refusal.AMBIGUOUS)


def test_all_locations_are_one_look() -> None:
    """The jobs of every location, at the latest of the server's times."""
    lists = Lists({US: listing(US, IN_US), EU: listing(EU, IN_EU, at=LATER)})
    expected = Observation(at=LATER, jobs=(IN_US, IN_EU), read=frozenset({US, EU}))
    assert expected == observe(lists, (US, EU), now=AT - timedelta(days=1))


def test_an_empty_location_is_read() -> None:
    """No jobs is an answer, and not the same as no answer."""
    found = observe(Lists({US: listing(US)}), (US,), now=LATER)
    assert (Observation(at=AT, jobs=(), read=frozenset({US})), True) == (found, found.is_complete)


@pytest.mark.parametrize("locations", [(US,), (US, EU)])
def test_what_could_not_be_read_is_named(locations: tuple[str, ...]) -> None:
    """A location that fails is named with the reason, and never taken for an empty one."""
    found = observe(Lists({US: UNREADABLE, EU: listing(EU, IN_EU)}), locations, now=AT)
    assert ({US: "Could not list the tuning jobs"}, frozenset(locations) - {US}, False) == (
        dict(found.unread),
        found.read,
        found.is_complete,
    )


def test_our_own_time_stands_in_for_a_silent_server() -> None:
    """Where no location answers, the look is dated by the caller's clock."""
    assert LATER == observe(Lists({US: UNREADABLE}), (US,), now=LATER).at


def test_a_look_at_nothing_sees_nothing() -> None:
    """Without locations there is nothing to ask."""
    assert Observation(at=AT, jobs=(), read=frozenset()) == observe(Lists({}), (), now=AT)


def test_missing_credentials_end_the_look() -> None:
    """What is the caller's fault is not taken for a blind spot."""
    with pytest.raises(CredentialsError):
        observe(Lists({US: CredentialsError("none"), EU: listing(EU)}), (US, EU), now=AT)


class TestUpdated:
    """A look of which some locations were read again."""

    before = an_observation(IN_US, IN_EU)

    def test_newer_jobs_replace_those_of_their_location(self) -> None:
        """A location that was read again shows what is there now, the others what was there before."""
        newer = an_observation(a_job(3), at=LATER)
        assert Observation(at=LATER, jobs=(IN_EU, a_job(3)), read=frozenset({US, EU})) == self.before.updated(newer)

    def test_a_failed_second_look_is_a_blind_spot(self) -> None:
        """A location that could not be read again keeps the jobs it had, and counts as unread."""
        newer = Observation(at=AT, jobs=(), read=frozenset(), unread={US: "503"})
        expected = Observation(at=AT, jobs=(IN_US, IN_EU), read=frozenset({EU}), unread={US: "503"})
        assert expected == self.before.updated(newer)

    def test_a_blind_spot_that_is_read_again_is_none(self) -> None:
        """Once a location answers, the look is complete again."""
        before = an_observation(IN_EU, unread=(US,))
        assert {} == dict(before.updated(an_observation(IN_US)).unread)

    def test_time_does_not_run_backwards(self) -> None:
        """An answer of a server whose clock is behind does not make the look older."""
        assert AT == self.before.updated(an_observation(at=AT - timedelta(minutes=1))).at
