"""The labels by which our jobs are found again when the state is lost, and told from foreign ones."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.address import address_label

MANAGED_BY = "managed-by"
OWNER = "tuneform-owner"
STACK = "tuneform-stack"
NAME = "tuneform-name"
SPEC = "tuneform-spec"
ATTEMPT = "tuneform-attempt"
NONCE = "tuneform-nonce"
OURS = frozenset({MANAGED_BY, OWNER, STACK, NAME, SPEC, ATTEMPT, NONCE})
# A resource bears at most 64 labels, and seven of them are ours.
# Source: the limit is documented for other Vertex AI resources, https://cloud.google.com/vertex-ai/docs/reference/rest.
USER_LABELS_MAX_COUNT = 64 - len(OURS)


def ownership_labels(
    *, owner: str, stack: str, address: str, fingerprint: str, attempt: int, nonce: str
) -> dict[str, str]:
    """The seven labels of a job we create; every value fits Google's 63 characters."""
    return {
        MANAGED_BY: "tuneform",
        OWNER: owner,
        STACK: stack,
        NAME: address_label(address),
        SPEC: fingerprint,
        ATTEMPT: str(attempt),
        NONCE: nonce,
    }


def user_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels without ours and without Google's reserved ones (`google-…`)."""
    return {key: value for key, value in labels.items() if key not in OURS and not key.startswith("google-")}
