"""Embeddings of voices: an encoder of speech, statistics of its states over a recording, and one linear layer.

Paper: Snyder, Garcia-Romero, Sell, Povey, Khudanpur, X-vectors: Robust DNN Embeddings for Speaker Recognition, ICASSP 2018,
for the pooling. Their layers over time before it, which Transformers' `Wav2Vec2ForXVector` has too, are left out: they see
what a recording is padded with, and take no recording below a third of a second.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.models.wav2vec2.configuration_wav2vec2 import Wav2Vec2Config
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2Model, Wav2Vec2PreTrainedModel
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder, WhisperPreTrainedModel

_STILL = 1e-5
"""Least variance over time, as of a recording of one frame, whose root would have no slope."""


class Wav2Vec2ForVoices(Wav2Vec2PreTrainedModel):  # type: ignore[no-untyped-call]
    """`wav2vec2` and the layer `embedder`; the classes of training are no part of it."""

    def __init__(self, architecture: Wav2Vec2Config, embedding_size: int) -> None:
        """On the default device, without I/O."""
        super().__init__(architecture)
        self.wav2vec2 = Wav2Vec2Model(architecture)
        self.embedder = nn.Linear(2 * architecture.hidden_size, embedding_size)
        self.post_init()  # type: ignore[no-untyped-call]


class WhisperForVoices(WhisperPreTrainedModel):  # type: ignore[no-untyped-call]
    """`encoder` and the layer `embedder`; the classes of training are no part of it."""

    def __init__(self, architecture: WhisperConfig, embedding_size: int) -> None:
        """On the default device, without I/O."""
        super().__init__(architecture)
        self.encoder = WhisperEncoder(architecture)
        self.embedder = nn.Linear(2 * architecture.d_model, embedding_size)
        self.post_init()  # type: ignore[no-untyped-call]


def statistics(states: Tensor, lengths: Tensor) -> Tensor:
    """Mean and standard deviation (B, 2 H) of states (B, T, H) over the first lengths (B,), at least 1.

    What lies behind them is never read. The model's `embedder` makes embeddings of them.
    """
    present = (torch.arange(states.shape[1], device=states.device) < lengths[:, None])[:, :, None]  # (B, T, 1)
    count = lengths[:, None]
    mean = torch.where(present, states, 0.0).sum(1) / count  # (B, H)
    centred = torch.where(present, states - mean[:, None], 0.0)
    deviation = (centred.square().sum(1) / count).clamp_min(_STILL).sqrt()  # (B, H)
    return torch.cat([mean, deviation], dim=1)
