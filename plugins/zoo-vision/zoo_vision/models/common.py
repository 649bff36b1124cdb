"""What all families share: heads, feature maps, tensors of another shape, layers, activation checkpointing."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models import adapt_input_conv, group_parameters
from torch import Tensor, nn

from zoo_core import LayerGroups, UnknownName, UsageError
from zoo_core.contract import Head

CLASSIFICATION = "image-classification"
MULTI_LABEL = "image-multi-label"
REGRESSION = "image-regression"
SCORING = (CLASSIFICATION, MULTI_LABEL, REGRESSION)
"""Tasks with one number for each label: probabilities of one label, of each by itself, or the values themselves."""
FEATURES = "image-feature-extraction"
MASKED = "masked-image-modeling"
CONTRASTIVE = "image-contrastive"

PROJECTION = 128
"""Width of what a contrastive loss compares (Chen et al., ICML 2020, section 4.2)."""


class AroundEncoder(nn.Module):
    """An encoder, and what a task puts behind it."""

    encoder: nn.Module
    """An architecture of timm."""
    undecayed: ClassVar[frozenset[str]] = frozenset()
    """Parameters behind the encoder without weight decay, besides biases and norms."""


class FeatureMaps(AroundEncoder):
    """The maps that an encoder has inside, from fine to coarse."""

    def __init__(self, encoder: nn.Module) -> None:
        """Raises `UsageError` for an architecture that timm can't look into."""
        super().__init__()
        if not hasattr(encoder, "forward_intermediates"):
            raise UsageError(f"{type(encoder).__name__} gives no feature maps", hint="leave features_only out")
        self.encoder = encoder

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps (B, C, H, W), one for each stage or block, of images (B, C, S, S)."""
        maps: list[Tensor] = self.encoder.forward_intermediates(images, intermediates_only=True)  # type: ignore[operator]
        return maps


class Contrastive(AroundEncoder):
    """An encoder and the projection that a contrastive loss compares, which is thrown away afterwards.

    Source: Chen et al., A Simple Framework for Contrastive Learning, ICML 2020, arXiv 2002.05709, section 2.1.
    """

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION))

    def forward(self, images: Tensor) -> Tensor:
        """Projections (B, 128) of images (B, C, S, S)."""
        projected: Tensor = self.projector(self.encoder(images))
        return projected


def with_head(classifier: Callable[[int], nn.Module], config: Any, head: Head, family: str) -> nn.Module:
    """The model for a head, from what builds a classifier with a number of classes (0: pooled features).

    Raises `UnknownName` for a task that the family doesn't serve.
    """
    if config.features_only:
        return FeatureMaps(classifier(0))
    if head.task in ("", FEATURES):
        return classifier(0)
    if head.task in SCORING:
        return classifier(head.labels)
    if head.task == CONTRASTIVE:
        encoder = classifier(0)
        return Contrastive(encoder, encoder.num_features)  # type: ignore[arg-type]
    raise UnknownName("task", head.task, [*SCORING, FEATURES, CONTRASTIVE], where=family)


def adapt(name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """Fit a first convolution to other channels, or a table of positions to another grid; None for any other tensor.

    Channels are summed or repeated so that the same grey image gives the same features; positions are interpolated.
    """
    if tensor.ndim == 4 and len(shape) == 4 and _but(tensor.shape, 1) == _but(shape, 1) and tensor.shape[1] in (1, 3):
        return _channels(tensor, shape[1])
    if tensor.ndim == 3 and len(shape) == 3 and name.endswith("pos_embed") and _but(tensor.shape, 1) == _but(shape, 1):
        return _positions(tensor, shape[1])
    return None


def layer_groups(model: nn.Module) -> LayerGroups:
    """timm's own grouping of an architecture's parameters (`group_matcher`) and those without weight decay
    (`no_weight_decay`, like class tokens and positions); what stands behind an encoder is its head."""
    prefix = "encoder." if isinstance(model, AroundEncoder) else ""
    architecture: Any = model.encoder if prefix else model
    if not hasattr(architecture, "group_matcher"):
        return LayerGroups({})
    numbers = group_parameters(architecture, architecture.group_matcher(coarse=False), reverse=True)  # name → layer
    patterns = architecture.no_weight_decay() if hasattr(architecture, "no_weight_decay") else set()
    named = [name for name, _ in architecture.named_parameters()]
    above = max(numbers.values()) + 1
    head = {name: above for name, _ in model.named_parameters() if not name.startswith(prefix)}
    undecayed = {prefix + name for name in named if _listed(name, patterns)}
    return LayerGroups(
        {**{prefix + name: numbers[name] for name in named if name in numbers}, **head},
        frozenset(undecayed | model.undecayed if isinstance(model, AroundEncoder) else undecayed),
    )


def _listed(name: str, patterns: Collection[str]) -> bool:
    # timm names a parameter, or a part of names with wildcards.
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def checkpoint_activations(model: nn.Module) -> None:
    """Recompute the blocks' activations in the backward pass. Raises `UsageError` where timm doesn't know how."""
    encoder: Any = getattr(model, "encoder", model)
    try:
        encoder.set_grad_checkpointing(True)
    except (AssertionError, AttributeError):
        raise UsageError(
            f"{type(encoder).__name__} can't recompute activations", hint="set training.gradient_checkpointing=false"
        ) from None


def _channels(tensor: Tensor, channels: int) -> Tensor:
    if tensor.shape[1] == 1:
        # The inverse of the sum below: every channel carries its share.
        return (tensor / channels).repeat(1, channels, 1, 1)
    adapted: Tensor = adapt_input_conv(channels, tensor)  # RGB summed for 1 channel, else repeated times 3 / channels
    return adapted


def _positions(tensor: Tensor, length: int) -> Tensor | None:
    """(1, prefix + N, D) as (1, prefix + M, D), where both grids are square and the prefix is the same."""
    # Tokens before the patches: none; class; class and distillation; class and four registers (DINOv2).
    for prefix in (number for number in (0, 1, 2, 5) if number < min(tensor.shape[1], length)):
        old, new = math.isqrt(tensor.shape[1] - prefix), math.isqrt(length - prefix)
        if old * old == tensor.shape[1] - prefix and new * new == length - prefix:
            with torch.no_grad():
                resampled: Tensor = resample_abs_pos_embed(tensor, [new, new], [old, old], num_prefix_tokens=prefix)
            return resampled
    return None


def _but(shape: tuple[int, ...] | torch.Size, axis: int) -> tuple[int, ...]:
    return tuple(size for place, size in enumerate(shape) if place != axis)
