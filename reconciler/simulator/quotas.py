"""The tuning quotas as Cloud Quotas and as Service Usage tell them. Pure.

The ids are this simulator's own, since Google's are not documented; clients must go by the display names.
Source: https://cloud.google.com/docs/quotas/reference/rest/v1/projects.locations.services.quotaInfos and
https://cloud.google.com/service-usage/docs/reference/rest/v1beta1/services.consumerQuotaMetrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.simulator.answers import Call, Resource, Route
from reconciler.simulator.engine import Engine
from reconciler.simulator.listing import parameters
from reconciler.simulator.world import project_number

_SERVICE = "aiplatform.googleapis.com"
_PROJECT = r"/projects/(?P<project>[^/]+)"


@dataclass(frozen=True, slots=True)
class _Quota:
    """One quota; `limit` None is the world's own limit on concurrent jobs, `region` None the whole project."""

    quota_id: str
    metric: str
    display_name: str
    limit: int | None
    region: str | None = None


_QUOTAS = (
    _Quota("GlobalConcurrentTuningJobs", "global_concurrent_tuning_jobs", "Global concurrent tuning jobs", None),
    _Quota(
        "GlobalConcurrentManagedOssModelFineTuningJobs",
        "global_concurrent_managed_oss_model_fine_tuning_jobs",
        "Global concurrent managed OSS model fine-tuning jobs per project",
        1,
    ),
    _Quota(
        "RestrictedImageTrainingNvidiaA10080gbGpus",
        "restricted_image_training_nvidia_a100_80gb_gpus",
        "Restricted image training Nvidia A100 80GB GPUs per region",
        8,
        "us-central1",
    ),
    _Quota(
        "RestrictedImageTrainingTpuV3Pod",
        "restricted_image_training_tpu_v3_pod",
        "Restricted image training TPU V3 pod cores per region",
        64,
        "europe-west4",
    ),
)


def routes() -> tuple[Route, ...]:
    """The two lists; each answers with one page."""
    infos = rf"/(?P<version>v1){_PROJECT}/locations/global/services/{_SERVICE}/quotaInfos"
    metrics = rf"/(?P<version>v1beta1){_PROJECT}/services/{_SERVICE}/consumerQuotaMetrics"
    return (
        Route(method="GET", pattern=infos, answer=_quota_infos),
        Route(method="GET", pattern=metrics, answer=_consumer_quota_metrics),
    )


def _quota_infos(engine: Engine, call: Call) -> Resource:
    parameters(call, ("pageSize", "pageToken"))
    parent = f"projects/{project_number(call.parts['project'])}/locations/global/services/{_SERVICE}"
    return {"quotaInfos": [_quota_info(engine, parent, one) for one in _QUOTAS]}


def _quota_info(engine: Engine, parent: str, quota: _Quota) -> Resource:
    region = {"dimensions": _dimensions(quota)} if quota.region is not None else {}
    place = quota.region or "global"
    return {
        "name": f"{parent}/quotaInfos/{quota.quota_id}",
        "quotaId": quota.quota_id,
        "metric": f"{_SERVICE}/{quota.metric}",
        "service": _SERVICE,
        "containerType": "PROJECT",
        "metricDisplayName": quota.display_name,
        "quotaDisplayName": quota.display_name,
        "metricUnit": "1",
        **({"dimensions": ["region"]} if quota.region is not None else {}),
        "dimensionsInfos": [{**region, "details": {"value": _limit(engine, quota)}, "applicableLocations": [place]}],
    }


def _consumer_quota_metrics(engine: Engine, call: Call) -> Resource:
    parameters(call, ("pageSize", "pageToken", "view"))
    parent = f"projects/{project_number(call.parts['project'])}/services/{_SERVICE}/consumerQuotaMetrics"
    return {"metrics": [_metric(engine, parent, one) for one in _QUOTAS]}


def _metric(engine: Engine, parent: str, quota: _Quota) -> Resource:
    name = f"{parent}/{_SERVICE}%2F{quota.metric}"
    unit = "1/{project}/{region}" if quota.region is not None else "1/{project}"
    limit = _limit(engine, quota)
    bucket = {"effectiveLimit": limit, "defaultLimit": limit, "dimensions": _dimensions(quota)}
    return {
        "name": name,
        "metric": f"{_SERVICE}/{quota.metric}",
        "displayName": quota.display_name,
        "unit": "1",
        "consumerQuotaLimits": [
            {
                "name": f"{name}/limits/{unit.removeprefix('1').replace('/', '%2F').replace('{', '').replace('}', '')}",
                "metric": f"{_SERVICE}/{quota.metric}",
                "unit": unit,
                "quotaBuckets": [{key: value for key, value in bucket.items() if value}],
            }
        ],
    }


def _dimensions(quota: _Quota) -> Mapping[str, str]:
    return {} if quota.region is None else {"region": quota.region}


def _limit(engine: Engine, quota: _Quota) -> str:
    return str(engine.world.settings.concurrent_jobs if quota.limit is None else quota.limit)
