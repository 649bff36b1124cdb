"""Which of several classes a recording is of: a spoken word, a language, a speaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core.errors import DataError, UsageError
from zoo_core.training.classify import class_scores, confusion_counts, label_numbers, ranked_answer
from zoo_core.training.task import Batch, SampleKey, StepOutput, TaskContext, serving
from zoo_speech import baselines
from zoo_speech.augment import WaveAugmentation
from zoo_speech.models.wav2vec2 import frames_of
from zoo_speech.pictures import View
from zoo_speech.preprocessor import SpeechReader
from zoo_speech.task_configs import AudioClassificationConfig, AudioClassificationOptions
from zoo_speech.tasks.common import SERVED, Recordings, SpeechTask, batch_of, padded, picture_file, stretch, within


class AudioClassification(SpeechTask):
    """The task; a recording's states are averaged over its own frames."""

    monitor = ("accuracy", "max")
    config: AudioClassificationConfig
    preprocessor: SpeechReader

    def __init__(self, config: AudioClassificationConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model with another reader, or without a loss."""
        super().__init__(config, context)
        if not isinstance(context.preprocessor, SpeechReader) or self.loss is None:
            raise UsageError("audio-classification needs a reader of waveforms and a loss")

    def dataset(self, samples: Sequence[Any], *, train: bool) -> LabelledRecordings:
        """Waveforms with numbers of their labels. Raises `DataError` for a label that the model doesn't know."""
        return LabelledRecordings(samples, self.preprocessor, self.labels, self.config, augmented=train)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch) -> StepOutput:
        """The loss of every recording."""
        logits = self.logits(modules["model"], batch)
        assert self.loss is not None  # refused above
        loss, weight = self.loss(logits, batch["labels"])
        return StepOutput(loss, weight, {"accuracy": (logits.argmax(-1) == batch["labels"]).sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Tensor | list[Any]]:
        """Sum of the losses, and counts by true and by found label."""
        logits = self.logits(modules["model"], batch)
        assert self.loss is not None  # refused above
        loss, weight = self.loss(logits, batch["labels"])
        counts = confusion_counts(batch["labels"], logits.argmax(-1), len(self.labels))
        return {"loss": loss, "weight": weight, "confusion": counts}

    def summarize(self, gathered: Mapping[str, Tensor | list[Any]]) -> dict[str, float]:
        """Accuracy, macro-F1 and mean loss in nats."""
        sums = cast("Mapping[str, Tensor]", gathered)
        figures = class_scores(sums["confusion"].cpu().numpy())
        return {**figures, "loss": float(sums["loss"] / sums["weight"])}

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """The most frequent label, and logistic regression on statistics of cepstral coefficients."""
        rate = self.preprocessor.sampling_rate
        return {
            "majority": baselines.majority(train, test, self.labels),
            "linear on MFCC statistics": baselines.linear_on_statistics(train, test, self.labels, rate),
        }

    def predict(self, inputs: Sequence[Any], options: AudioClassificationOptions) -> list[dict[str, Any]]:
        """The likeliest label of each recording and the probabilities of the likeliest few. Raises `DataError`.

        With `picture`, also what was heard.
        """
        answers: list[dict[str, Any]] = []
        for start in range(0, len(inputs), SERVED):
            heard = [
                self._first(self.preprocessor.heard(item, number))
                for number, item in enumerate(inputs[start : start + SERVED], start)
            ]
            batch = batch_of([self.preprocessor.standardised(samples) for samples in heard], self.device)
            with serving(self.model):
                probabilities = self.logits(self.model, batch).softmax(-1)
            found = [ranked_answer(self.labels, row, options.top) for row in probabilities.tolist()]
            if options.picture:
                for answer, samples in zip(found, heard, strict=True):
                    title = f"{answer['label']}, {answer['score']:.0%}"
                    answer["picture"] = picture_file(
                        View(samples=samples, rate=self.preprocessor.sampling_rate, title=title)
                    )
            answers += found
        return answers

    def view(self, dataset: Any, key: SampleKey) -> View:
        """A standardised stretch and its label."""
        waveform, number = dataset.sample(key)
        return View(samples=waveform, rate=self.preprocessor.sampling_rate, title=self.labels[number])

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """(B, labels) float32."""
        whole = cast("Any", model)
        frames = frames_of(whole.wav2vec2, batch["samples"], batch["lengths"], None)
        projected = whole.projector(frames.states)  # (B, T, P)
        present = within(frames.lengths, projected.shape[1])[:, :, None]
        pooled = torch.where(present, projected, 0.0).sum(1) / frames.lengths[:, None]
        logits: Tensor = whole.classifier(pooled).float()
        return logits

    def _first(self, samples: Any) -> Any:
        return samples[: round(self.config.crop_seconds * self.preprocessor.sampling_rate)]


class LabelledRecordings(Recordings):
    """Waveforms cut to a length, with numbers of their labels."""

    def __init__(
        self,
        samples: Sequence[Any],
        reader: SpeechReader,
        labels: Sequence[str],
        config: AudioClassificationConfig,
        *,
        augmented: bool,
    ) -> None:
        """Raises `DataError`, naming the sample, for one without a label that is known."""
        super().__init__(samples, reader, WaveAugmentation(config.augment) if augmented else None)
        for number, sample in enumerate(samples):
            if not isinstance(getattr(sample, "label", None), str):
                raise DataError(f"sample {number + 1} has no label", hint="classification learns from labelled speech")
        self.numbers = label_numbers([sample.label for sample in samples], labels)
        self.longest = round(config.crop_seconds * reader.sampling_rate)
        self.augmented = augmented
        assert self.lengths is not None
        self.lengths = np.minimum(self.lengths, self.longest)

    def sample(self, key: SampleKey) -> tuple[Any, int]:
        """A waveform (N,), cut at a random place in training and to its beginning otherwise, and its label's number."""
        generator = key.generator()
        waveform = self.waveform(key.index, generator)
        waveform = stretch(waveform, self.longest, generator if self.augmented else None)
        return cast("SpeechReader", self.reader).standardised(waveform), int(self.numbers[key.index])

    def collate(self, samples: list[Any]) -> Batch:
        """`samples` (B, N), `lengths` (B,) and `labels` (B,)."""
        waveforms, numbers = zip(*samples, strict=True)
        return {**padded(waveforms), "labels": torch.tensor(numbers)}
