"""Generation of images, with and without classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo_core import DataError, UnknownName, UsageError
from zoo_core.contract import (
    At,
    Baseline,
    Batch,
    Dataset,
    EvaluationResult,
    File,
    SampleKey,
    TaskContext,
    inference_mode,
)
from zoo_core.data import even_places, expanded, spread
from zoo_core.tasks import interval_of_share, known_intervals, label_numbers
from zoo_gan import sampling
from zoo_gan.configs.tasks import GenerationConfig, ImageSamplingOptions
from zoo_gan.evaluation import scores
from zoo_gan.images import plots
from zoo_gan.preprocessor import ImageReader
from zoo_gan.tasks.adversarial import AdversarialTask

SHOWN = 64
"""Samples of the grid that every evaluation leaves."""


@dataclass(frozen=True, kw_only=True)
class GenerationResult(EvaluationResult):
    """What the judge sees in real and in generated images."""

    real: list[Tensor]
    """Features (D,) of each real image."""
    made: list[Tensor]
    """Features (D,) of each generated image."""
    right: list[bool]
    """Whether each generated image shows the class asked for; empty where the judge can't tell."""


class ImageGeneration(AdversarialTask):
    """The task on images; conditional where the checkpoint has labels."""

    monitor = ("fid", "min")
    together = 64
    least_samples = scores.LEAST
    directions: Mapping[str, Literal["min", "max"]] = {
        "kid": "min", "precision": "max", "recall": "max", "class_accuracy": "max"
    }  # fmt: skip
    preprocessor_type = ImageReader
    preprocessor: ImageReader
    config: GenerationConfig

    def __init__(self, config: GenerationConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model without an image reader."""
        super().__init__(config, context)
        if self.model.classes != len(self.labels):
            raise UsageError(
                f"the model has {self.model.classes} classes, the task {len(self.labels)}",
                hint=f"set model.num_classes={len(self.labels)}",
            )
        self._judge: scores.FeatureExtractor | None = None
        self._fresh, self._context = context.fresh, context

    @property
    def judge(self) -> scores.FeatureExtractor:
        """What images are scored with, loaded when it is first needed."""
        if self._judge is None:
            self._judge = scores.judge_of(self.config.features, self._context)
        return self._judge

    @property
    def judges_classes(self) -> bool:
        """Whether generated images can be asked for their class."""
        return bool(self.labels) and set(self.labels) <= set(self.judge.labels)

    def dataset(self, samples: Sequence[Any], *, train: bool) -> RealImages:
        """Images, their classes where the model has some; in evaluation each comes with a latent of its own."""
        labels = label_numbers([sample.label for sample in samples], self.labels) if self.labels else None
        return RealImages(samples, labels, self.preprocessor, self.model.latent_dim, self.config.flip if train else 0.0)

    def real_samples(self, batch: Batch) -> Tensor:
        """(B, C, S, S) from -1 to 1."""
        return self.preprocessor.normalise(batch["images"])

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> GenerationResult:
        """Features of the real images and of as many generated ones, and which of these show the class asked for."""
        labels = batch.get("labels")
        real = list(self.judge.features(batch["images"]))
        made = self.preprocessor.denormalise(modules["generator"](batch["latents"], labels))
        seen, right = self._looked_at(made, [] if labels is None else labels.tolist())
        return GenerationResult(real=real, made=seen, right=right)

    def summarize(self, result: GenerationResult) -> dict[str, float]:
        """Fréchet and kernel distance, precision and recall; `class_accuracy` where the judge knows the classes."""
        right = {"class_accuracy": float(np.mean(result.right))} if result.right else {}
        return {**scores.distances(torch.stack(result.real), torch.stack(result.made)), **right}

    def intervals(self, result: GenerationResult) -> Mapping[str, tuple[float, float]]:
        """That of `class_accuracy`, over generated images; distances have none."""
        return known_intervals({"class_accuracy": interval_of_share(sum(result.right), len(result.right))})

    def metric_checkpoints(self) -> dict[str, str]:
        """The features that all of them are measured in."""
        metrics = ("fid", "kid", "precision", "recall", *(["class_accuracy"] if self.judges_classes else []))
        return dict.fromkeys(metrics, self.judge.reference)

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """Real images of the training split, the best that can be reached, and an untrained generator."""
        count = min(len(train), len(test))
        known, real = spread(train, count), spread(test, count)
        found: dict[str, Baseline] = {"real images": lambda: self._compared(self._real_parts(known), real)}
        if self._fresh is not None:
            # Of as many samples as the figures beside it: distances fall with their number.
            found["untrained generator"] = lambda: self._compared(self._untrained_parts(test), test)
        return found

    def read(self, item: Any, number: int, options: ImageSamplingOptions) -> int | sampling.Interpolation | Tensor:
        """The seed of a sample, a walk, or an image, uint8 (C, S, S). Raises `DataError` for anything else."""
        asked = sampling.parse_request(item, options.seed, number)
        if asked is not None:
            return asked
        _require_file(item, number)
        return self.preprocessor.read(item, number)

    def answer(self, inputs: Sequence[Any], options: ImageSamplingOptions) -> list[dict[str, Any]]:
        """What each input asks for: the sample of a number, the walk of `3..7`, or the latent of an image.

        A sample has its `image` as PNG, a walk its frames side by side and an `animation`, an image the nearest one
        that the generator makes, its `latent` and how far it is: `difference`, the mean squared one of values from -1
        to 1, beside the best of 256 random latents. Raises `UnknownName` for a class that there isn't.
        """
        seeds = [one for one in inputs if isinstance(one, int)]
        classes = self._classes(seeds, options.label)
        made = zip(self.sample(seeds, classes) if seeds else [], classes or repeat(None), strict=False)
        samples = ({**self._named(number), "image": _png(image)} for image, number in made)
        return [
            next(samples)
            if isinstance(one, int)
            else self._walk(one, options)
            if isinstance(one, sampling.Interpolation)
            else self._project(one, options)
            for one in inputs
        ]

    def prediction_artifacts(self, answers: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
        """`grid.png`: all images that are of one size."""
        shown = [plots.pixels(answer["image"].data) for answer in answers]
        same = [image for image in shown if image.shape == shown[0].shape]
        return {"grid.png": plots.grid(same)} if len(same) > 1 else {}

    def sample(self, seeds: Sequence[int], classes: Sequence[int] | None = None) -> list[plots.Pixels]:
        """Images (S, S, C), each a function of its seed and its class."""
        return self._images(sampling.seeded_latents(seeds, self.model.latent_dim), classes)

    def artifacts(self, modules: Mapping[str, nn.Module], result: GenerationResult) -> dict[str, bytes]:
        """`samples.png`: the same seeds in every evaluation, a column a class where there are classes."""
        columns = min(len(self.labels), 10) if self.labels else 8
        count = columns * SHOWN // 8  # 8 rows
        classes = [number % columns for number in range(count)] if self.labels else None
        return {"samples.png": plots.grid(self.sample(range(count), classes), columns=columns)}

    def run_artifacts(self, kept: Mapping[str, Sequence[bytes]]) -> dict[str, bytes]:
        """`training.webp`: the samples of all evaluations, one after the other."""
        frames = kept.get("samples.png", ())
        return {"training.webp": plots.animation(frames)} if len(frames) > 1 else {}

    def input_artifacts(self, dataset: Dataset) -> dict[str, bytes]:
        """`real.png`: what the discriminator is given as real."""
        chosen = [dataset.sample(SampleKey(0, 0, place))[0] for place in even_places(len(dataset), SHOWN)]
        return {"real.png": plots.grid(scores.arrays(torch.stack(chosen)))}

    def _images(self, latents: Tensor, classes: Sequence[int] | None) -> list[plots.Pixels]:
        labels = torch.tensor(classes, device=self.device) if classes else None
        made = self.model.generator(latents.to(self.device), labels)
        return scores.arrays(self.preprocessor.denormalise(made))

    def _walk(self, walk: sampling.Interpolation, options: ImageSamplingOptions) -> dict[str, Any]:
        first, last = sampling.seeded_latents(walk, self.model.latent_dim)
        classes = self._classes([walk.first], options.label)
        frames = self._images(
            sampling.between(first, last, options.frames), classes * options.frames if classes else None
        )
        there_and_back = [*frames, *frames[-2:0:-1]]  # each end once, so that the loop rests at neither
        moving = plots.animation([plots.grid([frame]) for frame in there_and_back], milliseconds=100)
        return {
            **self._named(classes[0] if classes else None),
            "image": File(".png", plots.grid(frames, columns=len(frames))),
            "animation": File(".webp", moving),
        }

    def _project(self, image: Tensor, options: ImageSamplingOptions) -> dict[str, Any]:
        target = self.preprocessor.normalise(image.to(self.device))
        tried = self._classes([0], options.label) if options.label else list(range(len(self.labels)))
        frozen = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        with torch.enable_grad():
            for parameter in frozen:
                parameter.requires_grad_(False)
            try:
                found = sampling.project(
                    self.model.generator, target, self.model.latent_dim, tried or (),
                    starts=options.starts, iterations=options.iterations, seed=options.seed,
                )  # fmt: skip
            finally:
                for parameter in frozen:
                    parameter.requires_grad_(True)
        (made,) = self._images(found.latent[None], None if found.label is None else [found.label])
        return {
            **self._named(found.label),
            "image": _png(made),
            "difference": found.after,
            "random_difference": found.before,
            "latent": found.latent.tolist(),
        }

    def _named(self, number: int | None) -> dict[str, str]:
        return {} if number is None else {"label": self.labels[number]}

    def _classes(self, seeds: Sequence[int], label: str) -> list[int] | None:
        if not self.labels:
            if label:
                raise UsageError("this generator has no classes", hint="leave label out")
            return None
        if label and label not in self.labels:
            raise UnknownName("class", label, self.labels)
        return [self.labels.index(label)] * len(seeds) if label else [seed % len(self.labels) for seed in seeds]

    def _looked_at(self, images: Tensor, labels: Sequence[int]) -> tuple[list[Tensor], list[bool]]:
        """The features of generated images, uint8 (B, C, S, S), and whether each shows its class, where that can be told."""
        features = list(self.judge.features(images))
        if not self.judges_classes:
            return features, []
        seen = self.judge.classify(images)
        return features, [name == self.labels[number] for name, number in zip(seen, labels, strict=True)]

    def _compared(self, parts: Iterable[tuple[Tensor, list[int]]], real: Sequence[Any]) -> dict[str, float]:
        """Metrics of images as if they were generated, beside real ones."""
        with inference_mode(self.model):
            seen = [row for images, _ in self._real_parts(real) for row in self.judge.features(images)]
            looked = [self._looked_at(images, labels) for images, labels in parts]
            made, right = (list(chain(*found)) for found in zip(*looked, strict=True))
            return self.summarize(GenerationResult(real=seen, made=made, right=right))

    def _real_parts(self, samples: Sequence[Any]) -> Iterator[tuple[Tensor, list[int]]]:
        """Real images (B, C, S, S), uint8, and their classes, some at a time."""
        for start in range(0, len(samples), self.together):
            some = samples[start : start + self.together]
            labels: list[int] = []
            if self.labels:
                labels += label_numbers([sample.label for sample in some], self.labels).tolist()
            yield torch.stack([self.preprocessor.resize_and_crop(sample.image) for sample in some]), labels

    def _untrained_parts(self, samples: Sequence[Any]) -> Iterator[tuple[Tensor, list[int]]]:
        """As many images of a generator with fresh weights, of the samples' classes."""
        assert self._fresh is not None
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # the accelerators' generators stay as they are
            generator: nn.Module = self._fresh().eval().get_submodule("generator")
        for number, (_, labels) in enumerate(self._real_parts(samples)):
            count = min(self.together, len(samples) - number * self.together)
            latents = sampling.seeded_latents(
                range(number * self.together, number * self.together + count), self.model.latent_dim
            )
            made = generator(latents, torch.tensor(labels) if labels else None)
            yield self.preprocessor.denormalise(made), labels


def _require_file(item: Any, place: int) -> None:
    if isinstance(item, str) and not expanded(item).exists():
        raise DataError(
            f"input {place + 1}: {item!r} is no number, no walk and no file",
            hint="ask for samples 0 1 2, a walk 3..7, or photo.png",
        )


def _png(image: plots.Pixels) -> File:
    return File(".png", plots.png(image))


@dataclass(eq=False)
class RealImages(Dataset):
    """Images with their classes, if any, and a latent of their own."""

    samples: Sequence[Any]
    labels: NDArray[np.int64] | None
    """(len(self),) numbers of classes."""
    reader: ImageReader
    latent_dim: int
    flip: float
    """How often an image is mirrored."""

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, key: SampleKey) -> tuple[Tensor, int, Tensor]:
        """An image, uint8 (C, S, S), its class (-1 without), and a latent (Z,); all are functions of `key`."""
        generator = key.generator()
        latent = torch.from_numpy(generator.standard_normal(self.latent_dim, dtype=np.float32))
        image = self.reader.resize_and_crop(self.samples[key.index].image)
        if self.flip and generator.random() < self.flip:
            image = image.flip(2)
        return image, -1 if self.labels is None else int(self.labels[key.index]), latent

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`images` (B, C, S, S), uint8, `latents` (B, Z) and, with classes, `labels` (B,)."""
        images, labels, latents = zip(*samples, strict=True)
        batch = {"images": torch.stack(images), "latents": torch.stack(latents)}
        return batch if self.labels is None else {**batch, "labels": torch.tensor(labels)}
