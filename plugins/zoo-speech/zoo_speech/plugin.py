"""What zoo-speech brings: models that hear, losses, data and tasks. Imports nothing heavy."""

from __future__ import annotations

from zoo_core.contract import DataSpec, InterfaceSpec, LossSpec, ModelSpec, TaskSpec, hookimpl
from zoo_speech.specs import DATA, INTERFACES, LOSSES, MODELS, SUFFIXES, TASKS

zoo_api = (2, 0)
zoo_defaults = {"modality": "audio", "input": "file", "input_suffixes": SUFFIXES}


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """Families that hear."""
    return MODELS


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Users' recordings, and named sets that packages ship."""
    return DATA


@hookimpl
def zoo_losses() -> list[LossSpec]:
    """Losses of sequences and of pretraining."""
    return LOSSES


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """Pretraining, recognition, classification and embeddings."""
    return TASKS


@hookimpl
def zoo_interfaces() -> list[InterfaceSpec]:
    """What a model of recordings is."""
    return INTERFACES
