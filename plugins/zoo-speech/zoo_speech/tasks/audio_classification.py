"""Which of several classes a recording is of: a spoken word, a language, a speaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo_core.errors import DataError, UsageError
from zoo_core.training.classify import class_scores, confusion_counts, label_numbers, ranked_answer
from zoo_core.training.task import Batch, SampleKey, StepOutput, TaskContext, serving
from zoo_speech import baselines
from zoo_speech.augment import WaveAugmentation
from zoo_speech.models.encoders import Encoder
from zoo_speech.pictures import View
from zoo_speech.preprocessor import Reader
from zoo_speech.task_configs import AudioClassificationConfig, AudioClassificationOptions
from zoo_speech.tasks.common import SERVED, EncoderTask, Stretches, covering, gaps_between, picture_file


class AudioClassification(EncoderTask):
    """The task; a stretch's states are projected and averaged, as its encoder's family does it, and then classified.

    Training hears one stretch of a recording. Otherwise all of it is heard, and the logits of its stretches are averaged.
    """

    monitor = ("accuracy", "max")
    config: AudioClassificationConfig

    def __init__(self, config: AudioClassificationConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model without a speech reader, a crop that it doesn't hear at once, or no loss."""
        super().__init__(config, context)
        if self.loss is None:
            raise UsageError("audio-classification needs a loss")
        self.longest = self.encoder.longest(config, "crop_seconds")

    def dataset(self, samples: Sequence[Any], *, train: bool) -> LabelledRecordings:
        """Stretches with numbers of their labels. Raises `DataError` for a label that the model doesn't know."""
        augmentation = WaveAugmentation(self.config.augment) if train else None
        return LabelledRecordings(samples, self.preprocessor, self.encoder, self.longest, augmentation, self.labels)

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

        With `picture`, also the beginning of what was heard.
        """
        answers: list[dict[str, Any]] = []
        for start in range(0, len(inputs), SERVED):
            numbered = enumerate(inputs[start : start + SERVED], start)
            heard = [covering(self.preprocessor.heard(item, number), self.longest) for number, item in numbered]
            stretches = list(chain(*heard))
            with serving(self.model):
                logits = [
                    self._of_stretches(self.model, self.batch_of(stretches[place : place + SERVED]))
                    for place in range(0, len(stretches), SERVED)
                ]
            probabilities = averaged(torch.cat(logits), owners(heard).to(self.device)).softmax(-1)
            found = [ranked_answer(self.labels, row, options.top) for row in probabilities.tolist()]
            if options.picture:
                for answer, (first, *_) in zip(found, heard, strict=True):
                    title = f"{answer['label']}, {answer['score']:.0%}"
                    answer["picture"] = picture_file(
                        View(samples=first, rate=self.preprocessor.sampling_rate, title=title)
                    )
            answers += found
        return answers

    def logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """(B, labels) float32, the mean over the stretches of each recording where `owners` (P,) says whose they are."""
        if "owners" not in batch:
            return self._of_stretches(model, batch)
        whose = batch["owners"]
        # No more stretches at once than recordings, however long one of these is.
        at_once = max(int(whose[-1]) + 1, SERVED)
        heard = {name: values for name, values in batch.items() if name not in ("labels", "owners")}
        found = [
            self._of_stretches(model, {name: values[start : start + at_once] for name, values in heard.items()})
            for start in range(0, len(whose), at_once)
        ]
        return averaged(torch.cat(found), whose)

    def _of_stretches(self, model: nn.Module, batch: Batch) -> Tensor:
        whole = cast("Any", model)
        states, lengths = self.encoder.states(model, batch)
        projected = whole.projector(states)  # (B, T, P)
        logits: Tensor = whole.classifier(self.encoder.pooled(projected, lengths)).float()
        return logits


class LabelledRecordings(Stretches):
    """Recordings with numbers of their labels: one stretch of each where they are augmented, and otherwise all of them."""

    def __init__(
        self,
        samples: Sequence[Any],
        reader: Reader,
        encoder: Encoder,
        longest: int,
        augmentation: WaveAugmentation | None,
        labels: Sequence[str],
    ) -> None:
        """Raises `DataError`, naming the sample, for one without a label that is known."""
        super().__init__(samples, reader, encoder, longest, augmentation)
        if augmentation is None:
            assert self.lengths is not None  # measured above
            self.lengths = self.lengths * (gaps_between(self.measured, longest) + 1)
        for number, sample in enumerate(samples):
            if not isinstance(getattr(sample, "label", None), str):
                raise DataError(f"sample {number + 1} has no label", hint="classification learns from labelled speech")
        self.labels = labels
        self.numbers = label_numbers([sample.label for sample in samples], labels)

    def sample(self, key: SampleKey) -> tuple[list[Any], int]:
        """Stretches as the encoder takes them, and their label's number."""
        if self.augmentation is None:
            heard = covering(self.waveform(key.index, key.generator()), self.longest)
        else:
            heard = [self.heard(key)]
        return [self.encoder.prepared(samples) for samples in heard], int(self.numbers[key.index])

    def collate(self, samples: list[Any]) -> Batch:
        """The encoder's tensors of P stretches, `labels` (B,), and `owners` (P,) where a recording has several."""
        prepared, numbers = zip(*samples, strict=True)
        batch = {**self.encoder.collate(list(chain(*prepared))), "labels": torch.tensor(numbers)}
        several = any(len(stretches) > 1 for stretches in prepared)
        return {**batch, "owners": owners(prepared)} if several else batch

    def title(self, index: int) -> str:
        """Its label."""
        return self.labels[int(self.numbers[index])]


def owners(recordings: Sequence[Sized]) -> Tensor:
    """(P,) which recording each of all their stretches is of."""
    return torch.arange(len(recordings)).repeat_interleave(torch.tensor([len(one) for one in recordings]))


def averaged(values: Tensor, whose: Tensor) -> Tensor:
    """(B, C): the mean of values (P, C) over the stretches of each recording, which `whose` (P,) tells."""
    counts = whose.bincount()
    sums = values.new_zeros(len(counts), values.shape[1]).index_add_(0, whose, values)
    return sums / counts[:, None]
