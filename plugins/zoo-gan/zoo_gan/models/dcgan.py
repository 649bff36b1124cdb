"""Convolutional generator and discriminator with batch normalisation.

Paper: Radford, Metz, Chintala, Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, ICLR 2016, arXiv 1511.06434. At 64 pixels with the default widths the layers are those of PyTorch's DCGAN
tutorial. Classes are not in the paper: the generator gets an embedding beside the latent, the discriminator a projection.
Nor are networks without normalisation, which are for losses whose penalties take samples one by one (R1, R2): their
weights start with the variance that keeps that of the activations (He et al., ICCV 2015, equation 10).
"""

from __future__ import annotations

from torch import Tensor, nn

from zoo_core.contract import Head
from zoo_gan.configs.models import DCGANConfig, stages_of
from zoo_gan.models.common import (
    GAN,
    LatentEmbedding,
    Projection,
    check_samples,
    even_weights,
    normal_weights,
    pair,
)

_STD = 0.02
"""Deviation of all weights at first (section 4)."""
_SLOPE = 0.2
"""Of the leaky ReLU on its negative side (section 4)."""


def build(config: DCGANConfig, head: Head) -> GAN:
    """Both networks. Raises `UsageError` when the classes are not as many as the head's labels."""
    shape = (config.in_channels, config.image_size, config.image_size)
    return pair(config, head, Generator, Discriminator, sample_shape=shape)


class Generator(nn.Module):
    """Transposed convolutions that double the image from 4 or 7 pixels on."""

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        base, doublings = stages_of(config.image_size)
        width = config.width << (doublings - 1)  # at base × base, halved with every doubling of the size
        self.latents = LatentEmbedding(config.latent_dim, config.num_classes)
        bias = not config.normalise
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(self.latents.width, width, base, stride=base, bias=bias),  # (B, W, base, base)
            *_normalisation(width, config),
            nn.ReLU(),
        ]
        for _ in range(doublings - 1):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=bias),
                *_normalisation(width // 2, config),
                nn.ReLU(),
            ]
            width //= 2
        self.body = nn.Sequential(*layers)
        self.output = nn.ConvTranspose2d(width, config.in_channels, 4, stride=2, padding=1, bias=False)
        normal_weights(self, _STD) if config.normalise else even_weights(self, slope=0.0)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (B, C, S, S) in [-1, 1]."""
        start = self.latents(latents, labels)[:, :, None, None]  # (B, Z or 2 Z, 1, 1)
        return self.output(self.body(start)).tanh()  # type: ignore[no-any-return]


class Discriminator(nn.Module):
    """Strided convolutions that halve the image down to 4 or 7 pixels, and one that judges what is left."""

    def __init__(self, config: DCGANConfig) -> None:
        super().__init__()
        base, doublings = stages_of(config.image_size)
        width = config.width
        self.shape = (config.in_channels, config.image_size, config.image_size)
        bias = not config.normalise
        self.input = nn.Conv2d(config.in_channels, width, 4, stride=2, padding=1, bias=bias)
        # No normalisation after the first layer (section 3).
        layers: list[nn.Module] = [nn.LeakyReLU(_SLOPE)]
        for _ in range(doublings - 1):
            layers += [
                nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=bias),
                *_normalisation(2 * width, config),
                nn.LeakyReLU(_SLOPE),
            ]
            width *= 2
        self.body = nn.Sequential(*layers)
        self.output = nn.Conv2d(width, 1, base, bias=False)  # over the whole map: (B, 1, 1, 1)
        self.projection = Projection(width, config.num_classes, std=_STD)
        normal_weights(self, _STD) if config.normalise else even_weights(self, slope=_SLOPE)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits (B,) of images (B, C, S, S)."""
        check_samples(images, self.shape, "images")
        maps = self.body(self.input(images))  # (B, F, 4 or 7, the same)
        logits: Tensor = self.projection(self.output(maps).flatten(), maps.sum((2, 3)), labels)
        return logits


def _normalisation(width: int, config: DCGANConfig) -> list[nn.Module]:
    return [nn.BatchNorm2d(width)] if config.normalise else []
