"""Masked language modelling: predict hidden tokens from both sides, and fill gaps for a user.

Paper: Devlin et al., BERT, NAACL 2019, arXiv 1810.04805, section 3.1, task 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core import DataError
from zoo_core.contract import At, Batch, SampleKey, StepOutput, TaskContext
from zoo_core.tasks import LossResult, loss_and_perplexity
from zoo_nlp.configs.models import FillMaskConfig, FillMaskOptions
from zoo_nlp.datasets.samples import text_of
from zoo_nlp.interfaces import output_of
from zoo_nlp.preprocessor import Ids, TextPreprocessor
from zoo_nlp.tasks.common import PackedBlocks, TextTask, texts_of, too_long

_MASKED, _RANDOM = 0.8, 0.9
"""Of the chosen tokens, 80 % are masked, 10 % replaced and 10 % kept."""
_IGNORED = -100


class Masked(NamedTuple):
    """A batch with some of its tokens hidden."""

    input_ids: Tensor
    """(B, T) what the model reads."""
    places: Tensor
    """(M,) chosen tokens, as indices into the flattened batch."""
    targets: Tensor
    """(M,) what stood there; -100 where a special token had to be chosen."""


@dataclass(frozen=True, kw_only=True)
class MaskedResult(LossResult):
    """The loss of hidden tokens, and how many were found."""

    correct: Tensor
    """0-d."""


class FillMask(TextTask):
    """The masked language model's task."""

    config: FillMaskConfig
    preprocessor_type = TextPreprocessor

    def __init__(self, config: FillMaskConfig, context: TaskContext) -> None:
        """Raises `UsageError` for a tokenizer without a mask."""
        super().__init__(config, context)
        self.mask_id = self.preprocessor.special_id("mask")
        self._special = torch.tensor(self.preprocessor.special_ids())

    def dataset(self, samples: Sequence[Any], *, train: bool) -> PackedBlocks:
        """Blocks of the model's length, documents joined by the separator. Raises `DataError` for what isn't text."""
        rows = self.preprocessor.ended(texts_of(samples))
        kind = FramedBlocks if train else MaskedBlocks
        return kind(rows, length=self.limit, before=self.preprocessor.before, after=self.preprocessor.after)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """Loss of the hidden tokens, drawn anew in every step."""
        ids = batch["input_ids"]
        # Each by itself, so that the first dimension is the sample and the draws are its own however batches are dealt.
        scores, fates = (torch.rand(ids.shape, device=ids.device) for _ in range(2))  # (B, T)
        loss, _, masked = self._predict_masked(modules["model"], ids, scores, fates)
        return StepOutput(loss, (masked.targets != _IGNORED).sum())

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> MaskedResult:
        """Sums over the hidden tokens, which are the same in every evaluation."""
        loss, logits, masked = self._predict_masked(
            modules["model"], batch["input_ids"], batch["scores"], batch["fates"]
        )
        correct = (logits.argmax(-1) == masked.targets).sum()
        return MaskedResult(loss=loss, weight=(masked.targets != _IGNORED).sum(), correct=correct)

    def summarize(self, result: MaskedResult) -> dict[str, float]:
        """Mean loss in nats, its perplexity, and the share of hidden tokens that were found."""
        found = {"accuracy": float(result.correct) / float(result.weight)}
        return {**loss_and_perplexity(result.mean_loss), **found}

    def answer(self, inputs: Sequence[Any], options: FillMaskOptions) -> list[dict[str, Any]]:
        """The likeliest tokens of every mask, and the text with the first of them filled in."""
        batch = self.batch_of([row for _, row in inputs])
        masks = batch["input_ids"] == self.mask_id
        logits = self._scores(self.model(**batch, places=masks.flatten().nonzero().squeeze(1)))
        best = logits.float().softmax(-1).topk(min(options.top_k, logits.shape[-1]))  # (M, K)
        found = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        counts = masks.sum(1).tolist()
        return [self._filled(text, list(islice(found, count))) for (text, _), count in zip(inputs, counts, strict=True)]

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """The loss of always predicting tokens by their frequency."""
        from zoo_nlp.evaluation.ngrams import ngram_losses

        known, new = (self.preprocessor.encode_plain(texts_of(part)).flat.astype(np.int64) for part in (train, test))
        return {"unigram": loss_and_perplexity(ngram_losses(known, new, self.preprocessor.vocab_size)["unigram"])}

    def _predict_masked(
        self, model: nn.Module, ids: Tensor, scores: Tensor, fates: Tensor
    ) -> tuple[Tensor, Tensor, Masked]:
        if self._special.device != ids.device:
            self._special = self._special.to(ids.device)
        masked = mask_tokens(
            ids,
            scores,
            fates,
            ratio=self.config.mask_ratio,
            mask_id=self.mask_id,
            special=self._special,
            vocab_size=self.preprocessor.vocab_size,
        )
        logits = self._scores(model(input_ids=masked.input_ids, places=masked.places)).float()  # (M, V)
        loss = F.cross_entropy(logits, masked.targets, ignore_index=_IGNORED, reduction="sum")
        return loss, logits, masked

    def _scores(self, given: Any) -> Tensor:
        """(M, V); a vocabulary of a model may have rows to spare."""
        return output_of(given, "logits", None, None)

    def read(self, item: Any, number: int, options: FillMaskOptions) -> tuple[str, Ids]:
        """A text and its ids. Raises `DataError` for one without a mask or longer than the model reads."""
        text = text_of(item, number)
        token = self.preprocessor.special["mask"]
        # Only here does the word for the mask mean the mask; elsewhere text is text.
        pieces = self.preprocessor.encode_plain(text.split(token))
        if len(pieces.ends) < 2:
            raise DataError(f"input {number + 1} has no {token} to fill")
        row = list(self.preprocessor.before)
        for index in range(len(pieces.ends)):
            row += ([self.mask_id] if index else []) + pieces.row(index).tolist()
        row += self.preprocessor.after
        if len(row) > self.limit:
            if not options.truncate:
                raise too_long(number, len(row), self.limit)
            row = row[: self.limit - len(self.preprocessor.after)] + self.preprocessor.after
            if self.mask_id not in row:
                raise DataError(f"input {number + 1} has no {token} among its first {self.limit} tokens")
        return text, np.asarray(row)

    def _filled(self, text: str, found: list[tuple[list[float], list[int]]]) -> dict[str, Any]:
        candidates = [
            [
                {"token": self.preprocessor.token(token), "probability": p}
                for p, token in zip(values, tokens, strict=True)
            ]
            for values, tokens in found
        ]
        for options in candidates:
            text = text.replace(self.preprocessor.special["mask"], str(options[0]["token"]), 1)
        return {"text": text, "candidates": candidates}


class FramedBlocks(PackedBlocks):
    """Packed blocks that each start and end as a single text does, so that `[CLS]` is learned too."""

    def __init__(self, rows: Sequence[Ids], *, length: int, before: list[int], after: list[int]) -> None:
        """Raises `DataError` where there is no text."""
        inner = length - len(before) - len(after)
        super().__init__(rows, length=inner, stride=inner)
        self.before, self.after = np.asarray(before, dtype=np.int64), np.asarray(after, dtype=np.int64)

    def sample(self, key: SampleKey) -> NDArray[np.int64]:
        """Ids (T,) of one block with its frame."""
        return np.concatenate([self.before, super().sample(key), self.after])


class MaskedBlocks(FramedBlocks):
    """Blocks for evaluation: what is hidden in a block is a function of its number alone."""

    def sample(self, key: SampleKey) -> Any:
        """Ids (T,) and two rows of draws (2, T)."""
        ids = super().sample(key)
        draws = SampleKey(0, 0, key.index).generator().random((2, len(ids)), dtype=np.float32)
        return ids, draws

    def collate(self, samples: list[Any]) -> dict[str, Tensor]:
        """`input_ids`, `scores` and `fates`, each (B, T)."""
        draws = torch.from_numpy(np.stack([draw for _, draw in samples], axis=1))  # (2, B, T)
        return {**super().collate([ids for ids, _ in samples]), "scores": draws[0], "fates": draws[1]}


def mask_tokens(
    ids: Tensor, scores: Tensor, fates: Tensor, *, ratio: float, mask_id: int, special: Tensor, vocab_size: int
) -> Masked:
    """Hide the same number of tokens in every row of ids (B, T): fixed shapes, so nothing waits for the device.

    `scores` and `fates` (B, T) are uniform in [0, 1): the highest scores are chosen, special tokens last of all; their
    fates make 80 % of them the mask and 10 % a token drawn evenly from the vocabulary.
    """
    batch, length = ids.shape
    count = max(1, round(ratio * length))
    ordinary = scores.masked_fill(torch.isin(ids, special), -1.0)  # below every draw
    chosen = ordinary.topk(count, dim=1)  # (B, K)
    starts = torch.arange(batch, device=ids.device).unsqueeze(1) * length  # (B, 1)
    places = (chosen.indices + starts).flatten()  # (M,)
    true, fate = ids.flatten()[places], fates.flatten()[places]
    # What is left of the fate above 0.8 is uniform again, and says which token replaces the true one.
    drawn = ((fate - _MASKED) / (_RANDOM - _MASKED) * vocab_size).long().clamp(0, vocab_size - 1)
    seen = torch.where(fate < _MASKED, mask_id, torch.where(fate < _RANDOM, drawn, true))
    hidden = ids.flatten().scatter(0, places, seen).view_as(ids)  # (B, T)
    return Masked(hidden, places, true.masked_fill(chosen.values.flatten() < 0, _IGNORED))
