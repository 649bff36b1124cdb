"""What a recipe or a caller may set of adversarial models; free of torch."""

from __future__ import annotations

from typing import Annotated

from zoo_core.contract import (
    LAYERS,
    SIZE,
    Alias,
    Config,
    FieldError,
    Interval,
    Layers,
    NonNegativeInt,
    ProperShare,
    Size,
    Sizes,
    StageLayers,
    Within,
)

_Classes = Annotated[NonNegativeInt, Within(SIZE), Alias("classes")]


class DCGANConfig(Config):
    """Convolutional networks with batch normalisation (Radford et al., ICLR 2016)."""

    image_size: Size = 64
    """Side of the square images in pixels: 4 or 7, doubled at least once."""
    in_channels: Annotated[Size, Alias("channels")] = 3
    """Channels of the images: 1 for grey, 3 for RGB."""
    num_classes: _Classes = 0
    """Classes that both networks are told; 0 for an unconditional model."""
    latent_dim: Size = 100
    """Length of a latent vector."""
    width: Size = 64
    """Channels of the finest layers; every halving of the image doubles them."""
    normalise: bool = True
    """Whether layers are followed by batch normalisation, which makes the logits of a batch depend on each other."""

    def check(self) -> None:
        """Doubling reaches the image's size."""
        stages_of(self.image_size)


class R3GANConfig(Config):
    """Residual networks without normalisation (Huang et al., NeurIPS 2024); the defaults are the paper's."""

    image_size: Size = 32
    """Side of the square images in pixels: 4 or 7, doubled at least once. Each doubling is a stage."""
    in_channels: Annotated[Size, Alias("channels")] = 3
    """Channels of the images: 1 for grey, 3 for RGB."""
    num_classes: _Classes = 0
    """Classes that both networks are told; 0 for an unconditional model."""
    latent_dim: Size = 64
    """Length of a latent vector."""
    width: Size = 768
    """Channels of the coarse stages."""
    full_width_until: Size = 32
    """Side in pixels of the finest stage that has the whole `width`; beyond, every doubling halves it."""
    widths: Sizes = ()
    """Channels of each stage, coarsest first; empty: by `width` and `full_width_until`."""
    blocks: StageLayers = (2,)
    """Residual blocks of each stage, coarsest first; a single number stands for all stages."""
    expansion: Size = 2
    """Inner channels of a residual block, as a multiple of its width."""
    group_width: Size = 16
    """Inner channels of one group of the grouped convolution; their number of groups is the block's cardinality."""

    def check(self) -> None:
        """Doubling reaches the image's size, lists have an item for each stage, and groups divide widths."""
        stages = stages_of(self.image_size)[1] + 1
        each = f"for the stages of {self.image_size} pixels"
        self.require("widths", f"{stages} numbers {each}, or none", len(self.widths) in (0, stages))
        self.require("blocks", f"one number, or {stages} {each}", len(self.blocks) in (1, stages))
        self.require("blocks", f"{LAYERS.expected()} in all stages", sum(self.stage_blocks) <= LAYERS.limit())
        for width in self.stage_widths:
            inner = width * self.expansion
            holds = width >= 1 and inner % self.group_width == 0
            self.require("group_width", f"a divisor of {inner}, a stage's width times the expansion", holds)

    @property
    def stage_widths(self) -> tuple[int, ...]:
        """Channels of each stage, coarsest first."""
        base, doublings = stages_of(self.image_size)
        sides = [base << doubling for doubling in range(doublings + 1)]
        return self.widths or tuple(
            self.width >> sum(other > self.full_width_until for other in sides[: place + 1])
            for place in range(len(sides))
        )

    @property
    def stage_blocks(self) -> tuple[int, ...]:
        """Residual blocks of each stage, coarsest first."""
        return self.blocks if len(self.blocks) > 1 else self.blocks * len(self.stage_widths)


class MLPConfig(Config):
    """Perceptrons that make and judge points of the plane."""

    latent_dim: Size = 2
    """Length of a latent vector."""
    num_classes: _Classes = 0
    """Classes that both networks are told; 0 for an unconditional model."""
    width: Size = 256
    """Units of a hidden layer."""
    num_layers: Annotated[Layers, Alias("depth")] = 3
    """Hidden layers."""


class UNetConfig(Config):
    """Translation of images into images (Isola et al., CVPR 2017)."""

    image_size: Size = 64
    """Side of the square images in pixels; a multiple of 2 to the power of `depth`."""
    in_channels: Annotated[Size, Alias("channels")] = 3
    """Channels of the images and of the conditions: 1 for grey, 3 for RGB."""
    width: Size = 64
    """Channels of the finest layers; each coarser layer has twice as many, up to eight times."""
    depth: Annotated[Layers, Interval(ge=2)] = 5
    """Halvings on the way down, at least 2."""
    dropout: ProperShare = 0.5
    """Dropout in up to three of the coarsest layers on the way up: the model's only randomness."""
    patch_layers: Layers = 2
    """Halvings in the discriminator: it judges patches of 16 pixels with 1, of 34 with 2, of 70 with 3."""

    def check(self) -> None:
        """Both networks can halve the image as often as they have to."""
        size, depth, patches = self.image_size, self.depth, self.patch_layers
        self.require("depth", f"a number of times that {size} pixels can be halved", size % 2**depth == 0)
        self.require("patch_layers", f"halvings of {size} pixels that leave 3 or more", size >> patches >= 3)


def stages_of(image_size: int) -> tuple[int, int]:
    """The side that an image grows from, 4 or 7, and how often it doubles. Raises `FieldError` for any other size."""
    for base in (4, 7):
        doublings = max(image_size // base, 1).bit_length() - 1
        if doublings and base << doublings == image_size:
            return base, doublings
    raise FieldError("image_size", f"expected 4 or 7 doubled at least once (28, 32, 64, ...), found {image_size}")
