"""What models learn and answer."""

from __future__ import annotations

from typing import Any

from zoo_core.contract import TaskSpec
from zoo_core.data import RASTER_SUFFIXES
from zoo_gan.specs.samples import IMAGE, LABELLED_IMAGE, POINT

_SIDES = ("real", "fake", "side")
_GENERATION: dict[str, Any] = {
    "loss": "gan-non-saturating",
    "loss_inputs": _SIDES,
    "predict": "zoo_gan.configs.tasks:ImageSamplingOptions",
    "input_suffixes": RASTER_SUFFIXES,
    "takes_sample_indices": True,
}

TASKS = [
    TaskSpec(
        name="image-generation",
        summary="a generator of images against a discriminator, without labels",
        target="zoo_gan.tasks.image_generation:ImageGeneration",
        config="zoo_gan.configs.tasks:GenerationConfig",
        modality="image",
        reads=(IMAGE,),
        labelled=False,
        outputs=("difference", "image", "animation"),
        **_GENERATION,
    ),
    TaskSpec(
        name="class-conditional-image-generation",
        summary="a generator of images of a class that one names",
        target="zoo_gan.tasks.image_generation:ImageGeneration",
        config="zoo_gan.configs.tasks:GenerationConfig",
        modality="image",
        reads=(LABELLED_IMAGE,),
        labelled=True,
        outputs=("label", "difference", "image", "animation"),
        **_GENERATION,
    ),
    TaskSpec(
        name="image-to-image",
        summary="images made from their outlines or grey levels, against a judge of patches",
        target="zoo_gan.tasks.image_to_image:ImageToImage",
        config="zoo_gan.configs.tasks:TranslationConfig",
        modality="image",
        reads=(IMAGE,),
        labelled=False,
        loss="gan-non-saturating",
        loss_inputs=_SIDES,
        predict="zoo_gan.configs.tasks:TranslationOptions",
        outputs=("image",),
        input="file",
        input_suffixes=RASTER_SUFFIXES,
    ),
    TaskSpec(
        name="point-generation",
        summary="a generator of points of the plane, where lost modes can be counted",
        target="zoo_gan.tasks.point_generation:PointGeneration",
        config="zoo_gan.configs.tasks:AdversarialConfig",
        modality="points",
        reads=(POINT,),
        labelled=False,
        loss="gan-non-saturating",
        loss_inputs=_SIDES,
        predict="zoo_gan.configs.tasks:SamplingOptions",
        outputs=("x", "y"),
        input="number",
    ),
]
