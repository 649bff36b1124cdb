"""Generation of pictures, with and without classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core.errors import UnknownName, UsageError
from zoo_core.training.classify import label_numbers
from zoo_core.training.task import Batch, Dataset, File, SampleKey, TaskContext, serving
from zoo_gan import pictures, scores
from zoo_gan.preprocessor import PictureReader
from zoo_gan.task_configs import GenerationConfig, SamplingOptions
from zoo_gan.tasks.adversarial import AdversarialTask, numbered, seeded_latents

SHOWN = 64
"""Samples of the grid that every evaluation leaves."""
_SERVED = 64
"""Samples that a prediction makes at a time."""


class ImageGeneration(AdversarialTask):
    """The task on pictures; conditional where the checkpoint has labels."""

    monitor = ("fid", "min")
    preprocessor: PictureReader
    config: GenerationConfig

    def __init__(self, config: GenerationConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model without a picture reader."""
        super().__init__(config, context)
        if not isinstance(context.preprocessor, PictureReader):
            raise UsageError("image generation needs a model with a picture reader")
        if self.model.classes != len(self.labels):
            raise UsageError(
                f"the model has {self.model.classes} classes, the task {len(self.labels)}",
                hint=f"set model.classes={len(self.labels)}",
            )
        self._features: scores.Features | None = None

    def dataset(self, samples: Sequence[Any], *, train: bool) -> RealPictures:
        """Pictures, their classes where the model has some; in evaluation each comes with a latent of its own."""
        labels = label_numbers([sample.label for sample in samples], self.labels) if self.labels else None
        return RealPictures(
            samples, labels, self.preprocessor, self.model.latent_dim, self.config.flip if train else 0.0
        )

    def real(self, batch: Batch) -> Tensor:
        """(B, C, S, S) from -1 to 1."""
        return self.preprocessor.normalise(batch["images"])

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Tensor | list[Any]]:
        """Features of the real pictures and of as many generated ones."""
        made = self.preprocessor.denormalise(modules["generator"](batch["latents"], batch.get("labels")))
        return {"real": list(self.features(batch["images"]).cpu()), "made": list(self.features(made).cpu())}

    def features(self, images: Tensor) -> Tensor:
        """(B, D) of uint8 (B, C, S, S), by the network that the recipe names, or the pixels."""
        if self._features is None:
            name = self.config.features
            self._features = scores.network_features(name) if name else scores.pixel_features
        return self._features(images)

    def summarize(self, gathered: Mapping[str, Tensor | list[Any]]) -> dict[str, float]:
        """Fréchet and kernel distance, precision and recall."""
        real, made = (torch.stack(list(gathered[name])) for name in ("real", "made"))
        return scores.distances(real, made)

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """Real pictures of the training split, the least that can be reached, and noise, far from everything."""
        count = min(len(train), len(test))
        chosen = [train[place * len(train) // count] for place in range(count)]
        real, floor = (self._features_of(samples) for samples in (test[:count], chosen))
        return {"real pictures": scores.distances(real, floor), "noise": scores.distances(real, self._noise(count))}

    def predict(self, inputs: Sequence[Any], options: SamplingOptions) -> list[dict[str, Any]]:
        """The picture of each number, as a PNG. Raises `UsageError` for what is no number, `UnknownName` for a class."""
        seeds = numbered(inputs, options.seed)
        answers: list[dict[str, Any]] = []
        for start in range(0, len(seeds), _SERVED):
            chosen = seeds[start : start + _SERVED]
            classes = self._classes(chosen, options.label)
            for picture, number in zip(self.sample(chosen, classes), classes or chosen, strict=True):
                label = {"label": self.labels[number]} if classes else {}
                answers.append({**label, "picture": File(".png", pictures.png(picture))})
        return answers

    def sample(self, seeds: Sequence[int], classes: Sequence[int] | None = None) -> list[pictures.Pixels]:
        """Pictures (S, S, C), each a function of its seed and its class."""
        device = next(self.model.parameters()).device
        latents = seeded_latents(seeds, self.model.latent_dim).to(device)
        labels = torch.tensor(classes, device=device) if classes else None
        with serving(self.model):
            made = self.preprocessor.denormalise(self.model.generator(latents, labels))
        return [picture.permute(1, 2, 0).contiguous().cpu().numpy() for picture in made]

    def artifacts(
        self, modules: Mapping[str, nn.Module], gathered: Mapping[str, Tensor | list[Any]]
    ) -> dict[str, bytes]:
        """`samples.png`: the same 64 seeds in every evaluation, a column a class where there are classes."""
        columns = min(len(self.labels), 10) if self.labels else 8
        count = columns * 8
        classes = [number % len(self.labels) for number in range(count)] if self.labels else None
        return {"samples.png": pictures.grid(self.sample(range(count), classes), columns=columns)}

    def preview(self, dataset: Dataset) -> dict[str, bytes]:
        """`real.png`: what the discriminator is given as real."""
        count = min(SHOWN, len(dataset))
        chosen = [dataset.sample(SampleKey(0, 0, place * len(dataset) // count))[0] for place in range(count)]
        return {"real.png": pictures.grid([picture.permute(1, 2, 0).contiguous().numpy() for picture in chosen])}

    def _classes(self, seeds: Sequence[int], label: str) -> list[int] | None:
        if not self.labels:
            if label:
                raise UsageError("this generator has no classes", hint="leave label out")
            return None
        if label and label not in self.labels:
            raise UnknownName("class", label, self.labels)
        return [self.labels.index(label)] * len(seeds) if label else [seed % len(self.labels) for seed in seeds]

    def _features_of(self, samples: Sequence[Any]) -> Tensor:
        parts = []
        for start in range(0, len(samples), _SERVED):
            images = [self.preprocessor.fitted(sample.image) for sample in samples[start : start + _SERVED]]
            parts.append(self.features(torch.stack(images)).cpu())
        return torch.cat(parts)

    def _noise(self, count: int) -> Tensor:
        size = (count, self.preprocessor.channels, self.preprocessor.image_size, self.preprocessor.image_size)
        random = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, size, generator=random, dtype=torch.uint8)
        return torch.cat([self.features(part).cpu() for part in torch.split(images, _SERVED)])


class RealPictures(Dataset):
    """Pictures with their classes, if any, and a latent of their own."""

    def __init__(
        self, samples: Sequence[Any], labels: Any, reader: PictureReader, latent_dim: int, flip: float
    ) -> None:
        self.samples = samples
        self.labels = labels
        self.reader = reader
        self.latent_dim = latent_dim
        self.flip = flip

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, key: SampleKey) -> tuple[Tensor, int, Tensor]:
        """A picture, uint8 (C, S, S), its class (-1 without), and a latent (Z,); all are functions of `key`."""
        generator = key.generator()
        latent = torch.from_numpy(generator.standard_normal(self.latent_dim, dtype=np.float32))
        picture = self.reader.fitted(self.samples[key.index].image)
        if self.flip and generator.random() < self.flip:
            picture = picture.flip(2)
        return picture, -1 if self.labels is None else int(self.labels[key.index]), latent

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`images` (B, C, S, S), uint8, `latents` (B, Z) and, with classes, `labels` (B,)."""
        images, labels, latents = zip(*samples, strict=True)
        batch = {"images": torch.stack(images), "latents": torch.stack(latents)}
        return batch if self.labels is None else {**batch, "labels": torch.tensor(labels)}
