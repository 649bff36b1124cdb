"""Penalties on gradients against closed forms, their own derivatives, and one sample at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_gan.regularisers import clip_weights, gradient_penalty, path_length, r1, r2

from zoo_core import TrainingError

Penalty = Callable[[Any, Tensor, Tensor | None], Tensor]


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def seeded(compute: Callable[[], Any], seed: int = 0) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return compute()


def between(discriminator: Any, images: Tensor, labels: Tensor | None) -> Tensor:
    """The penalty between pairs, as a function of the real images alone."""
    penalties: Tensor = seeded(lambda: gradient_penalty(discriminator, images, images.flip(-1), labels))
    return penalties


PENALTIES: dict[str, Penalty] = {"r1": r1, "r2": r2, "gradient_penalty": between}
every_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES.keys())


class Linear(nn.Module):
    """D(x) = <w, x> + b of the label."""

    def __init__(self, weights: Tensor, biases: Tensor | None = None) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.biases = biases

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        logits = (images * self.weights).flatten(1).sum(1)
        return logits if labels is None or self.biases is None else logits * self.biases[labels]


class Quadratic(nn.Module):
    """D(x) = a / 2 * ||x||^2, whose gradient is a x."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale, dtype=torch.float64))

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        return 0.5 * self.scale * images.square().flatten(1).sum(1)


class Smooth(nn.Module):
    """A small convolutional discriminator that can be differentiated as often as one likes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1, dtype=torch.float64)
        self.last = nn.Linear(3 * 9, 1, dtype=torch.float64)
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(0.5 * draw(*parameter.shape, seed=number))

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        logits: Tensor = self.last(torch.tanh(self.first(images)).flatten(1)).squeeze(1)
        return logits


# -------------------------------------------------------------------------------------------------------- R1 and R2


@pytest.mark.parametrize("penalty", [r1, r2])
def test_of_a_linear_discriminator_by_hand(penalty: Any) -> None:
    linear = Linear(torch.tensor([[[1.0, 2.0], [-2.0, 4.0]]]))
    # The gradient is w wherever x is: 1 + 4 + 4 + 16 = 25; times gamma / 2 = 5.
    found = penalty(linear, torch.randn(3, 1, 2, 2), None, gamma=10.0)
    assert found.tolist() == [125.0] * 3
    # d/dw of gamma / 2 * ||w||^2 summed over three samples: 3 * 10 * w.
    found.sum().backward()
    assert linear.weights.grad is not None and linear.weights.grad.flatten().tolist() == [30.0, 60.0, -60.0, 120.0]


@pytest.mark.parametrize("penalty", [r1, r2])
def test_of_a_quadratic_discriminator_by_hand(penalty: Any) -> None:
    images = torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64).view(3, 1, 1, 2)
    quadratic = Quadratic(2.0)
    # ||a x||^2 = 4 * (25, 1, 0); times gamma / 2 = 0.25: (25, 1, 0).
    found = penalty(quadratic, images, None, gamma=0.5)
    assert found.tolist() == [25.0, 1.0, 0.0]
    # d/da of 0.25 a^2 (25 + 1) = 0.5 * 2 * 26 = 26.
    found.sum().backward()
    assert quadratic.scale.grad is not None and quadratic.scale.grad.item() == pytest.approx(26.0)


def test_strength_is_one_where_none_is_given() -> None:
    images = draw(2, 1, 2, 2)
    assert torch.equal(r1(Quadratic(1.0), images, None), r1(Quadratic(1.0), images, None, gamma=1.0))
    assert torch.equal(r2(Quadratic(1.0), images, None), 0.5 * images.square().flatten(1).sum(1))


@every_penalty
def test_labels_reach_the_discriminator(penalty: Penalty) -> None:
    discriminator = Linear(torch.full((1, 1, 4), 0.5), biases=torch.tensor([2.0, 4.0]))
    # w has norm 1, so the gradient's norms are 4, 2 and 2.
    norms = torch.tensor([4.0, 2.0, 2.0])
    expected = (norms - 1).square() if penalty is between else 0.5 * norms.square()
    assert penalty(discriminator, torch.zeros(3, 1, 1, 4), torch.tensor([1, 0, 0])).tolist() == expected.tolist()


# ------------------------------------------------------------------------------------------------- gradient penalty


def test_gradient_penalty_of_a_linear_discriminator_by_hand() -> None:
    linear = Linear(torch.tensor([[[3.0, 4.0]]]))
    found = gradient_penalty(linear, torch.randn(2, 1, 1, 2), torch.randn(2, 1, 1, 2), None)
    assert found.tolist() == [16.0, 16.0]  # (5 - 1)^2
    # d/dw of 2 * (||w|| - 1)^2 = 4 * (5 - 1) * w / 5 = 3.2 w
    found.sum().backward()
    assert linear.weights.grad is not None and linear.weights.grad.flatten().tolist() == pytest.approx([9.6, 12.8])


def test_gradient_penalty_is_taken_on_the_line_between() -> None:
    real, fake = draw(64, 1, 2, 2, seed=1), draw(64, 1, 2, 2, seed=2)
    seen: list[Tensor] = []

    def spying(images: Tensor, labels: Tensor | None) -> Tensor:
        seen.append(images.detach())
        return Quadratic(1.0)(images, labels)

    found = seeded(lambda: gradient_penalty(spying, real, fake, None))
    (points,) = seen
    shares = ((points - fake) / (real - fake)).flatten(1)
    assert torch.allclose(shares, shares[:, :1].expand_as(shares), rtol=0, atol=1e-9)  # one share a sample
    assert 0.0 <= shares.min().item() < 0.1 and 0.9 < shares.max().item() <= 1.0
    assert torch.allclose(found, (points.flatten(1).norm(dim=1) - 1).square())  # the gradient is the point itself
    assert torch.equal(found, seeded(lambda: gradient_penalty(spying, real, fake, None)))
    assert not torch.equal(found, seeded(lambda: gradient_penalty(spying, real, fake, None), seed=1))


def test_gradient_penalty_where_the_gradient_is_zero() -> None:
    flat = Linear(torch.zeros(1, 2, 2))
    found = gradient_penalty(flat, torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2), None)
    assert found.tolist() == [1.0, 1.0]
    found.sum().backward()
    assert flat.weights.grad is not None and bool(flat.weights.grad.isfinite().all())


def test_gradient_penalty_refuses_images_that_are_no_pairs() -> None:
    with pytest.raises(TrainingError, match=r"images of shapes \(2, 1, 2, 2\) and \(1, 1, 2, 2\)"):
        gradient_penalty(Quadratic(1.0), torch.zeros(2, 1, 2, 2), torch.zeros(1, 1, 2, 2), None)


# ------------------------------------------------------------------------------------------------ all of them alike


@every_penalty
def test_second_derivatives(penalty: Penalty) -> None:
    """The penalty's gradient by the weights, which is a second derivative of the discriminator, by finite differences."""
    discriminator, images = Smooth(), draw(2, 1, 3, 3, seed=9)
    names, given = zip(*discriminator.named_parameters(), strict=True)

    def compute(*parameters: Tensor) -> Tensor:
        def called(at: Tensor, labels: Tensor | None) -> Tensor:
            found: Tensor = torch.func.functional_call(
                discriminator, dict(zip(names, parameters, strict=True)), (at, labels)
            )
            return found

        return penalty(called, images, None)

    assert compute(*given).gt(0).all()
    assert torch.autograd.gradcheck(compute, given)
    assert torch.autograd.gradgradcheck(compute, given, fast_mode=True)


@every_penalty
def test_a_sample_does_not_look_at_its_neighbours(penalty: Penalty) -> None:
    discriminator, images = Smooth(), draw(4, 1, 3, 3, seed=5)
    alone = images.clone()
    alone[1:] = draw(3, 1, 3, 3, seed=6)
    found, other = penalty(discriminator, images, None), penalty(discriminator, alone, None)
    assert found.shape == (4,) and found[0].item() == pytest.approx(other[0].item(), rel=1e-12)
    assert not torch.isclose(found[1:], other[1:]).any()


@every_penalty
def test_images_and_generators_get_no_gradient(penalty: Penalty) -> None:
    discriminator = Smooth()
    images = draw(2, 1, 3, 3).requires_grad_()
    penalty(discriminator, images * 2, None).sum().backward()
    assert images.grad is None and discriminator.first.weight.grad is not None
    plain = draw(2, 1, 3, 3)
    penalty(discriminator, plain, None)
    assert not plain.requires_grad


@every_penalty
def test_half_precision_logits_give_float32_penalties(penalty: Penalty) -> None:
    discriminator, images = Smooth().float(), draw(3, 1, 3, 3).float()
    exact = penalty(discriminator, images, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = penalty(discriminator, images, None)
    assert rough.dtype == torch.float32 and rough.tolist() == pytest.approx(exact.tolist(), rel=0.1, abs=0.02)
    assert penalty(discriminator, images.bfloat16(), None).dtype == torch.float32


@every_penalty
def test_points_of_the_plane_are_samples_too(penalty: Penalty) -> None:
    points = draw(3, 2)
    assert penalty(Quadratic(1.0), points, None).shape == (3,)


# ------------------------------------------------------------------------------------------------------ path length


class Scaled(nn.Module):
    """G(z) = a z, shaped as images of `side`, so that J^T y = a y."""

    def __init__(self, scale: float, side: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale, dtype=torch.float64))
        self.side = side

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        return (self.scale * latents).view(len(latents), -1, self.side, self.side)


def test_path_length_of_a_linear_generator_by_hand() -> None:
    generator, latents = Scaled(-3.0, 2), draw(5, 4)
    mean = torch.tensor(2.0, dtype=torch.float64)
    penalties, found = seeded(lambda: path_length(generator, latents, None, mean))
    noise = seeded(lambda: torch.randn(5, 1, 2, 2, dtype=torch.float64))
    lengths = 3 * noise.flatten(1).norm(dim=1) / 2  # |a| ||y||, y over the root of 2 * 2 pixels
    assert torch.allclose(penalties, (lengths - 2).square())
    assert torch.allclose(found, lengths) and not found.requires_grad
    assert mean.item() == 2.0
    penalties.sum().backward()
    # d/da of the sum of (|a| n - 2)^2, n = ||y|| / 2: 2 (3 n - 2) n sign(a).
    norms = lengths / 3
    expected = -(2 * (lengths - 2) * norms).sum().item()
    assert generator.scale.grad is not None and generator.scale.grad.item() == pytest.approx(expected)


def test_path_length_is_that_of_the_jacobian() -> None:
    """Against J itself: a generator that isn't linear, one sample at a time."""
    weights = draw(3, 8, seed=3)

    def generator(latents: Tensor, labels: Tensor | None) -> Tensor:
        return torch.tanh(latents @ weights).view(-1, 2, 2, 2)

    latents, mean = draw(2, 3, seed=4), torch.zeros((), dtype=torch.float64)
    penalties, _ = seeded(lambda: path_length(generator, latents, None, mean))
    noise = seeded(lambda: torch.randn(2, 2, 2, 2, dtype=torch.float64)) / 2
    for latent, shown, penalty in zip(latents, noise, penalties, strict=True):
        jacobian = torch.func.jacrev(lambda z: generator(z[None], None)[0].flatten())(latent)  # (8, 3)
        assert penalty.item() == pytest.approx((jacobian.T @ shown.flatten()).norm().item() ** 2)


def test_path_length_does_not_grow_with_the_image() -> None:
    mean = torch.zeros((), dtype=torch.float64)
    found = [
        seeded(lambda side=side: path_length(Scaled(1.0, side), draw(8, side * side), None, mean))[0].mean().item()
        for side in (8, 32)
    ]
    assert found == pytest.approx([1.0, 1.0], abs=0.15)  # ||y||^2 / pixels of unit normal noise


def test_second_derivatives_of_the_path_length() -> None:
    latents, mean = draw(2, 3, seed=4), torch.tensor(0.3, dtype=torch.float64)

    def compute(weights: Tensor) -> Tensor:
        def generator(at: Tensor, labels: Tensor | None) -> Tensor:
            return torch.tanh(at @ weights).view(-1, 1, 2, 2)

        penalties: Tensor = seeded(lambda: path_length(generator, latents, None, mean))[0]
        return penalties

    weights = draw(3, 4, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(compute, (weights,))
    assert torch.autograd.gradgradcheck(compute, (weights,), fast_mode=True)


def test_path_lengths_of_samples_are_apart() -> None:
    generator = Smooth()
    latents, mean = draw(3, 9, seed=7), torch.tensor(0.3, dtype=torch.float64)
    changed = latents.clone()
    changed[1:] = draw(2, 9, seed=8)

    def images(at: Tensor, labels: Tensor | None) -> Tensor:
        return torch.tanh(generator.first(at.view(-1, 1, 3, 3)))

    found, other = (seeded(lambda at=at: path_length(images, at, None, mean))[0] for at in (latents, changed))
    assert found[0].item() == pytest.approx(other[0].item(), rel=1e-12)
    assert not torch.isclose(found[1:], other[1:]).any()


def test_path_length_trains_a_mapping_in_front_and_leaves_plain_latents_alone() -> None:
    mapping = nn.Linear(2, 4, dtype=torch.float64)
    latents, mean = draw(3, 2), torch.zeros((), dtype=torch.float64)

    def curved(at: Tensor, labels: Tensor | None) -> Tensor:
        return at.pow(3).view(-1, 1, 2, 2)

    path_length(curved, mapping(latents), None, mean)[0].sum().backward()
    assert mapping.weight.grad is not None and bool(mapping.weight.grad.any())
    assert not latents.requires_grad


def test_path_length_refuses_a_mean_of_samples() -> None:
    with pytest.raises(TrainingError, match=r"running mean of shape \(1,\)"):
        path_length(Scaled(1.0, 2), draw(1, 4), None, torch.zeros(1))


# --------------------------------------------------------------------------------------------------------- clipping


def test_weights_are_clipped_in_place() -> None:
    layer = nn.Linear(3, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-2.0, 0.005, 0.5]]))
        layer.bias.fill_(-0.02)
    kept = layer.weight
    clip_weights(layer.parameters(), 0.01)
    assert layer.weight is kept and kept.requires_grad
    assert torch.equal(kept.detach(), torch.tensor([[-0.01, 0.005, 0.01]])) and layer.bias.item() == pytest.approx(
        -0.01
    )
    layer(torch.ones(1, 3)).sum().backward()
    assert kept.grad is not None
