"""Transcripts as they are spelled, paths as text, and the search for the best: by hand and by brute force."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo_speech.decoding import CharacterModel, decoder_of, greedy
from zoo_speech.masks import spans
from zoo_speech.task_configs import CTCOptions
from zoo_speech.tasks.common import word_errors
from zoo_speech.transcripts import Characters, normalised

from zoo_core.errors import DataError

ABC = Characters([" ", "a", "b"])
LETTERS = Characters(["a", "b", "c"])


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("  Hello,\tWORLD! ", "hello world"),
        ("It’s O'Neill’s", "it's o'neill's"),
        ("well-known — „quoted“", "well known quoted"),
        ("Příliš žluťoučký", "příliš žluťoučký"),
        ("Привет, мир", "привет мир"),
        ("№ 7 & 8", "7 8"),
        ("...", ""),
    ],
)
def test_transcripts_are_small_letters_digits_and_apostrophes(text: str, spelled: str) -> None:
    assert normalised(text, lower=True, punctuation=False) == spelled


def test_what_is_kept_when_it_is_asked_for() -> None:
    assert normalised(" A  b, c!", lower=False, punctuation=True) == "A b, c!"
    assert normalised("e\u0301", lower=True, punctuation=False) == "é"


def test_paths_become_text_by_hand() -> None:
    # 0 is the blank, 1 the space, 2 and 3 the letters.
    assert ABC.collapse([0, 2, 2, 0, 2, 3, 3, 1, 1, 0]) == "aab "
    assert ABC.encode("ab ba") == [2, 3, 1, 3, 2] and ABC.decode([2, 3, 1]) == "ab "
    assert ABC.encode("axb") == [2, 3] and ABC.unknown("axbx") == "x" and len(ABC) == 4
    for symbols in (["ab"], ["a", "a"], [""]):
        with pytest.raises(ValueError, match="single characters"):
            Characters(symbols)
    with pytest.raises(ValueError, match="no character"):
        Characters.of(["", ""])


def log_probabilities(frames: int, seed: int) -> Tensor:
    return torch.randn(1, frames, 4, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)


def by_brute_force(log_probs: Tensor) -> str:
    """The text whose paths together are likeliest."""
    found: dict[str, float] = defaultdict(float)
    for path in itertools.product(range(4), repeat=log_probs.shape[1]):
        text = LETTERS.collapse(path)
        found[text] += math.exp(sum(float(log_probs[0, frame, symbol]) for frame, symbol in enumerate(path)))
    return max(found, key=lambda text: found[text])


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_what_brute_force_finds(seed: int) -> None:
    log_probs = log_probabilities(5, seed)
    padded = torch.cat((log_probs, torch.full((1, 3, 4), 9.0)), 1)
    assert decoder_of(LETTERS, CTCOptions(beams=500))(padded, torch.tensor([5])) == [by_brute_force(log_probs)]


def test_the_likeliest_path_stops_at_its_recording() -> None:
    log_probs = torch.full((2, 4, 4), -9.0)
    for frame, symbol in enumerate((2, 0, 2, 3)):
        log_probs[:, frame, symbol] = 0.0
    assert greedy(ABC, log_probs, torch.tensor([4, 1])) == ["aab", "a"]


def test_a_language_model_by_hand_and_in_the_beam(tmp_path: Path) -> None:
    model = CharacterModel(["ab"], ABC, order=2)
    # " ab ": after "a" came "b" once, one kind of one; the rest, a half, goes to the shorter context: of three
    # characters a, b and the space, one each, of three kinds, half of it to all three alike, so a third each.
    assert math.exp(model.log_probability("a", "b")) == pytest.approx(1 / 2 + 1 / 2 * 1 / 3)
    assert math.exp(model.log_probability("xa", "a")) == pytest.approx(1 / 2 * 1 / 3)
    for context in ("", "a", " ", "b"):
        assert sum(math.exp(model.log_probability(context, symbol)) for symbol in ABC.symbols) == pytest.approx(1)
    sentences = tmp_path / "sentences.txt"
    sentences.write_text("AB ab!\nab ab ab\n")
    even = torch.full((1, 5, 4), 0.25).log()
    found = decoder_of(ABC, CTCOptions(beams=100, lm=str(sentences), lm_weight=4.0, lm_order=3))(
        even, torch.tensor([5])
    )
    assert set(found[0].split()) <= {"ab", "a"}
    (tmp_path / "empty.txt").write_text("...\n")
    with pytest.raises(DataError, match="holds no text"):
        decoder_of(ABC, CTCOptions(beams=2, lm=str(tmp_path / "empty.txt")))


def test_word_and_character_errors_by_hand() -> None:
    # One word of three is another, and one too many: 2 edits by 4 words; "cat" to "cut" and " x": 3 by 13 characters.
    found = word_errors(["the cut sat", "x now"], ["the cat sat", "now"])
    assert found == {"wer": 2 / 4, "cer": 3 / 14}
    assert word_errors(["", "ab"], ["ab", "ab"]) == {"wer": 0.5, "cer": 0.5}
    assert word_errors(["spare", "ab"], ["", "ab"])["wer"] == 1.0
    with pytest.raises(DataError, match="empty"):
        word_errors(["a"], [""])


def test_spans_hide_about_as_much_as_they_should() -> None:
    generator = np.random.default_rng(0)
    hidden = [spans(200, generator, probability=0.065, length=10).mean() for _ in range(300)]
    # Spans overlap: about half of all frames are hidden with the paper's numbers.
    assert 0.42 < float(np.mean(hidden)) < 0.52
    assert spans(200, np.random.default_rng(3), probability=0.0, length=10).sum() == 0
    assert spans(9, np.random.default_rng(3), probability=0.5, length=10).sum() == 0
    least = spans(50, np.random.default_rng(3), probability=1e-9, length=10)
    assert least.sum() == 10
    same = [spans(60, np.random.default_rng(5), probability=0.1, length=4) for _ in range(2)]
    assert np.array_equal(*same)
