"""A stack's defaults under a model's own spec; plain values in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Fields of which a spec has one: its own choice drops the other one that the defaults made.
_ALTERNATIVES = (
    ("baseModel", "preTunedModel"),
    ("hyperParameters", "pipelineTuning"),
    ("address", "tunedModelName"),
)
# Compared, and therefore replaced, as a whole.
_WHOLE = frozenset({"evaluationConfig"})


def merged(defaults: Any, own: Any) -> Any:
    """`own` over `defaults`, mapping by mapping; a null in `own` takes the default back (RFC 7396).

    What is not a mapping is left for the schema to complain about.
    """
    if own is None:
        return defaults
    if not isinstance(defaults, Mapping) or not isinstance(own, Mapping):
        return own
    dropped = _dropped(own)
    result = {key: value for key, value in defaults.items() if key not in dropped}
    for key, value in own.items():
        if value is None:
            result.pop(key, None)
        elif key in _WHOLE or key not in result:
            result[key] = value
        else:
            result[key] = merged(result[key], value)
    return result


def _dropped(own: Mapping[str, Any]) -> set[str]:
    return {
        other for one, two in _ALTERNATIVES for chosen, other in ((one, two), (two, one)) if own.get(chosen) is not None
    }
