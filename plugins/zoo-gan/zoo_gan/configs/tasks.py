"""What a recipe or a caller may set of generation tasks and of their data; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig:
    """How a generator and a discriminator are trained against each other; each regulariser has its strength and interval."""

    critics: int = 1
    """Updates of the discriminator for one of the generator."""
    r1: float = 0.0
    """Strength of the gradient penalty on real samples (Mescheder et al., 2018); 0 for none."""
    r1_every: int = 1
    """Steps between its updates; its strength is multiplied by it, so that the sum over steps stays."""
    r2: float = 0.0
    """Strength of the same on generated samples; 0 for none."""
    r2_every: int = 1
    """Steps between its updates."""
    gradient_penalty: float = 0.0
    """Strength of the penalty that pulls gradient norms between samples to 1 (Gulrajani et al., 2017); 0 for none."""
    gradient_penalty_every: int = 1
    """Steps between its updates."""
    path_length: float = 0.0
    """Strength of the penalty that keeps steps of the generator as long as steps of its latents (Karras et al., CVPR
    2020, section 3.2, where it is 2); 0 for none."""
    path_length_every: int = 1
    """Steps between its updates, 8 in the paper; they are updates of the generator's own, also at 1."""
    clip: float = 0.0
    """Largest absolute weight of the discriminator (Arjovsky et al., 2017); 0 for no limit."""
    augment: str = ""
    """Differentiable augmentation of what the discriminator sees: `colour`, `translation`, `cutout`, joined by commas."""
    noise: float = 0.0
    """Deviation of the noise on what the discriminator sees (Sønderby et al., 2017)."""
    flip: float = 0.0
    """Probability of a horizontal flip of training images."""

    def __post_init__(self) -> None:
        """Refuse intervals below 1 and strengths below 0."""
        for name in ("critics", "r1_every", "r2_every", "gradient_penalty_every", "path_length_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, found {getattr(self, name)}")
        for name in ("r1", "r2", "gradient_penalty", "path_length", "clip", "noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must be at least 0, found {getattr(self, name)}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip: a probability from 0 to 1, found {self.flip}")


@dataclass(frozen=True, kw_only=True)
class GenerationConfig(AdversarialConfig):
    """The same for images, and what they are scored with."""

    features: str = ""
    """Registered checkpoint in whose features images are compared; empty: the pixels, shrunk to 8×8."""


@dataclass(frozen=True, kw_only=True)
class TranslationConfig(AdversarialConfig):
    """The same for images made from images (Isola et al., CVPR 2017)."""

    condition: Literal["grey", "outline"] = "outline"
    """What the generator is given of an image: its grey levels, or its edges as dark lines."""
    l1: float = 100.0
    """Strength of the mean absolute difference from the real image, beside the adversarial loss (equation 4)."""
    features: str = ""
    """Registered checkpoint in whose features images are compared; empty: the pixels, shrunk to 8×8."""


@dataclass(frozen=True, kw_only=True)
class TranslationOptions:
    """How a translator answers: nothing is to be chosen but what it was trained on."""

    condition: Literal["given", "grey", "outline"] = "given"
    """Take inputs as the condition itself, or make it of them."""


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How a generator answers; every input is the number of a sample's seed."""

    seed: int = 0
    """Where numbers of samples are counted from."""
    label: str = ""
    """Class of all samples, for a conditional generator; empty: the classes in turn."""


@dataclass(frozen=True, kw_only=True)
class ImageSamplingOptions(SamplingOptions):
    """How a generator of images answers a number, a walk such as `3..7` between two, or an image to find."""

    frames: int = 8
    """Images of a walk, both ends included."""
    iterations: int = 200
    """Updates of the latent when one is looked for."""
    starts: int = 4
    """Latents that are looked for at once, of every class in question; the best is given."""

    def __post_init__(self) -> None:
        """Refuse counts below their least."""
        for name, least in (("frames", 2), ("iterations", 0), ("starts", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: must be at least {least}, found {getattr(self, name)}")
        if self.starts > 256:
            raise ValueError(f"starts: must be at most 256, found {self.starts}")


@dataclass(frozen=True, kw_only=True)
class ImageReaderConfig:
    """How images become what a discriminator sees."""

    image_size: int = 32
    """Side of the square in pixels; smaller and larger images are resized."""
    channels: Literal[1, 3] = 3
    """1 for grey, 3 for RGB."""
    background: int = 255
    """Grey level, 0 to 255, behind transparent pixels."""

    def __post_init__(self) -> None:
        """Refuse sizes and levels out of range."""
        if not 4 <= self.image_size <= 1024:
            raise ValueError(f"image_size: must be from 4 to 1024, found {self.image_size}")
        if not 0 <= self.background <= 255:
            raise ValueError(f"background: must be from 0 to 255, found {self.background}")


@dataclass(frozen=True, kw_only=True)
class PointsConfig:
    """Points of the plane, drawn from a known density, so that modes and quality can be counted."""

    shape: Literal["gaussians", "swiss-roll"] = "gaussians"
    """25 Gaussians on a grid (deviation 0.05, spacing 2), or a spiral (Dumoulin et al., 2017; Gulrajani et al., 2017)."""
    samples: int = 20_000
    """Training points; a tenth as many are held out."""
    seed: int = 0
    """Chooses the points."""

    def __post_init__(self) -> None:
        """Refuse too few points to see a shape."""
        if self.samples < 100:
            raise ValueError(f"samples: must be at least 100, found {self.samples}")
