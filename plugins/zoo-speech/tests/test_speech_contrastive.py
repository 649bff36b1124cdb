"""The contrastive loss of wav2vec 2.0 by hand and against Transformers: values, sums, distractors, what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2ForPreTraining, Wav2Vec2GumbelVectorQuantizer
from zoo_speech import losses
from zoo_speech.configs.losses import Wav2Vec2ContrastiveConfig
from zoo_speech.losses import draw_distractors

from zoo_core import TrainingError
from zoo_core.contract import Loss, SampleKey

CONTRASTIVE = losses.wav2vec2_contrastive(Wav2Vec2ContrastiveConfig(diversity_weight=0.0))


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def even(steps: int, groups: int = 2, entries: int = 4) -> Tensor:
    return torch.full((steps, groups, entries), 1 / entries)


def test_contrast_by_hand() -> None:
    predictions = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    targets = torch.tensor([[5.0, 0.0], [-1.0, 0.0]])
    # Row 0: cosines 1 with its target and -1 with row 1. Row 1: 0 with both. Temperature 1/2 doubles them.
    expected = math.log(1 + math.exp(-4)) + math.log(2)
    loss = losses.wav2vec2_contrastive(Wav2Vec2ContrastiveConfig(temperature=0.5, diversity_weight=0.0))
    loss_sum, weight = loss(predictions, targets, torch.tensor([[1], [0]]), even(2))
    assert loss_sum.shape == weight.shape == ()
    assert loss_sum.item() == pytest.approx(expected, abs=1e-6) and weight.item() == 2
    # A distractor drawn twice counts twice, -1 not at all, and a step's own vector neither.
    loss_sum, _ = loss(predictions, targets, torch.tensor([[1, 1, -1], [1, -1, -1]]), even(2))
    assert loss_sum.item() == pytest.approx(math.log(1 + 2 * math.exp(-4)), abs=1e-6)


def test_a_distractor_that_equals_the_target_is_left_out() -> None:
    predictions, targets = draw(3, 4, seed=7), draw(3, 4, seed=8)
    targets[2] = targets[0]
    left_out = CONTRASTIVE(predictions, targets, torch.tensor([[1, 2], [0, 2], [0, 1]]), even(3))[0]
    never_drawn = CONTRASTIVE(predictions, targets, torch.tensor([[1, -1], [0, 2], [-1, 1]]), even(3))[0]
    assert left_out.item() == pytest.approx(never_drawn.item(), rel=1e-6) and left_out.isfinite()


DIVERSITY_BY_HAND = [
    # Two codebooks of four; averaged: even (entropy ln 4), and one word alone (entropy 0).
    ("entropy", -math.log(4) / 8),
    ("perplexity", 1 - (4 + 1) / 8),
]


@pytest.mark.parametrize(("diversity", "expected"), DIVERSITY_BY_HAND)
def test_diversity_by_hand(diversity: Any, expected: float) -> None:
    probabilities = torch.zeros(2, 2, 4)
    probabilities[0, 0, :2] = probabilities[1, 0, 2:] = 0.5  # even on average, though neither step is
    probabilities[:, 1, 3] = 1.0
    probabilities.requires_grad_()
    given = (torch.eye(2), torch.eye(2), torch.full((2, 1), -1))
    config = Wav2Vec2ContrastiveConfig(diversity_weight=0.25, diversity=diversity)
    loss_sum, weight = losses.wav2vec2_contrastive(config)(*given, probabilities)
    assert loss_sum.item() == pytest.approx(0.25 * 2 * expected, rel=1e-6) and weight.item() == 2
    assert torch.autograd.grad(loss_sum, probabilities)[0].isfinite().all()


def test_values_are_those_of_transformers() -> None:
    predictions, targets, probabilities = draw(6, 5, seed=9), draw(6, 5, seed=10), draw(6, 2, 3, seed=11).softmax(-1)
    distractors = torch.from_numpy(draw_distractors(6, 4, SampleKey(0, 0, 0).generator()))
    config = Wav2Vec2ContrastiveConfig(diversity="perplexity")
    negatives = targets[distractors].transpose(0, 1)  # (K, M, D)
    logits = Wav2Vec2ForPreTraining.compute_contrastive_logits(targets[None], negatives, predictions, 0.1)  # (1 + K, M)
    contrast = torch.nn.functional.cross_entropy(logits.T, torch.zeros(6, dtype=torch.int64), reduction="sum")
    quantizer: Any = Wav2Vec2GumbelVectorQuantizer
    perplexity = quantizer._compute_perplexity(probabilities)
    expected = contrast + 0.1 * 6 * (6 - perplexity) / 6
    loss_sum, _ = losses.wav2vec2_contrastive(config)(predictions, targets, distractors, probabilities)
    assert loss_sum.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("diversity", ["entropy", "perplexity"])
def test_gradients_are_those_of_the_values(diversity: Any) -> None:
    loss = losses.wav2vec2_contrastive(Wav2Vec2ContrastiveConfig(diversity=diversity))
    predictions, targets, logits = (
        draw(*shape, seed=seed, dtype=torch.float64).requires_grad_()
        for seed, shape in enumerate([(3, 2), (3, 2), (3, 2, 3)], start=20)
    )
    distractors = torch.tensor([[1, 2], [0, 2], [1, 0]])
    assert torch.autograd.gradcheck(
        lambda p, t, x: loss(p, t, distractors, x.softmax(-1))[0], (predictions, targets, logits)
    )


def test_an_utterance_of_a_batch_is_what_it_is_alone() -> None:
    steps = (4, 1, 5)
    begins = (0, 4, 5)
    predictions, targets = draw(10, 6, seed=12).requires_grad_(), draw(10, 6, seed=13).requires_grad_()
    own = [
        torch.from_numpy(draw_distractors(count, 7, SampleKey(1, 0, i).generator())) for i, count in enumerate(steps)
    ]
    joined = torch.cat([rows.where(rows < 0, rows + begin) for rows, begin in zip(own, begins, strict=True)])
    batch_sum, batch_weight = CONTRASTIVE(predictions, targets, joined, even(10))
    batch_slopes = torch.autograd.grad(batch_sum, (predictions, targets))
    total = 0.0
    for rows, begin, count in zip(own, begins, steps, strict=True):
        part = slice(begin, begin + count)
        alone = [tensor.detach()[part].requires_grad_() for tensor in (predictions, targets)]
        value, weight = CONTRASTIVE(*alone, rows, even(count))
        assert weight.item() == count
        for mine, batched in zip(torch.autograd.grad(value, alone), batch_slopes, strict=True):
            torch.testing.assert_close(mine, batched[part], rtol=0, atol=1e-5)
        total += value.item()
    assert batch_sum.item() == pytest.approx(total, abs=1e-5) and batch_weight.item() == 10


def test_a_split_batch_asks_for_no_less_diversity() -> None:
    names: tuple[Any, ...] = ("entropy", "perplexity")
    for diversity in names:
        loss = losses.wav2vec2_contrastive(Wav2Vec2ContrastiveConfig(diversity=diversity, diversity_weight=1.0))
        spread = (3 * draw(8, 2, 5, seed=14)).softmax(-1)

        def value(probabilities: Tensor, loss: Loss = loss) -> float:
            steps = len(probabilities)
            return loss(torch.eye(steps), torch.eye(steps), torch.full((steps, 1), -1), probabilities)[0].item()

        assert value(spread[:4]) + value(spread[4:]) > value(spread) + 1e-3
        assert 2 * value(spread[:4]) == pytest.approx(value(spread[:4].repeat(2, 1, 1)), rel=1e-5)


def test_autocast_changes_nothing() -> None:
    loss = losses.wav2vec2_contrastive(Wav2Vec2ContrastiveConfig())
    given = (draw(6, 8, seed=15), draw(6, 8, seed=16), torch.tensor([[1], [2], [3], [4], [5], [0]]), even(6))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(*given)[0]
    assert found.dtype == torch.float32 and torch.equal(found, loss(*given)[0])


def test_no_masked_steps() -> None:
    predictions = torch.zeros(0, 4, requires_grad=True)
    loss = losses.wav2vec2_contrastive(Wav2Vec2ContrastiveConfig())
    loss_sum, weight = loss(predictions, torch.zeros(0, 4), torch.zeros(0, 3, dtype=torch.int64), even(0))
    assert loss_sum.item() == weight.item() == 0
    loss_sum.backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("place", "wrong", "message"),
    [
        (0, torch.zeros(2, 4), "inputs of shapes predictions"),
        (1, torch.zeros(3, 5), "inputs of shapes"),
        (2, torch.zeros(3, 2, 4), "inputs of shapes"),
        (2, torch.tensor([[0], [1], [3]]), r"distractors outside \[-1, 3\)"),
        (2, torch.tensor([[0], [1], [-2]]), r"distractors outside \[-1, 3\)"),
        (3, torch.zeros(2, 4), "inputs of shapes"),
        (3, even(2), "inputs of shapes"),
    ],
)
def test_steps_that_do_not_fit_together(place: int, wrong: Tensor, message: str) -> None:
    given = [torch.zeros(3, 4), torch.zeros(3, 4), torch.tensor([[1], [2], [0]]), even(3)]
    given[place] = wrong
    with pytest.raises(TrainingError, match=rf"^wav2vec2-contrastive: {message}"):
        CONTRASTIVE(*given)


def test_distractors_are_other_steps_and_all_alike() -> None:
    drawn = draw_distractors(5, 4000, SampleKey(3, 1, 2).generator())
    assert drawn.shape == (5, 4000) and drawn.dtype == np.int64
    counts = np.stack([np.bincount(row, minlength=5) for row in drawn])
    assert not counts.diagonal().any()
    # Binomial with chance 1/4: 1000 with a standard deviation of 27.
    assert np.abs(counts[~np.eye(5, dtype=bool)] - 1000).max() < 140
    assert np.array_equal(drawn, draw_distractors(5, 4000, SampleKey(3, 1, 2).generator()))
    assert draw_distractors(1, 3, SampleKey(0, 0, 0).generator()).tolist() == [[-1, -1, -1]]
    assert draw_distractors(0, 3, SampleKey(0, 0, 0).generator()).shape == (0, 3)
    assert draw_distractors(2, 3, SampleKey(0, 0, 0).generator()).tolist() == [[1] * 3, [0] * 3]
