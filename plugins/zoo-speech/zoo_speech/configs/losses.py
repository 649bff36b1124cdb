"""What a recipe may set of the speech losses; free of torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Wav2Vec2ContrastiveConfig:
    """Settings of `wav2vec2-contrastive`."""

    temperature: float = 0.1
    """What cosine similarities are divided by, > 0; the paper's kappa."""
    diversity_weight: float = 0.1
    """Factor of the diversity term, >= 0; the paper's alpha."""
    diversity: Literal["entropy", "perplexity"] = "entropy"
    """`entropy`: equation 4 of the paper; `perplexity`: the share of codewords that go unused, as the authors' code has
    it, whose slope is steeper by the number of a codebook's words in use."""

    def __post_init__(self) -> None:
        """Refuse a temperature or a weight that can't be meant."""
        if not (math.isfinite(self.temperature) and self.temperature > 0.0):
            raise ValueError(f"temperature must be finite and > 0, found {self.temperature}")
        if not (math.isfinite(self.diversity_weight) and self.diversity_weight >= 0.0):
            raise ValueError(f"diversity_weight must be finite and >= 0, found {self.diversity_weight}")


@dataclass(frozen=True, kw_only=True)
class AdditiveAngularMarginConfig:
    """Settings of `additive-angular-margin`."""

    margin: float = 0.2
    """Added to the angle between a recording and its own class, in radians; 0 for none, 0.5 in the paper, on faces."""
    scale: float = 30.0
    """What cosines are multiplied by, > 0; the paper's s."""

    def __post_init__(self) -> None:
        """Refuse a margin or a scale that can't be meant."""
        if not (math.isfinite(self.margin) and 0.0 <= self.margin < math.pi / 2):
            raise ValueError(f"margin must be from 0 to below pi / 2, found {self.margin}")
        if not (math.isfinite(self.scale) and self.scale > 0.0):
            raise ValueError(f"scale must be finite and > 0, found {self.scale}")
