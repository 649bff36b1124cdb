"""Writing text token by token: the next token from its scores, the cache that makes it cheap, and text from tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from zoo_transformers import cache_argument

from zoo_nlp.configs.models import TextGenerationOptions
from zoo_nlp.interfaces import output_of, remembers
from zoo_nlp.preprocessor import TextPreprocessor

Forward = Callable[[Tensor], Tensor]
"""Scores (R, V) of the next token of every row, given the tokens (R, n) that are new since the last call."""

GREEDY = TextGenerationOptions(temperature=0.0)


def causal(model: nn.Module) -> Forward:
    """The next token's scores of a causal language model, which remembers what it read if it can."""
    if not remembers(model):
        return _rereading(model)
    return _remembering(model, lambda tokens: {"input_ids": tokens, "logits_to_keep": 1})


def encoder_decoder(model: nn.Module, source: Tensor, mask: Tensor) -> Forward:
    """The next token's scores of an encoder–decoder that has read `source` (R, S), real where the mask is 1."""
    encoded = model.get_encoder()(input_ids=source, attention_mask=mask)  # type: ignore[operator]
    read = {"encoder_outputs": encoded, "attention_mask": mask}
    return _remembering(model, lambda tokens: {**read, "decoder_input_ids": tokens})


def _remembering(model: nn.Module, arguments: Callable[[Tensor], dict[str, Any]]) -> Forward:
    cache, name = None, cache_argument(model)

    def forward(tokens: Tensor) -> Tensor:
        nonlocal cache
        output = model(**arguments(tokens), use_cache=True, **{name: cache})
        cache = getattr(output, name)
        return output.logits[:, -1].float()  # type: ignore[no-any-return]

    return forward


def _rereading(model: nn.Module) -> Forward:
    read: list[Tensor] = []

    def forward(tokens: Tensor) -> Tensor:
        read.append(tokens)
        found = model(input_ids=torch.cat(read, dim=1))
        return output_of(found, "logits", len(tokens), None, None)[:, -1].float()

    return forward


class StreamingDetokenizer:
    """The text of one row. What it hands out piece by piece is, joined, the text it would hand out at once."""

    def __init__(self, preprocessor: TextPreprocessor, stop: Sequence[str] = ()) -> None:
        self.preprocessor = preprocessor
        self.stop = stop
        self.ids: list[int] = []
        self.written = 0
        self.ended = False
        """Whether the row is complete: its end token or a stop string came, or `finish` was called."""

    def push(self, token: int) -> str:
        """The text that is certain now that `token` has come."""
        self.ids.append(token)
        text = self.preprocessor.decode(self.ids)
        found = [place for place in (text.find(word) for word in self.stop) if place >= 0]
        if found:
            self.ended = True
            return self._write(text, min(found))
        # A character whose last bytes are still to come shows as U+FFFD.
        certain = len(text.rstrip("\ufffd"))
        held = max((_overlap(text[:certain], word) for word in self.stop), default=0)
        return self._write(text, certain - held)

    def finish(self) -> str:
        """The text that was held back; nothing comes after it."""
        if self.ended:
            return ""
        self.ended = True
        text = self.preprocessor.decode(self.ids)
        return self._write(text, len(text))

    def _write(self, text: str, end: int) -> str:
        piece = text[self.written : max(end, self.written)]
        self.written += len(piece)
        return piece


def generate(
    forward: Forward,
    start: Tensor,
    writers: Sequence[StreamingDetokenizer],
    options: TextGenerationOptions,
    *,
    eos_id: int,
    banned: Sequence[int] = (),
    steps: Sequence[int],
) -> Iterator[list[str]]:
    """Pieces of text of every row, one list of them per step, until all rows have ended.

    `start` (R, T) are the tokens that the rows begin with; row r ends after `steps[r]` tokens at the latest.
    """
    tokens, seen = start, start  # (R, T); `tokens` are the new ones, `seen` all
    draws = [np.random.Generator(np.random.Philox(key=[options.seed, row])) for row in range(len(writers))]
    for step in range(max(steps)):
        scores = forward(tokens)
        scores[:, list(banned)] = -torch.inf
        uniform = torch.tensor([draw.random() for draw in draws], dtype=scores.dtype, device=scores.device)
        tokens = sample_next_token(scores, seen, uniform, options).unsqueeze(1)  # (R, 1)
        seen = torch.cat([seen, tokens], dim=1)
        pieces = []
        for writer, token, most in zip(writers, tokens[:, 0].tolist(), steps, strict=True):
            if writer.ended:
                pieces.append("")
                continue
            piece = "" if token == eos_id else writer.push(token)
            last = token == eos_id or step + 1 >= most
            pieces.append(piece + writer.finish() if last else piece)
        yield pieces
        if all(writer.ended for writer in writers):
            return


def sample_next_token(scores: Tensor, seen: Tensor, uniform: Tensor, options: TextGenerationOptions) -> Tensor:
    """The next token (R,) of every row, from scores (R, V), the tokens so far (R, T) and one draw in [0, 1) per row.

    Temperature, top-k and nucleus (Holtzman et al., 2020) filter in this order; the draw inverts the distribution
    function, so a row's token depends on its own draw alone, on every device.
    """
    if options.repetition_penalty != 1.0:
        known = scores.gather(1, seen)  # (R, T)
        factor = options.repetition_penalty
        # A penalty above 1 lowers scores on both sides of 0, unlike the plain division of Keskar et al., CTRL, 2019.
        scores = scores.scatter(1, seen, torch.where(known > 0, known / factor, known * factor))
    if options.temperature == 0:
        return scores.argmax(-1)
    most = min(options.top_k or scores.shape[1], scores.shape[1])
    best, order = (scores / options.temperature).topk(most, dim=1)  # descending
    shares = best.softmax(-1)  # (R, K), the likeliest first
    below = shares.cumsum(-1) - shares  # (R, K): what the likelier ones have together
    # The likeliest token stays, whatever top_p; so do no more than are needed to reach it.
    kept = shares.masked_fill((below >= options.top_p) & (below > 0), 0.0)
    heights = kept.cumsum(-1)  # not normalised: the draw is scaled by the last one instead
    place = torch.searchsorted(heights, uniform.unsqueeze(1) * heights[:, -1:], right=True)
    last = (kept > 0).sum(-1, keepdim=True) - 1  # rounding must not lead past the nucleus
    return order.gather(1, torch.minimum(place, last)).squeeze(1)


def _overlap(text: str, word: str) -> int:
    """Length of the longest end of `text` that `word` begins with."""
    return next((n for n in range(min(len(word) - 1, len(text)), 0, -1) if text.endswith(word[:n])), 0)


class EndOfRows:
    """Ends each row of a beam search at its own limit, so that what a text becomes doesn't depend on its neighbours.

    `model.generate` knows one limit for the whole batch; it calls this with the ids so far and the next token's scores.
    """

    def __init__(self, limits: Sequence[int], beams: int, eos_id: int) -> None:
        """`limits` are tokens to write at most, one for each row of the batch; `beams` rows of scores belong to each."""
        self.limits = torch.tensor(limits).repeat_interleave(beams)[:, None]  # (B * beams, 1)
        self.eos_id = eos_id

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (B * beams, V) with nothing but the end left where a row is full; `input_ids` begin with the start token."""
        full = (input_ids.shape[1] - 1 >= self.limits).to(scores.device)  # (B * beams, 1)
        others = torch.arange(scores.shape[1], device=scores.device) != self.eos_id
        return scores.masked_fill(full & others, -torch.inf)
