"""Addresses of tuned models, and the label that stands for one on a job."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

ADDRESS_MAX_CHARS = 200
# A label value holds at most 63 characters: slug (54) + dash + 8 hex.
_SLUG_MAX_CHARS = 54


def sweep_address(name: str, values: Mapping[str, object]) -> str:
    """`intent-sweep[adapterSize=8,epochCount=4]`: the last part of each path, in the order of the matrix."""
    inside = ",".join(f"{path.rsplit('.', 1)[-1]}={value}" for path, value in values.items())
    return f"{name}[{inside}]"


def address_label(address: str) -> str:
    """The address as a label value: a readable slug and 8 hex of its digest, since brackets do not fit a label."""
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    slug = re.sub(r"[^a-z0-9_-]+", "-", address.lower()).strip("-")[:_SLUG_MAX_CHARS].rstrip("-")
    return f"{slug}-{digest}" if slug else digest
