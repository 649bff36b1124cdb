"""BERT, through Transformers' own classes.

Paper: Devlin, Chang, Lee, Toutanova, BERT: Pre-training of Deep Bidirectional Transformers, NAACL 2019, arXiv 1810.04805.
Code: Transformers, Apache-2.0.
"""

from __future__ import annotations

from torch import Tensor, nn
from transformers.modeling_outputs import MaskedLMOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.models.bert.configuration_bert import BertConfig as Architecture
from transformers.models.bert.modeling_bert import BertForMaskedLM, BertForSequenceClassification, BertModel
from zoo_transformers import construct, describe

from zoo_core import builder_for
from zoo_core.contract import Head
from zoo_nlp.configs.models import SCORING, BertConfig
from zoo_nlp.interop.fields import BERT_FIELDS


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
    made: dict[str, type[PreTrainedModel]] = dict.fromkeys(SCORING, BertForSequenceClassification)
    made |= {"": BertModel, "feature-extraction": BertModel, "fill-mask": MaskedLanguageModel}
    built = builder_for(made, head, "bert")
    return construct(lambda: built(architecture_of(config, head)))


def architecture_of(config: BertConfig, head: Head) -> Architecture:
    """The same configuration in Transformers' words."""
    others = {
        "pad_token_id": config.pad_id,
        "num_labels": head.labels or 2,
    }
    return describe(Architecture, BERT_FIELDS, config, others)
