"""What goes wrong on purpose: the world's faults, read from JSON or from switches. Pure.

Every switch is off until it is set. N counts creates, a share is from 0 to 1, S is seconds of simulated time unless
said otherwise; all chance is drawn from the world's seed. A create meets one fault at most: the first in this order
whose count is above 0, those without an effect when it arrives, the others when it has taken effect.

    The next N creates have no effect:
      refuse_permission=N    403 PERMISSION_DENIED
      refuse_invalid=N       400 INVALID_ARGUMENT, with a field that is wrong
      refuse_accelerator=N   429 for the region's restricted_image_training quota
      refuse_quota=N         429 for the quota of concurrent tuning jobs
      refuse_rate=N          429 RATE_LIMIT_EXCEEDED, with its ErrorInfo
      retry_after_s=S        ... and with Retry-After: S (whole real seconds)
      fail_before=N          503 and 500 in turn; the last one is 503
      reset_before=N         the connection is reset
      slow_before=N          no connection in time; a served world takes the
                             create slow_s late instead, with its effect
    The next N creates take effect:
      lost_create_answers=N  503
      reset_after=N          the connection is reset
      slow_after=N           no answer in time; a served world answers slow_s late
      malformed_answers=N    200 with a body that is no JSON
      truncated_answers=N    200, and the connection ends within the body
      slow_s=S               how late slow ones are, in real seconds (90)
    For as long as they are set:
      list_lag_s=S           a new job is absent from lists for S
      unread_locations=L,L   every list of these locations is answered 503
      cancel_race=SHARE      of cancelled running jobs, that succeed all the same
      cancel_ignored=SHARE   of jobs, whose cancels are answered and do nothing
      flicker=SHARE          of new jobs, that go back from PENDING to QUEUED
                             every half minute until they run
      foreign_per_hour=X     jobs of others in a simulated hour, by chance;
                             the quota counts them, and refuses or delays them
      foreign_project=P      ... the project they come to; needed with the above
      foreign_locations=L,L  ... their locations, by chance (us-central1)
      foreign_min_s=S        ... the least they run (900)
      foreign_max_s=S        ... the most they run (7200)
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

from reconciler.errors import UsageError

NO_FAULTS = "none"
_AMOUNT_MAX = 1_000_000_000


class BeforeEffect(StrEnum):
    """What keeps a create from taking effect; each is the name of its count in Faults."""

    REFUSE_PERMISSION = "refuse_permission"
    REFUSE_INVALID = "refuse_invalid"
    REFUSE_ACCELERATOR = "refuse_accelerator"
    REFUSE_QUOTA = "refuse_quota"
    REFUSE_RATE = "refuse_rate"
    FAIL = "fail_before"
    RESET = "reset_before"
    SLOW = "slow_before"


class AfterEffect(StrEnum):
    """What spoils the answer of a create that took effect; each is the name of its count in Faults."""

    LOST = "lost_create_answers"
    RESET = "reset_after"
    SLOW = "slow_after"
    MALFORMED = "malformed_answers"
    TRUNCATED = "truncated_answers"


CreateFault = TypeVar("CreateFault", BeforeEffect, AfterEffect)
_SHARES = ("cancel_race", "cancel_ignored", "flicker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong from now on; the module's table says what each does. Raises UsageError for what cannot be."""

    refuse_permission: int = 0
    refuse_invalid: int = 0
    refuse_accelerator: int = 0
    refuse_quota: int = 0
    refuse_rate: int = 0
    retry_after_s: int = 0
    fail_before: int = 0
    reset_before: int = 0
    slow_before: int = 0
    lost_create_answers: int = 0
    reset_after: int = 0
    slow_after: int = 0
    malformed_answers: int = 0
    truncated_answers: int = 0
    slow_s: float = 90.0
    list_lag_s: float = 0.0
    unread_locations: tuple[str, ...] = ()
    cancel_race: float = 0.0
    cancel_ignored: float = 0.0
    flicker: float = 0.0
    foreign_per_hour: float = 0.0
    foreign_project: str = ""
    foreign_locations: tuple[str, ...] = ("us-central1",)
    foreign_min_s: int = 900
    foreign_max_s: int = 7200

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        for one in dataclasses.fields(self):
            value, top = getattr(self, one.name), 1 if one.name in _SHARES else _AMOUNT_MAX
            if isinstance(one.default, int | float) and not 0 <= value <= top:
                raise UsageError(f"The fault {one.name} must be from 0 to {top}", f"It is {value}.")
        if self.foreign_per_hour > 0 and not (self.foreign_project and self.foreign_locations):
            raise UsageError(
                "Foreign jobs need a project and a location", "Set foreign_project beside foreign_per_hour."
            )
        if self.foreign_min_s > self.foreign_max_s:
            raise UsageError(
                "Foreign jobs cannot run longer at least than at most",
                f"foreign_min_s is {self.foreign_min_s}, foreign_max_s is {self.foreign_max_s}.",
            )


def first_of(faults: Faults, order: type[CreateFault]) -> tuple[CreateFault | None, Faults]:
    """The fault that the next create meets, and the faults that are left then; None where it meets none."""
    for one in order:
        count: int = getattr(faults, one.value)
        if count > 0:
            changed: Any = {one.value: count - 1}
            return one, replace(faults, **changed)
    return None, faults


def decode_faults(document: Mapping[str, Any]) -> Faults:
    """The faults in a world's JSON; raises TypeError or UsageError for what is none."""
    values: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in document.items()}
    return Faults(**values)


def parse_faults(switches: Sequence[str]) -> Faults:
    """The faults that switches like `lost_create_answers=2` set, and no others; `none` sets none.

    Raises UsageError for a name or a value that there is not.
    """
    defaults = {one.name: one.default for one in dataclasses.fields(Faults)}
    values: dict[str, Any] = {}
    for switch in switches:
        name, _, text = switch.partition("=")
        if switch == NO_FAULTS:
            continue
        if name not in defaults:
            raise UsageError(f"There is no fault {name!r}", f"There are {', '.join(defaults)}.")
        values[name] = _value(name, text, defaults[name])
    return Faults(**values)


def fault_table() -> str:
    """The table of all switches, for people; empty where Python runs without docstrings."""
    return "\n".join(line[4:] for line in (__doc__ or "").splitlines() if line.startswith("    "))


def drawn(seed: int, purpose: str, key: object) -> float:
    """A number in [0, 1) that looks random and is the same whenever it is asked for."""
    digest = hashlib.sha256(f"{seed}:{purpose}:{key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def _value(name: str, text: str, default: object) -> object:
    try:
        match default:
            case int():
                return int(text)
            case float():
                return float(text)
            case tuple():
                return tuple(part.strip() for part in text.split(",") if part.strip())
            case _:
                return text
    except ValueError:
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise UsageError(f"The fault {name} takes {kind}", f"It was given {text!r}.") from None
