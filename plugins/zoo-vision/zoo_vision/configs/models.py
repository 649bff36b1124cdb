"""What a recipe or a caller may set of models, preprocessors and tasks for images; free of torch. Names are timm's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from zoo_core.contract import (
    LAYERS,
    SIZE,
    Alias,
    Config,
    FieldError,
    Interval,
    Layers,
    MultipleOf,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Share,
    Size,
    Sizes,
    StageLayers,
)

_BLOCKS = re.compile("depth|layer|block|stage|repeat")
"""What occurs in timm's names of arguments that count blocks."""
_SIDE = 8192
"""Longest shorter side of an image before the centre crop."""
_PositiveShare = Annotated[float, Interval(gt=0, le=1)]
_InnerShare = Annotated[float, Interval(gt=0, lt=1)]


class ViTConfig(Config):
    """A Vision Transformer (Dosovitskiy et al., ICLR 2021)."""

    img_size: Size = 224
    """Side of the square input in pixels."""
    patch_size: PositiveInt = 16
    """Side of a patch in pixels; divides `img_size`."""
    in_chans: Size = 3
    """Channels of the input: 1 for grey, 3 for RGB."""
    embed_dim: Size = 768
    """Width of the encoder."""
    depth: Layers = 12
    """Encoder blocks."""
    num_heads: PositiveInt = 12
    """Attention heads of a block; divides `embed_dim`."""
    mlp_ratio: PositiveFloat = 4.0
    """Inner width of a block's feed-forward part, as a multiple of `embed_dim`."""
    global_pool: Literal["token", "avg"] = "token"
    """What the head reads: the class token, or the mean of the patches."""
    drop_rate: float = 0.0
    """Dropout before the head."""
    drop_path_rate: float = 0.0
    """Stochastic depth of the last block; earlier blocks get less, linearly."""
    norm_eps: float = 1e-6
    """What layer normalisation adds to the variance; 1e-12 in the weights that Transformers' own class has."""
    decoder_dim: Annotated[Size, MultipleOf(32)] = 512
    """Width of the decoder that reconstructs masked patches; used while pretraining only."""
    decoder_depth: Layers = 4
    """Blocks of that decoder."""
    features_only: bool = False
    """Give feature maps instead of logits."""

    def check(self) -> None:
        """Patches tile the image, and heads share the width evenly."""
        patches = (self.img_size // self.patch_size) ** 2
        self.require("img_size", f"{SIZE.expected()} patches", patches <= SIZE.limit())
        self.require("img_size", f"a multiple of patch_size {self.patch_size}", self.img_size % self.patch_size == 0)
        self.require("embed_dim", f"a multiple of num_heads {self.num_heads}", self.embed_dim % self.num_heads == 0)


class ResNetConfig(Config):
    """A residual network (He et al., CVPR 2016)."""

    layers: StageLayers = (2, 2, 2, 2)
    """Blocks of each of the four stages."""
    channels: Sizes = (64, 128, 256, 512)
    """Channels of each stage's blocks; bottlenecks put out four times as many."""
    block: Literal["basic", "bottleneck"] = "basic"
    """Two 3×3 convolutions, or 1×1, 3×3, 1×1."""
    stem: Literal["standard", "small"] = "standard"
    """`standard` makes the image four times smaller at once; `small` keeps its size, for images of up to 64 pixels."""
    img_size: Size = 224
    """Side of the square input in pixels; any size works, it is what the preprocessor gives."""
    in_chans: Size = 3
    """Channels of the input: 1 for grey, 3 for RGB."""
    drop_rate: float = 0.0
    """Dropout before the head."""
    drop_path_rate: float = 0.0
    """Stochastic depth of the last block; earlier blocks get less, linearly."""
    features_only: bool = False
    """Give feature maps instead of logits."""

    def check(self) -> None:
        """There are four stages."""
        for name in ("layers", "channels"):
            self.require(name, "a number for each of four stages", len(getattr(self, name)) == 4)


class TimmConfig(Config):
    """Any architecture that timm builds."""

    architecture: str
    """Its timm name, without a pretrained tag, for instance `efficientnet_lite0`."""
    in_chans: Size = 3
    """Channels of the input: 1 for grey, 3 for RGB."""
    img_size: Size | None = None
    """Side of the square input in pixels; the architecture's own by default."""
    global_pool: str = ""
    """Pooling before the head; the architecture's own by default."""
    drop_rate: float = 0.0
    """Dropout before the head."""
    drop_path_rate: float = 0.0
    """Stochastic depth, for architectures that know it."""
    model_args: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of timm's builder, by their timm names."""
    features_only: bool = False
    """Give feature maps instead of logits."""

    def check(self) -> None:
        """The builder's own arguments keep the bounds of other models'."""
        for name, value in self.model_args.items():
            _require_argument(name, value)


class ImagePreprocessorConfig(Config):
    """How images become what a model reads."""

    img_size: Annotated[int, Interval(ge=1, le=4096)] = 224
    """Side of the square that the model reads, in pixels."""
    in_chans: Literal[1, 3] = 3
    """1 for grey, 3 for RGB."""
    mean: tuple[Share, ...] = ()
    """Mean of each channel in [0, 1]; empty: measured on the training images."""
    std: tuple[Annotated[float, Interval(ge=1e-6, le=1e6)], ...] = ()
    """Standard deviation of each channel in [0, 1]; empty: measured on the training images."""
    crop_pct: _PositiveShare = 1.0
    """Share of the resized image's shorter side that the centre crop keeps."""
    crop_mode: Literal["center", "squash"] = "center"
    """`squash` resizes both sides, whatever the image's proportions; `center` keeps them and loses the ends."""
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bicubic"
    """How images are resized."""
    background: Annotated[int, Interval(ge=0, le=255)] = 255
    """Grey level, 0 to 255, behind transparent pixels."""

    def check(self) -> None:
        """There is a mean and a deviation for each channel, or neither, and resized images stay as small as anybody can hold."""
        for name in ("mean", "std"):
            held = len(getattr(self, name)) in (0, self.in_chans)
            self.require(name, f"a value for each of {self.in_chans} channel(s), or none", held)
        self.require("std", "mean and std together, or neither", bool(self.mean) == bool(self.std))
        resized = self.img_size / self.crop_pct
        self.require("crop_pct", f"a resized side of at most {_SIDE:,} pixels, not {resized:,.0f}", resized < _SIDE + 1)


class AugmentConfig(Config):
    """What happens to training images at random, as a function of seed, epoch and index."""

    crop: Literal["none", "pad", "resized"] = "none"
    """`pad`: shift by up to `padding` pixels; `resized`: a random part of the image, enlarged (Szegedy et al., 2015)."""
    padding: PositiveInt = 4
    """Pixels for `crop: pad`."""
    scale: tuple[_PositiveShare, _PositiveShare] = (0.35, 1.0)
    """Share of the image's area that `crop: resized` keeps, from and to."""
    flip: Share = 0.0
    """Probability of a horizontal flip."""
    policy: Literal["none", "randaugment", "trivialaugment"] = "none"
    """RandAugment (Cubuk et al., 2020) or TrivialAugment (Müller and Hutter, 2021), as in torchvision."""
    magnitude: Annotated[int, Interval(ge=0, le=30)] = 9
    """Strength for `policy: randaugment`, 0 to 30."""
    colour: NonNegativeFloat = 0.0
    """Strength of random brightness, contrast, saturation and hue; 0 for none, 1 is SimCLR's."""
    grey: Share = 0.0
    """Probability of turning a colour image grey."""
    blur: Share = 0.0
    """Probability of a Gaussian blur."""
    erase: Share = 0.0
    """Probability of erasing a rectangle (Zhong et al., 2020)."""

    def check(self) -> None:
        """The scale is a range."""
        self.require("scale", "from the smaller to the larger share", self.scale[0] <= self.scale[1])


class ClassificationConfig(Config):
    """How a classifier of images is trained."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """What happens to training images at random."""
    mixup: NonNegativeFloat = 0.0
    """Both parameters of the Beta distribution that pairs of images are mixed by (Zhang et al., 2018); 0 for none."""
    cutmix: NonNegativeFloat = 0.0
    """The same for rectangles that are swapped within pairs (Yun et al., 2019); with `mixup` too, each has half the steps."""


class ClassificationOptions(Config):
    """How a classifier answers."""

    top_k: Annotated[NonNegativeInt, Alias("top")] = 0
    """Classes to name with their probabilities, likeliest first; 0 for all."""
    explain: Literal["none", "gradients", "attention"] = "none"
    """Add an image of where the answer comes from: integrated gradients, or attention rollout for Vision Transformers."""


class EmbeddingOptions(Config):
    """How images are embedded."""

    normalize: bool = True
    """Scale vectors to length 1, so that their product is the cosine."""


class MaskedConfig(Config):
    """How a masked autoencoder is trained (He et al., CVPR 2022)."""

    mask_ratio: _InnerShare = 0.75
    """Share of the patches that is hidden."""
    normalize_pixels: bool = True
    """Reconstruct each patch less its mean and by its deviation, which makes better features (section 4.1, table 1d)."""
    augment: AugmentConfig = field(default_factory=lambda: AugmentConfig(crop="resized", scale=(0.2, 1.0), flip=0.5))
    """What happens to training images at random."""


class MaskedOptions(Config):
    """How a masked autoencoder answers."""

    mask_ratio: _InnerShare = 0.75
    """Share of the patches that is hidden."""
    seed: int = 0
    """Chooses the patches."""


class ContrastiveConfig(Config):
    """How an encoder learns to recognise an image in another view of it (Chen et al., ICML 2020)."""

    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(crop="resized", scale=(0.2, 1.0), flip=0.5, colour=0.5, grey=0.2)
    )
    """What makes two views of an image differ."""


class NTXentConfig(Config):
    """Settings of `nt-xent`."""

    temperature: PositiveFloat = 0.5
    """Divides the cosines."""


def _require_argument(name: str, value: Any) -> None:
    """Raise `FieldError` for an argument of timm's with more numbers or blocks, in all stages together, than any model has."""
    numbers = list(_numbers(value))
    if len(numbers) > LAYERS.limit():
        raise FieldError("model_args", f"{name}: expected {LAYERS.expected()} numbers, found {len(numbers):,}")
    blocks = _BLOCKS.search(name) is not None
    budget, found = (LAYERS, sum(numbers)) if blocks else (SIZE, max(numbers, default=0))
    if found > budget.limit():
        raise FieldError("model_args", f"{name}: expected {budget.expected()}, found {value!r:.80}")


def _numbers(value: Any) -> Iterator[float]:
    """All numbers in an argument without their signs; a mapping's are below names of their own."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            _require_argument(name, item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield abs(value)
