"""What a recipe may set of the adversarial losses; free of torch."""

from __future__ import annotations

from typing import Annotated

from zoo_core.contract import Config, Interval


class NonSaturatingConfig(Config):
    """Settings of `gan-non-saturating`."""

    label_smoothing: Annotated[float, Interval(ge=0, lt=0.5)] = 0.0
    """How far below 1 the discriminator's target for real images lies; 0.1 makes the target 0.9."""
