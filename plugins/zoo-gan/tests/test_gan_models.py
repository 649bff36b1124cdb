"""The architectures are the papers': parameters, ranges, classes, initialisation, second derivatives."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo_gan.configs.models import DCGANConfig, MLPConfig, R3GANConfig, UNetConfig, stages_of
from zoo_gan.models import common, dcgan, mlp, r3gan, unet
from zoo_gan.models.common import GAN

from zoo_core import UsageError, create_model, parameters_on_meta
from zoo_core.contract import Head
from zoo_core.testing import parameter_count

FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "dcgan": (dcgan.build, DCGANConfig, {"width": 4, "latent_dim": 8, "image_size": 28}),
    "r3gan": (r3gan.build, R3GANConfig, {"width": 16, "latent_dim": 8, "full_width_until": 8, "group_width": 8}),
    "mlp": (mlp.build, MLPConfig, {"width": 16}),
    "unet": (unet.build, UNetConfig, {"width": 4, "image_size": 32, "depth": 5}),
}
CONDITIONAL = ("dcgan", "r3gan", "mlp")


@pytest.fixture(autouse=True)
def same_draws() -> None:
    torch.manual_seed(0)


def made(family: str, **settings: Any) -> GAN:
    build, config, small = FAMILIES[family]
    pair: GAN = build(config(**{**small, **settings}), Head())
    return pair


def shaken(pair: GAN) -> GAN:
    """With noise on all parameters, as after some training: nothing is exactly zero any more."""
    with torch.no_grad():
        for parameter in pair.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return pair


def start(pair: GAN, count: int) -> Tensor:
    """What the generator begins with: latents, or conditions for a U-Net."""
    return torch.randn(count, pair.latent_dim) if pair.latent_dim else torch.randn(count, *pair.sample_shape)


def told(pair: GAN, count: int) -> Tensor | None:
    """What the discriminator is told beside samples: nothing, classes, or conditions for a U-Net."""
    if not pair.latent_dim:
        return torch.randn(count, *pair.sample_shape)
    return torch.arange(count) % pair.classes if pair.classes else None


# ------------------------------------------------------------------------------------------ parameters and shapes


def test_dcgan_has_the_parameters_of_the_pytorch_tutorial() -> None:
    pair = dcgan.build(DCGANConfig(), Head())
    assert parameter_count(pair.generator) == 3_576_704
    assert parameter_count(pair.discriminator) == 2_765_568
    discriminator: Any = pair.discriminator
    assert "BatchNorm" not in str(discriminator.body[:2])
    assert discriminator.output.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_r3gan_keeps_its_parameters_at_256_pixels() -> None:
    with parameters_on_meta():
        pair = r3gan.build(R3GANConfig(image_size=256), Head())
    # Counted from the layers that the docstring names; a change of one of them shows here.
    assert parameter_count(pair.generator) == 23_057_952
    assert parameter_count(pair.discriminator) == 23_009_568


def test_r3gan_stages_halve_their_width_beyond_a_size() -> None:
    assert R3GANConfig(image_size=256).stage_widths == (768, 768, 768, 768, 384, 192, 96)
    assert R3GANConfig(image_size=28, width=128, full_width_until=8).stage_widths == (128, 64, 32)
    assert R3GANConfig(image_size=28, widths=(48, 32, 16)).stage_widths == (48, 32, 16)
    assert R3GANConfig(image_size=28, blocks=(3, 2, 1)).stage_blocks == (3, 2, 1)
    assert R3GANConfig(image_size=28, blocks=(3,)).stage_blocks == (3, 3, 3)


def test_r3gan_for_a_laptop_has_a_third_of_a_million_parameters_a_network() -> None:
    config = R3GANConfig(image_size=28, in_channels=1, width=128, full_width_until=8)
    pair = r3gan.build(config, Head())
    assert (parameter_count(pair.generator), parameter_count(pair.discriminator)) == (327_584, 319_520)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("family", "size"),
    [
        *(("dcgan", size) for size in (14, 28, 32, 64, 128)),
        *(("r3gan", size) for size in (8, 28, 32, 64, 128, 256)),
    ],
)
def test_images_of_every_size(family: str, size: int, channels: int, classes: int) -> None:
    narrow = (
        {"width": 64, "full_width_until": 8, "group_width": 2, "blocks": (1,)} if family == "r3gan" else {"width": 2}
    )
    pair = made(family, **{**narrow, "image_size": size, "in_channels": channels, "num_classes": classes})
    labels = told(pair, 2)
    with torch.no_grad():
        images = pair(start(pair, 2), labels)
        assert images.shape == (2, channels, size, size) == (2, *pair.sample_shape)
        assert pair.discriminator(images, labels).shape == (2,)


@pytest.mark.parametrize(("size", "depth"), [(28, 2), (32, 5), (64, 5), (64, 6)])
@pytest.mark.parametrize("channels", [1, 3])
def test_translations_of_every_size(size: int, depth: int, channels: int) -> None:
    pair = made("unet", image_size=size, depth=depth, in_channels=channels)
    condition = torch.randn(2, channels, size, size)
    images = pair(condition)
    assert images.shape == condition.shape
    assert images.abs().max() <= 1
    assert pair.discriminator(images, condition).shape == (2,)


def test_points() -> None:
    pair = made("mlp", latent_dim=5)
    assert pair(torch.randn(3, 5)).shape == (3, 2)
    assert pair.discriminator(torch.randn(3, 2)).shape == (3,)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pair_says_what_it_takes_and_calls_its_generator(family: str) -> None:
    pair = made(family).eval()
    given = start(pair, 2)
    assert pair.classes == 0
    assert pair(given).shape == (2, *pair.sample_shape)
    assert torch.equal(pair(given), pair.generator(given))


# --------------------------------------------------------------------------------------------------------- classes


@pytest.mark.parametrize("family", CONDITIONAL)
def test_classes_change_what_both_networks_say(family: str) -> None:
    pair = shaken(made(family, num_classes=3)).eval()
    latents, ones, twos = start(pair, 4), torch.full((4,), 1), torch.full((4,), 2)
    samples = pair(latents, ones)
    assert (samples - pair(latents, twos)).abs().max() > 1e-4
    assert (pair.discriminator(samples, ones) - pair.discriminator(samples, twos)).abs().min() > 1e-6
    assert torch.equal(samples, pair(latents, ones))


@pytest.mark.parametrize("family", CONDITIONAL)
def test_misplaced_labels_are_refused(family: str) -> None:
    plain, told_classes, labels = made(family), made(family, num_classes=3), torch.tensor([0, 1])
    samples = torch.zeros(2, *plain.sample_shape)
    for network, given in ((plain.generator, start(plain, 2)), (plain.discriminator, samples)):
        with pytest.raises(UsageError, match="without classes"):
            network(given, labels)
    for network, given in ((told_classes.generator, start(plain, 2)), (told_classes.discriminator, samples)):
        with pytest.raises(UsageError, match="no labels were given"):
            network(given, None)
        with pytest.raises(UsageError, match=r"expected \(2,\), found \(3,\)"):
            network(given, torch.zeros(3, dtype=torch.int64))


def test_a_unet_takes_a_image_where_others_take_classes() -> None:
    pair = made("unet")
    condition = start(pair, 2)
    with pytest.raises(UsageError, match="condition is an image"):
        pair(condition, torch.tensor([0, 1]))
    with pytest.raises(UsageError, match="none was given"):
        pair.discriminator(condition, None)
    assert (pair.discriminator(condition, condition) - pair.discriminator(condition, -condition)).abs().min() > 1e-6


def test_classes_must_be_as_many_as_the_datas() -> None:
    with pytest.raises(UsageError, match="10 classes, the data 3"):
        mlp.build(MLPConfig(num_classes=10), Head(labels=3))
    assert mlp.build(MLPConfig(num_classes=3), Head(labels=3)).classes == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_other_shapes_are_refused(family: str) -> None:
    pair = made(family)
    wrong = torch.zeros(2, pair.latent_dim + 1) if pair.latent_dim else torch.zeros(2, 1, 8, 8)
    with pytest.raises(UsageError, match="expected"):
        pair(wrong)
    with pytest.raises(UsageError, match="expected"):
        pair.discriminator(torch.zeros(2, *pair.sample_shape[:-1], 5), told(pair, 2))


# ------------------------------------------------------------------------------------------------ what they compute


def test_images_stay_in_range() -> None:
    far = 1000 * torch.randn(4, 8)
    assert made("dcgan")(far).abs().max() <= 1
    pair = made("r3gan")
    assert pair(far).abs().max() > 1, "a cut while training would stop the gradient"
    served = pair.eval()(far)
    assert served.abs().max() == 1
    assert torch.equal(served, pair.train()(far).clamp(-1, 1))


@pytest.mark.parametrize("family", ["r3gan", "mlp", "unet"])
def test_a_sample_is_judged_without_its_neighbours(family: str) -> None:
    pair = shaken(made(family))
    samples, beside = torch.randn(4, *pair.sample_shape), told(pair, 4)
    alone = pair.discriminator(samples[:1], None if beside is None else beside[:1])
    torch.testing.assert_close(pair.discriminator(samples, beside)[:1], alone)


def test_dcgan_sees_neighbours_in_training_only() -> None:
    discriminator = made("dcgan", width=16).discriminator
    samples = torch.randn(4, 3, 28, 28)
    assert (discriminator(samples)[0] - discriminator(samples[:2])[0]).abs() > 1e-5
    discriminator.eval()
    torch.testing.assert_close(discriminator(samples)[:1], discriminator(samples[:1]))


@torch.no_grad()
def test_dcgan_without_normalisation_sees_no_neighbours_and_keeps_the_variance() -> None:
    pair = made("dcgan", normalise=False, width=32, latent_dim=64).train()
    images = torch.randn(64, *pair.sample_shape)
    judged = pair.discriminator(images, None)
    torch.testing.assert_close(pair.discriminator(images[:1], None), judged[:1])
    assert not any(isinstance(part, nn.BatchNorm2d) for part in pair.modules())
    hidden = torch.randn(64, 64, 1, 1)
    for layer in pair.generator.get_submodule("body").children():
        hidden = layer(hidden)
        # Before a ReLU the second moment is twice that of its input, which is 1, and after it that of its input again.
        moment = float(hidden.square().mean())
        assert 0.6 < moment / (1.0 if isinstance(layer, nn.ReLU) else 2.0) < 1.6
    assert 0.5 < float(judged.square().mean()) < 5.0


def test_residual_blocks_are_the_identity_at_first() -> None:
    pair = made("r3gan")
    blocks = [module for module in pair.modules() if isinstance(module, r3gan.ResidualBlock)]
    assert len(blocks) == 2 * 2 * 4
    for block in blocks:
        maps = torch.randn(2, block.expand.in_channels, 4, 4)
        assert torch.equal(block(maps), maps)
        assert block.expand.weight.std() > 0
        assert block.spatial.weight.std() > 0


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_all_branches_together_would_add_as_much_variance_as_the_stream_has(depth: int) -> None:
    block = r3gan.ResidualBlock(256, expansion=2, group_width=16, depth=depth)
    nn.init.normal_(block.project.weight, std=512**-0.5)
    maps = torch.randn(4, 256, 24, 24)
    with torch.no_grad():
        branch = block(maps) - maps
    assert depth * branch.var().item() == pytest.approx(1.0, rel=0.2)


def test_resampling_is_bilinear() -> None:
    maps = torch.randn(2, 3, 8, 8)
    up, down = r3gan.Upsample(3, 3)(maps), r3gan.Downsample(3, 3)(maps)
    expected = F.interpolate(maps, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(up[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    expected = F.interpolate(maps, scale_factor=0.5, mode="bilinear", antialias=True)
    torch.testing.assert_close(down[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    assert r3gan.Upsample(3, 5)(maps).shape == (2, 5, 16, 16)
    assert r3gan.Downsample(3, 5)(maps).shape == (2, 5, 4, 4)


@pytest.mark.parametrize(("layers", "pixels"), [(1, 16), (2, 34), (3, 70)])
def test_patches_are_as_large_as_in_the_paper(layers: int, pixels: int) -> None:
    # Normalisation spreads every pixel over the whole image; only the convolutions are looked at here.
    discriminator: Any = made("unet", image_size=128, depth=2, patch_layers=layers).discriminator
    for place, module in enumerate(discriminator.body):
        if isinstance(module, nn.InstanceNorm2d):
            discriminator.body[place] = nn.Identity()
    images = torch.randn(1, 3, 128, 128, requires_grad=True)
    patches = discriminator.patches(images, torch.randn(1, 3, 128, 128))
    patches[0, patches.shape[1] // 2 + round(patches.shape[1] ** 0.5) // 2].backward()
    assert images.grad is not None
    seen = images.grad.abs().sum((0, 1))
    assert (int((seen.sum(1) > 0).sum()), int((seen.sum(0) > 0).sum())) == (pixels, pixels)


def test_the_logit_of_a_translation_is_the_mean_over_its_patches() -> None:
    discriminator: Any = made("unet", patch_layers=1).discriminator
    images, condition = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)
    patches = discriminator.patches(images, condition)
    assert patches.shape == (2, 14 * 14)
    assert torch.equal(discriminator(images, condition), patches.mean(1))


def test_a_unet_repeats_itself_in_evaluation_only() -> None:
    pair = made("unet")
    condition = start(pair, 1)
    assert not torch.equal(pair(condition), pair(condition))
    assert torch.equal(pair.eval()(condition), pair(condition))


# ------------------------------------------------------------------------------------------- gradients and the rest

CASES = [(family, classes) for family in FAMILIES for classes in (0, 3) if family in CONDITIONAL or not classes]


def conditional(family: str, classes: int) -> GAN:
    return shaken(made(family, **({"num_classes": classes} if classes else {})))


@pytest.mark.parametrize(("family", "classes"), CASES)
def test_gradients_reach_every_parameter(family: str, classes: int) -> None:
    pair = conditional(family, classes)
    beside = told(pair, 6)
    given = start(pair, 6) if pair.latent_dim else beside
    assert given is not None
    samples = pair(given, beside if pair.latent_dim else None)
    pair.discriminator(samples, beside).square().sum().backward()
    idle = [name for name, p in pair.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert not idle


def penalty(pair: GAN, real: Tensor, beside: Tensor | None) -> Tensor:
    """R1 (Mescheder et al., 2018)."""
    real = real.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(pair.discriminator(real, beside).sum(), real, create_graph=True)
    return slope.square().sum()


@pytest.mark.parametrize(("family", "classes"), CASES)
def test_the_gradient_of_a_gradient_penalty_is_right(family: str, classes: int) -> None:
    # Few activations, so that none of them changes its sign on so short a way.
    tiny = {"mlp": {}, "unet": {"image_size": 16, "depth": 2, "patch_layers": 1}}.get(family, {"image_size": 8})
    pair = shaken(made(family, **tiny, **({"num_classes": classes} if classes else {}))).double()
    beside = told(pair, 4)
    beside = beside.double() if beside is not None and beside.is_floating_point() else beside
    real = torch.randn(4, *pair.sample_shape, dtype=torch.float64)
    parameters = [p for p in pair.discriminator.parameters() if p.ndim > 1]
    gradients = torch.autograd.grad(penalty(pair, real, beside), parameters)
    directions = [torch.randn_like(p) for p in parameters]
    values = []
    for step in (1e-7, -2e-7):
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(step * direction)
        values.append(penalty(pair, real, beside).item())
    slope = sum((g * d).sum().item() for g, d in zip(gradients, directions, strict=True))
    assert (values[0] - values[1]) / 2e-7 == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize(("family", "classes"), CASES)
def test_weights_load_strictly_into_a_model_built_without_memory(family: str, classes: int) -> None:
    pair = conditional(family, classes).eval()
    with parameters_on_meta():
        other = made(family, **({"num_classes": classes} if classes else {})).eval()
    assert all(p.is_meta for p in other.parameters())
    other.load_state_dict(pair.state_dict(), strict=True, assign=True)
    given, beside = start(pair, 2), told(pair, 2)
    labels = beside if pair.latent_dim else None
    assert torch.equal(pair(given, labels), other(given, labels))
    samples = torch.randn(2, *pair.sample_shape)
    assert torch.equal(pair.discriminator(samples, beside), other.discriminator(samples, beside))


def test_recomputed_activations_give_the_same_gradients() -> None:
    pair = shaken(made("r3gan", image_size=28))
    real, latents = torch.randn(2, 3, 28, 28), torch.randn(2, 8)

    def gradients() -> list[Tensor]:
        loss = penalty(pair, real, None) + pair.discriminator(pair(latents)).sum()
        return list(torch.autograd.grad(loss, list(pair.parameters())))

    plain = gradients()
    calls: list[int] = []
    block = next(module for module in pair.generator.modules() if isinstance(module, r3gan.ResidualBlock))
    block.register_forward_pre_hook(lambda *_: calls.append(1))
    common.checkpoint_activations(pair)
    for once, again in zip(plain, gradients(), strict=True):
        torch.testing.assert_close(once, again)
    assert len(calls) == 2


def test_batch_normalisation_is_not_recomputed() -> None:
    with pytest.raises(UsageError, match="can't recompute"):
        common.checkpoint_activations(made("dcgan"))


@pytest.mark.parametrize("family", ["dcgan", "r3gan"])
@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_a_model_becomes_grey_or_colourful(family: str, before: int, after: int) -> None:
    pair = shaken(made(family, image_size=28, in_channels=before)).eval()
    other = made(family, image_size=28, in_channels=after).eval()
    fitted = {}
    for name, slot in other.state_dict().items():
        tensor = pair.state_dict()[name]
        adapted = tensor if tensor.shape == slot.shape else common.adapt(name, tensor, tuple(slot.shape))
        assert adapted is not None
        fitted[name] = adapted
    other.load_state_dict(fitted)
    grey = torch.rand(2, 1, 28, 28) - 0.5
    seen = [network.discriminator(grey.expand(2, size, 28, 28)) for network, size in ((pair, before), (other, after))]
    torch.testing.assert_close(*seen)
    if after == 3:
        latents = start(pair, 2)
        torch.testing.assert_close(pair(latents).expand(2, 3, 28, 28), other(latents))


def test_no_other_tensor_is_fitted() -> None:
    assert common.adapt("generator.latents.embedding.weight", torch.zeros(1, 8), (3, 8)) is None
    assert common.adapt("generator.output.weight", torch.zeros(3, 8, 1, 1), (3, 16, 1, 1)) is None
    assert common.adapt("generator.output.weight", torch.zeros(3, 8, 1, 1), (1, 16, 1, 1)) is None
    assert common.adapt("generator.output.weight", torch.zeros(3, 8), (1, 8, 1)) is None


# --------------------------------------------------------------------------------------------------- configurations


@pytest.mark.parametrize(("size", "stages"), [(8, (4, 1)), (14, (7, 1)), (28, (7, 2)), (32, (4, 3)), (224, (7, 5))])
def test_images_grow_from_four_or_seven_pixels(size: int, stages: tuple[int, int]) -> None:
    assert stages_of(size) == stages


@pytest.mark.parametrize(
    ("config", "settings", "field"),
    [
        *(
            (config, {"image_size": size}, "image_size")
            for config in (DCGANConfig, R3GANConfig)
            for size in (0, 4, 7, 30)
        ),
        *((config, {"num_classes": -1}, "num_classes") for config in (DCGANConfig, R3GANConfig, MLPConfig)),
        (DCGANConfig, {"in_channels": 0}, "in_channels"),
        (DCGANConfig, {"latent_dim": 0}, "latent_dim"),
        (R3GANConfig, {"widths": (32, 32)}, "widths"),
        (R3GANConfig, {"widths": (32, 32, 0, 32)}, "widths"),
        (R3GANConfig, {"blocks": (2, 2)}, "blocks"),
        (R3GANConfig, {"blocks": ()}, "blocks"),
        (R3GANConfig, {"blocks": (0,)}, "blocks"),
        (R3GANConfig, {"width": 12}, "group_width"),
        (R3GANConfig, {"width": 1, "full_width_until": 4, "group_width": 1}, "group_width"),
        (MLPConfig, {"num_layers": 0}, "num_layers"),
        (UNetConfig, {"depth": 1}, "depth"),
        (UNetConfig, {"image_size": 28, "depth": 3}, "depth"),
        (UNetConfig, {"image_size": 8, "depth": 2, "patch_layers": 2}, "patch_layers"),
        (UNetConfig, {"dropout": 1.0}, "dropout"),
    ],
)
def test_impossible_configurations_are_refused_by_field(config: Any, settings: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=rf"^{field}(\[\d\])?:"):
        config(**settings)


def test_configurations_need_no_torch() -> None:
    code = "import sys, zoo_gan.configs.models; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["dcgan_tiny", "plane_gan_tiny"])
def test_the_labels_of_a_head_are_the_classes(name: str) -> None:
    task = "image-generation" if name == "dcgan_tiny" else "point-generation"
    assert create_model(name, task=task, num_labels=10).classes == 10
    assert create_model(name, task=task).classes == 0
    with pytest.raises(UsageError, match="the model has 3 classes, the data 10"):
        create_model(name, task=task, num_labels=10, num_classes=3)
