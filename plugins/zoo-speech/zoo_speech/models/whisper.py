"""Whisper: an encoder of log-mel frames and a decoder of text, through Transformers' own classes.

Paper: Radford, Kim, Xu, Brockman, McLeavey, Sutskever, Robust Speech Recognition via Large-Scale Weak Supervision, 2022,
arXiv 2212.04356. Code: Transformers, Apache-2.0.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers.models.whisper.configuration_whisper import WhisperConfig as Architecture
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from zoo_core.build import builder_for
from zoo_core.specs import Head
from zoo_speech.configs import WhisperConfig
from zoo_speech.models.common import construct

TASKS = ("", "automatic-speech-recognition")


def build(config: WhisperConfig, head: Head) -> nn.Module:
    """The one model that serves every task. Raises `UnknownName` for other tasks."""
    architecture = architecture_of(config)
    builders = {task: lambda: construct(lambda: WhisperForConditionalGeneration(architecture)) for task in TASKS}
    return builder_for(builders, head, "whisper")()


def adapt(name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """The encoder's positions for a shorter window than the checkpoint's: its first rows. None for anything else."""
    shorter = name.endswith("encoder.embed_positions.weight") and shape[0] < tensor.shape[0]
    return tensor[: shape[0]].clone() if shorter and shape[1:] == tensor.shape[1:] else None


def architecture_of(config: WhisperConfig) -> Architecture:
    """The same configuration in Transformers' words."""
    values: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "num_mel_bins": config.n_mels,
        "d_model": config.hidden_size,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        "encoder_attention_heads": config.heads,
        "decoder_attention_heads": config.heads,
        "encoder_ffn_dim": config.feed_forward,
        "decoder_ffn_dim": config.feed_forward,
        "max_source_positions": config.max_frames // 2,
        "max_target_positions": config.max_length,
        "dropout": config.dropout,
        "activation_dropout": 0.0,
        "attention_dropout": 0.0,
        "decoder_start_token_id": config.start_id,
        "bos_token_id": config.eos_id,
        "eos_token_id": config.eos_id,
        "pad_token_id": config.eos_id,
        # Augmentation belongs to the task, which keys it by the sample.
        "apply_spec_augment": False,
        "attn_implementation": "sdpa",
    }
    return Architecture(**values)
