"""JSON in a request -> the message it stands for, by the rules of proto3 JSON, or every complaint at once. Pure.

Accepted: camelCase and snake_case names; int64 as 4, "4" or 4.0; enums by name or by number; null as not set.
A canonical message has camelCase names, int64 as strings, enums by name, and no field at its default value.
Source: https://protobuf.dev/programming-guides/json/, and the texts of recorded answers of Google's front end.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, assert_never

from reconciler.simulator.answers import Resource, Violation, invalid_argument


class Kind(StrEnum):
    """What a field holds. A STRUCT is an object taken as it comes."""

    STRING = "TYPE_STRING"
    INT64 = "TYPE_INT64"
    DOUBLE = "TYPE_DOUBLE"
    BOOL = "TYPE_BOOL"
    ENUM = "enum"
    MESSAGE = "message"
    STRING_MAP = "map"
    STRUCT = "struct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a message. `type_name` is its enum's or message's name, `numbers` its enum's values by name.

    At most one field of a message with the same `oneof` may be set. `is_beta`: unknown to v1.
    """

    kind: Kind
    type_name: str = ""
    message: Message | None = None
    numbers: Mapping[str, int] | None = None
    oneof: str | None = None
    is_output_only: bool = False
    is_beta: bool = False


Message: TypeAlias = Mapping[str, Field]

_INT64_MAX = 2**63 - 1


def parse_message(message: Message, payload: Resource, path: str, *, is_beta: bool) -> Resource:
    """The canonical message; raises Problem 400 naming everything that does not fit, as Google's front end does."""
    found: list[Violation] = []
    parsed = _parse(message, payload, path, is_beta, found)
    if found:
        raise invalid_argument("\n".join(one.description for one in found), found)
    return parsed


def visible(message: Message, resource: Resource, *, is_beta: bool) -> Resource:
    """A canonical message as one version of the API shows it: v1 does not know the fields of v1beta1."""
    shown: Resource = {}
    for name, value in resource.items():
        field = message[name]
        if field.is_beta and not is_beta:
            continue
        shown[name] = visible(field.message, value, is_beta=is_beta) if field.message is not None else value
    return shown


def snake_case(name: str) -> str:
    """`baseModel` as `base_model`."""
    return re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name)


def camel_case(name: str) -> str:
    """`base_model` as `baseModel`; a name that is camelCase already stays."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def _parse(message: Message, payload: Resource, path: str, is_beta: bool, found: list[Violation]) -> Resource:
    parsed: Resource = {}
    taken: set[str] = set()
    for key, value in payload.items():
        name = camel_case(key)
        field = message.get(name)
        if field is None or key not in (name, snake_case(name)) or (field.is_beta and not is_beta):
            found.append(_unknown_name(key, path, "Cannot find field."))
            continue
        if field.is_output_only or value is None:
            continue
        slot = field.oneof or name
        if slot in taken:
            found.append(_set_twice(field, key, path))
            continue
        taken.add(slot)
        canonical = _parse_field(field, value, key, f"{path}.{snake_case(name)}", is_beta, found)
        if canonical is not None:
            parsed[name] = canonical
    return parsed


def _parse_field(field: Field, value: Any, key: str, path: str, is_beta: bool, found: list[Violation]) -> Any:
    """The canonical value; None where it is the default or wrong."""
    if isinstance(value, list):
        found.append(_unknown_name(key, path.rpartition(".")[0], "Proto field is not repeating, cannot start list."))
        return None
    if field.kind is Kind.STRING_MAP:
        return _parse_map(value, path, found) or None
    try:
        if field.message is not None:
            # An empty message is still set, unlike an empty scalar.
            return _parse(field.message, _object(value), path, is_beta, found)
        return _unless_default(_scalar(field, value))
    except ValueError:
        type_name = field.kind.value if not field.type_name else f"type.googleapis.com/{_full_name(field, is_beta)}"
        found.append(_invalid_value(path, type_name, value))
        return None


def _unless_default(value: Any) -> Any:
    return value if value not in ("", "0", 0, False) else None


def _scalar(field: Field, value: Any) -> Any:
    match field.kind:
        case Kind.STRING:
            return _string(value)
        case Kind.INT64:
            return str(_int64(value))
        case Kind.DOUBLE:
            return _double(value)
        case Kind.BOOL:
            return _bool(value)
        case Kind.ENUM:
            return _enum(field.numbers or {}, value)
        case Kind.STRUCT:
            return _object(value)
        case Kind.MESSAGE | Kind.STRING_MAP:
            raise AssertionError("messages and maps are parsed field by field")
        case _:
            assert_never(field.kind)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _object(value: Any) -> Resource:
    if not isinstance(value, dict):
        raise ValueError
    return value


def _int64(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value, re.ASCII):
        number = int(value)
    else:
        exact = _double(value)
        if not float(exact).is_integer():
            raise ValueError
        number = int(exact)
    if not -_INT64_MAX - 1 <= number <= _INT64_MAX:
        raise ValueError
    return number


def _double(value: Any) -> int | float:
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", value, re.ASCII):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1.7e308 or math.isnan(value):
        raise ValueError
    # A whole double is written without its `.0`.
    return int(value) if float(value).is_integer() else value


def _enum(numbers: Mapping[str, int], value: Any) -> str:
    if isinstance(value, str) and value in numbers:
        return value if numbers[value] else ""
    number = _int64(value)
    for name, known in numbers.items():
        if known == number:
            return name if number else ""
    raise ValueError


def _parse_map(value: Any, path: str, found: list[Violation]) -> Resource:
    if not isinstance(value, dict):
        found.append(_invalid_value(path, "Map", value))
        return {}
    for position, one in enumerate(value.values()):
        if not isinstance(one, str):
            found.append(_invalid_value(f"{path}[{position}].value", Kind.STRING.value, one))
    return dict(value)


def _full_name(field: Field, is_beta: bool) -> str:
    return f"google.cloud.aiplatform.{'v1beta1' if is_beta else 'v1'}.{field.type_name}"


def _unknown_name(key: str, path: str, why: str) -> Violation:
    place = f" at '{path}'" if path else ""
    return Violation(path, f'Invalid JSON payload received. Unknown name "{key}"{place}: {why}')


def _invalid_value(path: str, type_name: str, value: Any) -> Violation:
    return Violation(path, f"Invalid value at '{path}' ({type_name}), {json.dumps(value)}")


def _set_twice(field: Field, key: str, path: str) -> Violation:
    if field.oneof is None:
        return _unknown_name(key, path, "Proto field is not repeating, cannot set it twice.")
    why = f"oneof field '{field.oneof}' is already set. Cannot set '{camel_case(key)}'"
    return Violation(path, f"Invalid value at '{path}' (oneof), {why}")
