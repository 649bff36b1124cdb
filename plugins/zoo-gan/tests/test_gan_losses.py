"""Adversarial losses by hand: values, signs, sums, limits, and what their specs promise."""

from __future__ import annotations

import importlib
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_gan import losses
from zoo_gan.configs.losses import NonSaturatingConfig
from zoo_gan.losses import AdversarialLoss, Side
from zoo_gan.specs.losses import LOSSES

from zoo_core import RecipeError, TrainingError, UsageError
from zoo_core.contract import LossSpec, NoConfig, from_data

SIDES: tuple[Side, ...] = ("discriminator", "generator")
LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)
REAL = torch.tensor([0.0, math.log(3)])
"""Logits whose sigmoids are 1/2 and 3/4."""
FAKE = torch.tensor([0.0, -math.log(3)])
"""Logits whose sigmoids are 1/2 and 1/4."""


def resolve(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def build_from(spec: LossSpec) -> AdversarialLoss:
    config = resolve(spec.config) if isinstance(spec.config, str) else spec.config
    loss: AdversarialLoss = resolve(spec.target)(config())
    return loss


ALL = {spec.name: build_from(spec) for spec in LOSSES}
every_loss = pytest.mark.parametrize("name", list(ALL))
every_side = pytest.mark.parametrize("side", SIDES)


def draw(count: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, dtype=dtype, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------------------------------------- values by hand

BY_HAND: list[tuple[str, Side, float]] = [
    # Pair 0: -ln 1/2 - ln(1 - 1/2) = 2 ln 2. Pair 1: -ln 3/4 - ln(1 - 1/4) = 2 (ln 4 - ln 3).
    ("gan-minimax", "discriminator", 2 * LN2 + 2 * (LN4 - LN3)),
    # ln(1 - 1/2) + ln(1 - 1/4) = -ln 2 + ln 3 - ln 4
    ("gan-minimax", "generator", -LN2 + LN3 - LN4),
    ("gan-non-saturating", "discriminator", 2 * LN2 + 2 * (LN4 - LN3)),
    # -ln 1/2 - ln 1/4 = ln 2 + ln 4
    ("gan-non-saturating", "generator", LN2 + LN4),
    # ((0 - 1)^2 + 0^2) / 2 + ((ln 3 - 1)^2 + (-ln 3)^2) / 2
    ("gan-least-squares", "discriminator", 0.5 + ((LN3 - 1) ** 2 + LN3**2) / 2),
    # (0 - 1)^2 / 2 + (-ln 3 - 1)^2 / 2
    ("gan-least-squares", "generator", 0.5 + (LN3 + 1) ** 2 / 2),
    # Pair 0: (1 - 0) + (1 + 0) = 2. Pair 1: ln 3 > 1, so both margins are kept: 0.
    ("gan-hinge", "discriminator", 2.0),
    # -(0 - ln 3)
    ("gan-hinge", "generator", LN3),
    # (0 - 0) + (-ln 3 - ln 3)
    ("gan-wasserstein", "discriminator", -2 * LN3),
    ("gan-wasserstein", "generator", LN3),
    # Pair 0: ln(1 + e^0) = ln 2. Pair 1: ln(1 + e^-(ln 3 + ln 3)) = ln(1 + 1/9) = ln 10/9.
    ("gan-relativistic", "discriminator", LN2 + math.log(10 / 9)),
    # Pair 0: ln 2. Pair 1: ln(1 + e^(ln 3 + ln 3)) = ln 10.
    ("gan-relativistic", "generator", LN2 + math.log(10)),
]


@pytest.mark.parametrize(("name", "side", "expected"), BY_HAND)
def test_values_by_hand(name: str, side: Side, expected: float) -> None:
    loss_sum, weight = ALL[name](REAL, FAKE, side)
    assert loss_sum.shape == weight.shape == () and weight.item() == 2
    assert loss_sum.item() == pytest.approx(expected, rel=1e-6)


def test_every_loss_and_side_was_worked_by_hand() -> None:
    assert {(name, side) for name, side, _ in BY_HAND} == {(name, side) for name in ALL for side in SIDES}


def test_hinge_at_the_margins_by_hand() -> None:
    real, fake = torch.tensor([1.0, 0.25, -2.0]), torch.tensor([-1.0, -0.5, 3.0])
    # (1 - 1) + (1 - 1) = 0; (1 - 0.25) + (1 - 0.5) = 1.25; (1 + 2) + (1 + 3) = 7
    assert ALL["gan-hinge"](real, fake, "discriminator")[0].item() == 8.25


def test_one_sided_label_smoothing_by_hand() -> None:
    smooth = losses.non_saturating(NonSaturatingConfig(label_smoothing=0.25))
    # Pair 0: ln 2 whatever the target, + ln 2. Pair 1: -(0.75 ln 3/4 + 0.25 ln 1/4) - ln 3/4, since D(G(z)) = 1/4.
    expected = 2 * LN2 + (LN4 - 0.75 * LN3) + (LN4 - LN3)
    assert smooth(REAL, FAKE, "discriminator")[0].item() == pytest.approx(expected, rel=1e-6)
    plain = ALL["gan-non-saturating"]
    assert smooth(REAL, FAKE, "generator")[0].item() == plain(REAL, FAKE, "generator")[0].item()


def test_smoothing_moves_the_best_answer_for_real_images_only() -> None:
    smooth = losses.non_saturating(NonSaturatingConfig(label_smoothing=0.1))
    real = torch.tensor([math.log(9)], dtype=torch.float64, requires_grad=True)  # sigmoid 0.9, the target
    fake = torch.tensor([-30.0], dtype=torch.float64, requires_grad=True)
    slopes = torch.autograd.grad(smooth(real, fake, "discriminator")[0], (real, fake))
    assert slopes[0].item() == pytest.approx(0.0, abs=1e-12)
    assert 0.0 < slopes[1].item() < 1e-12  # the target of generated images is 0 still


def test_optimum_values() -> None:
    """Where nobody can tell real from generated, D = 1/2 (Goodfellow et al., 2014, theorem 1)."""
    zero = torch.zeros(1, dtype=torch.float64)
    for name in ("gan-minimax", "gan-non-saturating"):
        assert ALL[name](zero, zero, "discriminator")[0].item() == pytest.approx(2 * LN2, rel=1e-15)
    assert ALL["gan-minimax"](zero, zero, "generator")[0].item() == pytest.approx(-LN2, rel=1e-15)
    for side in SIDES:
        assert ALL["gan-relativistic"](zero, zero, side)[0].item() == pytest.approx(LN2, rel=1e-15)
        assert ALL["gan-wasserstein"](zero, zero, side)[0].item() == 0.0
    # Mao et al., 2017, section 3.2.2: D = (b p_data + a p_g) / (p_data + p_g) = 1/2, so 2 * (1/2)^2 / 2.
    half = zero + 0.5
    assert ALL["gan-least-squares"](half, half, "discriminator")[0].item() == 0.25
    assert ALL["gan-hinge"](zero, zero, "discriminator")[0].item() == 2.0


# --------------------------------------------------------------------------------------------------------- gradients


def slopes_of(name: str, side: Side, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor | None]:
    real, fake = real.clone().requires_grad_(), fake.clone().requires_grad_()
    found = torch.autograd.grad(ALL[name](real, fake, side)[0], (real, fake), allow_unused=True)
    return found[0], found[1]


@every_loss
def test_the_discriminator_raises_real_and_lowers_fake_logits(name: str) -> None:
    logits = torch.tensor([-0.5, 0.0, 0.5])
    on_real, on_fake = slopes_of(name, "discriminator", logits, logits)
    assert bool((on_real < 0).all())
    if name == "gan-least-squares":  # a logit below its target of 0 is raised
        assert on_fake is not None and on_fake.sign().tolist() == [-1.0, 0.0, 1.0]
    else:
        assert on_fake is not None and bool((on_fake > 0).all())


@every_loss
def test_the_generator_raises_fake_logits(name: str) -> None:
    logits = torch.tensor([-0.5, 0.0, 0.5])
    on_real, on_fake = slopes_of(name, "generator", logits, logits)
    assert on_fake is not None and bool((on_fake < 0).all())
    # Only a relativistic generator compares with real logits; its task hands them over without gradients.
    assert (on_real is not None) == (name == "gan-relativistic")


def test_the_saturating_generator_stops_where_the_other_goes_on() -> None:
    sure = torch.tensor([-20.0])
    stopped, going = (slopes_of(name, "generator", sure, sure)[1] for name in ("gan-minimax", "gan-non-saturating"))
    assert stopped is not None and -1e-8 < stopped.item() < 0.0
    assert going is not None and going.item() == pytest.approx(-1.0, abs=1e-8)


@every_loss
@every_side
def test_gradients_are_those_of_the_values(name: str, side: Side) -> None:
    real, fake = draw(5, 1).requires_grad_(), draw(5, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda r, f: ALL[name](r, f, side)[0], (real, fake))


@every_loss
@every_side
@pytest.mark.parametrize("sizes", [(1e4, 1e4), (-1e4, 1e4), (1e4, -1e4), (-1e4, -1e4)])
def test_stable_at_large_logits(name: str, side: Side, sizes: tuple[float, float]) -> None:
    real, fake = (torch.tensor([size]) for size in sizes)
    value, slopes = ALL[name](real, fake, side)[0], slopes_of(name, side, real, fake)
    exact, exactly = (
        ALL[name](real.double(), fake.double(), side)[0],
        slopes_of(name, side, real.double(), fake.double()),
    )
    assert value.dtype == torch.float32 and math.isfinite(value.item())
    assert value.item() == pytest.approx(exact.item(), rel=1e-6)
    for slope, other in zip(slopes, exactly, strict=True):
        assert (slope is None) == (other is None)
        if slope is not None and other is not None:
            assert slope.item() == pytest.approx(other.item(), rel=1e-6)  # NaN equals nothing


# -------------------------------------------------------------------------------------------------- sums and weights


@every_loss
@every_side
def test_a_split_batch_adds_up(name: str, side: Side) -> None:
    real, fake = draw(8, 3), draw(8, 4)
    whole_sum, whole_weight = ALL[name](real, fake, side)
    parts = [ALL[name](real[part], fake[part], side) for part in (slice(0, 3), slice(3, 8))]
    assert sum(part[0].item() for part in parts) == pytest.approx(whole_sum.item(), rel=1e-12)
    assert sum(part[1].item() for part in parts) == whole_weight.item() == 8
    assert whole_sum.item() / 8 == pytest.approx(ALL[name](real.tile(3), fake.tile(3), side)[0].item() / 24, rel=1e-12)


@every_loss
@every_side
def test_half_precision_is_summed_in_float32(name: str, side: Side) -> None:
    real, fake = draw(4096, 5).bfloat16(), draw(4096, 6).bfloat16()
    loss_sum, weight = ALL[name](real, fake, side)
    exact = ALL[name](real.double(), fake.double(), side)[0]
    assert loss_sum.dtype == torch.float32 and weight.item() == 4096
    # float32 has 24 bits; a sum in bfloat16's 8 would be off by 1e-3 or more.
    assert loss_sum.item() == pytest.approx(exact.item(), rel=1e-5, abs=1e-3)
    assert exact.dtype == torch.float64


# -------------------------------------------------------------------------------------------------- what is refused


@every_loss
def test_an_unknown_side_is_refused(name: str) -> None:
    side: Any = "critic"
    with pytest.raises(UsageError, match="unknown side 'critic'") as caught:
        ALL[name](REAL, FAKE, side)
    assert name in caught.value.message and "discriminator, generator" in caught.value.hint


@pytest.mark.parametrize(("real", "fake"), [((3,), (2,)), ((2, 1), (2, 1)), ((), ()), ((1,), (4,))])
def test_logits_that_are_no_pairs_are_refused(real: tuple[int, ...], fake: tuple[int, ...]) -> None:
    for loss in ALL.values():
        with pytest.raises(TrainingError, match=r"logits of shapes real .* and fake"):
            loss(torch.zeros(real), torch.zeros(fake), "generator")


@pytest.mark.parametrize("value", [-0.1, 0.5, 1.0, math.nan])
def test_smoothing_that_cannot_be_meant(value: float) -> None:
    with pytest.raises(ValueError, match=r"label_smoothing: expected at least 0 and below 0.5, found "):
        NonSaturatingConfig(label_smoothing=value)


# ------------------------------------------------------------------------------------------------------------- specs


@pytest.mark.parametrize("spec", LOSSES, ids=lambda spec: spec.name)
def test_every_loss_is_called_as_its_spec_says(spec: LossSpec) -> None:
    assert spec.inputs == ("real", "fake", "side") and spec.paper and spec.summary
    given: dict[str, Any] = {"real": REAL, "fake": FAKE, "side": "generator"}
    loss_sum, weight = build_from(spec)(*(given[name] for name in spec.inputs))
    assert loss_sum.shape == weight.shape == () and weight > 0


def test_names_of_the_losses() -> None:
    names = ["minimax", "non-saturating", "least-squares", "hinge", "wasserstein", "relativistic"]
    assert [spec.name for spec in LOSSES] == [f"gan-{name}" for name in names]
    assert [spec.config for spec in LOSSES if spec.config is not NoConfig] == [
        "zoo_gan.configs.losses:NonSaturatingConfig"
    ]


def test_settings_of_a_recipe() -> None:
    assert from_data(NonSaturatingConfig, {"label_smoothing": 0.1}, where="recipe.yaml").label_smoothing == 0.1
    with pytest.raises(RecipeError, match=r"recipe.yaml.*label_smoothing: expected at least 0 and below"):
        from_data(NonSaturatingConfig, {"label_smoothing": 0.9}, where="recipe.yaml")


def test_the_specs_come_without_torch() -> None:
    probe = "import sys, zoo_gan.specs.losses, zoo_gan.configs.losses; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
