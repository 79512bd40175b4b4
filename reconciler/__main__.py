"""`tuneform` and `python -m reconciler`: hands the arguments to the command line and ends with its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. `version` is answered before anything else is imported."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if words in (["version"], ["--version"]):
            from reconciler.version import __version__

            sys.stdout.write(f"tuneform {__version__}\n")
            sys.stdout.flush()
            return 0
        from reconciler.cli.main import run

        return run(words)
    except BrokenPipeError:
        # Whoever read our output went away; writing anything more would only fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
