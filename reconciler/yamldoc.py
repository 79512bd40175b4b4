"""YAML text -> plain values, each with its place in the text; or every reason why not. Pure, and never raises.

A strict subset: JSON's values in YAML's clothes. Whatever two YAML versions read differently (`no`, `010`, `1:30`),
whatever makes a small file a large value (aliases) or a value code (tags) is refused, with what to write instead.
Unquoted dates stay the strings they look like.

It walks the parser's events itself: PyYAML's own constructors drop duplicate keys and places, and take longer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn, Protocol

from reconciler.errors import Diagnostic, Severity, Source

Path = tuple[str | int, ...]


class Placeholder(Enum):
    """Stands in a value for what was refused, so that nobody complains about the same place twice."""

    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one text may hold. `problems` is after how many of them reading stops."""

    max_bytes: int = 16 * 1024 * 1024
    documents: int = 20_000
    depth: int = 50
    nodes_per_document: int = 10_000
    nodes: int = 500_000
    problems: int = 100


DEFAULT_LIMITS = Limits()
# The rules of problems after which the rest of a text was not read.
UNREAD_RULES = frozenset({"yaml-syntax", "yaml-limit", "yaml-character"})


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its value, and the line and column, from 1, of each key and each item.

    The path of a value is the keys and indices that lead to it; `()` is where the document's content starts.
    Whatever was refused stands in `value` as `Placeholder.REFUSED`.
    """

    path: str
    value: Any
    positions: Mapping[Path, tuple[int, int]]


class EventSource(Protocol):
    """A YAML parser, as PyYAML's loaders are."""

    def get_event(self) -> Any:
        """The next event; raises yaml.YAMLError where there is none."""


def read_documents(
    text: str, path: str, limits: Limits = DEFAULT_LIMITS, *, parser: Callable[[str], EventSource] | None = None
) -> tuple[tuple[Document, ...], tuple[Diagnostic, ...]]:
    """Every non-empty document of a text, and every problem in it as an error; never raises on bad text.

    After a syntax error or a limit nothing more is read, and the document it is in is left out. `path` is only quoted.
    `parser` is PyYAML's fastest one where not given. No I/O.
    """
    text = text.removeprefix("\ufeff")
    if problem := _unreadable(text, path, limits):
        return (), (problem,)
    reader = _Reader(path, limits)
    reader.read(text, parser or _fastest_parser())
    return tuple(reader.documents), tuple(reader.problems)


def _fastest_parser() -> Callable[[str], EventSource]:
    import yaml

    # A wheel without libyaml has no C loader; only the events of either are used, never its constructors.
    loader: Callable[[str], EventSource] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return loader


# Besides what YAML itself forbids: line breaks of YAML 1.1 that are none in YAML 1.2, nor in editors; what makes text
# look other than it reads (bidirectional overrides); and a byte order mark that is not in front.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def _unreadable(text: str, path: str, limits: Limits) -> Diagnostic | None:
    if (count := len(text.encode("utf-8", "replace"))) > limits.max_bytes:
        detail = f"It has {count:,} bytes; at most {limits.max_bytes:,} are read. Split it into several files."
        return _problem("yaml-limit", "The file is too large", detail, Source(path, 1, 1))
    if (found := _FORBIDDEN.search(text)) is None:
        return None
    line_start = text.rfind("\n", 0, found.start()) + 1
    place = Source(path, text.count("\n", 0, found.start()) + 1, found.start() - line_start + 1)
    detail = f"U+{ord(found[0]):04X} is a control character, or no character at all. Remove it."
    return _problem("yaml-character", "A character that YAML text may not hold", detail, place)


def _problem(rule: str, summary: str, detail: str, source: Source) -> Diagnostic:
    return Diagnostic(severity=Severity.ERROR, rule=rule, summary=summary, detail=detail, source=source)


class _Stop(Exception):
    """Nothing more of this text is worth reading; the reason is already noted."""


class _Reader:
    """One pass over one text. Holds what was found so far; thrown away afterwards."""

    def __init__(self, path: str, limits: Limits) -> None:
        import yaml

        self.path = path
        self.limits = limits
        self.documents: list[Document] = []
        self.problems: list[Diagnostic] = []
        self.positions: dict[Path, tuple[int, int]] = {}
        self.nodes_left = limits.nodes
        self.document_limit = limits.nodes_per_document
        self.get_event: Callable[[], Any] = lambda: None
        # Bound once, as the import is late and these are asked for at every node.
        self.scalar, self.stream_end = yaml.ScalarEvent, yaml.StreamEndEvent
        self.mapping_start, self.mapping_end = yaml.MappingStartEvent, yaml.MappingEndEvent
        self.sequence_start, self.sequence_end = yaml.SequenceStartEvent, yaml.SequenceEndEvent

    def read(self, text: str, parser: Callable[[str], EventSource]) -> None:
        import yaml

        try:
            self.get_event = parser(text).get_event
            self._stream()
        except _Stop:
            return
        except yaml.MarkedYAMLError as error:
            self.problems.append(_syntax_problem(error, self.path))
        except (yaml.YAMLError, ValueError, OverflowError):
            # The pure-Python parser lets out what chr() and int() say about escapes and versions out of range.
            detail = "The parser gave no place. Look for an escape (\\U…) or a %YAML version that cannot be."
            self.problems.append(_problem("yaml-syntax", "This is not YAML", detail, Source(self.path, 1, 1)))

    def _stream(self) -> None:
        self.get_event()
        documents_left = self.limits.documents
        while type(event := self.get_event()) is not self.stream_end:
            if documents_left == 0:
                self._stop(event, "Too many documents", f"At most {self.limits.documents:,} are read. Split the file.")
            documents_left -= 1
            self._document(event)

    def _document(self, start: Any) -> None:
        if start.tags or start.version not in (None, (1, 2)):
            detail = "Only %YAML 1.2 is understood, and %TAG is not. Remove the line that starts with %."
            self._refuse(start, "yaml-directive", "A directive that is not supported", detail)
        first = self.get_event()
        self.positions = {(): (first.start_mark.line + 1, first.start_mark.column + 1)}
        self.document_limit = min(self.limits.nodes_per_document, self.nodes_left)
        value = self._value(first, ())
        self.nodes_left -= len(self.positions)
        self.get_event()
        if value is not None:
            self.documents.append(Document(self.path, value, self.positions))

    def _value(self, event: Any, path: Path) -> Any:
        kind = type(event)
        if kind is self.scalar:
            return self._scalar(event)
        if kind is self.mapping_start:
            return self._mapping(event, path)
        if kind is self.sequence_start:
            return self._sequence(event, path)
        detail = f"*{_shown(event.anchor)} repeats a value from elsewhere. Write the value out."
        return self._refuse(event, "yaml-alias", "Aliases are not allowed", detail)

    def _mapping(self, start: Any, path: Path) -> dict[str, Any] | Placeholder:
        self._enter(start, path)
        get_event, end, positions, scalar = self.get_event, self.mapping_end, self.positions, self.scalar
        found: dict[str, Any] = {}
        has_refused = False
        while type(event := get_event()) is not end:
            key = self._key(event, path, found)
            value_event = get_event()
            if key is None:
                # Read past it: one level deeper, as any value, and in nobody's way.
                self._value(value_event, (*path, -1))
                has_refused = True
                continue
            here = (*path, key)
            mark = event.start_mark
            positions[here] = (mark.line + 1, mark.column + 1)
            found[key] = self._scalar(value_event) if type(value_event) is scalar else self._value(value_event, here)
        return Placeholder.REFUSED if start.tag is not None or (has_refused and not found) else found

    def _sequence(self, start: Any, path: Path) -> list[Any] | Placeholder:
        self._enter(start, path)
        found: list[Any] = []
        while type(event := self.get_event()) is not self.sequence_end:
            here = (*path, len(found))
            mark = event.start_mark
            self.positions[here] = (mark.line + 1, mark.column + 1)
            if len(self.positions) > self.document_limit:
                self._too_many(event)
            found.append(self._value(event, here))
        return found if start.tag is None else Placeholder.REFUSED

    def _enter(self, start: Any, path: Path) -> None:
        if start.anchor is not None or start.tag is not None:
            self._decorated(start)
        if len(path) >= self.limits.depth:
            self._stop(start, "Nested too deeply", f"At most {self.limits.depth} levels are read. Flatten it.")

    def _key(self, event: Any, path: Path, found: Mapping[str, Any]) -> str | None:
        """The key, or None where it is refused; the caller still has to read past its value."""
        if len(self.positions) > self.document_limit:
            self._too_many(event)
        if type(event) is not self.scalar:
            self._value(event, (*path, -1))
            self._refuse(event, "yaml-key", "A key that is not text", "Write it as text, not as a list or a mapping.")
        elif event.value == "<<" and event.implicit[0]:
            detail = "<< merges another mapping into this one. Write the keys out, or use the stack's spec.defaults."
            self._refuse(event, "yaml-merge", "Merge keys are not allowed", detail)
        elif type(key := self._scalar(event, is_key=True)) is str:
            if key not in found:
                return key
            line, column = self.positions[(*path, key)]
            detail = f"“{_shown(key)}” is already set at line {line}, column {column}. Keep one of the two."
            self._refuse(event, "yaml-duplicate-key", "A key is written twice", detail)
        return None

    def _scalar(self, event: Any, *, is_key: bool = False) -> Any:
        if event.anchor is not None or event.tag is not None:
            self._decorated(event)
            return Placeholder.REFUSED
        text = event.value
        if not event.implicit[0]:
            # Only a double-quoted scalar can hold, by an escape, what the text itself may not.
            if event.style == '"' and _FORBIDDEN.search(text):
                detail = "An escape in the quotes stands for a control character or half of one. Remove it."
                return self._refuse(event, "yaml-escape", "A character that text may not hold", detail)
            return text
        if text and text[0] not in _SPECIAL_STARTS:
            return text
        value = _plain_value(text)
        if is_key and type(value) is not str:
            detail = f'It is not text to every reader of YAML. Quote it: "{_shown(text)}".'
            return self._refuse(event, "yaml-key", "A key that is not text", detail)
        if type(value) is not _Ambiguous:
            return value
        return self._refuse(event, value.rule, value.summary, value.detail)

    def _decorated(self, event: Any) -> None:
        if event.anchor is not None:
            detail = (
                f"&{_shown(event.anchor)} names a value to repeat it elsewhere. Write the value out where it is used."
            )
            self._refuse(event, "yaml-alias", "Anchors are not allowed", detail)
        if event.tag is not None:
            tag = _shown(event.tag.replace("tag:yaml.org,2002:", "!!"))
            detail = f"{tag} asks for a special type. Remove it; to make something text, quote it."
            self._refuse(event, "yaml-tag", "Tags are not allowed", detail)

    def _refuse(self, event: Any, rule: str, summary: str, detail: str) -> Placeholder:
        self._note(event, rule, summary, detail)
        if len(self.problems) >= self.limits.problems:
            self._stop(event, "Too many problems", "The rest of this file was not read. Correct the ones above first.")
        return Placeholder.REFUSED

    def _too_many(self, event: Any) -> NoReturn:
        whole_file = self.document_limit < self.limits.nodes_per_document
        what, count = ("file", self.limits.nodes) if whole_file else ("document", self.limits.nodes_per_document)
        self._stop(event, f"Too many values in one {what}", f"At most {count:,} keys and items are read. Split it.")

    def _stop(self, event: Any, summary: str, detail: str) -> NoReturn:
        self._note(event, "yaml-limit", summary, detail)
        raise _Stop

    def _note(self, event: Any, rule: str, summary: str, detail: str) -> None:
        mark = event.start_mark
        self.problems.append(_problem(rule, summary, detail, Source(self.path, mark.line + 1, mark.column + 1)))


@dataclass(frozen=True, slots=True)
class _Ambiguous:
    """Why an unquoted scalar is refused."""

    rule: str
    summary: str
    detail: str


_CONSTANTS: Mapping[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TRUTH_WORDS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
# What a scalar that is not simply text can start with.
_SPECIAL_STARTS = frozenset("0123456789+-.~nNtTfFyYoO")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_OTHER_NOTATION = re.compile(r"[-+]?(?:0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?)")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INTEGER_MAX_DIGITS = 20
# Longer ones are not even looked at: telling what a megabyte of digits is worth takes too long.
_NUMBER_MAX_CHARS = 64
_DIGITS_ONLY = re.compile(r"[-+]?[0-9][0-9_.:eE+-]*")


def _plain_value(text: str) -> str | int | float | bool | _Ambiguous | None:
    """What an unquoted scalar means in YAML 1.2, or why it is refused."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) <= 3 and (truth := _TRUTH_WORDS.get(text.lower())):
        detail = f'Old YAML reads {text} as {truth}, new YAML as text. Write {truth}, or quote it: "{text}".'
        return _Ambiguous("yaml-ambiguous", "A word that is sometimes a truth value", detail)
    if text[0] not in "0123456789+-.":
        return text
    if len(text) > _NUMBER_MAX_CHARS:
        return _too_long(text) if _DIGITS_ONLY.fullmatch(text) else text
    if _INTEGER.fullmatch(text):
        return int(text) if len(text.lstrip("+-")) <= _INTEGER_MAX_DIGITS else _too_long(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else _not_finite(text)
    return _ambiguous_number(text) or text


def _ambiguous_number(text: str) -> _Ambiguous | None:
    shown = _shown(text)
    if _NOT_FINITE.fullmatch(text):
        return _not_finite(text)
    if _LEADING_ZERO.fullmatch(text):
        unpadded = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", shown)
        detail = f'Old YAML reads {shown} in base 8, new YAML in base 10. Write {unpadded}, or quote it: "{shown}".'
        return _Ambiguous("yaml-ambiguous", "A number that starts with zero", detail)
    if _SEXAGESIMAL.fullmatch(text):
        detail = f'Old YAML reads {shown} as a number in base 60, new YAML as text. Quote it: "{shown}".'
        return _Ambiguous("yaml-ambiguous", "Text that is sometimes a number", detail)
    if _OTHER_NOTATION.fullmatch(text):
        detail = f'YAML versions differ on {shown}. Write it in plain digits, or quote it: "{shown}".'
        return _Ambiguous("yaml-ambiguous", "Text that is sometimes a number", detail)
    return None


def _too_long(text: str) -> _Ambiguous:
    detail = f'Whole numbers have at most {_INTEGER_MAX_DIGITS} digits. If it is a name, quote it: "{_shown(text)}".'
    return _Ambiguous("yaml-number", "A number that is too long", detail)


def _not_finite(text: str) -> _Ambiguous:
    detail = f'{_shown(text)} is not a finite number. Write one that is, or quote it: "{_shown(text)}".'
    return _Ambiguous("yaml-number", "A number that is not finite", detail)


def _shown(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"


def _syntax_problem(error: Any, path: str) -> Diagnostic:
    """One diagnostic for what the parser stumbled over, at the place where it did."""
    problem = str(error.problem or "unexpected text")
    # Where something was never closed, the end of the file helps nobody: show where it was opened.
    unclosed = any(sign in problem for sign in ("end of stream", "stream end", "document indicator", "',' or"))
    mark = (error.context_mark if unclosed else None) or error.problem_mark or error.context_mark
    source = Source(path, 1, 1) if mark is None else Source(path, mark.line + 1, mark.column + 1)
    context = f", {error.context}" if error.context else ""
    hint = next((advice for sign, advice in _SYNTAX_HINTS if sign in f"{problem} {error.context}"), "")
    detail = f"The parser says: {problem}{context}. {hint}".rstrip()
    return _problem("yaml-syntax", "This is not YAML", detail, source)


_SYNTAX_HINTS = (
    ("cannot start any token", "Indent with spaces, not tabs, and quote text that starts with @, % or `."),
    (
        "mapping values are not allowed",
        'Quote text that holds ": ", and check that this line is indented as its peers.',
    ),
    ("tag handle", "Tags (!…) are not allowed. Remove it."),
    ("flow node", "Close each [ with a ] and each { with a }."),
    ("flow mapping", "Close the { with a }, and put a comma between entries."),
    ("flow sequence", "Close the [ with a ], and put a comma between items."),
    ("quoted scalar", "Close the quotes, and check the escapes in them."),
    ("block", "Check that this line is indented as its peers."),
)
