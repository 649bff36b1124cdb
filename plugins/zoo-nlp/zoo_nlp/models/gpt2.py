"""GPT-2, through Transformers' own classes.

Paper: Radford, Wu, Child, Luan, Amodei, Sutskever, Language Models are Unsupervised Multitask Learners, OpenAI 2019.
Code: Transformers, Apache-2.0.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers.models.gpt2.configuration_gpt2 import GPT2Config as Architecture
from transformers.models.gpt2.modeling_gpt2 import GPT2ForSequenceClassification, GPT2LMHeadModel

from zoo_core import builder_for
from zoo_core.contract import Head
from zoo_nlp.configs.models import SCORING, GPT2Config
from zoo_nlp.models.common import construct


def build(config: GPT2Config, head: Head) -> nn.Module:
    """A language model, which is also what a GPT-2 without a task is, or a classifier on the last token.

    Raises `UnknownName` for other tasks.
    """
    architecture = architecture_of(config, head)
    builders = {
        "": lambda: construct(lambda: GPT2LMHeadModel(architecture)),
        "text-generation": lambda: construct(lambda: GPT2LMHeadModel(architecture)),
        **dict.fromkeys(SCORING, lambda: construct(lambda: GPT2ForSequenceClassification(architecture))),
    }
    return builder_for(builders, head, "gpt2")()


def architecture_of(config: GPT2Config, head: Head) -> Architecture:
    """The same configuration in Transformers' words."""
    classifies = head.task in SCORING
    values: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "n_embd": config.hidden_size,
        "n_layer": config.layers,
        "n_head": config.heads,
        "n_positions": config.max_length,
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.attention_dropout,
        "bos_token_id": config.eos_id,
        "eos_token_id": config.eos_id,
        # A classifier finds the last token by it. A language model has no use for it, but would look for padding in
        # every batch, which waits for the device.
        "pad_token_id": config.pad_id if classifies else None,
        "num_labels": head.labels or 2,
        "attn_implementation": "sdpa",
    }
    return Architecture(**values)
