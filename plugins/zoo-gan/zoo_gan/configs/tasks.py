"""What a recipe or a caller may set of generation tasks and of their data; free of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from zoo_core.contract import Alias, Config, Interval, NonNegativeFloat, NonNegativeInt, PositiveInt, Share


class AdversarialConfig(Config):
    """How a generator and a discriminator are trained against each other; each regulariser has its strength and interval."""

    critics: PositiveInt = 1
    """Updates of the discriminator for one of the generator."""
    r1: NonNegativeFloat = 0.0
    """Strength of the gradient penalty on real samples (Mescheder et al., 2018); 0 for none."""
    r1_every: PositiveInt = 1
    """Steps between its updates; its strength is multiplied by it, so that the sum over steps stays."""
    r2: NonNegativeFloat = 0.0
    """Strength of the same on generated samples; 0 for none."""
    r2_every: PositiveInt = 1
    """Steps between its updates."""
    gradient_penalty: NonNegativeFloat = 0.0
    """Strength of the penalty that pulls gradient norms between samples to 1 (Gulrajani et al., 2017); 0 for none."""
    gradient_penalty_every: PositiveInt = 1
    """Steps between its updates."""
    path_length: NonNegativeFloat = 0.0
    """Strength of the penalty that keeps steps of the generator as long as steps of its latents (Karras et al., CVPR
    2020, section 3.2, where it is 2); 0 for none."""
    path_length_every: PositiveInt = 1
    """Steps between its updates, 8 in the paper; they are updates of the generator's own, also at 1."""
    clip: NonNegativeFloat = 0.0
    """Largest absolute weight of the discriminator (Arjovsky et al., 2017); 0 for no limit."""
    augment: str = ""
    """Differentiable augmentation of what the discriminator sees: `colour`, `translation`, `cutout`, joined by commas."""
    noise: NonNegativeFloat = 0.0
    """Deviation of the noise on what the discriminator sees (Sønderby et al., 2017)."""
    flip: Share = 0.0
    """Probability of a horizontal flip of training images."""


class GenerationConfig(AdversarialConfig):
    """The same for images, and what they are scored with."""

    features: str = ""
    """Registered checkpoint in whose features images are compared; empty: the pixels, shrunk to 8×8."""


class TranslationConfig(AdversarialConfig):
    """The same for images made from images (Isola et al., CVPR 2017)."""

    condition: Literal["grey", "outline"] = "outline"
    """What the generator is given of an image: its grey levels, or its edges as dark lines."""
    l1: float = 100.0
    """Strength of the mean absolute difference from the real image, beside the adversarial loss (equation 4)."""
    features: str = ""
    """Registered checkpoint in whose features images are compared; empty: the pixels, shrunk to 8×8."""


class TranslationOptions(Config):
    """How a translator answers: nothing is to be chosen but what it was trained on."""

    condition: Literal["given", "grey", "outline"] = "given"
    """Take inputs as the condition itself, or make it of them."""


class SamplingOptions(Config):
    """How a generator answers; every input is the number of a sample's seed."""

    seed: int = 0
    """Where numbers of samples are counted from."""
    label: str = ""
    """Class of all samples, for a conditional generator; empty: the classes in turn."""


class ImageSamplingOptions(SamplingOptions):
    """How a generator of images answers a number, a walk such as `3..7` between two, or an image to find."""

    frames: Annotated[int, Interval(ge=2)] = 8
    """Images of a walk, both ends included."""
    iterations: NonNegativeInt = 200
    """Updates of the latent when one is looked for."""
    starts: Annotated[int, Interval(ge=1, le=256)] = 4
    """Latents that are looked for at once, of every class in question; the best is given."""


class ImageReaderConfig(Config):
    """How images become what a discriminator sees."""

    image_size: Annotated[int, Interval(ge=4, le=1024)] = 32
    """Side of the square in pixels; smaller and larger images are resized."""
    in_channels: Annotated[Literal[1, 3], Alias("channels")] = 3
    """1 for grey, 3 for RGB."""
    background: Annotated[int, Interval(ge=0, le=255)] = 255
    """Grey level, 0 to 255, behind transparent pixels."""


class PointsConfig(Config):
    """Points of the plane, drawn from a known density, so that modes and quality can be counted."""

    shape: Literal["gaussians", "swiss-roll"] = "gaussians"
    """25 Gaussians on a grid (deviation 0.05, spacing 2), or a spiral (Dumoulin et al., 2017; Gulrajani et al., 2017)."""
    samples: Annotated[int, Interval(ge=100)] = 20_000
    """Training points; a tenth as many are held out."""
    seed: int = 0
    """Chooses the points."""
