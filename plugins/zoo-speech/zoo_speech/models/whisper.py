"""Whisper: an encoder of log-mel frames and a decoder of text, or the encoder alone, through Transformers' own classes.

Paper: Radford, Kim, Xu, Brockman, McLeavey, Sutskever, Robust Speech Recognition via Large-Scale Weak Supervision, 2022,
arXiv 2212.04356. Code: Transformers, Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from transformers.modeling_utils import PreTrainedModel
from transformers.models.whisper.configuration_whisper import WhisperConfig as Architecture
from transformers.models.whisper.modeling_whisper import (
    WhisperEncoder,
    WhisperForAudioClassification,
    WhisperForConditionalGeneration,
    WhisperPreTrainedModel,
)
from zoo_transformers import construct, describe

from zoo_core import ArchMismatch, builder_for
from zoo_core.contract import Head
from zoo_speech.configs.models import WhisperConfig
from zoo_speech.interop.fields import WHISPER_FIELDS
from zoo_speech.models.speakers import WhisperForVoices

RECOGNITION, CLASSIFICATION = "automatic-speech-recognition", "audio-classification"
VERIFICATION, FEATURES = "speaker-verification", "speech-feature-extraction"
PROJECTION, EMBEDDING = 256, 192
"""Widths of what a classifier averages, which is Transformers' default, and of the embedding of a voice."""


class BareEncoder(WhisperPreTrainedModel):  # type: ignore[no-untyped-call]
    """`encoder`, and nothing else."""

    def __init__(self, architecture: Architecture) -> None:
        """On the default device, without I/O."""
        super().__init__(architecture)
        self.encoder = WhisperEncoder(architecture)
        self.post_init()  # type: ignore[no-untyped-call]


def build(config: WhisperConfig, head: Head) -> nn.Module:
    """Encoder and decoder for recognition, the encoder with the task's head or bare for the others.

    Raises `UnknownName` for other tasks.
    """
    builders: dict[str, Callable[[Architecture], PreTrainedModel]] = {
        "": WhisperForConditionalGeneration,
        RECOGNITION: WhisperForConditionalGeneration,
        CLASSIFICATION: WhisperForAudioClassification,
        VERIFICATION: lambda architecture: WhisperForVoices(architecture, EMBEDDING),
        FEATURES: BareEncoder,
    }
    build = builder_for(builders, head, "whisper")
    return construct(lambda: build(architecture_of(config, head)))


def adapt(name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """The encoder's positions for a shorter window than the checkpoint's: its first rows. None for anything else.

    Raises `ArchMismatch` for a tensor of the decoder, which is there whole or not at all.
    """
    if name.startswith("model.decoder."):
        hint = "the encoder's window alone can be changed: model.max_frames"
        raise ArchMismatch(f"{name}: has shape {tuple(tensor.shape)}, needs {tuple(shape)}", hint=hint)
    shorter = name.endswith("encoder.embed_positions.weight") and shape[0] < tensor.shape[0]
    return tensor[: shape[0]].clone() if shorter and shape[1:] == tensor.shape[1:] else None


def architecture_of(config: WhisperConfig, head: Head) -> Architecture:
    """The same configuration in Transformers' words."""
    projection = {"num_labels": max(1, head.labels), "classifier_proj_size": PROJECTION}
    others = {
        "max_source_positions": config.max_frames // 2,  # the second convolution has stride 2
        "activation_dropout": 0.0,
        "attention_dropout": 0.0,
        "bos_token_id": config.eos_id,
        "pad_token_id": config.eos_id,
        # Augmentation belongs to the task, which keys it by the sample.
        "apply_spec_augment": False,
        **(projection if head.task == CLASSIFICATION else {}),
    }
    return describe(Architecture, WHISPER_FIELDS, config, others)
