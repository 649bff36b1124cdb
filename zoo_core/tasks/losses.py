"""The core's losses: each turns its inputs into a sum and the number of units it runs over, never into a mean.

A loss is minimised. Its mean is the sum of `loss_sum` over micro-batches and ranks over the sum of `weight`, so how a
batch was split can't change it. Sums are taken in float32, or in float64 for inputs of that type, whatever the autocast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_core.contract.predictor import Loss
from zoo_core.contract.specs import NoConfig
from zoo_core.errors import TrainingError
from zoo_core.plugins.configs import CrossEntropyConfig, PenaltyConfig


def cross_entropy(config: CrossEntropyConfig) -> Loss:
    """Build `(logits, labels) -> (loss_sum, weight)`, the negative log-likelihood of the labels in nats.

    logits: (..., C), not normalised. labels: (...) integers in [0, C) or `ignore_index`, where weight counts the labels
    that aren't ignored; or (..., C) floating-point distributions over the classes, where weight counts the rows.
    Smoothing mixes the labels with the uniform distribution: (1 - s) * labels + s / C (arXiv:1512.00567, section 7).
    Raises `TrainingError` for other shapes.
    """

    def loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        scores = precise(logits)
        if scores.ndim != 2:  # a view costs more than a small batch's loss
            scores = scores.reshape(-1, logits.shape[-1])  # (N, C)
        if labels.is_floating_point():
            _require_shape("cross-entropy", "class distributions", labels, logits.shape)
            targets = labels.to(scores.dtype).reshape(scores.shape)
            weight = count(scores.shape[0], logits)
        else:
            _require_shape("cross-entropy", "integer labels", labels, logits.shape[:-1])
            targets = labels.reshape(-1).long()  # (N,)
            weight = (targets != config.ignore_index).sum()
        loss_sum = F.cross_entropy(
            scores,
            targets,
            ignore_index=config.ignore_index,
            label_smoothing=config.label_smoothing,
            reduction="sum",
        )
        return loss_sum, weight

    return loss


def adversarial_critic(config: NoConfig) -> Loss:
    """Build `(real, fake) -> (loss_sum, weight)`, the sum of D(x) - D(G(z)) over pairs (arXiv:1701.07875, eq. (2)).

    real, fake: critic scores of one shape, of samples and of generated samples; weight counts the pairs.

    Signs. What a critic minimises is this value as it is, so it learns to score real samples low and generated ones
    high, and the generator then minimises D(G(z)): the way of the authors' own code. Eq. (2) has a supremum of the same
    difference; the two agree because with f also -f is 1-Lipschitz. What to report is therefore minus the mean, the
    estimate of the Wasserstein distance, which is positive and falls as the generator learns. A task whose critic
    shall score real samples high, as algorithm 1 of the paper has it, swaps the two inputs.
    Raises `TrainingError` if the shapes differ.
    """

    def loss(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        _require_shape("adversarial-critic", "fake", fake, real.shape)
        return precise(real).sum() - precise(fake).sum(), count(real.numel(), real)

    return loss


def mean_squared_error(config: NoConfig) -> Loss:
    """Build `(predicted, target) -> (loss_sum, weight)`: squared differences; weight counts elements.

    Both of one shape; nothing is broadcast. Raises `TrainingError` if the shapes differ.
    """
    return _elementwise("mean-squared-error", F.mse_loss)


def l1(config: NoConfig) -> Loss:
    """Build `(predicted, target) -> (loss_sum, weight)`: absolute differences; weight counts elements.

    Both of one shape; nothing is broadcast. Raises `TrainingError` if the shapes differ.
    """
    return _elementwise("l1", F.l1_loss)


def _elementwise(name: str, difference: Callable[..., Tensor]) -> Loss:
    def loss(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        _require_shape(name, "target", target, predicted.shape)
        found = precise(predicted)
        return difference(found, target.to(found.dtype), reduction="sum"), count(predicted.numel(), predicted)

    return loss


def l1_penalty(config: PenaltyConfig) -> Loss:
    """Build `(parameters,) -> (loss_sum, weight)`: strength times the sum of absolute values, over one unit.

    parameters: an iterable of tensors. The value is a mean already, to be added to a mean: a task whose loss runs over n
    units adds n times it to its sum. Raises `TrainingError` for no parameters.
    """
    return _penalty("l1-penalty", config, torch.abs)


def l2_penalty(config: PenaltyConfig) -> Loss:
    """Build `(parameters,) -> (loss_sum, weight)`: strength times the sum of squares (no half), over one unit.

    parameters: an iterable of tensors. The value is a mean already, to be added to a mean: a task whose loss runs over n
    units adds n times it to its sum. Raises `TrainingError` for no parameters.
    """
    return _penalty("l2-penalty", config, torch.square)


def _penalty(name: str, config: PenaltyConfig, norm: Callable[[Tensor], Tensor]) -> Loss:
    def loss(parameters: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        norms = [norm(precise(parameter)).sum() for parameter in parameters]
        if not norms:
            raise TrainingError(f"{name}: no parameters", hint="an iterator of parameters can be used once only")
        return config.strength * torch.stack(norms).sum(), count(1, norms[0])

    return loss


def precise(tensor: Tensor) -> Tensor:
    """At least float32: a sum over thousands of half-precision terms loses most of its digits."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def count(number: int, like: Tensor) -> Tensor:
    """A number of units, 0-d, on the device of a tensor."""
    # Filled on the device: a copy from the host would make the host wait.
    return torch.full((), number, dtype=torch.int64, device=like.device)


def _require_shape(loss: str, name: str, found: Tensor, wanted: torch.Size) -> None:
    if found.shape != wanted:
        shapes = f"{tuple(found.shape)}, expected {tuple(wanted)}"
        raise TrainingError(
            f"{loss}: {name} of shape {shapes}", hint="inputs are compared element by element, never broadcast"
        )
