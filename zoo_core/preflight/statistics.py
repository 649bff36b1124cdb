"""Running statistics for weights that the steps didn't train with: measured again, on training batches, before they are judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from zoo_core.config.settings import Training
from zoo_core.contract.task import At, move, output_of
from zoo_core.models.freezing import train_mode
from zoo_core.preflight.setup import RunComponents
from zoo_core.training.hardware import Hardware
from zoo_core.training.order import Cursor, training_batches
from zoo_core.training.randomness import key, reseed

STEPS = 16
"""Global batches that statistics are measured on: the first of epoch 0, so that the same weights get the same ones."""

_MEASURING = -2
"""Word that keys what is drawn meanwhile apart from every step's."""


class Statistics:
    """The batch normalisation of a model whose weights are averages.

    An average of statistics isn't the statistics of the average: they are measured, as in stochastic weight averaging
    (Izmailov et al., 2018, arXiv:1803.05407, section 3.2).
    """

    def __init__(self, prepared: RunComponents, hardware: Hardware, training: Training) -> None:
        self.prepared, self.hardware, self.training = prepared, hardware, training
        self.task = prepared.task
        self.norms: list[_BatchNorm] = [
            part
            for name, part in self.task.model.named_modules()
            if isinstance(part, _BatchNorm)
            and part.running_mean is not None
            and f"{name}.running_mean".lstrip(".") not in prepared.frozen
        ]

    @contextmanager
    def measured(self) -> Iterator[None]:
        """The model with the statistics of its present weights; afterwards everything is as it was, to the bit."""
        if not self.norms:
            yield
            return
        state = self._state()
        before = [tensor.clone() for tensor in state]
        try:
            self._measure()
            found = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in self.norms]  # type: ignore[union-attr]
            reached = [bool(norm.num_batches_tracked) for norm in self.norms]
            _put(state, before)
            for norm, statistics, seen in zip(self.norms, found, reached, strict=True):
                if seen:
                    _put([norm.running_mean, norm.running_var], statistics)  # type: ignore[list-item]
            yield
        finally:
            _put(state, before)

    def _state(self) -> list[Tensor]:
        """What a step may change besides gradients: buffers, and the modules that no phase trains, like a teacher."""
        modules = self.task.modules()
        trained = {name for phase in self.task.phases for name in phase.trains}
        tensors = [*self.task.model.buffers(), *(b for module in modules.values() for b in module.buffers())]
        tensors += [p for name, module in modules.items() if name not in trained for p in module.parameters()]
        return list({id(tensor): tensor.detach() for tensor in tensors}.values())

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """Leave out a batch whose statistics are not finite, as its step was left out."""
        own = [tensor for norm in self.norms for tensor in norm.buffers()]
        before = [tensor.clone() for tensor in own]
        yield
        if not torch.stack([tensor.isfinite().all() for tensor in own]).all():
            _put(own, before)

    def _measure(self) -> None:
        modules, prepared, hardware = self.task.modules(), self.prepared, self.hardware
        modes = [(part, part.training) for module in modules.values() for part in module.modules()]
        momenta = [norm.momentum for norm in self.norms]
        train_mode(self.task, prepared.frozen)
        for norm in self.norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        batches = training_batches(
            prepared.train, prepared.plan, Cursor(0, 0), rank=hardware.rank, ranks=hardware.ranks, workers=0, pin=False,
            timeout=self.training.timeout,
        )  # fmt: skip
        try:
            for number, done in enumerate(islice(batches, STEPS)):
                for micro, batch in enumerate(done.micro_batches):
                    at = At(number, prepared.steps, done.epoch, micro)
                    for place, phase in enumerate(self.task.phases):
                        reseed(
                            key(self.training.seed, _MEASURING, number, micro, place, hardware.rank), hardware.device
                        )
                        # With gradients, for a phase may take some of its own; nothing is propagated to a parameter.
                        with hardware.autocast(), self._sound():
                            output_of(self.task, phase, modules, move(batch, hardware.device), at)
        finally:
            for norm, momentum in zip(self.norms, momenta, strict=True):
                norm.momentum = momentum
            for part, training in modes:
                part.training = training
        hardware.broadcast_tensors(tensor for norm in self.norms for tensor in norm.buffers())


def _put(targets: list[Tensor], sources: list[Tensor] | tuple[Tensor, ...]) -> None:
    with torch.no_grad():
        for target, source in zip(targets, sources, strict=True):
            target.copy_(source)
