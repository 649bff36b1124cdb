"""How far generated images are from real ones, in the features of a network that the zoo trained itself.

Fréchet distance (Heusel et al., 2017) and kernel distance (Bińkowski et al., 2018) through torchmetrics; precision and
recall as Kynkäänniemi et al., Improved Precision and Recall Metric, NeurIPS 2019, sections 3 and 3.1 define them. The
usual network is Inception's; figures from another one compare with nothing but figures from the same one, which the recipe
on the card names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo_core import TaskContext, UsageError
from zoo_core.data import silenced
from zoo_gan.images.plots import Pixels

NEIGHBOURS = 3
"""Neighbours whose distance is a sample's radius in precision and recall."""
LEAST = 10
"""Fewest images of each kind that scores are made of."""
_SUBSET = 500
"""Samples of a subset of the kernel distance."""

Images = Tensor
"""uint8 (B, C, S, S)."""


class FeatureExtractor:
    """What generated images are looked at with; this one sees nothing but the pixels, shrunk to 8×8."""

    reference = "pixels 8×8"
    """What its features are called beside a figure: `name@sha256:...` where it is a checkpoint."""
    labels: tuple[str, ...] = ()
    """Classes that it tells apart."""

    def features(self, images: Images) -> Tensor:
        """(B, D), on the CPU."""
        small = nn.functional.adaptive_avg_pool2d(images.float() / 255, 8)  # (B, C, 8, 8)
        return small.flatten(1).cpu()

    def classify(self, images: Images) -> list[str]:
        """The class of each image, where it knows classes."""
        raise UsageError("pixels tell no classes apart", hint="set task.features to a classifier")


class NetworkFeatures(FeatureExtractor):
    """A registered checkpoint: its embeddings, and its classes if it is a classifier."""

    def __init__(self, name: str, context: TaskContext) -> None:
        """Raises `UnknownName` where there is no such checkpoint, `UsageError` where it embeds nothing."""
        self._embedder = context.checkpoint(name, task="*feature-extraction")
        if self._embedder.modality != "image":
            raise UsageError(f"{name} has no features to compare images by", hint="zoo list --modality image")
        self.reference, self.labels = self._embedder.reference, self._embedder.labels
        self._classifier = context.checkpoint(name) if self.labels else None

    def features(self, images: Images) -> Tensor:
        """What the network pools of each image."""
        answers = self._embedder.predict(arrays(images), normalize=False)
        return torch.tensor([answer["embedding"] for answer in answers])

    def classify(self, images: Images) -> list[str]:
        """The likeliest label of each image."""
        if self._classifier is None:
            raise UsageError(f"{self.reference} tells no classes apart", hint="set task.features to a classifier")
        return [str(answer["label"]) for answer in self._classifier.predict(arrays(images), top_k=1)]


def judge_of(name: str, context: TaskContext) -> FeatureExtractor:
    """The judge that a recipe names; the pixels for an empty name."""
    return NetworkFeatures(name, context) if name else FeatureExtractor()


def arrays(images: Images) -> list[Pixels]:
    """Each image as (S, S, C)."""
    return [image.permute(1, 2, 0).contiguous().cpu().numpy() for image in images]


def distances(real: Tensor, made: Tensor) -> dict[str, float]:
    """`fid`, `kid`, `precision` and `recall` of features (N, D) and (M, D). Raises `UsageError` for fewer than 10 each."""
    if min(len(real), len(made)) < LEAST:
        raise UsageError(f"scores need {LEAST} samples and more, found {len(real)} real and {len(made)} generated")
    if not bool(made.isfinite().all()):
        return {"fid": float("inf"), "kid": float("inf"), "precision": 0.0, "recall": 0.0}
    # Differences of squares lose the digits that single precision has where means are large beside the spread.
    real, made = real.double(), made.double()
    return {**_torchmetrics(real, made), **precision_and_recall(real, made)}


def _torchmetrics(real: Tensor, made: Tensor) -> dict[str, float]:
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    # The main rank alone computes them, of what all ranks gave; the others answer no call of its.
    passed = _Passed(real.shape[1])
    subset = min(_SUBSET, len(real), len(made))
    # It says that it keeps the features, which are here already.
    with silenced(message="Metric `Kernel Inception Distance` will save"):
        kid = KernelInceptionDistance(feature=passed, subsets=20, subset_size=subset, sync_on_compute=False)
    # Its subsets are drawn from the host's global generator, which belongs to the run.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        fid = FrechetInceptionDistance(feature=passed, sync_on_compute=False)
        for metric in (fid, kid):
            for features, is_real in ((real, True), (made, False)):
                metric.update(features[:, :, None, None], real=is_real)  # (N, D, 1, 1) in place of images
        return {"fid": float(fid.compute()), "kid": float(kid.compute()[0])}


class _Passed(nn.Module):
    """Features that were computed already, in the clothes of a network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        """(N, D) of (N, D, 1, 1)."""
        return features.flatten(1)


def precision_and_recall(real: Tensor, made: Tensor) -> dict[str, float]:
    """Share of generated samples within the real ones' reach, and of real ones within the generated ones' reach."""
    return {"precision": _within(made, real), "recall": _within(real, made)}


def _within(samples: Tensor, others: Tensor) -> float:
    """Share of `samples` that lie no farther from some other than that one's third neighbour does."""
    radius = _distances(others, others).kthvalue(NEIGHBOURS + 1, dim=1).values  # (M,); + 1: each is its own nearest
    inside = (_distances(samples, others) <= radius[None]).any(1)  # (N,) of (N, M)
    return float(inside.float().mean())


def _distances(samples: Tensor, others: Tensor) -> Tensor:
    """(N, M) Euclidean distances, from differences: by a matrix product a sample isn't at distance 0 from itself."""
    return torch.cdist(samples.double(), others.double(), compute_mode="donot_use_mm_for_euclid_dist")
