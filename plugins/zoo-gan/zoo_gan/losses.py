"""Adversarial losses: what each side minimises, summed over pairs of a real and a generated image.

Every builder gives `(real, fake, side) -> (loss_sum, weight)`: logits (B,) of real and of generated images, and whose
loss it is. Sums are taken in float32, or in float64 for logits of that type, whatever the autocast; weight is B. Only
the relativistic generator looks at real logits, so a task hands them to the generator's side without gradients. Each
raises `UsageError` for another side and `TrainingError` for logits that aren't two vectors of one length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from zoo_core import TrainingError, UnknownName
from zoo_core.contract import NoConfig
from zoo_core.tasks import count, precise
from zoo_gan.configs.losses import NonSaturatingConfig

Side = Literal["discriminator", "generator"]
AdversarialLoss = Callable[[Tensor, Tensor, Side], tuple[Tensor, Tensor]]
_Pairwise = Callable[[Tensor, Tensor], Tensor]


def minimax(config: NoConfig) -> AdversarialLoss:
    """The two sides of one value, log D(x) + log(1 - D(G(z))): Goodfellow et al., NeurIPS 2014, equation 1.

    The discriminator maximises it and the generator minimises its second term, whose gradient vanishes where the
    discriminator is sure of itself. D is the sigmoid of the logit.
    """
    return _adversarial(
        "gan-minimax",
        discriminator=lambda real, fake: -F.logsigmoid(real) - F.logsigmoid(-fake),  # 1 - σ(x) = σ(-x)
        generator=lambda real, fake: F.logsigmoid(-fake),
    )


def non_saturating(config: NonSaturatingConfig) -> AdversarialLoss:
    """The generator maximises log D(G(z)): Goodfellow et al., NeurIPS 2014, section 3.

    With smoothing s, the discriminator's target for real images is 1 - s; that for generated ones stays 0, as does the
    generator's at 1: Salimans et al., NeurIPS 2016, section 3.4.
    """
    smoothing = config.label_smoothing

    def discriminator(real: Tensor, fake: Tensor) -> Tensor:
        called_real = (1.0 - smoothing) * F.logsigmoid(real) + smoothing * F.logsigmoid(-real)  # target 1 - s
        return -called_real - F.logsigmoid(-fake)

    return _adversarial(
        "gan-non-saturating", discriminator=discriminator, generator=lambda real, fake: -F.logsigmoid(fake)
    )


def least_squares(config: NoConfig) -> AdversarialLoss:
    """Half the squared distances from targets: Mao et al., ICCV 2017, equation 9 (a = 0, b = 1, c = 1)."""
    return _adversarial(
        "gan-least-squares",
        discriminator=lambda real, fake: 0.5 * (real - 1.0).square() + 0.5 * fake.square(),
        generator=lambda real, fake: 0.5 * (fake - 1.0).square(),
    )


def hinge(config: NoConfig) -> AdversarialLoss:
    """Margins of 1 for the discriminator, the plain score for the generator: Lim and Ye 2017.

    Signs as in Miyato et al., ICLR 2018, equations 16 and 17, which are maximised.
    """
    return _adversarial(
        "gan-hinge",
        discriminator=lambda real, fake: F.relu(1.0 - real) + F.relu(1.0 + fake),
        generator=lambda real, fake: -fake,
    )


def wasserstein(config: NoConfig) -> AdversarialLoss:
    """Minus what the critic maximises, D(x) - D(G(z)): Arjovsky et al., ICML 2017, equation 3 and algorithm 1.

    Minus the discriminator's mean loss estimates the distance, up to the critic's Lipschitz constant.
    """
    return _adversarial(
        "gan-wasserstein",
        discriminator=lambda real, fake: fake - real,
        generator=lambda real, fake: -fake,
    )


def relativistic(config: NoConfig) -> AdversarialLoss:
    """-log sigmoid(D(x) - D(G(z))) of each pair, and the generator's with the two swapped.

    The pairing of Jolicoeur-Martineau 2018 (RpGAN) with the logistic function, as Huang et al., NeurIPS 2024, train it.
    Sample i of `real` is paired with sample i of `fake`.
    """
    return _adversarial(
        "gan-relativistic",
        discriminator=lambda real, fake: -F.logsigmoid(real - fake),
        generator=lambda real, fake: -F.logsigmoid(fake - real),
    )


def _adversarial(name: str, *, discriminator: _Pairwise, generator: _Pairwise) -> AdversarialLoss:
    sides: dict[str, _Pairwise] = {"discriminator": discriminator, "generator": generator}

    def loss(real: Tensor, fake: Tensor, side: Side) -> tuple[Tensor, Tensor]:
        if side not in sides:
            raise UnknownName("side", side, sides, where=name)
        if real.ndim != 1 or real.shape != fake.shape:
            shapes = f"real {tuple(real.shape)} and fake {tuple(fake.shape)}"
            raise TrainingError(
                f"{name}: logits of shapes {shapes}", hint="one logit an image, in pairs: (B,) and (B,)"
            )
        pairs = sides[side](precise(real), precise(fake))  # (B,)
        return pairs.sum(), count(len(pairs), pairs)

    return loss
