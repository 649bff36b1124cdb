"""Turning one text into another, learned by teacher forcing: translation and summarisation.

Papers: Vaswani et al., Attention Is All You Need, NeurIPS 2017, arXiv 1706.03762; Szegedy et al., Rethinking the
Inception Architecture, CVPR 2016, arXiv 1512.00567, section 7 (label smoothing).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core import DataError
from zoo_core.contract import At, Baseline, Batch, Dataset, SampleKey, StepOutput
from zoo_core.tasks import LossResult, loss_and_perplexity, streamed, written
from zoo_nlp.configs.models import TextToTextConfig, TextToTextOptions
from zoo_nlp.datasets.samples import TextPair, is_pair
from zoo_nlp.evaluation import metrics
from zoo_nlp.preprocessor import TextPreprocessor, Tokens
from zoo_nlp.tasks.common import TextTask, cut_notices, pad
from zoo_nlp.tasks.decoding import (
    GREEDY,
    EndOfRows,
    StreamingDetokenizer,
    encoder_decoder,
    generate,
)

DIRECTIONS: Final[Mapping[str, Literal["min", "max"]]] = {
    **dict.fromkeys(("loss", "perplexity"), "min"),
    **dict.fromkeys(("bleu", "bleu_zh", "bleu_char", "chrf", "rouge1", "rouge2", "rougeL"), "max"),
}
"""Which figures of written texts are better when there is less of them, and which when there is more."""
_IGNORED = -100
_SHOWN = 20
"""Generated samples that an evaluation keeps to look at."""


@dataclass(frozen=True, kw_only=True)
class WrittenResult(LossResult):
    """The loss of all pairs, and what the model writes for some of them."""

    sources: list[str]
    expected: list[str]
    found: list[str]


class TextToText(TextTask):
    """What every text-to-text task does; its scores are its own."""

    directions = DIRECTIONS
    config: TextToTextConfig
    preprocessor_type = TextPreprocessor

    def dataset(self, samples: Sequence[Any], *, train: bool) -> Pairs:
        """Both sides, cut to the model's length. Raises `DataError` naming the first sample that isn't a pair."""
        for number, sample in enumerate(samples):
            if not is_pair(sample):
                raise DataError(f"sample {number + 1}: expected a pair of texts, found {type(sample).__name__}")
        sources, targets = (self.tokenize([getattr(pair, side) for pair in samples]) for side in ("source", "target"))
        generated = 0 if train else min(self.config.generate_samples, len(samples))
        return Pairs(samples, sources, targets, self.preprocessor.special_id("pad"), generated)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> StepOutput:
        """Smoothed loss of every target token."""
        loss = self._loss(modules["model"], batch, self.config.label_smoothing)
        return StepOutput(loss, (batch["labels"] != _IGNORED).sum())

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch, at: At) -> WrittenResult:
        """Sum of the losses without smoothing, and what the model writes for the chosen samples."""
        model = modules["model"]
        chosen = [row for row, pair in enumerate(batch["pairs"]) if pair]
        pairs = [batch["pairs"][row] for row in chosen]
        loss, found = self._loss(model, batch, 0.0), []
        if chosen:
            found = self._write_all(model, batch["input_ids"][chosen], batch["attention_mask"][chosen], self._options())
        return WrittenResult(
            loss=loss,
            weight=(batch["labels"] != _IGNORED).sum(),
            sources=[source for source, _ in pairs],
            expected=[target for _, target in pairs],
            found=found,
        )

    def summarize(self, result: WrittenResult) -> dict[str, float]:
        """Mean loss in nats per token, its perplexity, and the task's scores of the generated texts."""
        scores = self.scores(result.found, result.expected) if result.found else {}
        return {**loss_and_perplexity(result.mean_loss), **scores}

    def intervals(self, result: WrittenResult) -> Mapping[str, tuple[float, float]]:
        """Those of the scores of generated texts, over texts."""
        return self.score_intervals(result.found, result.expected) if result.found else {}

    @abstractmethod
    def scores(self, found: Sequence[str], expected: Sequence[str]) -> dict[str, float]:
        """How good generated texts are."""

    def score_intervals(self, found: Sequence[str], expected: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Intervals of the scores, of those that have one."""
        return {}

    def answer(self, inputs: Sequence[Any], options: TextToTextOptions) -> list[dict[str, Any]]:
        """What the model makes of each input."""
        batch = self.batch_of(inputs)
        texts = self._write_all(self.model, batch["input_ids"], batch["attention_mask"], options)
        return [{"text": text} for text in texts]

    def stream(self, item: Any, options: TextToTextOptions) -> Iterator[str]:
        """The text that `predict` gives, piece by piece; a beam search only knows it at the end."""
        if options.beams > 1:
            yield self.predict([item], options)[0]["text"]
            return
        batch = self.batch_of([self.read(item, 0, options)])
        ids, mask = batch["input_ids"], batch["attention_mask"]
        yield from streamed(self.model, lambda: self._greedy(self.model, ids, mask, options))

    def artifacts(self, modules: Mapping[str, nn.Module], result: WrittenResult) -> dict[str, bytes]:
        """`samples.txt`: sources, what was expected and what was found."""
        rows = list(zip(result.sources, result.expected, result.found, strict=True))[:_SHOWN]
        parts = [f"source:   {source}\nexpected: {due}\nfound:    {found}\n" for source, due, found in rows]
        return {"samples.txt": "\n".join(parts).encode()} if parts else {}

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Ids of texts, ended and cut to the model's length."""
        return self.preprocessor.encode_ended(texts, self.limit)

    def _loss(self, model: nn.Module, batch: Batch, smoothing: float) -> Tensor:
        logits = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            decoder_input_ids=batch["decoder_input_ids"],
            use_cache=False,
        ).logits.float()  # (B, T, V)
        targets = batch["labels"].flatten()  # (B T,)
        return F.cross_entropy(
            logits.flatten(0, 1), targets, ignore_index=_IGNORED, reduction="sum", label_smoothing=smoothing
        )

    def _options(self) -> TextToTextOptions:
        return TextToTextOptions(beams=self.config.beams)

    def _write_all(self, model: nn.Module, ids: Tensor, mask: Tensor, options: TextToTextOptions) -> list[str]:
        if options.beams > 1:
            return self._beam_search(model, ids, mask, options)
        return written(self._greedy(model, ids, mask, options), len(ids))

    def _greedy(self, model: nn.Module, ids: Tensor, mask: Tensor, options: TextToTextOptions) -> Iterator[list[str]]:
        pad_id = self.preprocessor.special_id("pad")
        return generate(
            encoder_decoder(model, ids, mask),
            torch.full((len(ids), 1), pad_id, device=ids.device),
            [StreamingDetokenizer(self.preprocessor) for _ in ids],
            GREEDY,
            eos_id=self.preprocessor.separator_id(),
            banned=[pad_id],
            steps=[self._most(int(length), options) for length in mask.sum(1).tolist()],
        )

    def _beam_search(self, model: nn.Module, ids: Tensor, mask: Tensor, options: TextToTextOptions) -> list[str]:
        pad_id = self.preprocessor.special_id("pad")
        limits = [self._most(int(length), options) for length in mask.sum(1).tolist()]
        best = model.generate(  # type: ignore[operator]
            input_ids=ids,
            attention_mask=mask,
            num_beams=options.beams,
            do_sample=False,
            early_stopping=True,
            # One more than the longest row's, for the end that `EndOfRows` writes.
            max_new_tokens=max(limits) + 1,
            logits_processor=[EndOfRows(limits, options.beams, self.preprocessor.separator_id())],
            suppress_tokens=[pad_id],
            decoder_start_token_id=pad_id,
            pad_token_id=pad_id,
            eos_token_id=self.preprocessor.separator_id(),
        )
        return [self.preprocessor.decode(row) for row in best.tolist()]

    def _most(self, length: int, options: TextToTextOptions) -> int:
        # Untrained models never end by themselves; no honest translation is twice as long as its source.
        return min(options.max_new_tokens or 2 * length + 16, self.limit - 1)


class Translation(TextToText):
    """From one language to another."""

    def scores(self, found: Sequence[str], expected: Sequence[str]) -> dict[str, float]:
        """BLEU and chrF."""
        return metrics.translation(found, expected)

    def score_intervals(self, found: Sequence[str], expected: Sequence[str]) -> dict[str, tuple[float, float]]:
        """That of BLEU."""
        return metrics.translation_intervals(found, expected)

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """Leaving the source as it is, and translating word by word with a dictionary learned from the pairs."""
        from zoo_nlp.evaluation import baselines

        return {
            "copy": lambda: baselines.copy_source(test),
            "word dictionary": lambda: baselines.word_dictionary(train, test),
        }


class Summarization(TextToText):
    """From a text to what matters in it."""

    def scores(self, found: Sequence[str], expected: Sequence[str]) -> dict[str, float]:
        """ROUGE-1, ROUGE-2 and ROUGE-L."""
        return metrics.summarization(found, expected)

    def score_intervals(self, found: Sequence[str], expected: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Those of all three."""
        return metrics.summarization_intervals(found, expected)

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> Mapping[str, Baseline]:
        """The text's first sentence."""
        found = [pair.source.strip().split(". ", 1)[0] for pair in test]
        return {"first sentence": lambda: metrics.summarization(found, [pair.target for pair in test])}


class Pairs(Dataset):
    """Encoded pairs, padded batch by batch; some of them are marked for generation."""

    def __init__(self, pairs: Sequence[TextPair], sources: Tokens, targets: Tokens, pad_id: int, marked: int) -> None:
        """`marked` pairs, spread evenly, come with their texts."""
        self.sources, self.targets = sources, targets
        self.pad_id = pad_id
        self.lengths = sources.lengths() + targets.lengths()
        self.truncated = len(np.union1d(sources.cut(), targets.cut()))
        """Pairs of which a side was cut to the model's length."""
        limit = int(max(sources.lengths().max(initial=0), targets.lengths().max(initial=0)))
        self.notices = cut_notices(self.truncated, len(pairs), "pairs", limit)
        chosen = np.linspace(0, len(pairs) - 1, marked).round().astype(int).tolist() if marked else []
        self.marked = {index: (pairs[index].source, pairs[index].target) for index in chosen}

    def __len__(self) -> int:
        return len(self.sources.ends)

    def sample(self, key: SampleKey) -> Any:
        """Source ids, target ids, and both texts where they are marked."""
        return self.sources.row(key.index), self.targets.row(key.index), self.marked.get(key.index)

    def collate(self, samples: list[Any]) -> dict[str, Any]:
        """`input_ids`, `attention_mask` (B, S), `decoder_input_ids`, `labels` (B, T), and `pairs`, None where unmarked."""
        ids, mask = pad([source for source, _, _ in samples], self.pad_id)
        targets, real = pad([target for _, target, _ in samples], self.pad_id)
        # The decoder starts from the padding token and reads what it should have written so far.
        shifted = F.pad(targets[:, :-1], (1, 0), value=self.pad_id)  # (B, T)
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "decoder_input_ids": shifted,
            "labels": targets.masked_fill(real == 0, _IGNORED),
            "pairs": [pair for _, _, pair in samples],
        }
