"""wav2vec 2.0: convolutions over the waveform and a Transformer over their frames, through Transformers' own classes.

Paper: Baevski, Zhou, Mohamed, Auli, wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations,
NeurIPS 2020, arXiv 2006.11477. Code: Transformers, Apache-2.0. Of the two layouts, that of the large models normalises
every convolution by frame. The base models' normalises the first one over time, here over the recording's own frames, so
that what it is padded with changes nothing in either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.modeling_utils import PreTrainedModel
from transformers.models.wav2vec2.configuration_wav2vec2 import Wav2Vec2Config as Architecture
from transformers.models.wav2vec2.modeling_wav2vec2 import (
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2Model,
)
from zoo_transformers import construct, describe

from zoo_core import builder_for
from zoo_core.contract import Head
from zoo_speech.configs.models import Wav2Vec2Config
from zoo_speech.interop.fields import WAV2VEC2_FIELDS
from zoo_speech.models.speakers import Wav2Vec2ForVoices

PRETRAINING, CTC = "wav2vec2-pretraining", "ctc-speech-recognition"
CLASSIFICATION, FEATURES = "audio-classification", "speech-feature-extraction"
VERIFICATION = "speaker-verification"


class Frames(NamedTuple):
    """What the encoder makes of waveforms."""

    states: Tensor
    """(B, T, H) of the Transformer."""
    features: Tensor
    """(B, T, F) of the convolutions, normalised."""
    lengths: Tensor
    """(B,) frames of each recording."""


def build(config: Wav2Vec2Config, head: Head) -> nn.Module:
    """The encoder with the task's head; bare for feature extraction. Raises `UnknownName` for other tasks."""
    builders: dict[str, Callable[[Architecture], PreTrainedModel]] = {
        "": Wav2Vec2Model,
        FEATURES: Wav2Vec2Model,
        PRETRAINING: Wav2Vec2ForPreTraining,
        CTC: Wav2Vec2ForCTC,
        CLASSIFICATION: Wav2Vec2ForSequenceClassification,
        VERIFICATION: lambda architecture: Wav2Vec2ForVoices(architecture, config.embedding_size),
    }
    built = builder_for(builders, head, "wav2vec2")
    model = construct(lambda: built(architecture_of(config, head)))
    if config.layout == "base":
        encoder: Any = getattr(model, "wav2vec2", model)
        first = encoder.feature_extractor.conv_layers[0]
        first.layer_norm = NormOverRecordings(first.layer_norm)
    return model


class NormOverRecordings(nn.GroupNorm):
    """Each channel over a recording's own frames, as `nn.GroupNorm` does it over all frames of a batch's padded rows."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        """With the parameters of `norm`, which has a group for each channel."""
        super().__init__(norm.num_groups, norm.num_channels, eps=norm.eps, device="meta")
        self.weight, self.bias = norm.weight, norm.bias
        self.lengths: Tensor | None = None
        """(B,) frames of the recordings that are given next; kept for a backward pass that computes them again."""

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, T) of (B, C, T); what lies behind a recording's last frame becomes the bias."""
        if self.lengths is None:
            return super().forward(values)
        present = (torch.arange(values.shape[2], device=values.device) < self.lengths[:, None])[:, None]  # (B, 1, T)
        count = self.lengths[:, None, None]  # (B, 1, 1)
        mean = torch.where(present, values, 0.0).sum(2, keepdim=True, dtype=torch.float32) / count  # (B, C, 1)
        centred = torch.where(present, values - mean, 0.0)
        scaled = centred * (centred.square().sum(2, keepdim=True) / count + self.eps).rsqrt()  # (x - μ) / √(σ² + ε)
        return (scaled * self.weight[:, None] + self.bias[:, None]).to(values.dtype)


def architecture_of(config: Wav2Vec2Config, head: Head) -> Architecture:
    """The same configuration in Transformers' words."""
    large = config.layout == "large"
    others = {
        "num_feat_extract_layers": len(config.conv_widths),
        "conv_bias": large,
        "feat_extract_norm": "layer" if large else "group",
        "do_stable_layer_norm": large,
        "activation_dropout": config.dropout,
        "feat_proj_dropout": config.dropout,
        "final_dropout": config.dropout,
        "feat_quantizer_dropout": 0.0,
        "proj_codevector_dim": config.code_size,
        "classifier_proj_size": config.hidden_size,
        "num_labels": max(1, head.labels),
        # Masks belong to the task, which keys them by the sample and always gives some; the class makes its mask's vector
        # only where it expects to mask.
        "apply_spec_augment": True,
        "mask_time_prob": 0.065,
        "mask_feature_prob": 0.0,
    }
    return describe(Architecture, WAV2VEC2_FIELDS, config, others)


def frames_of(encoder: Wav2Vec2Model, samples: Tensor, lengths: Tensor, masks: Tensor | None) -> Frames:
    """Frames of padded waveforms (B, N) that are lengths (B,) long; `masks` (B, T) are hidden, none where it is None.

    Frames behind a recording's last are no part of it, and what they hold depends on nothing. A recording that is shorter
    than a frame is heard with silence behind it.
    """
    least = samples_of(encoder.config, 1)
    lengths = lengths.clamp(min=least)
    samples = nn.functional.pad(samples, (0, max(0, least - samples.shape[1])))
    size = frame_count(encoder.config, samples.shape[1])
    counts = frame_count(encoder.config, lengths).clamp(min=1, max=size)  # (B,)
    hidden = torch.zeros(samples.shape[0], size, dtype=torch.bool, device=samples.device) if masks is None else masks
    present = torch.arange(samples.shape[1], device=samples.device) < lengths[:, None]  # (B, N)
    first: Any = encoder.feature_extractor.conv_layers[0]
    if isinstance(norm := getattr(first, "layer_norm", None), NormOverRecordings):
        norm.lengths = (lengths - first.conv.kernel_size[0]) // first.conv.stride[0] + 1  # frames of this layer
    output = encoder(samples, attention_mask=present.long(), mask_time_indices=hidden)
    states = output.last_hidden_state
    if encoder.training and encoder.config.layerdrop:
        # A block that is left out has a gradient of zero rather than none, which ranks would have to agree on.
        states = states + 0.0 * torch.stack([weight.sum() for weight in encoder.encoder.layers.parameters()]).sum()
    return Frames(states, output.extract_features, counts)


def samples_of(architecture: Architecture, frames: int) -> int:
    """Samples of the shortest waveform that has so many frames."""
    samples = frames
    for kernel, stride in zip(reversed(architecture.conv_kernel), reversed(architecture.conv_stride), strict=True):
        samples = (samples - 1) * stride + kernel  # the inverse of `frame_count`, backwards through the layers
    return samples


def frame_count(architecture: Architecture, samples: Any) -> Any:
    """Frames of that many samples, a whole number or a tensor of them; below 1 for less than the convolutions take."""
    for kernel, stride in zip(architecture.conv_kernel, architecture.conv_stride, strict=True):
        samples = (samples - kernel) // stride + 1
    return samples
