"""`tuneform` and `python -m reconciler`: hands the arguments to the command line and ends with its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. `version` is answered before anything else is imported."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words in (["version"], ["--version"]):
        from reconciler.version import __version__

        sys.stdout.write(f"tuneform {__version__}\n")
        return 0
    from reconciler.cli.main import run

    return run(words)


if __name__ == "__main__":
    sys.exit(main())
