"""What all speech tasks share: recordings as a data set, and stretches for any encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Subset

from zoo_core import DataError
from zoo_core.contract import Batch, Dataset, File, Predictor, SampleKey, Task, TaskContext
from zoo_core.data import even_places
from zoo_speech.audio.audio import wav_bytes
from zoo_speech.audio.timed import Segment, View
from zoo_speech.augment import WaveAugmentation
from zoo_speech.datasets.samples import is_recording, sample_name
from zoo_speech.interfaces import WaveformPreprocessor
from zoo_speech.models.encoders import Encoder, encoder_of, padded
from zoo_speech.preprocessor import Samples, SpeechPreprocessor
from zoo_speech.visualization import plots
from zoo_speech.visualization.subtitles import cues, subtitles

_PEAK = 0.9
"""Of full scale: the loudest sample of what is kept to be heard."""


class SpeechPredictor(Predictor):
    """Answers with a model that hears."""

    together = 8
    preprocessor_type: ClassVar[type] = SpeechPreprocessor
    preprocessor: SpeechPreprocessor  # where a task names no more than a protocol, no more of it is used

    def read(self, item: Any, number: int, options: Any) -> Any:
        """The waveform (N,) of a raw input. Raises `DataError` for what is no recording."""
        return self.preprocessor.waveform(item, number)


class SpeechTask(SpeechPredictor, Task):
    """A task on a model that hears."""

    def input_artifacts(self, dataset: Dataset) -> dict[str, bytes]:
        """`heard.png` and `heard_1.wav` on: what the model is given of up to 4 recordings in the first epoch."""
        if not isinstance(dataset, Recordings):
            return {}
        views = [self.view(dataset, SampleKey(0, 0, index)) for index in even_places(len(dataset), plots.MOST)]
        sounds = {f"heard_{number}.wav": _sound(view) for number, view in enumerate(views, start=1)}
        return {"heard.png": plots.recordings(views), **sounds}

    def view(self, dataset: Any, key: SampleKey) -> View:
        """One draw of the task's own data set, to be seen and heard; here the augmented waveform."""
        return View(samples=dataset.waveform(key.index, key.generator()), rate=self.preprocessor.sampling_rate)


class EncoderPredictor(SpeechPredictor):
    """Answers with what an encoder of any family makes of recordings."""

    preprocessor_type = WaveformPreprocessor

    def __init__(self, config: Any, context: TaskContext) -> None:
        """Raises `UsageError` for a model without a speech reader, or with one that no encoder has."""
        super().__init__(config, context)
        self.encoder = encoder_of(context.model, self.preprocessor)

    def batch_of(self, waveforms: Sequence[Samples]) -> Batch:
        """What the encoder is asked with, on its device."""
        batch = self.encoder.collate([self.encoder.prepared(samples) for samples in waveforms])
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def example_batch(self, rows: int) -> dict[str, Tensor]:
        """The encoder's tensors of hums of a quarter of a second and more, the longer the more there are."""
        times = [np.arange(self.encoder.rate * (rows + row) // 4, dtype=np.float32) for row in range(1, rows + 1)]
        hums = [np.sin(0.01 * number * one) for number, one in enumerate(times, start=1)]
        batch = self.encoder.collate([self.encoder.prepared(samples) for samples in hums])
        return {name: tensor.to(self.device) for name, tensor in batch.items()}


class EncoderTask(EncoderPredictor, SpeechTask):
    """A task on what an encoder of any family makes of recordings."""

    def view(self, dataset: Any, key: SampleKey) -> View:
        """The stretch that the encoder is given, under its name."""
        return self.encoder.view(dataset.chunk(key), dataset.title(key.index))


@dataclass(eq=False)
class Recordings(Dataset):
    """Waveforms of recordings at the reader's rate, decoded at each draw; augmentation is a function of the key."""

    samples: Sequence[Any]
    reader: SpeechPreprocessor
    augmentation: WaveAugmentation | None

    def __post_init__(self) -> None:
        """Reads every header, for batches of like lengths. Raises `DataError` for what is no recording, or none at all."""
        if not len(self.samples):
            raise DataError("no recordings")
        self.measured = np.array([self._length(sample, at) for at, sample in enumerate(self.samples)], dtype=np.int64)
        """(len(self),) samples of each as it was recorded; `lengths` has room for the slowest that it may be played."""
        self.lengths: NDArray[np.int64] = (
            self.augmentation.longest(self.measured) if self.augmentation else self.measured
        )

    def __len__(self) -> int:
        return len(self.samples)

    def waveform(self, index: int, generator: np.random.Generator) -> Samples:
        """(N,) float32, N at least 1; augmented with draws from the generator."""
        samples = self.reader.waveform(self.samples[index], index)
        return self.augmentation(samples, generator) if self.augmentation else samples

    def refuse_long(self, most: int, hint: str) -> None:
        """Raise `DataError` naming the first recording of more samples than the model hears in one piece."""
        for number, length in enumerate(self.measured):
            if length > most:
                name, rate = sample_name(self.samples[number], number), self.reader.sampling_rate
                raise DataError(
                    f"{name}: {length / rate:.1f} s, at most {most / rate:g} s are heard at once", hint=hint
                )

    def _length(self, sample: Any, number: int) -> int:
        if not is_recording(sample):
            raise DataError(f"sample {number + 1}: expected a recording, found {type(sample).__name__}")
        seconds: float | None = getattr(sample, "seconds", None)
        if seconds is None:
            # The header doesn't tell, so the recording has to.
            seconds = sample.waveform.seconds
        return max(1, round(seconds * self.reader.sampling_rate))


@dataclass(eq=False)
class ChunkDataset(Recordings):
    """Recordings cut to a length, for an encoder. Without an augmentation nothing is drawn."""

    encoder: Encoder
    longest: int
    """Samples of each at most."""

    def __post_init__(self) -> None:
        """Counts what each costs."""
        super().__post_init__()
        self.lengths = self.encoder.costs(np.minimum(self.lengths, self.longest))

    def chunk(self, key: SampleKey) -> Samples:
        """A waveform (N,), cut at a random place in training and to its beginning otherwise."""
        generator = key.generator()
        waveform = self.waveform(key.index, generator)
        return random_crop(waveform, self.longest, None if self.augmentation is None else generator)

    @abstractmethod
    def title(self, index: int) -> str:
        """Words above the plot of a recording."""


def subtitle_file(segments: Sequence[Segment], form: str) -> File:
    """Segments as a file of that format."""
    return File(f".{form}", subtitles(segments, form).encode())


def word_file(words: Sequence[Segment], form: str) -> File:
    """Words as lines of subtitles; each for itself in `json`."""
    return subtitle_file(words if form == "json" else cues(words), form)


def plot_file(view: View) -> File:
    """A plot of one recording."""
    return File(".png", plots.recordings([view]))


def filter_by_duration(samples: Sequence[Any], seconds: float) -> Sequence[Any]:
    """Those of at most so many seconds, by their headers or, where these don't tell, decoded. Raises `DataError` for none."""
    kept = [
        place for place, one in enumerate(samples) if (getattr(one, "seconds", None) or one.waveform.seconds) <= seconds
    ]
    if not kept:
        raise DataError(f"no recording of at most {seconds:g} s among {len(samples):,}", hint="raise task.longest")
    return cast("Sequence[Any]", Subset(cast("Any", samples), kept))


def random_crop(samples: Samples, longest: int, generator: np.random.Generator | None) -> Samples:
    """At most `longest` of the samples (N,): from a place that is drawn, or the beginning where nothing draws."""
    spare = len(samples) - longest
    start = int(generator.integers(spare + 1)) if generator is not None and spare > 0 else 0
    return samples[start : start + longest]


def cover_with_chunks(samples: Samples, longest: int) -> list[Samples]:
    """All of the samples (N,), in as few stretches of `longest` as cover them, evenly spaced; undivided if they fit."""
    spare, gaps = max(0, len(samples) - longest), int(gaps_between(len(samples), longest))
    starts = [spare * place // max(1, gaps) for place in range(gaps + 1)]
    return [samples[start : start + longest] for start in starts]


def gaps_between(lengths: Any, longest: int) -> Any:
    """How many stretches more than one cover recordings of so many samples."""
    return -(-np.maximum(0, lengths - longest) // longest)  # ceil(N / longest) - 1


def padded_masks(masks: Sequence[NDArray[np.bool_]], size: int) -> Tensor:
    """(B, size), true where a frame is hidden."""
    rows = torch.zeros(len(masks), size, dtype=torch.bool)
    for row, mask in zip(rows, masks, strict=True):
        row[: len(mask)] = torch.from_numpy(mask)
    return rows


def labels_of(samples: Sequence[Any], hint: str) -> list[str]:
    """The labels of recordings. Raises `DataError`, naming the sample, for one without."""
    for number, sample in enumerate(samples):
        if not getattr(sample, "label", ""):
            raise DataError(f"{sample_name(sample, number)} has no label", hint=hint)
    return [sample.label for sample in samples]


def transcript(sample: Any, number: int, reader: SpeechPreprocessor) -> str:
    """What was said, as the model spells it. Raises `DataError` where that is nothing."""
    if not (text := reader.normalize_transcript(getattr(sample, "text", ""))):
        raise DataError(
            f"{sample_name(sample, number)} has no transcript", hint="recognition learns from transcribed speech"
        )
    return text


def _sound(view: View) -> bytes:
    """A WAV file as loud as can be without clipping, whatever the scale of the samples."""
    samples = np.asarray(view.samples, np.float32)
    peak = float(np.abs(samples).max())
    return wav_bytes(samples * np.float32(_PEAK / peak) if peak else samples, view.rate)


def batch_of(waveforms: Sequence[Samples], device: torch.device) -> Batch:
    """What a model is asked with, on its device."""
    return {name: tensor.to(device) for name, tensor in padded(waveforms).items()}
