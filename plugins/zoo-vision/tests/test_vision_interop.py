from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    ViTModel,
)
from transformers.utils import logging
from zoo_vision.configs import models as configs
from zoo_vision.interop.timm import ResNetInterop, TimmInterop, ViTInterop
from zoo_vision.models import resnet, vit
from zoo_vision.models import timm as others
from zoo_vision.preprocessor import ImagePreprocessor

from zoo_core import CorruptFile, UnknownName, UsageError, ZooError, export, import_folder, load, open_zoo
from zoo_core.contract import ForeignCheckpoint, Head, to_data
from zoo_core.contract import from_data as typed
from zoo_core.testing import build

LABELS = ("cat", "dog", "Kürbis")
CLASSIFIER = Head(task="image-classification", labels=3)
ENCODER = Head(task="image-feature-extraction")
FAMILIES: dict[str, tuple[type[TimmInterop], Any, Any]] = {
    "vit": (ViTInterop, configs.ViTConfig, vit.build),
    "resnet": (ResNetInterop, configs.ResNetConfig, resnet.build),
    "timm": (TimmInterop, configs.TimmConfig, others.build),
}
VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}
RESNET = {"img_size": 40, "layers": (1, 2, 1, 1), "channels": (8, 12, 16, 24)}
CASES: dict[str, tuple[str, dict[str, Any], Head]] = {
    "vit": ("vit", {**VIT, "mlp_ratio": 2.5, "drop_path_rate": 0.1, "drop_rate": 0.2}, CLASSIFIER),
    "vit grey": ("vit", {**VIT, "in_chans": 1, "global_pool": "avg"}, CLASSIFIER),
    "vit encoder": ("vit", VIT, ENCODER),
    "resnet": ("resnet", {**RESNET, "drop_rate": 0.1}, CLASSIFIER),
    "resnet grey": ("resnet", {**RESNET, "in_chans": 1, "block": "bottleneck"}, CLASSIFIER),
    "resnet encoder": ("resnet", RESNET, ENCODER),
    "timm grey": ("timm", {"architecture": "test_efficientnet", "in_chans": 1, "img_size": 36}, CLASSIFIER),
    "timm sized": ("timm", {"architecture": "test_vit", "img_size": 48, "model_args": {"depth": 2}}, CLASSIFIER),
    "timm encoder": ("timm", {"architecture": "test_convnext", "img_size": 48, "global_pool": "max"}, ENCODER),
}
WRITTEN = pytest.mark.parametrize("case", list(CASES))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


def ours(case: str) -> tuple[nn.Module, ForeignCheckpoint, ImagePreprocessor]:
    family, settings, head = CASES[case]
    config = FAMILIES[family][1](**settings)
    torch.manual_seed(0)
    model = FAMILIES[family][2](config, head).eval()
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    mean, std = (0.4, 0.5, 0.3)[: config.in_chans], (0.2, 0.3, 0.25)[: config.in_chans]
    described = {"img_size": config.img_size, "in_chans": config.in_chans, "crop_pct": 0.9}
    reader = ImagePreprocessor(
        configs.ImagePreprocessorConfig(mean=mean, std=std, interpolation="bilinear", **described)
    )
    labels = LABELS if head.labels else ()
    foreign = ForeignCheckpoint(
        config=to_data(config), head=head, labels=labels, preprocessor=reader, license="Apache-2.0"
    )
    return model, foreign, reader


def write(folder: Path, case: str) -> tuple[nn.Module, ForeignCheckpoint, ImagePreprocessor]:
    model, foreign, reader = ours(case)
    for name, data in FAMILIES[CASES[case][0]][0]().write(foreign).items():
        (folder / name).write_bytes(data)
    save_file(build.weights(model), folder / "model.safetensors", metadata={"format": "pt"})
    return model, foreign, reader


def read(folder: Path, family: str, *, prefix: str = "") -> tuple[nn.Module, ForeignCheckpoint]:
    """As the core reads a folder: every tensor has to fit."""
    interop, config, builder = FAMILIES[family]
    reader = interop()
    foreign = reader.read({path.name: path.read_bytes() for path in folder.glob("*.json")})
    theirs = {prefix + name: t for name, t in load_file(folder / "model.safetensors").items()}
    tensors = reader.convert(theirs, foreign)
    model = builder(typed(config, dict(foreign.config), where="test"), foreign.head)
    model.load_state_dict(tensors)
    return model.eval(), foreign


def images(foreign: ForeignCheckpoint) -> Tensor:
    reader = foreign.preprocessor
    assert isinstance(reader, ImagePreprocessor)
    torch.manual_seed(1)
    return torch.randn(2, reader.in_chans, reader.img_size, reader.img_size)


@torch.no_grad()
def outputs(model: nn.Module, batch: Tensor) -> Tensor:
    found = model.eval()(batch)
    if isinstance(found, Tensor):
        return found
    return found.logits if hasattr(found, "logits") else found.pooler_output


@WRITTEN
def test_one_folder_opens_in_timm_and_in_transformers_with_equal_outputs(case: str, tmp_path: Path) -> None:
    model, foreign, reader = write(tmp_path, case)
    batch = images(foreign)
    expected = outputs(model, batch)
    assert torch.equal(outputs(timm.create_model(f"local-dir:{tmp_path}", pretrained=True), batch), expected)
    auto = AutoModelForImageClassification if foreign.labels else AutoModel
    theirs, info = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert torch.equal(outputs(theirs, batch), expected)
    if foreign.labels:
        assert tuple(theirs.config.id2label.values()) == LABELS and theirs.config.label2id["dog"] == 1
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, reader.in_chans), dtype=np.uint8)
    image = Image.fromarray(pixels[:, :, 0] if reader.in_chans == 1 else pixels)
    found = AutoImageProcessor.from_pretrained(tmp_path)(image, return_tensors="pt")["pixel_values"]
    assert torch.allclose(found, reader.normalise(reader.resize_and_crop(pixels)[None]), atol=1e-6)


@WRITTEN
def test_our_own_folder_reads_back_equal(case: str, tmp_path: Path) -> None:
    model, foreign, reader = write(tmp_path, case)
    again, found = read(tmp_path, CASES[case][0])
    assert (found.head, found.labels, found.license) == (foreign.head, foreign.labels, foreign.license)
    assert {**foreign.config, **found.config} == foreign.config
    assert isinstance(found.preprocessor, ImagePreprocessor) and found.preprocessor.files() == reader.files()
    assert torch.equal(outputs(again, images(foreign)), outputs(model, images(foreign)))


@WRITTEN
def test_what_both_libraries_write_is_read(case: str, tmp_path: Path) -> None:
    model, foreign, reader = write(tmp_path, case)
    expected = outputs(model, images(foreign))
    auto = AutoModelForImageClassification if foreign.labels else AutoModel
    auto.from_pretrained(tmp_path).save_pretrained(tmp_path / "transformers")
    of_timm = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    names = {"label_names": list(LABELS)} if foreign.labels else {}
    timm.models.save_for_hf(of_timm, str(tmp_path / "timm"), model_config=names, safe_serialization=True)
    for folder, prefix in (("transformers", "timm_model."), ("transformers", ""), ("timm", "")):
        again, found = read(tmp_path / folder, CASES[case][0], prefix=prefix)
        assert (found.head, found.labels) == (foreign.head, foreign.labels), folder
        assert torch.equal(outputs(again, images(foreign)), expected), folder
        assert isinstance(found.preprocessor, ImagePreprocessor) and found.preprocessor.files() == reader.files()


def native(folder: Path, kind: Any, **changes: Any) -> nn.Module:
    """A folder of Transformers' own Vision Transformer, cropping as we do, with our epsilon unless it is changed."""
    settings = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 120}
    settings |= {"image_size": 28, "patch_size": 7, "num_channels": 1, "layer_norm_eps": 1e-6}
    torch.manual_seed(0)
    config = ViTConfig(**{**settings, "id2label": dict(enumerate(LABELS)), **changes})
    model: nn.Module = kind(config).eval()
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.2)
    model.save_pretrained(folder)  # type: ignore[operator]
    cut: dict[str, Any] = {"size": {"shortest_edge": 32}, "do_center_crop": True, "crop_size": 28}
    ViTImageProcessor(**cut, image_mean=[0.4], image_std=[0.3]).save_pretrained(folder)
    return model


@pytest.mark.parametrize(("kind", "head"), [(ViTForImageClassification, CLASSIFIER), (ViTModel, ENCODER)])
def test_transformers_own_vision_transformer_is_read(kind: Any, head: Head, tmp_path: Path) -> None:
    theirs = native(tmp_path, kind)
    model, found = read(tmp_path, "vit")
    assert found.head == head and found.labels == (LABELS if head.labels else ())
    batch = images(found)
    with torch.no_grad():
        answer = theirs(batch)
    expected = answer.logits if head.labels else answer.last_hidden_state[:, 0]
    assert torch.allclose(outputs(model, batch), expected, atol=1e-5, rtol=1e-6)
    reader = found.preprocessor
    assert isinstance(reader, ImagePreprocessor)
    assert (reader.img_size, reader.mean, reader.std, reader.interpolation) == (28, (0.4,), (0.3,), "bilinear")
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 1), dtype=np.uint8)
    ready = AutoImageProcessor.from_pretrained(tmp_path)(pixels, return_tensors="pt", input_data_format="channels_last")
    levels = (ready["pixel_values"] - reader.normalise(reader.resize_and_crop(pixels)[None])).abs() * 255 * 0.3
    # Their resizing rounds in another way.
    assert levels.max() < 1.01 and (levels > 0.5).float().mean() < 0.02


@pytest.mark.parametrize("case", ["vit", "resnet grey", "timm sized", "vit encoder"])
def test_in_and_out_through_the_registry(case: str, tmp_path: Path) -> None:
    """The core finds every tensor in its place, and the exported folder opens as the imported one did."""
    (tmp_path / "in").mkdir()
    model, foreign, _ = write(tmp_path / "in", case)
    zoo = open_zoo({"ZOO_HOME": str(tmp_path / "home")})
    family, name = CASES[case][0], "tiny.imported"
    card = import_folder(tmp_path / "in", model=family, name=name, zoo=zoo)
    assert card.license == "Apache-2.0" and card.labels == foreign.labels
    batch = images(foreign)
    assert torch.equal(outputs(load(name, zoo=zoo).model, batch), outputs(model, batch))
    folder = export(name, tmp_path / "out", zoo=zoo)
    assert torch.equal(outputs(timm.create_model(f"local-dir:{folder}", pretrained=True), batch), outputs(model, batch))


def test_a_folder_as_transformers_writes_it_by_default_is_read_with_its_epsilon_and_its_squashing(
    tmp_path: Path,
) -> None:
    theirs = native(tmp_path, ViTForImageClassification, layer_norm_eps=1e-12)
    path = tmp_path / "preprocessor_config.json"
    squash = {"size": {"height": 28, "width": 28}, "do_center_crop": False, "crop_size": None}
    path.write_text(json.dumps({**json.loads(path.read_text()), **squash}))
    model, found = read(tmp_path, "vit")
    assert found.config["norm_eps"] == 1e-12
    batch = images(found)
    assert torch.allclose(outputs(model, batch), outputs(theirs, batch), atol=1e-5, rtol=1e-6)
    reader = found.preprocessor
    assert isinstance(reader, ImagePreprocessor) and reader.crop_mode == "squash"
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 1), dtype=np.uint8)
    ready = AutoImageProcessor.from_pretrained(tmp_path)(pixels, return_tensors="pt", input_data_format="channels_last")
    levels = (ready["pixel_values"] - reader.normalise(reader.resize_and_crop(pixels)[None])).abs() * 255 * 0.3
    assert levels.max() < 1.01 and (levels > 0.5).float().mean() < 0.02


def test_an_epsilon_of_another_size_would_give_other_outputs_and_is_not_exported(tmp_path: Path) -> None:
    """The reason for the refusal, measured: Transformers' default is not timm's."""
    theirs = ViTForImageClassification(ViTConfig(image_size=32, patch_size=8, num_hidden_layers=2)).eval()
    batch = torch.randn(1, 3, 32, 32)
    before = outputs(theirs, batch)
    for module in theirs.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6
    assert (outputs(theirs, batch) - before).abs().max() > 1e-6
    native(tmp_path, ViTForImageClassification, layer_norm_eps=1e-12)
    with pytest.raises(UsageError, match="norm_eps is 1e-12"):
        ViTInterop().write(read(tmp_path, "vit")[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": {"height": 28, "width": 30}, "do_center_crop": False}, "resized by their shorter side"),
        ({"size": 30}, "resized by their shorter side"),
        ({"crop_size": 24}, "resized by their shorter side"),
        ({"do_normalize": False}, "do_normalize: expected true, found false"),
        ({"resample": 1}, "interpolation"),
        ({"resample": [2]}, "interpolation"),
        ({"image_mean": [0.5, 0.5, 0.5]}, "mean"),
    ],
)
def test_images_that_ours_would_prepare_otherwise_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    native(tmp_path, ViTForImageClassification)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(UsageError, match=message) as caught:
        read(tmp_path, "vit")
    assert "preprocessor_config.json" in caught.value.message


def test_every_size_before_the_crop_comes_out_exactly(tmp_path: Path) -> None:
    native(tmp_path, ViTForImageClassification)
    path = tmp_path / "preprocessor_config.json"
    for edge in (28, 29, 31, 33, 57, 255, 256, 999):
        path.write_text(json.dumps({**json.loads(path.read_text()), "size": {"shortest_edge": edge}}))
        reader = read(tmp_path, "vit")[1].preprocessor
        assert isinstance(reader, ImagePreprocessor) and int(reader.img_size / reader.crop_pct) == edge


def config_of(architecture: str, **changes: Any) -> dict[str, bytes]:
    known = timm.models.get_pretrained_cfg(architecture)
    pretrained = {**known.to_dict(remove_source=True), **changes.pop("pretrained_cfg", {})}
    pretrained.pop("architecture", None)
    theirs = {"architecture": architecture, "pretrained_cfg": pretrained, "num_classes": 3, **changes}
    return {"config.json": json.dumps(theirs).encode()}


@pytest.mark.parametrize(
    ("family", "architecture", "settings"),
    [
        ("vit", "vit_tiny_patch16_224", {"embed_dim": 192, "num_heads": 3, "depth": 12, "img_size": 224}),
        ("vit", "vit_base_patch32_384", {"embed_dim": 768, "patch_size": 32, "img_size": 384}),
        ("resnet", "resnet34", {"layers": [3, 4, 6, 3], "channels": [64, 128, 256, 512], "block": "basic"}),
        ("resnet", "resnet101", {"layers": [3, 4, 23, 3], "block": "bottleneck"}),
    ],
)
def test_timms_own_sizes_are_understood(family: str, architecture: str, settings: dict[str, Any]) -> None:
    found = FAMILIES[family][0]().read(config_of(architecture)).config
    assert {name: found[name] for name in settings} == settings


@pytest.mark.parametrize(
    ("family", "architecture", "changes", "message"),
    [
        ("vit", "deit_tiny_distilled_patch16_224", {}, "VisionTransformerDistilled"),
        ("vit", "vit_base_patch16_clip_224", {}, "bias of patch_embed.proj is None"),
        ("vit", "vit_small_patch14_dinov2", {}, "ls1"),
        ("vit", "vit_base_patch16_siglip_224", {}, "VisionTransformer of another kind"),
        ("vit", "vit_tiny_patch16_224", {"model_args": {"dynamic_img_size": True}}, "dynamic_img"),
        ("vit", "vit_tiny_patch16_224", {"model_args": {"no_embed_class": True}}, "no_embed_class"),
        ("vit", "resnet18", {}, "ResNet of another kind"),
        ("resnet", "resnet18d", {}, "conv1"),
        ("resnet", "resnext50_32x4d", {}, "out_channels of layer1.0.conv1 is 128, not 64"),
        ("resnet", "seresnet50", {}, "layer1.0.se is a SEModule, not a NoneType"),
        ("resnet", "vit_tiny_patch16_224", {}, "VisionTransformer of another kind"),
    ],
)
def test_relatives_are_told_apart_and_sent_to_timm(
    family: str, architecture: str, changes: dict[str, Any], message: str
) -> None:
    files = config_of(architecture, **changes)
    with pytest.raises(UsageError, match=f"is not what zoo-vision/{family} builds: .*{message}") as caught:
        FAMILIES[family][0]().read(files)
    assert "zoo-vision/timm" in caught.value.hint


def test_relatives_are_what_timm_is_for() -> None:
    found = TimmInterop().read(config_of("deit_tiny_distilled_patch16_224", model_args={"dynamic_img_size": True}))
    expected = {"architecture": "deit_tiny_distilled_patch16_224", "in_chans": 3, "img_size": 224}
    assert found.config == {**expected, "model_args": {"dynamic_img_size": True}}


def test_labels_come_from_wherever_a_folder_has_them() -> None:
    def labels(**changes: Any) -> tuple[str, ...]:
        return TimmInterop().read(config_of("resnet18", **changes)).labels

    described = {"label_names": ["n1", "n2", "n3"], "label_descriptions": {"n1": "tench", "n3": "tench"}}
    assert labels() == ("label 0", "label 1", "label 2")
    assert labels(label_names=["a", "b", "c"]) == ("a", "b", "c")
    assert labels(pretrained_cfg={"label_names": ["a", "b", "c"]}) == ("a", "b", "c")
    assert labels(label_names={"0": "a", "2": "c"}) == ("a", "label 1", "c")
    assert labels(**described) == ("tench (0)", "n2", "tench (2)")
    assert labels(num_classes=0) == ()
    assert labels(num_classes=1000)[0] == "tench, Tinca tinca"


def test_folders_of_timms_first_years_have_everything_in_one_place() -> None:
    known = timm.models.get_pretrained_cfg("resnet18").to_dict(remove_source=True)
    flat = {**known, "num_classes": 3, "labels": ["a", "b", "c"], "input_size": [3, 64, 64]}
    found = ResNetInterop().read({"config.json": json.dumps(flat).encode()})
    assert found.labels == ("a", "b", "c") and found.config["img_size"] == 64


def test_a_class_for_the_background_and_missing_counters() -> None:
    reader = TimmInterop()
    foreign = reader.read(config_of("resnet18", pretrained_cfg={"label_offset": 1}))
    found = reader.convert({"fc.weight": torch.arange(8.0).reshape(4, 2), "bn1.running_mean": torch.zeros(2)}, foreign)
    assert found["fc.weight"].tolist() == [[2, 3], [4, 5], [6, 7]]
    assert int(found["bn1.num_batches_tracked"]) == 0 and found["bn1.num_batches_tracked"].dtype == torch.int64


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"architecture": "resnet18q"}, UnknownName, "unknown timm architecture 'resnet18q'"),
        ({"architecture": None}, UnknownName, "unknown timm architecture"),
        ({"model_args": {"checkpoint_path": "/tmp/x.pth"}}, UsageError, "checkpoint_path is not for a folder to set"),
        ({"model_args": {"pretrained": True}}, UsageError, "pretrained is not for a folder"),
        ({"model_args": {"pretrained_cfg_overlay": {"file": "x"}}}, UsageError, "pretrained_cfg_overlay is not"),
        ({"model_args": {"features_only": True}}, UsageError, "features_only is not"),
        ({"model_args": []}, None, ""),
        ({"model_args": [1]}, CorruptFile, "model_args: expected an object, found list"),
        ({"pretrained_cfg": []}, CorruptFile, "pretrained_cfg: expected an object"),
        ({"num_classes": -1}, CorruptFile, "num_classes: expected a whole number"),
        ({"num_classes": "3"}, CorruptFile, "num_classes: expected a whole number"),
        ({"label_names": ["a"]}, CorruptFile, "label_names: expected 3 names"),
        ({"pretrained_cfg": {"input_size": [3, 224]}}, CorruptFile, "input_size: expected"),
        ({"pretrained_cfg": {"input_size": [3, 224, 192]}}, UsageError, "224 x 192 pixels; zoo-vision's are square"),
        ({"pretrained_cfg": {"input_size": [4, 224, 224]}}, UsageError, "in_chans"),
        ({"pretrained_cfg": {"input_size": [3, 10**7, 10**7]}}, CorruptFile, "img_size"),
        ({"pretrained_cfg": {"crop_mode": "border"}}, UsageError, "crop_mode is 'border'"),
        ({"pretrained_cfg": {"interpolation": "lanczos"}}, UsageError, "interpolation"),
        ({"pretrained_cfg": {"mean": [0.5]}}, UsageError, "mean"),
    ],
)
def test_folders_that_cannot_be_understood_are_refused(
    changes: dict[str, Any], error: type[ZooError] | None, message: str
) -> None:
    changes = dict(changes)
    replaced = {"pretrained_cfg": changes.pop("pretrained_cfg")} if changes.get("pretrained_cfg") == [] else {}
    theirs = json.loads(
        config_of("resnet18", **{k: v for k, v in changes.items() if k != "architecture"})["config.json"]
    )
    theirs |= {k: v for k, v in changes.items() if k == "architecture"} | replaced
    files = {"config.json": json.dumps(theirs).encode()}
    if error is None:
        TimmInterop().read(files)
        return
    with pytest.raises(error, match=message):
        TimmInterop().read(files)


def test_files_that_are_no_json_are_refused() -> None:
    for files, message in (
        ({}, "config.json is missing"),
        ({"config.json": b"{"}, "not JSON"),
        ({"config.json": b"[]"}, "expected an object"),
    ):
        for interop in (TimmInterop, ResNetInterop, ViTInterop):
            with pytest.raises(CorruptFile, match=message):
                interop().read(files)


@pytest.mark.parametrize(
    ("family", "settings", "task", "message"),
    [
        ("resnet", {"stem": "small"}, "image-classification", "no other library has a network like that"),
        ("vit", {"features_only": True}, "image-feature-extraction", "features_only"),
        ("vit", {}, "masked-image-modeling", "a model for masked-image-modeling exists in no other library"),
        ("resnet", {}, "image-contrastive", "a model for image-contrastive exists in no other library"),
        ("timm", {"architecture": "resnet18"}, "image-contrastive", "exists in no other library"),
    ],
)
def test_what_no_other_library_has_is_not_exported(
    family: str, settings: dict[str, Any], task: str, message: str
) -> None:
    foreign = ForeignCheckpoint(config=settings, head=Head(task=task))
    with pytest.raises(UsageError, match=message) as caught:
        FAMILIES[family][0]().write(foreign)
    assert "fine-tune" in caught.value.hint or task not in ("masked-image-modeling", "image-contrastive")
