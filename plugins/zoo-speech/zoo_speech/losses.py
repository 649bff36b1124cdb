"""Losses of speech, summed over the symbols, the masked steps or the recordings of a batch.

Every builder gives `(*inputs) -> (loss_sum, weight)`, both 0-d. Sums are taken in float32 whatever the autocast; all but
`transducer` keep float64 inputs as they are. Lengths and indices are checked first, because the kernels underneath read
whatever memory a wrong one points to; each raises `TrainingError` then, and for shapes that don't fit.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import rnnt_loss

from zoo_core import TrainingError
from zoo_core.contract import Loss, NoConfig
from zoo_core.tasks import count, precise
from zoo_speech.configs.losses import AdditiveAngularMarginConfig, Wav2Vec2ContrastiveConfig

BLANK = 0
"""The class that stands for no symbol."""


def ctc(config: NoConfig) -> Loss:
    """Build `(log_probs, lengths, targets, target_lengths) -> (loss_sum, weight)`: connectionist temporal classification.

    -ln p(l | x) of each utterance, where p(l | x) sums over every path of length T that becomes l when repeats are merged
    and blanks dropped: Graves et al., ICML 2006, equation 3, by the recursion of section 4.1.

    log_probs: (B, T, C), the output of a log-softmax, which the gradients rely on. lengths: (B,) frames in use.
    targets: (B, L) symbols in [1, C), whatever lies beyond target_lengths (B,). weight: the number of target symbols.

    Targets that need more frames than there are have no path, and an infinite loss. They are left out of both sum and
    weight and get no gradient, as with torch's `zero_infinity`; `alignable` says which they are. An
    utterance without symbols adds to the sum, since its frames must all be blank, and nothing to the weight.
    """

    def loss(log_probs: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> tuple[Tensor, Tensor]:
        _require_ndim("ctc", "log_probs (B, T, C)", log_probs, 3)
        _require_sequences("ctc", log_probs.shape, 0, lengths, targets, target_lengths)
        possible = alignable(lengths, targets, target_lengths)  # (B,)
        # A loss that is finite and unused, unlike one that is infinite and unused, has a gradient of zero.
        counted = target_lengths.where(possible, 0)
        # (B,), of (T, B, C) as torch wants it.
        each = F.ctc_loss(
            precise(log_probs).transpose(0, 1), targets.long(), lengths, counted, blank=BLANK, reduction="none"
        )
        return each.where(possible, 0.0).sum(), counted.sum()

    return loss


def alignable(lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
    """Which utterances have a CTC path at all, (B,) booleans: a frame a symbol, and a blank between two equal ones.

    lengths: (B,) frames. targets: (B, L). target_lengths: (B,).
    """
    repeats = targets[:, 1:] == targets[:, :-1]  # (B, L - 1)
    # Padding may repeat too, and counts for nothing.
    repeats &= torch.arange(repeats.shape[1], device=targets.device) + 1 < target_lengths[:, None]
    return lengths >= target_lengths + repeats.sum(1)


def transducer(config: NoConfig) -> Loss:
    """Build `(logits, lengths, targets, target_lengths) -> (loss_sum, weight)`: the RNN transducer's.

    -ln Pr(y | x) of each utterance: the sum over all ways from (t, u) = (1, 0) through the lattice, where a blank goes on
    to frame t + 1, symbol u + 1 stays at its frame, and a last blank leaves from (T, U): Graves 2012, section 2.4. Every
    target has a path, however short the utterance.

    logits: (B, T, U + 1, C) of the joint network, not normalised; the softmax is part of the loss. lengths: (B,) frames
    in use, at least 1. targets: (B, U) symbols in [1, C), whatever lies beyond target_lengths (B,). weight: the number of
    target symbols. Always in float32, which is all that torchaudio computes in.
    """

    def loss(logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> tuple[Tensor, Tensor]:
        _require_ndim("transducer", "logits (B, T, U + 1, C)", logits, 4)
        _require_sequences("transducer", logits.shape, 1, lengths, targets, target_lengths)
        frames, symbols = torch.stack([lengths.max(), target_lengths.max()]).tolist()
        if symbols >= logits.shape[2]:
            raise TrainingError(
                f"transducer: targets of {symbols} symbols with logits of shape {tuple(logits.shape)}",
                hint="one row of logits for each symbol and one before the first: (B, T, U + 1, C)",
            )
        # The kernel takes no more padding than the longest utterance needs.
        lattice = logits[:, :frames, : symbols + 1].float().contiguous()
        loss_sum: Tensor = rnnt_loss(
            lattice,
            targets[:, :symbols].int().contiguous(),
            lengths.int(),
            target_lengths.int(),
            blank=BLANK,
            reduction="sum",
        )
        return loss_sum, target_lengths.sum()

    return loss


def wav2vec2_contrastive(config: Wav2Vec2ContrastiveConfig) -> Loss:
    """Build `(predictions, targets, distractors, probabilities) -> (loss_sum, weight)`: wav2vec 2.0's pretraining loss.

    L_m + alpha L_d (Baevski et al., NeurIPS 2020, equation 2) over M masked steps, the utterances of a batch one after
    another, and weight M:
    L_m = -ln exp(sim(c_t, q_t) / kappa) / sum over q of exp(sim(c_t, q) / kappa), cosine similarities with the target and
    its distractors (equation 3);
    L_d = 1 / (G V) sum over g of -H(p_g), entropies of each codebook's probabilities averaged over the M steps
    (equation 4), or 1 - 1 / (G V) sum over g of exp H(p_g) where `diversity` is `perplexity`.

    predictions: (M, D), the context network's. targets: (M, D), quantised. distractors: (M, K) rows of `targets`, other
    steps of the same utterance (see `draw_distractors`), -1 for none. probabilities: (M, G, V), the softmax of each
    codebook's logits, without noise. A distractor whose vector is the target's own is left out, as in the authors' code:
    nothing could tell the two apart.

    L_m is a sum over steps, so no split of a batch can change it. L_d isn't: it enters as M L_d of the steps that are
    here, and a batch cut in two demands diversity of either half, which is never less (-H is convex).
    """
    unused = {"entropy": _negative_entropy, "perplexity": _unused_share}[config.diversity]

    def loss(predictions: Tensor, targets: Tensor, distractors: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        _require_steps(predictions, targets, distractors, probabilities)
        # Autocast would multiply in bfloat16, and a similarity is divided by a small temperature afterwards.
        with torch.autocast(predictions.device.type, enabled=False):
            contrasted = _contrast(precise(predictions), precise(targets), distractors.long(), config.temperature)
            steps = len(predictions)
            averaged = precise(probabilities).sum(0) / max(steps, 1)  # (G, V)
            loss_sum = contrasted + config.diversity_weight * steps * unused(averaged)
        return loss_sum, count(steps, loss_sum)

    return loss


def draw_distractors(steps: int, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """`count` other steps for each of an utterance's masked steps, (steps, count), uniform and with replacement.

    Numbers count the utterance's own masked steps; a batch adds where its rows begin. All -1 where a step is alone.
    """
    if steps < 2:
        return np.full((steps, count), -1, dtype=np.int64)
    drawn = generator.integers(steps - 1, size=(steps, count))
    drawn += drawn >= np.arange(steps)[:, None]  # skips the step itself
    return drawn


def additive_angular_margin(config: AdditiveAngularMarginConfig) -> Loss:
    """Build `(cosines, labels) -> (loss_sum, weight)`: ArcFace's.

    -ln exp(s cos(t_y + m)) / (exp(s cos(t_y + m)) + sum over j other than y of exp(s cos t_j)) of each recording, t_j being
    its angle to class j and y its own: Deng et al., CVPR 2019, equation 3. Beyond t_y = pi - m the cosine would rise again;
    it goes on as cos t_y - m sin m there, as in the authors' code, so that a wider angle never costs less.

    cosines: (B, C) in [-1, 1]. labels: (B,) in [0, C). weight: B.
    """
    turn, drop = math.cos(math.pi - config.margin), config.margin * math.sin(config.margin)  # cos(π - m), m sin m

    def loss(cosines: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        _require_ndim("additive-angular-margin", "cosines (B, C)", cosines, 2)
        if labels.shape != cosines.shape[:1] or bool(((labels < 0) | (labels >= cosines.shape[1])).any()):
            raise TrainingError(
                f"additive-angular-margin: labels of shape {tuple(labels.shape)} for cosines of {tuple(cosines.shape)}",
                hint=f"expected (B,) numbers in [0, {cosines.shape[1]})",
            )
        near = precise(cosines).clamp(-1.0, 1.0)
        own = near.gather(1, labels[:, None])  # (B, 1)
        # The sine's slope is infinite where a recording lies on its class, so it is kept a little above 0.
        sine = (1.0 - own.square()).clamp_min(1e-7).sqrt()
        wider = own * math.cos(config.margin) - sine * math.sin(config.margin)  # cos(t_y + m)
        judged = near.scatter(1, labels[:, None], wider.where(own > turn, own - drop))  # (B, C)
        loss_sum = F.cross_entropy(config.scale * judged, labels, reduction="sum")
        return loss_sum, count(len(labels), loss_sum)

    return loss


def _contrast(predictions: Tensor, targets: Tensor, distractors: Tensor, temperature: float) -> Tensor:
    # All pairs, (M, M), take far less memory than the distractors' own vectors would, (M, K, D).
    similarities = F.normalize(predictions, dim=1) @ F.normalize(targets, dim=1).T / temperature  # (M, M)
    rows = distractors.clamp_min(0)
    vectors = torch.unique(targets.detach(), dim=0, return_inverse=True)[1]  # (M,): equal numbers for equal vectors
    left_out = (distractors < 0) | (vectors[rows] == vectors[:, None])  # (M, K)
    positives = similarities.diagonal()  # sim(c_t, q_t) / kappa: (M,)
    negatives = similarities.gather(1, rows).masked_fill(left_out, -torch.inf)  # (M, K)
    # -ln(exp(s_t) / Σ_q exp(s_q)) = logsumexp(s) - s_t, of (M, 1 + K).
    return (torch.logsumexp(torch.cat([positives[:, None], negatives], dim=1), dim=1) - positives).sum()


def _negative_entropy(probabilities: Tensor) -> Tensor:
    return -_entropies(probabilities).sum() / probabilities.numel()  # 1 / (G V) Σ_g -H(p_g)


def _unused_share(probabilities: Tensor) -> Tensor:
    return 1.0 - _entropies(probabilities).exp().sum() / probabilities.numel()


def _entropies(probabilities: Tensor) -> Tensor:
    """(G,) entropies in nats of (G, V). The logarithm is kept from minus infinity, whose slope would not be finite."""
    tiny = torch.finfo(probabilities.dtype).tiny
    return -(probabilities * probabilities.clamp_min(tiny).log()).sum(1)


def _require_ndim(loss: str, wanted: str, tensor: Tensor, ndim: int) -> None:
    if tensor.ndim != ndim:
        raise TrainingError(f"{loss}: input of shape {tuple(tensor.shape)}", hint=f"expected {wanted}")


def _require_sequences(
    loss: str, shape: torch.Size, shortest: int, lengths: Tensor, targets: Tensor, target_lengths: Tensor
) -> None:
    batch, frames, classes = shape[0], shape[1], shape[-1]
    if batch < 1 or targets.ndim != 2 or len(targets) != batch or not lengths.shape == target_lengths.shape == (batch,):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (lengths, targets, target_lengths))
        raise TrainingError(
            f"{loss}: lengths, targets and target_lengths of shapes {shapes} for scores of shape {tuple(shape)}",
            hint="expected (B,), (B, L) and (B,), of one utterance at least",
        )
    used = torch.arange(targets.shape[1], device=targets.device) < target_lengths[:, None]  # (B, L)
    wrong = [
        ((lengths < shortest) | (lengths > frames)).any(),
        ((target_lengths < 0) | (target_lengths > targets.shape[1])).any(),
        (used & ((targets <= BLANK) | (targets >= classes))).any(),
    ]
    # One look at all three: the kernels make the host wait for the lengths anyway.
    names = (
        f"lengths outside [{shortest}, {frames}]",
        f"target_lengths outside [0, {targets.shape[1]}]",
        f"targets outside [1, {classes})",
    )
    found = [name for name, is_wrong in zip(names, torch.stack(wrong).tolist(), strict=True) if is_wrong]
    if found:
        raise TrainingError(
            f"{loss}: {' and '.join(found)}",
            hint="class 0 is the blank; lengths count frames and symbols before padding",
        )


def _require_steps(predictions: Tensor, targets: Tensor, distractors: Tensor, probabilities: Tensor) -> None:
    names = ("predictions", "targets", "distractors", "probabilities")
    inputs = dict(zip(names, (predictions, targets, distractors, probabilities), strict=True))
    if (
        [tensor.ndim for tensor in inputs.values()] != [2, 2, 2, 3]
        or predictions.shape != targets.shape
        or not len(targets) == len(distractors) == len(probabilities)
    ):
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in inputs.items())
        raise TrainingError(
            f"wav2vec2-contrastive: inputs of shapes {shapes}",
            hint="expected (M, D), (M, D), (M, K) and (M, G, V) for M masked steps",
        )
    if bool(((distractors < -1) | (distractors >= len(targets))).any()):
        raise TrainingError(
            f"wav2vec2-contrastive: distractors outside [-1, {len(targets)})",
            hint="rows of `targets`, or -1 for none; a batch adds where an utterance's rows begin",
        )
