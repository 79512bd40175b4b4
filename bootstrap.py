"""Makes `.venv` with tuneform and its tools in it, out of Python 3.11 and its standard library alone.

Everything comes from requirements-dev.lock, each file checked against its hash, the build backend included. uv does the
work where it is on PATH, else pip. The syntax stays old, so that an old Python can say that it is too old.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import venv

ROOT = os.path.dirname(os.path.abspath(__file__))
ENVIRONMENT = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(ENVIRONMENT, "bin", "python")
LOCK = os.path.join(ROOT, "requirements-dev.lock")
STAMP = os.path.join(ENVIRONMENT, ".ready")
OLDEST = (3, 11)
PIP_OPTIONS = ("--quiet", "--disable-pip-version-check")

# For a Python without ensurepip, which is what Debian has without its package python3-venv.
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_URL = (
    "https://files.pythonhosted.org/packages/07/25/ee8c38ae72d66b844ce8eb9711ba905dba21ca1a8a0c960057c41cd23337/"
    + PIP_WHEEL
)


def main():  # type: () -> None
    """Make the environment, or bring it up to date; exits with one sentence when that cannot be done."""
    if sys.version_info < OLDEST:
        sys.exit("tuneform needs Python 3.11 or newer, and this is {}.{}.".format(*sys.version_info[:2]))
    if not usable():
        venv.create(ENVIRONMENT, clear=True, symlinks=True)
    print("Installing tuneform and its tools into .venv (under a minute) ...", flush=True)
    if not (installed_by_uv() or installed_by_pip()):
        sys.exit("The installation failed; the lines above say why. Nothing outside .venv was changed.")
    with open(STAMP, "w", encoding="utf-8"):
        pass


def usable():  # type: () -> bool
    """Whether .venv holds a Python that starts and is new enough."""
    try:
        return run([PYTHON, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST})"])
    except OSError:
        return False


def installed_by_uv():  # type: () -> bool
    """Whether uv is there and could do it; it does not know pip's settings, so pip may succeed where it fails."""
    uv = shutil.which("uv")
    return uv is not None and install([uv, "pip", "install", "--quiet", "--python", PYTHON])


def installed_by_pip():  # type: () -> bool
    """Whether pip could do it."""
    if importlib.util.find_spec("ensurepip"):
        ready = run([PYTHON, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
        return ready and install([PYTHON, "-m", "pip", "install", *PIP_OPTIONS])
    with tempfile.TemporaryDirectory() as folder:
        wheel = os.path.join(folder, PIP_WHEEL)
        download_pip(wheel)
        return install([PYTHON, os.path.join(wheel, "pip"), "install", *PIP_OPTIONS])


def install(command):  # type: (list[str]) -> bool
    """Install what is locked, then tuneform itself, which then finds its build backend among it."""
    return run([*command, "--require-hashes", "-r", LOCK]) and run(
        [*command, "--no-deps", "--no-build-isolation", "-e", ROOT]
    )


def download_pip(path):  # type: (str) -> None
    """Fetch pip itself; exits when it cannot be had, or is not the one whose digest stands above."""
    try:
        with urllib.request.urlopen(PIP_URL, timeout=60) as answer:
            content = answer.read()
    except OSError as error:
        sys.exit(f"This Python has no pip, and fetching one failed: {error}. Install python3-venv, or uv.")
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        sys.exit(f"{PIP_URL} is not the file it should be. Install python3-venv, or uv.")
    with open(path, "wb") as file:
        file.write(content)


def run(command, stdout=None):  # type: (list[str], int | None) -> bool
    """Whether the command succeeded."""
    return subprocess.run(command, stdout=stdout, check=False).returncode == 0


if __name__ == "__main__":
    main()
