"""Differentiable augmentation and instance noise: what moves, how far, and that gradients and draws agree."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from zoo_gan.augment import (
    add_noise,
    augment,
    brightness,
    contrast,
    cutout,
    policy_names,
    saturation,
    translation,
)

from zoo_core import UsageError

EVERYTHING = "colour,translation,cutout"
every_policy = pytest.mark.parametrize("policy", ["colour", "translation", "cutout", EVERYTHING])


def random_images(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    drawn = torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (2 * drawn - 1).to(dtype)


def seeded(change: Callable[[Tensor], Tensor], images: Tensor, seed: int = 0) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return change(images)


def augmented(images: Tensor, policy: str, seed: int = 0) -> Tensor:
    return seeded(lambda given: augment(given, policy), images, seed)


# ------------------------------------------------------------------------------------------------------- the policy


def test_an_empty_policy_changes_and_draws_nothing() -> None:
    images, state = random_images(2, 3, 8, 8), torch.get_rng_state()
    assert augment(images, "") is images and policy_names("") == ()
    assert torch.equal(torch.get_rng_state(), state)


@every_policy
@pytest.mark.parametrize("shape", [(3, 3, 16, 16), (2, 1, 16, 16), (1, 3, 9, 9), (2, 3, 16, 24)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_shapes_and_types_stay(policy: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    images = random_images(*shape, dtype=dtype)
    before = images.clone()
    changed = augmented(images, policy)
    assert changed.shape == shape and changed.dtype == dtype and bool(changed.isfinite().all())
    assert torch.equal(images, before)


@every_policy
def test_real_and_generated_images_are_changed_alike_under_one_seed(policy: str) -> None:
    images = random_images(4, 3, 16, 16)
    assert torch.equal(augmented(images, policy), augmented(images.clone(), policy))
    assert not torch.equal(augmented(images, policy), augmented(images, policy, seed=1))
    # Generated images may come in bfloat16 out of autocast; the draws must not depend on it.
    halved = augmented(images.bfloat16(), policy).float()
    assert halved.sub(augmented(images, policy)).abs().max().item() < 0.05


@every_policy
def test_samples_get_draws_of_their_own(policy: str) -> None:
    one = random_images(1, 3, 16, 16)
    changed = augmented(one.expand(8, 3, 16, 16), policy)
    assert len({tuple(sample.flatten().tolist()) for sample in changed}) > 4


@every_policy
def test_gradients_flow_to_the_images(policy: str) -> None:
    images = random_images(2, 2, 8, 8, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: augmented(given, policy), (images,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda given: augmented(given, policy).pow(3), (images,), fast_mode=True)
    changed = augmented(images, policy)
    (slopes,) = torch.autograd.grad(changed.sum(), images)
    assert bool(slopes.any())


def test_names_are_applied_in_order() -> None:
    assert policy_names("cutout, colour") == ("cutout", "colour")
    image = random_images(1, 1, 8, 8)
    hidden = augmented(image, "colour,cutout") == 0
    assert 0 < int(hidden.sum()) <= 16
    assert not bool((augmented(image, "cutout,colour") == 0).any())  # colour changed what was zeroed


@pytest.mark.parametrize("policy", ["hue", "colour,hue", "colour,", ",", "Colour", "colour translation"])
def test_an_unknown_policy_is_refused(policy: str) -> None:
    for refuse in (lambda: augment(random_images(1, 3, 8, 8), policy), lambda: policy_names(policy)):
        with pytest.raises(UsageError, match="unknown augmentation") as caught:
            refuse()
        assert "colour, translation, cutout" in caught.value.hint


# ------------------------------------------------------------------------------------------------------------ colour

MANY = random_images(256, 3, 4, 4, dtype=torch.float64)


def test_brightness_adds_one_number_to_a_sample() -> None:
    moved = seeded(brightness, MANY) - MANY
    added = moved[:, :1, :1, :1]
    assert torch.allclose(moved, added.expand_as(moved), rtol=0, atol=1e-12)
    assert -0.5 <= added.min().item() < -0.4 and 0.4 < added.max().item() < 0.5


def test_saturation_keeps_each_pixels_mean_over_channels() -> None:
    changed = seeded(saturation, MANY)
    means = MANY.mean(1, keepdim=True)
    assert torch.allclose(changed.mean(1, keepdim=True), means, rtol=0, atol=1e-12)
    factors = factors_of(changed - means, MANY - means)
    assert 0.0 <= factors.min().item() < 0.1 and 1.9 < factors.max().item() < 2.0


def test_contrast_keeps_each_samples_mean() -> None:
    changed = seeded(contrast, MANY)
    means = MANY.mean((1, 2, 3), keepdim=True)
    assert torch.allclose(changed.mean((1, 2, 3), keepdim=True), means, rtol=0, atol=1e-12)
    factors = factors_of(changed - means, MANY - means)
    assert 0.5 <= factors.min().item() < 0.55 and 1.45 < factors.max().item() < 1.5


def factors_of(changed: Tensor, given: Tensor) -> Tensor:
    """The one factor of each sample, (B,)."""
    largest = given.flatten(1).abs().argmax(1, keepdim=True)
    factors = changed.flatten(1).gather(1, largest) / given.flatten(1).gather(1, largest)
    assert torch.allclose(changed.flatten(1), given.flatten(1) * factors, rtol=0, atol=1e-12)
    return factors.flatten()


def test_grey_has_no_saturation() -> None:
    grey = MANY[:, :1]
    assert torch.allclose(seeded(saturation, grey), grey, rtol=0, atol=1e-15)
    assert not torch.allclose(augmented(grey, "colour"), grey)


# ------------------------------------------------------------------------------------------- translation and cutout


def shifts_of(images: Tensor, moved: Tensor, furthest: int) -> list[tuple[int, int]]:
    """How far each sample moved down and right, found by trying all; zeros must have come in."""
    height, width = images.shape[2:]
    found = []
    for given, shown in zip(images, moved, strict=True):
        matches = []
        for down in range(-furthest, furthest + 1):
            for right in range(-furthest, furthest + 1):
                expected = torch.zeros_like(given)
                rows = slice(max(down, 0), height + min(down, 0))
                columns = slice(max(right, 0), width + min(right, 0))
                from_rows = slice(max(-down, 0), height + min(-down, 0))
                from_columns = slice(max(-right, 0), width + min(-right, 0))
                expected[:, rows, columns] = given[:, from_rows, from_columns]
                if torch.equal(expected, shown):
                    matches.append((down, right))
        assert len(matches) == 1
        found.append(matches[0])
    return found


def test_translation_moves_by_an_eighth_at_most_and_fills_with_zeros() -> None:
    images = random_images(128, 2, 16, 16)
    shifts = shifts_of(images, seeded(translation, images), furthest=4)
    # 16 / 8 = 2 pixels at most, and every one of the 25 moves turns up among 128.
    assert set(shifts) == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


@pytest.mark.parametrize(("side", "furthest"), [(7, 0), (8, 1), (15, 1), (16, 2)])
def test_translation_never_exceeds_an_eighth_of_the_side(side: int, furthest: int) -> None:
    images = random_images(32, 1, side, side)
    shifts = shifts_of(images, seeded(translation, images), furthest=furthest + 1)
    assert {abs(step) for shift in shifts for step in shift} == set(range(furthest + 1))


def test_translation_lets_no_hidden_value_through() -> None:
    images = torch.full((64, 1, 8, 8), math.inf)
    assert not bool(seeded(translation, images).isnan().any())
    assert not bool(seeded(cutout, images).isnan().any())


@pytest.mark.parametrize("side", [8, 9, 10, 11])
def test_cutout_covers_half_the_side_at_most(side: int) -> None:
    images = torch.ones(512, 3, side, side)
    hidden = seeded(cutout, images) == 0
    assert torch.equal(hidden[:, 0], hidden[:, 1]) and torch.equal(hidden[:, 0], hidden[:, 2])
    rows, columns = hidden[:, 0].any(2), hidden[:, 0].any(1)  # (B, S)
    assert torch.equal(hidden[:, 0], rows[:, :, None] & columns[:, None, :])  # rectangles
    for line in (rows, columns):
        lengths = line.sum(1)
        assert int(lengths.max()) == side // 2 and int(lengths.min()) == math.ceil((side // 2) / 2)
        changes = line.diff(dim=1).sum(1) + line[:, 0] + line[:, -1]
        assert bool((changes == 2).all())  # one stretch each
        assert bool(line.any(0).all())  # every place is hidden in some sample
        assert line.float().mean(0).sub(line.float().mean(0).flip(0)).abs().max().item() < 0.15  # no side preferred


def test_cutout_keeps_what_it_does_not_hide() -> None:
    images = random_images(16, 3, 8, 8)
    shown = seeded(cutout, images)
    assert torch.equal(shown, images.where(shown != 0, 0))


# ------------------------------------------------------------------------------------------------------------- noise


def test_noise_has_the_deviation_asked_for() -> None:
    images = random_images(8, 3, 32, 32)
    added = seeded(lambda given: add_noise(given, 0.25), images) - images
    # 24,576 draws: the mean is off by 0.25 / 157 = 0.0016, the deviation by 0.25 / 222 = 0.0011; five times that.
    assert abs(added.mean().item()) < 0.008 and added.std().item() == pytest.approx(0.25, abs=0.006)


def test_noise_of_real_and_generated_images_is_the_same_under_one_seed() -> None:
    first, second = random_images(2, 3, 8, 8).double(), random_images(2, 3, 8, 8, seed=1).double()
    noises = [seeded(lambda given: add_noise(given, 0.5), images) - images for images in (first, second)]
    assert torch.allclose(*noises, rtol=0, atol=1e-12)
    halved = seeded(lambda given: add_noise(given, 0.5), first.bfloat16())
    assert halved.dtype == torch.bfloat16 and (halved - first - noises[0]).abs().max().item() < 0.05


def test_noise_passes_gradients_and_nothing_at_zero() -> None:
    images, state = random_images(2, 1, 4, 4).requires_grad_(), torch.get_rng_state()
    assert add_noise(images, 0.0) is images and torch.equal(torch.get_rng_state(), state)
    (slopes,) = torch.autograd.grad(seeded(lambda given: add_noise(given, 1.0), images).sum(), images)
    assert torch.equal(slopes, torch.ones_like(images))
