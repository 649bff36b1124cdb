"""Where in a recording each symbol was heard: the likeliest path of a text through frames, and what a decoder attends to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchaudio.functional import forced_align, merge_tokens
from zoo_transformers import quiet

from zoo_speech.audio.timed import Alignment, Placed, Segment
from zoo_speech.evaluation.transcripts import Characters


class FrameTiming(NamedTuple):
    """When the frames of an encoder are."""

    hop: float
    """Seconds from one frame to the next."""
    start: float
    """Seconds before the first frame: frames are a hop long, around the middle of what they hear."""

    @classmethod
    def of(cls, architecture: Any, rate: int) -> FrameTiming:
        """That of convolutions with `conv_kernel` and `conv_stride` over samples at `rate` Hz."""
        hop, field = 1, 1
        for kernel, stride in zip(architecture.conv_kernel, architecture.conv_stride, strict=True):
            field += (kernel - 1) * hop  # samples that a frame hears
            hop *= stride
        return cls(hop / rate, (field - hop) / 2 / rate)  # a hop in the middle of the field

    def seconds(self, frame: int) -> float:
        """Where a frame begins, and the one before it ends."""
        return self.start + frame * self.hop

    def stretches(self, flags: NDArray[np.bool_]) -> list[tuple[float, float]]:
        """Seconds from and to, for each run of true ones among the frames (T,)."""
        edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0)).tolist()  # starts and ends by turns
        return [(self.seconds(first), self.seconds(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def frames_due(targets: Sequence[int]) -> int:
    """Frames that a row of symbols takes at least: one each, and one between two that are alike."""
    return len(targets) + sum(one == other for one, other in zip(targets[1:], targets[:-1], strict=True))


def align(log_probs: Tensor, text: str, characters: Characters, clock: FrameTiming) -> Alignment:
    """The likeliest of all paths (Graves et al., ICML 2006, section 3.1) that spell `text`, by torchaudio.

    log_probs: (T, C) of the recording's own frames. For the text of the likeliest path of all it is that path. Characters
    without a symbol are left out. Raises `ValueError` where there are fewer frames than `frames_due`.
    """
    targets = characters.encode(text)
    if len(log_probs) < frames_due(targets):
        raise ValueError(f"{len(log_probs)} frames for {len(targets)} symbols")
    scores = log_probs.detach().float().cpu().contiguous()
    edges = clock.start + clock.hop * np.arange(len(scores) + 1)
    if not targets:
        silent = np.zeros(len(scores), np.int64)
        return Alignment([], silent, scores[:, 0].exp().numpy(), edges)
    path, found = forced_align(scores[None], torch.tensor([targets]), blank=0)  # (1, T) both
    spans = merge_tokens(path[0], found[0].exp(), blank=0)
    symbols = [
        Placed(characters.decode([span.token]), clock.seconds(span.start), clock.seconds(span.end)) for span in spans
    ]
    return Alignment(symbols, path[0].long().numpy(), found[0].exp().numpy(), edges)


def words(symbols: Sequence[Placed]) -> list[Segment]:
    """What stands between spaces, from its first character's beginning to its last one's end."""
    found: list[Segment] = []
    going = False
    for symbol, start, end in symbols:
        if symbol.isspace():
            going = False
        elif going:
            found[-1] = Segment(found[-1].start, end, found[-1].text + symbol)
        else:
            found.append(Segment(start, end, symbol))
            going = True
    return found


def cross_attention(model: nn.Module, features: Tensor, prompt: Sequence[int], tokens: Sequence[int]) -> Tensor:
    """(K, n, T): where K heads look, over a window's T frames, before each of n tokens is written behind the prompt.

    features: (M, 2 T), one window. All heads of the upper half of a Whisper's decoder layers, whose attention follows the
    speech (OpenAI's code takes these where nobody chose better ones). Each row sums to one. The model's implementation of
    attention, which gives no such weights, is another one for this single pass of the decoder.
    """
    whole = cast("Any", model)
    rows = torch.tensor([[*prompt, *tokens]], device=features.device)  # (1, P + n)
    encoded = whole.get_encoder()(features[None])
    with _eager(whole):
        output = whole(encoder_outputs=encoded, decoder_input_ids=rows, use_cache=False, output_attentions=True)
    layers = output.cross_attentions
    heads = torch.cat([layer[0] for layer in layers[len(layers) // 2 :]]).float()  # (K, P + n, T)
    # A token is written by the place before its own.
    return heads[:, len(prompt) - 1 : -1]


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """Attention that tells its weights, and back to what it was afterwards."""
    before = model.config._attn_implementation
    with quiet():
        model.set_attn_implementation("eager")
        try:
            yield
        finally:
            model.set_attn_implementation(before)
