"""Images made from images: grey levels or outlines in, colours out.

Paper: Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017, arXiv 1611.07004.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo_core import UsageError
from zoo_core.contract import At, Batch, Dataset, EvaluationResult, File, SampleKey, TaskContext
from zoo_core.data import even_places
from zoo_gan.configs.tasks import TranslationConfig, TranslationOptions
from zoo_gan.evaluation import scores
from zoo_gan.images import plots
from zoo_gan.preprocessor import ImageReader
from zoo_gan.tasks.adversarial import AdversarialTask

SHOWN = 8
"""Images that an evaluation shows, each as condition, translation and original."""
_LUMINANCE = (0.299, 0.587, 0.114)
"""ITU-R 601 weights of red, green and blue."""


@dataclass(frozen=True, kw_only=True)
class TranslationResult(EvaluationResult):
    """Sums over images of two differences, and images to show."""

    count: Tensor
    l1: Tensor
    feature_distance: Tensor
    rows: list[list[plots.Pixels]]
    """Condition, translation and original."""


class ImageToImage(AdversarialTask):
    """The task on pairs that are made of one image."""

    monitor = ("l1", "min")
    directions: Mapping[str, Literal["min", "max"]] = {"feature_distance": "min"}
    preprocessor_type = ImageReader
    preprocessor: ImageReader
    config: TranslationConfig

    def __init__(self, config: TranslationConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model without an image reader, or one that starts from latents."""
        super().__init__(config, context)
        if self.model.latent_dim:
            raise UsageError("image-to-image needs a generator that starts from an image, such as pix2pix")
        self.judge = scores.judge_of(config.features, context)

    def metric_checkpoints(self) -> dict[str, str]:
        """The features that `feature_distance` is measured in."""
        return {"feature_distance": self.judge.reference}

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Originals:
        """Images; what the generator is given is made of them batch by batch."""
        return Originals(samples, self.preprocessor, self.config.flip if train else 0.0)

    def real_samples(self, batch: Batch) -> Tensor:
        """(B, C, S, S) from -1 to 1."""
        return self.preprocessor.normalise(batch["images"])

    def condition(self, batch: Batch) -> Tensor:
        """The condition (B, C, S, S) of the real images."""
        return condition_of(self.real_samples(batch), self.config.condition)

    def generate(self, generator: nn.Module, batch: Batch, real: Tensor) -> Tensor:
        """A translation of every condition."""
        made: Tensor = generator(self.condition(batch), None)
        return made

    def auxiliary_loss(self, made: Tensor, real: Tensor) -> Tensor:
        """The mean absolute difference of each pair times its strength, summed over pairs: equation 3."""
        return self.config.l1 * (made.float() - real).abs().flatten(1).mean(1).sum()

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> TranslationResult:
        """Sums over images of both differences, and the images to show."""
        real, condition = self.real_samples(batch), self.condition(batch)
        made = modules["generator"](condition, None).float().clamp(-1, 1)
        rows = [self._pixels(part[batch["shown"]]) for part in (condition, made, real)]
        return TranslationResult(**self._differences(made, real), rows=[list(row) for row in zip(*rows, strict=True)])

    def summarize(self, result: TranslationResult) -> dict[str, float]:
        """`l1`, in units of the pixels' range, and `feature_distance`, both means over images."""
        far = float(result.feature_distance / result.count)
        return {"l1": float(result.l1 / result.count), "feature_distance": far}

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """Giving the condition back."""
        total: dict[str, Tensor] = {}
        dataset = self.dataset(test, train=False)
        for start in range(0, len(dataset), self.together):
            places = range(start, min(start + self.together, len(dataset)))
            batch = dataset.collate([dataset.sample(SampleKey(0, 0, place)) for place in places])
            for name, value in self._differences(self.condition(batch), self.real_samples(batch)).items():
                total[name] = total.get(name, torch.zeros(())) + value
        return {"copying the input": self.summarize(TranslationResult(**total, rows=[]))}

    def read(self, item: Any, number: int, options: TranslationOptions) -> Tensor:
        """An image, uint8 (C, S, S). Raises `DataError` for an input that is none."""
        return self.preprocessor.read(item, number)

    def answer(self, inputs: Sequence[Tensor], options: TranslationOptions) -> list[dict[str, Any]]:
        """The translation of each image, as a PNG."""
        given = self.preprocessor.normalise(torch.stack(list(inputs)).to(self.device))
        if options.condition != "given":
            given = condition_of(given, options.condition)
        made = self.model.generator(given, None)
        return [{"image": File(".png", plots.png(pixels))} for pixels in self._pixels(made)]

    def artifacts(self, modules: Mapping[str, nn.Module], result: TranslationResult) -> dict[str, bytes]:
        """`translations.png`: a row an image: what was given, what was made of it, and the original."""
        return {"translations.png": plots.grid([image for row in result.rows[:SHOWN] for image in row], columns=3)}

    def _differences(self, made: Tensor, real: Tensor) -> dict[str, Tensor]:
        # Half, because pixels run over two units.
        l1 = (made - real).abs().flatten(1).mean(1).sum() / 2
        far = [self.judge.features(self.preprocessor.denormalise(part)).to(l1.device) for part in (made, real)]
        return {
            "count": torch.full_like(l1, len(real)),
            "l1": l1,
            "feature_distance": (far[0] - far[1]).norm(dim=1).sum(),
        }

    def _pixels(self, images: Tensor) -> list[plots.Pixels]:
        return scores.arrays(self.preprocessor.denormalise(images))


@dataclass(eq=False)
class Originals(Dataset):
    """Images, and which of them an evaluation shows."""

    samples: Sequence[Any]
    reader: ImageReader
    flip: float
    """How often an image is mirrored."""

    def __post_init__(self) -> None:
        """Chooses what is shown."""
        self.shown = frozenset(even_places(len(self.samples), SHOWN))

    def __len__(self) -> int:
        return len(self.samples)

    def sample(self, key: SampleKey) -> tuple[Tensor, bool]:
        """An image, uint8 (C, S, S), and whether an evaluation shows it."""
        image = self.reader.resize_and_crop(self.samples[key.index].image)
        if self.flip and key.generator().random() < self.flip:
            image = image.flip(2)
        return image, key.index in self.shown

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`images` (B, C, S, S), uint8, and `shown` (B,)."""
        images, shown = zip(*samples, strict=True)
        return {"images": torch.stack(images), "shown": torch.tensor(shown)}


def condition_of(images: Tensor, kind: str) -> Tensor:
    """Grey levels or dark outlines of images (B, C, S, S) from -1 to 1, in the same shape and range."""
    if images.shape[1] == 3:
        weights = images.new_tensor(_LUMINANCE).view(1, 3, 1, 1)
        grey = (images * weights).sum(1, keepdim=True)  # (B, 1, S, S)
    else:
        grey = images
    if kind == "grey":
        return grey.expand_as(images)
    sobel = images.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4  # a step of 1 gives 1
    padded = nn.functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    slopes = nn.functional.conv2d(padded, torch.stack((sobel, sobel.T))[:, None])  # (B, 2, S, S): across and down
    edges = slopes.square().sum(1, keepdim=True).sqrt()
    return (1 - 2 * edges.clamp(0, 1)).expand_as(images)  # 1 is white, -1 black
