"""A request -> an answer. Pure but for the world behind the engine: no clock, no socket, no file.

Adding a resource family is adding its `routes` here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import parse_qs, unquote

from reconciler.simulator import endpoints, models, quotas, tuning_jobs
from reconciler.simulator.answers import (
    JSON_TYPE,
    Call,
    Problem,
    Request,
    Response,
    Route,
    Violation,
    invalid_argument,
    invalid_fields,
    unauthenticated,
    unavailable,
)
from reconciler.simulator.engine import Engine
from reconciler.simulator.spoiling import after_create, before_create

SPEED_HEADER = "x-tuneform-simulator-speed"
_HTML_TYPE = "text/html; charset=UTF-8"
_MULTI_REGIONS = frozenset({"us", "eu"})


def handle(engine: Engine, request: Request) -> Response:
    """The answer at the engine's present instant. Never raises for a bad request: that is an answer too."""
    try:
        return _answer(engine, request)
    except Problem as problem:
        waits = {} if problem.retry_after_s is None else {"retry-after": str(problem.retry_after_s)}
        return _response(engine, problem.status, JSON_TYPE, json.dumps(problem.as_json()).encode(), waits)
    except LookupError:
        # The front end answers a method or path it does not know with a page, not with JSON.
        return _response(engine, 404, _HTML_TYPE, _page_not_found())


def http_date(instant: datetime) -> str:
    """An instant as the `date` header has it, in whole seconds (RFC 7231)."""
    return format_datetime(instant, usegmt=True)


def _response(
    engine: Engine, status: int, content_type: str, body: bytes, more: Mapping[str, str] | None = None
) -> Response:
    headers = {
        "content-type": content_type,
        "date": http_date(engine.now),
        "server": "ESF",
        SPEED_HEADER: f"{engine.world.settings.speed:g}",
    }
    return Response(status=status, headers=headers | dict(more or {}), body=body)


def _answer(engine: Engine, request: Request) -> Response:
    route, call = _routed(request)
    if not re.fullmatch(r"[Bb]earer\s+\S+", request.headers.get("authorization", "").strip()):
        raise unauthenticated(f"{request.method} {request.path}")
    location = call.parts.get("location")
    if location is not None:
        _check_host(request.host, location)
    if route.lists and location in engine.world.faults.unread_locations:
        raise unavailable()
    may_be_spoiled = route.creates and not request.is_spared
    if may_be_spoiled:
        unmade = before_create(engine.world, call.parts["project"], call.parts["location"])
        if unmade is not None:
            return unmade
    answer = _response(engine, 200, JSON_TYPE, json.dumps(route.answer(engine, call)).encode())
    return after_create(engine.world, answer) if may_be_spoiled else answer


def _routes() -> tuple[Route, ...]:
    return (*tuning_jobs.routes(), *models.routes(), *endpoints.routes(), *quotas.routes())


def _routed(request: Request) -> tuple[Route, Call]:
    """The route of the request, and its parts; raises LookupError where there is none."""
    path = re.sub("%3a", ":", request.path, flags=re.IGNORECASE)
    for route in _routes():
        found = re.fullmatch(route.pattern, path) if route.method == request.method else None
        if found is not None:
            parts = {name: unquote(part) for name, part in found.groupdict().items()}
            query = parse_qs(request.query, keep_blank_values=True)
            return route, Call(request=request, version=parts["version"], parts=parts, query=query)
    raise LookupError(request.path)


def _check_host(host: str, location: str) -> None:
    """Google's own hosts serve one location each; any other host stands for all of them.

    Source: the discovery document's list of endpoints, and recorded refusals of hosts that do not match.
    """
    name = host.partition(":")[0].lower()
    served = _served_location(name)
    if served in _MULTI_REGIONS and not name.endswith(".rep.googleapis.com"):
        raise invalid_argument(f"Invalid hostname: {name}")
    if served is None or served == location:
        return
    why = f"The provided location ID doesn't match the endpoint. The valid location ID is `{served}`."
    raise invalid_fields([Violation("name", why)])


def _served_location(host: str) -> str | None:
    if host == "aiplatform.googleapis.com":
        return "global"
    found = re.fullmatch(r"([a-z0-9-]+)-aiplatform\.googleapis\.com|aiplatform\.(us|eu)\.rep\.googleapis\.com", host)
    return None if found is None else found[1] or found[2]


def _page_not_found() -> bytes:
    text = (
        "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)</title>\n<p>The requested URL was not found.\n"
    )
    return text.encode()
