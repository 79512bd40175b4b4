"""The state as a JSON document and back; pure.

The document is sorted and keeps one record, intent, ticket or hold to a line, so that two versions of a state can be
read side by side. It carries a digest of its own content, which notices damage and edits by hand but not other spacing.
Whatever is not a whole and sound state of a format this version knows is a StateError, never an empty state.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from reconciler.errors import StateError
from reconciler.model.fields import FINGERPRINT_VERSION
from reconciler.state.integrity import entry, problems_of
from reconciler.state.records import STATE_FORMAT, State
from reconciler.state.shapes import HEAD, HOLD, INTENT, RECORD, TICKET, Shape, UnsoundError, shown
from reconciler.version import __version__

_SECTIONS: Mapping[str, Shape] = {"records": RECORD, "retired": RECORD, "intents": INTENT, "queue": TICKET}
_KEYS = frozenset({"format", "digest", "holds", *_SECTIONS, *HEAD.keys})
_PROBLEMS_SHOWN_MAX_COUNT = 20

_RESTORE = (
    "Put back its last good version (a state file keeps one beside it, ending in .backup, and a bucket keeps older "
    "generations), or rebuild it from the labels of the live jobs:"
)
_RECOVER = "tuneform state recover"
_PUSH = "tuneform state push FILE"


def encode_state(state: State) -> str:
    """The state as its document, ending in a newline; the same state always gives the same text.

    Raises StateError for a state that `decode_state` would refuse, so that what is broken is never written.
    """
    problems = problems_of(state)
    if problems:
        raise StateError(
            "The new state is not sound and was not written",
            f"The state before it is untouched. This is a defect of tuneform {__version__}; please report it.\n"
            f"{_listed(problems)}",
        )
    with _no_collection():
        document = _document_of(state)
        text = _laid_out({**document, "digest": _digest_of(document)})
    # Half a surrogate pair fits no file as a character; as the escape this makes of it, JSON reads it back.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def decode_state(text: str, where: str, *, accept_edits: bool = False) -> State:
    """The state in a document; `where` is named in errors. Raises StateError with what to do.

    `accept_edits` takes a document whose content no longer fits its digest, for who changed it on purpose.
    """
    with _no_collection():
        document = _parsed(text, where)
        _check_kind(document, where)
        if not accept_edits:
            _check_digest(document, where)
        state, problems = _state_of(document)
    if state is None or problems:
        raise StateError(
            "The state is not sound",
            f"{where} can be read, but it contradicts itself, and nothing is done on such ground.\n"
            f"{_listed(problems)}\n{_RESTORE}",
            command=_RECOVER,
        )
    return state


@contextmanager
def _no_collection() -> Iterator[None]:
    """No cyclic garbage collection: it makes reading ten thousand records twice as slow, and there is no garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _document_of(state: State) -> dict[str, Any]:
    return {
        "format": STATE_FORMAT,
        **HEAD.write(state),
        "holds": [HOLD.write(hold) for hold in state.holds],
        **{
            section: {key: shape.write(value) for key, value in getattr(state, section).items()}
            for section, shape in _SECTIONS.items()
        },
    }


def _laid_out(document: Mapping[str, Any]) -> str:
    """The document with one line for each top-level key, and one for each entry of what holds entries."""
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True).encode
    lines = []
    for key, value in sorted(document.items()):
        if key in _SECTIONS and value:
            inner = ",\n".join(f"    {encode(name)}: {encode(row)}" for name, row in sorted(value.items()))
            lines.append(f"  {encode(key)}: {{\n{inner}\n  }}")
        elif key == "holds" and value:
            inner = ",\n".join(f"    {encode(row)}" for row in value)
            lines.append(f"  {encode(key)}: [\n{inner}\n  ]")
        else:
            lines.append(f"  {encode(key)}: {encode(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _digest_of(document: Mapping[str, Any]) -> str:
    """The digest of everything in the document but the digest, whatever the spacing and the order of keys."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(rest, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _parsed(text: str, where: str) -> dict[str, Any]:
    # A file system that loses power can leave a file of the right length and nothing but zero bytes in it.
    if not text.strip("\0\ufeff \t\r\n"):
        raise StateError(
            "The state is empty",
            f"{where} exists but holds nothing, and that never means that no model was tuned. {_RESTORE}",
            command=_RECOVER,
        )
    text = text.removeprefix("\ufeff")
    try:
        document = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _not_json(text, where, error) from error
    except (ValueError, RecursionError) as error:
        raise StateError("The state is not JSON", f"{where}: {error}. {_RESTORE}", command=_RECOVER) from error
    if not isinstance(document, dict):
        raise StateError(
            "The state is not a state",
            f"{where} holds {shown(document)} where a JSON object belongs. {_RESTORE}",
            command=_RECOVER,
        )
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """One JSON object; a key that comes twice would silently lose the first."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"the key {shown(twice[0])} comes twice in one object")
    return made


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _not_json(text: str, where: str, error: json.JSONDecodeError) -> StateError:
    end = text.rstrip()
    cut_short = error.pos >= len(end) or error.msg.startswith("Unterminated") or not end.endswith("}")
    if end.startswith("{") and cut_short and error.msg != "Extra data":
        return StateError(
            "The state is cut short",
            f"{where} ends in the middle, after {len(text)} characters: a copy or a download broke off. {_RESTORE}",
            command=_RECOVER,
        )
    return StateError(
        "The state is not JSON",
        f"{where}:{error.lineno}:{error.colno}: {error.msg}. {_RESTORE}",
        command=_RECOVER,
    )


def _check_kind(document: Mapping[str, Any], where: str) -> None:
    """Refuse what is another kind of file, or of a format or a fingerprint this version does not know."""
    if "format" not in document or "lineage" not in document:
        looks_like = "a saved plan" if "format_version" in document else "another tool's file"
        raise StateError(
            "This file is not a state",
            f"{where} is JSON, but it has no `format` and `lineage`; it looks like {looks_like}. "
            "Point `state` in the stack's manifest to the state, or to a name that is still free.",
        )
    written = document["format"]
    if type(written) is int and written > STATE_FORMAT:
        raise _too_new(where, f"format {written}", f"format {STATE_FORMAT}")
    if type(written) is not int or written != STATE_FORMAT:
        raise StateError(
            "The state has an unknown format",
            f"{where} says format {shown(written)}, and {STATE_FORMAT} is the only one so far. {_RESTORE}",
            command=_RECOVER,
        )
    version = str(document.get("fingerprintVersion")).removeprefix("v")
    if version.isdecimal() and int(version) > int(FINGERPRINT_VERSION.removeprefix("v")):
        raise _too_new(where, f"fingerprints v{version}", f"fingerprints {FINGERPRINT_VERSION}")


def _too_new(where: str, written: str, known: str) -> StateError:
    return StateError(
        "The state was written by a newer tuneform",
        f"{where} uses {written}, and tuneform {__version__} knows {known}. Nothing was changed. Upgrade tuneform "
        "to at least the version that wrote it; a state is never taken back to an older format.",
    )


def _check_digest(document: Mapping[str, Any], where: str) -> None:
    if document.get("digest") != _digest_of(document):
        raise StateError(
            "The state was changed outside tuneform",
            f"The content of {where} does not fit its digest: it was edited by hand, merged, or damaged. If you did "
            "not mean to change it, put back its last good version. If you did, check what it says and accept it with:",
            command=_PUSH,
        )


def _state_of(document: Mapping[str, Any]) -> tuple[State | None, list[str]]:
    """The state, None when its shape is wrong, and every problem found."""
    problems = [f"{shown(key)} is not a key of a state." for key in sorted(document.keys() - _KEYS)]
    problems += [f"{key} is missing." for key in sorted(_KEYS - {"digest"} - document.keys())]
    if problems:
        return None, problems
    head: dict[str, Any] = {}
    try:
        head = HEAD.values({key: document[key] for key in HEAD.keys})
    except UnsoundError as error:
        problems.append(f"{error}.")
    sections: dict[str, Any] = {
        name: _section_of(name, document[name], shape, problems) for name, shape in _SECTIONS.items()
    }
    holds = _holds_of(document["holds"], problems)
    if problems:
        return None, problems
    state = State(**head, **sections, holds=tuple(holds))
    return state, problems_of(state)


def _section_of(name: str, rows: object, shape: Shape, problems: list[str]) -> dict[str, Any]:
    """The entries of one section that can be read; the problems of the others join the list."""
    if not isinstance(rows, dict):
        problems.append(f"{name} is {shown(rows)}, not an object.")
        return {}
    entries = {}
    for key, row in rows.items():
        try:
            entries[key] = shape.read(row)
        except UnsoundError as error:
            problems.append(f"{error.below(entry(name, key))}.")
    return entries


def _holds_of(rows: object, problems: list[str]) -> list[Any]:
    if not isinstance(rows, list):
        problems.append(f"holds is {shown(rows)}, not a list.")
        return []
    holds = []
    for index, row in enumerate(rows):
        try:
            holds.append(HOLD.read(row))
        except UnsoundError as error:
            problems.append(f"{error.below(f'holds[{index}]')}.")
    return holds


def _listed(problems: Sequence[str]) -> str:
    lines = [f"- {problem}" for problem in problems[:_PROBLEMS_SHOWN_MAX_COUNT]]
    hidden = len(problems) - len(lines)
    return "\n".join([*lines, f"- and {hidden} more."] if hidden else lines)
