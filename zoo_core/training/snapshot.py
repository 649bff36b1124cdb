"""The tensors of a run that its checkpoints hold, and the way back into model, averaged weights and optimizers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from zoo_core import build
from zoo_core.training import optim
from zoo_core.training.ema import Ema
from zoo_core.training.optim import Update
from zoo_core.training.state import Facts


class Snapshot:
    """What is saved of a run, part by part."""

    def __init__(self, model: nn.Module, ema: Ema | None, updates: Mapping[str, Update]) -> None:
        self.model, self.ema, self.updates = model, ema, updates

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by a name that says which part it belongs to."""
        tensors = {f"model.{name}": tensor for name, tensor in build.weights(self.model).items()}
        if self.ema:
            tensors.update({f"ema.{name}": tensor for name, tensor in self.ema.tensors().items()})
        for word, update in self.updates.items():
            found = optim.optimizer_tensors(update.optimizer)
            tensors.update({f"optimizer.{word}.{name}": tensor for name, tensor in found.items()})
        return tensors

    def restore(self, facts: Facts, tensors: Mapping[str, Tensor]) -> None:
        """Put back what was saved."""
        self.restore_model(tensors)
        for word, update in self.updates.items():
            optim.restore_optimizer(update.optimizer, _below(tensors, f"optimizer.{word}."), facts.optimizers[word])

    def restore_model(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back the weights alone, live and averaged ones."""
        for name, own in build.weights(self.model).items():
            own.copy_(tensors[f"model.{name}"])
        if self.ema:
            self.ema.restore(_below(tensors, "ema."))


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
