"""Two networks against each other as a list of phases: what tasks on images and on points share.

Paper: Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014, algorithm 1; lazy regularisation: Karras et al.,
Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020, appendix B, and path lengths, its section 3.2.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core import UsageError
from zoo_core.contract import At, Batch, Loss, Phase, StepOutput, Task, TaskContext
from zoo_gan import regularisers
from zoo_gan.augment import add_noise, augment, policy_names
from zoo_gan.configs.tasks import AdversarialConfig
from zoo_gan.models.common import GAN

PENALTIES = ("r1", "r2", "gradient_penalty")
"""Regularisers of the discriminator, as the configuration names them."""
PATH_LENGTH_DECAY = 0.01
"""How far the running mean of path lengths moves towards an update's: 1 - 0.99 in the authors' code."""


class AdversarialTask(Task):
    """Trains a generator and a discriminator; says nothing of what they make."""

    model_type = GAN
    needs = "start from a model with a generator and a discriminator"
    model: GAN
    config: AdversarialConfig

    def __init__(self, config: AdversarialConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model that isn't a pair or has no latents to regularise."""
        super().__init__(config, context)
        policy_names(config.augment)
        if config.path_length:
            if not self.model.latent_dim:
                raise UsageError(
                    "task.path_length is for generators that start from latents, and this one has none",
                    hint="leave it out, or choose a model with latents",
                )
            self.model.track_path_lengths()
        self.phases = phases_of(config)
        self.relative = depends_on_real(self.loss)
        """Whether the generator's loss compares with real samples, which costs a pass of the discriminator."""

    def modules(self) -> dict[str, nn.Module]:
        """The two networks by name."""
        return {"generator": self.model.generator, "discriminator": self.model.discriminator}

    @abstractmethod
    def real_samples(self, batch: Batch) -> Tensor:
        """The batch's real samples as the discriminator sees them, (B, ...)."""

    def condition(self, batch: Batch) -> Tensor | None:
        """What both networks are told beside samples: the classes, if any."""
        return batch.get("labels")  # type: ignore[no-any-return]

    def generate(self, generator: nn.Module, batch: Batch, real: Tensor) -> Tensor:
        """As many generated samples as there are real ones."""
        made: Tensor = generator(self.latents(real), self.condition(batch))
        return made

    def auxiliary_loss(self, made: Tensor, real: Tensor) -> Tensor | None:
        """What the generator minimises beside its adversarial loss, summed over samples; None for nothing."""
        return None

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """One of the updates: `discriminate`, a lazy regulariser by its name, `generate` or `path_length`."""
        generator, discriminator = modules["generator"], modules["discriminator"]
        real, given = self.real_samples(batch), self.condition(batch)
        if phase == "path_length":
            return self._regularise_paths(generator, real, given)
        if phase == "generate":
            return self._generate(discriminator, self.generate(generator, batch, real), real, given)
        with torch.no_grad():
            fake = self.generate(generator, batch, real)
        if phase == "discriminate":
            return self._discriminate(discriminator, real, fake, given)
        # Every k steps, k times as strong: lazy regularisation (Karras et al., CVPR 2020, section 3.1).
        strength = getattr(self.config, phase) * getattr(self.config, f"{phase}_every")
        return StepOutput(strength * self._penalty(phase, discriminator, real, fake, given).sum(), float(len(real)))

    def after_update(self, phase: str, modules: Mapping[str, nn.Module], at: At) -> None:
        """Clip the discriminator's weights where the recipe says so (Arjovsky et al., Wasserstein GAN, 2017, algorithm 1), and
        move the mean of path lengths towards those of the update."""
        if phase == "path_length":
            assert self.model.path_lengths is not None  # made in __init__
            follow(self.model.path_lengths)
        elif phase != "generate" and self.config.clip:
            regularisers.clip_weights(modules["discriminator"].parameters(), self.config.clip)

    def outputs(self, modules: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """What the generator makes of `latents` (B, Z) and, with classes, `labels` (B,)."""
        made: Tensor = modules["generator"](batch["latents"], self.condition(batch))
        return made

    def example_batch(self, rows: int) -> dict[str, Tensor]:
        """Latents, and a class for each. Raises `UsageError` for a generator that starts from something else."""
        if not self.model.latent_dim:
            return super().example_batch(rows)
        numbers = torch.arange(rows, device=self.device)
        latents = torch.sin(torch.arange(rows * self.model.latent_dim, device=self.device).float())
        labels = {"labels": numbers % len(self.labels)} if self.labels else {}
        return {"latents": latents.view(rows, self.model.latent_dim), **labels}

    def latents(self, real: Tensor) -> Tensor:
        """As many latents (B, Z) as there are real samples, drawn from torch's global generator."""
        return torch.randn(len(real), self.model.latent_dim, device=real.device)

    def _discriminate(self, discriminator: nn.Module, real: Tensor, fake: Tensor, given: Tensor | None) -> StepOutput:
        on_real, on_fake = discriminator(self.augmented(real), given), discriminator(self.augmented(fake), given)
        loss, weight = self.loss(on_real, on_fake, "discriminator")
        for name in PENALTIES:
            if _is(self.config, name) and _every(self.config, name) == 1:  # a lazy one has a phase of its own
                penalties = self._penalty(name, discriminator, real, fake, given)
                loss = loss + getattr(self.config, name) * penalties.sum()
        return StepOutput(loss, weight, {"real": on_real.detach().sum(), "fake": on_fake.detach().sum()})

    def _generate(self, discriminator: nn.Module, made: Tensor, real: Tensor, given: Tensor | None) -> StepOutput:
        on_fake = discriminator(self.augmented(made), given)
        with torch.no_grad():
            on_real = discriminator(self.augmented(real), given) if self.relative else torch.zeros_like(on_fake)
        loss, weight = self.loss(on_real, on_fake, "generator")
        also = self.auxiliary_loss(made, real)
        return StepOutput(loss if also is None else loss + also, weight)

    def _regularise_paths(self, generator: nn.Module, real: Tensor, given: Tensor | None) -> StepOutput:
        """Compare path lengths with their running mean, which stays as it is until all of the update's are known."""
        known = self.model.path_lengths
        assert known is not None  # made above
        penalties, lengths = regularisers.path_length(generator, self.latents(real), given, known[0])
        total = lengths.sum()
        known[1:] += torch.stack((total, torch.full_like(total, len(real))))  # [mean, sum, number]
        strength = self.config.path_length * self.config.path_length_every
        return StepOutput(strength * penalties.sum(), float(len(real)), {"length": total})

    def augmented(self, samples: Tensor) -> Tensor:
        """What the discriminator is shown of samples: augmented and noisy where the recipe says so."""
        samples = augment(samples, self.config.augment) if self.config.augment else samples
        return add_noise(samples, self.config.noise) if self.config.noise else samples

    def _penalty(self, name: str, discriminator: nn.Module, real: Tensor, fake: Tensor, given: Tensor | None) -> Tensor:
        """Penalties (B,) of one regulariser, on what the discriminator is shown."""
        if name == "gradient_penalty":
            return regularisers.gradient_penalty(discriminator, self.augmented(real), self.augmented(fake), given)
        return regularisers.r1(discriminator, self.augmented(real if name == "r1" else fake), given)


def phases_of(config: AdversarialConfig) -> tuple[Phase, ...]:
    """The updates of a step: the discriminator's, its lazy regularisers', the generator's every `critics` steps, and
    that of its path lengths."""
    eager = [name for name in PENALTIES if _is(config, name) and _every(config, name) == 1]
    lazy = [name for name in PENALTIES if _is(config, name) and _every(config, name) > 1]
    of_critic: Mapping[str, Any] = {"trains": ("discriminator",), "optimizer": "discriminator"}
    of_generator: Mapping[str, Any] = {"trains": ("generator",), "optimizer": "generator"}
    paths = Phase(name="path_length", every=config.path_length_every, double_backward=True, **of_generator)
    return (
        Phase(name="discriminate", double_backward=bool(eager), **of_critic),
        *(Phase(name=name, every=_every(config, name), double_backward=True, **of_critic) for name in lazy),
        Phase(name="generate", every=config.critics, **of_generator),
        *((paths,) if config.path_length else ()),
    )


@torch.no_grad()
def follow(path_lengths: Tensor) -> None:
    """Move the running mean towards the lengths of an update, and forget them; `path_lengths` is the pair's, (3,).

    Where there are none (0 / 0), as of an update that was left out, or they aren't finite, the mean stays. Of several ranks
    it is the first's lengths that count, because the loop gives all of them its buffers.
    """
    mean, total, count = path_lengths.unbind()
    moved = torch.lerp(mean, total / count, PATH_LENGTH_DECAY)  # a ← 0.99 a + 0.01 mean length
    path_lengths.copy_(
        torch.stack((moved.where(moved.isfinite(), mean), torch.zeros_like(mean), torch.zeros_like(mean)))
    )


def depends_on_real(loss: Loss) -> bool:
    """Whether the generator's side of a loss looks at the logits of real samples."""
    real, fake = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    total, _ = loss(real, fake, "generator")
    (gradient,) = torch.autograd.grad(total, [real], allow_unused=True)
    return gradient is not None and bool(gradient.any())


def _is(config: AdversarialConfig, name: str) -> bool:
    return bool(getattr(config, name))


def _every(config: AdversarialConfig, name: str) -> int:
    return int(getattr(config, f"{name}_every"))
