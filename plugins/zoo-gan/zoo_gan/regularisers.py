"""Regularisers of adversarial training: penalties on gradients, one a sample, and the clipping of weights.

Each penalty (B,) can be differentiated again, so its phase needs `double_backward`. Gradients are taken of the sum of
logits, so the samples stay apart as long as the discriminator keeps them apart; batch normalisation would mix them.
Norms are taken in float32 at least, whatever the autocast. Samples may have any shape (B, ...), images' as given here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from zoo_core import TrainingError
from zoo_core.tasks import precise

Discriminator = Callable[[Tensor, Tensor | None], Tensor]
"""Images (B, C, S, S) and labels (B,) or None to logits (B,)."""
Generator = Callable[[Tensor, Tensor | None], Tensor]
"""Latents (B, Z) and labels (B,) or None to images (B, C, S, S)."""


def r1(discriminator: Discriminator, images: Tensor, labels: Tensor | None, *, gamma: float = 1.0) -> Tensor:
    """gamma / 2 * ||grad D(x)||^2 of each real image: Mescheder et al., ICML 2018, equation 9.

    images: (B, C, S, S); they get no gradient. labels: (B,), or None. Returns (B,).
    """
    slopes = _slopes(discriminator, images, labels)
    return 0.5 * gamma * slopes.square().sum(1)


def r2(discriminator: Discriminator, images: Tensor, labels: Tensor | None, *, gamma: float = 1.0) -> Tensor:
    """gamma / 2 * ||grad D(G(z))||^2 of each generated image: Mescheder et al., ICML 2018, equation 10.

    images: (B, C, S, S), generated; neither they nor the generator get a gradient. labels: (B,) or None. Returns (B,).
    """
    return r1(discriminator, images, labels, gamma=gamma)


def gradient_penalty(discriminator: Discriminator, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
    """(||grad D(x)|| - 1)^2 at a random point between each pair: Gulrajani et al., NeurIPS 2017, equation 3.

    The paper's factor lambda, 10 there, is left to the caller. real, fake: (B, C, S, S); neither gets a gradient.
    labels: (B,) that both of a pair have, or None. One uniform number a pair comes from torch's global generator.
    Returns (B,). Raises `TrainingError` if the shapes differ.
    """
    if real.shape != fake.shape:
        shapes = f"{tuple(real.shape)} and {tuple(fake.shape)}"
        raise TrainingError(
            f"gradient penalty between images of shapes {shapes}", hint="give as many of one as of other"
        )
    real = precise(real.detach())
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device).to(real.dtype)  # ε: (B, 1, ...)
    between = torch.lerp(fake.detach().to(real.dtype), real, share)  # x̂ = ε x + (1 - ε) x̃
    return (_norms(_slopes(discriminator, between, labels)) - 1.0).square()


def path_length(generator: Generator, latents: Tensor, labels: Tensor | None, mean: Tensor) -> tuple[Tensor, Tensor]:
    """(||J^T y|| - a)^2 of each latent and the lengths themselves: Karras et al., CVPR 2020, equation 4 and section 3.2.

    J is the generator's Jacobian; y are images of unit normal noise, from torch's global generator, over the root of
    the number of pixels as in the authors' code, so that a length doesn't grow with the image; a point of the plane
    (B, 2) counts as one pixel. latents: (B, Z), which may have a graph of their own, as behind a mapping network;
    labels: (B,), or None. mean: a, 0-d, the running mean of the lengths, 0 at first; it isn't changed, and the lengths
    are compared with it as it is given, so that one sample's penalty doesn't depend on the others'.
    Returns the penalties (B,) and the lengths ||J^T y|| (B,), which carry no gradient, for the caller to follow with
    the mean. Raises `TrainingError` for a mean that isn't 0-d.
    """
    if mean.ndim:
        raise TrainingError(f"path length: running mean of shape {tuple(mean.shape)}", hint="give a 0-d buffer")
    if not latents.requires_grad:
        latents = latents.detach().requires_grad_(True)
    images = precise(generator(latents, labels))  # (B, C, S, S)
    noise = torch.randn_like(images) / images.shape[2:].numel() ** 0.5
    products = torch.autograd.grad((images * noise).sum(), latents, create_graph=True)[0]  # J^T y: (B, Z)
    lengths = _norms(precise(products).flatten(1))  # (B,)
    return (lengths - mean.detach()).square(), lengths.detach()


@torch.no_grad()
def clip_weights(parameters: Iterable[Tensor], limit: float) -> None:
    """Clip parameters in place to [-limit, limit]: Arjovsky et al., ICML 2017, algorithm 1, which has a limit of 0.01."""
    for parameter in parameters:
        parameter.clamp_(-limit, limit)


def _slopes(discriminator: Discriminator, images: Tensor, labels: Tensor | None) -> Tensor:
    """Gradient of each logit by its own image, flat: (B, C * S * S)."""
    images = precise(images.detach()).requires_grad_(True)
    logits = discriminator(images, labels)
    return torch.autograd.grad(logits.sum(), images, create_graph=True)[0].flatten(1)  # one pass for all


def _norms(rows: Tensor) -> Tensor:
    # Unlike the root of a sum of squares, this has a derivative of 0 rather than NaN where a row is zero.
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return norms
