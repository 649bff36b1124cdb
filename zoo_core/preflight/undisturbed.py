"""Lets something try a task out and leaves no trace: weights, gradients, modes, attributes and random states are put back."""

from __future__ import annotations

import random
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core.preflight.contracts import broken
from zoo_core.preflight.undeclared import changed, look, slots_of, walk

Back = Callable[[], object]
"""Puts one object back into the state that it was in."""


@contextmanager
def undisturbed(component: str, roots: Mapping[str, Any], device: torch.device) -> Iterator[None]:
    """Whatever the body does to what the roots hold, and to the generators of torch, numpy and Python, is undone.

    Takes a copy of the tensors for its time, which is less than what gradients and an optimizer take afterwards. Raises
    `PluginError` for `component` where something changed that can't be put back, like an iterator that went on.
    """
    weights = [t for _, value in walk(roots) if isinstance(value, nn.Module) for t in _own_tensors(value)]
    before = look(roots, weights)
    backs = [back for _, value in walk(roots) if (back := _back(value))]
    python, numpy = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        with torch.no_grad():
            for back in backs:
                back()
    lost, _ = changed(before, look(roots, weights))
    if lost:
        raise broken(
            component,
            "Task.step, Task.evaluate or Task.predict",
            "only state that can be put back after the check before step 1",
            f"{', '.join(lost[:5])}, which can't be",
        )


def _own_tensors(module: nn.Module) -> list[Tensor]:
    return [t for slots in (module._parameters, module._buffers) for t in slots.values() if t is not None]


def _back(value: Any) -> Back | None:
    """How an object is put back; None for one that can't change, or isn't known."""
    if isinstance(value, Tensor):
        return _of_tensor(value)
    if isinstance(value, np.ndarray):
        return _of_array(value)
    if isinstance(value, torch.Generator | np.random.Generator | np.random.RandomState | random.Random):
        return _of_generator(value)
    if isinstance(value, dict | list | set | deque):
        return _of_collection(value)
    if isinstance(value, types.FunctionType):
        return _of_function(value)
    return _of_object(value)


def _of_tensor(tensor: Tensor) -> Back | None:
    if tensor.device.type == "meta" or tensor.layout != torch.strided or tensor.is_inference():
        return None
    copy, requires_grad, grad = tensor.detach().clone(), tensor.requires_grad, tensor.grad if tensor.is_leaf else None

    def back() -> None:
        if not torch.equal(tensor, copy):
            tensor.detach().copy_(copy)
        if tensor.is_leaf:
            tensor.requires_grad_(requires_grad)
            tensor.grad = grad

    return back


def _of_array(array: np.ndarray[Any, Any]) -> Back | None:
    if array.dtype.hasobject or not array.flags.writeable or isinstance(array, np.memmap):
        return None
    copy = array.copy()
    return lambda: np.copyto(array, copy)


def _of_generator(value: torch.Generator | np.random.Generator | np.random.RandomState | random.Random) -> Back | None:
    if isinstance(value, torch.Generator):
        return partial(value.set_state, value.get_state())
    if isinstance(value, np.random.RandomState):
        return partial(value.set_state, value.get_state())
    if isinstance(value, np.random.Generator):
        return partial(setattr, value.bit_generator, "state", value.bit_generator.state)
    return None if isinstance(value, random.SystemRandom) else partial(value.setstate, value.getstate())


def _of_collection(value: Any) -> Back:
    before = dict(value) if isinstance(value, dict) else list(value)
    kept = _identities(value)

    def back() -> None:
        if _identities(value) != kept:
            value.clear()
            value.extend(before) if isinstance(value, list | deque) else value.update(before)

    return back


def _identities(value: Any) -> list[tuple[int, int]]:
    return (
        [(id(key), id(part)) for key, part in value.items()] if isinstance(value, dict) else [(0, id(p)) for p in value]
    )


def _of_function(function: types.FunctionType) -> Back:
    filled = [(cell, cell.cell_contents) for cell in function.__closure__ or () if _is_filled(cell)]
    attributes = _of_collection(vars(function))

    def back() -> None:
        attributes()
        for cell, contents in filled:
            cell.cell_contents = contents

    return back


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not None or True
    except ValueError:
        return False


def _of_object(value: Any) -> Back:
    """Attributes; of a module its parameters, buffers and children as well."""
    held = [slots for slots in (getattr(value, "__dict__", None),) if isinstance(slots, dict)]
    if isinstance(value, nn.Module):
        held += [value._parameters, value._buffers, value._modules]
    backs = [_of_collection(slots) for slots in held]
    slotted = dict(slots_of(value))

    def back() -> None:
        for one in backs:
            one()
        for name, part in slotted.items():
            if getattr(value, name, None) is not part:
                object.__setattr__(value, name, part)

    return back
