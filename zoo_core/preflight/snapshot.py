"""The tensors of a run that its checkpoints hold, and the way back into modules, averaged weights and optimizers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from zoo_core.contract.task import Task, modules_outside
from zoo_core.models import build
from zoo_core.preflight.statistics import Statistics
from zoo_core.training import optim
from zoo_core.training.ema import Ema
from zoo_core.training.optim import Update
from zoo_core.training.packing import pack, unpack
from zoo_core.training.state import TrainerState


class Snapshot:
    """What is saved of a run, part by part."""

    def __init__(self, task: Task, ema: Ema | None, updates: Mapping[str, Update], statistics: Statistics) -> None:
        self.task, self.model, self.ema, self.updates, self.statistics = task, task.model, ema, updates, statistics
        self.beside = modules_outside(task)
        # A mask may hold infinities by design.
        self._exempt: frozenset[str] = frozenset()
        self._exempt = frozenset(self.unsound())

    def weights(self) -> dict[str, Tensor]:
        """Tensors of the model, of the averages, and of the modules beside it."""
        tensors = {f"model.{name}": tensor for name, tensor in build.weights(self.model).items()}
        if self.ema:
            tensors.update({f"ema.{name}": tensor for name, tensor in self.ema.tensors().items()})
        for word, module in self.beside.items():
            tensors.update({f"module.{word}.{name}": tensor for name, tensor in build.weights(module).items()})
        return tensors

    def take(self) -> tuple[dict[str, Tensor], dict[str, Any], Any]:
        """Every tensor by a name that says which part it belongs to, and the rest of the optimizers' state, by optimizer, and
        of the task's.

        Raises `Unpackable` for state that a checkpoint can't hold.
        """
        tensors, rest = self.weights(), {}
        for word, optimizer in optim.optimizers_by_word(self.updates).items():
            where = f"optimizer {word} ({type(optimizer).__qualname__}): state"
            rest[word], found = optim.pack_optimizer(optimizer, where)
            tensors.update({f"optimizer.{word}.{name}": tensor for name, tensor in found.items()})
        tree, own = pack(dict(self.task.state()), "Task.state()")
        tensors.update({f"task.{number}": tensor for number, tensor in enumerate(own)})
        return _apart(tensors), rest, tree

    def optimizer_tensors(self) -> list[Tensor]:
        """The tensors of the optimizers' state, as they are and not copied."""
        optimizers = optim.optimizers_by_word(self.updates).values()
        return [tensor for one in optimizers for tensor in optim.pack_optimizer(one, "state")[1].values()]

    def unsound(self) -> list[str]:
        """Names of the weights that hold values that are not finite and did not when the run was set up."""
        floats = {
            name: tensor
            for name, tensor in self.weights().items()
            if tensor.is_floating_point() and name not in self._exempt
        }
        if not floats:
            return []
        finite = torch.stack([tensor.isfinite().all() for tensor in floats.values()]).tolist()
        return [name for name, sound in zip(floats, finite, strict=True) if not sound]

    def restore(self, facts: TrainerState, tensors: Mapping[str, Tensor]) -> None:
        """Put back what was saved."""
        for name, own in build.weights(self.model).items():
            own.copy_(tensors[f"model.{name}"])
        for word, module in self.beside.items():
            for name, own in build.weights(module).items():
                # Format 1 left them out.
                own.copy_(tensors.get(f"module.{word}.{name}", own))
        mine = _below(tensors, "task.")
        kept = unpack(
            facts.task, [mine[str(number)] for number in range(len(mine))],
            lambda tensor, host: tensor.clone() if host else tensor.to(self.task.device),
        )  # fmt: skip
        if kept:
            self.task.load_state(kept)
        if self.ema:
            self.ema.restore(_below(tensors, "ema."))
        for word, optimizer in optim.optimizers_by_word(self.updates).items():
            mine = _below(tensors, f"optimizer.{word}.")
            if facts.format == 1:
                optim.restore_first_format(optimizer, mine, facts.optimizers[word])
            else:
                optim.restore_optimizer(optimizer, facts.optimizers[word], mine)

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """The weights that are evaluated and registered, an optimizer's own averages or the run's, and their statistics."""
        optimizers = list(optim.optimizers_by_word(self.updates).values())
        averaged = self.ema is not None or any(map(optim.has_modes, optimizers))
        with (
            optim.evaluation_mode(optimizers),
            self.ema.applied() if self.ema else nullcontext(),
            self.statistics.measured() if averaged else nullcontext(),
        ):
            yield


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, each with memory of its own, as a file needs them."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return apart


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
