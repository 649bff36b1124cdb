"""Path lengths are a phase of the generator's own: one mean for a whole update, which a stopped run goes on with."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_gan.configs.tasks import AdversarialConfig
from zoo_gan.losses import wasserstein
from zoo_gan.models.common import GAN
from zoo_gan.tasks.adversarial import AdversarialTask, follow, phases_of
from zoo_gan.tasks.point_generation import PointGeneration

from zoo_core import UsageError, Zoo, load, load_recipe, open_zoo, train
from zoo_core.contract import At, NoConfig, TaskContext
from zoo_core.testing import Cursor, Hardware, Interrupted, Loop, final_digest, prepare, state, training_batches

PLANE: dict[str, Any] = {
    "name": "plane_gan_tiny.paths",
    "model": {"name": "plane_gan_tiny", "width": 16},
    "task": {"name": "point-generation", "path_length": 2.0, "path_length_every": 2},
    "data": {"name": "plane-points", "samples": 400},
    "optimizer": {"name": "sgd", "lr": 1.0e-2},
    "training": {"steps": 8, "batch_size": 32, "evaluate_every": 3, "save_every": 3, "log_every": 2, "extras": "off"},
}
CLASSES: dict[str, Any] = {
    "name": "dcgan_tiny.paths",
    "model": {"name": "dcgan_tiny", "width": 4, "latent_dim": 8, "num_classes": 10},
    "preprocessor": {"image_size": 8, "in_channels": 1},
    "task": {"name": "class-conditional-image-generation", "path_length": 2.0},
    "data": {"name": "digits", "train_samples": 32},
    "optimizer": {"name": "sgd", "lr": 1.0e-2},
    "training": {"steps": 1, "batch_size": 16, "extras": "off"},
}
PAIRED: dict[str, Any] = {
    "name": "pix2pix_tiny.paths",
    "model": {"name": "pix2pix_tiny", "width": 8, "depth": 3},
    "preprocessor": {"image_size": 32, "in_channels": 1},
    "task": {"name": "image-to-image", "path_length": 2.0},
    "data": {"name": "digits", "train_samples": 32},
    "optimizer": {"name": "sgd", "lr": 1.0e-2},
    "training": {"steps": 1, "batch_size": 16, "extras": "off"},
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return open_zoo({"ZOO_HOME": str(tmp_path_factory.mktemp("home"))})


def bare(zoo: Zoo, recipe: dict[str, Any], phases: tuple[str, ...] = (), **training: Any) -> list[dict[str, Tensor]]:
    """The model's tensors before and after the bare loop, of the named phases only where some are named."""
    resolved = load_recipe({**recipe, "training": {**recipe["training"], **training}}, [], zoo.host)
    hardware = Hardware(resolved.training)
    parts = prepare(resolved, zoo.host, hardware, None, None)
    if phases:
        parts.task.phases = tuple(phase for phase in parts.task.phases if phase.name in phases)
    loop = Loop(
        parts.task, updates=parts.updates, training=resolved.training, schedule=parts.schedule, steps=parts.steps,
        hardware=hardware,
    )  # fmt: skip
    before = {name: tensor.clone() for name, tensor in parts.task.model.state_dict().items()}
    batches = training_batches(parts.train, parts.plan, Cursor(0, 0), rank=0, ranks=1, workers=0, pin=False)
    loop.run(batches, 0, lambda moment: False)
    return [before, dict(parts.task.model.state_dict())]


# ---------------------------------------------------------------------------------------------------------- phases


def test_path_length_is_the_generators_last_phase_at_its_own_interval() -> None:
    phases = phases_of(AdversarialConfig(path_length=2.0, path_length_every=8, r1=1.0, r1_every=4, critics=5))
    assert [(phase.name, phase.every) for phase in phases] == [
        ("discriminate", 1), ("r1", 4), ("generate", 5), ("path_length", 8),
    ]  # fmt: skip
    last = phases[-1]
    assert last.trains == ("generator",) and last.optimizer == "generator" and last.double_backward
    every_step = phases_of(AdversarialConfig(path_length=2.0))
    assert [(phase.name, phase.every) for phase in every_step][1:] == [("generate", 1), ("path_length", 1)]
    assert not any(phase.double_backward for phase in every_step[:-1])
    assert "path_length" not in {phase.name for phase in phases_of(AdversarialConfig(path_length_every=8))}


@pytest.mark.parametrize("recipe", [PLANE, CLASSES], ids=["points", "images of classes"])
def test_the_phase_changes_the_generator_only(zoo: Zoo, recipe: dict[str, Any]) -> None:
    before, after = bare(zoo, recipe, ("path_length",), steps=1)
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert {name.partition(".")[0] for name in changed} == {"generator", "path_lengths"}
    assert "generator.output.weight" in changed
    assert all(bool(tensor.isfinite().all()) for tensor in after.values())


def test_accumulation_does_not_change_where_the_generator_goes(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws differ by micro-batch, so each latent is made of its real sample here, and all noise is one."""

    def latents(task: AdversarialTask, real: Tensor) -> Tensor:
        return real.repeat(1, task.model.latent_dim)[:, : task.model.latent_dim]

    monkeypatch.setattr(AdversarialTask, "latents", latents)
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)
    found = [bare(zoo, PLANE, steps=5, accumulation=accumulation)[1] for accumulation in (1, 2, 4)]
    for name, tensor in found[0].items():
        for other in found[1:]:
            torch.testing.assert_close(other[name], tensor, atol=1e-6, rtol=1e-6)
    mean, waiting, count = found[0]["path_lengths"].tolist()
    assert mean > 0 and waiting == count == 0  # all are in the mean


# ------------------------------------------------------------------------------------------------------------ mean


class Tripled(nn.Module):
    """G(z) = 3 z, whose Jacobian is three times the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.scale * latents


class Summed(nn.Module):
    """D(x) = the sum of x, times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.weight * points.sum(1)


def test_the_mean_follows_a_linear_generator_as_worked_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)
    model = GAN(Tripled(), Summed(), sample_shape=(2,), latent_dim=2)
    config = AdversarialConfig(path_length=0.5, path_length_every=4)
    task = PointGeneration(config, TaskContext(model=model, preprocessor=None, loss=wasserstein(NoConfig())))
    batch = {"points": torch.zeros(5, 2)}
    length = 3 * math.sqrt(2)  # ||J^T (1, 1)||; the root of a point's pixels is 1
    known: list[float] = []
    for expected in (0.0, 0.01, 0.0199):  # 0.0199 = 0.99 * 0.01 + 0.01
        assert model.path_lengths is not None
        known.append(model.path_lengths[0].item())
        assert model.path_lengths[1:].tolist() == [0.0, 0.0]
        first = task.step("path_length", task.modules(), batch, At())
        second = task.step("path_length", task.modules(), batch, At())
        # 0.5 * 4, for five samples, of which each is measured against the mean of before the update.
        loss = 2 * 5 * (length * (1 - expected)) ** 2
        assert [first.loss_sum.item(), second.loss_sum.item()] == pytest.approx([loss, loss], rel=1e-5)
        assert first.weight == 5 and first.metrics["length"].item() == pytest.approx(5 * length)
        assert model.path_lengths.tolist() == pytest.approx([known[-1], 10 * length, 10])
        task.after_update("path_length", task.modules(), At())
    assert known == pytest.approx([0.0, 0.01 * length, 0.0199 * length])


def test_what_is_not_finite_and_what_is_not_there_leave_the_mean() -> None:
    cases = {(2.0, 12.0, 4.0): 2.01, (2.0, 0.0, 0.0): 2.0, (2.0, math.nan, 4.0): 2.0, (2.0, math.inf, 4.0): 2.0}
    for known, mean in cases.items():
        path_lengths = torch.tensor(known)
        follow(path_lengths)
        assert path_lengths.tolist() == pytest.approx([mean, 0.0, 0.0])


def test_lengths_are_float32_under_autocast(zoo: Zoo) -> None:
    (_, exact), (_, rough) = (
        bare(zoo, CLASSES, ("path_length",), mixed_precision=precision) for precision in ("no", "bf16")
    )
    assert rough["path_lengths"].dtype == torch.float32
    assert rough["path_lengths"].tolist() == pytest.approx(exact["path_lengths"].tolist(), rel=0.05)
    assert not torch.equal(rough["path_lengths"], exact["path_lengths"])


# -------------------------------------------------------------------------------------------------- saved and refused


def test_a_run_that_was_stopped_between_phases_goes_on_with_its_mean(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(PLANE, folder=tmp_path / "whole", zoo=zoo)
    step, calls = PointGeneration.step, []

    def interrupted(self: Any, *arguments: Any) -> Any:
        calls.append(arguments[0])
        # One call for each phase comes before the first step.
        if len(calls) == 13 + len(self.phases):
            raise Interrupted(143, "stopped by the test")
        return step(self, *arguments)

    monkeypatch.setattr(PointGeneration, "step", interrupted)
    with pytest.raises(Interrupted):
        train(PLANE, folder=tmp_path / "broken", zoo=zoo)
    monkeypatch.undo()
    assert calls[-2:] == ["generate", "path_length"]
    _, saved, _ = state.newest(tmp_path / "broken" / "checkpoints")
    mean, waiting, count = saved["model.path_lengths"].tolist()
    assert mean > 0 and waiting == count == 0
    train(PLANE, folder=tmp_path / "broken", resume=True, zoo=zoo)
    assert final_digest(tmp_path / "broken") == final_digest(tmp_path / "whole")


def test_a_pair_that_does_not_use_it_has_nothing_of_it(zoo: Zoo) -> None:
    plain = {**PLANE, "task": {"name": "point-generation"}}
    assert not [name for name in bare(zoo, plain, steps=1)[1] if "path" in name]


def test_a_generator_without_latents_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"task\.path_length is for generators that start from latents") as caught:
        train(PAIRED, folder=tmp_path / "run", zoo=zoo)
    assert "leave it out" in caught.value.hint


@pytest.mark.parametrize(
    "settings",
    [
        {"path_length": -1.0},
        {"path_length": 2.0, "path_length_every": 0},
        {"noise": -0.1},
        {"clip": -1.0},
        {"noise": math.nan},
    ],
)
def test_settings_that_can_not_be_are_refused(settings: dict[str, Any]) -> None:
    name = list(settings)[-1]
    with pytest.raises(ValueError, match=f"^{name}: expected at least"):
        AdversarialConfig(**settings)


def test_what_is_registered_is_the_pair_without_its_training(zoo: Zoo, tmp_path: Path) -> None:
    result = train({**PLANE, "name": "plane_gan_tiny.registered"}, folder=tmp_path / "run", zoo=zoo)
    assert result.card is not None
    assert load("plane_gan_tiny.registered", zoo=zoo).predict(["0"])
    further = {name: value for name, value in PLANE.items() if name != "model"}
    train(
        {**further, "name": "plane_gan_tiny.further", "init": "plane_gan_tiny.registered"},
        folder=tmp_path / "next",
        zoo=zoo,
    )
