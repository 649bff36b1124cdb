"""RandAugment and TrivialAugment: their operations, how strong each may be, and which an image gets.

Papers: Cubuk et al., NeurIPS 2020, arXiv 1909.13719; Müller and Hutter, ICCV 2021, arXiv 2103.10158 (the "wide" space).
Operations and strengths are torchvision's `RandAugment` and `TrivialAugmentWide`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias, cast

import torch
from numpy.random import Generator
from torch import Tensor
from torchvision.transforms.v2 import functional as F  # type: ignore[import-untyped]

BINS = 31
"""Strengths that an operation knows, from none to its most."""
Kernel: TypeAlias = Callable[[Tensor, float, list[float]], Tensor]
"""An image (C, S, S) at a strength, with what fills uncovered places, one value a channel."""


class Operation(NamedTuple):
    """One change, and the strengths of which one is drawn."""

    apply: Kernel
    strengths: tuple[float, ...]
    signed: bool
    """Whether a coin turns the strength round."""


class Policy:
    """`count` operations after each other, each drawn anew; the same draws give the same pixels."""

    def __init__(self, operations: Sequence[Operation], count: int, fill: Sequence[float]) -> None:
        """`fill`: what uncovered places get, one value a channel."""
        self.operations = tuple(operations)
        self.count = count
        self.fill = [float(value) for value in fill]

    def __call__(self, image: Tensor, generator: Generator) -> Tensor:
        """uint8 (C, S, S), C of 1 or 3, changed."""
        for which, how, coin in generator.random((self.count, 3)).tolist():
            operation = self.operations[int(which * len(self.operations))]
            strength = operation.strengths[int(how * len(operation.strengths))]
            image = operation.apply(image, -strength if operation.signed and coin < 0.5 else strength, self.fill)
        return image


def rand_augment(magnitude: int, side: int, fill: Sequence[float]) -> Policy:
    """Two operations, all at strength `magnitude` of 0 to 30, for images of `side` pixels."""
    moved = 150.0 / 331.0 * side
    operations = _operations(shear=0.3, moved=moved, turned=30.0, colour=0.9, lost=4)
    single = [one._replace(strengths=one.strengths[magnitude : magnitude + 1]) for one in operations]
    return Policy(single, 2, fill)


def trivial_augment(fill: Sequence[float]) -> Policy:
    """One operation at any of its strengths."""
    return Policy(_operations(shear=0.99, moved=32.0, turned=135.0, colour=0.99, lost=6), 1, fill)


def _operations(*, shear: float, moved: float, turned: float, colour: float, lost: int) -> list[Operation]:
    """The 14, by their most: shear, pixels moved, degrees turned, share of a colour's change, and bits lost."""
    signed: tuple[tuple[Kernel, float], ...] = (
        (_shear_x, shear),
        (_shear_y, shear),
        (_translate_x, moved),
        (_translate_y, moved),
        (_rotate, turned),
        (_brightness, colour),
        (_colour, colour),
        (_contrast, colour),
        (_sharpness, colour),
    )
    bits = tuple(float(round(8 - lost * step / (BINS - 1))) for step in range(BINS))
    return [
        *(Operation(kernel, _spaced(0.0, most), signed=True) for kernel, most in signed),
        Operation(_posterize, bits, signed=False),
        Operation(_solarize, _spaced(1.0, 0.0), signed=False),
        *(Operation(kernel, (0.0,) * BINS, signed=False) for kernel in (_identity, _autocontrast, _equalize)),
    ]


def _spaced(start: float, end: float) -> tuple[float, ...]:
    return tuple(torch.linspace(start, end, BINS).tolist())


def _identity(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return image


def _shear_x(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return _affine(image, fill, shear=[math.degrees(math.atan(by)), 0.0], center=[0.0, 0.0])


def _shear_y(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return _affine(image, fill, shear=[0.0, math.degrees(math.atan(by))], center=[0.0, 0.0])


def _translate_x(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return _affine(image, fill, translate=[int(by), 0])


def _translate_y(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return _affine(image, fill, translate=[0, int(by)])


def _affine(
    image: Tensor,
    fill: list[float],
    *,
    translate: Sequence[int] = (0, 0),
    shear: Sequence[float] = (0.0, 0.0),
    center: list[float] | None = None,
) -> Tensor:
    made = F.affine(image, angle=0.0, translate=list(translate), scale=1.0, shear=list(shear), fill=fill, center=center)
    return cast(Tensor, made)


def _rotate(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return cast(Tensor, F.rotate(image, by, fill=fill))


def _brightness(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return cast(Tensor, F.adjust_brightness(image, 1.0 + by))


def _colour(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return cast(Tensor, F.adjust_saturation(image, 1.0 + by))


def _contrast(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return cast(Tensor, F.adjust_contrast(image, 1.0 + by))


def _sharpness(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return cast(Tensor, F.adjust_sharpness(image, 1.0 + by))


def _posterize(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return cast(Tensor, F.posterize(image, int(by)))


def _solarize(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return cast(Tensor, F.solarize(image, 255.0 * by))


def _autocontrast(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return cast(Tensor, F.autocontrast(image))


def _equalize(image: Tensor, by: float, fill: list[float]) -> Tensor:
    return cast(Tensor, F.equalize(image))
