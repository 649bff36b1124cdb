"""Perceptrons that make and judge points of the plane, to see what a loss does to modes.

The networks of the experiments on 25 Gaussians and the swiss roll in Gulrajani et al., Improved Training of Wasserstein
GANs, NeurIPS 2017, arXiv 1704.00028, section 5.1: three hidden layers; here with leaky ReLUs, and classes if asked for.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from zoo_core.contract import Head
from zoo_gan.configs.models import MLPConfig
from zoo_gan.models.common import GAN, LatentEmbedding, Projection, check_samples, pair

DIMENSIONS = 2
"""Coordinates of a point."""
_SLOPE = 0.2


def build(config: MLPConfig, head: Head) -> GAN:
    """Both networks. Raises `UsageError` when the classes are not as many as the head's labels."""
    return pair(config, head, Generator, Discriminator, sample_shape=(DIMENSIONS,))


class Generator(nn.Module):
    """Latents to points."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.latents = LatentEmbedding(config.latent_dim, config.num_classes)
        self.body = _hidden_layers(self.latents.width, config)
        self.output = nn.Linear(config.width, DIMENSIONS)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Points (B, 2), anywhere in the plane."""
        points: Tensor = self.output(self.body(self.latents(latents, labels)))
        return points


class Discriminator(nn.Module):
    """Points to logits."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.body = _hidden_layers(DIMENSIONS, config)
        self.output = nn.Linear(config.width, 1)
        self.projection = Projection(config.width, config.num_classes, std=1 / math.sqrt(config.width))

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits (B,) of points (B, 2)."""
        check_samples(points, (DIMENSIONS,), "points")
        features = self.body(points)  # (B, W)
        logits: Tensor = self.projection(self.output(features).squeeze(1), features, labels)
        return logits


def _hidden_layers(inputs: int, config: MLPConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, *[config.width] * (config.num_layers - 1)):
        linear = nn.Linear(width, config.width)
        nn.init.kaiming_normal_(linear.weight, _SLOPE)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.LeakyReLU(_SLOPE)]
    return nn.Sequential(*layers)
