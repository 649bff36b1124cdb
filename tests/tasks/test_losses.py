from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo_core import NoConfig
from zoo_core.contract.schema import from_data
from zoo_core.errors import RecipeError, TrainingError
from zoo_core.plugins.builtin import zoo_losses, zoo_optimizers
from zoo_core.plugins.configs import (
    AdagradConfig,
    AdamConfig,
    AdamwConfig,
    CrossEntropyConfig,
    OptimizerConfig,
    PenaltyConfig,
    RmspropConfig,
    SgdConfig,
)
from zoo_core.plugins.host import PluginHost
from zoo_core.tasks.losses import adversarial_critic, cross_entropy, l1, l1_penalty, l2_penalty, mean_squared_error
from zoo_core.training.optim import parameter_groups

CRITIC = adversarial_critic(NoConfig())
SQUARED = mean_squared_error(NoConfig())
ABSOLUTE = l1(NoConfig())

Result = tuple[Tensor, Tensor]


def entropy(smoothing: float = 0.0, ignore: int = -100) -> Any:
    return cross_entropy(CrossEntropyConfig(label_smoothing=smoothing, ignore_index=ignore))


def values(result: Result) -> tuple[float, float]:
    loss_sum, weight = result
    assert loss_sum.shape == weight.shape == ()
    return loss_sum.item(), weight.item()


def gradient(result: Result, at: Tensor) -> Tensor:
    return torch.autograd.grad(result[0], at)[0]


def draw(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------------------------------- cross-entropy


@pytest.mark.parametrize("labels", [torch.tensor([[1.0, 0.0]]), torch.tensor([0])], ids=["distribution", "integer"])
def test_cross_entropy_by_hand(labels: Tensor) -> None:
    logits = torch.log(torch.tensor([[0.6, 0.4]]))
    assert values(entropy()(logits, labels)) == pytest.approx((0.5108, 1), abs=5e-5)  # -ln 0.6
    assert values(entropy()(logits + 7, labels)) == pytest.approx((-math.log(0.6), 1), abs=1e-6)


@pytest.mark.parametrize("labels", [torch.tensor([[1.0, 0.0]]), torch.tensor([0])], ids=["distribution", "integer"])
def test_label_smoothing_by_hand(labels: Tensor) -> None:
    logits = torch.log(torch.tensor([[0.6, 0.4]]))
    # (1 - 0.1) * [1, 0] + 0.1 / 2 = [0.95, 0.05]; -(0.95 ln 0.6 + 0.05 ln 0.4)
    assert values(entropy(0.1)(logits, labels)) == pytest.approx((0.531099, 1), abs=1e-6)


def test_cross_entropy_of_two_rows_and_a_distribution_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]))
    assert values(entropy()(logits, torch.tensor([1, 2]))) == pytest.approx((math.log(4) - math.log(0.7), 2), abs=1e-6)
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    by_hand = 0.5 * math.log(2) + 0.5 * math.log(4) - math.log(0.7)
    assert values(entropy()(logits, soft)) == pytest.approx((by_hand, 2), abs=1e-6)
    result = entropy()(logits, soft.double())
    assert values(result) == pytest.approx((by_hand, 2), abs=1e-6) and result[0].dtype == torch.float32


def test_the_gradient_of_cross_entropy_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.6, 0.4]], dtype=torch.float64)).requires_grad_()
    plain = gradient(entropy()(logits, torch.tensor([0])), logits)  # p - [1, 0]
    assert torch.allclose(plain, torch.tensor([[-0.4, 0.4]], dtype=torch.float64), atol=1e-12)
    smooth = gradient(entropy(0.1)(logits, torch.tensor([0])), logits)  # p - [0.95, 0.05]
    assert torch.allclose(smooth, torch.tensor([[-0.35, 0.35]], dtype=torch.float64), atol=1e-12)


def test_ignored_labels_count_nowhere() -> None:
    logits = draw(2, 3, 5).requires_grad_()
    labels = torch.tensor([[0, -100, 4], [-100, -100, 2]])
    result = entropy(0.1)(logits, labels)
    kept = entropy(0.1)(logits[labels != -100], labels[labels != -100])
    assert values(result) == pytest.approx(values(kept)) and values(result)[1] == 3
    assert torch.equal(gradient(result, logits)[labels == -100], torch.zeros(3, 5, dtype=torch.float64))
    twos = labels.clamp(min=2)
    assert values(entropy(ignore=2)(logits, twos)) == pytest.approx(
        values(entropy()(logits[twos != 2], twos[twos != 2]))
    )
    assert values(entropy(ignore=2)(logits, twos))[1] == 1
    everything = entropy(0.1)(logits, torch.full((2, 3), -100))
    assert values(everything) == (0.0, 0) and not gradient(everything, logits).any()


def test_classes_are_the_last_dimension() -> None:
    logits, labels = draw(2, 3, 4, 5), torch.arange(24).reshape(2, 3, 4) % 5
    flat = entropy()(logits.reshape(24, 5), labels.reshape(24))
    assert values(entropy()(logits, labels)) == values(flat) and values(flat)[1] == 24
    assert values(entropy()(logits, logits.softmax(-1)))[1] == 24
    assert values(entropy()(logits[0, 0, 0], labels[0, 0, 0]))[1] == 1
    assert values(entropy()(logits, labels.to(torch.int32))) == values(flat)
    assert values(entropy()(logits[:0], labels[:0])) == (0.0, 0)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [((4, 3), (3,)), ((4, 3), (4, 1)), ((2, 4, 3), (8,)), ((4, 3), (4, 3))],
)
def test_labels_that_do_not_fit(logits: tuple[int, ...], labels: tuple[int, ...]) -> None:
    with pytest.raises(TrainingError, match=r"cross-entropy: integer labels of shape"):
        entropy()(torch.zeros(logits), torch.zeros(labels, dtype=torch.long))
    with pytest.raises(TrainingError, match=r"cross-entropy: class distributions of shape"):
        entropy()(torch.zeros(logits), torch.zeros((*labels, 2)))


def test_half_precision_is_summed_in_single() -> None:
    logits = draw(4096, 10, dtype=torch.float32).bfloat16()
    labels = torch.arange(4096) % 10
    exact = values(entropy()(logits.double(), labels))[0]
    loss_sum, _ = entropy()(logits, labels)
    assert loss_sum.dtype == torch.float32 and loss_sum.item() == pytest.approx(exact, rel=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert entropy()(logits, labels)[0].item() == pytest.approx(exact, rel=1e-5)
    # The control: summed in bfloat16 the same losses are off by more than the tolerance above.
    each = nn.functional.cross_entropy(logits.float(), labels, reduction="none").bfloat16()
    assert each.sum().item() != pytest.approx(exact, rel=1e-5)


def test_gradients_agree_with_differences() -> None:
    logits, labels = draw(3, 4).requires_grad_(), torch.tensor([0, -100, 3])
    assert torch.autograd.gradcheck(lambda x: entropy(0.2)(x, labels)[0], (logits,))
    pair = (draw(5, seed=1).requires_grad_(), draw(5, seed=2).requires_grad_())
    for loss in (CRITIC, SQUARED, ABSOLUTE):
        assert torch.autograd.gradcheck(lambda a, b, loss=loss: loss(a, b)[0], pair)


# ---------------------------------------------------------------------------------------------- the critic


def test_the_critic_by_hand() -> None:
    real, fake = torch.tensor([2.0, 4.0], requires_grad=True), torch.tensor([1.0, 0.5], requires_grad=True)
    result = CRITIC(real, fake)
    assert values(result) == (4.5, 2)  # (2 - 1) + (4 - 0.5), over two pairs
    assert gradient(result, real).tolist() == [1.0, 1.0]
    assert gradient(CRITIC(real, fake), fake).tolist() == [-1.0, -1.0]
    assert values(CRITIC(real[:1] - 1.1, fake[:1] - 0.8)) == pytest.approx((0.7, 1))
    assert values(CRITIC(fake, real)) == (-4.5, 2)  # swapped: the critic scores real samples high


def test_a_trained_critic_reports_the_wasserstein_distance() -> None:
    # f(x) = w x with |w| <= 1 is 1-Lipschitz; the distance between point masses at 3 and 1 is 2.
    real, fake = torch.full((8,), 3.0), torch.full((8,), 1.0)
    slope = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([slope], lr=0.3)
    for _ in range(5):
        loss_sum, weight = CRITIC(slope * real, slope * fake)
        optimizer.zero_grad()
        (loss_sum / weight).backward()
        optimizer.step()
        slope.data.clamp_(-1, 1)
    loss_sum, weight = CRITIC(slope * real, slope * fake)
    assert -(loss_sum / weight).item() == 2.0
    assert (slope * real).mean() < (slope * fake).mean()  # minimised as it is: real samples score low


# ---------------------------------------------------------------------------------------------- regression


def test_regression_by_hand() -> None:
    predicted, target = torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor([[3.0, 5.0]])
    assert values(SQUARED(predicted, target)) == (13.0, 2)  # 2^2 + 3^2
    assert values(ABSOLUTE(predicted, target)) == (5.0, 2)
    assert gradient(SQUARED(predicted, target), predicted).tolist() == [[-4.0, -6.0]]  # 2 (p - t)
    assert gradient(ABSOLUTE(predicted, target), predicted).tolist() == [[-1.0, -1.0]]
    # Targets read from a file are often float64 or whole numbers.
    for dtype in (torch.float64, torch.int64):
        result = SQUARED(predicted, target.to(dtype))
        assert values(result) == (13.0, 2) and gradient(result, predicted).dtype == torch.float32


@pytest.mark.parametrize("loss", [CRITIC, SQUARED, ABSOLUTE])
def test_nothing_is_broadcast(loss: Any) -> None:
    with pytest.raises(TrainingError, match=r"of shape \(4,\), expected \(4, 1\)"):
        loss(torch.zeros(4, 1), torch.zeros(4))


# ---------------------------------------------------------------------------------------------- penalties


def test_penalties_by_hand() -> None:
    first = torch.tensor([3.0, -4.0], requires_grad=True)
    parameters = [first, torch.tensor([[1.0]], requires_grad=True)]
    absolute, squared = l1_penalty(PenaltyConfig(strength=0.5)), l2_penalty(PenaltyConfig(strength=0.5))
    assert values(absolute(parameters)) == (4.0, 1)  # 0.5 (3 + 4 + 1)
    assert values(squared(parameters)) == (13.0, 1)  # 0.5 (9 + 16 + 1)
    assert gradient(absolute(parameters), first).tolist() == [0.5, -0.5]
    assert gradient(squared(parameters), first).tolist() == [3.0, -4.0]  # 2 * 0.5 * w
    assert values(squared(nn.Linear(3, 2).parameters()))[1] == 1
    assert values(l2_penalty(PenaltyConfig(strength=0.0))(parameters)) == (0.0, 1)


@pytest.mark.parametrize("penalty", [l1_penalty, l2_penalty])
def test_a_penalty_without_parameters_is_a_mistake(penalty: Any) -> None:
    used_up = nn.Linear(2, 2).parameters()
    list(used_up)
    with pytest.raises(TrainingError, match="penalty: no parameters"):
        penalty(PenaltyConfig())(used_up)


# ---------------------------------------------------------------------------------------------- sums and weights

LABELS = torch.tensor([1, -100, 0, 3, -100, -100, 2, 1, 0, -100, 3, 3])
SPLIT = {
    "cross-entropy": (entropy(0.1), (draw(12, 4), LABELS)),
    "cross-entropy, distributions": (entropy(0.1), (draw(12, 4), draw(12, 4, seed=1).softmax(-1))),
    "adversarial-critic": (CRITIC, (draw(12, 1), draw(12, 1, seed=1))),
    "mean-squared-error": (SQUARED, (draw(12, 3), draw(12, 3, seed=1))),
    "l1": (ABSOLUTE, (draw(12, 3), draw(12, 3, seed=1))),
}


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize("sizes", [(6, 6), (1, 11), (4, 3, 5), (1,) * 12])
def test_splitting_a_batch_never_changes_the_mean(name: str, sizes: tuple[int, ...]) -> None:
    loss, inputs = SPLIT[name]
    whole_sum, whole_weight = loss(*inputs)
    parts = [loss(*piece) for piece in zip(*(tensor.split(sizes) for tensor in inputs), strict=True)]
    sums, weights = (torch.stack(column).sum() for column in zip(*parts, strict=True))
    assert weights == whole_weight
    assert (sums / weights).item() == pytest.approx((whole_sum / whole_weight).item(), abs=1e-12)


def test_the_mean_of_means_would_have_been_wrong() -> None:
    loss, (logits, labels) = SPLIT["cross-entropy"]
    parts = [loss(*piece) for piece in zip(logits.split((4, 8)), labels.split((4, 8)), strict=True)]
    whole_sum, whole_weight = loss(logits, labels)
    mean_of_means = sum((s / w).item() for s, w in parts) / 2
    assert mean_of_means != pytest.approx((whole_sum / whole_weight).item(), abs=1e-3)


def test_a_penalty_is_the_same_however_the_batch_is_split() -> None:
    parameters = [draw(3, 3)]
    whole_sum, whole_weight = l2_penalty(PenaltyConfig())(parameters)
    parts = [l2_penalty(PenaltyConfig())(parameters) for _ in range(5)]
    sums, weights = (torch.stack(column).sum() for column in zip(*parts, strict=True))
    assert (sums / weights).item() == pytest.approx((whole_sum / whole_weight).item(), rel=1e-12)


# ---------------------------------------------------------------------------------------------- specs and settings


@pytest.mark.parametrize("spec", zoo_losses(), ids=lambda spec: spec.name)
def test_every_loss_is_called_as_its_spec_says(spec: Any) -> None:
    host = PluginHost([])
    given = {
        "logits": torch.zeros(4, 3),
        "labels": torch.zeros(4, dtype=torch.long),
        "parameters": [torch.ones(2)],
        **{name: torch.ones(4) for name in ("real", "fake", "predicted", "target")},
    }
    build_loss = host.resolve(spec.target, host.find("loss", spec.name))
    loss_sum, weight = build_loss(spec.config())(*(given[name] for name in spec.inputs))
    assert loss_sum.shape == weight.shape == () and weight > 0


@pytest.mark.parametrize("spec", zoo_optimizers(), ids=lambda spec: spec.name)
def test_every_optimizer_is_built_from_its_settings(spec: Any) -> None:
    host = PluginHost([])
    config = spec.config(lr=0.25, weight_decay=0.125)
    model = nn.Linear(3, 2, bias=False)
    before = model.weight.detach().clone()
    groups = parameter_groups(model.named_parameters(), lr=config.lr, weight_decay=config.weight_decay)
    optimizer = host.resolve(spec.target, host.find("optimizer", spec.name))(groups, config)
    (group,) = optimizer.param_groups
    assert {name: group[name] for name in ("lr", "weight_decay")} == {"lr": 0.25, "weight_decay": 0.125}
    for field in dataclasses.fields(config):
        # A setting that never reaches the optimizer would be a lie.
        assert field.name in group and group[field.name] == getattr(config, field.name), field.name
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()
    assert not torch.equal(model.weight, before)


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        *((CrossEntropyConfig, {"label_smoothing": value}) for value in (1.0, -0.1, math.nan, math.inf)),
        *((PenaltyConfig, {"strength": value}) for value in (-1.0, math.nan, math.inf)),
        *((spec.config, {"lr": value}) for spec in zoo_optimizers() for value in (0.0, -1.0, math.nan, math.inf)),
        *((spec.config, {"weight_decay": value}) for spec in zoo_optimizers() for value in (-0.1, math.nan, math.inf)),
        *((cls, {"momentum": value}) for cls in (SgdConfig, RmspropConfig) for value in (1.0, -0.1, math.nan)),
        *((cls, {"betas": value}) for cls in (AdamConfig, AdamwConfig) for value in ((0.9, 1.0), (-0.1, 0.9), (0.9,))),
        *(
            (cls, {"eps": value})
            for cls in (AdamConfig, AdamwConfig, RmspropConfig, AdagradConfig)
            for value in (0, math.inf)
        ),
        (RmspropConfig, {"alpha": 1.0}),
        (SgdConfig, {"momentum": 0.0, "nesterov": True}),
    ],
)
def test_settings_that_cannot_be_meant(config: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"^{list(settings)[-1]}(\[\d\])?: expected .*, found "):
        config(**settings)


def test_settings_of_a_recipe() -> None:
    read = from_data(AdamwConfig, {"lr": 1, "betas": [0.9, 0.95]}, where="recipe.yaml")
    assert read == AdamwConfig(lr=1.0, betas=(0.9, 0.95))
    with pytest.raises(RecipeError, match=r"recipe.yaml: betas\[1\]: expected at least 0 and below 1, found 1.5"):
        from_data(AdamwConfig, {"betas": [0.9, 1.5]}, where="recipe.yaml")
    for spec in zoo_optimizers():
        assert issubclass(spec.config, OptimizerConfig) and dataclasses.is_dataclass(spec.config)
        with pytest.raises(dataclasses.FrozenInstanceError):
            spec.config().lr = 3.0


def test_the_specs_come_without_torch() -> None:
    probe = "import sys, zoo_core.plugins.builtin as b; b.zoo_losses(), b.zoo_optimizers(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
