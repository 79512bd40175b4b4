"""The shape of the house, held: floors, purity, sizes, words in docstrings, and what a start may not load."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
PACKAGE = "reconciler"

FLOORS: Mapping[str, int] = {
    "errors": 1,
    "version": 1,
    "model": 2,
    "events": 2,
    "yamldoc": 2,
    "plan": 3,
    "state": 3,
    "manifest": 3,
    "catalogue": 3,
    "providers": 3,
    "durations": 3,
    "duplicates": 4,
    "quota": 4,
    "safety": 4,
    "status": 4,
    "planner": 5,
    "scheduler": 5,
    "transitions": 5,
    "recovery": 6,
    "forecast": 5,
    "polling": 5,
    "serving": 5,
    "audit": 5,
    "policy": 5,
    "backends": 5,
    "simulator": 5,
    "executor": 6,
    "outlook": 6,
    "renderers": 7,
    "reconcile": 7,
    "cli": 8,
    "__main__": 9,
}
# The forecast is the scheduler's own cycle run forward in simulated time; a copy of it would drift.
SIDEWAYS = frozenset({("forecast", "scheduler")})

# A name stands for the module and, of a package, for all that is in it.
PURE = (
    "errors",
    "version",
    "model",
    "yamldoc",
    "plan",
    "quota",
    "state",
    "planner",
    "scheduler",
    "transitions",
    "durations",
    "duplicates",
    "forecast",
    "outlook",
    "polling",
    "recovery",
    "policy",
    "audit",
    "events",
    "duplicates",
    "safety",
    "status",
    "catalogue.check",
    "manifest.parse",
    "manifest.schema",
    "providers.wire",
    "renderers",
)
IMPURE_MODULES = frozenset(
    [
        "asyncio",
        "concurrent",
        "fcntl",
        "google",
        "http",
        "httpx",
        "multiprocessing",
        "os",
        "random",
        "secrets",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib.request",
        "uuid",
    ]
)
# A Random that is given its seed is arithmetic: the same seed, the same numbers.
PURE_WITHIN = frozenset({"random.Random"})
# Pure paths are values; all else in pathlib reaches for the disk.
PURE_PATHS = frozenset({"PurePath", "PurePosixPath"})
IMPURE_CALLS = frozenset(
    [
        "io.open",
        "open",
        "input",
        "print",
        "breakpoint",
        "datetime.now",
        "datetime.utcnow",
        "datetime.today",
        "date.today",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
    ]
)
PRINTING_CALLS = frozenset(
    [
        "print",
        "click.echo",
        "click.secho",
        "echo",
        "secho",
        "sys.stdout.write",
        "sys.stderr.write",
        "sys.stdout.buffer.write",
    ]
)
THE_RIM = frozenset({"cli", "__main__"})
LATE = ("asyncio", "deepdiff", "google.auth", "httpx", "importlib.metadata", "pydantic", "sqlite3", "yaml")

MODULE_MAX_LINES = 400
FUNCTION_MAX_LINES = 60
FUNCTION_MEDIAN_LINES = 10

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file. `name` is dotted, without the package's own name: `state.codec`."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def top(self) -> str:
        """The module or package directly below the root that it is or belongs to."""
        return self.name.split(".")[0]

    def at(self, node: ast.AST) -> str:
        """The place of a node, for a message."""
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def read(path: Path, name: str) -> Module:
    """A source file, parsed."""
    text = path.read_text(encoding="utf-8")
    return Module(name, path, ast.parse(text, str(path)), text.count("\n"))


def dotted(path: Path) -> str:
    """The module's name below the package; empty for the package itself."""
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module.name: module for module in (read(path, dotted(path)) for path in sorted((ROOT / PACKAGE).rglob("*.py")))
}
TEST_FILES = tuple(read(path, str(path.relative_to(TESTS))) for path in sorted(TESTS.rglob("test_*.py")))


def names_imported(module: Module) -> Iterator[tuple[ast.stmt, str]]:
    """Every name that an import anywhere in the module asks for: `json`, `pathlib.Path`, `reconciler.errors.Source`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def own_imports(module: Module) -> Iterator[tuple[ast.stmt, str]]:
    """The modules of this package that a module imports, by their names here."""
    for node, name in names_imported(module):
        if not name.startswith(f"{PACKAGE}."):
            continue
        below = name.removeprefix(f"{PACKAGE}.")
        # `from reconciler.errors import Source` names the module and then something in it.
        yield node, below if below in MODULES else below.rpartition(".")[0]


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Every call of a plain dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node, ast.unparse(node.func)


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function, methods and inner ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Its lines, from `def` to its last, docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def within(name: str, tops: frozenset[str] | tuple[str, ...]) -> bool:
    """Whether a dotted name is one of some names or lies below one."""
    return any(name == top or name.startswith(f"{top}.") for top in tops)


def public(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[ast.ClassDef | Function, str]]:
    """Every public class, function and method, with its dotted name."""
    for node in body:
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
            continue
        yield node, f"{owner}{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from public(node.body, f"{owner}{node.name}.")


def told(problems: list[str]) -> str:
    """Problems as the message of a failure."""
    return "\n" + "\n".join(problems)


def test_every_module_has_a_floor() -> None:
    """A module that stands on no floor cannot be judged, so the table names all of them."""
    homeless = {module.top for module in MODULES.values() if module.name} - FLOORS.keys()
    assert not homeless, f"give each new module a floor in FLOORS: {', '.join(sorted(homeless))}"


def test_imports_only_go_down() -> None:
    """A module imports only from floors below its own, or from its own package."""
    problems = {
        f"{module.at(node)}: {module.name} (floor {FLOORS[module.top]}) imports {name} (floor {FLOORS[top]})"
        for module in MODULES.values()
        for node, name in own_imports(module)
        if (top := name.split(".")[0]) != module.top
        and {top, module.top} <= FLOORS.keys()
        and FLOORS[top] >= FLOORS[module.top]
        and (module.top, top) not in SIDEWAYS
    }
    assert not problems, told(sorted(problems))


def test_nothing_imports_the_root_package_for_its_contents() -> None:
    """The root package and the empty middles hold nothing, so nobody imports from them."""
    problems = [f"{module.at(node)}" for module in MODULES.values() for node, name in own_imports(module) if not name]
    assert not problems, told(problems)


def test_no_import_circles() -> None:
    """No module reaches itself through what it imports."""
    graph = {name: {target for _, target in own_imports(module)} - {name} for name, module in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other in a circle: {' -> '.join(error.args[1])}")


def test_the_table_of_pure_modules_is_current() -> None:
    """A name in the table that fits no module of a package that stands would guard nothing."""
    standing = {module.top for module in MODULES.values()}
    problems = [
        name
        for name in PURE
        if name.split(".")[0] not in FLOORS
        or (name.split(".")[0] in standing and not any(within(module, (name,)) for module in MODULES))
    ]
    assert not problems, "no such module:" + told(problems)


def test_pure_modules_import_nothing_that_acts() -> None:
    """A pure module has no clock, no randomness, no network and no files within reach."""
    problems = [
        f"{module.at(node)}: {module.name} is pure and imports {name}"
        for module in MODULES.values()
        if within(module.name, PURE)
        for node, name in names_imported(module)
        if (within(name, IMPURE_MODULES) and name not in PURE_WITHIN)
        or (within(name, ("pathlib",)) and name.split(".")[-1] not in PURE_PATHS)
    ]
    assert not problems, told(problems)


def test_pure_modules_call_nothing_that_acts() -> None:
    """A pure module opens nothing, prints nothing and does not ask what time it is."""
    problems = [
        f"{module.at(node)}: {module.name} is pure and calls {name}()"
        for module in MODULES.values()
        if within(module.name, PURE)
        for node, name in calls(module.tree)
        if name in IMPURE_CALLS
    ]
    assert not problems, told(problems)


def test_only_the_command_line_prints() -> None:
    """Everything but the command line returns what is to be said."""
    problems = [
        f"{module.at(node)}: {name}()"
        for module in MODULES.values()
        if module.top not in THE_RIM
        for node, name in calls(module.tree)
        if name in PRINTING_CALLS
    ]
    assert not problems, told(problems)


def test_modules_are_short() -> None:
    """A module can be read in one sitting."""
    problems = [f"{one.at(one.tree)}: {one.lines} lines" for one in MODULES.values() if one.lines > MODULE_MAX_LINES]
    assert not problems, f"over {MODULE_MAX_LINES} lines:" + told(problems)


def test_functions_are_short() -> None:
    """A function fits a screen."""
    problems = [
        f"{module.at(function)} {function.name}: {length(function)} lines"
        for module in MODULES.values()
        for function in functions(module.tree)
        if length(function) > FUNCTION_MAX_LINES
    ]
    assert not problems, f"over {FUNCTION_MAX_LINES} lines:" + told(problems)


def test_the_median_function_is_small() -> None:
    """Half of all functions say one thing in a few lines."""
    lengths = [length(function) for module in MODULES.values() for function in functions(module.tree)]
    assert statistics.median(lengths) <= FUNCTION_MEDIAN_LINES


def test_everything_public_has_a_docstring() -> None:
    """Every module that holds something, and every public class, function and method, says what it is."""
    modules = [
        f"{module.at(module.tree)}: the module"
        for module in MODULES.values()
        if module.tree.body and not ast.get_docstring(module.tree)
    ]
    members = [
        f"{module.at(node)}: {name}"
        for module in MODULES.values()
        for node, name in public(module.tree.body)
        if not ast.get_docstring(node)
    ]
    assert not modules + members, "without a docstring:" + told(modules + members)


def test_every_test_says_what_it_holds() -> None:
    """Every test states in its docstring the behaviour it holds."""
    problems = [
        f"{module.at(function)}: {function.name}"
        for module in TEST_FILES
        for function in functions(module.tree)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert not problems, "without a docstring:" + told(problems)


@pytest.mark.parametrize("argument", ["version", "--help"])
def test_a_start_loads_nothing_heavy(argument: str) -> None:
    """What a command does not need is not loaded for it: starting stays a matter of milliseconds."""
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('loaded:', *sorted(sys.modules), file=sys.stderr))\n"
        "from reconciler.__main__ import main\n"
        f"sys.argv = ['tuneform', {argument!r}]\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert 0 == done.returncode, done.stderr
    loaded = done.stderr.rpartition("loaded:")[2].split()
    assert "reconciler.__main__" in loaded
    assert [] == [name for name in LATE if name in loaded]
