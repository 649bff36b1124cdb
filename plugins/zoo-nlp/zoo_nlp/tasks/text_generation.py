"""Causal language modelling: predict every next token, and continue a user's text.

Paper: Radford et al., Language Models are Unsupervised Multitask Learners, OpenAI 2019, section 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo_core.contract import Batch, StepOutput, inference_mode
from zoo_nlp.configs.models import TextGenerationConfig, TextGenerationOptions
from zoo_nlp.datasets.samples import text_of
from zoo_nlp.evaluation import metrics
from zoo_nlp.tasks.common import PackedBlocks, TextTask, too_long
from zoo_nlp.tasks.decoding import StreamingDetokenizer, causal, generate

_SAMPLE = TextGenerationOptions(temperature=0.8, top_p=0.95)
"""How the samples of an evaluation are drawn."""


class TextGeneration(TextTask):
    """The causal language model's task."""

    config: TextGenerationConfig

    def dataset(self, samples: Sequence[Any], *, train: bool) -> PackedBlocks:
        """Blocks that share one token with the next, so that each token but the first is predicted once.

        Documents are joined by the token that ends them. Raises `DataError` for what isn't text.
        """
        flat = self.preprocessor.pack([text_of(sample, number) for number, sample in enumerate(samples)])
        return PackedBlocks(flat, length=self.limit + 1, stride=self.limit)

    def step(self, phase: str, modules: Mapping[str, nn.Module], batch: Batch) -> StepOutput:
        """Loss of every token but a block's first."""
        loss, weight = self._loss(modules["model"], batch["input_ids"])
        return StepOutput(loss, weight)

    def evaluate(self, modules: Mapping[str, nn.Module], batch: Batch) -> Mapping[str, Tensor | list[Any]]:
        """Sum of the losses and number of predicted tokens."""
        loss, weight = self._loss(modules["model"], batch["input_ids"])
        return {"loss": loss, "weight": torch.tensor(weight, device=loss.device)}

    def summarize(self, gathered: Mapping[str, Tensor | list[Any]]) -> dict[str, float]:
        """Mean loss in nats per token, and its perplexity."""
        loss, weight = gathered["loss"], gathered["weight"]
        assert isinstance(loss, Tensor) and isinstance(weight, Tensor)
        mean = float(loss) / float(weight)
        return {"loss": mean, "perplexity": metrics.perplexity(mean)}

    def predict(self, inputs: Sequence[Any], options: TextGenerationOptions) -> list[dict[str, Any]]:
        """What comes after each input: `text`, and `alternatives` where more than one was asked for.

        Raises `DataError` for an input that leaves the model no room.
        """
        with inference_mode(self.model):
            answers = [self._continue(text_of(item, n), n, options, self.model) for n, item in enumerate(inputs)]
        return [
            {"text": texts[0], "alternatives": texts[1:]} if len(texts) > 1 else {"text": texts[0]} for texts in answers
        ]

    def stream(self, item: Any, options: TextGenerationOptions) -> Iterator[str]:
        """What comes after the input, piece by piece: the same text as `predict` gives."""
        pieces = self._pieces(text_of(item, 0), 0, replace(options, num_return=1), self.model)
        while True:
            # The caller's code runs between the pieces: it must meet the model as it left it.
            with inference_mode(self.model):
                piece = next(pieces, None)
            if piece is None:
                return
            if piece[0]:
                yield piece[0]

    def baselines(self, train: Sequence[Any], test: Sequence[Any]) -> dict[str, dict[str, float]]:
        """Losses of a unigram and a trigram model over the same tokens."""
        from zoo_nlp.evaluation.baselines import ngram_losses

        known, new = (
            self.preprocessor.pack([text_of(sample, number) for number, sample in enumerate(part)]).astype(np.int64)
            for part in (train, test)
        )
        losses = ngram_losses(known, new, self.preprocessor.vocab_size)
        return {name: {"loss": loss, "perplexity": metrics.perplexity(loss)} for name, loss in losses.items()}

    def artifacts(
        self, modules: Mapping[str, nn.Module], gathered: Mapping[str, Tensor | list[Any]]
    ) -> dict[str, bytes]:
        """`samples.txt`: continuations of the configured prompts, with the same draws in every evaluation."""
        parts = []
        for seed, prompt in enumerate(self.config.prompts):
            options = replace(_SAMPLE, max_new_tokens=self.config.sample_tokens, seed=seed, truncate=True)
            with inference_mode(modules["model"]):
                parts.append(prompt + self._continue(prompt, seed, options, modules["model"])[0])
        return {"samples.txt": ("\n\n-----\n\n".join(parts) + "\n").encode()} if parts else {}

    def _loss(self, model: nn.Module, blocks: Tensor) -> tuple[Tensor, float]:
        inputs, targets = blocks[:, :-1], blocks[:, 1:]
        logits = model(input_ids=inputs, use_cache=False).logits.float()  # (B, T, V)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum"), float(targets.numel())

    def _continue(self, text: str, number: int, options: TextGenerationOptions, model: nn.Module) -> list[str]:
        rows = [""] * options.num_return
        for pieces in self._pieces(text, number, options, model):
            rows = [row + piece for row, piece in zip(rows, pieces, strict=True)]
        return rows

    def _pieces(self, text: str, number: int, options: TextGenerationOptions, model: nn.Module) -> Iterator[list[str]]:
        start = self._start(text, number, options)
        steps = [min(options.max_new_tokens, self.limit - len(start))] * options.num_return
        pad, eos = self.preprocessor.special_id("pad"), self.preprocessor.separator_id()
        return generate(
            causal(model),
            torch.tensor([start] * options.num_return, device=self.device),
            [StreamingDetokenizer(self.preprocessor, options.stop) for _ in steps],
            options,
            eos_id=eos,
            banned=[] if pad == eos else [pad],
            steps=steps,
        )

    def _start(self, text: str, number: int, options: TextGenerationOptions) -> list[int]:
        # An empty prompt is the beginning of a document, which is where the document before it ended.
        ids = self.preprocessor.encode_plain([text]).row(0).tolist() or [self.preprocessor.separator_id()]
        most = self.limit - 1
        if len(ids) > most and not options.truncate:
            raise too_long(number, len(ids), most)
        return ids[-most:]
