"""A location turned into the host that serves it. Pure; nothing strange ever ends up in a host name."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from reconciler.errors import UsageError

DEFAULT_UNIVERSE_DOMAIN = "googleapis.com"
# The jurisdictions that have a "rep" host of their own shape.
# Source: `endpoints` of Google's discovery document of aiplatform v1, revision 20261106.
_JURISDICTIONS = frozenset({"us", "eu"})
_LOCATION = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
# urlsplit and httpx part ways on spaces, backslashes and @; none of them has a place in an endpoint.
_ODD_IN_URL = re.compile(r"[^!-~]|[\\@?#]")


def base_url(location: str, *, endpoint: str | None = None, universe_domain: str = DEFAULT_UNIVERSE_DOMAIN) -> str:
    """The URL, without a slash at its end, under which the location's resources live.

    `endpoint` stands in for every host: all locations go to it, told apart by the path. Raises UsageError for a
    location, endpoint or domain that cannot be one.

    Source: `endpoints` of Google's discovery document of aiplatform v1; there is no `global-aiplatform` host.
    """
    if not _LOCATION.fullmatch(location):
        raise UsageError(
            "This is no location",
            f"{location!r} is not the name of a Google Cloud location. A name looks like us-central1, or is global.",
        )
    if endpoint is not None:
        return check_endpoint(endpoint)
    if not _DOMAIN.fullmatch(universe_domain):
        raise UsageError("This is no universe domain", f"{universe_domain!r} is not a domain name like googleapis.com.")
    if location == "global":
        return f"https://aiplatform.{universe_domain}"
    if location in _JURISDICTIONS:
        return f"https://aiplatform.{location}.rep.{universe_domain}"
    return f"https://{location}-aiplatform.{universe_domain}"


def check_endpoint(url: str) -> str:
    """The endpoint without a slash at its end; raises UsageError unless it is https, or http to this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise _bad_endpoint(url, "it is not a URL") from None
    if _ODD_IN_URL.search(url):
        raise _bad_endpoint(url, "it holds a character that has no place in one; credentials and queries have none")
    if parts.scheme not in ("http", "https") or not host:
        raise _bad_endpoint(url, "it does not begin with https:// and a host")
    if parts.scheme == "http" and not is_loopback(host):
        raise _bad_endpoint(url, "a token would travel unencrypted; plain http is allowed to this machine only")
    return url.rstrip("/")


def is_google_url(url: str, *, universe_domain: str = DEFAULT_UNIVERSE_DOMAIN) -> bool:
    """Whether the URL leads to Google's own hosts, so that the caller's Google credentials may go there."""
    parts = urlsplit(url)
    return parts.scheme == "https" and (parts.hostname or "").endswith(f".{universe_domain}")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine: `localhost`, 127.0.0.0/8 or ::1; names are not looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bad_endpoint(url: str, why: str) -> UsageError:
    return UsageError(
        "This endpoint cannot be used",
        f"{_without_userinfo(url)!r}: {why}. Give https://HOST, or http://localhost:PORT for one on this machine.",
    )


def _without_userinfo(url: str) -> str:
    # A password in the URL must not travel into a log by way of the message that refuses it.
    return re.sub(r"//.*@", "//…@", url)
