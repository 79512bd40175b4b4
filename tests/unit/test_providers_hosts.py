"""Locations and endpoints turned into base URLs."""

from __future__ import annotations

import pytest

from reconciler.errors import UsageError
from reconciler.providers.hosts import base_url, check_endpoint, is_google_url


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("us-central1", "https://us-central1-aiplatform.googleapis.com"),
        ("europe-west4", "https://europe-west4-aiplatform.googleapis.com"),
        ("global", "https://aiplatform.googleapis.com"),
        ("us", "https://aiplatform.us.rep.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_each_location_has_its_own_host(location: str, expected: str) -> None:
    """A region, global and the two jurisdictions are served by hosts of three shapes."""
    assert expected == base_url(location)


def test_another_universe_keeps_the_shape_of_the_host() -> None:
    """Only the domain differs in a sovereign cloud."""
    assert "https://us-central1-aiplatform.s3nsapis.fr" == base_url("us-central1", universe_domain="s3nsapis.fr")


@pytest.mark.parametrize("location", ["us-central1", "global", "us"])
def test_an_endpoint_stands_in_for_every_location(location: str) -> None:
    """All locations go to the endpoint, and a slash at its end does not double."""
    assert "http://localhost:8080" == base_url(location, endpoint="http://localhost:8080/")


@pytest.mark.parametrize(
    "location",
    ["", "US-CENTRAL1", "evil.example/", "a.b", "us-central1\n", "-us", "1us", "us central1", "us#", "u" * 41, "ü"],
)
def test_nothing_strange_becomes_part_of_a_host(location: str) -> None:
    """A location that is not plain letters, digits and dashes is refused, with and without an endpoint."""
    for endpoint in (None, "http://localhost:1"):
        with pytest.raises(UsageError):
            base_url(location, endpoint=endpoint)


@pytest.mark.parametrize("domain", ["", "evil.example/x", "googleapis", "a b.c", "user@host.example"])
def test_a_universe_domain_must_be_a_domain_name(domain: str) -> None:
    """What is no domain name is refused."""
    with pytest.raises(UsageError):
        base_url("us-central1", universe_domain=domain)


@pytest.mark.parametrize(
    "url",
    [
        "https://proxy.example",
        "https://proxy.example:8443/vertex",
        "http://localhost:8080",
        "http://127.0.0.1:1",
        "http://127.8.9.1",
        "http://[::1]:9000",
    ],
)
def test_https_anywhere_and_http_to_this_machine_are_endpoints(url: str) -> None:
    """Encrypted endpoints and those on loopback are taken as they are."""
    assert url == check_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.1",
        "http://localhost@evil.example",
        "https://user:secret@proxy.example",
        "https://evil.example\\@localhost",
        "https://proxy.example?x=1",
        "https://proxy.example#x",
        "https://proxy example",
        "https://proxy.example\n",
        "https://",
        "https://proxy.example:port",
        "https://[::1",
        "ftp://localhost",
        "localhost:8080",
        "simulator",
        "",
    ],
)
def test_other_endpoints_are_refused(url: str) -> None:
    """Plain http to another machine, and everything that is no bare URL, is refused."""
    with pytest.raises(UsageError):
        check_endpoint(url)


def test_the_refusal_of_an_endpoint_does_not_repeat_its_password() -> None:
    """Credentials in an endpoint stay out of the message that refuses it."""
    with pytest.raises(UsageError) as caught:
        check_endpoint("https://user:secret@proxy.example")
    assert "secret" not in f"{caught.value.summary} {caught.value.detail}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://us-central1-aiplatform.googleapis.com", True),
        ("https://aiplatform.us.rep.googleapis.com/v1", True),
        ("http://aiplatform.googleapis.com", False),
        ("https://googleapis.com.evil.example", False),
        ("https://evilgoogleapis.com", False),
        ("http://localhost:8080", False),
    ],
)
def test_google_hosts_are_told_from_others(url: str, expected: bool) -> None:
    """Only https below Google's domain counts as Google."""
    assert expected == is_google_url(url)
