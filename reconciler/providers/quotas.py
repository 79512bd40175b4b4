"""The limits of the tuning quotas, read from Google: Cloud Quotas first, Service Usage where that says nothing.

Does I/O through Http; nothing is cached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.errors import ApiError, Refusal
from reconciler.providers.hosts import DEFAULT_UNIVERSE_DOMAIN, check_endpoint
from reconciler.providers.http import Http
from reconciler.providers.wire.quotas import LimitRow, find_limit, rows_from_metrics, rows_from_quota_infos

_SERVICE = "aiplatform.googleapis.com"
_MAX_PAGES = 100


@dataclass(frozen=True, slots=True)
class QuotaName:
    """A quota to look for: our word for it, Google's display name, and its location, None for the whole project."""

    lane: str
    display_name: str
    location: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that were told, by lane, who told them, and what went wrong on the way, in words."""

    by_lane: Mapping[str, int] = field(default_factory=dict)
    source: str = ""
    problems: tuple[str, ...] = ()


def read_limits(
    http: Http,
    project: str,
    names: Sequence[QuotaName],
    *,
    endpoint: str | None = None,
    universe_domain: str = DEFAULT_UNIVERSE_DOMAIN,
) -> Limits:
    """The limits of these quotas. One that nobody tells is missing in the result; that is no error.

    `endpoint` stands in for Google's hosts. Raises CredentialsError.
    """
    problems: list[str] = []
    for source, host, path, items, rows in _SERVICES:
        base = f"https://{host}.{universe_domain}" if endpoint is None else check_endpoint(endpoint)
        try:
            told = rows(_pages(http, base + path.format(project=project, service=_SERVICE), items))
        except ApiError as error:
            problems.append(f"{source}: {error.summary}")
            continue
        found = _by_lane(told, names)
        if found:
            return Limits(found, source, tuple(problems))
        problems.append(f"{source} tells no tuning quota")
    return Limits(problems=tuple(problems))


_SERVICES = (
    (
        "Cloud Quotas",
        "cloudquotas",
        "/v1/projects/{project}/locations/global/services/{service}/quotaInfos",
        "quotaInfos",
        rows_from_quota_infos,
    ),
    (
        "Service Usage",
        "serviceusage",
        "/v1beta1/projects/{project}/services/{service}/consumerQuotaMetrics",
        "metrics",
        rows_from_metrics,
    ),
)


def _by_lane(rows: Sequence[LimitRow], names: Sequence[QuotaName]) -> dict[str, int]:
    found = {name.lane: find_limit(rows, name.display_name, name.location) for name in names}
    return {lane: limit for lane, limit in found.items() if limit is not None}


def _pages(http: Http, url: str, items: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    token = ""
    for _ in range(_MAX_PAGES):
        params = {"pageSize": "500"} | ({"pageToken": token} if token else {})
        document = http.get_json(url, doing="read the quota", params=params).document
        page = document.get(items, [])
        if not isinstance(page, list) or not all(isinstance(one, dict) for one in page):
            raise ApiError("Could not read the quota", f"{url} answered something else.", kind=Refusal.INVALID)
        found += page
        token = str(document.get("nextPageToken") or "")
        if not token:
            return found
    raise ApiError("Could not read the quota", f"{url} has no end of pages.", kind=Refusal.INVALID)
