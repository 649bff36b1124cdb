"""What all families share: the pair, how classes enter it, tensors of other channels, activation checkpointing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo_core import UsageError
from zoo_core.contract import Head
from zoo_gan.configs.models import DCGANConfig, MLPConfig, R3GANConfig

_Config = TypeVar("_Config", DCGANConfig, MLPConfig, R3GANConfig)


class GAN(nn.Module):
    """A generator and the discriminator that it learns against, as one checkpoint."""

    path_lengths: Tensor | None
    """(3,), float32: the running mean of the generator's path lengths, and sum and number of those that it has yet to
    follow; None unless `track_path_lengths` was called."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        sample_shape: tuple[int, ...],
        latent_dim: int,
        classes: int = 0,
    ) -> None:
        """Keep both networks.

        Args:
            generator: latents (B, Z) and labels (B,) or None to samples.
            discriminator: samples and labels (B,) or None to logits (B,), higher for real ones.
            sample_shape: shape of one sample, (C, S, S) for images.
            latent_dim: Z; 0 for a generator that starts from a condition.
            classes: number of classes that both are told; 0 for none.
        """
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.sample_shape = sample_shape
        self.latent_dim = latent_dim
        self.classes = classes
        self.register_buffer("path_lengths", None)

    def track_path_lengths(self) -> None:
        """Give the pair `path_lengths`, all zeros and saved with it, for path-length regularisation to go on after a stop.

        A pair is built without it, because it is a matter of training: no checkpoint has to hold it.
        """
        if self.path_lengths is None:
            self.path_lengths = torch.zeros(3, device=next(self.parameters()).device)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples (B, ...) of latents (B, Z) and, in a conditional model, labels (B,) int64."""
        samples: Tensor = self.generator(latents, labels)
        return samples


def pair(
    config: _Config, head: Head, generator: Callable[[_Config], nn.Module], discriminator: Callable[[_Config], nn.Module],
    *, sample_shape: tuple[int, ...],
) -> GAN:  # fmt: skip
    """Both networks of a family, for the classes of the head. Raises `UsageError` where the configuration has others."""
    config = conditioned(config, head)
    return GAN(
        generator(config), discriminator(config), sample_shape=sample_shape, latent_dim=config.latent_dim,
        classes=config.num_classes,
    )  # fmt: skip


class LatentEmbedding(nn.Module):
    """What a generator starts from: latents, and beside them an embedding of the class where there are classes.

    Source: Mirza and Osindero, Conditional Generative Adversarial Nets, 2014, arXiv 1411.1784, section 3.2. The
    embedding is as long as the latent and as large at first, so that neither drowns the other.
    """

    def __init__(self, latent_dim: int, classes: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.embedding = nn.Embedding(classes, latent_dim) if classes else None
        self.width = 2 * latent_dim if classes else latent_dim

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """(B, width) of latents (B, Z) and labels (B,). Raises `UsageError` for other shapes or misplaced labels."""
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim:
            raise UsageError(f"latents: expected (B, {self.latent_dim}), found {tuple(latents.shape)}")
        if self.embedding is None:
            return _without_labels(latents, labels)
        return torch.cat((latents, self.embedding(_checked(labels, latents))), 1)


class Projection(nn.Module):
    """What a discriminator's logit owes to the class: the product of its embedding with the features.

    Source: Miyato and Koyama, cGANs with Projection Discriminator, ICLR 2018, arXiv 1802.05637, section 3, the first
    term of f(x, y; θ) = yᵀVφ(x; θΦ) + ψ(φ(x; θΦ); θΨ). The second, ψ, is what each family ends in.
    """

    def __init__(self, features: int, classes: int, *, std: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, features) if classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=std)

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor | None) -> Tensor:
        """Logits (B,) with the class's share, of logits (B,) without it, features (B, F) and labels (B,).

        Raises `UsageError` for labels that are misplaced, missing or of another number.
        """
        if self.embedding is None:
            return _without_labels(logits, labels)
        products: Tensor = self.embedding(_checked(labels, logits)) * features  # (B, F); its sum is yᵀV φ(x)
        return logits + products.sum(1)


class Stages(nn.Sequential):
    """Modules one after the other, whose activations can be recomputed in the backward pass to save memory."""

    recompute = False

    def forward(self, input: Tensor) -> Tensor:
        """What the last module gives."""
        for stage in self:
            if self.recompute and torch.is_grad_enabled():
                # Stages draw no random numbers.
                input = checkpoint(stage, input, use_reentrant=False, preserve_rng_state=False)
            else:
                input = stage(input)
        return input


def checkpoint_activations(model: nn.Module) -> None:
    """Recompute activations in the backward pass. Raises `UsageError` for a family that can't.

    Batch normalisation would count every batch twice in its running statistics, so only `Stages` are recomputed.
    """
    stages = [module for module in model.modules() if isinstance(module, Stages)]
    if not stages:
        raise UsageError(
            "this family can't recompute activations", hint="set training.gradient_checkpointing=false, or use r3gan"
        )
    for module in stages:
        module.recompute = True


def adapt(name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """Fit the first and the last convolution to grey or RGB images; None for any other tensor.

    A grey generator turned RGB makes the same grey images, and one turned grey the mean of its channels; a
    discriminator gives a grey image the logit that it gave or gives the same image in RGB.
    """
    axes = [axis for axis, size in enumerate(tensor.shape) if axis < len(shape) and size != shape[axis]]
    if len(tensor.shape) != len(shape) or len(axes) != 1:
        return None
    axis = axes[0]
    if {tensor.shape[axis], shape[axis]} != {1, 3}:
        return None
    if name == "generator.output.weight":
        grown = tensor.repeat_interleave(3, axis)
        return grown if shape[axis] == 3 else tensor.mean(axis, keepdim=True)
    if name == "discriminator.input.weight":
        grown = tensor.repeat_interleave(3, axis) / 3  # three equal channels add up to the grey one
        return grown if shape[axis] == 3 else tensor.sum(axis, keepdim=True)
    return None


def check_samples(samples: Tensor, shape: tuple[int, ...], name: str) -> None:
    """Raise `UsageError` unless samples are (B, *shape); `name` is what the message calls them."""
    if tuple(samples.shape[1:]) != shape:
        wanted = ", ".join(map(str, shape))
        raise UsageError(f"{name}: expected (B, {wanted}), found {tuple(samples.shape)}")


def conditioned(config: _Config, head: Head) -> _Config:
    """The configuration with the head's labels as classes, where there are labels.

    Raises `UsageError` for a configuration that says another number of classes.
    """
    if config.num_classes and head.labels and config.num_classes != head.labels:
        raise UsageError(
            f"the model has {config.num_classes} classes, the data {head.labels}", hint=f"num_classes={head.labels}"
        )
    return replace(config, num_classes=config.num_classes or head.labels)


def normal_weights(network: nn.Module, std: float) -> None:
    """Draw convolutions from N(0, std²) and the scales of normalisation from N(1, std²); set their biases to 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=std)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.normal_(module.weight, mean=1.0, std=std)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def even_weights(network: nn.Module, *, slope: float) -> None:
    """Draw convolutions so that leaky ReLUs of that slope keep the variance; set biases to 0.

    Source: He et al., Delving Deep into Rectifiers, ICCV 2015, equation 10, with the slope as in equation 15.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            transposed = isinstance(module, nn.ConvTranspose2d)
            # What meets in one output: a transposed convolution spreads its kernel over the steps between inputs.
            taps = module.weight[0, 0].numel() / (module.stride[0] * module.stride[1] if transposed else 1)
            nn.init.normal_(module.weight, std=math.sqrt(2 / (1 + slope**2) / (module.in_channels * taps)))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _without_labels(values: Tensor, labels: Tensor | None) -> Tensor:
    if labels is not None:
        raise UsageError("labels were given to a network without classes", hint="leave them out, or build with classes")
    return values


def _checked(labels: Tensor | None, beside: Tensor) -> Tensor:
    if labels is None:
        raise UsageError("the network is conditional and no labels were given", hint="give a class for each sample")
    if labels.shape != beside.shape[:1]:
        raise UsageError(f"labels: expected ({len(beside)},), found {tuple(labels.shape)}")
    return labels
