"""A valid Stack manifest -> the stack: its paths made whole, its endpoint checked. Pure; looks at no file."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from reconciler.errors import Diagnostic
from reconciler.manifest.origin import Origin, error
from reconciler.manifest.schema import SimulatorSpec, StackManifest
from reconciler.manifest.shapes import DATE_PATTERN
from reconciler.model.desired import QuotaSettings, SimulatorSettings, Stack

SIMULATOR = "simulator"
_STORES = ("gs://", "s3://", "az://")
_WORLD_FILE = "simulator-world.json"


def stack_of(manifest: StackManifest, origin: Origin) -> Stack:
    """The stack; its manifest must have no problems."""
    spec = manifest.spec
    folder = posixpath.dirname(origin.document.path)
    state = _resolved(spec.state or f"../state/{manifest.metadata.name}.json", folder)
    quota = spec.quota
    return Stack(
        name=manifest.metadata.name,
        project=spec.project,
        location=spec.location,
        state=state,
        source=origin.source_of(),
        endpoint=spec.endpoint.rstrip("/") if spec.endpoint else None,
        catalogue_as_of=date.fromisoformat(spec.catalogueAsOf) if spec.catalogueAsOf else None,
        quota=QuotaSettings(concurrent_jobs=quota.concurrentJobs, max_slots=quota.maxSlots, order=quota.order)
        if quota
        else QuotaSettings(),
        simulator=_simulator(spec.simulator, state, folder) if spec.endpoint == SIMULATOR else None,
    )


def _simulator(spec: SimulatorSpec | None, state: str, folder: str) -> SimulatorSettings:
    beside = _resolved("../state", folder) if state.startswith(_STORES) else posixpath.dirname(state)
    settings = SimulatorSettings(world=posixpath.join(beside, _WORLD_FILE))
    if spec is None:
        return settings
    return SimulatorSettings(
        world=_resolved(spec.world, folder) if spec.world else settings.world,
        speed=settings.speed if spec.speed is None else spec.speed,
        concurrent_jobs=settings.concurrent_jobs if spec.concurrentJobs is None else spec.concurrentJobs,
        over_quota=spec.overQuota or settings.over_quota,
    )


def _resolved(path: str, folder: str) -> str:
    """A path as the manifest in that folder means it; an object store's URL as it is."""
    return path if path.startswith(_STORES) else posixpath.normpath(posixpath.join(folder, path))


def stack_problems(spec: Any, origin: Origin) -> Iterator[Diagnostic]:
    """What is wrong with a stack's plain values beyond their shape."""
    if not isinstance(spec, Mapping):
        return
    as_of, endpoint, state, simulator = (spec.get(key) for key in ("catalogueAsOf", "endpoint", "state", "simulator"))
    if isinstance(as_of, str) and re.fullmatch(DATE_PATTERN, as_of) and not _is_date(as_of):
        detail = f"There is no day {as_of}. Write a date as YYYY-MM-DD."
        yield error("value", "spec.catalogueAsOf is no date", detail, origin.source_of(("spec", "catalogueAsOf")))
    if isinstance(endpoint, str) and endpoint and (advice := _endpoint_advice(endpoint)):
        yield error("endpoint", "spec.endpoint cannot be used", advice, origin.source_of(("spec", "endpoint")))
    if simulator is not None and endpoint != SIMULATOR:
        detail = "It says how the embedded simulator behaves. Write endpoint: simulator, or remove it."
        yield error("conflict", "spec.simulator without the simulator", detail, origin.source_of(("spec", "simulator")))
    if isinstance(state, str) and (advice := _state_advice(state)):
        yield error("value", "spec.state cannot be used", advice, origin.source_of(("spec", "state")))
    world = simulator.get("world") if isinstance(simulator, Mapping) else None
    if isinstance(world, str) and ("://" in world or world.endswith("/")):
        detail = "The simulated world is a local file. Write a path, such as ../state/simulator-world.json."
        yield error(
            "value", "spec.simulator.world is no file", detail, origin.source_of(("spec", "simulator", "world"))
        )


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _endpoint_advice(endpoint: str) -> str | None:
    if endpoint == SIMULATOR:
        return None
    try:
        url = urlsplit(endpoint)
        host, _ = url.hostname, url.port
    except ValueError:
        return "It is not a URL. Write simulator, or https://HOST."
    if url.scheme not in ("http", "https") or not host:
        return "Write simulator, or a URL such as https://HOST; leave it out for Vertex AI."
    if url.username is not None or url.password is not None:
        return "It holds a user name or password, which do not belong into a manifest. Remove them."
    if url.query or url.fragment:
        return "It has a query or a fragment. Write the address alone, such as https://HOST."
    if url.scheme == "http" and not _is_loopback(host):
        return "Plain http would show your access token to the network. Write https; http is for loopback only."
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _state_advice(state: str) -> str | None:
    if state.startswith(_STORES):
        bucket = state.split("://", 1)[1].split("/", 1)[0]
        return None if bucket else "It names no bucket. Write gs://BUCKET/PREFIX."
    if "://" in state:
        return "State lives in a file, or under gs://, s3:// or az://. Write one of these."
    if state.startswith("~"):
        return "~ is not read as your home folder. Write a path relative to this manifest."
    if state.endswith("/"):
        return "It names a folder. Write a file, such as ../state/support.json."
    return None
