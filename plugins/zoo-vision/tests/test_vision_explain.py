from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from zoo_vision.configs.models import ImagePreprocessorConfig
from zoo_vision.evaluation import explain
from zoo_vision.preprocessor import ImagePreprocessor

from zoo_core import DataError, UsageError


class LooksLeft(nn.Module):
    """A convnet with three classes whose scores come from the left half of the image."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(images)[..., : images.shape[-1] // 2].mean((2, 3)))
        return scores


def transformer(**settings: Any) -> Any:
    torch.manual_seed(1)
    shape: dict[str, Any] = {"img_size": 12, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
    model: Any = VisionTransformer(num_classes=3, **shape, **settings)
    for block in model.blocks:
        # So that attention differs from token to token.
        nn.init.normal_(block.attn.qkv.weight, std=1.0)
    return model


def images(count: int = 3, side: int = 16) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(2))


def frozen_state(model: nn.Module) -> list[Any]:
    """Everything that an explanation could leave behind."""
    parameters = [(p.requires_grad, p.grad is None, p.detach().sum().item()) for p in model.parameters()]
    modules = [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    fused = [getattr(m, "fused_attn", None) for m in model.modules()]
    return [parameters, modules, fused, [buffer.sum().item() for buffer in model.buffers()]]


def test_a_model_that_looks_left_is_explained_by_the_left() -> None:
    heat = explain.attribute(LooksLeft(), images(), [0, 1, 2])
    assert heat.shape == (3, 16, 16) and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() == 1
    # Smoothing carries a little over the border.
    assert heat[:, :, :8].sum() > 20 * heat[:, :, 8:].sum()
    assert heat[:, :, 11:].max() == 0


@pytest.mark.parametrize("model", [LooksLeft(), transformer()])
def test_shares_add_up_to_what_the_image_gained(model: nn.Module) -> None:
    side = 12 if isinstance(model, VisionTransformer) else 16
    batch = images(4, side)
    targets = torch.tensor([0, 1, 2, 0])
    shares = explain.integrated_gradients(model, batch, targets, steps=512)
    model.eval()
    gained = (model(batch) - model(torch.zeros_like(batch))).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(shares.sum((1, 2, 3)), gained, atol=2e-3, rtol=1e-2)


def test_the_target_matters() -> None:
    one, other = (explain.attribute(LooksLeft(), images(1), [target]) for target in (0, 1))
    assert not np.allclose(one, other)


def test_more_images_than_go_at_once_are_explained_one_like_the_other() -> None:
    model, batch = LooksLeft(), images(3)
    many = explain.attribute(model, batch.repeat(23, 1, 1, 1), [0, 1, 2] * 23)
    np.testing.assert_allclose(many, np.tile(explain.attribute(model, batch, [0, 1, 2]), (23, 1, 1)), atol=1e-4)
    vit, small = transformer(), images(3, 12)
    flows = explain.attention_rollout(vit, small.repeat(23, 1, 1, 1))
    np.testing.assert_allclose(flows, np.tile(explain.attention_rollout(vit, small), (23, 1, 1)), atol=1e-4)
    assert explain.attribute(model, batch[:0], []).shape == (0, 16, 16)


def test_explaining_leaves_the_model_as_it_was() -> None:
    convnet: Any = LooksLeft()
    vit = transformer()
    convnet.body[1].eval()
    convnet.head.bias.requires_grad_(False)
    convnet.head.weight.grad = torch.ones_like(convnet.head.weight)
    vit.blocks[1].attn.fused_attn = False
    vit.blocks[0].attn.fused_attn = True
    for model, side in ((convnet, 16), (vit, 12)):
        before = frozen_state(model)
        batch = images(2, side)
        explain.attribute(model, batch, [0, 1])
        if model is vit:
            explain.attention_rollout(model, batch)
        assert frozen_state(model) == before
        assert not batch.requires_grad and batch.grad is None


def test_a_failing_model_is_left_as_it_was() -> None:
    vit = transformer()
    before = frozen_state(vit)
    with pytest.raises(Exception, match=r"\(13"):
        explain.attention_rollout(vit, images(1, 13))
    with pytest.raises(Exception, match=r"\(13"):
        explain.attribute(vit, images(1, 13), [0])
    assert frozen_state(vit) == before


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_flow_where_the_caller_has_switched_them_off(context: Any) -> None:
    expected = explain.attribute(LooksLeft(), images(), [0, 1, 2])
    model, vit = LooksLeft(), transformer()
    with context():
        found = explain.attribute(model, images().clone(), torch.tensor([0, 1, 2]))
        assert explain.attention_rollout(vit, images(1, 12)).max() == 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def by_hand(model: Any, batch: Tensor) -> Any:
    """Rollout of two blocks, written out from the layers' weights."""
    model.eval()
    with torch.no_grad():
        tokens = torch.cat((model.cls_token.expand(len(batch), -1, -1), model.patch_embed(batch)), 1) + model.pos_embed
        flows = []
        for block in model.blocks:
            heads = block.attn.qkv(block.norm1(tokens)).chunk(3, -1)
            query, value_of = (part.unflatten(-1, (2, 8)).transpose(1, 2) for part in heads[:2])
            weights = (query @ value_of.transpose(2, 3) / 8**0.5).softmax(-1).mean(1)
            flows.append((weights + torch.eye(10)) / 2)
            tokens = block(tokens)
    return flows[1] @ flows[0]


def test_rollout_equals_two_blocks_written_out() -> None:
    model, batch = transformer(), images(2, 12)
    flow = explain.rolled_attention(model, batch)
    assert flow.shape == (2, 10, 10)
    torch.testing.assert_close(flow.sum(2), torch.ones(2, 10))
    torch.testing.assert_close(flow, by_hand(model, batch))
    assert not torch.allclose(flow[0], flow[1])


@pytest.mark.parametrize(("pool", "rows"), [("token", slice(0, 1)), ("avg", slice(1, None))])
def test_maps_show_the_patches_that_the_head_reads(pool: Any, rows: slice) -> None:
    model, batch = transformer(global_pool=pool), images(2, 12)
    heat = explain.attention_rollout(model, batch)
    assert heat.shape == (2, 12, 12) and heat.min() == 0 and heat.max() == 1
    read = explain.rolled_attention(model, batch)[:, rows, 1:].mean(1).reshape(2, 3, 3).numpy()
    # The middle of a patch carries its own value, up to the scale of the image.
    for found, expected in zip(heat[:, 1::4, 1::4] + heat[:, 2::4, 2::4], read, strict=True):
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


def test_rollout_finds_the_transformer_inside_a_model_and_counts_registers() -> None:
    inner = transformer(reg_tokens=4)
    assert explain.attention_rollout(nn.Sequential(inner, nn.ReLU()), images(1, 12)).shape == (1, 12, 12)
    assert explain.transformer_of(nn.Sequential(inner)) is inner


def test_rollout_refuses_models_without_attention() -> None:
    with pytest.raises(UsageError, match="LooksLeft has no attention") as caught:
        explain.attention_rollout(LooksLeft(), images())
    assert "gradients" in caught.value.hint


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([0], r"expected 3 class numbers, found torch.int64 \(1,\)"),
        ([0.0, 1.0, 2.0], "expected 3 class numbers, found torch.float32"),
        ([0, 1, 3], "must be from 0 to 2, found 0 to 3"),
        ([-1, 1, 2], "must be from 0 to 2, found -1"),
    ],
)
def test_wrong_targets_are_refused(targets: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        explain.attribute(LooksLeft(), images(), targets)


def test_a_image_that_moves_nothing_stays_cold() -> None:
    heat = explain.attribute(LooksLeft(), torch.zeros(1, 3, 16, 16), [0])
    assert heat.max() == 0


def preprocessor(side: int) -> ImagePreprocessor:
    return ImagePreprocessor(ImagePreprocessorConfig(img_size=side, mean=(0.5,) * 3, std=(0.25,) * 3))


@pytest.mark.parametrize(
    ("model", "side", "method"),
    [(LooksLeft(), 16, "gradients"), (transformer(), 12, "gradients"), (transformer(), 12, "attention")],
)
def test_overlays_are_images_of_the_models_size(model: nn.Module, side: int, method: Any) -> None:
    batch = torch.full((2, 3, side, side), 40, dtype=torch.uint8)
    batch[:, :, 2:5, 2:5] = 220
    made = explain.overlay_images(model, preprocessor(side), batch, [0, 1], method=method)
    assert [one.shape for one in made] == [(side, side, 3)] * 2 and made[0].dtype == np.uint8
    # Heat is warm: there is more red than blue where the model looked.
    assert (made[0][:, :, 0].astype(int) - made[0][:, :, 2]).max() > 60
    assert explain.overlay_images(model, preprocessor(side), batch[:0], []) == []


def test_overlays_of_normalised_images_are_refused() -> None:
    with pytest.raises(DataError, match=r"expected uint8 images \(B, C, S, S\), found torch.float32"):
        explain.overlay_images(LooksLeft(), preprocessor(16), images(), [0, 1, 2])


def test_neither_importing_nor_explaining_warns_and_nothing_heavy_comes_early() -> None:
    code = (
        "import sys, torch; from zoo_vision import augment, preprocessor; from zoo_vision.evaluation import explain\n"
        "early = [name for name in ('captum', 'timm', 'matplotlib') if name in sys.modules]\n"
        "explain.attribute(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2)), torch.ones(1, 1, 8, 8), [0])\n"
        "print(early)"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("[]\n", "")
