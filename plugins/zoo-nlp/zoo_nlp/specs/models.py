"""Families of models, with their sizes."""

from __future__ import annotations

from zoo_core.contract import ModelSpec

_PREPROCESSOR = "zoo_nlp.preprocessor:TextPreprocessor"
_CHECKPOINTING = "zoo_transformers.building:checkpoint_activations"
_POSITIONS = "zoo_nlp.models.common:fit_positions"

_BERT = ModelSpec(
    name="bert",
    summary="bidirectional Transformer encoder",
    target="zoo_nlp.models.bert:build",
    config="zoo_nlp.configs.models:BertConfig",
    sizes={
        "tiny": {"hidden_size": 128, "num_layers": 2, "num_heads": 2, "intermediate_size": 512},
        "small": {"hidden_size": 512, "num_layers": 4, "num_heads": 8, "intermediate_size": 2048},
        "base": {},
    },
    tasks=("fill-mask", "text-classification", "text-multi-label", "text-regression", "feature-extraction"),
    preprocessor=_PREPROCESSOR,
    preprocessor_config="zoo_nlp.configs.models:BertTokenizerConfig",
    backbone="bert.",
    # A masked language model has no pooler, so a classifier made from one starts with a fresh one.
    head=("cls.", "classifier.", "bert.pooler.", "pooler."),
    layers=r"encoder\.layer\.(\d+)\.",
    adapt=_POSITIONS,
    gradient_checkpointing=_CHECKPOINTING,
    interop="zoo_nlp.interop.families:BertInterop",
    license="Apache-2.0",
    paper="BERT: Pre-training of Deep Bidirectional Transformers, NAACL 2019, arXiv 1810.04805",
)

_GPT2 = ModelSpec(
    name="gpt2",
    summary="causal Transformer decoder; small is GPT-2 124M, base its next larger size, 355M",
    target="zoo_nlp.models.gpt2:build",
    config="zoo_nlp.configs.models:GPT2Config",
    sizes={
        "tiny": {"hidden_size": 128, "num_layers": 4, "num_heads": 4},
        "mini": {"hidden_size": 384, "num_layers": 6, "num_heads": 6},
        "small": {},
        "base": {"hidden_size": 1024, "num_layers": 24, "num_heads": 16},
    },
    tasks=("text-generation", "text-classification", "text-multi-label", "text-regression"),
    preprocessor=_PREPROCESSOR,
    preprocessor_config="zoo_nlp.configs.models:GPT2TokenizerConfig",
    backbone="transformer.",
    head=("score.",),
    layers=r"(?:^|\.)h\.(\d+)\.",
    adapt=_POSITIONS,
    gradient_checkpointing=_CHECKPOINTING,
    interop="zoo_nlp.interop.families:GPT2Interop",
    license="Apache-2.0",
    paper="Language Models are Unsupervised Multitask Learners, OpenAI 2019",
)

_MARIAN = ModelSpec(
    name="marian",
    summary="Transformer encoder–decoder for translation and summarisation",
    target="zoo_nlp.models.marian:build",
    config="zoo_nlp.configs.models:MarianConfig",
    sizes={
        "tiny": {"hidden_size": 128, "num_layers": 2, "num_heads": 4, "intermediate_size": 512},
        "small": {"hidden_size": 256, "num_layers": 3, "num_heads": 4, "intermediate_size": 1024},
        "base": {},
    },
    tasks=("translation", "summarization"),
    preprocessor=_PREPROCESSOR,
    preprocessor_config="zoo_nlp.configs.models:MarianTokenizerConfig",
    layers=r"layers\.(\d+)\.",
    gradient_checkpointing=_CHECKPOINTING,
    interop="zoo_nlp.interop.families:MarianInterop",
    license="Apache-2.0",
    paper="Attention Is All You Need, NeurIPS 2017, arXiv 1706.03762; Marian, ACL 2018, arXiv 1804.00344",
)

_LSTM = ModelSpec(
    name="lstm",
    summary="recurrent classifier; small is the Keras tutorial's: embedding 64, LSTM 128",
    target="zoo_nlp.models.lstm:build",
    config="zoo_nlp.configs.models:LSTMConfig",
    sizes={
        "tiny": {"embedding_size": 32, "hidden_size": 32},
        "small": {},
        "base": {"embedding_size": 128, "hidden_size": 256},
    },
    tasks=("text-classification",),
    preprocessor=_PREPROCESSOR,
    preprocessor_config="zoo_nlp.configs.models:LSTMTokenizerConfig",
    head=("classifier.",),
    license="Apache-2.0",
    paper="Long Short-Term Memory, Neural Computation 1997",
)

MODELS = [_BERT, _GPT2, _MARIAN, _LSTM]
