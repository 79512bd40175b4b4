"""Bad weather: a service that refuses everything, and one that fails three calls in ten."""

from __future__ import annotations

from random import Random

from reconciler.errors import ApiError, Refusal
from reconciler.executor.loop import Ended
from reconciler.model.job import LiveJob
from reconciler.providers.protocol import JobRequest, Listing, Provider
from tests.builders import a_model, desired_of, minutes
from tests.worlds.service import Service

FIVE = desired_of(*(a_model(name) for name in ("alpha", "beta", "gamma", "delta", "epsilon")))


def test_a_storm_of_refusals_is_asked_no_oftener_than_the_back_off() -> None:
    """While the quota refuses everything, one create is sent per back-off step, however many wait."""
    service = Service(concurrent_jobs=5)
    service.simulator.set_faults(refuse_quota=1_000)

    followed = service.apply(FIVE, until_minutes=180)

    asked_in_three_hours = len(service.wire.creates)
    assert Ended.TIME_IS_UP is followed.ended
    # 30 s, 60 s, 120 s, 240 s, then one in five minutes: 40 steps in three hours, and nobody behind asks as well.
    assert 20 <= asked_in_three_hours <= 45
    service.simulator.set_faults()
    assert Ended.DONE is service.apply(FIVE).ended
    assert ["succeeded"] * 5 == service.states_of(service.own())


class Flaky:
    """A provider of which three calls in ten fail; a create that fails so was never sent."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._chance = Random(7)

    def list_jobs(self, location: str) -> Listing:
        """As the service does, or a failure."""
        self._weather()
        return self._provider.list_jobs(location)

    def get_job(self, name: str) -> LiveJob:
        """As the service does, or a failure."""
        self._weather()
        return self._provider.get_job(name)

    def create_job(self, request: JobRequest) -> LiveJob:
        """As the service does, or a failure."""
        self._weather()
        return self._provider.create_job(request)

    def cancel_job(self, name: str) -> None:
        """As the service does, or a failure."""
        self._weather()
        self._provider.cancel_job(name)

    def _weather(self) -> None:
        if self._chance.random() < 0.3:
            raise ApiError("Could not reach the service", kind=Refusal.UNREACHABLE)


def test_failing_calls_only_take_longer() -> None:
    """With three calls in ten failing everything is tuned all the same, once."""
    service = Service(concurrent_jobs=2, stride=minutes(1))

    followed = service.apply(FIVE, provider=Flaky(service.effects().provider))

    assert Ended.DONE is followed.ended
    assert ["succeeded"] * 5 == service.states_of(service.own())
