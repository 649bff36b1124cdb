"""The encoder–decoder Transformer as Marian built it, through Transformers' own classes.

Papers: Vaswani et al., Attention Is All You Need, NeurIPS 2017, arXiv 1706.03762; Junczys-Dowmunt et al., Marian: Fast
Neural Machine Translation in C++, ACL 2018, arXiv 1804.00344. Code: Transformers, Apache-2.0.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.marian.configuration_marian import MarianConfig as Architecture
from transformers.models.marian.modeling_marian import MarianMTModel
from zoo_transformers import construct, describe

from zoo_core import builder_for
from zoo_core.contract import Head
from zoo_nlp.configs.models import MarianConfig
from zoo_nlp.interop.fields import MARIAN_FIELDS


def build(config: MarianConfig, head: Head) -> nn.Module:
    """The one model that serves every text-to-text task. Raises `UnknownName` for other tasks."""
    built = builder_for(dict.fromkeys(("", "translation", "summarization"), MarianMTModel), head, "marian")
    return _compute_positions(construct(lambda: built(architecture_of(config, head))))


def architecture_of(config: MarianConfig, head: Head) -> Architecture:
    """The same configuration in Transformers' words."""
    others = {
        "decoder_vocab_size": config.vocab_size,
        "activation_function": "swish",
        "scale_embedding": True,
        "forced_eos_token_id": None,
    }
    return describe(Architecture, MARIAN_FIELDS, config, others)


def sinusoids(length: int, width: int) -> Tensor:
    """(length, width) positions as Transformers' Marian computes them: all sines first, then all cosines."""
    columns = np.arange(width)
    angles = np.arange(length)[:, None] / np.power(10000, 2 * (columns // 2) / width)[None, :]  # (length, width)
    return torch.from_numpy(np.concatenate([np.sin(angles[:, 0::2]), np.cos(angles[:, 1::2])], axis=1)).float()


def _compute_positions(model: MarianMTModel) -> MarianMTModel:
    """Turn the position tables from frozen parameters into buffers: computed, so neither stored nor left on meta.

    Transformers leaves them out of its own checkpoints for the same reason.
    """
    table = sinusoids(model.config.max_position_embeddings, model.config.d_model)
    for half in (model.model.encoder, model.model.decoder):
        del half.embed_positions.weight
        half.embed_positions.register_buffer("weight", table, persistent=False)
    return model
