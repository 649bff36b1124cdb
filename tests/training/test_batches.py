"""What a step learns depends neither on how its batch is dealt to micro-batches and ranks, nor on what one of them can hold."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from zoo_toys.runs import recipe, toy_zoo

from zoo_core.api import resume, train
from zoo_core.config.recipe import load_recipe
from zoo_core.contract import At, Phase, move
from zoo_core.contract.events import SilentReporter
from zoo_core.errors import PluginError, TrainingError
from zoo_core.preflight.setup import prepare
from zoo_core.registry.zoo import Zoo
from zoo_core.runs.folder import final_digest
from zoo_core.training.hardware import Hardware
from zoo_core.training.loop import Loop
from zoo_core.training.order import Cursor, training_batches
from zoo_core.training.randomness import RowDraws
from zoo_core.training.signals import Interrupted


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return toy_zoo(tmp_path / "home")


def draws(points: Tensor, heads: Tensor) -> Iterator[Tensor]:
    """Everything that a model may draw for samples (B, ...), as (B, ...)."""
    count = len(points)
    yield F.dropout(points, 0.3)
    yield F.dropout(points.transpose(1, 2), 0.3)  # another order in memory
    yield F.dropout(points.flatten(0, 1), 0.3).unflatten(0, (count, -1))  # several rows of a sample
    yield F.dropout(torch.ones(6, count).t(), 0.5)
    yield F.dropout1d(points, 0.4)
    yield F.scaled_dot_product_attention(heads, heads, heads, dropout_p=0.2)
    yield F.gumbel_softmax(points)
    yield torch.bernoulli(points.sigmoid())
    yield torch.bernoulli(heads.sigmoid().flatten(0, 1)).unflatten(0, (count, -1))
    yield points.new_empty(count, 1, 1).bernoulli_(0.7)
    yield torch.rand(count, 3)
    yield torch.randn(count, 3)
    yield torch.randn_like(points)
    yield torch.randint(0, 9, (count,))
    yield torch.normal(0.0, 1.0, (count, 2))
    yield torch.empty(count).exponential_()
    yield torch.native_dropout(points, 0.3, True)[0]


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_a_part_gets_the_draws_of_its_rows(parts: int) -> None:
    points, heads = torch.randn(16, 5, 6), torch.randn(16, 2, 5, 3)
    torch.manual_seed(7)
    whole = list(draws(points, heads))
    for part in range(parts):
        torch.manual_seed(7)
        mode = RowDraws(16 // parts, part, parts)
        with mode:
            found = list(draws(points[part::parts], heads[part::parts]))
        for number, (all_rows, own) in enumerate(zip(whole, found, strict=True)):
            assert torch.equal(all_rows[part::parts], own), number
        assert not mode.others


def test_what_is_drawn_for_the_batch_is_named_and_the_same_in_every_part() -> None:
    found = []
    for part in range(2):
        torch.manual_seed(7)
        mode = RowDraws(4, part, 2)
        with mode:
            found.append((torch.rand(()).item(), torch.randperm(4).tolist(), torch.rand(3).tolist()))
        assert mode.others == {"rand", "randperm"} and not mode.several
    assert found[0] == found[1]
    mode = RowDraws(4, 0, 2)
    with mode:
        torch.rand(8, 3)
    assert mode.several == {"rand of 2"}, "weights of eight rows look like two rows of each of four samples"


def gradients(zoo: Zoo, made: dict[str, Any], accumulation: int) -> dict[str, Tensor]:
    """The summed gradients of the first update."""
    made = {**made, "training": {**made["training"], "accumulation": accumulation}}
    resolved = load_recipe(made, [], zoo.host)
    hardware = Hardware(resolved.training)
    prepared = prepare(resolved, zoo.host, hardware, None, None)
    loop = Loop(
        prepared.task, updates=prepared.updates, training=resolved.training, schedule=prepared.schedule,
        steps=prepared.steps, hardware=hardware,
    )  # fmt: skip
    batches = training_batches(prepared.train, prepared.plan, Cursor(0, 0), rank=0, ranks=1, workers=0, pin=False)
    done = next(batches)
    found: dict[str, Tensor] = {}
    names = {p: name for name, p in prepared.task.model.named_parameters()}
    for update in prepared.updates.values():
        update.step = lambda weight, update=update: _noted(found, names, update, weight)  # type: ignore[method-assign]
    for module in prepared.task.modules().values():
        module.train()
    loop._step(0, done)
    return found


def _noted(found: dict[str, Tensor], names: Mapping[nn.Parameter, str], update: Any, weight: Tensor) -> Any:
    found |= {names[p]: p.grad.clone() / weight for p in update.parameters if p.grad is not None}
    return type(update).step(update, weight)


SHAPES = ["point-classification", "point-kinds", "mean-teacher", "point-teacher", "pairs", "mirrored"]


@pytest.mark.parametrize("task", SHAPES)
def test_gradients_do_not_depend_on_accumulation_with_dropout_on(task: str, zoo: Zoo) -> None:
    made = recipe("single", batch_size=32)
    made["task"], made["model"]["dropout"] = {"name": task}, 0.3
    whole = gradients(zoo, made, 1)
    assert whole and sum(float(g.abs().sum()) for g in whole.values()) > 0
    for accumulation in (2, 4):
        for name, found in gradients(zoo, made, accumulation).items():
            error = (found - whole[name]).abs().max() / whole[name].abs().max()
            assert error < 1e-6, (accumulation, name, float(error))


class Counting(nn.Module):
    """Computes with a buffer that each pass changes, as spectral normalisation does."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.ones(()))

    def forward(self, values: Tensor) -> Tensor:
        self.count += 1
        return values * self.count.log1p()


def test_a_loss_over_the_batch_is_one_graph_over_it(zoo: Zoo) -> None:
    """Embedding again, buffers put back, gives what one backward pass through all micro-batches gives."""
    made = recipe("single", batch_size=16, accumulation=4)
    made["task"] = {"name": "pairs"}
    made["model"] |= {"dropout": 0.3, "normalise": True}
    resolved = load_recipe(made, [], zoo.host)
    found = []
    for together in (True, False):
        prepared = prepare(resolved, zoo.host, Hardware(resolved.training), None, None)
        task, hardware = prepared.task, Hardware(resolved.training)
        task.model.body.norm = nn.Sequential(task.model.body.norm, Counting())  # type: ignore[union-attr]
        loop = Loop(
            task, updates=prepared.updates, training=resolved.training, schedule=prepared.schedule, steps=4,
            hardware=hardware,
        )  # fmt: skip
        done = next(
            training_batches(prepared.train, prepared.plan, Cursor(0, 0), rank=0, ranks=1, workers=0, pin=False)
        )
        batches = [move(batch, hardware.device) for batch in done.micro_batches]
        for module in task.modules().values():
            module.train()
        if together:
            loop._together(0, task.phases[0], batches, At(0, 4), 4)
        else:
            rows = [loop._embedded(0, task.phases[0], n, 4, batch, At(0, 4), 4) for n, batch in enumerate(batches)]
            task.step("train", task.modules(), hardware.rows(rows), At(0, 4)).loss_sum.backward()  # type: ignore[no-untyped-call]
        state = {name: p.grad for name, p in task.model.named_parameters()} | dict(task.model.named_buffers())
        found.append(state)
    assert found[0].keys() == found[1].keys()
    for name, tensor in found[0].items():
        other = found[1][name]
        assert (tensor is None and other is None) or torch.allclose(tensor, other, rtol=1e-6, atol=1e-7), name
    assert int(found[0]["body.norm.0.num_batches_tracked"]) == 8  # two points each


def test_a_run_with_a_loss_over_the_batch_ends_with_the_same_bits_after_a_stop(zoo: Zoo, tmp_path: Path) -> None:
    class StopAt(SilentReporter):
        def logged(self, step: int, *rest: Any) -> None:
            if step == 4:
                os.kill(os.getpid(), signal.SIGTERM)

    made = recipe("single", steps=8, log_every=1, batch_size=16, accumulation=2, ema_decay=0.9)
    made["task"] = {"name": "pairs"}
    made["model"] |= {"dropout": 0.3, "normalise": True}
    train(made, folder=tmp_path / "whole", zoo=zoo)
    with pytest.raises(Interrupted):
        train(made, folder=tmp_path / "cut", zoo=zoo, reporter=StopAt())
    resume(tmp_path / "cut", zoo=zoo)
    assert final_digest(tmp_path / "cut") == final_digest(tmp_path / "whole")


def test_what_a_deal_changes_is_said(zoo: Zoo, tmp_path: Path) -> None:
    made = recipe("single", steps=2, batch_size=16, accumulation=2)
    made["model"] |= {"normalise": True}
    result = train(made, folder=tmp_path / "run", zoo=zoo)
    said = (tmp_path / "run" / "log.txt").read_text()
    words = "batch normalisation: its statistics are of 2 micro-batches of 8, not of the batch of 16"
    assert words in said and words in result.card.notes
    train({**made, "training": {**made["training"], "accumulation": 1}}, folder=tmp_path / "whole", zoo=zoo)
    assert "batch normalisation" not in (tmp_path / "whole" / "log.txt").read_text()


def test_a_batch_wide_phase_is_checked_before_the_first_step(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo_toys import parts, sketches

    with pytest.raises(ValueError, match="batch_wide and double_backward"):
        Phase(name="train", batch_wide=True, double_backward=True)
    monkeypatch.setattr(parts.Classification, "phases", (Phase(name="train", batch_wide=True),))
    with pytest.raises(PluginError, match="phase train: expected embed, as it is batch_wide, found none"):
        train(recipe("single"), folder=tmp_path / "none", zoo=zoo)
    monkeypatch.undo()
    embed = sketches.Pairs.embed
    monkeypatch.setattr(sketches.Pairs, "embed", lambda *a: {k: v[:3] for k, v in embed(*a).items()})
    made = recipe("single", batch_size=16)
    made["task"] = {"name": "pairs"}
    with pytest.raises((PluginError, TrainingError), match=r"3 rows of \w+ for 16 samples"):
        train(made, folder=tmp_path / "few", zoo=zoo)
