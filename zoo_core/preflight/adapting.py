"""A run that trains a small difference to a checkpoint: what of the model is trained, and what is stored in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from zoo_core.config.recipe import Component
from zoo_core.contract.schema import to_data
from zoo_core.contract.specs import ModelSpec
from zoo_core.errors import UsageError, ZooError
from zoo_core.models import deltas
from zoo_core.models.adapters import Adapter
from zoo_core.models.build import Adaptation, weights
from zoo_core.plugins.host import PluginHost
from zoo_core.preflight.contracts import broken, calling
from zoo_core.registry.card import Card
from zoo_core.registry.checkpoint import Checkpoint
from zoo_core.registry.records import AdapterRecord
from zoo_core.registry.registry import Registry
from zoo_core.storage.tensors import widened

if TYPE_CHECKING:
    from zoo_core.preflight.setup import InitCheckpoint


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """How a model differs from the checkpoint that it is a delta on."""

    adapter: Adapter
    record: AdapterRecord
    base: str
    """`name@sha256:...` of the checkpoint."""
    trained: frozenset[str]
    """Names of the tensors that a step may change."""

    def own(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """The parameters that the adapter added to the model and that are trained."""
        added, named = self.adapter.delta(model).keys(), model.named_parameters()
        return {name: parameter for name, parameter in named if name in added and parameter.requires_grad}

    def stored(self, model: nn.Module, own: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The delta of a model whose own tensors are given; `base` has those of the checkpoint under its own names."""
        laid_out = deltas.laid_out(base, self.record.renamed, self.record.dropped)
        return {**deltas.difference(laid_out, own), **self.adapter.delta(model)}


def demand_base(checkpoint: Checkpoint, registry: Registry) -> None:
    """Raise `UsageError` for a checkpoint in a folder that the registry doesn't have: no delta could be loaded on it."""
    try:
        registry.lookup(checkpoint.reference)
    except ZooError as unknown:
        hint = f"register it first: zoo import FOLDER --name {checkpoint.card.name}"
        raise UsageError(f"adapter: its base {checkpoint.card.full_name} is not registered", hint=hint) from unknown


def adapt(
    component: Component | None,
    host: PluginHost,
    model: nn.Module,
    adaptation: Adaptation,
    start: InitCheckpoint,
    spec: ModelSpec,
) -> Adapted | None:
    """Wrap a model that was filled with a checkpoint's tensors; None for a recipe without an adapter."""
    if component is None:
        return None
    own = weights(model)
    head = frozenset(name for name in own if spec.head and name.startswith(spec.head))
    new = frozenset((*adaptation.initialised, *(name for name in adaptation.resized if name in head)))
    provided = component.provided
    with calling(provided.id, "the adapter"):
        adapter: Adapter = host.resolve(provided.spec.target, provided)(component.config)
        trained = adapter.wrap(model, head) | new
    renamed = deltas.renaming(start.tensors, own.keys(), spec.backbone)
    dropped = deltas.laid_out(start.tensors, renamed, ()).keys() - own.keys()
    record = AdapterRecord(
        name=provided.id, settings=to_data(component.config), renamed=renamed, dropped=tuple(sorted(dropped))
    )
    adapted = Adapted(adapter=adapter, record=record, base=start.reference, trained=trained)
    _check(provided.id, adapted, model, own, start.tensors)
    return adapted


def _check(
    component: str, adapted: Adapted, model: nn.Module, own: Mapping[str, Tensor], base: Mapping[str, Tensor]
) -> None:
    """What the adapter makes of a delta are the model's own tensors. Raises `PluginError`."""
    found = weights(model)
    if lost := sorted(own.keys() - found.keys()):
        raise broken(component, "Adapter.wrap", "the model's tensors under their own names", f"no {lost[0]}")
    laid_out = deltas.laid_out(base, adapted.record.renamed, adapted.record.dropped)
    delta = adapted.stored(model, {name: found[name] for name in own}, base)
    with calling(component, "Adapter.merge"):
        merged = adapted.adapter.merge(laid_out, delta)
    shapes = {name: tuple(tensor.shape) for name, tensor in merged.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
    if shapes != wanted:
        name = min(name for name in {*shapes, *wanted} if shapes.get(name) != wanted.get(name))
        raise broken(
            component,
            "Adapter.merge",
            f"{name} of shape {wanted.get(name, 'nothing')}",
            f"{shapes.get(name, 'nothing')}",
        )


def as_delta(
    adapted: Adapted, card: Card, model: nn.Module, own: Mapping[str, Tensor], registry: Registry
) -> tuple[Card, dict[str, Tensor]]:
    """The card and the tensors of what is stored of a trained model."""
    base = Checkpoint.of(registry.lookup(adapted.base), registry)
    stored = {name: t.cpu() for name, t in adapted.stored(model, own, widened(base.tensors())).items()}
    amount = sum(tensor.numel() for tensor in stored.values())
    return card.with_base(adapted.base, adapted.record, amount), stored
