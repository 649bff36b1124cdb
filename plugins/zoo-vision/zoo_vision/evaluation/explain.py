"""Where a model looked: integrated gradients for every model, attention rollout for Vision Transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo_core import DataError, UsageError
from zoo_core.contract import inference_mode
from zoo_vision.images import plots
from zoo_vision.preprocessor import ImagePreprocessor, Pixels

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer

Maps = NDArray[np.float32]
"""(B, S, S) heat in [0, 1]."""

_STEPS = 16
"""Points of the path from the mean image to the image."""
_AT_ONCE = 32
"""Most images that a model gets at a time."""


def attribute(model: nn.Module, images: Tensor, targets: Tensor | Sequence[int]) -> Maps:
    """How much each pixel moved the score of its image's target: (B, S, S) in [0, 1], absolute and slightly smoothed.

    `images` are normalised (B, C, S, S), `targets` (B,) class numbers; raises as `integrated_gradients`.
    """
    heat = _smoothed(integrated_gradients(model, images, targets).float().abs().sum(1))  # (B, S, S)
    # One pixel in a hundred may be white: a single bright one would leave the others dark.
    top = torch.quantile(heat.flatten(1), 0.99, dim=1) if len(heat) else heat.new_zeros(0)  # (B,)
    return _scaled(heat, torch.where(top > 0, top, heat.flatten(1).amax(1)))


def integrated_gradients(
    model: nn.Module, images: Tensor, targets: Tensor | Sequence[int], *, steps: int = _STEPS
) -> Tensor:
    """Each pixel's share (B, C, S, S) in the target's score above that of the mean image (Sundararajan et al., 2017).

    They add up to the difference of the two scores, ever better with more `steps`. The model is run in evaluation mode
    and left as it was. Raises `UsageError` for targets that are not one class number for each image.
    """
    from captum.attr import IntegratedGradients  # type: ignore[import-untyped]

    chosen = torch.as_tensor(targets, device=images.device)
    if chosen.shape != (len(images),) or (len(chosen) and chosen.is_floating_point()):
        raise UsageError(f"targets: expected {len(images)} class numbers, found {chosen.dtype} {tuple(chosen.shape)}")
    parts = []
    # Gradients are needed even where the caller has switched them off, as predicting does.
    with inference_mode(model), torch.inference_mode(False), torch.enable_grad():
        for start in range(0, len(images), _AT_ONCE):
            # A leaf of its own that asks for gradients: captum warns where it has to switch them on.
            batch = images[start : start + _AT_ONCE].detach().clone().requires_grad_()
            target = chosen[start : start + _AT_ONCE].clone()
            _require_classes(model, batch, target)
            # (x - x') ∫₀¹ ∂f(x' + α (x - x')) / ∂x dα; captum's x' of zeros is the mean image, once normalised.
            shares = IntegratedGradients(model).attribute(
                batch, target=target, n_steps=steps, internal_batch_size=_AT_ONCE
            )
            parts.append(shares.detach())
    return torch.cat(parts) if parts else torch.zeros_like(images)


def attention_rollout(model: nn.Module, images: Tensor) -> Maps:
    """How much attention flows from each patch to what the head reads: (B, S, S) in [0, 1].

    Raises as `rolled_attention`.
    """
    transformer = transformer_of(model)
    flow = rolled_attention(model, images)
    prefix = int(transformer.num_prefix_tokens)
    # The head reads the class token, or the mean of the patches.
    read = flow[:, 0] if prefix and transformer.global_pool == "token" else flow[:, prefix:].mean(1)  # (B, N)
    rows, columns = (
        side // patch for side, patch in zip(images.shape[2:], transformer.patch_embed.patch_size, strict=True)
    )
    heat = read[:, prefix:].reshape(-1, 1, rows, columns)  # from (B, rows · columns)
    heat = F.interpolate(heat, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]  # (B, S, S)
    # Residual connections give every patch something; what is above the least is what was looked at.
    heat = heat - heat.amin((1, 2), keepdim=True)
    return _scaled(heat, heat.amax((1, 2)))


def rolled_attention(model: nn.Module, images: Tensor) -> Tensor:
    """Attention of all blocks multiplied, residual connections included: (B, N, N), each row adds up to 1.

    Row i says how much of each token went into token i (Abnar and Zuidema, 2020): the product of (A + 1) / 2, with A the
    mean over a block's heads. Raises `UsageError` for models that `transformer_of` refuses.
    """
    transformer = transformer_of(model)
    maps: list[Tensor] = []
    parts = []
    with inference_mode(model), _watched(transformer, maps):
        for start in range(0, len(images), _AT_ONCE):
            maps.clear()
            transformer.forward_features(images[start : start + _AT_ONCE])
            flow = torch.eye(maps[0].shape[-1], device=images.device).expand_as(maps[0])  # (B, N, N)
            for attention in maps:
                flow = (attention @ flow + flow) / 2  # ½ (A + I) times the blocks below
            parts.append(flow)
    return torch.cat(parts)


def transformer_of(model: nn.Module) -> VisionTransformer:
    """The timm VisionTransformer that a model is or holds. Raises `UsageError` where rollout has no meaning for it."""
    from timm.models.vision_transformer import VisionTransformer

    found = next((module for module in model.modules() if isinstance(module, VisionTransformer)), None)
    if found is None or not all(_rolls(block) for block in found.blocks):
        raise UsageError(
            f"{type(model).__name__} has no attention that rollout could follow",
            hint="integrated gradients explain every model",
        )
    return found


def overlay_images(
    model: nn.Module,
    preprocessor: ImagePreprocessor,
    images: Tensor,
    targets: Tensor | Sequence[int],
    *,
    method: Literal["gradients", "attention"] = "gradients",
) -> list[Pixels]:
    """The images, uint8 (B, C, S, S), with what the model looked at laid over them, uint8 (S, S, 3) each.

    `gradients` says what spoke for the `targets`, by `attribute`; `attention` doesn't depend on them, by
    `attention_rollout`. Raises as these two, and `DataError` for other images.
    """
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise DataError(f"expected uint8 images (B, C, S, S), found {images.dtype} {tuple(images.shape)}")
    if not len(images):
        return []
    device = next((parameter.device for parameter in model.parameters()), images.device)
    normalised = preprocessor.normalise(images.to(device))
    heats = attribute(model, normalised, targets) if method == "gradients" else attention_rollout(model, normalised)
    shown = images.permute(0, 2, 3, 1).cpu().numpy()
    return [plots.overlay(image, heat) for image, heat in zip(shown, heats, strict=True)]


def _rolls(block: nn.Module) -> bool:
    """Whether a block is one residual attention whose weights pass through its dropout where they can be seen."""
    attention = getattr(block, "attn", None)
    return hasattr(attention, "fused_attn") and isinstance(getattr(attention, "attn_drop", None), nn.Module)


@contextmanager
def _watched(transformer: Any, maps: list[Tensor]) -> Iterator[None]:
    """Append each block's attention (B, N, N), mean over heads, to `maps`, as long as the context lasts."""

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        maps.append(inputs[0].float().mean(1))  # weights after the softmax: (B, heads, N, N) to (B, N, N)

    attentions = [block.attn for block in transformer.blocks]
    fused = [attention.fused_attn for attention in attentions]
    hooks = [attention.attn_drop.register_forward_pre_hook(keep) for attention in attentions]
    try:
        for attention in attentions:
            attention.fused_attn = False  # the fused kernel never has the weights in memory
        yield
    finally:
        for attention, before, hook in zip(attentions, fused, hooks, strict=True):
            attention.fused_attn = before
            hook.remove()


def _require_classes(model: Callable[[Tensor], Tensor], batch: Tensor, target: Tensor) -> None:
    with torch.no_grad():
        classes = model(batch[:1]).shape[-1]
    if len(target) and not 0 <= int(target.min()) <= int(target.max()) < classes:
        raise UsageError(f"targets: must be from 0 to {classes - 1}, found {int(target.min())} to {int(target.max())}")


def _smoothed(heat: Tensor) -> Tensor:
    """(B, S, S) blurred by about a hundredth of the side, as single pixels mean little to the eye."""
    from torchvision.transforms.v2.functional import gaussian_blur  # type: ignore[import-untyped]

    side = min(heat.shape[1:])
    if side < 8:
        return heat
    sigma = max(0.6, side / 100)
    blurred: Tensor = gaussian_blur(heat, [2 * round(2 * sigma) + 1] * 2, [sigma, sigma])  # odd, about 2 σ to each side
    return blurred


def _scaled(heat: Tensor, top: Tensor) -> Maps:
    """(B, S, S) from 0 to each image's `top` (B,) as 0 to 1; an image without heat stays cold."""
    # A zero top divides nothing but zeros.
    scaled = (heat / top.clamp(min=1e-20)[:, None, None]).nan_to_num(0.0, 0.0, 0.0).clamp(0, 1)
    return np.asarray(scaled.cpu().numpy(), np.float32)
