"""Quota limits out of the answers of Cloud Quotas and of Service Usage; pure.

The ids of the tuning quotas are not documented, so a quota is known by its display name.
Source: https://cloud.google.com/docs/quotas/reference/rest/v1/projects.locations.services.quotaInfos and
https://cloud.google.com/service-usage/docs/reference/rest/v1beta1/services.consumerQuotaMetrics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Google writes -1 for "no limit"; a number that no project reaches keeps every sum simple.
UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit as a service tells it. `location` None: one figure for the project."""

    display_name: str
    location: str | None
    value: int


def rows_from_quota_infos(infos: Iterable[Mapping[str, Any]]) -> tuple[LimitRow, ...]:
    """The limits in QuotaInfo objects; one that is not understood is left out."""
    rows = []
    for info in infos:
        names = {str(info.get(key) or "") for key in ("quotaDisplayName", "metricDisplayName")} - {""}
        for each in _objects(info, "dimensionsInfos"):
            value = _number(_object(each, "details").get("value"))
            location = _object(each, "dimensions").get("region")
            rows += [LimitRow(name, location, value) for name in sorted(names) if value is not None]
    return tuple(rows)


def rows_from_metrics(metrics: Iterable[Mapping[str, Any]]) -> tuple[LimitRow, ...]:
    """The limits in ConsumerQuotaMetric objects; one that is not understood is left out."""
    rows = []
    for metric in metrics:
        name = str(metric.get("displayName") or "")
        for limit in _objects(metric, "consumerQuotaLimits"):
            for bucket in _objects(limit, "quotaBuckets"):
                value = _number(bucket.get("effectiveLimit"))
                location = _object(bucket, "dimensions").get("region")
                rows += [LimitRow(name, location, value)] if name and value is not None else []
    return tuple(rows)


def find_limit(rows: Iterable[LimitRow], display_name: str, location: str | None) -> int | None:
    """The limit of that name: the location's own figure before the one for all; None where none is told."""
    wanted = _plain(display_name)
    named = [row for row in rows if _plain(row.display_name) == wanted]
    exact = [row.value for row in named if row.location == location]
    general = [row.value for row in named if row.location is None]
    # Several figures for one place are told from general to specific; the smallest is the one that bites.
    return min(exact or general, default=None)


def _object(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _objects(document: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    value = document.get(key)
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("-", " ").split())


def _number(raw: object) -> int | None:
    try:
        value = int(str(raw))
    except ValueError:
        return None
    return UNLIMITED if value < 0 else value
