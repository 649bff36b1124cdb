from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from zoo_core import create_model, open_zoo
from zoo_core.errors import RecipeError
from zoo_core.plugins import builtin
from zoo_core.training import optim
from zoo_core.training.optim import Update


def config_of(name: str, **settings: object) -> object:
    spec = next(spec for spec in builtin.zoo_optimizers() if spec.name == name)
    return spec.config(**settings)


def build(name: str, parameters: dict[str, nn.Parameter], **settings: object) -> torch.optim.Optimizer:
    config = config_of(name, **settings)
    groups = optim.parameter_groups(parameters.items(), lr=config.lr, weight_decay=config.weight_decay)  # type: ignore[attr-defined]
    return getattr(optim, f"build_{name}")(groups, config)


def update_of(name: str, parameter: nn.Parameter, *, clip_norm: float | None = None, **settings: object) -> Update:
    return Update(build(name, {"w": parameter}, **settings), clip_norm=clip_norm)


def test_sgd_by_hand() -> None:
    w = nn.Parameter(torch.tensor([1.0, 2.0]))
    update = update_of("sgd", w, lr=0.1, weight_decay=0.0)
    w.grad = torch.tensor([0.5, -0.3])
    update.step(torch.tensor(1.0))
    assert w.tolist() == pytest.approx([0.95, 2.03])


def test_adam_by_its_paper() -> None:
    """Two steps of algorithm 1 of arXiv:1412.6980, worked in plain numbers."""
    w = nn.Parameter(torch.tensor([1.0, 2.0]))
    update = update_of("adam", w, lr=0.1, weight_decay=0.0, betas=(0.9, 0.999), eps=1e-8)
    expected, m, v = [1.0, 2.0], [0.0, 0.0], [0.0, 0.0]
    for t, gradient in ((1, (0.5, -0.3)), (2, (0.1, 0.4))):
        w.grad = torch.tensor(gradient)
        update.step(torch.tensor(1.0))
        for i, g in enumerate(gradient):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g * g
            expected[i] -= 0.1 * (m[i] / (1 - 0.9**t)) / (math.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
        assert w.tolist() == pytest.approx(expected, abs=1e-6)


def test_adamw_decays_the_weight_apart_from_the_gradient() -> None:
    w = nn.Parameter(torch.tensor([[2.0]]))
    update = update_of("adamw", w, lr=0.1, weight_decay=0.5)
    w.grad = torch.tensor([[0.3]])
    update.step(torch.tensor(1.0))
    assert w.item() == pytest.approx(2.0 - 0.1 * 0.5 * 2.0 - 0.1, abs=1e-6)


@pytest.mark.parametrize("name", [spec.name for spec in builtin.zoo_optimizers()])
def test_every_registered_optimizer_lowers_a_quadratic(name: str) -> None:
    w = nn.Parameter(torch.full((2, 2), 3.0))
    update = update_of(name, w, lr=0.05, weight_decay=0.0)
    for _ in range(60):
        loss = w.square().sum()
        loss.backward()
        update.step(torch.tensor(1.0))
        update.zero_grad()
    assert w.square().sum().item() < 30.0


@pytest.mark.parametrize("name", ["adamw", "rmsprop"])
def test_the_total_weight_divides_the_gradient_once(name: str) -> None:
    one, many = (nn.Parameter(torch.ones(3, 3)) for _ in range(2))
    gradient = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    first, second = update_of(name, one, lr=0.1), update_of(name, many, lr=0.1)
    one.grad, many.grad = gradient.clone(), gradient * 128
    found = first.step(torch.tensor(1.0)), second.step(torch.tensor(128.0))
    assert torch.allclose(one, many, atol=1e-7)
    assert found[0].norm.item() == pytest.approx(found[1].norm.item()) == pytest.approx(gradient.norm().item())


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_step_in_which_nothing_had_weight_is_a_step_of_no_gradient(name: str, clip_norm: float | None) -> None:
    w = nn.Parameter(torch.ones(2, 2))
    update = update_of(name, w, lr=0.1, weight_decay=0.0, clip_norm=clip_norm)
    w.grad = torch.zeros(2, 2)
    found = update.step(torch.tensor(0.0))
    assert bool(found.finite) and found.norm.item() == 0 and torch.equal(w, torch.ones(2, 2))
    w.grad = torch.full((2, 2), torch.nan)
    assert not update.step(torch.tensor(0.0)).finite, "what isn't finite still isn't"


@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
def test_clipping_scales_to_the_norm(name: str) -> None:
    clipped, scaled = (nn.Parameter(torch.zeros(4)) for _ in range(2))
    gradient = torch.tensor([3.0, 4.0, 0.0, 0.0])
    first = update_of(name, clipped, lr=0.1, weight_decay=0.0, clip_norm=1.0)
    second = update_of(name, scaled, lr=0.1, weight_decay=0.0)
    clipped.grad, scaled.grad = gradient.clone(), gradient / 5
    assert first.step(torch.tensor(1.0)).norm.item() == pytest.approx(5.0)
    second.step(torch.tensor(1.0))
    assert torch.allclose(clipped, scaled, atol=1e-7)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop", "adagrad"])
def test_a_non_finite_gradient_changes_neither_weights_nor_state(name: str, bad: float) -> None:
    w = nn.Parameter(torch.ones(2, 2))
    update = update_of(name, w, lr=0.1, clip_norm=1.0)
    w.grad = torch.full((2, 2), 0.5)
    update.step(torch.tensor(1.0))

    def tensors() -> dict[str, torch.Tensor]:
        return optim.pack_optimizer(update.optimizers[0], "")[1] | {"": w.detach()}

    before = {name: tensor.clone() for name, tensor in tensors().items()}
    w.grad = torch.tensor([[0.5, bad], [0.5, 0.5]])
    assert not update.step(torch.tensor(1.0)).finite
    assert all(torch.equal(before[name], tensor) for name, tensor in tensors().items())
    w.grad = torch.full((2, 2), 0.5)
    assert update.step(torch.tensor(1.0)).finite
    assert not torch.equal(w.detach(), before[""])


@pytest.mark.parametrize("name", [spec.name for spec in builtin.zoo_optimizers()])
def test_a_first_update_that_is_left_out_leaves_no_trace(name: str) -> None:
    plain, spared = (nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    updates = [(update_of(name, plain, lr=0.1), plain), (update_of(name, spared, lr=0.1), spared)]
    torch.use_deterministic_algorithms(True)  # which fills memory that nobody has written with NaN
    try:
        spared.grad = torch.full((2, 2), torch.nan)
        assert not updates[1][0].step(torch.tensor(1.0)).finite
        for gradient in (0.5, -0.2, 0.3):
            for update, w in updates:
                w.grad = torch.tensor([[gradient, 1.0], [0.0, -gradient]])
                assert update.step(torch.tensor(1.0)).finite
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(plain, spared)


class Blocks(nn.Module):
    """Embedding, two numbered blocks, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 2)
        self.block = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.head = nn.Linear(2, 2)


def test_biases_get_no_weight_decay_and_layers_decay_from_the_head_down() -> None:
    named = list(Blocks().named_parameters())
    groups = optim.parameter_groups(named, lr=1.0, weight_decay=0.1, layers=r"block\.(\d+)\.", layer_decay=0.5)
    rate = {name: group["lr"] for group in groups for name in group["names"]}
    decay = {name: group["weight_decay"] for group in groups for name in group["names"]}
    assert rate == {
        f"{part}.{kind}": value
        for part, value in (("embed", 0.125), ("block.0", 0.25), ("block.1", 0.5), ("head", 1.0))
        for kind in ("weight", "bias")
    }
    assert {name for name, value in decay.items() if value == 0.0} == {n for n, _ in named if n.endswith("bias")}


def test_layer_decay_needs_numbered_blocks() -> None:
    with pytest.raises(RecipeError, match="doesn't number"):
        optim.parameter_groups(Blocks().named_parameters(), lr=1.0, weight_decay=0.0, layer_decay=0.5)


@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop", "adafactor"])
def test_optimizer_state_survives_a_round_trip(name: str) -> None:
    def fresh() -> tuple[nn.Parameter, Update]:
        w = nn.Parameter(torch.linspace(-1, 1, 6).reshape(2, 3))
        return w, update_of(name, w, lr=0.1)

    def go(w: nn.Parameter, update: Update, count: int) -> None:
        for number in range(count):
            w.grad = torch.sin(w.detach() * (number + 1))
            update.step(torch.tensor(1.0))

    one, first = fresh()
    go(one, first, 2)
    two, second = fresh()
    two.data.copy_(one.data)
    tree, tensors = optim.pack_optimizer(first.optimizers[0], "")
    optim.restore_optimizer(second.optimizers[0], json.loads(json.dumps(tree)), tensors)
    go(one, first, 3)
    go(two, second, 3)
    assert torch.equal(one, two)


@pytest.mark.parametrize("name", [spec.name for spec in builtin.zoo_optimizers()])
def test_every_listed_optimizer_trains_a_shipped_model(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model("resnet_nano", num_classes=2, zoo=open_zoo({"ZOO_HOME": str(tmp_path)}))
    images, labels = torch.randn(8, 3, 28, 28), torch.arange(8) % 2
    rate = {"sgd": 0.05, "adagrad": 0.05, "adafactor": 0.03, "muon": 0.1}.get(name, 1e-3)
    kinds: dict[bool, dict[str, nn.Parameter]] = {True: {}, False: {}}
    dimensions = next(spec for spec in builtin.zoo_optimizers() if spec.name == name).dimensions
    for place, parameter in model.named_parameters():
        kinds[not dimensions or parameter.ndim in dimensions][place] = parameter
    optimizers = [build(name, kinds[True], lr=rate)] + ([build("adamw", kinds[False], lr=1e-3)] if kinds[False] else [])
    update, losses = Update(*optimizers, clip_norm=1.0), []
    for _ in range(12):
        loss = nn.functional.cross_entropy(model(images), labels, reduction="sum")
        loss.backward()
        update.step(torch.tensor(8.0))
        update.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
