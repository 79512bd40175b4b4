"""The collection `endpoints`: get and list. Endpoints come into being when jobs succeed."""

from __future__ import annotations

from reconciler.simulator.answers import PARENT, Call, Resource, Route, not_found
from reconciler.simulator.engine import Engine
from reconciler.simulator.listing import listed_resources, parameters, parent_of
from reconciler.simulator.models import with_etag


def routes() -> tuple[Route, ...]:
    """The methods of this collection."""
    return (
        Route(method="GET", pattern=PARENT + "/endpoints", answer=_list, lists=True),
        Route(method="GET", pattern=PARENT + r"/endpoints/(?P<endpoint>[^/:]+)", answer=_get),
    )


def _get(engine: Engine, call: Call) -> Resource:
    """Source: recorded answers name the endpoint that was not found."""
    parameters(call, ())
    name = f"{parent_of(call)}/endpoints/{call.parts['endpoint']}"
    endpoint = engine.world.endpoints.get(name)
    if endpoint is None:
        raise not_found(f'endpoint "{name}" not found')
    return with_etag(engine, endpoint, call)


def _list(engine: Engine, call: Call) -> Resource:
    return listed_resources(
        call,
        engine.world.settings,
        engine.world.endpoints.values(),
        collection="endpoints",
        view=lambda endpoint: with_etag(engine, endpoint, call),
    )
