"""How far generated pictures are from real ones, in the features of a network that the zoo trained itself.

Fréchet distance (Heusel et al., 2017) and kernel distance (Bińkowski et al., 2018) through torchmetrics; precision and
recall as Kynkäänniemi et al., Improved Precision and Recall Metric, NeurIPS 2019, sections 3 and 3.1 define them. The
usual network is Inception's; figures from another one compare with nothing but figures from the same one, which the recipe
on the card names.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo_core.errors import UsageError

NEIGHBOURS = 3
"""Neighbours whose distance is a sample's radius in precision and recall."""
_SUBSET = 500
"""Samples of a subset of the kernel distance."""

Features = Callable[[Tensor], Tensor]
"""uint8 (B, C, S, S) to (B, D)."""


def pixel_features(images: Tensor) -> Tensor:
    """Pictures shrunk to 8×8, as the features where no network is named."""
    small = nn.functional.adaptive_avg_pool2d(images.float() / 255, 8)
    return small.flatten(1)


def network_features(name: str) -> Features:
    """The embeddings of a registered checkpoint. Raises `UsageError` where it embeds nothing."""
    from zoo_core.checkpoint import open_checkpoint
    from zoo_core.factory import load, open_zoo

    zoo = open_zoo()
    family = zoo.host.find("model", open_checkpoint(name, zoo.registry).card.model)
    task = next((task for task in family.spec.tasks if task.endswith("feature-extraction")), "")
    if not task:
        raise UsageError(f"{name} has no features to compare pictures by")
    network = load(name, task=task, zoo=zoo)

    def features(images: Tensor) -> Tensor:
        arrays = [image.permute(1, 2, 0).contiguous().cpu().numpy() for image in images]
        found = network.predict(arrays, normalize=False)
        return torch.tensor([answer["embedding"] for answer in found])

    return features


def distances(real: Tensor, made: Tensor) -> dict[str, float]:
    """`fid`, `kid`, `precision` and `recall` of features (N, D) and (M, D). Raises `UsageError` for fewer than 10 each."""
    if min(len(real), len(made)) < 10:
        raise UsageError(f"scores need 10 samples and more, found {len(real)} real and {len(made)} generated")
    if not bool(made.isfinite().all()):
        return {"fid": float("inf"), "kid": float("inf"), "precision": 0.0, "recall": 0.0}
    return {**_torchmetrics(real, made), **precision_and_recall(real, made)}


def _torchmetrics(real: Tensor, made: Tensor) -> dict[str, float]:
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    passed = _Passed(real.shape[1])
    subset = min(_SUBSET, len(real), len(made))
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        # It says that it keeps the features, which are here already.
        warnings.filterwarnings("ignore", message="Metric `Kernel Inception Distance` will save")
        kid = KernelInceptionDistance(feature=passed, subsets=20, subset_size=subset)
    try:
        # Its subsets are drawn from the global generator, which belongs to the run.
        torch.manual_seed(0)
        fid = FrechetInceptionDistance(feature=passed)
        for metric in (fid, kid):
            for features, is_real in ((real, True), (made, False)):
                metric.update(features[:, :, None, None], real=is_real)
        return {"fid": float(fid.compute()), "kid": float(kid.compute()[0])}
    finally:
        torch.set_rng_state(state)


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
    radius = torch.cdist(others, others).kthvalue(NEIGHBOURS + 1, dim=1).values
    inside = (torch.cdist(samples, others) <= radius[None]).any(1)
    return float(inside.float().mean())
