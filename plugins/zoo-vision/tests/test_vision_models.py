"""The architectures are timm's: parameters, outputs, tensors of other shapes, heads, feature maps."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from zoo_vision import plugin
from zoo_vision.models import common

from zoo_core import UnknownName, UsageError, Zoo, create_model, open_zoo
from zoo_core.contract import Head
from zoo_core.data import RASTER_SUFFIXES
from zoo_core.testing import build, optim

SMALL = {
    "img_size": 16,
    "patch_size": 4,
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "decoder_dim": 32,
    "decoder_depth": 1,
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))})


def model(zoo: Zoo, name: str = "vit_tiny", **settings: Any) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, zoo=zoo, **(SMALL if name.startswith("vit_tiny") else {}), **settings).eval()


def rebuilt(zoo: Zoo, source: nn.Module, name: str, head: Head, **config: Any) -> tuple[nn.Module, build.Adaptation]:
    """A model of the family filled with another's tensors, as `create_model(pretrained=True)` does it."""
    named = zoo.host.find_model(name)
    values = named.provided.config(**{**named.values, **config})
    return build.build_from(zoo.host, named.provided, values, head, build.weights(source))


# ------------------------------------------------------------------------------------------ parameters and outputs

PUBLISHED = {
    "vit_base_patch16_224": 86_567_656,
    "deit_tiny_patch16_224": 5_717_416,
    "resnet18": 11_689_512,
    "efficientnet_b0": 5_288_548,
    "convnext_tiny": 28_589_128,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_timm_name_gives_timms_model_with_its_thousand_classes(zoo: Zoo, name: str) -> None:
    with build.parameters_on_meta():
        ours, theirs = create_model(name, pretrained=False, zoo=zoo), timm.create_model(name)
    assert build.parameter_count(ours) == PUBLISHED[name] == sum(p.numel() for p in theirs.parameters())
    assert {n: t.shape for n, t in ours.state_dict().items()} == {n: t.shape for n, t in theirs.state_dict().items()}


@pytest.mark.parametrize(
    ("ours", "theirs", "parameters"),
    [
        ("vit_tiny", "vit_tiny_patch16_224", 5_717_416),
        ("vit_small", "vit_small_patch16_224", 22_050_664),
        ("vit_base", "vit_base_patch16_224", 86_567_656),
        ("vit_large", "vit_large_patch16_224", 304_326_632),
        ("resnet_small", "resnet18", 11_689_512),
        ("resnet_base", "resnet50", 25_557_032),
    ],
)
def test_our_sizes_are_those_of_the_papers(zoo: Zoo, ours: str, theirs: str, parameters: int) -> None:
    with build.parameters_on_meta():
        model, reference = create_model(ours, num_classes=1000, zoo=zoo), timm.create_model(theirs)
    assert build.parameter_count(model) == parameters
    shapes = {name: tensor.shape for name, tensor in reference.state_dict().items()}
    assert {name: tensor.shape for name, tensor in model.state_dict().items()} == shapes


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_efficientnet", "test_convnext"])
def test_outputs_are_timms_for_the_same_weights(zoo: Zoo, name: str) -> None:
    ours = model(zoo, name, num_classes=7)
    theirs = timm.create_model(name, num_classes=7).eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))


def test_our_vit_computes_what_timms_does(zoo: Zoo) -> None:
    ours = create_model("vit_tiny", num_classes=5, img_size=32, zoo=zoo).eval()
    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=32).eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))


def test_a_misspelt_timm_name_is_refused_with_the_nearest(zoo: Zoo) -> None:
    with pytest.raises(UnknownName, match="did you mean vit_base_patch16_224"):
        create_model("vit_bse_patch16_224", zoo=zoo)


def test_arguments_that_timm_refuses_are_a_usage_error(zoo: Zoo) -> None:
    with pytest.raises(UsageError, match="timm can't build resnet18"):
        create_model("resnet18", model_args={"paddles": 3}, zoo=zoo)


# ------------------------------------------------------------------------------------------ heads and features


@pytest.mark.parametrize("name", ["vit_tiny", "resnet_nano", "test_convnext"])
def test_heads(zoo: Zoo, name: str) -> None:
    images = torch.randn(2, 3, 160, 160) if name == "test_convnext" else torch.randn(2, 3, 16, 16)
    width = {"vit_tiny": 32, "resnet_nano": 160, "test_convnext": 64}[name]
    with torch.no_grad():
        assert model(zoo, name, num_classes=5)(images).shape == (2, 5)
        assert model(zoo, name, task="image-feature-extraction")(images).shape == (2, width)
        assert model(zoo, name, task="image-contrastive")(images).shape == (2, common.PROJECTION)
        maps = model(zoo, name, features_only=True)(images)
    assert len(maps) >= 2 and all(part.ndim == 4 for part in maps)
    with pytest.raises(UnknownName, match="task"):
        model(zoo, name, task="singing")


def test_zero_classes_is_the_pooled_encoder_as_in_timm(zoo: Zoo) -> None:
    assert model(zoo, "test_resnet", num_classes=0)(torch.randn(1, 3, 64, 64)).shape == (1, 96)


@pytest.mark.parametrize("task", ["masked-image-modeling", "image-contrastive"])
@pytest.mark.parametrize("pool", ["token", "avg"])
def test_a_pretrained_encoder_becomes_a_classifier_with_every_tensor_of_it(zoo: Zoo, task: str, pool: str) -> None:
    source = model(zoo, task=task, global_pool=pool)
    tuned, adaptation = rebuilt(
        zoo, source, "vit_tiny", Head(task="image-classification", labels=3), **SMALL, global_pool=pool
    )
    assert set(adaptation.initialised) == {"head.weight", "head.bias"} and not adaptation.resized
    assert all(name.startswith(("decoder.", "mask_token", "projector.")) for name in adaptation.dropped)
    ours = {name: tensor for name, tensor in tuned.state_dict().items() if not name.startswith("head.")}
    assert ours and all(torch.equal(tensor, source.state_dict()[f"encoder.{name}"]) for name, tensor in ours.items())


def test_a_classifier_becomes_an_encoder_for_contrast_and_for_features(zoo: Zoo) -> None:
    source = model(zoo, "test_resnet", num_classes=4)
    contrastive, adaptation = rebuilt(zoo, source, "test_resnet", Head(task="image-contrastive"))
    assert all(name.startswith("projector.") for name in adaptation.initialised)
    features, _ = rebuilt(zoo, source, "test_resnet", Head(task="image-feature-extraction"))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(contrastive.eval().encoder(images), features.eval()(images))  # type: ignore[operator]


# ------------------------------------------------------------------------------------------ tensors of another shape


def test_a_grey_first_convolution_sees_what_the_coloured_one_saw_of_a_grey_image(zoo: Zoo) -> None:
    coloured = model(zoo, "resnet_nano", num_classes=4)
    grey, adaptation = rebuilt(zoo, coloured, "resnet_nano", Head(task="image-classification", labels=4), in_chans=1)
    assert adaptation.resized == ("conv1.weight",)
    image = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(grey.eval()(image), coloured(image.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-5)
        back, _ = rebuilt(zoo, grey, "resnet_nano", Head(task="image-classification", labels=4), in_chans=3)
        torch.testing.assert_close(back.eval()(image.expand(-1, 3, -1, -1)), grey(image), atol=1e-5, rtol=1e-5)


def test_positions_are_interpolated_to_another_grid_and_the_class_token_keeps_its_own(zoo: Zoo) -> None:
    source = model(zoo, num_classes=4)
    larger, adaptation = rebuilt(
        zoo, source, "vit_tiny", Head(task="image-classification", labels=4), **{**SMALL, "img_size": 32}
    )
    assert adaptation.resized == ("pos_embed",) and larger.pos_embed.shape == (1, 65, 32)
    before: Tensor = source.pos_embed  # type: ignore[assignment]
    after: Tensor = larger.pos_embed  # type: ignore[assignment]
    assert torch.equal(after[:, 0], before[:, 0])
    # The mean of a smooth resampling is that of what was resampled, nearly.
    torch.testing.assert_close(after[:, 1:].mean(1), before[:, 1:].mean(1), atol=0.01, rtol=0)


def test_nothing_else_is_adapted() -> None:
    assert common.adapt("blocks.0.attn.qkv.weight", torch.zeros(6, 2), (8, 2)) is None
    assert common.adapt("conv1.weight", torch.zeros(8, 3, 3, 3), (8, 1, 5, 5)) is None
    assert common.adapt("pos_embed", torch.zeros(1, 17, 8), (1, 18, 8)) is None


# ------------------------------------------------------------------------------------------ the masked autoencoder


def test_patches_go_out_and_come_back(zoo: Zoo) -> None:
    autoencoder: Any = model(zoo, task="masked-image-modeling")
    images = torch.arange(2 * 3 * 16 * 16, dtype=torch.float32).view(2, 3, 16, 16)
    patches = autoencoder.patchify(images)
    assert patches.shape == (2, 16, 48)
    # The second patch is the one to the right of the first; its first value is the red of its first pixel.
    assert patches[0, 1, 0] == images[0, 0, 0, 4] and patches[0, 4, 0] == images[0, 0, 4, 0]
    assert torch.equal(autoencoder.unpatchify(patches, 3), images)


def test_the_encoder_sees_the_visible_patches_only(zoo: Zoo) -> None:
    autoencoder: Any = model(zoo, task="masked-image-modeling")
    order = torch.stack([torch.randperm(16) for _ in range(2)])
    images = torch.randn(2, 3, 16, 16)
    patches = autoencoder.patchify(images)
    changed = patches.scatter(1, order[:, 4:].unsqueeze(-1).expand(-1, -1, 48), torch.randn(2, 12, 48))
    with torch.no_grad():
        before = autoencoder(images, order, 4)
        assert torch.equal(autoencoder(autoencoder.unpatchify(changed, 3), order, 4), before)
        touched = patches.scatter(1, order[:, :1].unsqueeze(-1).expand(-1, -1, 48), torch.randn(2, 1, 48))
        assert not torch.equal(autoencoder(autoencoder.unpatchify(touched, 3), order, 4), before)


def test_seeing_every_patch_in_any_order_gives_the_codes_of_timms_encoder(zoo: Zoo) -> None:
    autoencoder: Any = model(zoo, task="masked-image-modeling")
    images = torch.randn(2, 3, 16, 16)
    order = torch.stack([torch.randperm(16) for _ in range(2)])
    with torch.no_grad():
        codes = autoencoder.encode(images, order)
        whole = autoencoder.encoder.forward_features(images)  # (B, 1 + N, D)
    torch.testing.assert_close(codes[:, 0], whole[:, 0], atol=1e-5, rtol=1e-5)
    picked = whole[:, 1:].gather(1, order.unsqueeze(-1).expand(-1, -1, 32))
    torch.testing.assert_close(codes[:, 1:], picked, atol=1e-5, rtol=1e-5)


def test_the_order_of_patches_does_not_change_where_they_are_put_back(zoo: Zoo) -> None:
    autoencoder: Any = model(zoo, task="masked-image-modeling")
    images, order = torch.randn(1, 3, 16, 16), torch.randperm(16).unsqueeze(0)
    other = torch.cat((order[:, :4].flip(1), order[:, 4:].flip(1)), 1)
    with torch.no_grad():
        torch.testing.assert_close(autoencoder(images, order, 4), autoencoder(images, other, 4), atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------------ the rest of the spec


@pytest.mark.parametrize("name", ["vit_tiny", "resnet_nano", "test_convnext"])
def test_activation_checkpointing_changes_no_gradient(zoo: Zoo, name: str) -> None:
    images = torch.randn(2, 3, 160, 160) if name == "test_convnext" else torch.randn(2, 3, 16, 16)
    gradients = []
    for checkpointing in (False, True):
        part = model(zoo, name, num_classes=3).train()
        if checkpointing:
            common.checkpoint_activations(part)
        part(images).square().sum().backward()
        gradients.append([p.grad.clone() for p in part.parameters() if p.grad is not None])
    assert gradients[0] and all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*gradients, strict=True))


def rates_and_decays(part: nn.Module, layers: Any) -> dict[str, tuple[float, float]]:
    groups = optim.parameter_groups(part.named_parameters(), lr=1.0, weight_decay=0.05, layers=layers, layer_decay=0.75)
    return {entry: (group["lr"], group["weight_decay"]) for group in groups for entry in group["names"]}


def timms(architecture: nn.Module) -> dict[str, tuple[float, float]]:
    undecayed = getattr(architecture, "no_weight_decay", tuple)()
    groups = param_groups_layer_decay(architecture, 0.05, undecayed, layer_decay=0.75)
    names = {parameter: entry for entry, parameter in architecture.named_parameters()}
    return {names[p]: (group["lr_scale"], group["weight_decay"]) for group in groups for p in group["params"]}


def test_layer_decay_finds_the_stages_of_a_resnet_and_lowers_the_rate_towards_the_input(zoo: Zoo) -> None:
    layers = zoo.host.find_model("resnet_nano").provided.spec.layers
    rates = {
        entry: rate for entry, (rate, _) in rates_and_decays(model(zoo, "resnet_nano", num_classes=3), layers).items()
    }
    assert max(rates.values()) == 1.0 == rates["fc.weight"]
    by_stage = {int(found[1]): rates[entry] for entry in rates if (found := re.search(layers, entry))}
    ordered = [by_stage[number] for number in sorted(by_stage)]
    assert len(ordered) == 4 and ordered == sorted(ordered) and len(set(ordered)) == 4


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_layers_and_weight_decay_of_our_vit_are_timms(zoo: Zoo, pool: str) -> None:
    with torch.device("meta"):
        theirs = timm.create_model(
            "vit_tiny_patch16_224", img_size=16, patch_size=4, depth=2, num_classes=3, global_pool=pool
        )
    ours = model(zoo, "vit_tiny", num_classes=3, global_pool=pool)
    found = rates_and_decays(ours, common.layer_groups(ours))
    assert found == timms(theirs) and len({rate for rate, _ in found.values()}) == 4
    assert {entry for entry, (_, decay) in found.items() if not decay and ours.get_parameter(entry).ndim > 1} == {
        "cls_token",
        "pos_embed",
    }


def test_what_reconstructs_is_the_head_of_a_masked_autoencoder_and_its_token_has_no_weight_decay(zoo: Zoo) -> None:
    part = model(zoo, "vit_tiny", task="masked-image-modeling")
    assert zoo.host.find_model("vit_tiny").provided.spec.layer_groups == "zoo_vision.models.common:layer_groups"
    found = rates_and_decays(part, common.layer_groups(part))
    inside = {entry.removeprefix("encoder."): value for entry, value in found.items() if entry.startswith("encoder.")}
    assert inside == {
        entry: value for entry, value in timms(model(zoo, "vit_tiny", num_classes=3)).items() if entry in inside
    }
    behind = {entry: value for entry, value in found.items() if not entry.startswith("encoder.")}
    assert {rate for rate, _ in behind.values()} == {1.0} and behind["mask_token"][1] == 0.0
    assert behind["decoder.embed.weight"][1] == 0.05


TIMM = [
    *("test_vit", "test_convnext", "densenet121", "coat_tiny", "xcit_nano_12_p16_224", "hrnet_w18_small"),
    *("vitamin_small_224", "swinv2_tiny_window8_256", "mixer_s32_224"),
]
"""Architectures that number their blocks in as many ways."""


@pytest.mark.parametrize("name", TIMM)
def test_layers_and_weight_decay_of_timms_architectures_are_timms_own(name: str) -> None:
    with torch.device("meta"):
        architecture = timm.create_model(name, num_classes=3)
    found = rates_and_decays(architecture, common.layer_groups(architecture))
    assert found == timms(architecture) and len({rate for rate, _ in found.values()}) > 3


def test_a_projection_behind_an_encoder_is_its_head_and_keeps_the_whole_rate(zoo: Zoo) -> None:
    provided = zoo.host.find_model("test_vit").provided
    part = model(zoo, "test_vit", task="image-contrastive")
    found = zoo.host.resolve(provided.spec.layer_groups, provided)(part)
    assert found.numbers.keys() == dict(part.named_parameters()).keys()
    assert {name for name, number in found.numbers.items() if number == max(found.numbers.values())} >= {
        name for name in found.numbers if name.startswith("projector.")
    }
    assert found.numbers["encoder.patch_embed.proj.weight"] == 0 and "encoder.pos_embed" in found.undecayed


def test_configurations_that_could_not_be_built_are_refused() -> None:
    from zoo_vision.configs.models import ResNetConfig, ViTConfig

    for settings, message in (
        ({"img_size": 30}, "a multiple of patch_size"),
        ({"num_heads": 5}, "a multiple of num_heads"),
        ({"decoder_dim": 40}, "a multiple of 32"),
        ({"depth": 0}, "depth: expected at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            ViTConfig(**settings)
    with pytest.raises(ValueError, match="a number for each of four stages"):
        ResNetConfig(layers=(1, 1))


def test_every_target_of_the_plugin_resolves(zoo: Zoo) -> None:
    specs = {
        "model": plugin.zoo_models(),
        "task": plugin.zoo_tasks(),
        "data": plugin.zoo_data(),
        "loss": plugin.zoo_losses(),
    }
    words = ("target", "preprocessor", "adapt", "gradient_checkpointing", "interop", "fetch", "names")
    for kind, listed in specs.items():
        for spec in listed:
            provided = zoo.host.find(kind, f"zoo-vision/{spec.name}")
            for target in filter(None, (getattr(spec, word, "") for word in words)):
                assert callable(provided.resolve(target))
            for target in getattr(spec, "checkpoints", {}).values():
                assert callable(provided.resolve(target))
            assert provided.config


def test_folders_of_inputs_hold_the_same_files_as_folders_of_data() -> None:
    assert plugin.zoo_defaults["input_suffixes"] == RASTER_SUFFIXES


def test_the_plugin_module_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "timm", "torchvision", "PIL", "zoo_vision.configs.models")
    code = f"import sys, zoo_vision.plugin; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert shown.stdout.strip() == "[]"
    assert Path(plugin.__file__).name == "plugin.py"
