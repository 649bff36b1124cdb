"""What a generator is asked: seeds, walks between two seeds, and images to find the latents of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo_core import DataError

_WALK = re.compile(r"(\d{1,40})\.\.(\d{1,40})")
MAX_SEED = 2**63 - 1
"""What torch's generators take."""
CANDIDATES = 256
"""Random latents of which a projection starts from the best."""
_STEP = 0.1
"""Learning rate of a projection at first; it falls to 0 along half a cosine."""
_SHELL = 0.01
"""Weight of a projection's pull to the length that most latents have."""

Generator = Callable[[Tensor, Tensor | None], Tensor]
"""Latents (N, Z) and labels (N,) or None to images (N, C, S, S)."""


class Interpolation(NamedTuple):
    """From the sample of one seed to that of another."""

    first: int
    last: int


def parse_request(item: Any, seed: int, place: int = 0) -> int | Interpolation | None:
    """What the input at `place`, from 0, asks for: the seed of a sample, counted from `seed`, a `Interpolation`, or None for
    anything else. Raises `DataError` for a seed that is too large to draw with."""
    text = str(item) if isinstance(item, str | int) and not isinstance(item, bool) else ""
    if re.fullmatch(r"\d{1,40}", text):
        return _seed(seed + int(text), place)
    if walk := _WALK.fullmatch(text):
        return Interpolation(_seed(seed + int(walk[1]), place), _seed(seed + int(walk[2]), place))
    return None


def _seed(number: int, place: int) -> int:
    if number > MAX_SEED:
        raise DataError(f"input {place + 1}: the number of a sample is at most {MAX_SEED}, found {number}")
    return number


def seed_of(item: Any, seed: int, place: int) -> int:
    """The seed of the sample that the input at `place` asks for, a whole number from 0. Raises `DataError` for anything else."""
    found = parse_request(item, seed, place)
    if not isinstance(found, int):
        raise DataError(
            f"input {place + 1}: {str(item)!r} is no number of a sample",
            hint="a generator is asked by numbers: 0 1 2",
        )
    return found


def seeded_latents(seeds: Sequence[int], width: int) -> Tensor:
    """Latents (N, Z), each a function of its seed alone."""
    return torch.stack([torch.randn(width, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def between(first: Tensor, last: Tensor, count: int) -> Tensor:
    """`count` latents (count, Z) from `first` (Z,) to `last` (Z,), both included, along the arc between them.

    Source: White, Sampling Generative Networks, 2016, arXiv 1609.04468, section 2.1, after Shoemake, 1985: on a straight
    line latents would be shorter than any that the generator was trained on. Lengths go over evenly.
    """
    angle = torch.arccos((nn.functional.normalize(first, dim=0) @ nn.functional.normalize(last, dim=0)).clamp(-1, 1))
    share = torch.linspace(0, 1, count)[:, None]  # μ: (count, 1)
    if float(angle.sin()) < 1e-4:  # no arc where they are parallel, no single one where they are opposite
        return torch.lerp(first[None], last[None], share)
    # slerp: (sin((1 - μ) Ω) q_1 + sin(μ Ω) q_2) / sin Ω, with Ω the angle between the two.
    return (((1 - share) * angle).sin() * first + (share * angle).sin() * last) / angle.sin()


class Projection(NamedTuple):
    """The latent whose image comes nearest to one that was given."""

    latent: Tensor
    """(Z,)."""
    label: int | None
    """Number of its class, for a conditional generator."""
    before: float
    """Mean squared difference of the images, which run from -1 to 1, for the best of the random latents."""
    after: float
    """The same for the latent that was found."""


def project(
    generator: Generator,
    target: Tensor,
    latent_dim: int,
    labels: Sequence[int],
    *,
    starts: int,
    iterations: int,
    seed: int,
) -> Projection:
    """Find the latent of an image by gradient descent on the differences at three sizes.

    Source: Zhu et al., Generative Visual Manipulation on the Natural Image Manifold, ECCV 2016, equation 3, without
    its network that predicts a start: descent starts from the best of many random latents, as few of them lead there.

    Args:
        generator: in evaluation mode, its parameters frozen.
        target: (C, S, S) from -1 to 1.
        latent_dim: Z.
        labels: classes to try, for a conditional generator; empty otherwise.
        starts: descents, for every class.
        iterations: updates of each.
        seed: chooses the random latents.
    """
    random = torch.Generator().manual_seed(seed)
    device = target.device
    found: list[Projection] = []
    for label in labels or (None,):
        drawn = torch.randn(CANDIDATES, latent_dim, generator=random).to(device)
        with torch.no_grad():
            differences = torch.cat(
                [_differences(_made(generator, part, label), target) for part in torch.split(drawn, 64)]
            )
        order = differences.argsort()[:starts]  # (starts,) of the 256
        latents = drawn[order].clone().requires_grad_(True)
        _descend(generator, target, latents, label, iterations)
        with torch.no_grad():
            after = (_made(generator, latents, label) - target).square().flatten(1).mean(1)
            before = (_made(generator, drawn[order[:1]], label) - target).square().mean()
        best = int(after.nan_to_num(torch.inf).argmin())  # a descent that diverged is never the best
        found.append(Projection(latents.detach()[best].cpu(), label, float(before), float(after[best])))
    return min(found, key=lambda one: one.after)


def _descend(generator: Generator, target: Tensor, latents: Tensor, label: int | None, iterations: int) -> None:
    optimizer = torch.optim.Adam([latents], lr=_STEP)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, iterations))
    for _ in range(iterations):
        optimizer.zero_grad()
        length = latents.square().mean(1)  # ||z||² / Z, about 1 for N(0, I)
        loss = _differences(_made(generator, latents, label), target) + _SHELL * (length - 1).square()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def _made(generator: Generator, latents: Tensor, label: int | None) -> Tensor:
    labels = None if label is None else torch.full((len(latents),), label, device=latents.device)
    return generator(latents, labels)


def _differences(made: Tensor, target: Tensor) -> Tensor:
    """Mean squared differences (N,) of images (N, C, S, S), summed over the image, its half and its quarter size."""
    total = torch.zeros(len(made), device=made.device)
    target = target[None]
    for size in range(3):
        if size:
            made, target = nn.functional.avg_pool2d(made, 2), nn.functional.avg_pool2d(target, 2)
        total = total + (made - target).square().flatten(1).mean(1)
    return total
