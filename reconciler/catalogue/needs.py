"""What a tuning job takes from which quota while it runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.catalogue.catalogue import Catalogue
from reconciler.catalogue.entries import QuotaLane
from reconciler.model.fields import Fields

# The accelerator that Vertex AI takes where a legacy code model names none.
# Source: ACCELERATOR_TYPE, default GPU, https://cloud.google.com/vertex-ai/generative-ai/docs/models/tune-code-models.
_DEFAULT_ACCELERATOR = "GPU"


def needs_of(catalogue: Catalogue, fields: Fields) -> Mapping[str, int]:
    """Units by lane.

    A Gemini model takes a global slot, an open model one of their own quota, a legacy code model a global slot and its
    accelerators. A model the catalogue does not know takes a global slot.
    """
    name = fields.get("baseModel")
    base = catalogue.find(name) if isinstance(name, str) else None
    if base is None or base.quota_lane is QuotaLane.GLOBAL:
        return {"global": 1}
    if base.quota_lane is QuotaLane.OPEN:
        return {"open": catalogue.quotas["open"].units_per_job}
    accelerator = str(fields.get("pipelineTuning.acceleratorType", _DEFAULT_ACCELERATOR))
    return {"global": 1, accelerator: catalogue.quotas[accelerator].units_per_job}
