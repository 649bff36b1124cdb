"""Which of several classes a recording is of: a spoken word, a language, a speaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core.contract import Baseline, Batch, Dataset, SampleKey, TaskContext
from zoo_core.tasks import ClassificationTask, label_numbers
from zoo_speech.audio.steady import may_be_speech
from zoo_speech.audio.timed import View
from zoo_speech.augment import WaveAugmentation
from zoo_speech.configs.tasks import AudioClassificationConfig, AudioClassificationOptions
from zoo_speech.datasets.languages import are_languages, language_name
from zoo_speech.evaluation.baselines import linear_on_statistics
from zoo_speech.models.encoders import Encoder
from zoo_speech.preprocessor import Samples
from zoo_speech.tasks.common import (
    ChunkDataset,
    EncoderTask,
    Recordings,
    cover_with_chunks,
    gaps_between,
    labels_of,
    plot_file,
)

_HINT = "classification learns from labelled speech"


class AudioClassification(EncoderTask, ClassificationTask):
    """The task; a stretch's states are projected and averaged, as its encoder's family does it, and then classified.

    Training hears one stretch of a recording. Otherwise all of it is heard, and the logits of its stretches are averaged.
    """

    config: AudioClassificationConfig

    def __init__(self, config: AudioClassificationConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model without a speech reader, a crop that it doesn't hear at once, or no labels."""
        super().__init__(config, context)
        self.longest = self.encoder.longest(config, "crop_seconds")

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Dataset:
        """Stretches to train on or whole recordings, with numbers of their labels.

        Raises `DataError` for a label that the model doesn't know.
        """
        if train:
            augmentation = WaveAugmentation(self.config.augment)
            return LabelledStretches(samples, self.preprocessor, augmentation, self.encoder, self.longest, self.labels)
        return LabelledRecordings(samples, self.preprocessor, None, self.encoder, self.longest, self.labels)

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """The most frequent label, and logistic regression on statistics of cepstral coefficients."""
        rate = self.preprocessor.sampling_rate
        linear = {"linear on MFCC statistics": lambda: linear_on_statistics(train, test, self.labels, rate)}
        return {**super().baselines(train, test), **linear}

    def answer(self, inputs: Sequence[Samples], options: AudioClassificationOptions) -> list[dict[str, Any]]:
        """The likeliest label of each recording and the probabilities of all, or of the likeliest `top_k`.

        With `plot`, also the beginning of what was heard. Where labels are languages and nobody can be speaking, in
        silence, noise or hum, the label is empty, there are no scores, and `no_speech` is 1.
        """
        found = [
            self._of_speech(answer, samples)
            for answer, samples in zip(super().answer(inputs, options), inputs, strict=True)
        ]
        if options.plot:
            rate = self.preprocessor.sampling_rate
            for answer, samples in zip(found, inputs, strict=True):
                title = f"{answer['label']}, {answer['score']:.0%}" if answer["label"] else "no speech"
                answer["plot"] = plot_file(View(samples=samples[: self.longest], rate=rate, title=title))
        return found

    def _of_speech(self, answer: dict[str, Any], samples: Samples) -> dict[str, Any]:
        """Beside a language's code its name, and no language where nobody speaks."""
        if not are_languages(self.labels):
            return answer
        if not may_be_speech(samples, self.preprocessor.sampling_rate):
            return {"label": "", "score": 0.0, "scores": {}, "no_speech": 1.0}
        return {**answer, "language_name": language_name(answer["label"])}

    def batch_of(self, waveforms: Sequence[Samples]) -> Batch:
        """Whole recordings, of which as many stretches are computed at once as recordings are answered."""
        return {"waveforms": waveforms, "together": self.together}

    def logits(self, modules: Mapping[str, nn.Module], batch: Batch) -> Tensor:
        """(B, labels) float32: of stretches, or of whole recordings the mean over the stretches that cover each."""
        if "waveforms" not in batch:
            return self.encoder.logits(modules["model"], batch)
        covered = [cover_with_chunks(samples, self.longest) for samples in batch["waveforms"]]
        stretches, together = list(chain(*covered)), batch.get("together", len(covered))
        found = [
            self.logits(modules, super(AudioClassification, self).batch_of(stretches[start : start + together]))
            for start in range(0, len(stretches), together)
        ]
        of_each = torch.split(torch.cat(found), [len(parts) for parts in covered])  # (stretches, labels) each
        return torch.stack([one.mean(0) for one in of_each])


@dataclass(eq=False)
class LabelledStretches(ChunkDataset):
    """Stretches to train on, with numbers of their labels."""

    labels: Sequence[str]

    def __post_init__(self) -> None:
        """Raises `DataError`, naming the sample, for one without a label that is known."""
        super().__post_init__()
        self.numbers = label_numbers(labels_of(self.samples, _HINT), self.labels)

    def sample(self, key: SampleKey) -> tuple[Any, int]:
        """A stretch as the encoder takes it, and its label's number."""
        return self.encoder.prepared(self.chunk(key)), int(self.numbers[key.index])

    def collate(self, samples: list[Any]) -> Batch:
        """The encoder's tensors, and `labels` (B,)."""
        prepared, numbers = zip(*samples, strict=True)
        return {**self.encoder.collate(prepared), "labels": torch.tensor(numbers)}

    def title(self, index: int) -> str:
        """Its label."""
        return self.labels[int(self.numbers[index])]


@dataclass(eq=False)
class LabelledRecordings(Recordings):
    """Whole recordings with numbers of their labels, which cost what the stretches that cover them do."""

    encoder: Encoder
    longest: int
    labels: Sequence[str]

    def __post_init__(self) -> None:
        """Raises `DataError`, naming the sample, for one without a label that is known."""
        super().__post_init__()
        self.numbers = label_numbers(labels_of(self.samples, _HINT), self.labels)
        stretches = gaps_between(self.measured, self.longest) + 1
        self.lengths = self.encoder.costs(np.minimum(self.measured, self.longest)) * stretches

    def sample(self, key: SampleKey) -> tuple[Samples, int]:
        """A waveform (N,), and its label's number."""
        return self.waveform(key.index, key.generator()), int(self.numbers[key.index])

    def collate(self, samples: list[Any]) -> Batch:
        """`waveforms`, a list of as many, and `labels` (B,)."""
        waveforms, numbers = zip(*samples, strict=True)
        return {"waveforms": list(waveforms), "labels": torch.tensor(numbers)}
