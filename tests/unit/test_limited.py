"""Requests per minute, kept below what the service allows and counted."""

from __future__ import annotations

from datetime import timedelta

from reconciler.providers.limited import SUBMISSIONS_PER_MINUTE, LimitedProvider
from reconciler.providers.protocol import JobRequest
from tests.builders import AT, LOCATION, a_model
from tests.worlds.service import Service

MINUTE = timedelta(minutes=1)


def a_request(location: str = LOCATION) -> JobRequest:
    """A job to create."""
    return JobRequest(location=location, fields=a_model().fields, labels={}, nonce="n")


def limited(service: Service, **limits: int) -> LimitedProvider:
    """The service's own client, asked within the limits, by the service's clock."""
    return LimitedProvider(service.effects().provider, service.clock, **limits)


def test_the_submission_too_many_waits_for_the_minute_to_pass() -> None:
    """Sixty submissions go at once; the next goes a minute after the first."""
    service = Service()
    provider = limited(service)
    for _ in range(SUBMISSIONS_PER_MINUTE):
        provider.create_job(a_request())
    assert AT == service.clock.now()
    provider.create_job(a_request())
    assert (AT + MINUTE, 61, 61) == (service.clock.now(), provider.request_count, len(service.wire.creates))


def test_a_request_leaves_the_count_a_minute_after_it_was_sent() -> None:
    """The minute slides: who waits, waits for the oldest request to be a minute old, not for a full minute."""
    service = Service()
    provider = limited(service, submissions_per_minute=2)
    for second in (0, 50):
        service.clock.advance_to(AT + timedelta(seconds=second))
        provider.create_job(a_request())
    provider.create_job(a_request())
    assert AT + MINUTE == service.clock.now()
    provider.create_job(a_request())
    assert AT + timedelta(seconds=110) == service.clock.now()


def test_each_location_has_its_own_minute() -> None:
    """A full minute in one location keeps nobody from another."""
    service = Service()
    provider = limited(service, submissions_per_minute=1)
    provider.create_job(a_request())
    provider.create_job(a_request("europe-west4"))
    assert AT == service.clock.now()
    provider.create_job(a_request("europe-west4"))
    assert AT + MINUTE == service.clock.now()


def test_reads_and_cancels_share_a_minute_that_submissions_do_not_use() -> None:
    """Lists, gets and cancels count together; a submission does not wait for them."""
    service = Service()
    provider = limited(service, requests_per_minute=3, submissions_per_minute=1)
    provider.list_jobs(LOCATION)
    job = provider.create_job(a_request())
    provider.get_job(job.name)
    provider.cancel_job(job.name)
    assert (AT, 4) == (service.clock.now(), provider.request_count)
    assert provider.get_job(job.name).is_cancelling or not provider.get_job(job.name).is_active
    assert AT + MINUTE == service.clock.now()
