"""The YAML reader: what it reads as what, what it refuses and where, and that nothing makes it raise or hang."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.errors import Severity, Source
from reconciler.yamldoc import DEFAULT_LIMITS, UNREAD_RULES, Limits, Placeholder, read_documents

PARSERS = [pytest.param(None, id="fastest"), pytest.param(yaml.SafeLoader, id="pure-python")]


def value_of(text: str, parser: Any = None) -> Any:
    """The value of the one document of a text that has no problems."""
    documents, problems = read_documents(text, "a.yaml", parser=parser)
    assert () == problems
    assert 1 == len(documents)
    return documents[0].value


def complaints(text: str, limits: Limits = DEFAULT_LIMITS, parser: Any = None) -> list[tuple[str, int, int]]:
    """Rule, line and column of each problem of a text."""
    _, problems = read_documents(text, "a.yaml", limits, parser=parser)
    assert all(one.severity is Severity.ERROR and one.summary and one.detail for one in problems)
    return [(one.rule, one.source.line, one.source.column) for one in problems if one.source]


SCALARS = [
    ("text", "text"),
    ("two words", "two words"),
    ("us-central1", "us-central1"),
    ("gs://bucket/train.jsonl", "gs://bucket/train.jsonl"),
    ("code-bison@002", "code-bison@002"),
    ("nothing", "nothing"),
    ("none", "none"),
    ("tRue", "tRue"),
    ("1.2.3", "1.2.3"),
    ("3d", "3d"),
    ("-x", "-x"),
    ("+", "+"),
    (".", "."),
    ("...x", "...x"),
    ("1e", "1e"),
    ("2026-11-20", "2026-11-20"),
    ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
    ("2026-11-20 10:00:00", "2026-11-20 10:00:00"),
    ("true", True),
    ("True", True),
    ("TRUE", True),
    ("false", False),
    ("FALSE", False),
    ("null", None),
    ("Null", None),
    ("~", None),
    ("", None),
    ("0", 0),
    ("-0", 0),
    ("7", 7),
    ("-12", -12),
    ("+12", 12),
    ("12345678901234567890", 12345678901234567890),
    ("1.5", 1.5),
    ("-0.5", -0.5),
    ("0.0", 0.0),
    (".5", 0.5),
    ("5.", 5.0),
    ("1.10", 1.1),
    ("1e3", 1000.0),
    ("1E-3", 0.001),
    ("1.5e+2", 150.0),
    ('"no"', "no"),
    ("'010'", "010"),
    ('"1:30"', "1:30"),
    ('""', ""),
    ("'it''s'", "it's"),
    ('"a\\nb\\u00e9"', "a\nbé"),
    ("x" * 70, "x" * 70),
    ("2" + "x" * 70, "2" + "x" * 70),
    ("-" * 70, "-" * 70),
]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(("written", "expected"), SCALARS)
def test_a_scalar_is_what_yaml_1_2_says(written: str, expected: object, parser: Any) -> None:
    """A scalar is read as YAML 1.2 reads it, and has the type of its value."""
    actual = value_of(f"key: {written}", parser)["key"]
    assert expected == actual
    assert type(expected) is type(actual)


AMBIGUOUS = [
    *("yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF", "y", "Y", "n", "N"),
    *("010", "00", "-010", "+007", "0123456789", "010.5", "00.1", "01e3"),
    *("1:30", "190:20:30", "1:30.5", "-1:30", "12:30:45"),
    *("0x1F", "0o17", "0b11", "1_000", "1_000.5", "-0x1"),
]
NO_NUMBERS = [
    *(".inf", "-.inf", "+.INF", ".Inf", ".nan", ".NaN", ".NAN", "1e999", "-1e999"),
    *("123456789012345678901", "1" * 100, "-" + "9" * 5000, "1" * 100 + ".5", "1" * 100 + "e5"),
]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("written", "rule"),
    [*((one, "yaml-ambiguous") for one in AMBIGUOUS), *((one, "yaml-number") for one in NO_NUMBERS)],
)
def test_what_versions_of_yaml_read_differently_is_refused(written: str, rule: str, parser: Any) -> None:
    """An unquoted scalar that YAML versions read differently, or a number that JSON lacks, is refused in place."""
    assert [(rule, 2, 8)] == complaints(f"first: 1\nkey:   {written}\n", parser=parser)


@pytest.mark.parametrize("written", [*AMBIGUOUS, *NO_NUMBERS])
def test_quotes_make_anything_text(written: str) -> None:
    """The same scalar in quotes is text, as the message says."""
    assert written == value_of(f'key: "{written}"')["key"]


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("no", 'Write false, or quote it: "no".'),
        ("Yes", 'Write true, or quote it: "Yes".'),
        ("010", 'Write 10, or quote it: "010".'),
        ("-007.50", 'Write -7.50, or quote it: "-007.50".'),
        ("00", 'Write 0, or quote it: "00".'),
        ("1:30", 'Quote it: "1:30".'),
        ("0x1F", 'quote it: "0x1F".'),
        (".inf", 'quote it: ".inf".'),
    ],
)
def test_a_refusal_says_what_to_write(written: str, advice: str) -> None:
    """Each refused scalar comes with what to write in its place."""
    _, problems = read_documents(f"key: {written}", "a.yaml")
    assert problems[0].detail.endswith(advice)


REFUSALS = [
    ("anchor on a scalar", "a: &x 1\n", [("yaml-alias", 1, 4)]),
    ("anchor on a mapping", "a: &x\n  b: 1\n", [("yaml-alias", 1, 4)]),
    ("anchor on a list", "a: &x [1]\n", [("yaml-alias", 1, 4)]),
    ("alias", "a: 1\nb: *a\n", [("yaml-alias", 2, 4)]),
    ("alias as an item", "- *a\n", [("yaml-alias", 1, 3)]),
    ("alias as a key", "*a : 1\n", [("yaml-alias", 1, 1), ("yaml-key", 1, 1)]),
    ("alias as the document", "*a\n", [("yaml-alias", 1, 1)]),
    ("merge key", "a:\n  <<: {b: 1}\n", [("yaml-merge", 2, 3)]),
    ("tag on a scalar", "a: !!str 1\n", [("yaml-tag", 1, 4)]),
    ("tag on a mapping", "a: !!map {b: 1}\n", [("yaml-tag", 1, 4)]),
    ("tag for an object", "a: !!python/object:os.system {}\n", [("yaml-tag", 1, 4)]),
    ("tag for a call", "!!python/object/apply:os.system [ls]\n", [("yaml-tag", 1, 1)]),
    ("local tag", "a: !secret x\n", [("yaml-tag", 1, 4)]),
    ("the tag that is none", "a: ! x\n", [("yaml-tag", 1, 4)]),
    ("tag and anchor", "a: !!str &x 1\n", [("yaml-alias", 1, 4), ("yaml-tag", 1, 4)]),
    ("undefined tag handle", "a: !x!y z\n", [("yaml-syntax", 1, 4)]),
    ("duplicate key", "a: 1\nb: 2\na: 3\n", [("yaml-duplicate-key", 3, 1)]),
    ("duplicate key, nested", "a:\n  b: 1\n  b: {c: 1}\n", [("yaml-duplicate-key", 3, 3)]),
    ("duplicate key, quoted", 'a: 1\n"a": 2\n', [("yaml-duplicate-key", 2, 1)]),
    ("number as a key", "1: a\n", [("yaml-key", 1, 1)]),
    ("number in a list's mapping", "- a: 1\n  2.5: b\n", [("yaml-key", 2, 3)]),
    ("truth as a key", "true: a\n", [("yaml-key", 1, 1)]),
    ("null as a key", "~: a\n", [("yaml-key", 1, 1)]),
    ("ambiguous key", "on: push\n", [("yaml-key", 1, 1)]),
    ("list as a key", "[a, b]: c\n", [("yaml-key", 1, 1)]),
    ("mapping as a key", "? {a: no}\n: c\n", [("yaml-ambiguous", 1, 7), ("yaml-key", 1, 3)]),
    ("ambiguous item", "a:\n  - ok\n  - no\n", [("yaml-ambiguous", 3, 5)]),
    ("ambiguous in brackets", "a: [x, off, 010]\n", [("yaml-ambiguous", 1, 8), ("yaml-ambiguous", 1, 13)]),
    ("ambiguous document", "--- yes\n", [("yaml-ambiguous", 1, 5)]),
    ("tag directive", "%TAG ! tag:x,2000:\n---\na: 1\n", [("yaml-directive", 1, 1)]),
    ("old version", "%YAML 1.1\n---\na: 1\n", [("yaml-directive", 1, 1)]),
    ("escaped NUL", 'a: "x\\0y"\n', [("yaml-escape", 1, 4)]),
    ("escaped terminal control", 'a: "\\e[31m"\n', [("yaml-escape", 1, 4)]),
    ("escaped control in a key", '"a\\x07": 1\n', [("yaml-escape", 1, 1)]),
    ("NUL", "a: 1\nb: x\0y\n", [("yaml-character", 2, 5)]),
    ("escape character", "a: \x1b[31m\n", [("yaml-character", 1, 4)]),
    ("line separator", "a: x\u2028b: y\n", [("yaml-character", 1, 5)]),
    ("next line", "a: x\x85b: y\n", [("yaml-character", 1, 5)]),
    ("text that runs backwards", "a: x\u202ey\n", [("yaml-character", 1, 5)]),
    ("half a surrogate pair", "a: \ud800\n", [("yaml-character", 1, 4)]),
    ("second byte order mark", "\ufeff\ufeffa: 1\n", [("yaml-character", 1, 1)]),
    ("colon in text", "a: b: c\n", [("yaml-syntax", 1, 5)]),
    ("tab as indentation", "a:\n\tb: 1\n", [("yaml-syntax", 2, 1)]),
    ("unclosed quote", "a: 'x\nb: 1\n", [("yaml-syntax", 1, 4)]),
    ("unclosed bracket", "x: 1\na: [1, 2\n", [("yaml-syntax", 2, 4)]),
    ("unclosed brace", "a: {b: 1\n", [("yaml-syntax", 1, 4)]),
    ("stray bracket", "}\n", [("yaml-syntax", 1, 1)]),
    ("reserved character", "a: @x\n", [("yaml-syntax", 1, 4)]),
    ("wrong indentation", "a: 1\n b: 2\n", [("yaml-syntax", 2, 3)]),
    ("list in a mapping", "a: 1\n- b\n", [("yaml-syntax", 2, 1)]),
    ("unknown version", "%YAML 3.0\n---\na: 1\n", [("yaml-syntax", 1, 1)]),
]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("text", "expected"),
    [pytest.param(text, expected, id=name) for name, text, expected in REFUSALS],
)
def test_a_refusal_names_its_place(text: str, expected: list[tuple[str, int, int]], parser: Any) -> None:
    """Each refusal stands at the line and column of what it refuses, with either parser."""
    assert expected == complaints(text, parser=parser)


def test_all_problems_are_found_at_once() -> None:
    """What is refused does not hide what comes after it."""
    expected = [
        ("yaml-ambiguous", 1, 4),
        ("yaml-alias", 2, 4),
        ("yaml-duplicate-key", 3, 1),
        ("yaml-ambiguous", 3, 4),
        ("yaml-key", 4, 1),
    ]
    assert expected == complaints("a: no\nb: *c\nb: 010\n1: x\n")


def test_a_refused_value_leaves_a_placeholder() -> None:
    """A document with a refused value is still there, so that the rest of it can be judged."""
    documents, problems = read_documents("a: no\nb: [1, 010]\nc: 3\n", "a.yaml")
    assert 2 == len(problems)
    assert {"a": Placeholder.REFUSED, "b": [1, Placeholder.REFUSED], "c": 3} == documents[0].value


@pytest.mark.parametrize("value", ["!!set {a: 1}", "!!seq [1]", "!x y", "*b", "{{ template }}", "{<<: {c: 1}}"])
def test_what_is_refused_as_a_whole_has_no_value(value: str) -> None:
    """A tagged value, an alias, and a mapping of which nothing is left are not taken for what remains of them."""
    documents, problems = read_documents(f"a: {value}\n", "a.yaml")
    assert problems
    assert {"a": Placeholder.REFUSED} == documents[0].value


def test_a_duplicate_key_names_the_first_and_keeps_it() -> None:
    """The second of two equal keys is refused with the place of the first, whose value stays."""
    documents, problems = read_documents("a: {b: 1}\nx: 0\na: {b: 2, c: 3}\n", "a.yaml")
    assert {"a": {"b": 1}, "x": 0} == documents[0].value
    assert (1, 5) == documents[0].positions[("a", "b")]
    assert "line 1, column 1" in problems[0].detail


def test_every_key_and_item_has_its_place() -> None:
    """Positions are those of keys and items, from 1, wherever they stand."""
    text = "# head\n\nkind: Stack\nspec:\n    list:\n    - x\n    -   b: {z: [1, 2]}\n"
    expected = {
        (): (3, 1),
        ("kind",): (3, 1),
        ("spec",): (4, 1),
        ("spec", "list"): (5, 5),
        ("spec", "list", 0): (6, 7),
        ("spec", "list", 1): (7, 9),
        ("spec", "list", 1, "b"): (7, 9),
        ("spec", "list", 1, "b", "z"): (7, 13),
        ("spec", "list", 1, "b", "z", 0): (7, 17),
        ("spec", "list", 1, "b", "z", 1): (7, 20),
    }
    documents, _ = read_documents(text, "a.yaml")
    assert expected == documents[0].positions


def test_documents_keep_their_order_and_places() -> None:
    """A stream gives its documents in order, the empty ones left out."""
    documents, problems = read_documents("---\n---\na: 1\n--- # nothing\n...\n---\n- b\n---\n", "dir/a.yaml")
    assert () == problems
    assert [{"a": 1}, ["b"]] == [one.value for one in documents]
    assert [(3, 1), (7, 1)] == [one.positions[()] for one in documents]
    assert {"dir/a.yaml"} == {one.path for one in documents}


def test_columns_count_characters() -> None:
    """A column counts characters, not bytes."""
    assert [("yaml-ambiguous", 1, 16)] == complaints("{größe: 🎯🎯, x: no}")


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "~", "\ufeff"])
def test_nothing_is_no_document(text: str) -> None:
    """A text with nothing in it has no document and no problem."""
    assert ((), ()) == read_documents(text, "a.yaml")


def test_a_byte_order_mark_is_no_text() -> None:
    """A byte order mark in front is skipped and moves nothing."""
    documents, problems = read_documents("\ufeffa: 1\n", "a.yaml")
    assert () == problems
    assert {(): (1, 1), ("a",): (1, 1)} == documents[0].positions


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_line_ending_counts_as_one(newline: str) -> None:
    """Lines end as they end on any system."""
    assert [("yaml-ambiguous", 3, 4)] == complaints(newline.join(["a: 1", "b: 2", "c: no", ""]))


def test_a_syntax_error_keeps_what_came_before() -> None:
    """Documents before a syntax error are read; it is told once, with what the parser says and what to do."""
    documents, problems = read_documents("a: 1\n---\nb: [1\n---\nc: 2\n", "a.yaml")
    assert [{"a": 1}] == [one.value for one in documents]
    assert [Source("a.yaml", 3, 4)] == [one.source for one in problems]
    assert problems[0].rule in UNREAD_RULES
    assert "[" in problems[0].detail


SMALL = Limits(max_bytes=400, documents=3, depth=4, nodes_per_document=10, nodes=20, problems=5)
AT_A_LIMIT = [
    ("bytes", "x" * 401, "yaml-limit", 1, 1),
    ("bytes, not characters", "é" * 201, "yaml-limit", 1, 1),
    ("documents", "--- a\n" * 4, "yaml-limit", 4, 1),
    ("empty documents", "---\n" * 4, "yaml-limit", 4, 1),
    ("depth of lists", "[[[[[1]]]]]", "yaml-limit", 1, 5),
    ("depth of mappings", "{a: {a: {a: {a: {a: 1}}}}}", "yaml-limit", 1, 17),
    ("depth of keys", "? ? ? ? ? a\n", "yaml-limit", 1, 9),
    ("items", "[" + "1," * 12 + "]", "yaml-limit", 1, 20),
    ("keys", "".join(f"k{index}: 1\n" for index in range(12)), "yaml-limit", 11, 1),
    ("nodes of the file", "--- [1,2,3,4,5,6,7,8]\n" * 3, "yaml-limit", 3, 8),
    ("problems", "a: [no, no, no, no, no, no, no]", "yaml-limit", 1, 21),
]


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("text", "rule", "line", "column"), [pytest.param(*rest, id=name) for name, *rest in AT_A_LIMIT]
)
def test_a_limit_stops_the_reading(text: str, rule: str, line: int, column: int, parser: Any) -> None:
    """Whatever is beyond a limit ends the reading there, with a problem that says so."""
    assert (rule, line, column) == complaints(text, SMALL, parser)[-1]


@pytest.mark.parametrize(
    "text",
    [
        "x" * 400,
        "--- a\n" * 3,
        "[[[[1]]]]",
        "[" + "1," * 9 + "]",
        "".join(f"k{index}: 1\n" for index in range(9)),
        "a: [no, no, no, no]",
    ],
)
def test_at_a_limit_all_is_still_read(text: str) -> None:
    """A limit is what is still allowed."""
    assert not [rule for rule, _, _ in complaints(text, SMALL) if rule in UNREAD_RULES]


def plain_documents() -> st.SearchStrategy[Any]:
    """Values that all versions of YAML write and read the same way."""
    text = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
    # YAML 1.2 knows more numbers than 1.1 (1e3), and PyYAML writes such text without quotes.
    text = text.filter(lambda one: not re.fullmatch(r"[-+.]*[0-9][-+.0-9eE]*", one))
    leaf = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | text
    return st.dictionaries(
        text,
        st.recursive(leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4)),
        min_size=1,
        max_size=6,
    )


@given(plain_documents(), st.booleans())
def test_agrees_with_pyyaml_on_ordinary_documents(value: Any, flow: bool) -> None:
    """What PyYAML's safe loader reads from a plain document, this reader reads too."""
    text = yaml.safe_dump(value, default_flow_style=flow, default_style='"' if flow else None)
    text = text.replace("!!bool ", "").replace("!!int ", "").replace("!!null ", "") if flow else text
    documents, problems = read_documents(text, "a.yaml")
    if problems:
        # PyYAML leaves unquoted what YAML 1.1 reads as text and 1.2 does not, and the other way round.
        assert {one.rule for one in problems} <= {"yaml-ambiguous", "yaml-number", "yaml-key"}
        return
    assert [yaml.safe_load(text)] == [one.value for one in documents]


ORDINARY = """\
apiVersion: tuneform/v1
kind: TunedModel
metadata:
  name: intent-classifier
  labels: {team: support, tier: "1"}
spec:
  baseModel: gemini-2.5-flash
  description: >-
    Sorts what
    people ask.
  notes: |
    one
      two
  hyperParameters: {epochCount: 4, learningRateMultiplier: 1.0}
  list:
  - a
  - - b
    - 'c'
  empty: {}
  none: []
"""


@pytest.mark.parametrize("parser", PARSERS)
def test_agrees_with_pyyaml_on_a_manifest(parser: Any) -> None:
    """Block and folded text, nested and empty collections: all as PyYAML reads them."""
    assert yaml.safe_load(ORDINARY) == value_of(ORDINARY, parser)


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *"abc01:-?,[]{}#&*!|>'\"%@` \n\t~<=.",
            "\n  ",
            "---\n",
            "...\n",
            ": ",
            "- ",
            "no",
            "010",
            '"\\x',
            "!!",
            "é",
            "\r",
        ]
    ),
    max_size=60,
).map("".join)


@pytest.mark.parametrize("parser", PARSERS)
@given(text=st.text(max_size=80) | FRAGMENTS)
@example(text='a: "\\U00110000"')
@example(text='a: "\\UFFFFFFFF"')
@example(text='a: "\\ud800"')
@example(text="%YAML 1." + "9" * 5000 + "\n--- a")
@example(text="? ")
@example(text="\x00")
def test_no_text_makes_it_raise(text: str, parser: Any) -> None:
    """Any text at all gives documents and problems, each with a place in the text, and never an exception."""
    documents, problems = read_documents(text, "a.yaml", parser=parser)
    lines_max = len(text.splitlines()) + 1
    assert all(one.source is not None and 1 <= one.source.line <= lines_max for one in problems)
    assert all(one.positions[()] >= (1, 1) for one in documents)
