"""What a recipe or a caller may set of adversarial models; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo_core.contract import require_layers, require_sizes


@dataclass(frozen=True, kw_only=True)
class DCGANConfig:
    """Convolutional networks with batch normalisation (Radford et al., ICLR 2016)."""

    image_size: int = 64
    """Side of the square images in pixels: 4 or 7, doubled at least once."""
    channels: int = 3
    """Channels of the images: 1 for grey, 3 for RGB."""
    classes: int = 0
    """Classes that both networks are told; 0 for an unconditional model."""
    latent_dim: int = 100
    """Length of a latent vector."""
    width: int = 64
    """Channels of the finest layers; every halving of the image doubles them."""
    normalise: bool = True
    """Whether layers are followed by batch normalisation, which makes the logits of a batch depend on each other."""

    def __post_init__(self) -> None:
        """Refuse sizes that doubling doesn't reach, and counts below their least."""
        require_sizes(self, "image_size", "channels", "classes", "latent_dim", "width")
        _require_positive(self, "channels", "latent_dim", "width")
        _require_classes(self.classes)
        stages_of(self.image_size)


@dataclass(frozen=True, kw_only=True)
class R3GANConfig:
    """Residual networks without normalisation (Huang et al., NeurIPS 2024); the defaults are the paper's."""

    image_size: int = 32
    """Side of the square images in pixels: 4 or 7, doubled at least once. Each doubling is a stage."""
    channels: int = 3
    """Channels of the images: 1 for grey, 3 for RGB."""
    classes: int = 0
    """Classes that both networks are told; 0 for an unconditional model."""
    latent_dim: int = 64
    """Length of a latent vector."""
    width: int = 768
    """Channels of the coarse stages."""
    full_width_until: int = 32
    """Side in pixels of the finest stage that has the whole `width`; beyond, every doubling halves it."""
    widths: tuple[int, ...] = ()
    """Channels of each stage, coarsest first; empty: by `width` and `full_width_until`."""
    blocks: tuple[int, ...] = (2,)
    """Residual blocks of each stage, coarsest first; a single number stands for all stages."""
    expansion: int = 2
    """Inner channels of a residual block, as a multiple of its width."""
    group_width: int = 16
    """Inner channels of one group of the grouped convolution; their number of groups is the block's cardinality."""

    def __post_init__(self) -> None:
        """Refuse sizes that doubling doesn't reach, lists of another length than stages, groups that don't divide."""
        require_layers(self, "blocks")
        require_sizes(self, "image_size", "channels", "classes", "latent_dim", "width", "widths", "full_width_until")
        require_sizes(self, "expansion", "group_width")
        _require_positive(self, "channels", "latent_dim", "width", "full_width_until", "expansion", "group_width")
        _require_classes(self.classes)
        stages = stages_of(self.image_size)[1] + 1
        if len(self.widths) not in (0, stages) or min(self.widths, default=1) < 1:
            raise ValueError(
                f"widths: {stages} whole numbers above 0 for the stages of {self.image_size} pixels, or none"
            )
        if len(self.blocks) not in (1, stages) or min(self.blocks) < 1:
            raise ValueError(
                f"blocks: one whole number above 0, or {stages} for the stages of {self.image_size} pixels"
            )
        require_layers(self, "stage_blocks")
        for width in self.stage_widths:
            if width < 1 or width * self.expansion % self.group_width:
                raise ValueError(
                    f"group_width: a stage of {width} channels has {width * self.expansion} inside its blocks, which is"
                    f" no multiple of {self.group_width}"
                )

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


@dataclass(frozen=True, kw_only=True)
class MLPConfig:
    """Perceptrons that make and judge points of the plane."""

    latent_dim: int = 2
    """Length of a latent vector."""
    classes: int = 0
    """Classes that both networks are told; 0 for an unconditional model."""
    width: int = 256
    """Units of a hidden layer."""
    depth: int = 3
    """Hidden layers."""

    def __post_init__(self) -> None:
        """Refuse counts below their least."""
        require_layers(self, "depth")
        require_sizes(self, "latent_dim", "classes", "width")
        _require_positive(self, "latent_dim", "width", "depth")
        _require_classes(self.classes)


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Translation of images into images (Isola et al., CVPR 2017)."""

    image_size: int = 64
    """Side of the square images in pixels; a multiple of 2 to the power of `depth`."""
    channels: int = 3
    """Channels of the images and of the conditions: 1 for grey, 3 for RGB."""
    width: int = 64
    """Channels of the finest layers; each coarser layer has twice as many, up to eight times."""
    depth: int = 5
    """Halvings on the way down, at least 2."""
    dropout: float = 0.5
    """Dropout in up to three of the coarsest layers on the way up: the model's only randomness."""
    patch_layers: int = 2
    """Halvings in the discriminator: it judges patches of 16 pixels with 1, of 34 with 2, of 70 with 3."""

    def __post_init__(self) -> None:
        """Refuse depths that the size doesn't allow, and probabilities out of range."""
        require_layers(self, "depth", "patch_layers")
        require_sizes(self, "image_size", "channels", "width")
        _require_positive(self, "image_size", "channels", "width", "patch_layers")
        if self.depth < 2 or self.image_size % 2**self.depth:
            raise ValueError(
                f"depth: at least 2, and so that {self.image_size} pixels can be halved {self.depth} times"
            )
        if self.image_size >> self.patch_layers < 3:
            raise ValueError(
                f"patch_layers: {self.image_size} pixels are too few to be halved {self.patch_layers} times"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: a probability from 0 to below 1, found {self.dropout}")


def stages_of(image_size: int) -> tuple[int, int]:
    """The side that an image grows from, 4 or 7, and how often it doubles. Raises ValueError for any other size."""
    for base in (4, 7):
        doublings = max(image_size // base, 1).bit_length() - 1
        if doublings and base << doublings == image_size:
            return base, doublings
    raise ValueError(f"image_size: 4 or 7 doubled at least once (28, 32, 64, ...), found {image_size}")


def _require_positive(config: Any, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name}: must be at least 1, found {getattr(config, name)}")


def _require_classes(classes: int) -> None:
    if classes < 0:
        raise ValueError(f"classes: must be at least 0, found {classes}")
