"""What the command line says of itself, and how it answers words it does not know."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from reconciler.cli.main import COMMANDS
from reconciler.version import __version__
from tests.cli.harness import ROOT, Shop, environment, model

FEWEST_WORDS = 12


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_explains_itself(shop: Shop, command: str) -> None:
    """The help of each command says what it does in a paragraph, and what each option does."""
    ran = shop.run_bare(command, "--help")
    assert 0 == ran.code
    about = ran.out.partition("\n\n")[2].partition("Options:")[0]
    assert len(about.split()) >= (FEWEST_WORDS if command != "version" else 3)
    options = [line for line in ran.out.partition("Options:")[2].splitlines() if line.startswith("  -")]
    assert options
    # An option's explanation stands beside it or, where its name is long, below it.
    assert not re.findall(r"^  --\S+(?: \S+)?\n(?!   )", ran.out, flags=re.MULTILINE)


def test_help_lists_every_command_and_every_exit_code(shop: Shop) -> None:
    """The first page names all commands and what each exit code means."""
    out = shop.run_bare("--help").out
    assert [name for name in COMMANDS if f"\n  {name} " in out] == list(COMMANDS)
    epilog = out[out.index("Exit codes:") :]
    assert {"0", "1", "2", "3", "4", "5", "6", "7", "64"} == set(re.findall(r"\b(\d+) [a-z]", epilog))


def test_help_fits_a_terminal_of_80_columns(shop: Shop) -> None:
    """No help line is wider than the terminal."""
    pages = [shop.run_bare(*words, "--help").out for words in [(), *((name,) for name in COMMANDS)]]
    lines = [line for page in pages for line in page.splitlines()]
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize("words", [["version"], ["--version"]])
def test_version_is_printed_alone(words: list[str]) -> None:
    """The version, without importing what a command needs."""
    code = "import sys; from reconciler.__main__ import main; main(sys.argv[1:]); print('click' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code, *words], env=environment(), capture_output=True, text=True, check=True
    )
    assert f"tuneform {__version__}\nFalse\n" == ran.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("plam",), "Did you mean 'plan'?"),
        (("aply",), "Did you mean 'apply'?"),
        (("plan", "--jsno"), "Did you mean '--json'?"),
        (("state", "lst"), "Did you mean 'list'?"),
        (("retry",), "Missing argument 'ADDRESS'."),
        (("simulator", "--port", "99999"), "not in the range 0<=x<=65535"),
        (("apply", "--allow-cancel", "many"), "'many' is not a valid integer"),
        (("catalogue", "gemini-3.5-flahs"), "Did you mean gemini-3.5-flash"),
    ],
)
def test_wrong_words_are_answered_with_the_right_ones(shop: Shop, words: tuple[str, ...], said: str) -> None:
    """An unknown command, option or value ends in 64 and says what there is."""
    ran = shop.run_bare(*words)
    assert (64, "") == (ran.code, ran.out)
    assert said in ran.err


def test_no_words_at_all_show_the_help(shop: Shop) -> None:
    """`tuneform` alone shows what there is."""
    ran = shop.run_bare()
    assert 64 == ran.code
    assert "Commands:" in ran.out + ran.err


def test_schema_checks_the_shipped_manifests(shop: Shop) -> None:
    """The printed schema is a valid JSON Schema, and the manifests that come with the project fulfil it."""
    import yaml

    schema = shop.run_bare("schema").document
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    documents = [
        document
        for path in sorted((ROOT / "manifests").glob("*/*.yaml"))
        for document in yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    ]
    assert len(documents) > 5
    found = [error.message for one in documents for error in validator(schema).iter_errors(typed(one))]
    assert [] == found


def typed(value: Any) -> Any:
    """The value with its numbers and booleans read as JSON reads them, since dates are text in a manifest."""
    if isinstance(value, dict):
        return {key: typed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [typed(one) for one in value]
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?|true|false", value):
        return json.loads(value)
    return value


def test_schema_refuses_a_misspelt_key(shop: Shop) -> None:
    """What `validate` refuses for its shape, the schema refuses too."""
    schema = shop.run_bare("schema").document
    wrong: Any = model("alpha")
    wrong["spec"]["baseModle"] = wrong["spec"].pop("baseModel")
    assert not jsonschema.validators.validator_for(schema)(schema).is_valid(wrong)


def test_catalogue_lists_and_shows_models(shop: Shop) -> None:
    """The catalogue is a table, one model in full, or JSON; lifecycles are judged as of the day that is given."""
    assert "gemini-3.5-flash" in shop.run_bare("catalogue").out
    assert "https://" in shop.run_bare("catalogue", "gemini-3.5-flash").out
    [old] = shop.run_bare("catalogue", "gemini-1.0-pro-002", "--as-of", "2024-11-20", "--json").document["models"]
    [now] = shop.run_bare("catalogue", "gemini-1.0-pro-002", "--as-of", "2026-11-20", "--json").document["models"]
    assert ("retired", True) == (now["lifecycle"], old["lifecycle"] != "retired")


def test_start_up_is_quick() -> None:
    """The help does not import what talks to Vertex AI."""
    code = (
        "import sys; from reconciler.__main__ import main; main(['--help']);"
        "print([name for name in ('httpx', 'pydantic', 'google.auth', 'yaml', 'deepdiff') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert "[]" == ran.stdout.splitlines()[-1]


def test_output_survives_a_terminal_without_unicode(shop: Shop) -> None:
    """Characters that the terminal's encoding has not are written out, not a traceback."""
    (shop.manifests / "alpha.yaml").write_text("kind: caf\u00e9\n", encoding="utf-8")
    ran = subprocess.run(
        shop.words("validate", "--json"),
        env=environment(PYTHONIOENCODING="ascii"),
        capture_output=True,
        check=False,
        cwd=os.fspath(shop.root),
    )
    assert (1, b"") == (ran.returncode, ran.stderr)
