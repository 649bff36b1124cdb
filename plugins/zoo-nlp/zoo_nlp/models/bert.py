"""BERT, through Transformers' own classes.

Paper: Devlin, Chang, Lee, Toutanova, BERT: Pre-training of Deep Bidirectional Transformers, NAACL 2019, arXiv 1810.04805.
Code: Transformers, Apache-2.0.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import MaskedLMOutput
from transformers.models.bert.configuration_bert import BertConfig as Architecture
from transformers.models.bert.modeling_bert import BertForMaskedLM, BertForSequenceClassification, BertModel

from zoo_core import builder_for
from zoo_core.contract import Head
from zoo_nlp.configs.models import SCORING, BertConfig
from zoo_nlp.models.common import construct


class MaskedLanguageModel(BertForMaskedLM):  # type: ignore[no-untyped-call]
    """`BertForMaskedLM` that scores the vocabulary only where somebody asks for it."""

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, places: Tensor | None = None
    ) -> MaskedLMOutput:
        """Logits (B, T, V) of every token, or (M, V) of the M tokens at `places`, indices into the flattened batch.

        With 15 % of the tokens masked the full projection would spend most of its time and memory on nothing.
        """
        hidden = self.bert(input_ids, attention_mask=attention_mask).last_hidden_state  # (B, T, D)
        if places is not None:
            hidden = hidden.flatten(0, 1).index_select(0, places)  # (M, D)
        return MaskedLMOutput(logits=self.cls(hidden))


def build(config: BertConfig, head: Head) -> nn.Module:
    """The encoder with its pooler, a masked language model or a classifier. Raises `UnknownName` for other tasks."""
    architecture = architecture_of(config, head)
    builders = {
        "": lambda: construct(lambda: BertModel(architecture)),
        "feature-extraction": lambda: construct(lambda: BertModel(architecture)),
        "fill-mask": lambda: construct(lambda: MaskedLanguageModel(architecture)),
        **dict.fromkeys(SCORING, lambda: construct(lambda: BertForSequenceClassification(architecture))),
    }
    return builder_for(builders, head, "bert")()


def architecture_of(config: BertConfig, head: Head) -> Architecture:
    """The same configuration in Transformers' words."""
    values: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feed_forward,
        "max_position_embeddings": config.max_length,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "pad_token_id": config.pad_id,
        "num_labels": head.labels or 2,
        "attn_implementation": "sdpa",
    }
    return Architecture(**values)
