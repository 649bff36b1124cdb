"""State that changes while a run trains and is in no checkpoint: found by looking twice, before it can be lost."""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import operator
import random
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo_core.config.loading import CheckpointOpener
from zoo_core.contract.data import Data, Dataset
from zoo_core.contract.preprocessor import Preprocessor
from zoo_core.plugins.host import PluginHost

MOST = 200_000
"""Objects that one look visits; what lies beyond isn't judged."""

_PASSED = (
    str,
    bytes,
    bytearray,
    type(None),
    type,
    types.ModuleType,
    torch.dtype,
    torch.device,
    Data,
    Dataset,
    Preprocessor,
    PluginHost,
    CheckpointOpener,
)
_WHOLE = (
    Tensor,
    np.ndarray,
    np.generic,
    torch.Generator,
    np.random.Generator,
    np.random.RandomState,
    random.Random,
)
"""Types whose objects are looked at as a whole."""
_OF_A_TASK = ("config", "preprocessor")
_OF_AN_OPTIMIZER = ("state", "param_groups", "defaults", "grad_scale", "found_inf")

Look = dict[str, tuple[str, Any]]
"""By place: `tensor`, `array`, `generator`, `iterator` or `number`, and what stands for its content."""


def walk(roots: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every object that the roots hold, once, through attributes, collections, closures and bound methods, with its place."""
    # Held until the end, so that no number of an object is given to another.
    seen: dict[int, Any] = {}
    waiting = list(roots.items())
    while waiting and len(seen) < MOST:
        place, value = waiting.pop()
        if isinstance(value, bool | int | float | complex):
            yield place, value
            continue
        if id(value) in seen or isinstance(value, _PASSED):
            continue
        seen[id(value)] = value
        # Before it is handed out: whoever gets it may change it.
        waiting += [(f"{place}{name}", part) for name, part in _parts(value)]
        yield place, value


def look(roots: Mapping[str, Any], saved: Iterable[Tensor]) -> Look:
    """What the roots hold, less the tensors that are saved.

    Contents are compared and not versions or identities, since `teacher.data.mul_()` changes neither.
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in saved if tensor.device.type != "meta"} - {0}
    found: Look = {}
    for place, value in walk(roots):
        if isinstance(value, bool | int | float | complex):
            found[place] = ("number", value)
        elif isinstance(value, Tensor):
            if value.device.type != "meta" and value.untyped_storage().data_ptr() not in known:
                found[place] = ("tensor", _of_tensor(value.detach()))
        elif (content := _content(value)) is not None:
            found[place] = content
    return found


def changed(before: Look, after: Look) -> tuple[list[str], list[str]]:
    """Places of tensors, arrays, generators and iterators that differ, and of plain numbers that do; what is new isn't judged."""
    places = [place for place in before if place in after and not _same(before[place], after[place])]
    numbers = [place for place in places if before[place][0] == after[place][0] == "number"]
    return [place for place in places if place not in numbers], numbers


def _same(one: tuple[str, Any], other: tuple[str, Any]) -> bool:
    return one == other or (one[1] != one[1] and other[1] != other[1])  # NaN is NaN


def _content(value: Any) -> tuple[str, Any] | None:
    """Kind and content of an object that is looked at as a whole."""
    if isinstance(value, np.ndarray):
        return None if value.dtype.hasobject else ("array", _digest(np.ascontiguousarray(value).view(np.uint8).data))
    if isinstance(value, np.generic):
        return "number", value.item()
    if isinstance(value, torch.Generator):
        return "generator", _of_tensor(value.get_state())
    if isinstance(value, np.random.Generator):
        return "generator", repr(value.bit_generator.state)
    if isinstance(value, random.SystemRandom):
        return None  # it has no state
    if isinstance(value, np.random.RandomState | random.Random):
        state = value.get_state() if isinstance(value, np.random.RandomState) else value.getstate()
        return "generator", repr(state)
    if isinstance(value, itertools.count):
        return "iterator", repr(value)
    if isinstance(value, Iterator) and type(value).__module__ == "builtins" and hasattr(value, "__length_hint__"):
        return "iterator", str(operator.length_hint(value))
    if isinstance(value, types.GeneratorType):
        return "iterator", _of_frame(value)
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object holds, with how one writes it behind the object's own place."""
    if isinstance(value, _WHOLE):
        return
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in list(value.items())[:MOST] if not isinstance(key, Tensor))
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from ((f"[{number}]", part) for number, part in enumerate(list(value)[:MOST]))
    elif isinstance(value, functools.partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    elif isinstance(value, types.MethodType):
        yield from (("", value.__self__), ("", value.__func__))
    elif isinstance(value, types.FunctionType):
        yield from _closed_over(value)
        yield from ((".__defaults__", value.__defaults__), (".__kwdefaults__", value.__kwdefaults__))
    elif isinstance(value, nn.Module):
        yield from _of_module(value)
    else:
        yield from _attributes(value)


def _closed_over(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f".{name}", cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _of_module(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for kind in ("_parameters", "_buffers", "_modules"):
        yield from ((f".{name}", part) for name, part in getattr(module, kind).items())
    hidden = {name for name in vars(module) if name.startswith("_") and "hook" in name}
    skipped = hidden | {"_parameters", "_buffers", "_modules", "training", "config"}
    yield from ((f".{name}", part) for name, part in vars(module).items() if name not in skipped)


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    skipped = _OF_AN_OPTIMIZER if isinstance(value, Optimizer) else _OF_A_TASK
    if isinstance(value, Optimizer):
        skipped = (*skipped, *(name for name in vars(value) if "hook" in name), *_switches(value))
    for name, part in getattr(value, "__dict__", {}).items():
        if name not in skipped:
            yield f".{name}", part
    yield from ((f".{name}", part) for name, part in slots_of(value))


def slots_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values of what an object holds in slots."""
    for cls in type(value).__mro__:
        slots = getattr(cls, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            part = getattr(value, name, None) if name not in ("__dict__", "__weakref__") else None
            if part is not None:
                yield name, part


def _switches(optimizer: Optimizer) -> list[str]:
    """Private numbers that torch's own code keeps in its optimizers, as whether a check was made already: torch's
    `state_dict` leaves them out, too. Those of a subclass are its own."""
    torchs = _private_names(type(optimizer))
    return [name for name, part in vars(optimizer).items() if name in torchs and isinstance(part, bool | int | float)]


def _private_names(cls: type[Optimizer]) -> frozenset[str]:
    """What the functions of an optimizer's classes name, as far as torch brings them, and begins with an underscore."""
    own = [one for one in cls.__mro__ if one.__module__.startswith("torch.optim.")]
    functions = [inspect.unwrap(f) for one in own for f in vars(one).values() if isinstance(f, types.FunctionType)]
    return frozenset(name for f in functions for name in f.__code__.co_names if name.startswith("_"))


def _of_frame(generator: types.GeneratorType[Any, Any, Any]) -> str:
    """Where a generator stands: its last instruction and its numbers."""
    frame = generator.gi_frame
    if frame is None:
        return "ended"
    numbers = {name: value for name, value in frame.f_locals.items() if isinstance(value, bool | int | float)}
    return f"{frame.f_lasti} {sorted(numbers.items())}"


def _of_tensor(tensor: Tensor) -> str:
    if tensor.layout != torch.strided or tensor.is_quantized:
        return f"{tensor.layout}"
    host = tensor.cpu().contiguous()
    kind = f"{tensor.dtype}{tuple(tensor.shape)}"
    return kind + _digest(host.view(-1).view(torch.uint8).numpy().data if host.numel() else b"")


def _digest(data: Any) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
