"""What plan, apply and destroy share: a session's plan, its targets, and plans in files."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

from reconciler.cli.session import Session
from reconciler.errors import TuneformError, UsageError
from reconciler.plan import Plan, decode_plan, encode_plan, only
from reconciler.reconcile import Planned, plan_stack


def make_session_plan(session: Session, targets: tuple[str, ...]) -> Planned:
    """The plan of the session's stack, for the targeted addresses only where there are any."""
    planned = plan_stack(
        session.effects,
        session.desired,
        session.held,
        obstacles=session.checked.obstacles,
        warnings=session.checked.warnings,
        new_owner=session.new_owner,
    )
    if not targets:
        return planned
    return replace(planned, plan=only(planned.plan, _matched(planned.plan, targets), targets))


def _matched(plan: Plan, targets: tuple[str, ...]) -> frozenset[str]:
    addresses = [change.address for change in plan.changes]
    matched: set[str] = set()
    for target in targets:
        pattern = _pattern(target)
        found = {address for address in addresses if pattern.fullmatch(address)}
        if not found:
            known = ", ".join(addresses[:10]) + (", …" if len(addresses) > 10 else "")
            raise UsageError("No address matches a target", f"Nothing is called {target}. Known addresses: {known}.")
        matched |= found
    return frozenset(matched)


def _pattern(target: str) -> re.Pattern[str]:
    parts = re.split(r"([*?])", target)
    return re.compile("".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts))


def save_plan(plan: Plan, path: Path) -> None:
    """Writes the plan as JSON, replacing the file in one step. Raises TuneformError when it cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(encode_plan(plan), indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise TuneformError("The plan cannot be saved", f"{path}: {error.strerror}.") from error


def read_plan(path: Path) -> Plan:
    """A saved plan. Raises TuneformError when it cannot be read or is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TuneformError("The plan cannot be read", f"{path}: {error.strerror}.") from error
    except ValueError as error:
        raise TuneformError(
            "The plan cannot be read",
            f"{path} is not a JSON document: {error}. Make it anew:",
            command=f"tuneform plan --out {path}",
        ) from error
    if not isinstance(document, dict):
        raise TuneformError("The plan cannot be read", f"{path} is not a plan document.")
    return decode_plan(document)
