"""Groups of parameters by pattern, and several optimizers in one update under one norm and one clip."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_toys.runs import MUON, recipe, toy_zoo

from zoo_core.api import train
from zoo_core.config.recipe import load_recipe
from zoo_core.contract.schema import parse_yaml
from zoo_core.errors import RecipeError, ZooError
from zoo_core.preflight.setup import RunComponents, prepare
from zoo_core.registry.zoo import Zoo
from zoo_core.training import optim, state
from zoo_core.training.hardware import Hardware
from zoo_core.training.optim import Update

ADAMW, SGD = {"match": "*.bias", "name": "adamw"}, {"match": "*", "name": "sgd"}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return toy_zoo(tmp_path_factory.mktemp("home"))


def grouped(*groups: dict[str, Any], shape: str = "single", **training: Any) -> dict[str, Any]:
    return {**recipe(shape, **training), "optimizer": {"groups": [dict(group) for group in groups]}}


def parts_of(made: dict[str, Any], zoo: Zoo) -> RunComponents:
    resolved = load_recipe(made, [], zoo.host)
    return prepare(resolved, zoo.host, Hardware(resolved.training), None, None)


def trained_by(update: Update) -> dict[str, tuple[str, float, float]]:
    """Optimizer, rate and weight decay of each parameter, by its name."""
    return {
        name: (type(optimizer).__name__, group["lr"], group["weight_decay"])
        for optimizer in update.optimizers
        for group in optimizer.param_groups
        for name in group["names"]
    }


def test_a_parameter_is_the_first_groups_whose_patterns_match(zoo: Zoo) -> None:
    """Names are those of checkpoints, with or without the module's word, whatever the case of their letters."""
    made = grouped(
        {"match": "*.Bias | HEAD.weight", "name": "adamw", "lr": 0.1},
        {"match": "model.body.*", "name": "sgd", "lr": 0.2, "weight_decay": 0.5},
    )
    assert trained_by(parts_of(made, zoo).updates["main"]) == {
        "model.body.blocks.0.bias": ("AdamW", 0.1, 0.0),
        "model.head.weight": ("AdamW", 0.1, 0.01),
        "model.head.bias": ("AdamW", 0.1, 0.0),
        "model.body.blocks.0.weight": ("SGD", 0.2, 0.5),
        "model.body.blocks.1.bias": ("AdamW", 0.1, 0.0),
        "model.body.blocks.1.weight": ("SGD", 0.2, 0.5),
    }


def test_groups_that_differ_in_rate_and_decay_alone_share_an_optimizer(zoo: Zoo) -> None:
    one = parts_of(grouped({"match": "head.*", "lr": 0.1}, {"match": "*", "lr": 0.2}), zoo).updates
    assert list(optim.optimizers_by_word(one)) == ["main"]
    assert {rate for _, rate, _ in trained_by(one["main"]).values()} == {0.1, 0.2}
    two = parts_of(grouped({"match": "head.*", "betas": [0.5, 0.9]}, {"match": "*"}), zoo).updates
    assert list(optim.optimizers_by_word(two)) == ["main.0", "main.1"]


def test_a_section_that_several_words_share_has_to_fit_all_of_them_together(zoo: Zoo) -> None:
    made = grouped({"match": "discriminator.*", "name": "sgd"}, {"match": "*"}, shape="adversarial")
    parts = parts_of(made, zoo)
    assert {word: type(update.optimizers[0]).__name__ for word, update in parts.updates.items()} == {
        word: "SGD" if word.startswith("discriminator") else "AdamW" for word in parts.updates
    }
    made["optimizer"], made["optimizers"] = {}, {"generator": {"groups": [{"match": "*.bias", "lr": 0.5}, SGD]}}
    assert len(parts_of(made, zoo).updates["generator"].optimizers) == 2


def test_layers_are_counted_over_all_groups(zoo: Zoo) -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])

    named = list(Deep().named_parameters())
    whole = optim.parameter_groups(named, lr=1.0, weight_decay=0.0, layers=r"block\.(\d+)\.", layer_decay=0.5)
    rates = {name: group["lr"] for group in whole for name in group["names"]}
    lower = {name for name, _ in named if ".2." not in name}
    part = optim.parameter_groups(
        named, lr=1.0, weight_decay=0.0, layers=r"block\.(\d+)\.", layer_decay=0.5, among=lower
    )
    assert {name: group["lr"] for group in part for name in group["names"]} == {name: rates[name] for name in lower}
    own = optim.LayerGroups({name: int(name.split(".")[1]) for name, _ in named}, frozenset({"block.0.weight"}))
    part = optim.parameter_groups(named, lr=1.0, weight_decay=0.5, layers=own, layer_decay=0.5, among=lower)
    found = {name: (group["lr"], group["weight_decay"]) for group in part for name in group["names"]}
    assert (found["block.0.weight"], found["block.1.weight"]) == ((0.25, 0.0), (0.5, 0.5))


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([], r"optimizer\.groups: expected a group, found none"),
        ([{"name": "sgd"}], r"optimizer\.groups\[0\]\.match: expected patterns .* found None"),
        ([{"match": "a||b"}], r"optimizer\.groups\[0\]\.match: expected patterns"),
        ([{"match": "*", "name": "adamv"}], r"'adamv'(.|\n)*adamw"),
        ([{"match": "*", "rate": 1}], r"optimizer\.groups\[0\]\.rate: unknown key"),
        ([ADAMW], r"optimizer\.groups: expected a group for every trained parameter, found none for body\.blocks"),
        (
            [{"match": "*.bais|*.weight"}, SGD],
            r"optimizer\.groups\[0\]: '\*\.bais' matches no parameter(.|\n)*head\.bias",
        ),
        ([SGD, ADAMW], r"optimizer\.groups\[1\]: all that '\*\.bias' matches is frozen, or in a group before"),
        (
            [{"match": "*.weight", "name": "sgd"}, {"match": "*", "name": "muon"}],
            r"groups\[1\]: zoo-core/muon trains tensors of 2 dimensions, found body\.blocks\.0\.bias of the shape \(\d+,\)",
        ),
    ],
)
def test_groups_that_do_not_fit_are_refused_before_the_first_step(
    groups: list[dict[str, Any]], words: str, zoo: Zoo
) -> None:
    with pytest.raises(ZooError) as failure:
        parts_of(grouped(*groups), zoo)
    assert re.search(words, f"{failure.value.message}\n{failure.value.hint}")


def test_a_matrix_optimizer_alone_names_the_tensor_it_cannot_train(zoo: Zoo) -> None:
    made = {**recipe("single"), "optimizer": {"name": "muon"}}
    with pytest.raises(RecipeError, match=r"optimizer: zoo-core/muon trains tensors of 2 .* body\.blocks\.0\.bias"):
        parts_of(made, zoo)


def test_a_recipe_with_groups_is_read_back_and_set_from_the_command_line(zoo: Zoo, tmp_path: Path) -> None:
    made = grouped(ADAMW, SGD)
    resolved = load_recipe(made, [], zoo.host)
    assert load_recipe(parse_yaml(resolved.to_yaml().encode(), where="").data, [], zoo.host) == resolved
    one = load_recipe(made, ["optimizer.groups.1.lr=0.5"], zoo.host)
    assert one.optimizers["main"][1].optimizer.config.lr == 0.5
    other = load_recipe(recipe("single"), ['optimizer.groups=[{match: "*", lr: 0.25}]'], zoo.host)
    assert [group.match for group in other.optimizers["main"]] == ["*"]
    pair = {**recipe("adversarial"), "optimizers": {"generator": {"lr": 0.5}}}
    other = load_recipe(pair, ['optimizers.generator.groups=[{match: "*", lr: 0.25}]'], zoo.host)
    assert [group.match for group in other.optimizers["generator"]] == ["*"] and not other.optimizers["main"][0].match
    with pytest.raises(RecipeError, match=r"optimizer\.groups\.0\.lr or optimizer\.groups\.1\.lr"):
        load_recipe(made, ["lr=0.5"], zoo.host)
    with pytest.raises(RecipeError, match=r"optimizer\.lr: unknown key"):
        load_recipe({**made, "optimizer": {**made["optimizer"], "lr": 1.0}}, [], zoo.host)
    file = tmp_path / "toy.yaml"
    file.write_text(load_recipe(grouped(ADAMW, SGD), [], zoo.host).to_yaml().replace('match: "*"', 'match: ""'))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if 'match: ""' in text)
    with pytest.raises(RecipeError, match=rf"toy\.yaml:{line}: optimizer\.groups\[1\]\.match"):
        load_recipe(str(file), [], zoo.host)


class Net(nn.Module):
    """A matrix for Muon, one for RMSprop, vectors for AdamW."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last = nn.Linear(5, 7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).tanh())  # type: ignore[no-any-return]

    def split(self) -> list[list[nn.Parameter]]:
        return [[self.first.weight], [self.last.weight], [self.first.bias, self.last.bias]]


def optimizers(net: Net) -> list[torch.optim.Optimizer]:
    muon, rmsprop, adamw = net.split()
    return [
        torch.optim.Muon(muon, lr=0.02),
        torch.optim.RMSprop(rmsprop, lr=1e-3, foreach=True),
        torch.optim.AdamW(adamw, lr=1e-3, fused=True),
    ]


def micro_batches(step: int) -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(step)
    bad = torch.nan if step == 4 else 1.0
    return [(torch.randn(6, 5, generator=draw) * bad, torch.randn(6, 3, generator=draw)) for _ in range(4)]


def test_several_optimizers_take_the_step_of_a_loop_written_by_hand() -> None:
    """Ten steps of four micro-batches, always clipped, one of them not finite: the same bits."""
    ours, theirs = Net(), Net()
    update = Update(*optimizers(ours), clip_norm=0.1)
    by_hand = optimizers(theirs)
    for step in range(10):
        for x, y in micro_batches(step):
            (ours(x) - y).square().sum().backward()
            (theirs(x) - y).square().sum().backward()
        found = update.step(torch.tensor(24.0))
        update.zero_grad()
        gradients = [p.grad for part in theirs.split() for p in part if p.grad is not None]
        norm = torch.stack([g.norm() for g in gradients]).norm() / 24
        assert torch.equal(found.norm, norm) or step == 4
        if norm.isfinite():
            for gradient in gradients:
                gradient.div_(24 * (norm / 0.1).clamp(min=1.0))
            for optimizer in by_hand:
                optimizer.step()
        for p in theirs.parameters():
            p.grad = None
        assert bool(found.finite) == (step != 4)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
    states = [optim.pack_optimizer(o, "")[1] for o in (update.optimizers[0], by_hand[0])]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_the_norm_is_of_all_parameters_and_an_optimizer_without_gradients_rests() -> None:
    one, two = nn.Parameter(torch.zeros(1, 1)), nn.Parameter(torch.zeros(1, 1))
    update = Update(torch.optim.SGD([one], lr=1.0, fused=True), torch.optim.RMSprop([two]), clip_norm=1.0)
    one.grad, two.grad = torch.full((1, 1), 3.0), torch.full((1, 1), 4.0)
    assert update.step(torch.tensor(1.0)).norm.item() == pytest.approx(5.0)
    assert one.item() == pytest.approx(-3 / 5)
    before = two.item()
    one.grad, two.grad = torch.ones(1, 1), None
    assert update.step(torch.tensor(1.0)).finite and two.item() == before


def test_training_checkpoints_number_the_optimizers_of_a_word(zoo: Zoo, tmp_path: Path) -> None:
    train(recipe("muon", steps=3), folder=tmp_path / "run", zoo=zoo)
    facts, tensors, _ = state.newest(tmp_path / "run" / "checkpoints")
    assert set(facts.optimizers) == {f"main.{number}" for number in range(len(MUON["groups"]))}
    assert {name.rpartition(".")[0] for name in tensors if name.startswith("optimizer.")} == {
        "optimizer.main.0", "optimizer.main.1", "optimizer.main.2",
    }  # fmt: skip
