"""Transcripts as they are spelled, paths as text, and the search for the best: by hand and by brute force."""

from __future__ import annotations

import gzip
import itertools
import math
import unicodedata
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from zoo_speech.audio.masks import spans
from zoo_speech.configs.tasks import CTCOptions
from zoo_speech.decoding.ctc import decoder_of, greedy
from zoo_speech.decoding.language_models import CharacterModel, words_of
from zoo_speech.evaluation.transcripts import Characters, normalised
from zoo_speech.evaluation.word_errors import error_intervals, plain_errors, word_errors

from zoo_core import DataError

ABC = Characters([" ", "a", "b"])
LETTERS = Characters(["a", "b", "c"])
SPELL = partial(normalised, lower=True, punctuation=False)


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
        ("and/or", "and or"),
        ("wait...what, well…okay", "wait what well okay"),
        ("10:15 is not 3.5, 3,5 or 24/7", "10 15 is not 3.5 3.5 or 24 7"),
        ("1,000,000 and 12,50 in 1999.", "1000000 and 12.50 in 1999"),
        ("don´t don`t don‘t don‛t donʼt donʻt don＇t", " ".join(["don't"] * 7)),
        ("‘So’ said the dogs' owner: un po' di più", "so said the dogs' owner un po' di più"),
        ("м’ята", "м'ята"),
        ("co\u00adoperate ❤\ufe0f love", "cooperate love"),
        ("नमस्ते। दुनिया", "नमस्ते दुनिया"),
    ],
)
def test_transcripts_are_small_letters_digits_and_apostrophes(text: str, spelled: str) -> None:
    assert SPELL(text) == spelled
    assert SPELL(spelled) == spelled


WER_PAIRS = [
    ("and/or", "and or", 0.0),
    ("wait...what", "wait what", 0.0),
    ("well…okay", "well okay", 0.0),
    ("yes,no", "yes no", 0.0),
    ("10:15", "10 15", 0.0),
    ("don´t", "don't", 0.0),
    ("don`t", "don't", 0.0),
    ("don‘t", "don't", 0.0),
    ("м’ята", "мʼята", 0.0),
    ("3.5 km", "35 km", 0.5),
    ("1:30", "130", 1.0),
    ("24/7", "247", 1.0),
]


@pytest.mark.parametrize(("expected", "found", "wer"), WER_PAIRS)
def test_word_error_rates_neither_glue_words_together_nor_lose_decimal_points(
    expected: str, found: str, wer: float
) -> None:
    assert plain_errors([found], [expected])["wer"] == wer


@pytest.mark.parametrize(
    "text",
    [
        "Съешь ещё этих мягких французских булок",
        "नमस्ते दुनिया, क़लम और ज़मीन",
        "今天天气很好，我们去公园。",
        "東京タワーへいきました。",
        "안녕하세요, 세계",
        "مَرْحَبًا بِالعَالَم، كيف الحال؟",
        "สวัสดีชาวโลก ที่นี่",
        "გამარჯობა, მსოფლიო",
        "મારું નામ, தமிழ் மொழி, తెలుగు భాష",
        "שָׁלוֹם עוֹלָם",
    ],
)
def test_equal_texts_have_no_errors_in_any_script_and_in_either_normal_form(text: str) -> None:
    apart = unicodedata.normalize("NFD", text)
    assert plain_errors([apart], [text]) == {"wer": 0.0, "cer": 0.0}
    # What is compared is there: each letter that is left out is found missing.
    assert SPELL(text).replace(" ", "").isalpha() or any(unicodedata.combining(one) for one in apart)
    assert plain_errors([text[:-4]], [text])["cer"] > 0


def test_a_character_counts_as_a_word_where_no_spaces_are_written() -> None:
    # One of six characters is another; spaces and the comma count for nothing.
    assert plain_errors(["今天 天气，很坏"], ["今天天气很好"]) == {"wer": 1 / 6, "cer": 1 / 6}
    # ที่ and นี่ are each a consonant with its marks.
    assert plain_errors(["ที่นา"], ["ที่นี่"])["wer"] == 2 / 2
    assert plain_errors(["用 Python 写"], ["用Python写"]) == {"wer": 0.0, "cer": 0.0}
    assert plain_errors(["用 Java 写"], ["用Python写"])["wer"] == 1 / 3


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
    assert decoder_of(LETTERS, CTCOptions(beams=500), SPELL)(padded, torch.tensor([5])) == [by_brute_force(log_probs)]


def test_the_likeliest_path_stops_at_its_recording() -> None:
    log_probs = torch.full((2, 4, 4), -9.0)
    for frame, symbol in enumerate((2, 0, 2, 3)):
        log_probs[:, frame, symbol] = 0.0
    assert greedy(ABC, log_probs, torch.tensor([4, 1])) == ["aab", "a"]


def test_spaces_around_and_between_are_one_space_or_none_however_one_searches() -> None:
    path = (1, 2, 1, 0, 1, 3, 1)
    log_probs = torch.full((1, len(path), 4), -9.0)
    log_probs[0, range(len(path)), path] = 0.0
    for beams in (1, 4):
        assert decoder_of(ABC, CTCOptions(beams=beams), SPELL)(log_probs, torch.tensor([len(path)])) == ["a b"]


def test_a_space_at_the_end_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("a\nb\n")
    options = CTCOptions(beams=50, lm=str(tmp_path / "letters.txt"), lm_weight=4.0, lm_order=2)
    # Behind "a" a "b" is likelier heard than a space, by 2, and less likely written: 1/7 x 5/7 beside 5/7, 4 ln 7 = 7.8.
    # Were the space written twice, 5/7 x 3/14, the two would be 4 ln 1.5 = 1.6 apart.
    heard = torch.tensor([[[-9.0, -9.0, 0.0, -9.0], [-9.0, -2.0, -9.0, 0.0]]])
    assert decoder_of(ABC, options, SPELL)(heard, torch.tensor([2])) == ["a"]


def test_sentences_are_spelled_as_the_model_spells(tmp_path: Path) -> None:
    symbols = Characters([" ", ".", "A", "b"])
    (tmp_path / "sentences.txt").write_text("Ab.\nAb.\n")
    options = CTCOptions(beams=50, lm=str(tmp_path / "sentences.txt"), lm_weight=2.0)
    heard = torch.full((1, 3, 5), -9.0)
    heard[0, 0, 3] = heard[0, 1, 4] = heard[0, 2, 0] = 0.0  # no matter whether a full stop or nothing follows
    heard[0, 2, 2] = -0.1
    for punctuation, text in ((True, "Ab."), (False, "Ab")):
        spell = partial(normalised, lower=False, punctuation=punctuation)
        assert decoder_of(symbols, options, spell)(heard, torch.tensor([3])) == [text]


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
    found = decoder_of(ABC, CTCOptions(beams=100, lm=str(sentences), lm_weight=4.0, lm_order=3), SPELL)(
        even, torch.tensor([5])
    )
    assert set(found[0].split()) <= {"ab", "a"}
    (tmp_path / "empty.txt").write_text("...\n")
    with pytest.raises(DataError, match="holds no text"):
        decoder_of(ABC, CTCOptions(beams=2, lm=str(tmp_path / "empty.txt")), SPELL)


ARPA = """
\\data\\
ngram 1=7
ngram 2=3

\\1-grams:
-2.0\t<unk>
0\t<s>\t-0.3
-1.0\t</s>
-0.5\tab\t-0.3
-0.7\tAB\t-0.3
-0.6\tba\t-0.3
-0.4\tož

\\2-grams:
-0.2\t<s> ab
-0.1\tab ba
-0.1\tba </s>

\\end\\
"""
BIGRAMS = {("<s>", "ab"): -0.2, ("ab", "ba"): -0.1, ("ba", "</s>"): -0.1}
UNIGRAMS = {"</s>": -1.0, "ab": -0.5, "ba": -0.6}


def arpa(folder: Path, text: str = ARPA) -> str:
    (folder / "words.arpa").write_text(text)
    return str(folder / "words.arpa")


def language_score(words: list[str]) -> float:
    """Logarithm to base ten of a sentence: what a pair hasn't costs 0.3 and falls back on the single word."""
    pairs = itertools.pairwise(["<s>", *words, "</s>"])
    return sum(BIGRAMS.get(pair, UNIGRAMS[pair[1]] - 0.3) for pair in pairs)


def best_words(log_probs: Tensor, weight: float, word_score: float) -> str:
    """By the best path of every row of the two words, each ending with spaces, the last one in a frame of its own."""
    found: dict[str, float] = defaultdict(lambda: -math.inf)
    for path in itertools.product(range(4), repeat=log_probs.shape[1]):
        text = " ".join(ABC.collapse(path).split())
        if set(text.split()) <= {"ab", "ba"}:
            heard = sum(float(log_probs[0, frame, symbol]) for frame, symbol in enumerate(path))
            found[text] = max(found[text], heard)

    def score(text: str) -> float:
        words = text.split()
        return found[text] + weight * math.log(10) * language_score(words) + word_score * len(words)

    return max(found, key=score)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("weight", "word_score"), [(0.0, 0.0), (1.0, 0.0), (0.5, 2.0)])
def test_words_of_an_arpa_file_are_found_as_brute_force_finds_them(
    tmp_path: Path, seed: int, weight: float, word_score: float
) -> None:
    log_probs = log_probabilities(6, seed)
    padded = torch.cat((log_probs, torch.full((1, 3, 4), 9.0)), 1)
    options = CTCOptions(beams=500, lm=arpa(tmp_path), lm_weight=weight, word_score=word_score)
    assert decoder_of(ABC, options, SPELL)(padded, torch.tensor([6])) == [best_words(log_probs, weight, word_score)]


def test_weights_decide_as_they_say(tmp_path: Path) -> None:
    def found(rows: list[list[float]], **settings: float) -> str:
        options = CTCOptions(beams=50, lm=arpa(tmp_path), **settings)
        return decoder_of(ABC, options, SPELL)(torch.tensor([rows]), torch.tensor([2]))[0]

    # "ab" is likelier heard, by 1, and "ba" as a sentence, by 0.5 to base ten: 1.15.
    heard = [[-9.0, -9.0, 0.0, -1.0], [-9.0, -9.0, 0.0, 0.0]]
    assert (found(heard, lm_weight=1.0), found(heard, lm_weight=0.8)) == ("ba", "ab")
    # As likely heard as nothing, which is likelier as a sentence, by 0.2 to base ten: 0.46.
    heard = [[0.0, -9.0, 0.0, -9.0], [0.0, -9.0, -9.0, 0.0]]
    assert (found(heard, lm_weight=1.0, word_score=0.4), found(heard, lm_weight=1.0, word_score=0.5)) == ("", "ab")


def test_a_batch_and_an_alphabet_without_spaces_are_searched_alike(tmp_path: Path) -> None:
    options = CTCOptions(beams=50, lm=arpa(tmp_path))
    search, rows = decoder_of(ABC, options, SPELL), torch.cat([log_probabilities(9, seed) for seed in (3, 4)])
    lengths = torch.tensor([5, 9])
    apart = [search(rows[place : place + 1], lengths[place : place + 1])[0] for place in range(2)]
    assert search(rows, lengths) == apart
    packed = Path(arpa(tmp_path)).with_suffix(".arpa.gz")
    packed.write_bytes(gzip.compress(ARPA.encode()))
    assert decoder_of(ABC, CTCOptions(beams=50, lm=str(packed)), SPELL)(rows, lengths) == apart
    letters = Characters(["a", "b"])
    # "aba" is no row of words; "ab" and "ba" are as near, and "ba" ends a sentence more often. "abba" is one.
    for path, text in (((1, 2, 2, 1), "ba"), ((1, 2, 0, 2, 1), "abba")):
        scores = torch.full((1, len(path), 3), -9.0)
        scores[0, range(len(path)), path] = 0.0
        assert decoder_of(letters, options, SPELL)(scores, torch.tensor([len(path)])) == [text]


def test_of_words_that_are_spelled_alike_the_likeliest_counts(tmp_path: Path) -> None:
    words = words_of(Path(arpa(tmp_path)), ABC, SPELL)
    assert words.by_spelling == {"ab": "ab", "ba": "ba"}, "ož has a letter that the model has no symbol for"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ARPA.replace("ngram 1=7", "ngram 1=99999999"), "more than it can hold"),
        (ARPA.replace("ngram 2=3", "ngram 2=999999999999"), "more than it can hold"),
        (ARPA.replace("ngram 1=7", "ngram 1=9"), "word 8 of 9 is damaged"),
        (ARPA.replace("-0.5\tab", "half\tab"), "word 4 of 7 is damaged"),
        (ARPA[:70], "word 4 of 7 is damaged"),
        (ARPA.replace("-0.2\t<s> ab", "-0.2\t<s> xy"), "KenLM can't read it"),
        (ARPA.replace("\\1-grams:", "\\2-grams:"), "no single words"),
        (ARPA.replace("ngram 1=7", "ngram 1=0"), "no single words"),
        ("\\data\\\n", "no single words"),
        (ARPA.replace("\tab\t", "\txy\t").replace("\tAB", "\tXY").replace("\tba", "\tyx"), "no word that the model"),
    ],
    ids=lambda value: value if " " in value and len(value) < 30 else "",
)
def test_damaged_arpa_files_are_one_error(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        decoder_of(ABC, CTCOptions(beams=2, lm=arpa(tmp_path, text)), SPELL)
    assert "words.arpa" in str(caught.value)


def test_a_language_model_that_is_no_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        decoder_of(ABC, CTCOptions(beams=2, lm=str(tmp_path / "words.arpa")), SPELL)
    with pytest.raises(DataError, match="~nobodyhere"):
        decoder_of(ABC, CTCOptions(beams=2, lm="~nobodyhere/words.arpa"), SPELL)
    (tmp_path / "words.bin").write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0" + bytes(range(256)))
    with pytest.raises(DataError, match=r"words\.bin"):
        decoder_of(ABC, CTCOptions(beams=2, lm=str(tmp_path / "words.bin")), SPELL)


def test_word_and_character_errors_by_hand() -> None:
    # One word of three is another, and one too many: 2 edits by 4 words; "cat" to "cut" and " x": 3 by 13 characters.
    found = word_errors(["the cut sat", "x now"], ["the cat sat", "now"])
    assert found == {"wer": 2 / 4, "cer": 3 / 14}
    assert word_errors(["", "ab"], ["ab", "ab"]) == {"wer": 0.5, "cer": 0.5}
    assert word_errors(["spare", "ab"], ["", "ab"])["wer"] == 1.0
    with pytest.raises(DataError, match="empty"):
        word_errors(["a"], [""])


def test_intervals_of_word_and_character_errors_resample_whole_transcripts() -> None:
    expected = ["the cat sat", "now", "a b c d", "", "good morning all", "yes no"] * 5
    found = ["the cut sat", "x now", "a c d", "spare", "good evening", "yes no"] * 5
    generator = np.random.default_rng(5)
    drawn = [generator.integers(0, len(found), len(found)) for _ in range(1500)]
    errors = [word_errors([found[at] for at in rows], [expected[at] for at in rows]) for rows in drawn]
    intervals = error_intervals(found, expected)
    assert intervals.keys() == {"wer", "cer"}
    for name, ends in intervals.items():
        assert ends == pytest.approx(np.quantile([one[name] for one in errors], (0.025, 0.975)), abs=0.02)
        assert ends[0] < word_errors(found, expected)[name] < ends[1]
    assert error_intervals(["a"], [""]) == {} == error_intervals(["a"], ["b"])


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
