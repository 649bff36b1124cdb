"""Any architecture that timm builds, by its timm name. Paper and licence are each architecture's own; timm is Apache-2.0."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg
from torch import nn

from zoo_core import UnknownName, UsageError
from zoo_core.contract import Head
from zoo_vision.configs.models import TimmConfig
from zoo_vision.interop.names import architectures
from zoo_vision.models.common import with_head

RESERVED = frozenset(
    {*inspect.signature(timm.create_model).parameters, "pretrained_model_args", "features_only", "device", "dtype"}
)
"""What a configuration may not pass on: where weights come from, and what would be another model than they are of."""
_TABLES = 1 << 25
"""Most numbers in an architecture's buffers: 128 MiB, some hundred times what the largest of timm's have."""


def build(config: TimmConfig, head: Head) -> nn.Module:
    """The architecture with pooled features, a classifier or a contrastive model.

    Without a task it is the classifier that timm makes by default, usually of 1,000 classes.
    """
    if head == Head() and not config.features_only:
        return architecture_of(config, None)
    return with_head(lambda classes: architecture_of(config, classes), config, head, config.architecture)


def architecture_of(config: TimmConfig, classes: int | None) -> nn.Module:
    """What timm builds. Raises `UnknownName` for no name of timm's, `UsageError` for arguments that it refuses."""
    if not timm.is_model(config.architecture):
        raise UnknownName("timm architecture", config.architecture, list(architectures()))
    if reserved := sorted(RESERVED & set(config.model_args)):
        raise UsageError(f"model_args: {reserved[0]} is not timm's to be told here", hint="remove it")
    arguments: dict[str, Any] = {"in_chans": config.in_chans, **config.model_args}
    optional: dict[str, Any] = {"num_classes": classes, "global_pool": config.global_pool or None}
    optional |= {"drop_rate": config.drop_rate or None, "drop_path_rate": config.drop_path_rate or None}
    known = get_pretrained_cfg(config.architecture)
    # Networks that read images of any size don't take one.
    if known is not None and known.fixed_input_size:
        optional["img_size"] = config.img_size
    arguments |= {name: value for name, value in optional.items() if value is not None}
    if config.model_args or config.img_size is not None:
        _require_small_tables(config.architecture, arguments)
    try:
        model: nn.Module = timm.create_model(config.architecture, pretrained=False, **arguments)
    except (TypeError, ValueError, AssertionError, RuntimeError, LookupError, AttributeError) as error:
        raise UsageError(f"timm can't build {config.architecture} with {arguments}: {error}") from None
    return model


def _require_small_tables(architecture: str, arguments: Mapping[str, Any]) -> None:
    """Masks and positions, which are computed and so take memory, stay small enough to be held. Raises `UsageError`."""
    try:
        with torch.device("meta"):
            model = timm.create_model(architecture, pretrained=False, **arguments)
    except Exception:  # noqa: BLE001 - whatever it is: if it has another cause, building in earnest says so
        return
    numbers = sum(buffer.numel() for buffer in model.buffers())
    if numbers > _TABLES:
        raise UsageError(
            f"timm's {architecture} would compute masks and positions of {numbers:,} numbers, expected at most {_TABLES:,}",
            hint="a smaller img_size, or smaller windows in model_args",
        )
