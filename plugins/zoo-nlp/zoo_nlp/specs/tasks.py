"""What models learn and answer."""

from __future__ import annotations

from zoo_core.contract import InterfaceSpec, TaskSpec
from zoo_nlp.specs.samples import LABELLED_TEXT, TEXT, TEXT_PAIR

_PREPROCESSOR = "zoo_nlp.preprocessor:TextPreprocessor"

INTERFACES = [
    InterfaceSpec(
        name="text-encoder",
        summary="forward(input_ids, attention_mask) gives logits with a head, the states of all tokens without; a preprocessor "
        "with max_length, encode and special_id",
        target="zoo_nlp.interfaces:TextEncoder",
        preprocessor_protocol="zoo_nlp.interfaces:TokenPreprocessor",
        preprocessor=_PREPROCESSOR,
        preprocessor_config="zoo_nlp.configs.models:BertTokenizerConfig",
    ),
    InterfaceSpec(
        name="masked-text-model",
        summary="forward(input_ids, places, attention_mask=None) gives the vocabulary's logits at places of the flattened batch; a "
        "TextPreprocessor with a mask",
        target="zoo_nlp.interfaces:MaskedTextModel",
        preprocessor=_PREPROCESSOR,
        preprocessor_config="zoo_nlp.configs.models:BertTokenizerConfig",
    ),
    InterfaceSpec(
        name="causal-text-model",
        summary="forward(input_ids) gives the vocabulary's logits for the token behind each; a TextPreprocessor",
        target="zoo_nlp.interfaces:CausalTextModel",
        preprocessor=_PREPROCESSOR,
        preprocessor_config="zoo_nlp.configs.models:GPT2TokenizerConfig",
    ),
]

TASKS = [
    TaskSpec(
        name="fill-mask",
        interface="masked-text-model",
        summary="masked language modelling: predict hidden tokens from both sides",
        target="zoo_nlp.tasks.fill_mask:FillMask",
        config="zoo_nlp.configs.models:FillMaskConfig",
        reads=(TEXT,),
        labelled=False,
        predict="zoo_nlp.configs.models:FillMaskOptions",
        outputs=("text", "candidates"),
    ),
    TaskSpec(
        name="text-generation",
        interface="causal-text-model",
        summary="causal language modelling: predict every next token, continue a text",
        target="zoo_nlp.tasks.text_generation:TextGeneration",
        config="zoo_nlp.configs.models:TextGenerationConfig",
        reads=(TEXT,),
        labelled=False,
        predict="zoo_nlp.configs.models:TextGenerationOptions",
        outputs=("text", "alternatives"),
    ),
    TaskSpec(
        name="text-classification",
        interface="text-encoder",
        summary="one label for a whole text",
        target="zoo_nlp.tasks.text_classification:TextClassification",
        reads=(LABELLED_TEXT,),
        labelled=True,
        loss="cross-entropy",
        loss_inputs=("logits", "labels"),
        predict="zoo_nlp.configs.models:ClassificationOptions",
        outputs=("label", "score", "scores"),
    ),
    TaskSpec(
        name="text-multi-label",
        interface="text-encoder",
        summary="every label that fits a whole text; checkpoints of other libraries answer, nothing is trained",
        target="zoo_nlp.tasks.text_scoring:TextMultiLabel",
        reads=(LABELLED_TEXT,),
        labelled=True,
        predict="zoo_nlp.configs.models:ClassificationOptions",
        outputs=("labels", "scores"),
    ),
    TaskSpec(
        name="text-regression",
        interface="text-encoder",
        summary="numbers for a whole text; checkpoints of other libraries answer, nothing is trained",
        target="zoo_nlp.tasks.text_scoring:TextRegression",
        reads=(LABELLED_TEXT,),
        labelled=True,
        predict="zoo_nlp.configs.models:TextRegressionOptions",
        outputs=("value", "values"),
    ),
    TaskSpec(
        name="translation",
        summary="from one language to another",
        target="zoo_nlp.tasks.text2text:Translation",
        config="zoo_nlp.configs.models:TextToTextConfig",
        reads=(TEXT_PAIR,),
        labelled=True,
        predict="zoo_nlp.configs.models:TextToTextOptions",
        outputs=("text",),
    ),
    TaskSpec(
        name="summarization",
        summary="from a text to what matters in it",
        target="zoo_nlp.tasks.text2text:Summarization",
        config="zoo_nlp.configs.models:TextToTextConfig",
        reads=(TEXT_PAIR,),
        labelled=True,
        predict="zoo_nlp.configs.models:TextToTextOptions",
        outputs=("text",),
    ),
    TaskSpec(
        name="feature-extraction",
        interface="text-encoder",
        summary="sentence embeddings: the mean of an encoder's last states",
        target="zoo_nlp.tasks.feature_extraction:FeatureExtraction",
        reads=(TEXT,),
        labelled=False,
        predict="zoo_nlp.configs.models:EmbeddingOptions",
        outputs=("embedding",),
    ),
]
