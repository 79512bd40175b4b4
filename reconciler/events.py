"""What happens during an apply, as values that are reported while it happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What happened."""

    CREATED = "created"
    ADOPTED = "adopted"
    REFUSED = "refused"
    GIVEN_UP = "given_up"
    UNCERTAIN = "uncertain"
    RETRY = "retry"
    UNANSWERED = "unanswered"
    CANCEL_REQUESTED = "cancel_requested"
    CANCEL_FAILED = "cancel_failed"
    DUPLICATE = "duplicate"
    FORGOTTEN = "forgotten"
    PHASE = "phase"
    LOOKED = "looked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened to one address. `job` is None where no job is involved."""

    at: datetime
    kind: Kind
    address: str
    text: str
    job: str | None = None
