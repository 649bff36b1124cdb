from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from zoo_nlp.configs import models as configs
from zoo_nlp.datasets.samples import LabelledText, Text, TextPair, text_of
from zoo_nlp.preprocessor import TextPreprocessor

from zoo_core import CorruptFile, DataError, UsageError
from zoo_core.contract import from_data

KINDS: dict[str, Any] = {
    "wordpiece": configs.BertTokenizerConfig(vocab_size=300),
    "bpe": configs.GPT2TokenizerConfig(vocab_size=400),
    "words": configs.LSTMTokenizerConfig(vocab_size=200),
}


def corpus(size: int = 300) -> list[str]:
    """Words without a pattern, so that many counts tie."""
    draw = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyzäöñ日本語0123.!"
    words = ["".join(draw.choices(letters, k=draw.randint(1, 7))) for _ in range(900)]
    return [" ".join(draw.choices(words, k=25)) for _ in range(size)]


def fitted(kind: str) -> TextPreprocessor:
    return TextPreprocessor.fit(KINDS[kind], corpus())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_corpus_gives_the_same_bytes(kind: str) -> None:
    assert len({tuple(fitted(kind).files().items()) for _ in range(4)}) == 1


def test_the_same_bytes_where_letters_tie_for_the_last_places() -> None:
    texts = ["".join(chr(ord("a") + n) + chr(0x3B1 + n) + " " for n in range(20))] * 3
    config = configs.BertTokenizerConfig(vocab_size=31)
    found = [TextPreprocessor.fit(config, texts) for _ in range(4)]
    assert len({one.files()["tokenizer.json"] for one in found}) == 1
    assert {"a", "m"} <= set(found[0].tokenizer.get_vocab()) and "t" not in found[0].tokenizer.get_vocab()


@pytest.mark.parametrize("kind", KINDS)
def test_files_restore_the_same_tokenizer(kind: str) -> None:
    before = fitted(kind)
    after = TextPreprocessor.from_files(before.files())
    assert after.files() == before.files()
    assert after.model_config() == before.model_config()
    text = [corpus()[0], "Never seen: Žluťoučký!", ""]
    assert after.encode(text, 20).rows() == before.encode(text, 20).rows()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [260, 300, 2000])
def test_the_vocabulary_is_never_larger_than_asked_and_has_no_holes(kind: str, size: int) -> None:
    config = from_data(type(KINDS[kind]), {"vocab_size": size}, where="test")
    preprocessor = TextPreprocessor.fit(config, corpus(40))
    assert preprocessor.vocab_size <= size
    assert sorted(preprocessor.tokenizer.get_vocab().values()) == list(range(preprocessor.vocab_size))


def test_a_tiny_wordpiece_vocabulary_keeps_the_commonest_letters() -> None:
    texts = ["aaaa bbbb aaaa", "aaaa c", "bbbb aaaa"] * 4
    preprocessor = TextPreprocessor.fit(configs.BertTokenizerConfig(vocab_size=9), texts)
    assert list(preprocessor.tokenizer.get_vocab()).count("##a") == 1
    assert "c" not in preprocessor.tokenizer.get_vocab()
    assert preprocessor.vocab_size == 9


def test_bytes_come_back_as_they_were() -> None:
    preprocessor = fitted("bpe")
    text = "  Zwölf   Boxkämpfer\n\tjagen 日本 😀 quer. "
    assert preprocessor.decode(preprocessor.encode_plain([text]).row(0)) == text


def test_wordpieces_come_back_in_lower_case() -> None:
    preprocessor = TextPreprocessor.fit(configs.BertTokenizerConfig(), ["hello world, well said"] * 3)
    assert preprocessor.decode(preprocessor.encode(["Hello, WORLD"], 20).row(0)) == "hello, world"


def test_words_are_lower_case_and_without_punctuation() -> None:
    preprocessor = TextPreprocessor.fit(KINDS["words"], ["The cat, the dog!", "the (cat)"])
    assert list(preprocessor.tokenizer.get_vocab(with_added_tokens=False)) and preprocessor.vocab_size == 5
    assert preprocessor.tokenizer.id_to_token(2) == "the"
    assert preprocessor.encode(["THE. Bird?"], 9).rows() == [[2, 1]]
    assert preprocessor.decode([2, 3]) == "the cat"


def test_long_texts_are_cut_counted_and_keep_their_frame() -> None:
    preprocessor = TextPreprocessor.fit(KINDS["wordpiece"], ["one two three four five"] * 3)
    tokens = preprocessor.encode(["one two three four five", "one"], 5)
    cls, sep = preprocessor.special_id("cls"), preprocessor.special_id("sep")
    first, second = tokens.rows()
    assert (first[0], first[-1], len(first)) == (cls, sep, 5)
    assert (second[0], second[-1], len(second)) == (cls, sep, 3)
    assert tokens.whole.tolist() == [7, 3]
    assert tokens.cut().tolist() == [0]
    assert tokens.lengths().tolist() == [5, 3]


def test_an_empty_text_still_gives_a_model_something_to_read() -> None:
    assert fitted("words").encode([""], 9).rows() == [[fitted("words").special_id("unk")]]
    assert fitted("bpe").encode([""], 9).rows() == [[fitted("bpe").special_id("eos")]]
    assert len(fitted("wordpiece").encode([""], 9).row(0)) == 2


def test_text_that_looks_like_a_special_token_stays_text() -> None:
    preprocessor = TextPreprocessor.fit(KINDS["wordpiece"], ["a mask [MASK] here"] * 3)
    assert preprocessor.special_id("mask") not in preprocessor.encode(["[MASK]"], 20).row(0)
    bpe = fitted("bpe")
    assert bpe.decode(bpe.encode_plain(["<eos>"]).row(0)) == "<eos>"


def test_packing_joins_all_documents_and_adds_nothing_else() -> None:
    preprocessor = fitted("bpe")
    texts = corpus()[:5]
    flat = preprocessor.pack(texts)
    end = preprocessor.separator_id()
    assert flat.dtype == np.uint16
    assert (flat == end).sum() == 5
    pieces = np.split(flat, np.flatnonzero(flat == end) + 1)[:-1]
    assert [preprocessor.decode(piece) for piece in pieces] == texts
    assert preprocessor.pack([]).tolist() == []


def test_every_kind_of_sample_is_read() -> None:
    pair = TextPair("left", "right")
    one = TextPreprocessor.fit(KINDS["words"], [Text("a b"), LabelledText("c", "x"), "d", pair])
    words = set(one.tokenizer.get_vocab())
    assert {"a", "b", "c", "d", "left", "right"} <= words
    assert text_of(pair, 0) == "left"
    with pytest.raises(DataError, match="sample 2: expected text, found int"):
        TextPreprocessor.fit(KINDS["words"], ["a", 7])


def test_model_configuration_follows_the_tokenizer() -> None:
    assert fitted("words").model_config() == {"vocab_size": 200, "pad_id": 0}
    assert fitted("bpe").model_config() == {"vocab_size": 400, "pad_id": 0, "eos_id": 1}
    assert fitted("wordpiece").model_config() == {"vocab_size": 300, "pad_id": 0}


@pytest.mark.parametrize("kind", KINDS)
def test_half_characters_are_refused_by_sample(kind: str) -> None:
    with pytest.raises(DataError, match=r"sample 2: .* at character 3 is half a character"):
        TextPreprocessor.fit(KINDS[kind], ["fine", "bad\ud800"])
    with pytest.raises(DataError, match=r"sample 1002: "):
        fitted(kind).encode(["fine"] * 1001 + ["\udc00"], 9)


def test_nothing_to_learn_from_is_an_error() -> None:
    for samples in ([], ["", "  \n"]):
        with pytest.raises(DataError, match="no text to learn from"):
            TextPreprocessor.fit(KINDS["bpe"], samples)


def test_a_missing_role_names_what_there_is() -> None:
    with pytest.raises(UsageError, match="words tokenizer has no mask token") as caught:
        fitted("words").special_id("mask")
    assert caught.value.hint == "it has pad, unk"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", None, "tokenizer.json is missing"),
        ("tokenizer.json", b"{}", "tokenizer.json: "),
        ("tokenizer.json", b"\xff\xfe", "tokenizer.json: "),
        ("preprocessor.json", None, "preprocessor.json is missing"),
        ("preprocessor.json", b"{", "preprocessor.json: not JSON"),
        ("preprocessor.json", b"[" * 100_000, "preprocessor.json: not JSON"),
        ("preprocessor.json", b"[1]", "preprocessor.json: expected an object, found list"),
        ("preprocessor.json", b"{}", "expected a word for kind and a positive number for max_length"),
        (
            "preprocessor.json",
            b'{"kind": "bpe", "max_length": true, "special": {}}',
            "a positive number for max_length",
        ),
        ("preprocessor.json", b'{"kind": "bpe", "max_length": 9, "special": {"eos": "<eos>"}}', "among them pad"),
        ("preprocessor.json", b'{"kind": "bpe", "max_length": 9, "special": {"pad": 0}}', "expected tokens by role"),
        ("preprocessor.json", b'{"kind": "bpe", "max_length": 9, "special": {"pad": "[X]"}}', "no token '[X]'"),
    ],
)
def test_broken_files_are_named(name: str, content: bytes | None, message: str) -> None:
    files = fitted("bpe").files()
    if content is None:
        del files[name]
    else:
        files[name] = content
    with pytest.raises(CorruptFile) as caught:
        TextPreprocessor.from_files(files)
    assert message in caught.value.message


def test_settings_are_plain_json() -> None:
    settings = json.loads(fitted("wordpiece").files()["preprocessor.json"])
    assert settings["kind"] == "wordpiece" and settings["max_length"] == 512
    assert settings["special"]["mask"] == "[MASK]"


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("bpe", {"vocab_size": 257}, "vocab_size: expected at least 258 for bpe, found 257"),
        ("wordpiece", {"max_length": 3}, "max_length: expected at least 4, found 3"),
        ("words", {"min_frequency": 0}, "min_frequency: expected at least 1, found 0"),
    ],
)
def test_impossible_settings_are_refused(kind: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        type(KINDS[kind])(**values)


def test_a_fitted_tokenizer_takes_another_length_and_nothing_else() -> None:
    fitted = TextPreprocessor.fit(
        configs.BertTokenizerConfig(vocab_size=80, max_length=16, min_frequency=1), [Text("a b c")] * 4
    )
    longer = fitted.adjusted({"max_length": 32}, [])
    assert (longer.max_length, fitted.max_length) == (32, 16) and longer.vocab_size == fitted.vocab_size
    with pytest.raises(UsageError, match="can't change its vocab_size"):
        fitted.adjusted({"max_length": 32, "vocab_size": 9}, [])
    with pytest.raises(UsageError, match="max_length: expected a whole number above 1, found 1"):
        fitted.adjusted({"max_length": 1}, [])
