"""Tokenizers: learned from raw samples, stored as text beside the weights, the same bytes for the same corpus."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from zoo_transformers import tokenizer_of

from zoo_core import CorruptFile, DataError, UsageError
from zoo_core.contract import Preprocessor, panics_as, read_object
from zoo_nlp.configs.models import TokenizerConfig
from zoo_nlp.datasets.samples import texts_of

TOKENIZER_FILE = "tokenizer.json"
SETTINGS_FILE = "preprocessor.json"

Ids = NDArray[Any]
"""Token ids, uint16 where the vocabulary allows it and uint32 elsewhere."""

_WRITING = ("bpe", "unigram")
_SLICE = 1000
"""Texts encoded at a time: enough for all threads, few enough to hold their Python lists."""
_ALPHABET = 1000
"""Most characters that WordPiece spells with; the trainer's own default."""
_PUNCTUATION = Regex(r"[!-/:-@\[-`{-~]")
"""What Keras' `TextVectorization` strips."""


class Tokens(NamedTuple):
    """Encoded texts in one flat array."""

    flat: Ids
    """(sum of lengths,) ids of all texts, one after another."""
    ends: NDArray[np.int64]
    """(N,) where each text ends in `flat`."""
    whole: NDArray[np.int64]
    """(N,) lengths that the texts would have had without a limit."""

    def row(self, index: int) -> Ids:
        """Ids of one text."""
        return self.flat[int(self.ends[index - 1]) if index else 0 : int(self.ends[index])]

    def rows(self) -> list[list[int]]:
        """Ids of every text, as lists."""
        return [self.row(index).tolist() for index in range(len(self.ends))]

    def lengths(self) -> NDArray[np.int64]:
        """(N,) lengths in tokens."""
        return np.diff(self.ends, prepend=0)

    def cut(self) -> NDArray[np.int64]:
        """Indices of the texts that were cut to the limit."""
        return np.flatnonzero(self.whole > self.lengths())


class TextPreprocessor(Preprocessor):
    """A tokenizer, the roles of its special tokens and the length that samples are cut to."""

    def __init__(self, tokenizer: Tokenizer, *, kind: str, max_length: int, special: Mapping[str, str]) -> None:
        """`special` maps the roles pad, unk, cls, sep, mask, bos and eos to tokens. Raises `CorruptFile` if one is unknown."""
        missing = [token for token in special.values() if tokenizer.token_to_id(token) is None]
        if missing:
            raise CorruptFile(f"{SETTINGS_FILE}: the tokenizer has no token {missing[0]!r}")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        # Text is text: a tweet that holds "[MASK]" must not get the mask's id.
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer
        self.kind = kind
        self.max_length = max_length
        self.special = dict(special)
        self.before, self.after = _frame(tokenizer)
        # Not their number: a vocabulary may have holes.
        self.vocab_size = max(tokenizer.get_vocab().values()) + 1
        self._dtype = np.uint16 if self.vocab_size <= 1 << 16 else np.uint32

    @classmethod
    def fit(cls, config: TokenizerConfig, samples: Iterable[Any]) -> Self:
        """Learn a vocabulary from raw samples or plain strings. Raises `DataError` where no sample has text."""
        texts = [text for number, sample in enumerate(samples) for text in texts_of(sample, number)]
        _require_unicode(texts)
        if not any(text.strip() for text in texts):
            raise DataError("the tokenizer has no text to learn from")
        tokenizer, special = _LEARNERS[config.kind](config, texts)
        return cls(tokenizer, kind=config.kind, max_length=config.max_length, special=special)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Self:
        """Restore from `tokenizer.json` and `preprocessor.json`. Raises `CorruptFile` where they can't be parsed."""
        settings = read_object(files, SETTINGS_FILE)
        kind, max_length, special = (settings.get(key) for key in ("kind", "max_length", "special"))
        if not isinstance(kind, str) or type(max_length) is not int or max_length < 1:
            raise CorruptFile(f"{SETTINGS_FILE}: expected a word for kind and a positive number for max_length")
        words = [special.get("pad"), *special.values()] if isinstance(special, dict) else []
        if not isinstance(special, dict) or not all(isinstance(word, str) for word in words):
            raise CorruptFile(f"{SETTINGS_FILE}: expected tokens by role for special, among them pad")
        return cls(read_tokenizer(files), kind=kind, max_length=max_length, special=special)

    def files(self) -> dict[str, bytes]:
        """The tokenizer in the format of the `tokenizers` library, and our settings."""
        settings = {"kind": self.kind, "max_length": self.max_length, "special": self.special}
        return {
            TOKENIZER_FILE: self.tokenizer.to_str(pretty=False).encode(),
            SETTINGS_FILE: (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode(),
        }

    def adjusted(self, settings: Mapping[str, Any], samples: Iterable[Any]) -> Self:
        """The same tokenizer with another `max_length`. Raises `UsageError` for any other setting, which is learned."""
        if set(settings) != {"max_length"}:
            return super().adjusted({name: value for name, value in settings.items() if name != "max_length"}, samples)
        length = settings["max_length"]
        if type(length) is not int or length < 2:
            raise UsageError(f"preprocessor.max_length: expected a whole number above 1, found {length!r}")
        return type(self)(self.tokenizer, kind=self.kind, max_length=length, special=self.special)

    def model_config(self) -> dict[str, Any]:
        """`vocab_size` and `pad_id`; `eos_id` too for the kinds that models which write are given."""
        config = {"vocab_size": self.vocab_size, "pad_id": self.special_id("pad")}
        return {**config, "eos_id": self.special_id("eos")} if self.kind in _WRITING else config

    def special_id(self, role: str) -> int:
        """Id of the special token with a role. Raises `UsageError` where the tokenizer has none."""
        if role not in self.special:
            raise UsageError(
                f"this checkpoint's {self.kind} tokenizer has no {role} token",
                hint="it has " + (", ".join(sorted(self.special)) or "no special tokens"),
            )
        token_id = self.tokenizer.token_to_id(self.special[role])
        assert token_id is not None  # checked when this object was made
        return token_id

    def separator_id(self) -> int:
        """Id of the token that ends a document: eos where there is one, else sep."""
        return self.special_id("eos" if "eos" in self.special else "sep")

    def special_ids(self) -> list[int]:
        """Ids of all special tokens, ascending."""
        return sorted({self.special_id(role) for role in self.special})

    def encode(self, texts: Sequence[str], limit: int) -> Tokens:
        """Ids with the special tokens that frame a text, cut to `limit`. Raises `DataError` for what isn't Unicode."""
        return self._framed(texts, limit, self.before, self.after)

    def encode_ended(self, texts: Sequence[str], limit: int) -> Tokens:
        """Ids with the token that ends a text behind them, cut to `limit`. Raises as `encode` does."""
        return self._framed(texts, limit, [], [self.separator_id()])

    def encode_plain(self, texts: Sequence[str]) -> Tokens:
        """Ids of the texts themselves, neither framed nor cut. Raises `DataError` for what isn't Unicode."""
        rows = [np.asarray(ids, dtype=self._dtype) for ids in self._ids(texts)]
        return _tokens(rows, [len(row) for row in rows], self._dtype)

    def pack(self, texts: Sequence[str]) -> Ids:
        """All texts in one flat array, each followed by the token that ends a document."""
        rows = self.ended(texts)
        return np.concatenate(rows) if rows else np.empty(0, dtype=self._dtype)

    def ended(self, texts: Sequence[str]) -> list[Ids]:
        """Each text with the token that ends a document."""
        end = self.separator_id()
        return [np.asarray([*ids, end], dtype=self._dtype) for ids in self._ids(texts)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without special tokens."""
        with panics_as(DataError, "the tokenizer"):
            return str(self.tokenizer.decode([int(i) for i in ids], skip_special_tokens=True))

    def token(self, token_id: int) -> str:
        """One token as a person reads it: without word-piece marks and byte symbols."""
        return self.decode([token_id]).strip().removeprefix("##") or str(self.tokenizer.id_to_token(token_id))

    def _framed(self, texts: Sequence[str], limit: int, before: list[int], after: list[int]) -> Tokens:
        frame = len(before) + len(after)
        rows: list[Ids] = []
        whole: list[int] = []
        for ids in self._ids(texts):
            whole.append(len(ids) + frame)
            kept = ids[: max(limit - frame, 0)]
            # A model needs something to read: an empty text is one unknown word, or the end of a document.
            row = [*before, *kept, *after] or [self._nothing()]
            rows.append(np.asarray(row, dtype=self._dtype))
        return _tokens(rows, whole, self._dtype)

    def _nothing(self) -> int:
        return self.special_id("unk" if "unk" in self.special else "eos")

    def _ids(self, texts: Sequence[str]) -> Iterator[list[int]]:
        for start in range(0, len(texts), _SLICE):
            part = list(texts[start : start + _SLICE])
            try:
                with panics_as(DataError, "the tokenizer"):
                    encodings = self.tokenizer.encode_batch_fast(part, add_special_tokens=False)
            except TypeError:
                _require_unicode(part, start)
                raise
            yield from (encoding.ids for encoding in encodings)


def read_tokenizer(files: Mapping[str, bytes]) -> Tokenizer:
    """The tokenizer of `tokenizer.json`. Raises `CorruptFile` where it is missing or can't be parsed."""
    if TOKENIZER_FILE not in files:
        raise CorruptFile(f"{TOKENIZER_FILE} is missing")
    return tokenizer_of(files[TOKENIZER_FILE], TOKENIZER_FILE)


def bert_template(tokenizer: Tokenizer) -> None:
    """Frame texts as `[CLS] text [SEP]`, in whoever opens the tokenizer's file."""
    special = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )


def _frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer's own template puts before and after a text."""
    with panics_as(CorruptFile, TOKENIZER_FILE):
        framed = tokenizer.encode("a")
    inside = [place for place, special in enumerate(framed.special_tokens_mask) if not special]
    if not inside:
        return [], list(framed.ids)
    return list(framed.ids[: inside[0]]), list(framed.ids[inside[-1] + 1 :])


def _tokens(rows: list[Ids], whole: list[int], dtype: type) -> Tokens:
    flat = np.concatenate(rows) if rows else np.empty(0, dtype=dtype)
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    return Tokens(flat, ends, np.asarray(whole, dtype=np.int64))


def _require_unicode(texts: Sequence[str], start: int = 0) -> None:
    for number, text in enumerate(texts, start + 1):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"sample {number}: {error.object[error.start]!r} at character {error.start} is half a character",
                hint="read the file with the encoding that it was written in",
            ) from None


def _learn_wordpiece(config: TokenizerConfig, texts: list[str]) -> tuple[Tokenizer, dict[str, str]]:
    special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    normalizer = normalizers.BertNormalizer(lowercase=config.lowercase)
    words = _words(texts, normalizer)
    alphabet = _alphabet(words, most=min(_ALPHABET, (config.vocab_size - len(special)) // 2))
    # The trainer meets words in the order of a randomly seeded hash table and numbers "##x" as it goes, so two runs
    # over one corpus differ. Pieces that are numbered beforehand, as if they were special, leave it no choice.
    pieces = sorted({f"##{char}" for word in words for char in word[1:] if char in alphabet})
    trainer = trainers.WordPieceTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=[*special.values(), *pieces],
        initial_alphabet=sorted(alphabet),
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    learner.normalizer, learner.pre_tokenizer = normalizer, pre_tokenizers.BertPreTokenizer()
    learner.train_from_iterator(texts, trainer)
    tokenizer = wordpiece_tokenizer(learner.get_vocab(with_added_tokens=False), normalizer)
    tokenizer.add_special_tokens(list(special.values()))
    bert_template(tokenizer)
    return tokenizer, special


def wordpiece_tokenizer(vocabulary: Mapping[str, int], normalizer: normalizers.Normalizer) -> Tokenizer:
    """BERT's tokenizer around a vocabulary, less its special tokens."""
    model = models.WordPiece(dict(vocabulary), unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def _words(texts: list[str], normalizer: normalizers.Normalizer) -> Counter[str]:
    """Occurrences of every word as BERT splits them."""
    chunks: Counter[str] = Counter()
    for text in texts:
        chunks.update(normalizer.normalize_str(text).split())
    split = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for chunk, count in chunks.items():
        for word, _ in split.pre_tokenize_str(chunk):
            words[word] += count
    return words


def _alphabet(words: Counter[str], most: int) -> set[str]:
    """The commonest characters, ties in the order of Unicode."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for char in word:
            counts[char] += count
    return set(sorted(counts, key=lambda char: (-counts[char], char))[:most])


def _learn_bpe(config: TokenizerConfig, texts: list[str]) -> tuple[Tokenizer, dict[str, str]]:
    special = {"pad": "<pad>", "eos": "<eos>"}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=list(special.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer, special


def _learn_words(config: TokenizerConfig, texts: list[str]) -> tuple[Tokenizer, dict[str, str]]:
    special = {"pad": "[PAD]", "unk": "[UNK]"}
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(_PUNCTUATION, "")])
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordLevelTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=list(special.values()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer, special


_LEARNERS = {"wordpiece": _learn_wordpiece, "bpe": _learn_bpe, "words": _learn_words}
