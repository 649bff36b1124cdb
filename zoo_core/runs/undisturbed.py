"""Lets something try a model out and leaves no trace: weights, buffers, gradients, modes and random states are put back."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def undisturbed(modules: Iterable[nn.Module], device: torch.device) -> Iterator[None]:
    """Whatever the body does to the modules and to the generators of torch, numpy and Python is undone.

    Takes a copy of the modules' tensors for its time, which is less than what gradients and an optimizer take afterwards.
    """
    parts = list({id(part): part for module in modules for part in module.modules()}.values())
    modes = [(part, part.training) for part in parts]
    held = [(slots, dict(slots)) for part in parts for slots in (part._parameters, part._buffers)]
    tensors = {id(t): t for _, slots in held for t in slots.values() if isinstance(t, Tensor)}
    copies = [(tensor, tensor.detach().clone(), tensor.requires_grad, tensor.grad) for tensor in tensors.values()]
    python, numpy = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for slots, before in held:
            slots.clear()
            slots.update(before)  # type: ignore[arg-type]
        with torch.no_grad():
            for tensor, copy, requires_grad, grad in copies:
                tensor.detach().copy_(copy)
                if tensor.is_leaf:
                    tensor.requires_grad_(requires_grad)
                tensor.grad = grad
        for part, training in modes:
            part.training = training
