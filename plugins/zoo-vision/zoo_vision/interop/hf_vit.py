"""Folders of the `vit` classes that Transformers has itself, which timm can't read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from transformers.models.vit.configuration_vit import ViTConfig as Architecture
from zoo_transformers import WORDS, TransformersInterop

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import ForeignCheckpoint, KeyTable, problem_task, read_object, unsupported
from zoo_core.contract import from_data as typed
from zoo_vision.configs.models import ImagePreprocessorConfig
from zoo_vision.interop.fields import PIXELS, VIT, VIT_FIELDS
from zoo_vision.interop.names import LARGEST, whole
from zoo_vision.models.common import CLASSIFICATION, FEATURES, SCORING
from zoo_vision.preprocessor import ImagePreprocessor

PROBLEMS = dict(zip(WORDS, SCORING, strict=True))
"""Our task by Transformers' word for what a classifier's outputs are."""

_LAYER = "encoder.layer.*"
_KEYS = KeyTable(
    prefix="vit.",
    pairs=(
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.patch_embeddings.projection.*", "patch_embed.proj.*"),
        (tuple(f"{_LAYER}.attention.attention.{part}.*" for part in ("query", "key", "value")), "blocks.*.attn.qkv.*"),
        (f"{_LAYER}.attention.output.dense.*", "blocks.*.attn.proj.*"),
        (f"{_LAYER}.intermediate.dense.*", "blocks.*.mlp.fc1.*"),
        (f"{_LAYER}.output.dense.*", "blocks.*.mlp.fc2.*"),
        (f"{_LAYER}.layernorm_before.*", "blocks.*.norm1.*"),
        (f"{_LAYER}.layernorm_after.*", "blocks.*.norm2.*"),
        ("layernorm.*", "norm.*"),
        ("classifier.*", "head.*"),
        # No prediction depends on these.
        ("pooler.*", None),
        ("embeddings.mask_token", None),
    ),
)
"""Tensors of Transformers' `vit` folders, and of timm."""
_RESAMPLING = {"0": "nearest", "2": "bilinear", "3": "bicubic"}
"""Pillow's numbers."""


class NativeViT(TransformersInterop):
    """Folders of `ViTModel` and `ViTForImageClassification`, which are read only: timm's folders are written."""

    library = Architecture
    fields: ClassVar[Mapping[str, str]] = {}
    rules = (VIT, PIXELS)
    heads: ClassVar[Mapping[str, str]] = {"ViTModel": FEATURES, "ViTForImageClassification": CLASSIFICATION}
    problems = PROBLEMS
    keys = _KEYS

    def completed(
        self, foreign: ForeignCheckpoint, theirs: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> ForeignCheckpoint:
        """With sizes and the preprocessor."""
        config: dict[str, Any] = {ours: whole(theirs[name], name, 1) for ours, name in VIT_FIELDS.items()}
        config["mlp_ratio"] = whole(theirs["intermediate_size"], "intermediate_size", 1) / config["embed_dim"]
        config["norm_eps"] = theirs["layer_norm_eps"]
        reader = _native_preprocessor(files, config["img_size"], config["in_chans"])
        return replace(foreign, config=config, preprocessor=reader)


def scoring_task(theirs: Mapping[str, Any], labels: int) -> str:
    """Our task for a classifier, by what its outputs are. Raises `UsageError` for a kind that is not known."""
    return problem_task(theirs.get("problem_type"), labels, PROBLEMS, "config.json: problem_type")


def reader_of(settings: Mapping[str, Any], where: str) -> ImagePreprocessor:
    """The preprocessor with these settings. Raises `UsageError`, naming the file, for impossible ones."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    return ImagePreprocessor(typed(ImagePreprocessorConfig, plain, where=where, error=UsageError))


def _scaled(values: Any, scale: float, where: str) -> list[float]:
    if not isinstance(values, list | tuple) or not all(type(value) in (int, float) for value in values):
        raise CorruptFile(f"{where}: expected a number for each channel, found {values!r:.80}")
    return [value / scale for value in values]


def _native_preprocessor(files: Mapping[str, bytes], side: int, channels: int) -> ImagePreprocessor | None:
    """The same up to rounding: a grey level, and a pixel where the middle is between two."""
    where = "preprocessor_config.json"
    if where not in files:
        return None
    theirs = read_object(files, where)
    size, crop = theirs.get("size", side), theirs.get("crop_size")
    shorter = size.get("shortest_edge") if isinstance(size, dict) else None
    squashed = size in (side, {"height": side, "width": side}) and not theirs.get("do_center_crop")
    cropped = theirs.get("do_center_crop") and crop in (side, {"height": side, "width": side})
    cropped = cropped and type(shorter) is int and side <= shorter <= LARGEST
    if not (squashed or cropped):
        ours = f'"size": {{"height": {side}, "width": {side}}}'
        raise UsageError(
            f"{where}: images are neither squashed to {side} nor resized by their shorter side and cropped to {side}",
            hint=f"if other results are fine for images that aren't square, write {ours} there",
        )
    share = 1.0 if squashed or shorter is None else side / shorter
    if not squashed and math.floor(side / share) != shorter:
        share = math.nextafter(share, 0)  # rounding must not cost floor(side / share) a pixel
    half = [0.5] * channels
    # Theirs normalise pixels times their factor, ours pixels over 255: the same with other statistics.
    factor = theirs.get("rescale_factor", 1 / 255)
    if type(factor) not in (int, float) or not 0 < factor <= 1:
        raise unsupported(where, "rescale_factor", 1 / 255, factor)
    scale = 1.0 if math.isclose(factor, 1 / 255) else 255 * factor
    # (f x - m) / s = (x / 255 - m / 255f) / (s / 255f).
    mean, std = (_scaled(theirs.get(name, half), scale, f"{where}: {name}") for name in ("image_mean", "image_std"))
    settings = {"img_size": side, "in_chans": channels, "mean": mean, "std": std, "crop_pct": share}
    settings["crop_mode"] = "squash" if squashed else "center"
    return reader_of({**settings, "interpolation": _RESAMPLING.get(str(theirs.get("resample", 2)), "")}, where)
