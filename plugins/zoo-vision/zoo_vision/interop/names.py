"""What other libraries call things: timm its architectures, ImageNet its classes."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from zoo_core import CorruptFile
from zoo_core.contract import distinct_labels
from zoo_core.data import read_bytes

_REGISTERED = re.compile(r"^@register_model[ \t]*\n(?:@.*\n)*def[ \t]+(\w+)[ \t]*\(", re.MULTILINE)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_LARGEST_SOURCE = 4 << 20
"""Bytes of a source file; timm's largest has 250,000."""
LARGEST = 1_000_000
"""Of anything that a configuration counts."""


@lru_cache(maxsize=1)
def architectures() -> Mapping[str, Mapping[str, Any]]:
    """Every architecture that the installed timm builds and whose name can be one of ours, as overrides of `TimmConfig`.

    Read from timm's source files, which takes milliseconds; importing it, and torch, would take seconds. Empty where
    timm isn't installed.
    """
    found = importlib.util.find_spec("timm")
    if found is None or found.origin is None:
        return {}
    sources = sorted((Path(found.origin).parent / "models").rglob("*.py"))
    names = {name for path in sources for name in registered(read_bytes(path, limit=_LARGEST_SOURCE).decode())}
    return {name: {"architecture": name} for name in sorted(names) if _NAME.fullmatch(name)}


def registered(source: str) -> list[str]:
    """The functions of a Python source that `@register_model` stands above."""
    return _REGISTERED.findall(source.replace("\r\n", "\n"))


def imagenet_labels(classes: int) -> tuple[str, ...]:
    """ImageNet's words for its classes, for as many as one of its subsets has; none for any other number."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": classes})
    return distinct_labels(list(ImageNetInfo(subset).label_descriptions())) if subset else ()


def whole(value: Any, name: str, least: int) -> int:
    """A number of a configuration. Raises `CorruptFile`, naming the field, for anything but a whole one in range."""
    if type(value) is not int or not least <= value <= LARGEST:
        raise CorruptFile(f"config.json: {name}: expected a whole number from {least} to {LARGEST}, found {value!r}")
    return value
