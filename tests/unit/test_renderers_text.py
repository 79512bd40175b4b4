"""Words, widths and escapes of what a terminal is given."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.renderers.text import Style, clean, columns, cut, duration, plural, short, visible_len

NARROW = Style(width=20)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Intent classifier", "Intent classifier"),
        ("caf\u00e9 \u6771\u4eac", "caf\u00e9 \u6771\u4eac"),
        ("\x1b[31mred\x1b[0m", "\\u001b[31mred\\u001b[0m"),
        ("title\x1b]0;owned\x07", "title\\u001b]0;owned\\u0007"),
        ("\x9b31m", "\\u009b31m"),
        ("two\nlines\r\ttab", "two\\u000alines\\u000d\\u0009tab"),
        ("next\x85line\u2028sep\u2029par", "next\\u0085line\\u2028sep\\u2029par"),
        ("abc\u202efdp.exe", "abc\\u202efdp.exe"),
        ("\u2066isolate\u2069", "\\u2066isolate\\u2069"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("soft\u00adhyphen", "soft\\u00adhyphen"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("half\ud800", "half\\ud800"),
        ("\x08\x08\x7f", "\\u0008\\u0008\\u007f"),
    ],
)
def test_clean_writes_out_what_could_fool_a_reader(raw: str, shown: str) -> None:
    """Control, bidi and invisible characters are shown as their numbers; letters of any script stay."""
    assert shown == clean(raw)


@given(st.text())
def test_clean_text_stays_on_its_line_and_moves_nothing(text: str) -> None:
    """Whatever comes in, one line of visible characters comes out, and cleaning it again changes nothing."""
    shown = clean(text)
    assert [] == [one for one in shown if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert shown == clean(shown)


@pytest.mark.parametrize(
    ("text", "columns_taken"),
    [("abc", 3), ("\x1b[32mabc\x1b[0m", 3), ("\u6771\u4eac", 4), ("e\u0301", 1), ("", 0), ("…", 1)],
)
def test_visible_len_counts_columns(text: str, columns_taken: int) -> None:
    """Colour codes and combining accents take no column, wide characters two."""
    assert columns_taken == visible_len(text)


@pytest.mark.parametrize(
    ("line", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("\u6771\u4eac\u6771", 5, "\u6771\u4eac…"),
        ("\u6771\u4eac\u6771", 4, "\u6771…"),
        ("\x1b[32mabcdef\x1b[0m", 4, "\x1b[32mabc…\x1b[0m"),
        ("\x1b[32mabc\x1b[0m", 3, "\x1b[32mabc\x1b[0m"),
        ("abc", 1, "…"),
    ],
)
def test_cut_says_that_something_is_missing(line: str, width: int, shown: str) -> None:
    """A line that is too long ends in … at the edge, its colour closed."""
    assert shown == cut(line, width)


@given(st.text(alphabet="ab \u6771e\u0301"), st.integers(1, 12))
def test_cut_never_passes_the_edge(line: str, width: int) -> None:
    """Whatever the line, what is left of it fits."""
    assert visible_len(cut(line, width)) <= width


@pytest.mark.parametrize(
    ("text", "taken", "lines"),
    [
        ("short", 0, ["short"]),
        ("one two three four five", 0, ["one two three four", "five"]),
        ("one two three four five", 10, ["one two", "three four", "five"]),
        ("a-word-that-is-wider-than-the-terminal b", 0, ["a-word-that-is-wider-than-the-terminal", "b"]),
        ("  indented text that goes on", 0, ["  indented text that", "  goes on"]),
    ],
)
def test_wrap_breaks_at_spaces(text: str, taken: int, lines: list[str]) -> None:
    """Lines break between words and keep their indent; a word is never broken, so that it can be copied."""
    assert lines == NARROW.wrap(text, taken)


@given(st.text(alphabet="ab \u6771"), st.integers(1, 30))
def test_wrapped_text_loses_no_word(text: str, width: int) -> None:
    """Joined again, the lines hold the words that were given."""
    assert text.split() == " ".join(Style(width=width).wrap(text)).split()


def test_nothing_is_wrapped_or_cut_without_a_terminal() -> None:
    """A pipe gets whole lines and whole names."""
    text = "word " * 100
    assert ([text], "a/" * 100) == (Style().wrap(text), Style().name("a/" * 100, 10))


@pytest.mark.parametrize(
    ("taken", "shown"),
    [
        (0, "…/tuningJobs/123456"),
        (5, "…/123456"),
        (19, "…/123456"),
    ],
)
def test_a_name_is_shortened_from_its_front(taken: int, shown: str) -> None:
    """What tells one resource from another is at the end of its name, so that stays."""
    assert shown == NARROW.name("projects/1/locations/us-central1/tuningJobs/123456", taken)


def test_a_name_that_fits_stays_whole() -> None:
    """Nothing is left out without need."""
    assert "us/tuningJobs/123456" == NARROW.name("us/tuningJobs/123456", 0)


def test_columns_line_up_under_colour_and_wide_characters() -> None:
    """The second column begins at one place, whatever the first holds."""
    green = Style(colour=True).green
    lines = columns([["a", "x"], [green("bcd"), "x"], ["\u6771", "x"]])
    assert {5} == {visible_len(line[: line.index("x")]) for line in lines}


def test_columns_leave_no_space_at_the_end() -> None:
    """A row that ends early has no blanks after it."""
    assert ["a", "bb  c"] == columns([["a", ""], ["bb", "c"]])


def test_columns_of_nothing_are_nothing() -> None:
    """No rows, no lines."""
    assert [] == columns([])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (11_400, "3 h 10 min"),
        (86_400, "1 d"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations_have_at_most_two_units(seconds: float, text: str) -> None:
    """A span reads as people say it."""
    assert text == duration(timedelta(seconds=seconds))


def test_plural_follows_the_count() -> None:
    """One is singular, everything else is plural, also irregular ones."""
    assert ["0 jobs", "1 job", "2 entries"] == [plural(0, "job"), plural(1, "job"), plural(2, "entry", "entries")]


def test_short_names_end_in_kind_and_id() -> None:
    """A short name is the last two parts, escaped."""
    assert "tuningJobs/1\\u001b" == short("projects/p/locations/l/tuningJobs/1\x1b")


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("tuneform apply", "tuneform apply --manifests m"),
        ("gcloud auth login", "gcloud auth login"),
        ("tuneform\x1b[2J", "tuneform\\u001b[2J"),
    ],
)
def test_a_command_to_copy_names_its_stack(command: str, shown: str) -> None:
    """Our own commands get the options of this stack, others do not, and none brings a control character."""
    assert shown == Style(options=" --manifests m").command(command)


def test_without_colour_nothing_is_painted() -> None:
    """A style without colour returns the text as it is; a painted text closes what it opens."""
    names = ("bold", "dim", "green", "yellow", "red", "cyan")
    assert {"text"} == {getattr(Style(), name)("text") for name in names}
    painted = [getattr(Style(colour=True), name)("text") for name in names]
    assert [True] * len(names) == [one.startswith("\x1b[") and one.endswith("text\x1b[0m") for one in painted]
    assert "" == Style(colour=True).bold("")
