"""What a recipe or a caller may set of models, preprocessors and tasks for images; free of torch. Names are timm's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from zoo_core.contract import LAYERS, SIZE, Formerly, require_layers, require_sizes

_BLOCKS = re.compile("depth|layer|block|stage|repeat")
"""What occurs in timm's names of arguments that count blocks."""
_SIDE = 8192
"""Longest side of what a preprocessor makes of an image: a batch of 64 takes 48 GB then, so nobody can read more."""


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """A Vision Transformer (Dosovitskiy et al., ICLR 2021)."""

    img_size: int = 224
    """Side of the square input in pixels."""
    patch_size: int = 16
    """Side of a patch in pixels; divides `img_size`."""
    in_chans: int = 3
    """Channels of the input: 1 for grey, 3 for RGB."""
    embed_dim: int = 768
    """Width of the encoder."""
    depth: int = 12
    """Encoder blocks."""
    num_heads: int = 12
    """Attention heads of a block; divides `embed_dim`."""
    mlp_ratio: float = 4.0
    """Inner width of a block's feed-forward part, as a multiple of `embed_dim`."""
    global_pool: Literal["token", "avg"] = "token"
    """What the head reads: the class token, or the mean of the patches."""
    drop_rate: float = 0.0
    """Dropout before the head."""
    drop_path_rate: float = 0.0
    """Stochastic depth of the last block; earlier blocks get less, linearly."""
    norm_eps: float = 1e-6
    """What layer normalisation adds to the variance; 1e-12 in the weights that Transformers' own class has."""
    decoder_dim: int = 512
    """Width of the decoder that reconstructs masked patches; used while pretraining only."""
    decoder_depth: int = 4
    """Blocks of that decoder."""
    features_only: bool = False
    """Give feature maps instead of logits."""

    def __post_init__(self) -> None:
        """Refuse shapes that don't divide."""
        _require_positive(self, "img_size", "patch_size", "in_chans", "embed_dim", "depth", "num_heads", "decoder_dim")
        require_layers(self, "depth", "decoder_depth")
        require_sizes(self, "img_size", "in_chans", "embed_dim", "decoder_dim")
        patches = (self.img_size // self.patch_size) ** 2
        if patches > SIZE.limit():
            raise ValueError(f"img_size: expected {SIZE.expected()} patches, found {patches:,}")
        if self.img_size % self.patch_size:
            raise ValueError(f"img_size: {self.img_size} is no multiple of patch_size {self.patch_size}")
        if self.embed_dim % self.num_heads:
            raise ValueError(f"embed_dim: {self.embed_dim} is no multiple of num_heads {self.num_heads}")
        if self.decoder_dim % 32:
            raise ValueError(f"decoder_dim: {self.decoder_dim} is no multiple of 32, the width of a decoder head")


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """A residual network (He et al., CVPR 2016)."""

    layers: tuple[int, ...] = (2, 2, 2, 2)
    """Blocks of each of the four stages."""
    channels: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of each stage's blocks; bottlenecks put out four times as many."""
    block: Literal["basic", "bottleneck"] = "basic"
    """Two 3×3 convolutions, or 1×1, 3×3, 1×1."""
    stem: Literal["standard", "small"] = "standard"
    """`standard` makes the image four times smaller at once; `small` keeps its size, for images of up to 64 pixels."""
    img_size: int = 224
    """Side of the square input in pixels; any size works, it is what the preprocessor gives."""
    in_chans: int = 3
    """Channels of the input: 1 for grey, 3 for RGB."""
    drop_rate: float = 0.0
    """Dropout before the head."""
    drop_path_rate: float = 0.0
    """Stochastic depth of the last block; earlier blocks get less, linearly."""
    features_only: bool = False
    """Give feature maps instead of logits."""

    def __post_init__(self) -> None:
        """Refuse other than four stages."""
        _require_positive(self, "img_size", "in_chans")
        require_layers(self, "layers")
        require_sizes(self, "img_size", "in_chans", "channels")
        if len(self.layers) != 4 or len(self.channels) != 4 or min(self.layers + self.channels) < 1:
            raise ValueError("layers and channels: four whole numbers above 0 each, one a stage")


@dataclass(frozen=True, kw_only=True)
class TimmConfig:
    """Any architecture that timm builds."""

    architecture: str
    """Its timm name, without a pretrained tag, for instance `efficientnet_lite0`."""
    in_chans: int = 3
    """Channels of the input: 1 for grey, 3 for RGB."""
    img_size: int | None = None
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

    def __post_init__(self) -> None:
        """Refuse sizes that could not be built."""
        _require_positive(self, "in_chans")
        require_sizes(self, "in_chans")
        if self.img_size is not None:
            require_sizes(self, "img_size")
            _require_positive(self, "img_size")
        for name, value in self.model_args.items():
            _require_argument(name, value)


@dataclass(frozen=True, kw_only=True)
class ImagePreprocessorConfig:
    """How images become what a model reads."""

    img_size: int = 224
    """Side of the square that the model reads, in pixels."""
    in_chans: Literal[1, 3] = 3
    """1 for grey, 3 for RGB."""
    mean: tuple[float, ...] = ()
    """Mean of each channel in [0, 1]; empty: measured on the training images."""
    std: tuple[float, ...] = ()
    """Standard deviation of each channel in [0, 1]; empty: measured on the training images."""
    crop_pct: float = 1.0
    """Share of the resized image's shorter side that the centre crop keeps."""
    crop_mode: Literal["center", "squash"] = "center"
    """`squash` resizes both sides, whatever the image's proportions; `center` keeps them and loses the ends."""
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bicubic"
    """How images are resized."""
    background: int = 255
    """Grey level, 0 to 255, behind transparent pixels."""

    def __post_init__(self) -> None:
        """Refuse statistics of another number of channels, and values out of range."""
        _require_positive(self, "img_size")
        if self.img_size > _SIDE:
            raise ValueError(f"img_size: expected at most {_SIDE:,} pixels, found {self.img_size:,}")
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (0, self.in_chans):
                raise ValueError(f"{name}: give one value for each of {self.in_chans} channel(s), or none")
        if bool(self.mean) != bool(self.std) or any(value <= 0 for value in self.std):
            raise ValueError("mean and std: give both, std above 0, or none")
        if not 0 < self.crop_pct <= 1:
            raise ValueError(f"crop_pct: must be above 0 and at most 1, found {self.crop_pct}")
        if not 0 <= self.background <= 255:
            raise ValueError(f"background: must be from 0 to 255, found {self.background}")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What happens to training images at random, as a function of seed, epoch and index."""

    crop: Literal["none", "pad", "resized"] = "none"
    """`pad`: shift by up to `padding` pixels; `resized`: a random part of the image, enlarged (Szegedy et al., 2015)."""
    padding: int = 4
    """Pixels for `crop: pad`."""
    scale: tuple[float, float] = (0.35, 1.0)
    """Share of the image's area that `crop: resized` keeps, from and to."""
    flip: float = 0.0
    """Probability of a horizontal flip."""
    policy: Literal["none", "randaugment", "trivialaugment"] = "none"
    """RandAugment (Cubuk et al., 2020) or TrivialAugment (Müller and Hutter, 2021), as in torchvision."""
    magnitude: int = 9
    """Strength for `policy: randaugment`, 0 to 30."""
    colour: float = 0.0
    """Strength of random brightness, contrast, saturation and hue; 0 for none, 1 is SimCLR's."""
    grey: float = 0.0
    """Probability of turning a colour image grey."""
    blur: float = 0.0
    """Probability of a Gaussian blur."""
    erase: float = 0.0
    """Probability of erasing a rectangle (Zhong et al., 2020)."""

    def __post_init__(self) -> None:
        """Refuse probabilities and shares out of range."""
        for name in ("flip", "grey", "blur", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: a probability from 0 to 1, found {getattr(self, name)}")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale: two shares, 0 < from <= to <= 1, found {self.scale}")
        if self.padding < 1 or self.colour < 0 or not 0 <= self.magnitude <= 30:
            raise ValueError("padding at least 1, colour at least 0, magnitude from 0 to 30")


@dataclass(frozen=True, kw_only=True)
class ClassificationConfig:
    """How a classifier of images is trained."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """What happens to training images at random."""
    mixup: float = 0.0
    """Both parameters of the Beta distribution that pairs of images are mixed by (Zhang et al., 2018); 0 for none."""
    cutmix: float = 0.0
    """The same for rectangles that are swapped within pairs (Yun et al., 2019); with `mixup` too, each has half the steps."""

    def __post_init__(self) -> None:
        """Refuse parameters that are none of a Beta distribution."""
        if self.mixup < 0 or self.cutmix < 0:
            raise ValueError("mixup and cutmix: at least 0")


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions:
    """How a classifier answers."""

    top_k: Annotated[int, Formerly("top")] = 0
    """Classes to name with their probabilities, likeliest first; 0 for all."""
    explain: Literal["none", "gradients", "attention"] = "none"
    """Add an image of where the answer comes from: integrated gradients, or attention rollout for Vision Transformers."""

    def __post_init__(self) -> None:
        """Refuse a number below 0."""
        if self.top_k < 0:
            raise ValueError(f"top_k: must be at least 0, found {self.top_k}")


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptions:
    """How images are embedded."""

    normalize: bool = True
    """Scale vectors to length 1, so that their product is the cosine."""


@dataclass(frozen=True, kw_only=True)
class MaskedConfig:
    """How a masked autoencoder is trained (He et al., CVPR 2022)."""

    mask_ratio: float = 0.75
    """Share of the patches that is hidden."""
    normalize_pixels: bool = True
    """Reconstruct each patch less its mean and by its deviation, which makes better features (section 4.1, table 1d)."""
    augment: AugmentConfig = field(default_factory=lambda: AugmentConfig(crop="resized", scale=(0.2, 1.0), flip=0.5))
    """What happens to training images at random."""

    def __post_init__(self) -> None:
        """Refuse to hide nothing or everything."""
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio: must be between 0 and 1, found {self.mask_ratio}")


@dataclass(frozen=True, kw_only=True)
class MaskedOptions:
    """How a masked autoencoder answers."""

    mask_ratio: float = 0.75
    """Share of the patches that is hidden."""
    seed: int = 0
    """Chooses the patches."""

    def __post_init__(self) -> None:
        """Refuse to hide nothing or everything."""
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio: must be between 0 and 1, found {self.mask_ratio}")


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig:
    """How an encoder learns to recognise an image in another view of it (Chen et al., ICML 2020)."""

    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(crop="resized", scale=(0.2, 1.0), flip=0.5, colour=0.5, grey=0.2)
    )
    """What makes two views of an image differ."""


@dataclass(frozen=True, kw_only=True)
class NTXentConfig:
    """Settings of `nt-xent`."""

    temperature: float = 0.5
    """Divides the cosines, above 0."""

    def __post_init__(self) -> None:
        """Refuse what can't divide."""
        if not self.temperature > 0:
            raise ValueError(f"temperature: must be above 0, found {self.temperature}")


def _require_argument(name: str, value: Any) -> None:
    """Refuse an argument of timm's whose numbers or blocks, those of all stages together, are more than any model has."""
    numbers = list(_numbers(value))
    if len(numbers) > LAYERS.limit():
        raise ValueError(f"model_args: {name}: expected {LAYERS.expected()} numbers, found {len(numbers):,}")
    blocks = _BLOCKS.search(name) is not None
    budget, found = (LAYERS, sum(numbers)) if blocks else (SIZE, max(numbers, default=0))
    if found > budget.limit():
        raise ValueError(f"model_args: {name}: expected {budget.expected()}, found {value!r:.80}")


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


def _require_positive(config: Any, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name}: must be at least 1, found {getattr(config, name)}")
