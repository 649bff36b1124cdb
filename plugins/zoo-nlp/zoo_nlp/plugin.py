"""What zoo-nlp brings: text models, tokenizers, data and tasks. Imports nothing heavy."""

from __future__ import annotations

from zoo_core.contract import DataSpec, InterfaceSpec, ModelSpec, TaskSpec, hookimpl
from zoo_nlp.specs import DATA, INTERFACES, MODELS, TASKS

zoo_api = (2, 0)
zoo_defaults = {"modality": "text"}


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """Four families, each in tiny, small and base."""
    return MODELS


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Readers of the user's files, and named data sets."""
    return DATA


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """What text models learn and answer."""
    return TASKS


@hookimpl
def zoo_interfaces() -> list[InterfaceSpec]:
    """What a model of texts is."""
    return INTERFACES
