"""Tokenizers of Transformers' folders, with the settings beside them: what a text becomes is what it becomes there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from zoo_transformers import tokenizer_of

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import FieldRules, read_object, unsupported
from zoo_nlp.interop.fields import OF_CLASS, ROLES, SPECIAL_TOKENS, TOKENIZER
from zoo_nlp.preprocessor import TOKENIZER_FILE, TextPreprocessor

_KINDS = {"WordPiece": "wordpiece", "BPE": "bpe", "Unigram": "unigram", "WordLevel": "words"}
_PLAIN_CLASSES = ("PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend")
"""Classes that take `tokenizer.json` as it is."""


class TokenizerSettings:
    """What the small files beside a tokenizer say of it."""

    def __init__(self, files: Mapping[str, bytes], usual_class: str) -> None:
        """`usual_class` is what a folder of the family means that names none. Raises `UsageError`, `CorruptFile`."""
        self.values: dict[str, Any] = {}
        self.notices: list[str] = []
        for rules in (SPECIAL_TOKENS, TOKENIZER):
            if rules.file in files:
                found = read_object(files, rules.file)
                self.notices += rules.check(found)
                self.values |= found
        name = self.values.get("tokenizer_class") or usual_class
        self.name = str(name).removesuffix("Fast") if name not in _PLAIN_CLASSES else ""
        """The class, without the word that says how it is computed; empty for one that has no rules of its own."""
        FieldRules(file=TOKENIZER.file, fixed=OF_CLASS.get(self.name, {})).check(self.values)
        self.stored = TOKENIZER_FILE in files
        """Whether the tokenizer itself comes from a file, with settings of its own."""
        self.declared = dict(_declared(files, self.values))
        """Token by number, of those that the files number."""

    def limit(self, positions: int, files: Mapping[str, bytes]) -> int:
        """Most tokens of a text. Raises `CorruptFile` for what is no length."""
        limits = [positions]
        if "sentence_bert_config.json" in files:
            limits.append(read_object(files, "sentence_bert_config.json").get("max_seq_length") or positions)
        limits.append(self.values.get("model_max_length") or positions)
        for value in limits:
            # Without a limit of its own a tokenizer says 10^30.
            if type(value) not in (int, float) or not value >= 1:
                raise CorruptFile(f"tokenizer_config.json: model_max_length: expected a length, found {value!r:.80}")
        return int(min(limits))

    def special(self, tokenizer: Tokenizer) -> dict[str, str]:
        """Tokens by role: as the settings say, BERT's usual ones where they say nothing, the end for a missing padding."""
        usual = {role: f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")} | {"eos": "<|endoftext|>"}
        found = {}
        for role in ROLES:
            token = _content(self.values.get(f"{role}_token", usual.get(role)))
            if token is not None and tokenizer.token_to_id(token) is not None:
                found[role] = token
        if "pad" not in found and "eos" in found:
            found["pad"] = found["eos"]
        if "pad" not in found:
            raise CorruptFile("tokenizer_config.json: the tokenizer has neither a padding nor an end token")
        return found

    def tokens(self) -> list[AddedToken]:
        """Tokens that the settings add to a vocabulary, in the order in which they get their numbers."""
        extra: list[Any] = []
        for name in ("additional_special_tokens", "extra_special_tokens"):
            value = self.values.get(name) or []
            extra += value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        roles = [self.values.get(f"{role}_token") for role in ROLES]
        numbered = [self.declared[number] for number in sorted(self.declared)]
        return [_added(token) for token in [*numbered, *roles, *extra] if token is not None]


def preprocessor_of(
    tokenizer: Tokenizer, settings: TokenizerSettings, files: Mapping[str, bytes], *, positions: int, vocabulary: int
) -> TextPreprocessor:
    """The preprocessor around a tokenizer of theirs, its family's rules applied.

    Raises `CorruptFile` for numbers that contradict each other, `UsageError` for more tokens than the model has rows.
    """
    _add_tokens(tokenizer, settings)
    if settings.name == "BertTokenizer":
        _bert_rules(tokenizer, settings)
    elif settings.name == "GPT2Tokenizer":
        _gpt2_rules(tokenizer, settings)
    elif settings.name:
        settings.notices.append(f"tokenizer_config.json: {settings.name} is read by its tokenizer.json alone")
    special = settings.special(tokenizer)
    tokenizer = _plain_extras(tokenizer, set(special.values()))
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("dropout"):
        raise unsupported("tokenizer.json", "model.dropout", None, model["dropout"])
    if any(tokenizer.encode("a").type_ids):
        raise UsageError(
            "tokenizer.json: post_processor: expected one kind of token in a text, found a type_id above 0"
        )
    made = TextPreprocessor(
        tokenizer, kind=_KINDS[model["type"]], max_length=settings.limit(positions, files), special=special
    )
    if made.vocab_size > vocabulary:
        raise UsageError(
            f"config.json: vocab_size: expected at least {made.vocab_size}, as the tokenizer has, found {vocabulary}",
            hint="the embeddings have no row for the last tokens: resize them in the library that wrote the folder",
        )
    return made


def _declared(files: Mapping[str, bytes], settings: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    numbered = settings.get("added_tokens_decoder") or {}
    if not isinstance(numbered, dict) or not all(str(number).isdecimal() for number in numbered):
        raise CorruptFile("tokenizer_config.json: added_tokens_decoder: expected tokens by number")
    yield from ((int(number), token) for number, token in numbered.items())
    if "added_tokens.json" in files:
        named = read_object(files, "added_tokens.json")
        if not all(type(number) is int and number >= 0 for number in named.values()):
            raise CorruptFile("added_tokens.json: expected numbers by token")
        known = {int(number) for number in numbered}
        yield from ((number, token) for token, number in named.items() if number not in known)


def _content(token: Any) -> str | None:
    token = token.get("content") if isinstance(token, dict) else token
    return token if isinstance(token, str) else None


def _added(token: Any) -> AddedToken:
    content = _content(token)
    if content is None:
        raise CorruptFile(f"tokenizer_config.json: expected a token, found {token!r:.80}")
    flags = token if isinstance(token, dict) else {}
    settings = {name: bool(flags[name]) for name in ("single_word", "lstrip", "rstrip", "normalized") if name in flags}
    return AddedToken(content, special=bool(flags.get("special", True)), **settings)


def _add_tokens(tokenizer: Tokenizer, settings: TokenizerSettings) -> None:
    """Add what the vocabulary lacks. Raises `CorruptFile` where a number is another one than the files say."""
    for token in settings.tokens():
        if tokenizer.token_to_id(token.content) is None:
            tokenizer.add_tokens([token])
    for number, token in settings.declared.items():
        content = _content(token) or ""
        found = tokenizer.token_to_id(content)
        if found != number:
            raise CorruptFile(
                f"added_tokens.json: {content!r:.80}: expected number {number}, the tokenizer has {found}"
            )


def _bert_rules(tokenizer: Tokenizer, settings: TokenizerSettings) -> None:
    """Their class sets case, accents and the frame itself, whatever `tokenizer.json` says."""
    values = settings.values
    normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=values.get("tokenize_chinese_chars", True),
        strip_accents=values.get("strip_accents"),
        lowercase=values.get("do_lower_case", True),
    )
    state = json.loads(tokenizer.to_str())
    expected = {"type": "BertNormalizer", **json.loads(normalizer.__getstate__())}
    if state["normalizer"] is not None and state["normalizer"]["type"] != "BertNormalizer":
        raise unsupported("tokenizer.json", "normalizer", expected, state["normalizer"])
    if settings.stored and state["normalizer"] not in (None, expected):
        settings.notices.append(
            f"tokenizer.json: its normalizer is {json.dumps(state['normalizer'])}; that of tokenizer_config.json counts: "
            + json.dumps(expected)
        )
    tokenizer.normalizer = normalizer
    frame = [_content(values.get(f"{role}_token")) or f"[{role.upper()}]" for role in ("cls", "sep")]
    numbers = [tokenizer.token_to_id(token) for token in frame]
    if None not in numbers:
        first, last = frame
        try:
            if any(token.startswith("$") for token in frame):
                raise ValueError("what begins with $ stands for a text")
            tokenizer.post_processor = processors.TemplateProcessing(
                single=[f"{first}:0", "$A:0", f"{last}:0"],
                pair=[f"{first}:0", "$A:0", f"{last}:0", "$B:1", f"{last}:1"],
                special_tokens=list(zip(frame, numbers, strict=True)),
            )
        except ValueError as error:  # the library reads a token's text as a part of its template's language
            raise CorruptFile(f"tokenizer_config.json: {first!r} and {last!r} can't frame a text: {error}") from None


def _gpt2_rules(tokenizer: Tokenizer, settings: TokenizerSettings) -> None:
    """Their class sets the splitter itself: bytes, with or without a space in front of a text."""
    state = json.loads(tokenizer.to_str())
    if state["normalizer"] is not None:
        raise unsupported("tokenizer.json", "normalizer", None, state["normalizer"])
    splitter = state["pre_tokenizer"]
    if splitter is None or splitter["type"] != "ByteLevel":
        raise unsupported("tokenizer.json", "pre_tokenizer", "ByteLevel", splitter)
    space = settings.values.get("add_prefix_space", False)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)


def _plain_extras(tokenizer: Tokenizer, roles: set[str]) -> Tokenizer:
    """Special tokens without a part in the input are found in texts, as they are there; those with one never are."""
    state = json.loads(tokenizer.to_str())
    extras = [token for token in state["added_tokens"] if token["special"] and token["content"] not in roles]
    if not extras:
        return tokenizer
    for token in extras:
        token["special"] = False
    return tokenizer_of(json.dumps(state).encode(), "tokenizer.json")
