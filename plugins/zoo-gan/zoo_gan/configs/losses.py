"""What a recipe may set of the adversarial losses; free of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NonSaturatingConfig:
    """Settings of `gan-non-saturating`."""

    label_smoothing: float = 0.0
    """How far below 1 the discriminator's target for real images lies, in [0, 0.5); 0.1 makes the target 0.9."""

    def __post_init__(self) -> None:
        """Refuse targets that would call real images generated."""
        if not 0.0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing must be in [0, 0.5), found {self.label_smoothing}")
