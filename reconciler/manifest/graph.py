"""Models that are tuned on from other models of the stack: who knows whom, no circles, parents first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from reconciler.errors import Diagnostic
from reconciler.manifest.explain import close_to
from reconciler.manifest.flatten import Draft, finished
from reconciler.manifest.origin import error
from reconciler.model.desired import DesiredModel

_PARENT = ("preTunedModel", "address")


def parent_problems(drafts: Sequence[Draft], *, declared: Collection[str], complete: bool) -> Iterator[Diagnostic]:
    """Parents that are nowhere, and circles of parents.

    `declared` are the names of all manifests, also of those that are wrong; not `complete` means there may be more.
    """
    by_address = {one.address: one for one in drafts}
    for one in drafts:
        if one.parent is None or one.parent in by_address or not complete:
            continue
        name = one.parent.partition("[")[0]
        if name in declared and name not in by_address and not _is_expanded(name, by_address):
            # Its own manifest is wrong, which is told there.
            continue
        close = close_to(one.parent, by_address)
        advice = f"Did you mean {close}?" if close else "Declare it, or name it by preTunedModel.tunedModelName."
        detail = f"{one.address} is tuned on from “{one.parent[:80]}”, which no manifest declares. {advice}"
        yield error(
            "parent", "A parent that does not exist", detail, one.origin.source_of((*one.origin.spec, *_PARENT))
        )
    yield from _circles(by_address)


def _is_expanded(name: str, by_address: Mapping[str, Draft]) -> bool:
    return any(address.startswith(f"{name}[") for address in by_address)


def _circles(by_address: Mapping[str, Draft]) -> Iterator[Diagnostic]:
    done: set[str] = set()
    for start in by_address:
        trail: dict[str, None] = {}
        address: str | None = start
        while address is not None and address in by_address and address not in done:
            if address in trail:
                yield _circle([*trail][[*trail].index(address) :], by_address)
                break
            trail[address] = None
            address = by_address[address].parent
        done.update(trail)


def _circle(members: Sequence[str], by_address: Mapping[str, Draft]) -> Diagnostic:
    first = by_address[members[0]]
    shown = " → ".join((*members[:10], *(["…"] if len(members) > 10 else []), members[0]))
    detail = f"Each is tuned on from the next: {shown}. Give one of them a baseModel."
    return error(
        "cycle", "Models that wait for each other", detail, first.origin.source_of((*first.origin.spec, *_PARENT))
    )


def finish(drafts: Sequence[Draft]) -> tuple[DesiredModel, ...]:
    """The desired models, sorted by address, each with its parent's fingerprint in its own.

    There must be no circle, and every parent must be there.
    """
    by_address = {one.address: one for one in drafts}
    models: dict[str, DesiredModel] = {}
    for one in drafts:
        waiting = [one] if one.address not in models else []
        while waiting:
            parent = waiting[-1].parent
            if parent is not None and parent not in models:
                waiting.append(by_address[parent])
                continue
            ready = waiting.pop()
            models[ready.address] = finished(ready, models[parent].fingerprint if parent is not None else None)
    return tuple(models[address] for address in sorted(models))
