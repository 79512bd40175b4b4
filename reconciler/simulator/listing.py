"""Query parameters, filters and pages: what every list of the API has in common. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from reconciler.simulator.answers import Call, Problem, Resource, Violation, invalid_argument
from reconciler.simulator.schema import camel_case
from reconciler.simulator.settings import Settings
from reconciler.simulator.world import project_number

T = TypeVar("T")

# System parameters of every Google API. Source: https://cloud.google.com/apis/docs/system-parameters.
_SYSTEM_PARAMETERS = frozenset(
    {"access_token", "alt", "callback", "fields", "key", "oauth_token", "prettyPrint", "quotaUser", "upload_protocol"}
)
_LIST_PARAMETERS = frozenset({"filter", "orderBy", "pageSize", "pageToken", "readMask"})
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a filter. `operator` is `=`, `!=` or `:` (has; `*` for any value)."""

    path: str
    operator: str
    value: str

    def fits(self, resource: Mapping[str, Any]) -> bool:
        """Whether the resource fits; a path is a field, or `labels.key`."""
        name, _, key = self.path.partition(".")
        actual = resource.get(name, {}).get(key) if key else resource.get(name)
        if self.operator == ":" and isinstance(actual, dict):
            return self.value in actual
        if self.operator == ":" and self.value == "*":
            return actual is not None
        return (actual == self.value) is not (self.operator == "!=")


def parameters(call: Call, known: Collection[str]) -> dict[str, str]:
    """The query parameters by camelCase name, the last of each; raises Problem 400 for one the method does not have."""
    found: dict[str, str] = {}
    for name, values in call.query.items():
        if name.startswith("$") or name in _SYSTEM_PARAMETERS:
            continue
        if camel_case(name) not in known:
            why = f"Cannot bind query parameter. Field '{name}' could not be found in request message."
            text = f'Invalid JSON payload received. Unknown name "{name}": {why}'
            raise invalid_argument(text, [Violation("", text)])
        found[camel_case(name)] = values[-1]
    return found


def parse_filter(text: str, fields: Collection[str]) -> tuple[Term, ...]:
    """The terms that must all fit; raises Problem 400 for anything but `field=value` and `labels.key=value` with AND.

    `fields` are the camelCase fields that may be asked; labels always may.
    """
    terms: list[Term] = []
    rest = text.strip()
    while rest:
        found = re.match(r'([A-Za-z][\w.-]*)\s*(!=|=|:)\s*("(?:[^"\\]|\\.)*"|[^\s"()=]+)\s*(AND\s+(?=\S)|$)', rest)
        path = _known_path(found[1], fields) if found is not None else None
        if found is None or path is None:
            raise invalid_argument(f"Invalid filter: {text}")
        terms.append(Term(path, found[2], _unquoted(found[3])))
        rest = rest[found.end() :]
    return tuple(terms)


def page(
    call: Call,
    settings: Settings,
    newest_first: Iterable[T],
    *,
    collection: str,
    key: Callable[[T], Sequence[str]],
    view: Callable[[T], Resource],
) -> Resource:
    """One page of a list that is ordered by falling keys; an empty list is `{}`.

    A page token names the last item shown, so items that come or go between pages neither repeat nor hide others.
    """
    asked = parameters(call, _LIST_PARAMETERS)
    size = _page_size(asked.get("pageSize", ""), settings)
    question = hashlib.sha256(f"{call.request.path}?{asked.get('filter', '')}".encode()).hexdigest()[:16]
    after = _token_key(asked.get("pageToken", ""), question)
    rest = (item for item in newest_first if after is None or list(key(item)) < after)
    shown = list(islice(rest, size + 1))
    answer: Resource = {}
    if shown:
        answer[collection] = [view(item) for item in shown[:size]]
    if len(shown) > size:
        answer["nextPageToken"] = _token(key(shown[size - 1]), question)
    return answer


def listed_resources(
    call: Call,
    settings: Settings,
    resources: Iterable[Resource],
    *,
    collection: str,
    view: Callable[[Resource], Resource],
) -> Resource:
    """One page of the resources under the call's parent that fit its filter, newest first."""
    terms = parse_filter(parameters(call, _LIST_PARAMETERS).get("filter", ""), {"displayName"})
    prefix = f"{parent_of(call)}/"
    found = [one for one in resources if one["name"].startswith(prefix) and all(term.fits(one) for term in terms)]
    newest_first = sorted(found, key=_resource_key, reverse=True)
    return page(call, settings, newest_first, collection=collection, key=_resource_key, view=view)


def parent_of(call: Call) -> str:
    """`projects/NUMBER/locations/L`, whichever form of the project was asked."""
    return f"projects/{project_number(call.parts['project'])}/locations/{call.parts['location']}"


def _resource_key(resource: Resource) -> tuple[str, str]:
    return resource["createTime"], resource["name"]


def _page_size(text: str, settings: Settings) -> int:
    if not text:
        return settings.page_size
    if not re.fullmatch(r"-?\d{1,10}", text, re.ASCII) or abs(int(text)) > _INT32_MAX:
        raise invalid_argument(f"Invalid value at 'page_size' (TYPE_INT32), \"{text}\"")
    if int(text) < 0:
        raise invalid_argument("page_size should not be negative.")
    return min(int(text), settings.page_size_max) or settings.page_size


def _token(key: Sequence[str], question: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([question, list(key)]).encode()).decode()


def _token_key(token: str, question: str) -> list[str] | None:
    if not token:
        return None
    try:
        asked, key = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        raise _bad_token() from None
    # A token goes with the parent and the filter it was made for.
    if asked != question or not isinstance(key, list):
        raise _bad_token()
    return [str(part) for part in key]


def _bad_token() -> Problem:
    return invalid_argument("The page token is invalid.")


def _known_path(path: str, fields: Collection[str]) -> str | None:
    if path == "labels" or path.startswith("labels."):
        return path
    name = camel_case(path)
    return name if name in fields else None


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
