"""The limits of the tuning quotas: read from either service, matched by display name, and who told them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from reconciler.catalogue.catalogue import load_catalogue
from reconciler.cli.service import Service, read_rules
from reconciler.model.desired import QuotaSettings
from reconciler.providers.auth import FixedToken
from reconciler.providers.connection import Connection
from reconciler.providers.http import Http
from reconciler.providers.limited import LimitedProvider
from reconciler.providers.quotas import Limits, QuotaName, read_limits
from reconciler.providers.vertex import VertexClient
from reconciler.providers.wire.quotas import (
    UNLIMITED,
    LimitRow,
    find_limit,
    rows_from_metrics,
    rows_from_quota_infos,
)
from reconciler.quota import take_ledger
from reconciler.simulator.clock import ManualClock
from reconciler.simulator.simulator import Simulator
from tests.builders import AT, PROJECT, a_model, a_stack, a_state, an_observation, desired_of

NAMES = [QuotaName(name, one.display_name, one.location) for name, one in load_catalogue().quotas.items()]
ALL = {"global": 7, "open": 1, "GPU": 8, "TPU": 64}
JOBS = "Global concurrent tuning jobs"


class Broken(httpx.BaseTransport):
    """A simulator some of whose hosts refuse, or know no quota."""

    def __init__(self, *, refused: tuple[str, ...] = (), empty: tuple[str, ...] = ()) -> None:
        self.inner = Simulator.in_memory(ManualClock(AT), concurrent_jobs=7).transport()
        self.refused = refused
        self.empty = empty

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The simulator's answer, or what is wrong with that host."""
        host = request.url.host.split(".")[0]
        if host in self.refused:
            error = {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}
            return httpx.Response(403, json={"error": error})
        return httpx.Response(200, json={}) if host in self.empty else self.inner.handle_request(request)


def an_http(transport: httpx.BaseTransport) -> Http:
    """A speaker that reaches nothing but the transport."""
    return Http(connection=Connection(transport=transport), tokens=FixedToken("token"), clock=ManualClock(AT))


def a_service(transport: httpx.BaseTransport) -> Service:
    """The service of a session behind the transport."""
    clock, http = ManualClock(AT), an_http(transport)
    provider = LimitedProvider(VertexClient(project=PROJECT, http=http), clock)
    return Service(provider=provider, clock=clock, http=http, endpoint=None)


def an_info(value: object, region: str | None = None, name: str = JOBS) -> dict[str, Any]:
    """A QuotaInfo of one limit."""
    dimensions = {} if region is None else {"dimensions": {"region": region}}
    return {"quotaDisplayName": name, "dimensionsInfos": [{**dimensions, "details": {"value": value}}]}


def a_metric(value: object, region: str | None = None, name: str = JOBS) -> dict[str, Any]:
    """A ConsumerQuotaMetric of one limit."""
    dimensions = {} if region is None else {"dimensions": {"region": region}}
    return {
        "displayName": name,
        "consumerQuotaLimits": [{"quotaBuckets": [{**dimensions, "effectiveLimit": value}]}],
    }


@pytest.mark.parametrize(
    ("told", "value"),
    [("4", 4), (4, 4), ("0", 0), ("-1", UNLIMITED), (-1, UNLIMITED), ("9223372036854775807", 2**63 - 1)],
)
def test_a_limit_reads_the_same_from_both_services(told: object, value: int) -> None:
    """Numbers come as text or as numbers, and -1 stands for no limit."""
    row = (LimitRow(JOBS, "us-central1", value),)
    assert row == rows_from_quota_infos([an_info(told, "us-central1")])
    assert row == rows_from_metrics([a_metric(told, "us-central1")])


@pytest.mark.parametrize("told", [None, "", "many", "1.5", True, [], {}, "9" * 5000])
def test_what_is_no_number_is_left_out(told: object) -> None:
    """A figure that is not understood is no limit, and keeps none of the others from being read."""
    assert (LimitRow(JOBS, None, 3),) == rows_from_quota_infos([an_info(told), an_info("3")])
    assert (LimitRow(JOBS, None, 3),) == rows_from_metrics([a_metric(told), a_metric("3")])


@pytest.mark.parametrize("junk", [None, 7, "text", [None], ["text"], [[]], {"a": 1}])
def test_an_answer_of_another_shape_tells_nothing(junk: Any) -> None:
    """Whatever stands where a list or an object belongs is passed over."""
    infos = [
        {"quotaDisplayName": JOBS, "dimensionsInfos": junk},
        {"quotaDisplayName": JOBS, "dimensionsInfos": [{"details": junk, "dimensions": junk}]},
        {"quotaDisplayName": None, "dimensionsInfos": [{"details": {"value": "1"}}]},
    ]
    metrics = [
        {"displayName": JOBS, "consumerQuotaLimits": junk},
        {"displayName": JOBS, "consumerQuotaLimits": [{"quotaBuckets": junk}]},
        {"displayName": None, "consumerQuotaLimits": [{"quotaBuckets": [{"effectiveLimit": "1"}]}]},
    ]
    assert ((), ()) == (rows_from_quota_infos(infos), rows_from_metrics(metrics))


HERE, THERE, ALL_OVER = LimitRow(JOBS, "us-central1", 4), LimitRow(JOBS, "europe-west4", 2), LimitRow(JOBS, None, 9)


@pytest.mark.parametrize(
    ("rows", "location", "limit"),
    [
        ([HERE, THERE, ALL_OVER], "us-central1", 4),
        ([THERE, ALL_OVER], "us-central1", 9),
        ([THERE], "us-central1", None),
        ([HERE, THERE, ALL_OVER], None, 9),
        ([HERE, THERE], None, None),
        ([ALL_OVER, LimitRow(JOBS, None, 3)], None, 3),
        ([LimitRow("global  CONCURRENT tuning-jobs", None, 5)], None, 5),
        ([LimitRow("Global concurrent tuning jobs per user", None, 5)], None, None),
        ([], None, None),
    ],
)
def test_a_quota_is_found_by_its_name_and_place(rows: list[LimitRow], location: str | None, limit: int | None) -> None:
    """Case, blanks and hyphens do not matter; the place's own figure goes first, and the smallest of equals bites."""
    assert limit == find_limit(rows, JOBS, location)


@pytest.mark.parametrize(
    ("transport", "limits"),
    [
        (Broken(), Limits(ALL, "Cloud Quotas")),
        (Broken(empty=("cloudquotas",)), Limits(ALL, "Service Usage", ("Cloud Quotas tells no tuning quota",))),
    ],
)
def test_the_limits_come_with_who_told_them(transport: Broken, limits: Limits) -> None:
    """Every quota of the catalogue is found by name in either service; the second is asked where the first fails."""
    assert limits == read_limits(an_http(transport), PROJECT, NAMES)


def test_a_service_that_refuses_is_passed_over_and_named() -> None:
    """Without permission for the first service the second tells, and what went wrong is kept."""
    told = read_limits(an_http(Broken(refused=("cloudquotas",))), PROJECT, NAMES)
    assert (ALL, "Service Usage") == (told.by_lane, told.source)
    (problem,) = told.problems
    assert problem.startswith("Cloud Quotas: ")


@pytest.mark.parametrize("page", [{"quotaInfos": 3}, {"quotaInfos": ["x"]}])
def test_a_page_of_another_shape_is_a_problem_not_a_crash(page: dict[str, Any]) -> None:
    """Somebody else's answer is named, and the limit stays unknown."""
    answer = httpx.MockTransport(lambda request: httpx.Response(200, json=page))
    told = read_limits(an_http(answer), PROJECT, NAMES)
    assert ({}, "", 2) == (told.by_lane, told.source, len(told.problems))


def test_all_pages_are_read() -> None:
    """The quota may stand on a later page; a last page ends with no token or with null."""
    pages = {
        None: {"quotaInfos": [], "nextPageToken": "p2"},
        "p2": {"quotaInfos": [an_info("5")], "nextPageToken": None},
    }
    paged = httpx.MockTransport(lambda request: httpx.Response(200, json=pages[request.url.params.get("pageToken")]))
    assert Limits({"global": 5}, "Cloud Quotas") == read_limits(an_http(paged), PROJECT, NAMES)


def test_a_list_without_end_is_given_up() -> None:
    """A service that always names a next page costs so many requests and no more."""
    asked: list[str] = []

    def endless(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"nextPageToken": "again"})

    told = read_limits(an_http(httpx.MockTransport(endless)), PROJECT, NAMES[:1])
    assert (2, 200) == (len(told.problems), len(asked))


def test_a_ledger_says_who_told_its_limit() -> None:
    """With `concurrentJobs: auto` the limit is the service's, by name."""
    desired = desired_of(a_model(), stack=a_stack(quota=QuotaSettings()))
    rules, problems = read_rules(a_service(Broken()), desired, load_catalogue())
    ledger = take_ledger(desired.stack.quota, a_state(), an_observation(), rules)
    assert ((), 7, "Cloud Quotas") == (problems, ledger.limit, ledger.limit_source)


def test_a_quota_nobody_may_read_is_one() -> None:
    """Where both services refuse, one job at a time is assumed, and both are named."""
    desired = desired_of(a_model(), stack=a_stack(quota=QuotaSettings()))
    refusing = Broken(refused=("cloudquotas", "serviceusage"))
    rules, problems = read_rules(a_service(refusing), desired, load_catalogue())
    ledger = take_ledger(desired.stack.quota, a_state(), an_observation(), rules)
    assert (1, "assumed, the documented minimum") == (ledger.limit, ledger.limit_source)
    assert ["Cloud Quotas", "Service Usage"] == [one.partition(":")[0] for one in problems]


def test_a_limit_the_stack_sets_is_not_asked_for() -> None:
    """A number in the manifest needs no permission to read quotas."""
    desired = desired_of(a_model(), stack=replace(a_stack(), quota=QuotaSettings(concurrent_jobs=4)))
    refusing = Broken(refused=("cloudquotas", "serviceusage"))
    rules, problems = read_rules(a_service(refusing), desired, load_catalogue())
    assert ((), 4) == (problems, take_ledger(desired.stack.quota, a_state(), an_observation(), rules).limit)
