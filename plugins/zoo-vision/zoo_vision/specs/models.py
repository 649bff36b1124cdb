"""Families of models, with their sizes."""

from __future__ import annotations

from zoo_core.contract import ModelSpec

_PREPROCESSOR = "zoo_vision.preprocessor:ImagePreprocessor"
_ADAPT = "zoo_vision.models.common:adapt"
_LAYERS = "zoo_vision.models.common:layer_groups"
_CHECKPOINTING = "zoo_vision.models.common:checkpoint_activations"
_TASKS = (
    "image-classification",
    "image-multi-label",
    "image-regression",
    "image-feature-extraction",
    "image-contrastive",
)
_PRETRAINING = ("decoder.", "mask_token", "projector.")
_HEAD = ("head.", "head_dist.", "fc.", "classifier.", "last_linear.", "fc_norm.", *_PRETRAINING)
"""timm's names for what ends a classifier, and what pretraining puts there."""

_VIT = ModelSpec(
    name="vit",
    summary="Vision Transformer; tiny to large are those of the papers, nano and mini are for small images",
    target="zoo_vision.models.vit:build",
    config="zoo_vision.configs.models:ViTConfig",
    sizes={
        "tiny": {"embed_dim": 192, "num_heads": 3},
        "nano": {"embed_dim": 64, "depth": 4, "num_heads": 2, "decoder_dim": 64, "decoder_depth": 1},
        "mini": {"embed_dim": 128, "depth": 6, "num_heads": 4, "decoder_dim": 64, "decoder_depth": 2},
        "small": {"embed_dim": 384, "num_heads": 6},
        "base": {},
        "large": {"embed_dim": 1024, "depth": 24, "num_heads": 16},
    },
    tasks=(*_TASKS, "masked-image-modeling"),
    preprocessor=_PREPROCESSOR,
    preprocessor_config="zoo_vision.configs.models:ImagePreprocessorConfig",
    backbone="encoder.",
    head=_HEAD,
    layer_groups=_LAYERS,
    adapt=_ADAPT,
    gradient_checkpointing=_CHECKPOINTING,
    interop="zoo_vision.interop.timm:ViTInterop",
    license="Apache-2.0",
    paper="An Image is Worth 16x16 Words, ICLR 2021, arXiv 2010.11929",
)

_RESNET = ModelSpec(
    name="resnet",
    summary="residual network; small and base are ResNet-18 and -50, nano and tiny are for small images",
    target="zoo_vision.models.resnet:build",
    config="zoo_vision.configs.models:ResNetConfig",
    sizes={
        "tiny": {"layers": (1, 1, 1, 1), "channels": (32, 64, 128, 256), "stem": "small"},
        "nano": {"layers": (1, 1, 1, 1), "channels": (32, 48, 96, 160), "stem": "small"},
        "small": {},
        "base": {"layers": (3, 4, 6, 3), "block": "bottleneck"},
    },
    tasks=_TASKS,
    preprocessor=_PREPROCESSOR,
    preprocessor_config="zoo_vision.configs.models:ImagePreprocessorConfig",
    backbone="encoder.",
    head=_HEAD,
    layers=r"layer(\d+)\.",
    adapt=_ADAPT,
    gradient_checkpointing=_CHECKPOINTING,
    interop="zoo_vision.interop.timm:ResNetInterop",
    license="Apache-2.0",
    paper="Deep Residual Learning for Image Recognition, CVPR 2016, arXiv 1512.03385",
)

_TIMM = ModelSpec(
    name="timm",
    summary="any architecture of timm, by its timm name",
    target="zoo_vision.models.timm:build",
    config="zoo_vision.configs.models:TimmConfig",
    sizes={},
    names="zoo_vision.interop.names:architectures",
    checkpoints={
        "tf_efficientnet_lite0.in1k": "zoo_vision.interop.packaged:LITE0",
        "tf_efficientnet_lite1.in1k": "zoo_vision.interop.packaged:LITE1",
    },
    tasks=_TASKS,
    preprocessor=_PREPROCESSOR,
    preprocessor_config="zoo_vision.configs.models:ImagePreprocessorConfig",
    backbone="encoder.",
    head=_HEAD,
    layer_groups=_LAYERS,
    adapt=_ADAPT,
    gradient_checkpointing=_CHECKPOINTING,
    interop="zoo_vision.interop.timm:TimmInterop",
    license="Apache-2.0",
    paper="PyTorch Image Models, Wightman 2019, DOI 10.5281/zenodo.4414861",
)

MODELS = [_VIT, _RESNET, _TIMM]
