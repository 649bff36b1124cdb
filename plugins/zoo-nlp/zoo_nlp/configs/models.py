"""What a recipe may set on the text models, tokenizers and tasks: frozen dataclasses, free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from zoo_core.contract import FieldError, Formerly, require_layers, require_sizes

CLASSIFICATION = "text-classification"
MULTI_LABEL = "text-multi-label"
REGRESSION = "text-regression"
_TABLE = 1 << 22
"""Most numbers in a table of sinusoids."""
SCORING = (CLASSIFICATION, MULTI_LABEL, REGRESSION)
"""Tasks with one number for each label: probabilities of one label, of each by itself, or the values themselves."""


@dataclass(frozen=True, kw_only=True)
class _Vocabulary:
    """What every text model has to know of its tokenizer."""

    vocab_size: int = 30522
    """Tokens that the tokenizer knows."""
    pad_id: int = 0
    """Token that fills up short samples of a batch."""

    def __post_init__(self) -> None:
        """Refuse what no model could be built from."""
        _require(self, "vocab_size", "at least 1", self.vocab_size >= 1)
        require_sizes(self, "vocab_size")
        _require(self, "pad_id", f"a token below vocab_size {self.vocab_size}", 0 <= self.pad_id < self.vocab_size)


@dataclass(frozen=True, kw_only=True)
class BertConfig(_Vocabulary):
    """A bidirectional Transformer encoder; the defaults are BERT-base, uncased."""

    hidden_size: int = 768
    """Width of every token's vector."""
    layers: int = 12
    """Encoder blocks."""
    heads: int = 12
    """Attention heads per block."""
    feed_forward: int = 3072
    """Inner width of a block's feed-forward part."""
    max_length: int = 512
    """Most tokens of an input: rows of the position table."""
    dropout: float = 0.1
    """Dropout after embeddings, attention and feed-forward, and before a classifier."""
    attention_dropout: float = 0.1
    """Dropout of attention weights."""

    def __post_init__(self) -> None:
        """Refuse what no model could be built from."""
        super().__post_init__()
        _require_transformer(self)
        require_sizes(self, "feed_forward")


@dataclass(frozen=True, kw_only=True)
class GPT2Config(_Vocabulary):
    """A causal Transformer decoder whose output shares the embeddings; the defaults are GPT-2, 124M."""

    vocab_size: int = 50257
    """Tokens that the tokenizer knows."""
    eos_id: int = 1
    """Token that ends a document."""
    hidden_size: int = 768
    """Width of every token's vector."""
    layers: int = 12
    """Decoder blocks."""
    heads: int = 12
    """Attention heads per block."""
    max_length: int = 1024
    """Most tokens of an input: rows of the position table."""
    dropout: float = 0.1
    """Dropout after embeddings, attention and feed-forward."""
    attention_dropout: float = 0.1
    """Dropout of attention weights."""

    def __post_init__(self) -> None:
        """Refuse what no model could be built from."""
        super().__post_init__()
        _require(self, "eos_id", f"a token below vocab_size {self.vocab_size}", 0 <= self.eos_id < self.vocab_size)
        _require_transformer(self)


@dataclass(frozen=True, kw_only=True)
class MarianConfig(_Vocabulary):
    """An encoder–decoder Transformer with one embedding for both sides; the defaults are the paper's base model."""

    vocab_size: int = 58101
    """Tokens that the tokenizer, one for both languages, knows."""
    eos_id: int = 1
    """Token that ends a sentence; decoding starts from `pad_id`."""
    hidden_size: int = 512
    """Width of every token's vector."""
    layers: int = 6
    """Encoder blocks, and as many decoder blocks."""
    heads: int = 8
    """Attention heads per block."""
    feed_forward: int = 2048
    """Inner width of a block's feed-forward part."""
    max_length: int = 512
    """Most tokens of a source or a target: rows of the sinusoidal position table."""
    dropout: float = 0.1
    """Dropout after embeddings, attention and feed-forward."""
    attention_dropout: float = 0.0
    """Dropout of attention weights."""

    def __post_init__(self) -> None:
        """Refuse what no model could be built from."""
        super().__post_init__()
        _require(self, "eos_id", f"a token below vocab_size {self.vocab_size}", 0 <= self.eos_id < self.vocab_size)
        _require_transformer(self)
        require_sizes(self, "feed_forward")
        # The table is computed, so it takes memory before any weight is read.
        size = self.max_length * self.hidden_size
        _require(self, "max_length", f"at most {_TABLE} numbers with hidden_size {self.hidden_size}", size <= _TABLE)


@dataclass(frozen=True, kw_only=True)
class LSTMConfig(_Vocabulary):
    """A recurrent text classifier; the defaults are those of the Keras tutorial."""

    vocab_size: int = 10000
    """Tokens that the tokenizer knows."""
    embedding_size: int = 64
    """Width of a token's embedding."""
    hidden_size: int = 128
    """Width of the recurrent state."""
    dropout: float = 0.5
    """Dropout between the last state and the classifier."""

    def __post_init__(self) -> None:
        """Refuse what no model could be built from."""
        super().__post_init__()
        require_sizes(self, "embedding_size", "hidden_size")
        for name in ("embedding_size", "hidden_size"):
            _require(self, name, "at least 1", getattr(self, name) >= 1)
        _require(self, "dropout", "at least 0 and below 1", 0 <= self.dropout < 1)


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """How a tokenizer is learned from the training texts."""

    kind: Literal["wordpiece", "bpe", "words"] = "wordpiece"
    """`wordpiece` (BERT), byte-level `bpe` (GPT-2), or whole `words`, lower-case and without punctuation (Keras)."""
    vocab_size: int = 30522
    """Most tokens; small corpora give fewer."""
    max_length: int = 512
    """Most tokens of a sample, special ones included; longer training texts are cut."""
    min_frequency: int = 2
    """Occurrences that a word or a merge needs to get a token."""
    lowercase: bool = True
    """Whether upper and lower case are the same; always so for `words`, never for `bpe`."""

    def __post_init__(self) -> None:
        """Refuse what no tokenizer could be learned with."""
        # Byte-level BPE holds all 256 bytes, so that no text is unknown to it.
        least = 258 if self.kind == "bpe" else 8
        require_sizes(self, "vocab_size", "max_length")
        _require(self, "vocab_size", f"at least {least} for {self.kind}", self.vocab_size >= least)
        _require(self, "max_length", "at least 4", self.max_length >= 4)
        _require(self, "min_frequency", "at least 1", self.min_frequency >= 1)


@dataclass(frozen=True, kw_only=True)
class BertTokenizerConfig(TokenizerConfig):
    """WordPiece with `[CLS]` and `[SEP]`, as BERT reads."""

    kind: Literal["wordpiece"] = "wordpiece"


@dataclass(frozen=True, kw_only=True)
class GPT2TokenizerConfig(TokenizerConfig):
    """Byte-level BPE, as GPT-2 reads."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: int = 50257
    max_length: int = 1024
    lowercase: bool = False


@dataclass(frozen=True, kw_only=True)
class MarianTokenizerConfig(TokenizerConfig):
    """Byte-level BPE learned from both sides of the pairs."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: int = 16000
    max_length: int = 512
    lowercase: bool = False


@dataclass(frozen=True, kw_only=True)
class LSTMTokenizerConfig(TokenizerConfig):
    """Whole words by frequency, as Keras' `TextVectorization`; WordPiece if asked for."""

    kind: Literal["words", "wordpiece"] = "words"
    vocab_size: int = 10000
    max_length: int = 100
    min_frequency: int = 1


@dataclass(frozen=True, kw_only=True)
class FillMaskConfig:
    """Masked language modelling (Devlin et al., 2019, section 3.1)."""

    mask_ratio: float = 0.15
    """Share of the tokens to predict: 80 % of them become the mask, 10 % a random token, 10 % stay."""

    def __post_init__(self) -> None:
        """Refuse a share that leaves nothing to predict or nothing to predict from."""
        _require(self, "mask_ratio", "above 0 and below 1", 0 < self.mask_ratio < 1)


@dataclass(frozen=True, kw_only=True)
class TextGenerationConfig:
    """Causal language modelling."""

    prompts: tuple[str, ...] = ("", "", "")
    """Beginnings that every evaluation continues for `samples.txt`; an empty one starts a document."""
    sample_tokens: int = 100
    """Length of those continuations in tokens."""

    def __post_init__(self) -> None:
        """Refuse samples without a length."""
        _require(self, "sample_tokens", "at least 1", self.sample_tokens >= 1)


@dataclass(frozen=True, kw_only=True)
class TextToTextConfig:
    """Turning a text into another one, learned by teacher forcing."""

    label_smoothing: float = 0.0
    """Share of the target probability that is spread over the vocabulary (Szegedy et al., 2016); 0.1 in most papers."""
    generate_samples: int = 200
    """Most samples that an evaluation also generates for, spread evenly over the split; 0 for none."""
    beams: int = 1
    """Beams of those generations; 1 is greedy."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        _require(self, "label_smoothing", "at least 0 and below 1", 0 <= self.label_smoothing < 1)
        _require(self, "generate_samples", "at least 0", self.generate_samples >= 0)
        _require(self, "beams", "at least 1", self.beams >= 1)


@dataclass(frozen=True, kw_only=True)
class FillMaskOptions:
    """Options of a fill-mask prediction."""

    top_k: Annotated[int, Formerly("top")] = 5
    """Candidates per mask."""
    truncate: bool = False
    """Cut a text that is longer than the model reads, rather than refuse it."""

    def __post_init__(self) -> None:
        """Refuse to answer with nothing."""
        _require(self, "top_k", "at least 1", self.top_k >= 1)


@dataclass(frozen=True, kw_only=True)
class TextGenerationOptions:
    """Options of a text generation."""

    max_new_tokens: int = 100
    """Most tokens to add."""
    temperature: float = 1.0
    """Flattens (above 1) or sharpens the distribution; 0 always takes the likeliest token."""
    top_k: Annotated[int, Formerly("top")] = 0
    """Draw from this many likeliest tokens; 0 for all."""
    top_p: float = 1.0
    """Draw from the fewest tokens that hold this much probability (Holtzman et al., 2020)."""
    repetition_penalty: float = 1.0
    """Divides the scores of tokens that occurred already (Keskar et al., 2019); 1 for none."""
    stop: tuple[str, ...] = ()
    """The text ends before the first of these strings."""
    num_return: int = 1
    """Continuations per input, each with its own draws."""
    seed: int = 0
    """Seed of the draws; the same seed gives the same text."""
    truncate: bool = False
    """Keep the end of an input that is longer than the model reads, rather than refuse it."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        _require(self, "max_new_tokens", "at least 1", self.max_new_tokens >= 1)
        _require(self, "temperature", "at least 0", 0 <= self.temperature < float("inf"))
        _require(self, "top_k", "at least 0", self.top_k >= 0)
        _require(self, "top_p", "above 0 and at most 1", 0 < self.top_p <= 1)
        _require(self, "repetition_penalty", "above 0", 0 < self.repetition_penalty < float("inf"))
        _require(self, "stop", "non-empty strings", all(self.stop))
        _require(self, "num_return", "at least 1", self.num_return >= 1)
        _require(self, "seed", "between 0 and 2^62", 0 <= self.seed < 2**62)


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions:
    """Options of a classification."""

    top_k: Annotated[int, Formerly("top")] = 0
    """Labels to name with their probabilities, likeliest first; 0 for all."""
    truncate: bool = False
    """Cut a text that is longer than the model reads, rather than refuse it."""

    def __post_init__(self) -> None:
        """Refuse a number below 0."""
        _require(self, "top_k", "at least 0", self.top_k >= 0)


@dataclass(frozen=True, kw_only=True)
class TextRegressionOptions:
    """Options of a regression."""

    truncate: bool = False
    """Cut a text that is longer than the model reads, rather than refuse it."""


@dataclass(frozen=True, kw_only=True)
class TextToTextOptions:
    """Options of a translation or a summary."""

    beams: int = 1
    """Beams of the search; 1 is greedy."""
    max_new_tokens: int = 0
    """Most tokens of the answer; 0 for as many as the model can write."""
    truncate: bool = False
    """Cut a text that is longer than the model reads, rather than refuse it."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        _require(self, "beams", "at least 1", self.beams >= 1)
        _require(self, "max_new_tokens", "at least 0", self.max_new_tokens >= 0)


@dataclass(frozen=True, kw_only=True)
class EmbeddingOptions:
    """Options of a sentence embedding."""

    normalize: bool = True
    """Scale every embedding to length 1, so that a dot product is the cosine."""
    truncate: bool = False
    """Cut a text that is longer than the model reads, rather than refuse it."""


def _require(config: Any, name: str, expected: str, holds: bool) -> None:
    if not holds:
        raise FieldError(name, f"expected {expected}, found {getattr(config, name)!r}")


def _require_transformer(config: BertConfig | GPT2Config | MarianConfig) -> None:
    require_layers(config, "layers")
    require_sizes(config, "hidden_size", "max_length")
    for name in ("hidden_size", "layers", "heads", "max_length"):
        _require(config, name, "at least 1", getattr(config, name) >= 1)
    _require(config, "hidden_size", f"a multiple of heads {config.heads}", config.hidden_size % config.heads == 0)
    for name in ("dropout", "attention_dropout"):
        _require(config, name, "at least 0 and below 1", 0 <= getattr(config, name) < 1)
