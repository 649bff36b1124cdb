"""What zoo-vision brings: image models, data, losses and tasks. Imports nothing heavy."""

from __future__ import annotations

from zoo_core.contract import DataSpec, InterfaceSpec, LossSpec, ModelSpec, TaskSpec, hookimpl
from zoo_core.data import RASTER_SUFFIXES
from zoo_vision.specs import DATA, INTERFACES, LOSSES, MODELS, TASKS

zoo_api = (2, 0)
zoo_defaults = {"modality": "image", "input": "file", "input_suffixes": RASTER_SUFFIXES}


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """Two families of our own sizes, and all of timm's architectures."""
    return MODELS


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Readers of the user's images, and named data sets."""
    return DATA


@hookimpl
def zoo_losses() -> list[LossSpec]:
    """The contrastive loss."""
    return LOSSES


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """What image models learn and answer."""
    return TASKS


@hookimpl
def zoo_interfaces() -> list[InterfaceSpec]:
    """What a model of images is."""
    return INTERFACES
