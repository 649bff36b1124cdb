"""Which of several classes a recording is of: a spoken word, a language, a speaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zoo_core import DataError, UsageError
from zoo_core.contract import Baseline, Batch, Dataset, SampleKey, StepOutput, TaskContext, inference_mode
from zoo_core.tasks import (
    CLASS_DIRECTIONS,
    Confusion,
    class_intervals,
    class_scores,
    confusion_pairs,
    label_numbers,
    ranked_answer,
)
from zoo_speech.audio.steady import may_be_speech
from zoo_speech.audio.timed import View
from zoo_speech.augment import WaveAugmentation
from zoo_speech.configs.tasks import AudioClassificationConfig, AudioClassificationOptions
from zoo_speech.datasets.languages import are_languages, language_name
from zoo_speech.datasets.samples import sample_name
from zoo_speech.evaluation import baselines
from zoo_speech.models.encoders import Encoder
from zoo_speech.preprocessor import Samples, SpeechPreprocessor
from zoo_speech.tasks.common import (
    SERVED,
    ChunkDataset,
    EncoderTask,
    Recordings,
    cover_with_chunks,
    gaps_between,
    plot_file,
)


class AudioClassification(EncoderTask):
    """The task; a stretch's states are projected and averaged, as its encoder's family does it, and then classified.

    Training hears one stretch of a recording. Otherwise all of it is heard, and the logits of its stretches are averaged.
    """

    monitor = ("accuracy", "max")
    directions = CLASS_DIRECTIONS
    config: AudioClassificationConfig

    def __init__(self, config: AudioClassificationConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model without a speech reader, a crop that it doesn't hear at once, or no loss."""
        super().__init__(config, context)
        if self.loss is None:
            raise UsageError("audio-classification needs a loss")
        self.longest = self.encoder.longest(config, "crop_seconds")

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Dataset:
        """Stretches to train on or whole recordings, with numbers of their labels.

        Raises `DataError` for a label that the model doesn't know.
        """
        if train:
            augmentation = WaveAugmentation(self.config.augment)
            return LabelledStretches(samples, self.preprocessor, self.encoder, self.longest, augmentation, self.labels)
        return LabelledRecordings(samples, self.preprocessor, self.encoder, self.longest, self.labels)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch) -> StepOutput:
        """The loss of every stretch."""
        logits = self.logits(modules["model"], batch)
        assert self.loss is not None  # refused above
        loss, weight = self.loss(logits, batch["labels"])
        return StepOutput(loss, weight, {"accuracy": (logits.argmax(-1) == batch["labels"]).sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Tensor | list[Any]]:
        """Sum of the losses of whole recordings, and the pairs of true and found label."""
        waveforms = batch["waveforms"]
        logits = self.logits_of(modules["model"], waveforms, together=len(waveforms))
        assert self.loss is not None  # refused above
        loss, weight = self.loss(logits, batch["labels"])
        pairs = confusion_pairs(batch["labels"], logits.argmax(-1), len(self.labels))
        return {"loss": loss, "weight": weight, "confusion": pairs}

    def summarize(self, gathered: Mapping[str, Tensor | list[Any]]) -> dict[str, float]:
        """Accuracy, macro-F1 and mean loss in nats."""
        sums = cast("Mapping[str, Tensor]", gathered)
        figures = class_scores(self._confusion(gathered))
        return {**figures, "loss": float(sums["loss"] / sums["weight"])}

    def intervals(self, gathered: Mapping[str, Tensor | list[Any]]) -> Mapping[str, tuple[float, float]]:
        """Those of accuracy and macro-F1."""
        return class_intervals(self._confusion(gathered))

    def _confusion(self, gathered: Mapping[str, Tensor | list[Any]]) -> Confusion:
        pairs = gathered["confusion"]
        assert isinstance(pairs, list)
        return Confusion.of_pairs(pairs, len(self.labels))

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """The most frequent label, and logistic regression on statistics of cepstral coefficients."""
        rate = self.preprocessor.sampling_rate
        return {
            "majority": lambda: baselines.majority(train, test, self.labels),
            "linear on MFCC statistics": lambda: baselines.linear_on_statistics(train, test, self.labels, rate),
        }

    def predict(self, inputs: Sequence[Any], options: AudioClassificationOptions) -> list[dict[str, Any]]:
        """The likeliest label of each recording and the probabilities of all, or of the likeliest `top_k`. Raises `DataError`.

        With `plot`, also the beginning of what was heard. Where labels are languages and nobody can be speaking, in
        silence, noise or hum, the label is empty, there are no scores, and `no_speech` is 1.
        """
        answers: list[dict[str, Any]] = []
        for start in range(0, len(inputs), SERVED):
            numbered = enumerate(inputs[start : start + SERVED], start)
            heard = [self.preprocessor.waveform(item, number) for number, item in numbered]
            with inference_mode(self.model):
                probabilities = self.logits_of(self.model, heard, together=SERVED).softmax(-1)
            found = [
                self._answer(row, samples, options) for row, samples in zip(probabilities.tolist(), heard, strict=True)
            ]
            if options.plot:
                for answer, samples in zip(found, heard, strict=True):
                    title = f"{answer['label']}, {answer['score']:.0%}" if answer["label"] else "no speech"
                    shown = samples[: self.longest]
                    answer["plot"] = plot_file(View(samples=shown, rate=self.preprocessor.sampling_rate, title=title))
            answers += found
        return answers

    def _answer(
        self, probabilities: Sequence[float], samples: Samples, options: AudioClassificationOptions
    ) -> dict[str, Any]:
        """The likeliest labels; beside a language's code its name, and no language where nobody speaks."""
        answer = ranked_answer(self.labels, probabilities, options.top_k)
        if not are_languages(self.labels):
            return answer
        if not may_be_speech(samples, self.preprocessor.sampling_rate):
            return {"label": "", "score": 0.0, "scores": {}, "no_speech": 1.0}
        return {**answer, "language_name": language_name(answer["label"])}

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """(B, labels) float32, of stretches."""
        whole = cast("Any", model)
        states, lengths = self.encoder.states(model, batch)
        projected = whole.projector(states)  # (B, T, P)
        logits: Tensor = whole.classifier(self.encoder.pooled(projected, lengths)).float()
        return logits

    def logits_of(self, model: nn.Module, waveforms: Sequence[Samples], *, together: int) -> Tensor:
        """(B, labels) float32: the mean over the stretches that cover each waveform (N,), so many at once."""
        covered = [cover_with_chunks(samples, self.longest) for samples in waveforms]
        stretches = list(chain(*covered))
        found = [
            self.logits(model, self.batch_of(stretches[start : start + together]))
            for start in range(0, len(stretches), together)
        ]
        of_each = torch.split(torch.cat(found), [len(parts) for parts in covered])
        return torch.stack([logits.mean(0) for logits in of_each])


class LabelledStretches(ChunkDataset):
    """Stretches to train on, with numbers of their labels."""

    def __init__(
        self,
        samples: Sequence[Any],
        reader: SpeechPreprocessor,
        encoder: Encoder,
        longest: int,
        augmentation: WaveAugmentation,
        labels: Sequence[str],
    ) -> None:
        """Raises `DataError`, naming the sample, for one without a label that is known."""
        super().__init__(samples, reader, encoder, longest, augmentation)
        self.labels = labels
        self.numbers = _numbered(samples, labels)

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


class LabelledRecordings(Recordings):
    """Whole recordings with numbers of their labels, which cost what the stretches that cover them do."""

    def __init__(
        self, samples: Sequence[Any], reader: SpeechPreprocessor, encoder: Encoder, longest: int, labels: Sequence[str]
    ) -> None:
        """Raises `DataError`, naming the sample, for one without a label that is known."""
        super().__init__(samples, reader, None)
        self.numbers = _numbered(samples, labels)
        self.lengths = encoder.costs(np.minimum(self.measured, longest)) * (gaps_between(self.measured, longest) + 1)

    def sample(self, key: SampleKey) -> tuple[Samples, int]:
        """A waveform (N,), and its label's number."""
        return self.waveform(key.index, key.generator()), int(self.numbers[key.index])

    def collate(self, samples: list[Any]) -> Batch:
        """`waveforms`, a list of as many, and `labels` (B,)."""
        waveforms, numbers = zip(*samples, strict=True)
        return {"waveforms": list(waveforms), "labels": torch.tensor(numbers)}


def _numbered(samples: Sequence[Any], labels: Sequence[str]) -> NDArray[np.int64]:
    for number, sample in enumerate(samples):
        if not isinstance(getattr(sample, "label", None), str):
            raise DataError(
                f"{sample_name(sample, number)} has no label", hint="classification learns from labelled speech"
            )
    return label_numbers([sample.label for sample in samples], labels)
