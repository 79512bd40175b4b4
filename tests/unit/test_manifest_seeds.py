"""The request bodies of Google's own tuning pages, each as the manifest that asks for the same, value for value.

Source: the pages "Tune Gemini models by supervised fine-tuning" (gemini-1.0-pro-002 and gemini-1.5-pro-002) and "Tune
code models" (code-bison, codechat-bison), as published in 2024; slips in their JSON corrected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from reconciler.manifest.parse import ManifestFile, parse_manifests

STACK = """\
apiVersion: tuneform/v1
kind: Stack
metadata: {name: seeds}
spec: {project: myproject, location: us-central1}
---
apiVersion: tuneform/v1
kind: TunedModel
metadata: {name: tuned}
"""
TRAIN = "gs://cloud-samples-data/ai-platform/generative_ai/sft_train_data.jsonl"
VALIDATION = "gs://cloud-samples-data/ai-platform/generative_ai/sft_validation_data.jsonl"
KEY = "projects/myproject/locations/us-central1/keyRings/sample-key/cryptoKeys/sample-key"
PARAMETERS = "runtimeConfig.parameterValues"

# What a manifest calls each value of a request; None where the stack, or the base model, says it.
FIELD_OF: Mapping[str, str | None] = {
    "baseModel": "baseModel",
    "supervisedTuningSpec.training_dataset_uri": "trainingDatasetUri",
    "supervisedTuningSpec.validation_dataset_uri": "validationDatasetUri",
    "supervisedTuningSpec.hyper_parameters.epoch_count": "hyperParameters.epochCount",
    "supervisedTuningSpec.hyper_parameters.learning_rate_multiplier": "hyperParameters.learningRateMultiplier",
    "supervisedTuningSpec.trainingDatasetUri": "trainingDatasetUri",
    "supervisedTuningSpec.validationDatasetUri": "validationDatasetUri",
    "supervisedTuningSpec.hyperParameters.epochCount": "hyperParameters.epochCount",
    "supervisedTuningSpec.hyperParameters.adapterSize": "hyperParameters.adapterSize",
    "supervisedTuningSpec.hyperParameters.learningRateMultiplier": "hyperParameters.learningRateMultiplier",
    "tunedModelDisplayName": "tunedModelDisplayName",
    "displayName": None,
    "templateUri": None,
    "encryptionSpec.kmsKeyName": "encryptionSpec.kmsKeyName",
    "runtimeConfig.gcsOutputDirectory": "pipelineTuning.gcsOutputDirectory",
    f"{PARAMETERS}.project": None,
    f"{PARAMETERS}.model_display_name": "tunedModelDisplayName",
    f"{PARAMETERS}.dataset_uri": "trainingDatasetUri",
    f"{PARAMETERS}.evaluation_data_uri": "pipelineTuning.evaluationDataUri",
    f"{PARAMETERS}.evaluation_interval": "pipelineTuning.evaluationInterval",
    f"{PARAMETERS}.enable_early_stopping": "pipelineTuning.enableEarlyStopping",
    f"{PARAMETERS}.enable_checkpoint_selection": "pipelineTuning.enableCheckpointSelection",
    f"{PARAMETERS}.tensorboard_resource_id": "pipelineTuning.tensorboardResourceId",
    f"{PARAMETERS}.location": "pipelineTuning.modelUploadLocation",
    f"{PARAMETERS}.accelerator_type": "pipelineTuning.acceleratorType",
    f"{PARAMETERS}.large_model_reference": "baseModel",
    f"{PARAMETERS}.default_context": "pipelineTuning.defaultContext",
    f"{PARAMETERS}.train_steps": "pipelineTuning.trainSteps",
    f"{PARAMETERS}.learning_rate_multiplier": "pipelineTuning.learningRateMultiplier",
    f"{PARAMETERS}.encryption_spec_key_name": "encryptionSpec.kmsKeyName",
}
TEMPLATES = "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines"

SEEDS: list[tuple[str, Mapping[str, Any], str]] = [
    (
        "gemini-1.0-pro, curl",
        {
            "baseModel": "gemini-1.0-pro-002",
            "supervisedTuningSpec": {"training_dataset_uri": TRAIN, "validation_dataset_uri": VALIDATION},
            "tunedModelDisplayName": "tuned_gemini_pro",
        },
        f"""
          baseModel: gemini-1.0-pro-002
          trainingDatasetUri: {TRAIN}
          validationDatasetUri: {VALIDATION}
          tunedModelDisplayName: tuned_gemini_pro
        """,
    ),
    (
        "gemini-1.0-pro, all parameters",
        {
            "baseModel": "gemini-1.0-pro-002",
            "supervisedTuningSpec": {
                "training_dataset_uri": TRAIN,
                "validation_dataset_uri": VALIDATION,
                "hyper_parameters": {"epoch_count": 4, "learning_rate_multiplier": 1.0},
            },
            "tunedModelDisplayName": "tuned_gemini_pro",
        },
        f"""
          baseModel: gemini-1.0-pro-002
          trainingDatasetUri: {TRAIN}
          validationDatasetUri: {VALIDATION}
          hyperParameters: {{epochCount: 4, learningRateMultiplier: 1.0}}
          tunedModelDisplayName: tuned_gemini_pro
        """,
    ),
    (
        "gemini-1.5-pro, curl",
        {
            "baseModel": "gemini-1.5-pro-002",
            "supervisedTuningSpec": {"training_dataset_uri": TRAIN, "validation_dataset_uri": VALIDATION},
            "tunedModelDisplayName": "tuned_gemini_pro",
        },
        f"""
          baseModel: gemini-1.5-pro-002
          trainingDatasetUri: {TRAIN}
          validationDatasetUri: {VALIDATION}
          tunedModelDisplayName: tuned_gemini_pro
        """,
    ),
    (
        "gemini-1.5-pro, all parameters",
        {
            "baseModel": "gemini-1.5-pro-002",
            "supervisedTuningSpec": {
                "trainingDatasetUri": TRAIN,
                "validationDatasetUri": VALIDATION,
                "hyperParameters": {"epochCount": 4, "adapterSize": 4, "learningRateMultiplier": 1.0},
            },
            "tunedModelDisplayName": "tuned_gemini_1_5_pro",
        },
        f"""
          baseModel: gemini-1.5-pro-002
          trainingDatasetUri: {TRAIN}
          validationDatasetUri: {VALIDATION}
          hyperParameters: {{epochCount: 4, adapterSize: 4, learningRateMultiplier: 1.0}}
          tunedModelDisplayName: tuned_gemini_1_5_pro
        """,
    ),
    (
        "code-bison, curl",
        {
            "displayName": "PIPELINE_NAME",
            "runtimeConfig": {
                "gcsOutputDirectory": "gs://my-gcs-bucket-uri/output",
                "parameterValues": {
                    "project": "myproject",
                    "model_display_name": "The display name for your model in the UI",
                    "dataset_uri": "gs://my-gcs-bucket-uri/dataset",
                    "evaluation_data_uri": "gs://cloud-samples-data/vertex-ai/model-evaluation/eval_sample.jsonl",
                    "location": "us-central1",
                    "accelerator_type": "GPU",
                    "large_model_reference": "code-bison@002",
                    "learning_rate_multiplier": 1,
                    "train_steps": 300,
                },
            },
            "templateUri": f"{TEMPLATES}/tune-large-model/v3.0.0",
        },
        """
          baseModel: code-bison@002
          trainingDatasetUri: gs://my-gcs-bucket-uri/dataset
          tunedModelDisplayName: The display name for your model in the UI
          pipelineTuning:
            gcsOutputDirectory: gs://my-gcs-bucket-uri/output
            evaluationDataUri: gs://cloud-samples-data/vertex-ai/model-evaluation/eval_sample.jsonl
            modelUploadLocation: us-central1
            acceleratorType: GPU
            learningRateMultiplier: 1
            trainSteps: 300
        """,
    ),
    (
        "code-bison, all parameters",
        {
            "displayName": "PIPELINEJOB_DISPLAYNAME",
            "runtimeConfig": {
                "gcsOutputDirectory": "gs://output-dir",
                "parameterValues": {
                    "project": "myproject",
                    "model_display_name": "MODEL_DISPLAYNAME",
                    "dataset_uri": "gs://my-gcs-bucket-uri/dataset",
                    "evaluation_data_uri": "gs://my-gcs-bucket-uri/eval",
                    "evaluation_interval": 20,
                    "enable_early_stopping": True,
                    "enable_checkpoint_selection": "default",
                    "tensorboard_resource_id": "projects/1/locations/us-central1/tensorboards/2",
                    "location": "europe-west4",
                    "accelerator_type": "TPU",
                    "large_model_reference": "code-bison@002",
                    "train_steps": 300,
                    "learning_rate_multiplier": 1,
                },
            },
            "templateUri": f"{TEMPLATES}/tune-large-model/v3.0.0",
        },
        """
          baseModel: code-bison@002
          trainingDatasetUri: gs://my-gcs-bucket-uri/dataset
          tunedModelDisplayName: MODEL_DISPLAYNAME
          pipelineTuning:
            gcsOutputDirectory: gs://output-dir
            evaluationDataUri: gs://my-gcs-bucket-uri/eval
            evaluationInterval: 20
            enableEarlyStopping: true
            enableCheckpointSelection: default
            tensorboardResourceId: projects/1/locations/us-central1/tensorboards/2
            modelUploadLocation: europe-west4
            acceleratorType: TPU
            trainSteps: 300
            learningRateMultiplier: 1
        """,
    ),
    (
        "codechat-bison, curl",
        {
            "displayName": "PIPELINE_NAME",
            "runtimeConfig": {
                "gcsOutputDirectory": "gs://my-gcs-bucket-uri/output",
                "parameterValues": {
                    "project": "myproject",
                    "model_display_name": "your-model-display-name",
                    "dataset_uri": "gs://my-gcs-bucket-uri/dataset",
                    "location": "us-central1",
                    "large_model_reference": "codechat-bison@002",
                    "train_steps": 300,
                    "learning_rate_multiplier": 1,
                    "encryption_spec_key_name": KEY,
                },
            },
            "encryptionSpec": {"kmsKeyName": KEY},
            "templateUri": f"{TEMPLATES}/tune-large-chat-model/v3.0.0",
        },
        f"""
          baseModel: codechat-bison@002
          trainingDatasetUri: gs://my-gcs-bucket-uri/dataset
          tunedModelDisplayName: your-model-display-name
          encryptionSpec: {{kmsKeyName: {KEY}}}
          pipelineTuning:
            gcsOutputDirectory: gs://my-gcs-bucket-uri/output
            modelUploadLocation: us-central1
            trainSteps: 300
            learningRateMultiplier: 1
        """,
    ),
    (
        "codechat-bison, all parameters",
        {
            "displayName": "PIPELINEJOB_DISPLAYNAME",
            "runtimeConfig": {
                "gcsOutputDirectory": "gs://output-dir",
                "parameterValues": {
                    "project": "myproject",
                    "model_display_name": "MODEL_DISPLAYNAME",
                    "dataset_uri": "gs://my-gcs-bucket-uri/dataset",
                    "tensorboard_resource_id": "projects/1/locations/us-central1/tensorboards/2",
                    "location": "us-central1",
                    "accelerator_type": "GPU",
                    "large_model_reference": "codechat-bison@002",
                    "default_context": "You are a helpful code reviewer.",
                    "train_steps": 300,
                    "learning_rate_multiplier": 1,
                },
            },
            "templateUri": f"{TEMPLATES}/tune-large-chat-model/v3.0.0",
        },
        """
          baseModel: codechat-bison@002
          trainingDatasetUri: gs://my-gcs-bucket-uri/dataset
          tunedModelDisplayName: MODEL_DISPLAYNAME
          pipelineTuning:
            gcsOutputDirectory: gs://output-dir
            tensorboardResourceId: projects/1/locations/us-central1/tensorboards/2
            modelUploadLocation: us-central1
            acceleratorType: GPU
            defaultContext: You are a helpful code reviewer.
            trainSteps: 300
            learningRateMultiplier: 1
        """,
    ),
]


def leaves(body: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a request, by its dotted path."""
    for key, value in body.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.mark.parametrize(("body", "spec"), [pytest.param(body, spec, id=name) for name, body, spec in SEEDS])
def test_a_manifest_says_what_the_request_says(body: Mapping[str, Any], spec: str) -> None:
    """Each value of the request is a field of the model, no field is more than the request has, and all are equal."""
    expected = {field: value for path, value in leaves(body) if (field := FIELD_OF[path])}
    desired, warnings = parse_manifests([ManifestFile("m/a.yaml", f"{STACK}spec:{spec}", "")], root="m")
    assert () == warnings
    assert {"location": "us-central1", "method": "supervised", **expected} == desired.models[0].fields
