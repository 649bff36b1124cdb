"""Residual generator and discriminator without normalisation, which need no tricks beyond their loss.

Paper: Huang, Gokaslan, Kuleshov, Tompkin, The GAN is dead; long live the GAN! A Modern GAN Baseline, NeurIPS 2024,
arXiv 2501.05441. Followed from section 4 and appendix: the networks mirror each other and keep residual streams clean;
blocks are inverted bottlenecks (1×1, grouped 3×3, 1×1) with biased leaky ReLUs; resampling is bilinear, beside the blocks
and with a 1×1 convolution where widths change; the generator starts from a learned basis scaled by the latent, without a
mapping network, and the discriminator ends in a depthwise convolution over the whole map; initialisation is that of
Fixup (Zhang et al., ICLR 2019, arXiv 1901.09321) without its scalars. With the defaults at 256 pixels the networks have
23.06 and 23.01 million parameters.

Other than in the paper: sizes of 7·2ⁿ start from 7×7; classes enter the discriminator by a projection beside the
unconditional logit, and their embeddings start with the variance of what they meet; everything runs in the precision
that it is given, without half-precision stages; images are cut to [-1, 1] in evaluation mode.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo_core.contract import Head
from zoo_gan.configs.models import R3GANConfig, stages_of
from zoo_gan.models.common import GAN, LatentEmbedding, Projection, Stages, check_samples, pair

_SLOPE = 0.2
"""Of the leaky ReLU on its negative side."""
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))
"""What makes up for the leaky ReLU's loss of variance (He et al., ICCV 2015, equation 15)."""


def build(config: R3GANConfig, head: Head) -> GAN:
    """Both networks. Raises `UsageError` when the classes are not as many as the head's labels."""
    shape = (config.in_channels, config.image_size, config.image_size)
    return pair(config, head, Generator, Discriminator, sample_shape=shape)


class Generator(nn.Module):
    """A basis that latents scale, then stages of residual blocks, each at twice the size of the one before."""

    def __init__(self, config: R3GANConfig) -> None:
        super().__init__()
        widths = config.stage_widths
        base, _ = stages_of(config.image_size)
        self.latents = LatentEmbedding(config.latent_dim, config.num_classes)
        self.basis = nn.Parameter(torch.randn(widths[0], base, base))  # (W, base, base)
        self.modulation = nn.Linear(self.latents.width, widths[0], bias=False)
        nn.init.normal_(self.modulation.weight, std=1 / math.sqrt(self.latents.width))
        self.stages = Stages()
        for place, blocks in enumerate(_residual_blocks(config)):
            entry = [Upsample(widths[place - 1], widths[place])] if place else []
            self.stages.append(nn.Sequential(*entry, *blocks))
        self.output = _convolution(widths[-1], config.in_channels, 1)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (B, C, S, S), in [-1, 1] in evaluation mode; a cut while training would stop the gradient."""
        scales = self.modulation(self.latents(latents, labels))  # (B, W)
        images: Tensor = self.output(self.stages(self.basis * scales[:, :, None, None]))  # from (B, W, base, base)
        return images if self.training else images.clamp(-1, 1)


class Discriminator(nn.Module):
    """Stages of residual blocks, each at half the size of the one before, and a depthwise convolution over the rest."""

    def __init__(self, config: R3GANConfig) -> None:
        super().__init__()
        widths = config.stage_widths
        base, _ = stages_of(config.image_size)
        self.shape = (config.in_channels, config.image_size, config.image_size)
        self.input = _convolution(config.in_channels, widths[-1], 1)
        self.stages = Stages()
        for place, blocks in reversed(list(enumerate(_residual_blocks(config)))):
            exit_ = [Downsample(widths[place], widths[place - 1])] if place else []
            self.stages.append(nn.Sequential(*blocks, *exit_))
        self.basis = _convolution(widths[0], widths[0], base, groups=widths[0], padding=0)
        self.output = nn.Linear(widths[0], 1, bias=False)
        nn.init.normal_(self.output.weight, std=1 / math.sqrt(widths[0]))
        self.projection = Projection(widths[0], config.num_classes, std=1 / math.sqrt(widths[0]))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits (B,) of images (B, C, S, S)."""
        check_samples(images, self.shape, "images")
        features = self.basis(self.stages(self.input(images))).flatten(1)  # (B, W)
        logits: Tensor = self.projection(self.output(features).squeeze(1), features, labels)
        return logits


class ResidualBlock(nn.Module):
    """An inverted bottleneck with a grouped convolution inside, the identity at first."""

    def __init__(self, width: int, *, expansion: int, group_width: int, depth: int) -> None:
        """Draw the weights; `depth` is how many such blocks the network has in all.

        Every branch adds its variance to the stream. Its first two layers are scaled by depth^(-1/4) each, the branch
        by depth^(-1/2) then, so that an update of the last one, which starts at 0, changes the network as much
        whatever its depth (Fixup, section 3).
        """
        super().__init__()
        inner = width * expansion
        gain = _GAIN * depth**-0.25
        self.expand = _convolution(width, inner, 1, gain=gain, bias=True)
        self.spatial = _convolution(inner, inner, 3, groups=inner // group_width, gain=gain, bias=True, padding=1)
        self.project = _convolution(inner, width, 1, gain=0.0)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, W, H, H) to the same shape."""
        inner = F.leaky_relu(self.expand(maps), _SLOPE)
        inner = F.leaky_relu(self.spatial(inner), _SLOPE)
        return maps + self.project(inner)  # type: ignore[no-any-return]


class _Resampler(nn.Module):
    """Holds the filter of bilinear interpolation by two, and a 1×1 convolution where widths differ.

    Autocast leaves the filter alone: CPUs take several times as long for a depthwise one in bfloat16.
    """

    kernel: Tensor

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None], persistent=False)  # (1, 1, 4, 4)
        self.mix = _convolution(before, after, 1) if before != after else nn.Identity()


class Upsample(_Resampler):
    """Twice the size, by bilinear interpolation with zeros around the image."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, V, H, H) to (B, W, 2 H, 2 H)."""
        maps = self.mix(maps)
        width = maps.shape[1]
        with torch.autocast(maps.device.type, enabled=False):
            kernel = 4 * self.kernel.expand(width, 1, 4, 4)  # stride 2 leaves each output a quarter of the taps
            return F.conv_transpose2d(maps.to(self.kernel.dtype), kernel, stride=2, padding=1, groups=width)


class Downsample(_Resampler):
    """Half the size, by bilinear interpolation without aliasing and with zeros around the image."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, V, 2 H, 2 H) to (B, W, H, H)."""
        width = maps.shape[1]
        with torch.autocast(maps.device.type, enabled=False):
            kernel = self.kernel.expand(width, 1, 4, 4)
            maps = F.conv2d(maps.to(self.kernel.dtype), kernel, stride=2, padding=1, groups=width)
        return self.mix(maps)  # type: ignore[no-any-return]


def _residual_blocks(config: R3GANConfig) -> list[list[ResidualBlock]]:
    """The blocks of each stage, coarsest first."""
    depth = sum(config.stage_blocks)
    return [
        [
            ResidualBlock(width, expansion=config.expansion, group_width=config.group_width, depth=depth)
            for _ in range(blocks)
        ]
        for width, blocks in zip(config.stage_widths, config.stage_blocks, strict=True)
    ]


def _convolution(
    before: int, after: int, size: int, *, groups: int = 1, gain: float = 1.0, bias: bool = False, padding: int = 0
) -> nn.Conv2d:
    """A convolution that multiplies the variance by gain² at first."""
    convolution = nn.Conv2d(before, after, size, groups=groups, bias=bias, padding=padding)
    nn.init.normal_(convolution.weight, std=gain / math.sqrt(convolution.weight[0].numel()))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution
