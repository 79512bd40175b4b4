"""The shapes single values of a manifest have: patterns, each with its words for people, and the types made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from reconciler.model.labels import USER_LABELS_MAX_COUNT

NAME_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
LABEL_KEY_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"
LABEL_VALUE_PATTERN = r"^[a-z0-9_-]{0,63}$"
PROJECT_PATTERN = r"^(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$"
LOCATION_PATTERN = r"^[a-z][a-z0-9-]{0,40}$"
DATE_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
MODEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*(?:[/@:][A-Za-z0-9._-]+)*$"
TUNED_MODEL_PATTERN = r"^projects/[^/\s]+/locations/[^/\s]+/models/[^/\s]+$"
KEY_PATTERN = r"^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$"
EMAIL_PATTERN = r"^[^@\s/]+@[^@\s/]+\.[^@\s/]+$"
# Source: https://cloud.google.com/storage/docs/buckets#naming. A query or fragment would be a signed URL's, or a slip.
_BUCKET = r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
OBJECT_PATTERN = rf"^{_BUCKET}/[^?#\x00-\x1f\x7f]*[^?#/\x00-\x20\x7f]$"
FOLDER_PATTERN = rf"^{_BUCKET}(?:/[^?#\x00-\x20\x7f]*)?$"
DATASET_PATTERN = rf"(?:{OBJECT_PATTERN})|(?:^projects/[^/\s]+/locations/[^/\s]+/datasets/[^/\s]+$)"


def _whole(value: Any) -> Any:
    """4.0 as 4, as JSON does; anything else as it is, for the type to judge."""
    return int(value) if type(value) is float and value.is_integer() else value


def _word(value: Any) -> Any:
    """True and false as the strings that the pipeline takes."""
    return {True: "true", False: "false"}[value] if type(value) is bool else value


def _automatic(value: Any) -> Any:
    return None if value == "auto" else value


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
NonNegative = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Retries = Annotated[int, Field(ge=0, le=10), BeforeValidator(_whole)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Location = Annotated[str, Field(pattern=LOCATION_PATTERN)]
DatasetUri = Annotated[str, Field(pattern=DATASET_PATTERN)]
ObjectUri = Annotated[str, Field(pattern=OBJECT_PATTERN)]
FolderUri = Annotated[str, Field(pattern=FOLDER_PATTERN)]
Labels = Annotated[
    dict[
        Annotated[str, Field(pattern=LABEL_KEY_PATTERN)],
        Annotated[str, Field(pattern=LABEL_VALUE_PATTERN)] | None,
    ],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": LABEL_KEY_PATTERN},
            "additionalProperties": {"type": ["string", "null"], "pattern": LABEL_VALUE_PATTERN},
            "maxProperties": USER_LABELS_MAX_COUNT,
        }
    ),
]
LimitOrAuto = Annotated[
    NonNegative | None,
    BeforeValidator(_automatic),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"const": "auto"}, {"type": "null"}]}),
]
Selection = Annotated[
    Literal["true", "false", "default"],
    BeforeValidator(_word),
    WithJsonSchema({"enum": ["true", "false", "default", True, False]}),
]
Scalar = Annotated[Any, WithJsonSchema({"type": ["string", "number", "boolean"]})]

# What to write where a pattern is not met; a full sentence.
WORDS: Mapping[str, str] = {
    NAME_PATTERN: "Use small letters, digits and dashes, at most 63, and start with a letter.",
    LABEL_KEY_PATTERN: "Use small letters, digits, - and _, at most 63, and start with a letter.",
    LABEL_VALUE_PATTERN: "Use small letters, digits, - and _, at most 63.",
    PROJECT_PATTERN: "Write the project's id, such as demo-project: 6 to 30 small letters, digits and dashes.",
    LOCATION_PATTERN: "Write a region, such as us-central1.",
    DATE_PATTERN: "Write a date as YYYY-MM-DD.",
    MODEL_PATTERN: "Write a model id, such as gemini-2.5-flash or code-bison@002.",
    TUNED_MODEL_PATTERN: "Write projects/PROJECT/locations/LOCATION/models/MODEL, with @version where wanted.",
    KEY_PATTERN: "Write projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY.",
    EMAIL_PATTERN: "Write the service account's address, such as tuner@demo-project.iam.gserviceaccount.com.",
    OBJECT_PATTERN: "Write gs://bucket/object.",
    FOLDER_PATTERN: "Write gs://bucket or gs://bucket/folder.",
    DATASET_PATTERN: "Write gs://bucket/object.jsonl.",
}
