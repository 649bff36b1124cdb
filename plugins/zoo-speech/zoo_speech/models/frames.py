"""Symbols for the frames of recordings, alike for every family: recognition by frames holds one and asks no further."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from zoo_core import PluginError
from zoo_speech.decoding.alignment import FrameTiming
from zoo_speech.interfaces import SpeechFrames
from zoo_speech.models.wav2vec2 import frame_count, frames_of


class FrameModel(ABC):
    """How the encoder of a family is asked for symbols. It holds no model, so that data workers can have it."""

    clock: FrameTiming
    """When frames are."""
    hides: bool
    """Whether it can hide frames while training."""

    @abstractmethod
    def count(self, samples: int) -> int:
        """Frames of so many samples."""

    @abstractmethod
    def logits(self, model: nn.Module, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """(B, T, C) of symbols, and how many frames (B,) each recording has."""


class Wav2Vec2Frames(FrameModel):
    """wav2vec 2.0 with a linear layer on its frames."""

    hides = True

    def __init__(self, architecture: Any, rate: int) -> None:
        self.architecture = architecture
        self.clock = FrameTiming.of(architecture, rate)

    def count(self, samples: int) -> int:
        """What the convolutions make of them."""
        return int(frame_count(self.architecture, samples))

    def logits(self, model: nn.Module, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """With what is hidden of a batch of training."""
        whole = cast("Any", model)
        frames = frames_of(whole.wav2vec2, batch["samples"], batch["lengths"], batch.get("masks"))
        return whole.lm_head(whole.dropout(frames.states)), frames.lengths


class OfferedFrames(FrameModel):
    """A model of any plugin that keeps `SpeechFrames`."""

    hides = False

    def __init__(self, hop: int, rate: int, symbols: int) -> None:
        self.hop, self.symbols = hop, symbols
        self.clock = FrameTiming(hop / rate, 0.0)

    def count(self, samples: int) -> int:
        """One for each hop that is begun."""
        return -(-samples // self.hop)

    def logits(self, model: nn.Module, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """What it gives. Raises `PluginError` for anything else than the protocol says."""
        given = model(batch["samples"], batch["lengths"])
        pair = isinstance(given, tuple) and len(given) == 2 and all(isinstance(one, Tensor) for one in given)
        shapes = tuple(tuple(one.shape) for one in given) if pair else type(given).__name__
        rows = len(batch["lengths"])
        if not pair or given[0].ndim != 3 or given[0].shape[::2] != (rows, self.symbols) or given[1].shape != (rows,):
            expected = f"logits ({rows}, T, {self.symbols}) and frames ({rows},)"
            raise PluginError(f"{type(model).__name__}.forward: expected {expected}, found {shapes}")
        return given[0], given[1]


def frame_model_of(model: nn.Module, rate: int, symbols: int) -> FrameModel:
    """The one for a task's model, which reads samples at a rate and tells symbols apart."""
    if isinstance(model, SpeechFrames):
        return OfferedFrames(model.hop, rate, symbols)
    return Wav2Vec2Frames(cast("Any", model).config, rate)
