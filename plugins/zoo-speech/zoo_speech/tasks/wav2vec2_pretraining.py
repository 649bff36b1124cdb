"""Learning from speech alone: telling the quantised frame behind a mask from others of the same recording.

Paper: Baevski, Zhou, Mohamed, Auli, wav2vec 2.0, NeurIPS 2020, arXiv 2006.11477, sections 3 and 4.2. Left out: the penalty
on the convolutions' activations and their smaller gradient. The Gumbel temperature falls by epochs rather than by updates,
so that neither accumulation nor a resume can change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from zoo_core import UsageError
from zoo_core.contract import At, Batch, SampleKey, StepOutput
from zoo_core.tasks import LossResult
from zoo_speech.audio.masks import spans
from zoo_speech.audio.timed import View
from zoo_speech.augment import WaveAugmentation
from zoo_speech.configs.tasks import Wav2Vec2PretrainingConfig
from zoo_speech.decoding.alignment import FrameTiming
from zoo_speech.losses import draw_distractors
from zoo_speech.models.encoders import padded
from zoo_speech.models.wav2vec2 import frame_count, frames_of, samples_of
from zoo_speech.preprocessor import SpeechReader
from zoo_speech.tasks.common import Recordings, SpeechTask, padded_masks, random_crop


@dataclass(frozen=True, kw_only=True)
class CodesResult(LossResult):
    """The loss of hidden frames, how many were told from their distractors, and how codes are used."""

    right: Tensor
    """0-d."""
    usage: Tensor
    """(G, V), probabilities summed over hidden frames."""


class Wav2Vec2Pretraining(SpeechTask):
    """The task; its loss gets predictions, quantised frames, distractors and how codes are used."""

    monitor = ("accuracy", "max")
    config: Wav2Vec2PretrainingConfig
    preprocessor_type = SpeechReader
    preprocessor: SpeechReader

    def dataset(self, samples: Sequence[Any], *, train: bool) -> UnlabelledChunks:
        """Stretches of recordings with what is hidden of them and their distractors, new ones in every epoch."""
        architecture = cast("Any", self.model).config
        # Half a second, which pads little of what is long and is enough for most masks; more where it isn't.
        least = samples_of(architecture, self.config.mask_length + 1)
        return UnlabelledChunks(
            samples,
            self.preprocessor,
            WaveAugmentation(self.config.augment) if train else None,
            self.config,
            partial(frame_count, architecture),
            max(self.preprocessor.sampling_rate // 2, least),
        )

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """The loss of every hidden frame, how often the true one is nearest, and the codes in use in the batch."""
        first, last, factor = self.config.temperature
        # Jang et al., Categorical Reparameterization with Gumbel-Softmax, 2017: the draws harden while the epochs pass.
        cast("Any", modules["model"]).quantizer.temperature = max(last, first * factor**at.epoch)
        loss, weight, right, usage = self._judged(modules["model"], batch)
        return StepOutput(loss, weight, {"accuracy": right, "codes": _perplexity(usage / weight) * weight})

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> CodesResult:
        """Sums over hidden frames: of the losses, of true frames found, and of the codes' probabilities (G, V)."""
        loss, weight, right, usage = self._judged(modules["model"], batch)
        return CodesResult(loss=loss, weight=weight, right=right, usage=usage)

    def summarize(self, result: CodesResult) -> dict[str, float]:
        """Mean loss in nats, share of hidden frames that were told from their distractors, and codes in use, as perplexity.

        The part of the loss that asks for diversity is the batches' own, so that it depends on their size.
        """
        return {
            "loss": result.mean_loss,
            "accuracy": float(result.right / result.weight),
            "codes": float(_perplexity(result.usage / result.weight)),
        }

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """Guessing among a frame and its distractors."""
        return {"chance": {"accuracy": 1 / (1 + self.config.distractors)}}

    def predict(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """Raises `UsageError`: a pretrained encoder has nothing to say yet."""
        raise UsageError(
            "wav2vec2-pretraining answers nothing", hint="ask with --task speech-feature-extraction, or fine-tune it"
        )

    def view(self, dataset: Any, key: SampleKey) -> View:
        """A standardised stretch, and what is hidden of it."""
        waveform, hidden, _ = dataset.sample(key)
        rate = self.preprocessor.sampling_rate
        stretches = FrameTiming.of(cast("Any", self.model).config, rate).stretches(hidden)
        return View(samples=waveform, rate=rate, hidden=stretches)

    def _judged(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sum of the losses, hidden frames, how many of these are nearest to their own, and their codes (G, V), as a sum."""
        pair = cast("Any", model)
        frames = frames_of(pair.wav2vec2, batch["samples"], batch["lengths"], batch["masks"])
        hidden = batch["masks"]  # (B, T)
        # Linear layers, one frame at a time: only the hidden ones are needed.
        chosen = pair.dropout_features(frames.features)[hidden][None]  # (1, M, F)
        quantised, _ = pair.quantizer(chosen, mask_time_indices=None)  # (1, M, codevector_dim)
        targets = pair.project_q(quantised.to(pair.project_q.weight.dtype))[0]  # (M, D)
        logits = pair.quantizer.weight_proj(chosen[0]).float()  # (M, G V)
        probabilities = logits.view(len(logits), pair.quantizer.num_groups, -1).softmax(-1)  # (M, G, V)
        predictions = pair.project_hid(frames.states[hidden])  # (M, D)
        loss, weight = self.loss(predictions, targets, batch["distractors"], probabilities)
        right = _nearest(predictions, targets, batch["distractors"])
        return loss, weight, right, probabilities.detach().sum(0)


@torch.no_grad()
def _nearest(predictions: Tensor, targets: Tensor, distractors: Tensor) -> Tensor:
    """How often the target is nearer than all its distractors."""
    # (M, M): row t, how near its prediction is to every target.
    near = nn.functional.normalize(predictions.float(), dim=1) @ nn.functional.normalize(targets.float(), dim=1).T
    others = near.gather(1, distractors.clamp_min(0)).masked_fill(distractors < 0, -torch.inf)  # (M, K)
    return (near.diagonal() > others.max(1).values).sum().float()


def _perplexity(usage: Tensor) -> Tensor:
    """Codes in use of all codebooks, of probabilities (G, V)."""
    found: Tensor = torch.special.entr(usage).sum(1).exp().sum()  # Σ_g exp H(p_g)
    return found


@dataclass(eq=False)
class UnlabelledChunks(Recordings):
    """Waveforms cut to a length, what is hidden of them and what it has to be told from."""

    config: Wav2Vec2PretrainingConfig
    frames: Callable[[int], int]
    """The encoder's frames of samples."""
    shortest: int
    """Samples that silence makes of what is shorter."""

    def __post_init__(self) -> None:
        """Raises `DataError` for what is no recording."""
        super().__post_init__()
        self.longest = round(self.config.crop_seconds * self.reader.sampling_rate)
        self.lengths = np.maximum(np.minimum(self.lengths, self.longest), self.shortest)

    def sample(self, key: SampleKey) -> tuple[Any, Any, Any]:
        """A waveform (N,), which of its frames (T,) are hidden, and the distractors (M, K) of these."""
        generator = key.generator()
        waveform = self.waveform(key.index, generator)
        waveform = random_crop(waveform, self.longest, generator)
        if len(waveform) < self.shortest:
            # So that something can be hidden of it.
            waveform = np.pad(waveform, (0, self.shortest - len(waveform)))
        probability, length = self.config.mask_probability, self.config.mask_length
        hidden = spans(self.frames(len(waveform)), generator, probability=probability, length=length)
        distractors = draw_distractors(int(hidden.sum()), self.config.distractors, generator)
        return cast("SpeechReader", self.reader).standardised(waveform), hidden, distractors

    def collate(self, samples: list[Any]) -> Batch:
        """`samples` (B, N), `lengths` (B,), `masks` (B, T), `distractors` (M, K) by rows of all."""
        waveforms, hidden, drawn = zip(*samples, strict=True)
        batch: dict[str, Any] = padded(waveforms)
        batch["masks"] = padded_masks(hidden, self.frames(batch["samples"].shape[1]))
        before, rows = 0, []
        for distractors in drawn:
            rows.append(np.where(distractors < 0, -1, distractors + before))
            before += len(distractors)
        batch["distractors"] = torch.from_numpy(np.concatenate(rows))
        return batch
