"""The collection `models`: get (by name, version or alias) and list. Models come into being when jobs succeed."""

from __future__ import annotations

import hashlib

from reconciler.simulator.answers import PARENT, Call, Resource, Route, not_found
from reconciler.simulator.engine import Engine
from reconciler.simulator.listing import listed_resources, parameters, parent_of
from reconciler.simulator.outputs import find_version
from reconciler.simulator.world import rfc3339


def routes() -> tuple[Route, ...]:
    """The methods of this collection."""
    return (
        Route(method="GET", pattern=PARENT + "/models", answer=_list, lists=True),
        Route(method="GET", pattern=PARENT + r"/models/(?P<model>[^/:]+)", answer=_get),
    )


def with_etag(engine: Engine, resource: Resource, call: Call) -> Resource:
    """The resource with an etag that differs from one read to the next.

    Source: a get and a list of the same unchanged model were recorded with different etags.
    """
    seed = f"{resource['name']} {call.request.path} {rfc3339(engine.now)}"
    return resource | {"etag": "AMbnqF" + hashlib.sha256(seed.encode()).hexdigest()[:26]}


def _get(engine: Engine, call: Call) -> Resource:
    parameters(call, ())
    name = f"{parent_of(call)}/models/{call.parts['model']}"
    version = find_version(engine.world, name)
    if version is None:
        raise not_found("The Model does not exist.")
    return with_etag(engine, version, call)


def _list(engine: Engine, call: Call) -> Resource:
    """One entry a model, its default version."""
    return listed_resources(
        call,
        engine.world.settings,
        (model for model in engine.world.models.values() if "versionAliases" in model),
        collection="models",
        view=lambda model: with_etag(engine, model, call),
    )
