"""What a recipe may set of the speech losses; free of torch."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from zoo_core.contract import Config, Interval, NonNegativeFloat, PositiveFloat


class Wav2Vec2ContrastiveConfig(Config):
    """Settings of `wav2vec2-contrastive`."""

    temperature: PositiveFloat = 0.1
    """What cosine similarities are divided by; the paper's kappa."""
    diversity_weight: NonNegativeFloat = 0.1
    """Factor of the diversity term; the paper's alpha."""
    diversity: Literal["entropy", "perplexity"] = "entropy"
    """`entropy`: equation 4 of the paper; `perplexity`: the share of codewords that go unused, as the authors' code has
    it, whose slope is steeper by the number of a codebook's words in use."""


class AdditiveAngularMarginConfig(Config):
    """Settings of `additive-angular-margin`."""

    margin: Annotated[float, Interval(ge=0, lt=math.pi / 2)] = 0.2
    """Added to the angle between a recording and its own class, in radians; 0 for none, 0.5 in the paper, on faces."""
    scale: PositiveFloat = 30.0
    """What cosines are multiplied by; the paper's s."""
