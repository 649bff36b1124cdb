"""State of any shape as JSON and numbered tensors, and back: what an optimizer keeps, whole, or refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_core.errors import CorruptFile, TrainingError

Place = Callable[[Tensor, bool], Tensor]
"""`(saved tensor, whether it was on the host) -> the tensor where it belongs`."""


class Unpackable(TrainingError):
    """State that a checkpoint can't hold."""


def pack(value: Any, where: str) -> tuple[Any, list[Tensor]]:
    """The value as JSON, with tensors taken out in a fixed order. Raises `Unpackable`, which names the place.

    Keys are visited in sorted order, since loading a state may reorder them: the same state then has the same bytes.
    """
    tensors: list[Tensor] = []
    return _pack(value, where, tensors), tensors


def unpack(tree: Any, tensors: Sequence[Tensor], place: Place) -> Any:
    """What `pack` took apart. Raises `CorruptFile` for what it didn't write."""
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, list):
        return [unpack(item, tensors, place) for item in tree]
    try:
        [(kind, body)] = tree.items()
        return _UNPACKERS[kind](body, tensors, place)
    except (AttributeError, KeyError, ValueError, IndexError, TypeError) as error:
        raise CorruptFile(f"an optimizer's state isn't one that this zoo wrote: {error}") from None


def _pack(value: Any, where: str, tensors: list[Tensor]) -> Any:
    if value is None or isinstance(value, bool | str) or type(value) is int:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.is_quantized:
            raise _refusal(where, f"a tensor of the layout {value.layout}")
        return {"tensor" if value.device.type == "cpu" else "device": _number(value, tensors)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {"array": _number(torch.from_numpy(np.ascontiguousarray(value)), tensors)}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, list):
        return [_pack(item, f"{where}[{number}]", tensors) for number, item in enumerate(value)]
    if type(value) is tuple:
        return {"tuple": [_pack(item, f"{where}[{number}]", tensors) for number, item in enumerate(value)]}
    if isinstance(value, Mapping) and all(isinstance(key, str) or type(key) is int for key in value):
        keys = sorted(value, key=lambda key: (isinstance(key, str), key))
        return {"dict": [[key, _pack(value[key], f"{where}[{key!r}]", tensors)] for key in keys]}
    raise _refusal(where, f"a {type(value).__qualname__}")


def _refusal(where: str, found: str) -> Unpackable:
    return Unpackable(
        f"{where} is {found}, which a training checkpoint can't hold",
        hint="it holds tensors, arrays, their types, numbers, words, lists, tuples and dicts of them; choose another optimizer",
    )


def _number(tensor: Tensor, tensors: list[Tensor]) -> int:
    tensors.append(tensor.detach())
    return len(tensors) - 1


def _dict(body: Any, tensors: Sequence[Tensor], place: Place) -> dict[Any, Any]:
    return {key: unpack(item, tensors, place) for key, item in body}


_DTYPES: Mapping[str, torch.dtype] = {
    name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)
}

_UNPACKERS: Mapping[str, Callable[[Any, Sequence[Tensor], Place], Any]] = {
    "float": lambda body, tensors, place: float(body),
    "tensor": lambda body, tensors, place: place(tensors[body], True),
    "device": lambda body, tensors, place: place(tensors[body], False),
    "array": lambda body, tensors, place: tensors[body].numpy().copy(),
    "tuple": lambda body, tensors, place: tuple(unpack(item, tensors, place) for item in body),
    "dtype": lambda body, tensors, place: _DTYPES[body],
    "dict": _dict,
}
