"""What zoo-vision brings: image models, data, losses and tasks. Imports nothing heavy."""

from __future__ import annotations

from zoo_core.contract import DataSpec, LossSpec, ModelSpec, TaskSpec, hookimpl
from zoo_core.data import RASTER_SUFFIXES
from zoo_vision.specs.data import DATA

zoo_api = (2, 0)

_PREPROCESSOR = "zoo_vision.preprocessor:ImagePreprocessor"
_ADAPT = "zoo_vision.models.common:adapt"
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
    summary="Vision Transformer; tiny to large are those of the papers, nano and mini are for small pictures",
    target="zoo_vision.models.vit:build",
    config="zoo_vision.configs.models:ViTConfig",
    modality="image",
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
    layers=r"blocks\.(\d+)\.",
    adapt=_ADAPT,
    gradient_checkpointing=_CHECKPOINTING,
    interop="zoo_vision.interop.timm:ViTInterop",
    license="Apache-2.0",
    paper="An Image is Worth 16x16 Words, ICLR 2021, arXiv 2010.11929",
)

_RESNET = ModelSpec(
    name="resnet",
    summary="residual network; small and base are ResNet-18 and -50, nano and tiny are for small pictures",
    target="zoo_vision.models.resnet:build",
    config="zoo_vision.configs.models:ResNetConfig",
    modality="image",
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
    modality="image",
    sizes={},
    names="zoo_vision.interop.names:architectures",
    checkpoints={
        "tf_efficientnet_lite0.in1k": "zoo_vision.interop.packaged:efficientnet_lite0",
        "tf_efficientnet_lite1.in1k": "zoo_vision.interop.packaged:efficientnet_lite1",
    },
    tasks=_TASKS,
    preprocessor=_PREPROCESSOR,
    preprocessor_config="zoo_vision.configs.models:ImagePreprocessorConfig",
    backbone="encoder.",
    head=_HEAD,
    layer_groups="zoo_vision.models.timm:layer_groups",
    adapt=_ADAPT,
    gradient_checkpointing=_CHECKPOINTING,
    interop="zoo_vision.interop.timm:TimmInterop",
    license="Apache-2.0",
    paper="PyTorch Image Models, Wightman 2019, DOI 10.5281/zenodo.4414861",
)

_ANY_IMAGE = ("image", "labelled-image")

_TASK_SPECS = [
    TaskSpec(
        name="image-classification",
        summary="one label for a whole picture",
        target="zoo_vision.tasks.image_classification:ImageClassification",
        config="zoo_vision.configs.models:ClassificationConfig",
        modality="image",
        data=("labelled-image",),
        labelled=True,
        loss="cross-entropy",
        loss_inputs=("logits", "labels"),
        predict="zoo_vision.configs.models:ClassificationOptions",
        outputs=("label", "score", "scores", "explanation"),
        input_suffixes=RASTER_SUFFIXES,
    ),
    TaskSpec(
        name="image-multi-label",
        summary="every label that fits a whole picture; checkpoints of other libraries answer, nothing is trained",
        target="zoo_vision.tasks.image_scoring:ImageMultiLabel",
        modality="image",
        data=("labelled-image",),
        labelled=True,
        outputs=("labels", "scores"),
        input_suffixes=RASTER_SUFFIXES,
    ),
    TaskSpec(
        name="image-regression",
        summary="numbers for a whole picture; checkpoints of other libraries answer, nothing is trained",
        target="zoo_vision.tasks.image_scoring:ImageRegression",
        modality="image",
        data=("labelled-image",),
        labelled=True,
        outputs=("value", "values"),
        input_suffixes=RASTER_SUFFIXES,
    ),
    TaskSpec(
        name="masked-image-modeling",
        summary="masked autoencoding: reconstruct the hidden patches of a picture",
        target="zoo_vision.tasks.masked_image_modeling:MaskedImageModeling",
        config="zoo_vision.configs.models:MaskedConfig",
        modality="image",
        data=_ANY_IMAGE,
        labelled=False,
        loss="mean-squared-error",
        loss_inputs=("predicted", "target"),
        predict="zoo_vision.configs.models:MaskedOptions",
        outputs=("reconstruction",),
        input_suffixes=RASTER_SUFFIXES,
    ),
    TaskSpec(
        name="image-contrastive",
        summary="contrastive pretraining (SimCLR): recognise a picture in another view of it",
        target="zoo_vision.tasks.image_contrastive:ImageContrastive",
        config="zoo_vision.configs.models:ContrastiveConfig",
        modality="image",
        data=_ANY_IMAGE,
        labelled=False,
        loss="nt-xent",
        loss_inputs=("first", "second"),
        outputs=("embedding",),
        input_suffixes=RASTER_SUFFIXES,
    ),
    TaskSpec(
        name="image-feature-extraction",
        summary="embeddings: what an encoder pools before its head",
        target="zoo_vision.tasks.image_feature_extraction:ImageFeatureExtraction",
        modality="image",
        data=_ANY_IMAGE,
        labelled=False,
        predict="zoo_vision.configs.models:EmbeddingOptions",
        outputs=("embedding",),
        input_suffixes=RASTER_SUFFIXES,
    ),
]

_LOSSES = [
    LossSpec(
        name="nt-xent",
        summary="cross-entropy between two views of the same samples",
        target="zoo_vision.losses:nt_xent",
        config="zoo_vision.configs.models:NTXentConfig",
        inputs=("first", "second"),
        paper="A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020, equation 1",
    )
]


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """Two families of our own sizes, and all of timm's architectures."""
    return [_VIT, _RESNET, _TIMM]


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Readers of the user's pictures, and named data sets."""
    return DATA


@hookimpl
def zoo_losses() -> list[LossSpec]:
    """The contrastive loss."""
    return _LOSSES


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """What image models learn and answer."""
    return _TASK_SPECS
