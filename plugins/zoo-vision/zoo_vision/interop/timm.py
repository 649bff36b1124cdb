"""Checkpoint folders of timm, alone or wrapped by Transformers: read ours from theirs, and write what both libraries open."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from timm.models import PretrainedCfg, get_pretrained_cfg
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn
from zoo_transformers import json_bytes

from zoo_core import CorruptFile, UnknownName, UsageError, parameters_on_meta
from zoo_core.contract import ForeignCheckpoint, Head, Interop, KeyTable, distinct_labels, read_object
from zoo_core.contract import from_data as typed
from zoo_vision.configs.models import ResNetConfig, TimmConfig, ViTConfig
from zoo_vision.interop.fields import PRETRAINED, TIMM
from zoo_vision.interop.hf_vit import PROBLEMS, NativeViT, reader_of, scoring_task
from zoo_vision.interop.names import architectures, imagenet_labels, whole
from zoo_vision.models.common import CLASSIFICATION, FEATURES, SCORING
from zoo_vision.models.resnet import network_of
from zoo_vision.models.timm import RESERVED, architecture_of
from zoo_vision.models.vit import encoder_of
from zoo_vision.preprocessor import ImagePreprocessor

_WRAPPED = "timm_model."
"""Prefix of the tensors in folders that Transformers wrote."""
_DROPS = ("drop_rate", "drop_path_rate")
_LICENSES = {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "cc-by-nc-4.0": "CC-BY-NC-4.0"}


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A `config.json` of timm's, as timm understands it."""

    architecture: str
    arguments: Mapping[str, Any]
    """`model_args` without the number of classes."""
    pretrained: PretrainedCfg
    classes: int
    channels: int
    side: int
    """Pixels of a side of the square input."""

    @property
    def drops(self) -> dict[str, Any]:
        """What is left out at random in training."""
        return {name: self.arguments[name] for name in _DROPS if name in self.arguments}

    @property
    def config(self) -> dict[str, Any]:
        """The whole as fields of `TimmConfig`."""
        config = {"architecture": self.architecture, "in_chans": self.channels, **self.drops}
        if _is_fixed(self.architecture):
            config["img_size"] = self.side
        config |= {name: self.arguments[name] for name in ["global_pool"] if self.arguments.get(name)}
        rest = {name: value for name, value in self.arguments.items() if name not in config and name != "in_chans"}
        return {**config, "model_args": rest} if rest else config


class TimmInterop(Interop):
    """Folders of every architecture: timm's `config.json`, which Transformers reads when it wraps timm."""

    family = "timm"

    def read(self, files: Mapping[str, bytes]) -> ForeignCheckpoint:
        """Architecture, labels and preprocessing. Raises `CorruptFile`, or `UsageError` for what ours can't express."""
        config = read_object(files, "config.json")
        folder = _folder(config)
        notices = TIMM.check(config) if "pretrained_cfg" in config else ()
        notices += PRETRAINED.check(config.get("pretrained_cfg") or {})
        theirs = folder.pretrained
        # A first row for "none of the classes", which timm leaves out.
        background = (f"{theirs.classifier}.weight", f"{theirs.classifier}.bias") if theirs.label_offset else ()
        return ForeignCheckpoint(
            config=self.config_of(folder),
            head=Head(task=scoring_task(config, folder.classes) if folder.classes else FEATURES, labels=folder.classes),
            labels=_labels(folder),
            preprocessor=_preprocessor(folder),
            license=_LICENSES.get(str(theirs.license or "").lower(), str(theirs.license or "")),
            notices=notices,
            keys=KeyTable(prefix=_WRAPPED, rows=dict.fromkeys(background, slice(1, None))),
        )

    def write(self, foreign: ForeignCheckpoint) -> dict[str, bytes]:
        """`config.json`. Raises `UsageError` for what is neither a classifier nor an encoder."""
        if foreign.head.task not in ("", FEATURES, *SCORING):
            raise UsageError(
                f"a model for {foreign.head.task} exists in no other library",
                hint=f"fine-tune it for {CLASSIFICATION} first, then export the result",
            )
        if foreign.config.get("features_only"):
            raise UsageError("features_only: feature maps have no folder of their own", hint="leave it out")
        architecture, arguments = self.arguments_of(foreign.config)
        theirs: dict[str, Any] = {
            "architecture": architecture,
            "architectures": ["TimmWrapperForImageClassification" if foreign.head.labels else "TimmWrapperModel"],
            "model_type": "timm_wrapper",
            "num_classes": foreign.head.labels,
            # Transformers passes these on beside a number of classes of its own, which must not be among them.
            "model_args": arguments,
            "pretrained_cfg": _pretrained(architecture, foreign),
            **({"label_names": foreign.labels} if foreign.labels else {}),
        }
        problem = next((word for word, task in PROBLEMS.items() if task == foreign.head.task), "")
        if problem and foreign.head.task != CLASSIFICATION:
            theirs["problem_type"] = problem
        return {"config.json": json_bytes(theirs)}

    def convert(self, tensors: Mapping[str, Tensor], foreign: ForeignCheckpoint) -> dict[str, Tensor]:
        """By the keys; counters that old files lack are 0."""
        ours = super().convert(tensors, foreign)
        for name in [name for name in ours if name.endswith(".running_mean")]:
            ours.setdefault(name.replace("running_mean", "num_batches_tracked"), torch.tensor(0))
        return ours

    def config_of(self, folder: Folder) -> dict[str, Any]:
        """Our configuration of their architecture. Raises `UsageError` where it is of another family."""
        return folder.config

    def arguments_of(self, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The timm architecture nearest to a model of ours, and the arguments that make it the same."""
        ours = typed(TimmConfig, dict(config), where="configuration")
        arguments = {**ours.model_args, "in_chans": ours.in_chans, **_drops(ours)}
        optional = {"global_pool": ours.global_pool, "img_size": ours.img_size if _is_fixed(ours.architecture) else 0}
        return ours.architecture, arguments | {name: value for name, value in optional.items() if value}


class ComparedInterop(TimmInterop):
    """Folders of a family with words of its own: what timm builds is compared with what ours would be."""

    configuration: ClassVar[type[Any]]
    network: ClassVar[Any]
    """`(configuration, classes)`, a static method: what we build."""

    def config_of(self, folder: Folder) -> dict[str, Any]:
        """Read off what timm builds. Raises `UsageError`, naming the first difference to what the family has."""
        with parameters_on_meta():
            theirs = architecture_of(typed(TimmConfig, folder.config, where="config.json"), folder.classes)
            try:
                config = {**self.described(theirs), "in_chans": folder.channels, **folder.drops}
                ours = typed(self.configuration, {"img_size": folder.side, **config}, where="config.json")
                difference = _difference(theirs, self.network(ours, folder.classes))
            except (AttributeError, LookupError, TypeError, ValueError, UsageError):
                difference = f"a {type(theirs).__name__} of another kind"
        if difference:
            raise UsageError(
                f"config.json: {folder.architecture} is not what zoo-vision/{self.family} builds: {difference}",
                hint="import it as zoo-vision/timm, which is every architecture of timm's",
            )
        return {"img_size": folder.side, **config}

    @abstractmethod
    def described(self, theirs: Any) -> dict[str, Any]:
        """Our configuration as far as it can be read off a module of timm's; any error says that it is another one."""


class ResNetInterop(ComparedInterop):
    """Folders of residual networks that differ in blocks, stages and channels only."""

    family = "resnet"
    configuration = ResNetConfig
    network = staticmethod(network_of)

    def described(self, theirs: Any) -> dict[str, Any]:
        """Blocks, and the number and channels of each stage."""
        stages = [theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4]
        return {
            "layers": [len(stage) for stage in stages],
            # bn3 ends a bottleneck, bn2 a basic block.
            "channels": [getattr(s[0], "bn3", s[0].bn2).num_features // s[0].expansion for s in stages],
            "block": {BasicBlock: "basic", Bottleneck: "bottleneck"}[type(stages[0][0])],
        }

    def arguments_of(self, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """timm's 18 or 50 layers, with other stages and channels as arguments. Raises `UsageError` for our small stem."""
        ours = typed(ResNetConfig, dict(config), where="configuration")
        if ours.stem == "small":
            raise UsageError(
                "stem: small keeps the size of small images; no other library has a network like that",
                hint="train with stem=standard what is to be exported",
            )
        arguments = {name: getattr(ours, name) for name in ("layers", "channels", "in_chans")}
        return "resnet18" if ours.block == "basic" else "resnet50", {**arguments, **_drops(ours)}


class ViTInterop(ComparedInterop):
    """Folders of plain Vision Transformers: of timm, and of the `vit` classes that Transformers has itself."""

    family = "vit"
    configuration = ViTConfig
    network = staticmethod(encoder_of)

    def read(self, files: Mapping[str, bytes]) -> ForeignCheckpoint:
        """A folder of timm's, of Transformers around timm, of `ViTForImageClassification` or of `ViTModel`."""
        theirs = read_object(files, "config.json")
        return NativeViT().read(files) if theirs.get("model_type") == "vit" else super().read(files)

    def described(self, theirs: Any) -> dict[str, Any]:
        """Sizes, heads and pooling."""
        block = theirs.blocks[0]
        return {
            "patch_size": theirs.patch_embed.patch_size[0],
            "embed_dim": theirs.embed_dim,
            "depth": len(theirs.blocks),
            "num_heads": block.attn.num_heads,
            "mlp_ratio": block.mlp.fc1.out_features / theirs.embed_dim,
            "global_pool": theirs.global_pool,
            "norm_eps": block.norm1.eps,
        }

    def arguments_of(self, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """timm's base, with everything that makes its size as an argument."""
        ours = typed(ViTConfig, dict(config), where="configuration")
        if ours.norm_eps != ViTConfig.norm_eps:
            raise UsageError(
                f"norm_eps is {ours.norm_eps:g}; timm's Vision Transformers have {ViTConfig.norm_eps:g} and no name for others",
                hint="the outputs of an exported folder would differ",
            )
        names = ("img_size", "patch_size", "in_chans", "embed_dim", "depth", "num_heads", "mlp_ratio", "global_pool")
        return "vit_base_patch16_224", {**{name: getattr(ours, name) for name in names}, **_drops(ours)}


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CorruptFile(f"{where}: expected an object, found {type(value).__name__}")
    return value


def _folder(theirs: Mapping[str, Any]) -> Folder:
    """As timm reads it; in its first folders there was no `pretrained_cfg` apart."""
    stored = dict(_object(theirs.get("pretrained_cfg", theirs), "config.json: pretrained_cfg"))
    stored |= {name: theirs[name] for name in ("num_classes", "label_names", "label_descriptions") if name in theirs}
    stored.setdefault("label_names", theirs.get("labels"))
    name = str(theirs.get("architecture")).partition(".")[0]
    if name not in architectures():
        raise UnknownName("timm architecture", name, architectures(), where="config.json")
    arguments = dict(_object(theirs.get("model_args") or {}, "config.json: model_args"))
    if reserved := sorted(RESERVED & set(arguments)):
        raise UsageError(f"config.json: model_args: {reserved[0]} is not for a folder to set", hint="remove it there")
    known = {field.name for field in fields(PretrainedCfg)}
    pretrained = PretrainedCfg(**{key: value for key, value in stored.items() if key in known and value is not None})
    size = pretrained.input_size
    if not isinstance(size, list | tuple) or len(size) != 3:
        raise CorruptFile(f"config.json: input_size: expected channels, height and width, found {size!r}")
    sides = arguments.get("img_size") or size[1:]
    height, width = sides if isinstance(sides, list | tuple) and len(sides) == 2 else (sides, sides)
    if height != width:
        raise UsageError(f"config.json: it reads images of {height} x {width} pixels; zoo-vision's are square")
    return Folder(
        architecture=name,
        classes=whole(arguments.pop("num_classes", pretrained.num_classes), "num_classes", 0),
        channels=whole(arguments.get("in_chans") or size[0], "in_chans", 1),
        side=whole(height, "img_size", 1),
        arguments=arguments,
        pretrained=pretrained,
    )


def _is_fixed(architecture: str) -> bool:
    """Whether timm builds it for one size of images."""
    known = get_pretrained_cfg(architecture)
    return known is not None and bool(known.fixed_input_size)


def _drops(config: ViTConfig | ResNetConfig | TimmConfig) -> dict[str, float]:
    return {name: value for name in _DROPS if (value := getattr(config, name))}


def _difference(theirs: nn.Module, ours: nn.Module) -> str:
    """The first difference between two modules in kinds, sizes or constants of their parts; empty if there is none."""
    parts, others = dict(theirs.named_modules()), dict(ours.named_modules())
    for name in [*parts, *others]:
        here = name or "the whole"
        if type(parts.get(name)) is not type(others.get(name)):
            return f"{here} is a {type(parts.get(name)).__name__}, not a {type(others.get(name)).__name__}"
        left, right = _constants(parts[name]), _constants(others[name])
        for key in sorted(left.keys() | right.keys()):
            if left.get(key) != right.get(key):
                return f"{key} of {here} is {left.get(key)!r}, not {right.get(key)!r}"
    return ""


def _constants(module: nn.Module) -> dict[str, Any]:
    kinds = (bool, int, float, str, tuple, type(None))
    constants = {name: value for name, value in vars(module).items() if isinstance(value, kinds) and name[0] != "_"}
    held = {**module._parameters, **module._buffers}
    return constants | {name: tuple(tensor.shape) for name, tensor in held.items() if tensor is not None}


def _labels(folder: Folder) -> tuple[str, ...]:
    """Descriptions where there are some, else names, else ImageNet's for its numbers of classes, else numbers."""
    numbered = [f"label {number}" for number in range(folder.classes)]
    named: Any = folder.pretrained.label_names
    if not named or not folder.classes:
        return imagenet_labels(folder.classes) or tuple(numbered)
    if isinstance(named, dict):
        named = [named.get(str(number), label) for number, label in enumerate(numbered)]
    if not isinstance(named, list) or len(named) != folder.classes:
        raise CorruptFile(f"config.json: label_names: expected {folder.classes} names")
    described = _object(folder.pretrained.label_descriptions or {}, "config.json: label_descriptions")
    return distinct_labels([str(described.get(str(name), name)) for name in named])


def _preprocessor(folder: Folder) -> ImagePreprocessor:
    theirs = folder.pretrained
    if theirs.crop_mode not in ("center", "squash"):
        raise UsageError(
            f"config.json: crop_mode is {theirs.crop_mode!r}; zoo-vision crops the centre or squashes",
            hint='if that is fine, write "center" there; images that are not square then give other results',
        )
    settings = {name: getattr(theirs, name) for name in ("mean", "std", "crop_pct", "crop_mode", "interpolation")}
    return reader_of({"img_size": folder.side, "in_chans": folder.channels, **settings}, "config.json")


def _pretrained(architecture: str, foreign: ForeignCheckpoint) -> dict[str, Any]:
    """What timm keeps with weights: the images they expect, and what its own loader has to know."""
    known = get_pretrained_cfg(architecture) or PretrainedCfg()
    theirs = {name: getattr(known, name) for name in ("fixed_input_size", "first_conv", "classifier")}
    theirs |= {"custom_load": False, "num_classes": foreign.head.labels, "pool_size": None}
    if foreign.license:
        theirs["license"] = foreign.license.lower()
    if isinstance(reader := foreign.preprocessor, ImagePreprocessor):
        theirs["input_size"] = [reader.in_chans, reader.img_size, reader.img_size]
        theirs |= {"mean": list(reader.mean), "std": list(reader.std), "interpolation": reader.interpolation}
        theirs |= {"crop_pct": reader.crop_pct, "crop_mode": reader.crop_mode}
    return theirs
