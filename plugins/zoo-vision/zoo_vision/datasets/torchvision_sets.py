"""Data sets that torchvision knows: it lists files and labels, or reads arrays; the decoding is ours, with its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo_core import DataError, UnknownName
from zoo_core.data import UNSPLIT, Listed, Parts, SplitData, expanded
from zoo_vision.configs.data import TorchvisionSet
from zoo_vision.datasets.folders import listed
from zoo_vision.datasets.readers import LabelledImageFiles
from zoo_vision.datasets.samples import LabelledImage, of_arrays


class _Known(NamedTuple):
    """How one is opened, and where it keeps images and labels."""

    splits: Mapping[str, Mapping[str, Any]]
    """Our split to torchvision's arguments."""
    images: str
    """Attribute with arrays (N, H, W), planes (N, C, H, W), paths, or pairs of paths and labels."""
    labels: str = ""
    """Attribute with their labels, where there are no pairs."""
    ordered: bool = True
    """Whether files are in an order of their own, not in the file system's, which is none."""

    def listed(self, data: Any, classes: Sequence[str], where: str) -> list[Listed]:
        """The images of a split that was opened."""
        images = getattr(data, self.images)
        labels = [classes[label] for label in np.asarray(getattr(data, self.labels)).tolist()] if self.labels else []
        if isinstance(images, list):
            pairs = list(zip(images, labels, strict=True)) if labels else [(path, classes[n]) for path, n in images]
            pairs = pairs if self.ordered else sorted(pairs, key=lambda pair: str(pair[0]))
            return [listed(LabelledImage(Path(path), label)) for path, label in pairs]
        pixels = np.asarray(images)
        planes = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)) if pixels.ndim == 4 else pixels
        return [listed(image) for image in of_arrays(planes, labels, where)]


_FLAG = {"train": {"train": True}, "test": {"train": False}}
_TWO = {"train": {"split": "train"}, "test": {"split": "test"}}
_THREE = {"train": {"split": "train"}, "validation": {"split": "val"}, "test": {"split": "test"}}
_VALID = {**_THREE, "validation": {"split": "valid"}}

KNOWN: Mapping[str, _Known] = {
    "Country211": _Known(_VALID, "samples"),
    "DTD": _Known(_THREE, "_image_files", "_labels"),
    "EuroSAT": _Known({UNSPLIT: {}}, "samples"),
    "FGVCAircraft": _Known(_THREE, "_image_files", "_labels"),
    "FashionMNIST": _Known(_FLAG, "data", "targets"),
    "Food101": _Known(_TWO, "_image_files", "_labels"),
    "Imagenette": _Known({"train": {"split": "train"}, "test": {"split": "val"}}, "_samples"),
    "KMNIST": _Known(_FLAG, "data", "targets"),
    "MNIST": _Known(_FLAG, "data", "targets"),
    "OxfordIIITPet": _Known({"train": {"split": "trainval"}, "test": {"split": "test"}}, "_images", "_labels"),
    "RenderedSST2": _Known(_THREE, "_samples"),
    "STL10": _Known(_TWO, "data", "labels"),
    "SUN397": _Known({UNSPLIT: {}}, "_image_files", "_labels", ordered=False),
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
        splits[split] = known.listed(data, classes, f"{config.set} {split}".strip())
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
