"""Speech losses against brute force and by hand: values, gradients, padding, sums, and what is refused."""

from __future__ import annotations

import importlib
import itertools
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_speech import losses
from zoo_speech.configs.losses import Wav2Vec2ContrastiveConfig
from zoo_speech.losses import alignable
from zoo_speech.specs.losses import LOSSES

from zoo_core import RecipeError, TrainingError
from zoo_core.contract import Loss, LossSpec, NoConfig, from_data

CTC = losses.ctc(NoConfig())
TRANSDUCER = losses.transducer(NoConfig())
SEQUENCE_LOSSES: dict[str, Loss] = {"ctc": CTC, "transducer": TRANSDUCER}
every_sequence_loss = pytest.mark.parametrize("name", list(SEQUENCE_LOSSES))


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def whole(*numbers: int) -> Tensor:
    return torch.tensor(numbers)


# ------------------------------------------------------------------------------------------------------- brute force


def ctc_paths(frames: int, classes: int, symbols: list[int]) -> list[tuple[int, ...]]:
    """Every path that becomes `symbols` when repeats are merged and blanks dropped."""
    return [
        path
        for path in itertools.product(range(classes), repeat=frames)
        if [symbol for symbol, _ in itertools.groupby(path) if symbol] == symbols
    ]


def ctc_by_enumeration(logits: Tensor, symbols: list[int]) -> Tensor:
    """Of one utterance (T, C)."""
    scores = logits.log_softmax(-1)
    paths = ctc_paths(logits.shape[0], logits.shape[1], symbols)
    total = [sum((scores[t, c] for t, c in enumerate(path)), scores.new_zeros(())) for path in paths]
    return -torch.stack(total).logsumexp(0)


def transducer_by_enumeration(logits: Tensor, symbols: list[int]) -> Tensor:
    """Of one utterance (T, U + 1, C): every order of T blanks and U symbols that ends in a blank."""
    scores = logits.log_softmax(-1)
    frames, count = len(logits), len(symbols)
    total = []
    for places in itertools.combinations(range(frames + count - 1), count):
        t, u, path = 0, 0, scores.new_zeros(())
        for move in range(frames + count):
            emits = move in places
            path = path + scores[t, u, symbols[u] if emits else 0]
            t, u = (t, u + 1) if emits else (t + 1, u)
        total.append(path)
    return -torch.stack(total).logsumexp(0)


CASES = [(1, []), (1, [2]), (3, []), (3, [1]), (3, [1, 2]), (4, [1, 1]), (4, [2, 1, 2]), (5, [1, 1, 2]), (5, [2])]


@pytest.mark.parametrize(("frames", "symbols"), CASES)
def test_ctc_is_the_sum_over_all_paths(frames: int, symbols: list[int]) -> None:
    logits = draw(frames, 3, dtype=torch.float64).requires_grad_()
    expected = ctc_by_enumeration(logits, symbols)
    targets = torch.tensor([symbols], dtype=torch.int64)
    loss_sum, weight = CTC(logits[None].log_softmax(-1), whole(frames), targets, whole(len(symbols)))
    assert loss_sum.shape == weight.shape == () and weight.item() == len(symbols)
    assert loss_sum.item() == pytest.approx(expected.item(), rel=1e-12)
    slopes = [torch.autograd.grad(value, logits)[0] for value in (loss_sum, expected)]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("frames", "symbols"), CASES)
def test_the_transducer_is_the_sum_over_all_ways_through_the_lattice(frames: int, symbols: list[int]) -> None:
    logits = draw(frames, len(symbols) + 1, 3).requires_grad_()
    expected = transducer_by_enumeration(logits.double(), symbols)
    targets = torch.tensor([symbols], dtype=torch.int64)
    loss_sum, weight = TRANSDUCER(logits[None], whole(frames), targets, whole(len(symbols)))
    assert loss_sum.shape == weight.shape == () and weight.item() == len(symbols)
    assert loss_sum.item() == pytest.approx(expected.item(), rel=1e-6)
    slopes = [torch.autograd.grad(value, logits)[0] for value in (loss_sum, expected)]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=1e-6)


def test_ctc_by_hand() -> None:
    # Two frames, blank and one symbol, 1/4 and 3/4: paths 11, 01 and 10 = 9/16 + 3/16 + 3/16 = 15/16.
    log_probs = torch.tensor([[[0.25, 0.75], [0.25, 0.75]]]).log()
    loss_sum, weight = CTC(log_probs, whole(2), torch.tensor([[1]]), whole(1))
    assert loss_sum.item() == pytest.approx(-math.log(15 / 16), abs=1e-6) and weight.item() == 1


def test_the_transducer_by_hand() -> None:
    # Two frames, one symbol, every probability 1/2: ways 1 0 0 and 0 1 0 of three moves each = 1/8 + 1/8.
    loss_sum, weight = TRANSDUCER(torch.zeros(1, 2, 2, 2), whole(2), torch.tensor([[1]]), whole(1))
    assert loss_sum.item() == pytest.approx(math.log(4), rel=1e-6) and weight.item() == 1


# ----------------------------------------------------------------------------------------------------------- padding

LENGTHS, TARGET_LENGTHS = whole(7, 4, 2), whole(3, 2, 0)
TARGETS = torch.tensor([[1, 1, 3], [2, 3, 0], [0, 0, 0]])


def sequences(name: str, seed: int) -> Tensor:
    """Scores before the softmax: 8 frames and 5 symbols' room, more than any of the utterances needs."""
    return draw(3, 8, 4, seed=seed) if name == "ctc" else draw(3, 8, 6, 4, seed=seed)


def normalized(name: str, scores: Tensor) -> Tensor:
    return scores.log_softmax(-1) if name == "ctc" else scores


@every_sequence_loss
def test_a_row_of_a_padded_batch_is_what_it_is_alone(name: str) -> None:
    loss = SEQUENCE_LOSSES[name]
    scores = sequences(name, 3).requires_grad_()
    targets = torch.cat([TARGETS, torch.full((3, 2), -100)], dim=1)  # nobody reads what lies beyond
    batch_sum, batch_weight = loss(normalized(name, scores), LENGTHS, targets, TARGET_LENGTHS)
    batch_slopes = torch.autograd.grad(batch_sum, scores)[0]
    values, weights = [], []
    for row, (frames, symbols) in enumerate(zip(LENGTHS.tolist(), TARGET_LENGTHS.tolist(), strict=True)):
        alone = scores.detach()[row : row + 1, :frames]
        alone = (alone if name == "ctc" else alone[:, :, : symbols + 1]).requires_grad_()
        value, weight = loss(normalized(name, alone), whole(frames), TARGETS[row : row + 1, :symbols], whole(symbols))
        slopes = torch.autograd.grad(value, alone)[0]
        within = tuple(slice(0, size) for size in slopes.shape[1:])
        torch.testing.assert_close(batch_slopes[row][within], slopes[0], rtol=0, atol=1e-5)
        beyond = batch_slopes[row].clone()
        beyond[within] = 0.0
        assert not beyond.any()
        values.append(value.item())
        weights.append(weight.item())
    assert batch_sum.item() == pytest.approx(sum(values), abs=1e-5)
    assert batch_weight.item() == sum(weights) == 5


@every_sequence_loss
def test_what_is_padding_may_be_anything(name: str) -> None:
    loss = SEQUENCE_LOSSES[name]
    scores = normalized(name, sequences(name, 4))
    expected = loss(scores, LENGTHS, TARGETS, TARGET_LENGTHS)
    spoiled = scores.clone()
    for row, frames in enumerate(LENGTHS.tolist()):
        spoiled[row, frames:] = 50.0
    assert loss(spoiled, LENGTHS, TARGETS, TARGET_LENGTHS) == expected


@every_sequence_loss
def test_half_precision_is_summed_in_float32(name: str) -> None:
    scores = normalized(name, sequences(name, 5)).bfloat16()
    loss_sum, _ = SEQUENCE_LOSSES[name](scores, LENGTHS, TARGETS, TARGET_LENGTHS)
    exact, _ = SEQUENCE_LOSSES[name](scores.float(), LENGTHS, TARGETS, TARGET_LENGTHS)
    assert loss_sum.dtype == torch.float32 and torch.equal(loss_sum, exact)


def test_ctc_keeps_float64() -> None:
    scores = sequences("ctc", 5).double().log_softmax(-1)
    assert CTC(scores, LENGTHS, TARGETS, TARGET_LENGTHS)[0].dtype == torch.float64


# ------------------------------------------------------------------------------------------- targets that don't fit


def test_what_ctc_can_align_is_what_has_a_path() -> None:
    tried = [
        (frames, list(symbols))
        for frames in range(5)
        for count in range(4)
        for symbols in itertools.product((1, 2), repeat=count)
    ]
    padded = torch.tensor([symbols + [1] * (3 - len(symbols)) for _, symbols in tried])
    found = alignable(whole(*(frames for frames, _ in tried)), padded, whole(*(len(symbols) for _, symbols in tried)))
    expected = [bool(ctc_paths(frames, 3, symbols)) for frames, symbols in tried]
    assert found.tolist() == expected and 0 < sum(expected) < len(expected)


def test_targets_that_are_too_long_count_for_nothing() -> None:
    scores = draw(3, 4, 3).requires_grad_()
    lengths, target_lengths = whole(4, 2, 0), whole(2, 2, 1)
    targets = torch.tensor([[1, 2], [2, 2], [1, 0]])  # 2 2 needs three frames, and nothing fits into none
    assert alignable(lengths, targets, target_lengths).tolist() == [True, False, False]
    loss_sum, weight = CTC(scores.log_softmax(-1), lengths, targets, target_lengths)
    slopes = torch.autograd.grad(loss_sum, scores)[0]
    alone, alone_weight = CTC(scores[:1].log_softmax(-1), lengths[:1], targets[:1], target_lengths[:1])
    assert loss_sum.item() == pytest.approx(alone.item(), rel=1e-6) and weight.item() == alone_weight.item()
    assert slopes[0].any() and not slopes[1:].any()
    assert weight.item() == 2


def test_an_impossible_probability_is_not_hidden() -> None:
    log_probs = torch.tensor([[[0.0, -math.inf], [0.0, -math.inf]]])
    assert CTC(log_probs, whole(2), torch.tensor([[1]]), whole(1))[0].item() == math.inf


@every_sequence_loss
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": whole(9, 4, 2)}, r"lengths outside \["),
        ({"lengths": whole(7, 4, -1)}, r"lengths outside \["),
        ({"target_lengths": whole(4, 2, 0)}, r"target_lengths outside \[0, 3\]"),
        ({"target_lengths": whole(3, 2, -1)}, r"target_lengths outside \[0, 3\]"),
        ({"targets": torch.tensor([[1, 1, 4], [2, 3, 0], [0, 0, 0]])}, r"targets outside \[1, 4\)"),
        ({"targets": torch.tensor([[1, 0, 3], [2, 3, 0], [0, 0, 0]])}, r"targets outside \[1, 4\)"),
        ({"targets": torch.tensor([1, 1, 3])}, "of shapes"),
        ({"targets": TARGETS[:2]}, "of shapes"),
        ({"lengths": whole(7)}, "of shapes"),
        ({"scores": torch.zeros(8, 4)}, "input of shape"),
    ],
)
def test_lengths_and_targets_that_no_kernel_should_see(name: str, change: dict[str, Tensor], message: str) -> None:
    given = {"scores": sequences(name, 6), "lengths": LENGTHS, "targets": TARGETS, "target_lengths": TARGET_LENGTHS}
    with pytest.raises(TrainingError, match=rf"^{name}: .*{message}"):
        SEQUENCE_LOSSES[name](*(given | change).values())


def test_a_transducer_needs_a_frame_and_room_for_the_symbols() -> None:
    with pytest.raises(TrainingError, match=r"lengths outside \[1, 8\]"):
        TRANSDUCER(sequences("transducer", 6), whole(7, 4, 0), TARGETS, TARGET_LENGTHS)
    with pytest.raises(TrainingError, match="targets of 3 symbols with logits of shape"):
        TRANSDUCER(sequences("transducer", 6)[:, :, :3], LENGTHS, TARGETS, TARGET_LENGTHS)


# ------------------------------------------------------------------------------------------------------------- specs

GIVEN: dict[str, dict[str, Tensor]] = {
    "ctc": {
        "target_lengths": TARGET_LENGTHS,
        "targets": TARGETS,
        "lengths": LENGTHS,
        "log_probs": sequences("ctc", 17).log_softmax(-1),
    },
    "transducer": {
        "target_lengths": TARGET_LENGTHS,
        "targets": TARGETS,
        "lengths": LENGTHS,
        "logits": sequences("transducer", 17),
    },
    "wav2vec2-contrastive": {
        "probabilities": torch.full((2, 2, 4), 0.25),
        "distractors": torch.tensor([[1], [0]]),
        "targets": draw(2, 3, seed=18),
        "predictions": draw(2, 3, seed=19),
    },
    "additive-angular-margin": {"labels": whole(0, 1), "cosines": torch.tensor([[0.5, 0.1, 0.2], [0.0, -0.9, 0.3]])},
}


def resolve(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("spec", LOSSES, ids=lambda spec: spec.name)
def test_every_loss_is_called_as_its_spec_says(spec: LossSpec) -> None:
    config = resolve(spec.config) if isinstance(spec.config, str) else spec.config
    loss_sum, weight = resolve(spec.target)(config())(*(GIVEN[spec.name][name] for name in spec.inputs))
    assert loss_sum.shape == weight.shape == () and loss_sum > 0 and weight > 0
    assert spec.paper and spec.summary


def test_names_of_the_losses() -> None:
    assert [spec.name for spec in LOSSES] == list(GIVEN)


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"temperature": math.nan}, {"diversity_weight": -0.1}])
def test_settings_that_cannot_be_meant(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"{next(iter(settings))}: expected (above|at least) 0, found"):
        Wav2Vec2ContrastiveConfig(**settings)  # type: ignore[arg-type]


def test_settings_of_a_recipe() -> None:
    settings = {"temperature": 0.2, "diversity": "perplexity"}
    assert from_data(Wav2Vec2ContrastiveConfig, settings, where="recipe.yaml").temperature == 0.2
    with pytest.raises(RecipeError, match=r"recipe.yaml.*diversity"):
        from_data(Wav2Vec2ContrastiveConfig, {"diversity": "variety"}, where="recipe.yaml")


def test_the_specs_come_without_torch() -> None:
    probe = (
        "import sys, zoo_speech.specs.losses, zoo_speech.configs.losses, zoo_speech.configs.augment; "
        "sys.exit(bool({'torch', 'numpy', 'torchaudio'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
