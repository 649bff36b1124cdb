"""Families of models, with their sizes."""

from __future__ import annotations

from typing import Any

from zoo_core.contract import ModelSpec

_IMAGE_TASKS = ("image-generation", "class-conditional-image-generation")
_IMAGES: dict[str, Any] = {
    "tasks": _IMAGE_TASKS,
    "modality": "image",
    "preprocessor": "zoo_gan.preprocessor:ImageReader",
    "preprocessor_config": "zoo_gan.configs.tasks:ImageReaderConfig",
    "adapt": "zoo_gan.models.common:adapt",
    # A row a label: those that both data sets know by name are kept.
    "head": ("generator.latents.embedding.", "discriminator.projection.embedding."),
    "license": "Apache-2.0",
}

MODELS = [
    ModelSpec(
        name="dcgan",
        summary="convolutional generator and discriminator with batch normalisation",
        target="zoo_gan.models.dcgan:build",
        config="zoo_gan.configs.models:DCGANConfig",
        sizes={"tiny": {"width": 32}, "base": {}},
        paper="Unsupervised Representation Learning with Deep Convolutional GANs, ICLR 2016, arXiv 1511.06434",
        **_IMAGES,
    ),
    ModelSpec(
        name="r3gan",
        summary="residual generator and discriminator without normalisation, from 28 to 256 pixels",
        target="zoo_gan.models.r3gan:build",
        config="zoo_gan.configs.models:R3GANConfig",
        sizes={
            "nano": {"width": 128, "full_width_until": 8, "blocks": (1,)},
            "tiny": {"width": 256, "full_width_until": 16, "blocks": (1,)},
            "base": {},
        },
        gradient_checkpointing="zoo_gan.models.common:checkpoint_activations",
        paper="The GAN is dead; long live the GAN! A Modern GAN Baseline, NeurIPS 2024, arXiv 2501.05441",
        **_IMAGES,
    ),
    ModelSpec(
        name="pix2pix",
        summary="translation of images into images: a U-Net against a judge of patches",
        target="zoo_gan.models.unet:build",
        config="zoo_gan.configs.models:UNetConfig",
        sizes={"tiny": {"image_size": 32, "width": 16, "depth": 4, "patch_layers": 1}, "base": {}},
        paper="Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017, arXiv 1611.07004",
        **{**_IMAGES, "tasks": ("image-to-image",), "adapt": "", "head": ()},
    ),
    ModelSpec(
        name="plane_gan",
        summary="perceptrons that make and judge points of the plane, to see what a loss does to modes",
        target="zoo_gan.models.mlp:build",
        config="zoo_gan.configs.models:MLPConfig",
        modality="points",
        sizes={"tiny": {"width": 128}, "base": {}},
        tasks=("point-generation",),
        license="Apache-2.0",
        paper="Improved Training of Wasserstein GANs, NeurIPS 2017, arXiv 1704.00028, section 5.1",
    ),
]
