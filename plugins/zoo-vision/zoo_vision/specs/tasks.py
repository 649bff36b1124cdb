"""What models learn and answer."""

from __future__ import annotations

from zoo_core.contract import InterfaceSpec, TaskSpec
from zoo_vision.specs.samples import IMAGE, LABELLED_IMAGE

INTERFACES = [
    InterfaceSpec(
        name="image-encoder",
        summary="forward(images) gives logits with a head and num_features features without one; a preprocessor with img_size, "
        "in_chans, mean, resize, resize_and_crop and normalise",
        target="zoo_vision.interfaces:ImageEncoder",
        preprocessor_protocol="zoo_vision.interfaces:PixelPreprocessor",
        preprocessor="zoo_vision.preprocessor:ImagePreprocessor",
        preprocessor_config="zoo_vision.configs.models:ImagePreprocessorConfig",
    )
]

TASKS = [
    TaskSpec(
        name="image-classification",
        interface="image-encoder",
        summary="one label for a whole image",
        target="zoo_vision.tasks.image_classification:ImageClassification",
        config="zoo_vision.configs.models:ClassificationConfig",
        reads=(LABELLED_IMAGE,),
        labelled=True,
        loss="cross-entropy",
        loss_inputs=("logits", "labels"),
        predict="zoo_vision.configs.models:ClassificationOptions",
        outputs=("label", "score", "scores", "explanation"),
    ),
    TaskSpec(
        name="image-multi-label",
        interface="image-encoder",
        summary="every label that fits a whole image; checkpoints of other libraries answer, nothing is trained",
        target="zoo_vision.tasks.image_scoring:ImageMultiLabel",
        reads=(LABELLED_IMAGE,),
        labelled=True,
        outputs=("labels", "scores"),
    ),
    TaskSpec(
        name="image-regression",
        interface="image-encoder",
        summary="numbers for a whole image; checkpoints of other libraries answer, nothing is trained",
        target="zoo_vision.tasks.image_scoring:ImageRegression",
        reads=(LABELLED_IMAGE,),
        labelled=True,
        outputs=("value", "values"),
    ),
    TaskSpec(
        name="masked-image-modeling",
        summary="masked autoencoding: reconstruct the hidden patches of an image",
        target="zoo_vision.tasks.masked_image_modeling:MaskedImageModeling",
        config="zoo_vision.configs.models:MaskedConfig",
        reads=(IMAGE,),
        labelled=False,
        loss="mean-squared-error",
        loss_inputs=("predicted", "target"),
        predict="zoo_vision.configs.models:MaskedOptions",
        outputs=("reconstruction",),
    ),
    TaskSpec(
        name="image-contrastive",
        summary="contrastive pretraining (SimCLR): recognise an image in another view of it",
        target="zoo_vision.tasks.image_contrastive:ImageContrastive",
        config="zoo_vision.configs.models:ContrastiveConfig",
        reads=(IMAGE,),
        labelled=False,
        loss="nt-xent",
        loss_inputs=("first", "second"),
        outputs=("embedding",),
    ),
    TaskSpec(
        name="image-feature-extraction",
        interface="image-encoder",
        summary="embeddings: what an encoder pools before its head",
        target="zoo_vision.tasks.image_feature_extraction:ImageFeatureExtraction",
        reads=(IMAGE,),
        labelled=False,
        predict="zoo_vision.configs.models:EmbeddingOptions",
        outputs=("embedding",),
    ),
]
