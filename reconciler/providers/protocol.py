"""What the rest of tuneform needs from a service that tunes models, and the values that cross that seam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from reconciler.model.fields import Fields
from reconciler.model.job import JobFamily, LiveJob


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One job to create. `labels` are the user's and ours together, complete.

    `pre_tuned_model` is the resource name of the model to go on from; None for a base model.
    `nonce` becomes the job id in the families where the client chooses it.
    """

    location: str
    fields: Fields
    labels: Mapping[str, str]
    nonce: str
    display_name: str | None = None
    pre_tuned_model: str | None = None
    family: JobFamily = JobFamily.TUNING


@dataclass(frozen=True, slots=True)
class Listing:
    """One location, read to its last page. `at` is the server's time of the first page, aware UTC."""

    location: str
    jobs: tuple[LiveJob, ...]
    at: datetime


class Provider(Protocol):
    """A service that tunes models. Every method does I/O and raises ApiError or CredentialsError."""

    def list_jobs(self, location: str) -> Listing:
        """Every tuning job of the location, all pages, in any order."""

    def get_job(self, name: str) -> LiveJob:
        """One job by its resource name."""

    def create_job(self, request: JobRequest) -> LiveJob:
        """Create one job. Never retried by any layer: an AMBIGUOUS ApiError leaves open whether it exists."""

    def cancel_job(self, name: str) -> None:
        """Ask for a cancel. Best effort: the job may still succeed. A job that has ended is no error."""
