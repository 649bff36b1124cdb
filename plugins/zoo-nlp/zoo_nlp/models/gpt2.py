"""GPT-2, through Transformers' own classes.

Paper: Radford, Wu, Child, Luan, Amodei, Sutskever, Language Models are Unsupervised Multitask Learners, OpenAI 2019.
Code: Transformers, Apache-2.0.
"""

from __future__ import annotations

from torch import nn
from transformers.models.gpt2.configuration_gpt2 import GPT2Config as Architecture
from transformers.models.gpt2.modeling_gpt2 import GPT2ForSequenceClassification, GPT2LMHeadModel
from zoo_transformers import construct, describe

from zoo_core import builder_for
from zoo_core.contract import Head
from zoo_nlp.configs.models import SCORING, GPT2Config
from zoo_nlp.interop.fields import GPT2_FIELDS


def build(config: GPT2Config, head: Head) -> nn.Module:
    """A language model, which is also what a GPT-2 without a task is, or a classifier on the last token.

    Raises `UnknownName` for other tasks.
    """
    made = dict.fromkeys(("", "text-generation"), GPT2LMHeadModel)
    built = builder_for({**made, **dict.fromkeys(SCORING, GPT2ForSequenceClassification)}, head, "gpt2")
    return construct(lambda: built(architecture_of(config, head)))


def architecture_of(config: GPT2Config, head: Head) -> Architecture:
    """The same configuration in Transformers' words."""
    others = {
        "embd_pdrop": config.dropout,
        "bos_token_id": config.eos_id,
        # A classifier finds the last token by it. A language model has no use for it, but would look for padding in
        # every batch, which waits for the device.
        "pad_token_id": config.pad_id if head.task in SCORING else None,
        "num_labels": head.labels or 2,
    }
    return describe(Architecture, GPT2_FIELDS, config, others)
