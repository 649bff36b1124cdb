"""What zoo-gan brings: adversarial models, losses, tasks and toy data. Imports nothing heavy."""

from __future__ import annotations

from zoo_core.contract import DataSpec, LossSpec, ModelSpec, TaskSpec, hookimpl
from zoo_gan.specs.data import DATA
from zoo_gan.specs.losses import LOSSES
from zoo_gan.specs.models import MODELS
from zoo_gan.specs.tasks import TASKS

zoo_api = (2, 0)


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """Three families, each a generator and a discriminator."""
    return MODELS


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Toy data; images come from whichever plugin reads them."""
    return DATA


@hookimpl
def zoo_losses() -> list[LossSpec]:
    """Adversarial losses."""
    return LOSSES


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """Generation of images and of points."""
    return TASKS
