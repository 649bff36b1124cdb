"""What is frozen stays as it is to the byte, running statistics included."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo_core import Phase
from zoo_core.errors import RecipeError
from zoo_core.models.freezing import freeze, train_mode


class Normed(nn.Module):
    """A backbone with running statistics, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        self.plain = nn.BatchNorm1d(4, affine=False)
        self.head = nn.Linear(4, 2)

    def forward(self, points: Tensor) -> Tensor:
        return self.head(self.plain(self.block(points)))  # type: ignore[no-any-return]


def state(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def trained(model: nn.Module) -> Any:
    """What of a task says which modules are trained."""
    return SimpleNamespace(model=model, modules=lambda: {"model": model}, phases=(Phase(name="train"),))


def trained_on(model: nn.Module, frozen: frozenset[str]) -> None:
    train_mode(trained(model), frozen)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        model(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()


def test_patterns_freeze_parameters_and_one_without_a_match_is_refused() -> None:
    model = Normed()
    assert freeze(model, ("block.0.*", "head.weight")) == {"block.0.weight", "block.0.bias", "head.weight"}
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == [
        "block.0.weight",
        "block.0.bias",
        "head.weight",
    ]
    with pytest.raises(RecipeError, match="matches no parameter"):
        freeze(model, ("encoder.*",))


def test_a_frozen_backbone_is_the_same_to_the_byte_after_training_with_its_running_statistics() -> None:
    torch.manual_seed(0)
    model = Normed()
    model(torch.randn(8, 4))
    before = state(model)
    trained_on(model, freeze(model, ("backbone",), ("head.",)))
    changed = {name for name, data in state(model).items() if data != before[name]}
    assert changed == {"head.weight", "head.bias"}


def test_statistics_that_are_not_frozen_are_still_learned() -> None:
    torch.manual_seed(0)
    model = Normed()
    before = state(model)
    trained_on(model, freeze(model, ("block.*",)))
    changed = {name for name, data in state(model).items() if data != before[name]}
    assert {"plain.running_mean", "plain.running_var", "plain.num_batches_tracked", "head.weight"} <= changed
    assert not any(name.startswith("block.") for name in changed)


class Whole(nn.Module):
    """A frozen encoder and a trained decoder, with a buffer of positions beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positions", torch.arange(4.0))
        self.encoder = Normed()
        self.decoder = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))


def test_a_buffer_beside_trained_parts_puts_none_of_them_in_evaluation_mode() -> None:
    model = Whole()
    train_mode(trained(model), freeze(model, ("backbone",), ("decoder.",)))
    assert model.training and all(part.training for part in model.decoder.modules())
    assert not model.encoder.block[1].training and not model.encoder.plain.training
    assert model.encoder.training and model.encoder.head.training


def test_a_module_with_statistics_of_its_own_leaves_the_mode_of_the_parts_below_it_alone() -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    model.register_buffer("statistics", torch.zeros(2))
    model.register_parameter("scale", nn.Parameter(torch.ones(2)))
    train_mode(trained(model), freeze(model, ("scale", "*")))
    assert not model.training and model[0].training


def test_the_word_backbone_needs_a_family_that_says_what_its_head_is() -> None:
    with pytest.raises(RecipeError, match="doesn't say what its head is"):
        freeze(Normed(), ("backbone",))
