"""Data sets that torchvision knows: it lists files and labels, or reads arrays; the decoding is ours, with its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo_core import DataError, UnknownName
from zoo_core.data import UNSPLIT, Listed, Parts, SplitData, expanded
from zoo_vision.configs.data import TorchvisionSet
from zoo_vision.datasets.folders import listed
from zoo_vision.datasets.readers import LabelledImageFiles
from zoo_vision.datasets.samples import LabelledImage, of_arrays


class _Listed(NamedTuple):
    """What a torchvision data set says it has."""

    images: Any
    labels: Sequence[int]


class _Known(NamedTuple):
    """How one is opened: our split to torchvision's arguments, and where it keeps images and labels."""

    splits: Mapping[str, Mapping[str, Any]]
    listed: Callable[[Any], _Listed]


def _arrays(data: Any) -> _Listed:
    return _Listed(data.data.numpy(), data.targets.tolist())


def _files(data: Any) -> _Listed:
    return _Listed(data._image_files, data._labels)


def _pets(data: Any) -> _Listed:
    return _Listed(data._images, data._labels)


def _walked(data: Any) -> _Listed:
    """Files in the order that the file system has them in, which is none."""
    pairs = sorted(zip(map(str, data._image_files), data._labels, strict=True))
    return _Listed([path for path, _ in pairs], [label for _, label in pairs])


def _folder(data: Any) -> _Listed:
    return _Listed([path for path, _ in data.samples], [label for _, label in data.samples])


def _pairs(data: Any) -> _Listed:
    return _Listed([path for path, _ in data._samples], [label for _, label in data._samples])


def _planes(data: Any) -> _Listed:
    return _Listed(np.ascontiguousarray(data.data.transpose(0, 2, 3, 1)), data.labels.tolist())


_FLAG = {"train": {"train": True}, "test": {"train": False}}
_TWO = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE = {"train": {"split": "train"}, "validation": {"split": "val"}, "test": {"split": "test"}}
_VALID = {**_THREE, "validation": {"split": "valid"}}

KNOWN: Mapping[str, _Known] = {
    "Country211": _Known(_VALID, _folder),
    "DTD": _Known(_THREE, _files),
    "EuroSAT": _Known({UNSPLIT: {}}, _folder),
    "FGVCAircraft": _Known(_THREE, _files),
    "FashionMNIST": _Known(_FLAG, _arrays),
    "Food101": _Known(_TWO, _files),
    "Imagenette": _Known({"train": {"split": "train"}, "test": {"split": "val"}}, _pairs),
    "KMNIST": _Known(_FLAG, _arrays),
    "MNIST": _Known(_FLAG, _arrays),
    "OxfordIIITPet": _Known({"train": {"split": "trainval"}, "test": {"split": "test"}}, _pets),
    "RenderedSST2": _Known(_THREE, _pairs),
    "STL10": _Known(_TWO, _planes),
    "SUN397": _Known({UNSPLIT: {}}, _walked),
}
"""Data sets of one class an image with names for the classes, whose classes in torchvision 0.26 unpickle nothing."""

REFUSED: Mapping[str, str] = {
    "CIFAR10": "its files are Python pickles, which could run code",
    "CIFAR100": "its files are Python pickles, which could run code",
    "ImageNet": "its list of classes is read with torch.load, which unpickles",
    "LSUN": "its index is a Python pickle, which could run code",
    "LSUNClass": "its index is a Python pickle, which could run code",
}
"""Data sets that can't be had, and why."""


def read_torchvision(config: TorchvisionSet) -> SplitData:
    """A torchvision data set as `LabelledImage`; a split that it lacks is made by hash.

    Raises `UnknownName` for one that isn't known to be safe, `DataError` for one that would unpickle or isn't there.
    """
    if config.set in REFUSED:
        hint = "unpack it to a folder for each class and read it as labelled-image"
        raise DataError(f"torchvision's {config.set} is not read: {REFUSED[config.set]}", hint=hint)
    if config.set not in KNOWN:
        raise UnknownName("torchvision data set", config.set, KNOWN)
    root = expanded(config.root)
    _refuse_old_cache(root, config.set)
    known = KNOWN[config.set]
    splits: Parts = {}
    classes: tuple[str, ...] = ()
    for split, arguments in known.splits.items():
        data = _opened(config, root, arguments)
        names = tuple(name if isinstance(name, str) else name[0] for name in getattr(data, "classes", ()))
        if not names or (classes and names != classes):
            raise DataError(f"{root}: the classes of {config.set} are missing or differ between its splits")
        classes = names
        splits[split] = _images(known.listed(data), classes, f"{config.set} {split}".strip())
    return LabelledImageFiles(config, f"torchvision {config.set}").split(splits, classes)


def _opened(config: TorchvisionSet, root: Path, arguments: Mapping[str, Any]) -> Any:
    from torchvision import datasets  # type: ignore[import-untyped]

    try:
        return getattr(datasets, config.set)(root=str(root), download=config.download, **arguments)
    except (OSError, RuntimeError, ValueError, TypeError, LookupError, AssertionError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        hint = "" if config.download else "is root the folder above the data set's own? download: true fetches it"
        raise DataError(f"{root}: torchvision can't read {config.set}: {said}", hint=hint) from None


def _refuse_old_cache(root: Path, name: str) -> None:
    """torchvision would prefer files of torch.save, left by its old versions, to the raw ones."""
    cached = sorted((root / name / "processed").glob("*.pt"))
    if cached:
        hint = "remove the folder `processed`; the raw files are enough"
        raise DataError(f"{cached[0]}: left by an old torchvision, which would unpickle it", hint=hint)


def _images(found: _Listed, classes: Sequence[str], where: str) -> list[Listed]:
    labels = [classes[number] for number in found.labels]
    if isinstance(found.images, np.ndarray):
        return [listed(image) for image in of_arrays(found.images, labels, where)]
    return [listed(LabelledImage(Path(path), label)) for path, label in zip(found.images, labels, strict=True)]
