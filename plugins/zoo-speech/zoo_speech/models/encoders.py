"""What encoders make of recordings, alike for every family: a task holds one and asks no further."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from zoo_core import PluginError, UsageError
from zoo_speech.audio.timed import View
from zoo_speech.decoding.long_form import HOP, Window, spectrograms, window_of
from zoo_speech.interfaces import SpeechEncoder, StandardisedPreprocessor, WaveformPreprocessor
from zoo_speech.models.speakers import statistics
from zoo_speech.models.wav2vec2 import frames_of
from zoo_speech.preprocessor import Samples, SpeechReader, WhisperReader


class States(NamedTuple):
    """What an encoder answers with."""

    values: Tensor
    """(B, T, H) of its last block."""
    lengths: Tensor
    """(B,) how many of them are of the recording, at least 1; the others stand for what it is padded with."""


def padded(waveforms: Sequence[Samples]) -> dict[str, Tensor]:
    """`samples` (B, N) float32 with zeros behind the shorter ones, and `lengths` (B,)."""
    rows = [torch.from_numpy(waveform) for waveform in waveforms]
    return {"samples": pad_sequence(rows, batch_first=True), "lengths": torch.tensor([len(row) for row in rows])}


class Encoder(ABC):
    """How the encoder of a family is given recordings, and what its states mean.

    It holds no model, so that data workers can have it; what it is asked with may be bare or carry a task's head.
    """

    rate: int
    """Samples a second."""
    most_samples: int
    """Samples of the longest recording that is heard whole."""

    @abstractmethod
    def longest(self, config: Any, name: str) -> int:
        """Samples of the longest stretch that a task may hear, by the seconds of the field `name` of its configuration.

        Raises `UsageError` where somebody set it to more than the model hears at once.
        """

    @abstractmethod
    def prepared(self, samples: Samples) -> Any:
        """One sample of a data set, of a waveform (N,); data workers compute it."""

    @abstractmethod
    def costs(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) samples that are computed with for recordings of so many, by which batches are put together."""

    @abstractmethod
    def collate(self, prepared: Sequence[Any]) -> dict[str, Tensor]:
        """The tensors of a batch, `lengths` (B,) in samples among them."""

    @abstractmethod
    def states(self, model: nn.Module, batch: Mapping[str, Any]) -> States:
        """What the model's encoder makes of a batch, with gradients."""

    @abstractmethod
    def pooled(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(B, P) for a classifier, of projected states (B, T, P), as Transformers' class of the family averages them."""

    def logits(self, model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
        """(B, labels) float32 of a model with a classifier's head."""
        whole = cast("Any", model)
        states, lengths = self.states(model, batch)
        projected = whole.projector(states)  # (B, T, P)
        found: Tensor = whole.classifier(self.pooled(projected, lengths)).float()
        return found

    def embeddings(self, model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
        """(B, E) float32 of voices, of a model with the head for them."""
        found: Tensor = cast("Any", model).embedder(statistics(*self.states(model, batch))).float()
        return found

    def embedding_size(self, model: nn.Module) -> int:
        """E of `embeddings`."""
        return int(cast("Any", model).embedder.out_features)

    @abstractmethod
    def view(self, samples: Samples, title: str) -> View:
        """What the model is given of a waveform (N,), to be seen and heard."""


class WaveformEncoder(Encoder):
    """wav2vec 2.0: standardised waveforms, padded to the longest of the batch, which changes none of them."""

    def __init__(self, reader: StandardisedPreprocessor) -> None:
        self.reader = reader
        self.rate, self.most_samples = reader.sampling_rate, reader.most_samples

    def longest(self, config: Any, name: str) -> int:
        """As it is set: it hears stretches of any length."""
        seconds: float = getattr(config, name)
        return round(seconds * self.rate)

    def prepared(self, samples: Samples) -> Samples:
        """(N,) of mean 0 and variance 1."""
        return self.reader.standardised(samples)

    def costs(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """Their own lengths."""
        return lengths

    def collate(self, prepared: Sequence[Samples]) -> dict[str, Tensor]:
        """As `padded`."""
        return padded(prepared)

    def states(self, model: nn.Module, batch: Mapping[str, Any]) -> States:
        """Of the Transformer over the convolutions' frames, nothing hidden."""
        encoder = getattr(model, "wav2vec2", model)  # the bare encoder is the whole model
        frames = frames_of(cast("Any", encoder), batch["samples"], batch["lengths"], None)
        return States(frames.states, frames.lengths)

    def pooled(self, values: Tensor, lengths: Tensor) -> Tensor:
        """The mean over each recording's own frames."""
        present = (torch.arange(values.shape[1], device=values.device) < lengths[:, None])[:, :, None]  # (B, T, 1)
        return torch.where(present, values, 0.0).sum(1) / lengths[:, None]

    def view(self, samples: Samples, title: str) -> View:
        """The standardised waveform."""
        return View(samples=self.prepared(samples), rate=self.rate, title=title)


class OfferedEncoder(WaveformEncoder):
    """A model of any plugin that keeps `SpeechEncoder`: standardised waveforms, and one vector for each."""

    def states(self, model: nn.Module, batch: Mapping[str, Any]) -> States:
        """A recording's features as its only state."""
        features = self.embeddings(model, batch)
        return States(features[:, None], torch.ones_like(batch["lengths"]))

    def logits(self, model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
        """What it gives."""
        found: Tensor = model(batch["samples"], batch["lengths"])
        return found.float()

    def embeddings(self, model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
        """What it gives. Raises `PluginError` for anything but (B, num_features)."""
        found: Tensor = model(batch["samples"], batch["lengths"])
        due = (len(batch["lengths"]), self.embedding_size(model))
        if not isinstance(found, Tensor) or found.shape != due:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise PluginError(f"{type(model).__name__}.forward: expected features {due}, found {shape}")
        return found.float()

    def embedding_size(self, model: nn.Module) -> int:
        """Its `num_features`."""
        return int(cast("Any", model).num_features)


class Spectrogram(NamedTuple):
    """A window as Whisper's encoder takes it."""

    values: Tensor
    """(M, T), of silence behind the recording."""
    samples: int
    """Length of the recording in it."""


class WindowEncoder(Encoder):
    """Whisper: log-mel spectrograms of whole windows, filled up with silence, whatever the recording's length."""

    def __init__(self, reader: WhisperReader, window: Window) -> None:
        self.window = window
        self.rate, self.most_samples = reader.sampling_rate, min(window.samples, reader.most_samples)

    def longest(self, config: Any, name: str) -> int:
        """As it is set. What is usual gives way to a shorter window, and anything else is refused there."""
        seconds: float = getattr(config, name)
        window = self.window.samples / self.rate
        usual = next(field.default for field in fields(config) if field.name == name)
        if seconds > window and seconds != usual:
            raise UsageError(
                f"task.{name} is {seconds:g}, but the model hears {window:g} s at once",
                hint=f"set task.{name}={window:g} or less, or a larger model.max_frames, which has 100 a second",
            )
        return min(round(seconds * self.rate), self.window.samples)

    def prepared(self, samples: Samples) -> Spectrogram:
        """Of as much as fits into the window."""
        rows = torch.from_numpy(np.array(samples[: self.window.samples], dtype=np.float32))[None]  # (1, N)
        return Spectrogram(spectrograms(rows, torch.tensor([rows.shape[1]]), self.window)[0], rows.shape[1])

    def costs(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """The window's length for each."""
        return np.full_like(lengths, self.window.samples)

    def collate(self, prepared: Sequence[Spectrogram]) -> dict[str, Tensor]:
        """`input_features` (B, M, T), and `lengths` (B,)."""
        values, lengths = zip(*prepared, strict=True)
        return {"input_features": torch.stack(values), "lengths": torch.tensor(lengths)}

    def states(self, model: nn.Module, batch: Mapping[str, Any]) -> States:
        """Of the whole window; those of the recording are the first, one for two frames of the spectrogram."""
        values: Tensor = cast("Any", model).encoder(batch["input_features"]).last_hidden_state
        lengths = (batch["lengths"] + 2 * HOP - 1) // (2 * HOP)  # ceil(N / 320): the convolutions halve the frames
        return States(values, lengths.clamp(1, values.shape[1]))

    def pooled(self, values: Tensor, lengths: Tensor) -> Tensor:
        """The mean over the whole window, with its silence."""
        return values.mean(1)

    def view(self, samples: Samples, title: str) -> View:
        """The spectrogram, as far as there is sound, and the waveform that it is made of."""
        spectrogram = self.prepared(samples).values.numpy()
        return View(samples=samples, rate=self.rate, title=title, spectrogram=spectrogram)


def encoder_of(model: nn.Module, reader: WaveformPreprocessor) -> Encoder:
    """The one for a task's model and what reads for it. Raises `UsageError` for a reader that no family here has."""
    if isinstance(model, SpeechEncoder) and isinstance(reader, StandardisedPreprocessor):
        return OfferedEncoder(reader)
    if isinstance(reader, SpeechReader):
        return WaveformEncoder(reader)
    if isinstance(reader, WhisperReader):
        return WindowEncoder(reader, window_of(model))
    raise UsageError(f"a {type(reader).__name__} reads for no encoder that is known here")
