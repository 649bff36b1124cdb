"""Whether one voice speaks in two recordings, by embeddings that are learned by telling the voices of training apart.

Papers: Snyder et al., X-vectors, ICASSP 2018, for embeddings of voices that aren't trained on; Deng et al., ArcFace,
CVPR 2019, for the default loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core import DataError
from zoo_core.contract import At, Baseline, Batch, EvaluationResult, SampleKey, StepOutput, TaskContext, inference_mode
from zoo_core.data import expanded, sorted_labels
from zoo_core.tasks import label_numbers
from zoo_speech.augment import WaveAugmentation
from zoo_speech.configs.tasks import SpeakerVerificationConfig, SpeakerVerificationOptions
from zoo_speech.datasets.samples import Recording
from zoo_speech.evaluation import baselines
from zoo_speech.evaluation.verification import (
    Trials,
    VerificationMetrics,
    cosine_scores,
    draw_trials,
    verification_metrics,
)
from zoo_speech.preprocessor import Samples
from zoo_speech.tasks.common import ChunkDataset, EncoderTask, labels_of

_DRAW = 0
"""Draws the first directions of the voices, so that nothing else decides them."""


@dataclass(frozen=True, kw_only=True)
class VerificationResult(EvaluationResult):
    """What was heard."""

    heard: list[Any]
    """Of each recording its number in the split, its embedding (E,), its voice and its language."""


class SpeakerVerification(EncoderTask):
    """The task; the voices of training have a direction each, which is part of the run and not of the checkpoint."""

    monitor = ("eer", "min")
    directions: Mapping[str, Literal["min", "max"]] = {"min_dcf": "min", "auc": "max"}
    config: SpeakerVerificationConfig

    def __init__(self, config: SpeakerVerificationConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a model without a speech reader, or lengths that it doesn't hear at once."""
        super().__init__(config, context)
        self.crop, self.longest = (self.encoder.longest(config, name) for name in ("crop_seconds", "heard_seconds"))

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Voices:
        """Stretches with their voices, which needn't be those of training where nothing is trained.

        Raises `DataError` for a recording whose voice isn't told, or for a single voice to train on.
        """
        if not train:
            return Voices(samples, self.preprocessor, None, self.encoder, self.longest)
        dataset = Voices(samples, self.preprocessor, WaveAugmentation(self.config.augment), self.encoder, self.crop)
        if len(dataset.known) < 2:
            raise DataError(f"every recording is of {dataset.known[0]!r}", hint="two voices are needed to tell apart")
        self._give_directions(len(dataset.known))
        return dataset

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """The loss of every recording, and how often its own voice is nearest."""
        embeddings = self.encoder.embeddings(modules["model"], batch)
        directions = cast("Any", modules["model"]).voices.weight
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines = F.normalize(embeddings) @ F.normalize(directions.float()).T  # (B, V)
        loss, weight = self.loss(cosines, batch["labels"])
        return StepOutput(loss, weight, {"accuracy": (cosines.argmax(-1) == batch["labels"]).sum()})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> VerificationResult:
        """The embedding of each recording, its number in the split, its voice and its language."""
        embeddings = self.encoder.embeddings(modules["model"], batch).cpu().numpy()
        heard = zip(batch["places"], embeddings, batch["voices"], batch["languages"], strict=True)
        return VerificationResult(heard=list(heard))

    def summarize(self, result: VerificationResult) -> dict[str, float]:
        """`eer`, `min_dcf` and `auc` of the trials, which are pairs of recordings of the split."""
        return self._figures(result).rates()

    def artifacts(self, modules: Mapping[str, nn.Module], result: VerificationResult) -> dict[str, bytes]:
        """`thresholds.txt`: the scores to decide at that would have suited these trials."""
        figures = self._figures(result)
        lines = (
            f"{figures.eer_score:.4f}  as many misses as false alarms by share, {figures.eer:.1%}",
            f"{figures.dcf_score:.4f}  the least cost where one trial in twenty is of one voice, {figures.min_dcf:.3f}",
        )
        return {"thresholds.txt": "".join(f"{line}\n" for line in lines).encode()}

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """Guessing, and the cosine of standardised statistics of cepstral coefficients, in the same trials."""
        trials = self._trials([sample.label for sample in test], [getattr(sample, "language", "") for sample in test])
        rate = self.preprocessor.sampling_rate
        return {
            "chance": {"eer": 0.5, "min_dcf": 1.0, "auc": 0.5},
            "MFCC statistics": lambda: baselines.cosine_of_statistics(train, test, trials, rate),
        }

    def read(self, item: Any, number: int, options: SpeakerVerificationOptions) -> Samples:
        """As much of a recording as is heard. Raises `DataError` for anything else."""
        return self.preprocessor.waveform(item, number)[: self.longest]

    def predict(self, inputs: Sequence[Any], options: SpeakerVerificationOptions) -> list[dict[str, Any]]:
        """`embedding` of each recording; with `against` the cosine with it, `score`; with `threshold` also `same`.

        Raises `DataError` for what is no recording.
        """
        against: list[Tensor] = []

        def embed(heard: Sequence[Samples]) -> list[dict[str, Any]]:
            embeddings = self.encoder.embeddings(self.model, self.batch_of(heard))
            pairs = zip(embeddings, F.normalize(embeddings), strict=True)
            return [self._answer(vector, direction, against, options) for vector, direction in pairs]

        if options.against:
            other = self.read(Recording(expanded(options.against), name=f"against: {options.against}"), 0, options)
            with inference_mode(self.model):
                against += F.normalize(self.encoder.embeddings(self.model, self.batch_of([other])))
        return self.answered(inputs, options, embed)

    def _answer(
        self, vector: Tensor, direction: Tensor, against: Sequence[Tensor], options: SpeakerVerificationOptions
    ) -> dict[str, Any]:
        answer: dict[str, Any] = {"embedding": (direction if options.normalize else vector).tolist()}
        for other in against:
            answer["score"] = float(direction @ other)  # both of length 1: the cosine
            if options.threshold is not None:
                answer["same"] = answer["score"] >= options.threshold
        return answer

    def _give_directions(self, voices: int) -> None:
        """Put the voices' directions into the model, where a run keeps them and no checkpoint does."""
        size = self.encoder.embedding_size(self.model)
        drawn = torch.randn(voices, size, generator=torch.Generator().manual_seed(_DRAW))
        directions = nn.Linear(size, voices, bias=False, device="meta")
        directions.weight = nn.Parameter((drawn / size**0.5).to(self.device))  # (V, E), of length 1 about
        self.model.add_module("voices", directions)

    def _figures(self, result: VerificationResult) -> VerificationMetrics:
        heard = sorted(result.heard, key=lambda one: int(one[0]))
        _, embeddings, voices, languages = zip(*heard, strict=True)
        trials = self._trials(voices, languages)
        return verification_metrics(cosine_scores(np.stack(embeddings), trials), trials.same)

    def _trials(self, voices: Sequence[str], languages: Sequence[str]) -> Trials:
        groups = languages if self.config.pairs == "language" else [""] * len(voices)
        return draw_trials(voices, groups, self.config.trials)


@dataclass(eq=False)
class Voices(ChunkDataset):
    """Stretches, and who speaks."""

    def __post_init__(self) -> None:
        """Raises `DataError`, naming the sample, for one without a label."""
        super().__post_init__()
        voices = labels_of(self.samples, "the label of a recording is who speaks")
        self.known = sorted_labels(voices)
        """The voices in the order of their numbers."""
        self.numbers: NDArray[np.int64] = label_numbers(voices, self.known)
        self.languages = [str(getattr(sample, "language", "")) for sample in self.samples]

    def sample(self, key: SampleKey) -> tuple[Any, int, int]:
        """A stretch as the encoder takes it, its voice's and its own number."""
        return self.encoder.prepared(self.chunk(key)), int(self.numbers[key.index]), key.index

    def collate(self, samples: list[Any]) -> Batch:
        """The encoder's tensors and `labels` (B,); `places`, `voices` and `languages` for evaluation."""
        prepared, numbers, places = zip(*samples, strict=True)
        return {
            **self.encoder.collate(prepared),
            "labels": torch.tensor(numbers),
            "places": list(places),
            "voices": [self.known[number] for number in numbers],
            "languages": [self.languages[place] for place in places],
        }

    def title(self, index: int) -> str:
        """Who speaks."""
        return self.known[int(self.numbers[index])]
