"""A U-Net that translates images into images, and a discriminator that judges patches of them.

Paper: Isola, Zhu, Zhou, Efros, Image-to-Image Translation with Conditional Adversarial Networks (pix2pix), CVPR 2017,
arXiv 1611.07004, section 6.1, scaled down from 256 pixels by leaving coarse layers out. Other than in the paper:
normalisation is by image, which is what its batch normalisation is at its batch size of 1; dropout, the generator's
only noise, is off in evaluation mode, so that a translation can be repeated.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo_core import UsageError
from zoo_core.contract import Head
from zoo_gan.configs.models import UNetConfig
from zoo_gan.models.common import GAN, check_samples, normal_weights

_STD = 0.02
"""Deviation of all weights at first (section 6.2)."""
_SLOPE = 0.2
"""Of the leaky ReLU on its negative side (section 6.1)."""
_WIDEST = 8
"""The most that layers widen, as a multiple of the finest."""
_WITH_DROPOUT = 3
"""Layers on the way up, coarsest first, that may have dropout."""


def build(config: UNetConfig, head: Head) -> GAN:
    """Both networks; the generator's first argument is a condition, the discriminator's second the same."""
    shape = (config.in_channels, config.image_size, config.image_size)
    return GAN(Generator(config), Discriminator(config), sample_shape=shape, latent_dim=0)


class Generator(nn.Module):
    """Halves the condition down to its gist and doubles that back up, each layer seeing the one of its size again."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        widths = [config.width * min(2**place, _WIDEST) for place in range(config.depth)]
        self.shape = (config.in_channels, config.image_size, config.image_size)
        self.input = nn.Conv2d(config.in_channels, widths[0], 4, stride=2, padding=1)
        self.down = nn.ModuleList(
            # The innermost map may be a single pixel, which normalisation would wipe out.
            _down(widths[place - 1], widths[place], normalised=place < config.depth - 1)
            for place in range(1, config.depth)
        )
        self.up = nn.ModuleList()
        for number, place in enumerate(range(config.depth - 1, 0, -1)):
            before = widths[place] if number == 0 else 2 * widths[place]  # the innermost map has none beside it
            self.up.append(_up(before, widths[place - 1], config.dropout if number < _WITH_DROPOUT else 0.0))
        self.output = nn.ConvTranspose2d(2 * widths[0], config.in_channels, 4, stride=2, padding=1)
        normal_weights(self, _STD)

    def forward(self, condition: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (B, C, S, S) in [-1, 1] of conditions of the same shape. Raises `UsageError` for labels."""
        check_samples(condition, self.shape, "condition")
        if labels is not None:
            raise UsageError("labels were given to a network whose condition is an image", hint="leave them out")
        maps = [self.input(condition)]
        for layer in self.down:
            maps.append(layer(maps[-1]))
        hidden = maps.pop()  # the innermost: S / 2^depth a side
        for layer in self.up:
            hidden = torch.cat((layer(hidden), maps.pop()), 1)  # (B, 2 W, H, H), half of it from `down`
        return self.output(hidden.relu()).tanh()  # type: ignore[no-any-return]


class Discriminator(nn.Module):
    """Judges every patch of an image beside its condition (PatchGAN, section 3.2.2)."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        widths = [config.width * min(2**place, _WIDEST) for place in range(config.patch_layers + 1)]
        self.shape = (config.in_channels, config.image_size, config.image_size)
        layers: list[nn.Module] = [nn.Conv2d(2 * config.in_channels, widths[0], 4, stride=2, padding=1)]
        for place in range(1, len(widths)):
            stride = 2 if place < config.patch_layers else 1  # with patch_layers = 3 a logit sees 70 × 70 pixels
            layers += [
                nn.LeakyReLU(_SLOPE),
                nn.Conv2d(widths[place - 1], widths[place], 4, stride=stride, padding=1, bias=False),
                nn.InstanceNorm2d(widths[place], affine=True),
            ]
        self.body = nn.Sequential(*layers, nn.LeakyReLU(_SLOPE))
        self.output = nn.Conv2d(widths[-1], 1, 4, padding=1)
        normal_weights(self, _STD)

    def forward(self, images: Tensor, condition: Tensor | None) -> Tensor:
        """Logits (B,), each the mean over an image's patches, of images and conditions (B, C, S, S)."""
        return self.patches(images, condition).mean(1)

    def patches(self, images: Tensor, condition: Tensor | None) -> Tensor:
        """Logits (B, P) of every patch. Raises `UsageError` without a condition."""
        if condition is None:
            raise UsageError("the network judges images beside their condition, and none was given")
        check_samples(images, self.shape, "images")
        check_samples(condition, self.shape, "condition")
        logits: Tensor = self.output(self.body(torch.cat((images, condition), 1))).flatten(1)  # (B, P) of (B, 1, h, w)
        return logits


def _down(before: int, after: int, *, normalised: bool) -> nn.Sequential:
    # Normalisation takes any bias away again.
    convolution = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=not normalised)
    normalisation = [nn.InstanceNorm2d(after, affine=True)] if normalised else []
    return nn.Sequential(nn.LeakyReLU(_SLOPE), convolution, *normalisation)


def _up(before: int, after: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
        nn.InstanceNorm2d(after, affine=True),
        nn.Dropout(dropout),
    )
