"""What a recipe may set on the text models, tokenizers and tasks: frozen dataclasses, free of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from zoo_core.contract import (
    Alias,
    Config,
    Interval,
    Layers,
    MinLen,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ProperShare,
    Seed,
    Size,
)

CLASSIFICATION = "text-classification"
MULTI_LABEL = "text-multi-label"
REGRESSION = "text-regression"
_TABLE = 1 << 22
"""Most numbers in a table of sinusoids."""
SCORING = (CLASSIFICATION, MULTI_LABEL, REGRESSION)
"""Tasks with one number for each label: probabilities of one label, of each by itself, or the values themselves."""


class _Vocabulary(Config):
    """What every text model has to know of its tokenizer."""

    vocab_size: Size = 30522
    """Tokens that the tokenizer knows."""
    pad_id: int = 0
    """Token that fills up short samples of a batch."""

    def check(self) -> None:
        """Special tokens are tokens."""
        for name in ("pad_id", "eos_id"):
            token = getattr(self, name, 0)
            self.require(name, f"a token below vocab_size {self.vocab_size}", 0 <= token < self.vocab_size)


class _Transformer(_Vocabulary):
    """What every Transformer has; the defaults are those of base models."""

    hidden_size: Size = 768
    """Width of every token's vector."""
    num_layers: Annotated[Layers, Alias("layers")] = 12
    """Blocks; an encoder–decoder has as many on each side."""
    num_heads: Annotated[PositiveInt, Alias("heads")] = 12
    """Attention heads per block."""
    max_length: Size = 512
    """Most tokens of an input, or of a source or a target: rows of the position table."""
    dropout: ProperShare = 0.1
    """Dropout after embeddings, attention and feed-forward, and before a classifier."""
    attention_dropout: ProperShare = 0.1
    """Dropout of attention weights."""

    def check(self) -> None:
        """Heads share the width evenly."""
        super().check()
        self.require("hidden_size", f"a multiple of num_heads {self.num_heads}", self.hidden_size % self.num_heads == 0)


class BertConfig(_Transformer):
    """A bidirectional Transformer encoder; the defaults are BERT-base, uncased."""

    intermediate_size: Annotated[Size, Alias("feed_forward")] = 3072
    """Inner width of a block's feed-forward part."""


class GPT2Config(_Transformer):
    """A causal Transformer decoder whose output shares the embeddings; the defaults are GPT-2, 124M."""

    vocab_size: Size = 50257
    eos_id: int = 1
    """Token that ends a document."""
    max_length: Size = 1024


class MarianConfig(_Transformer):
    """An encoder–decoder Transformer with one embedding for both sides; the defaults are the paper's base model."""

    vocab_size: Size = 58101
    """Tokens that the tokenizer, one for both languages, knows."""
    eos_id: int = 1
    """Token that ends a sentence; decoding starts from `pad_id`."""
    hidden_size: Size = 512
    num_layers: Annotated[Layers, Alias("layers")] = 6
    num_heads: Annotated[PositiveInt, Alias("heads")] = 8
    intermediate_size: Annotated[Size, Alias("feed_forward")] = 2048
    """Inner width of a block's feed-forward part."""
    attention_dropout: ProperShare = 0.0

    def check(self) -> None:
        """The table of sinusoids is computed, so it takes memory before any weight is read."""
        super().check()
        size = self.max_length * self.hidden_size
        self.require("max_length", f"at most {_TABLE} numbers with hidden_size {self.hidden_size}", size <= _TABLE)


class LSTMConfig(_Vocabulary):
    """A recurrent text classifier; the defaults are those of the Keras tutorial."""

    vocab_size: Size = 10000
    """Tokens that the tokenizer knows."""
    embedding_size: Size = 64
    """Width of a token's embedding."""
    hidden_size: Size = 128
    """Width of the recurrent state."""
    dropout: ProperShare = 0.5
    """Dropout between the last state and the classifier."""


class TokenizerConfig(Config):
    """How a tokenizer is learned from the training texts."""

    kind: Literal["wordpiece", "bpe", "words"] = "wordpiece"
    """`wordpiece` (BERT), byte-level `bpe` (GPT-2), or whole `words`, lower-case and without punctuation (Keras)."""
    vocab_size: Size = 30522
    """Most tokens; small corpora give fewer."""
    max_length: Annotated[Size, Interval(ge=4)] = 512
    """Most tokens of a sample, special ones included; longer training texts are cut."""
    min_frequency: PositiveInt = 2
    """Occurrences that a word or a merge needs to get a token."""
    lowercase: bool = True
    """Whether upper and lower case are the same; always so for `words`, never for `bpe`."""

    def check(self) -> None:
        """Byte-level BPE holds all 256 bytes, so that no text is unknown to it."""
        least = 258 if self.kind == "bpe" else 8
        self.require("vocab_size", f"at least {least} for {self.kind}", self.vocab_size >= least)


class BertTokenizerConfig(TokenizerConfig):
    """WordPiece with `[CLS]` and `[SEP]`, as BERT reads."""

    kind: Literal["wordpiece"] = "wordpiece"


class GPT2TokenizerConfig(TokenizerConfig):
    """Byte-level BPE, as GPT-2 reads."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: Size = 50257
    max_length: Annotated[Size, Interval(ge=4)] = 1024
    lowercase: bool = False


class MarianTokenizerConfig(TokenizerConfig):
    """Byte-level BPE learned from both sides of the pairs."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: Size = 16000
    max_length: Annotated[Size, Interval(ge=4)] = 512
    lowercase: bool = False


class LSTMTokenizerConfig(TokenizerConfig):
    """Whole words by frequency, as Keras' `TextVectorization`; WordPiece if asked for."""

    kind: Literal["words", "wordpiece"] = "words"
    vocab_size: Size = 10000
    max_length: Annotated[Size, Interval(ge=4)] = 100
    min_frequency: PositiveInt = 1


class FillMaskConfig(Config):
    """Masked language modelling (Devlin et al., 2019, section 3.1)."""

    mask_ratio: Annotated[float, Interval(gt=0, lt=1)] = 0.15
    """Share of the tokens to predict: 80 % of them become the mask, 10 % a random token, 10 % stay."""


class TextGenerationConfig(Config):
    """Causal language modelling."""

    prompts: tuple[str, ...] = ("", "", "")
    """Beginnings that every evaluation continues for `samples.txt`; an empty one starts a document."""
    sample_tokens: PositiveInt = 100
    """Length of those continuations in tokens."""


class TextToTextConfig(Config):
    """Turning a text into another one, learned by teacher forcing."""

    label_smoothing: ProperShare = 0.0
    """Share of the target probability that is spread over the vocabulary (Szegedy et al., 2016); 0.1 in most papers."""
    generate_samples: NonNegativeInt = 200
    """Most samples that an evaluation also generates for, spread evenly over the split; 0 for none."""
    beams: PositiveInt = 1
    """Beams of those generations; 1 is greedy."""


class FillMaskOptions(Config):
    """Options of a fill-mask prediction."""

    top_k: Annotated[PositiveInt, Alias("top")] = 5
    """Candidates per mask."""
    truncate: bool = False
    """Cut a text that is longer than the model reads, rather than refuse it."""


class TextGenerationOptions(Config):
    """Options of a text generation."""

    max_new_tokens: PositiveInt = 100
    """Most tokens to add."""
    temperature: NonNegativeFloat = 1.0
    """Flattens (above 1) or sharpens the distribution; 0 always takes the likeliest token."""
    top_k: Annotated[NonNegativeInt, Alias("top")] = 0
    """Draw from this many likeliest tokens; 0 for all."""
    top_p: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Draw from the fewest tokens that hold this much probability (Holtzman et al., 2020)."""
    repetition_penalty: PositiveFloat = 1.0
    """Divides the scores of tokens that occurred already (Keskar et al., 2019); 1 for none."""
    stop: tuple[Annotated[str, MinLen(1)], ...] = ()
    """The text ends before the first of these strings."""
    num_return: PositiveInt = 1
    """Continuations per input, each with its own draws."""
    seed: Seed = 0
    """Seed of the draws; the same seed gives the same text."""
    truncate: bool = False
    """Keep the end of an input that is longer than the model reads, rather than refuse it."""


class ClassificationOptions(Config):
    """Options of a classification."""

    top_k: Annotated[NonNegativeInt, Alias("top")] = 0
    """Labels to name with their probabilities, likeliest first; 0 for all."""
    truncate: bool = False
    """Cut a text that is longer than the model reads, rather than refuse it."""


class TextRegressionOptions(Config):
    """Options of a regression."""

    truncate: bool = False
    """Cut a text that is longer than the model reads, rather than refuse it."""


class TextToTextOptions(Config):
    """Options of a translation or a summary."""

    beams: PositiveInt = 1
    """Beams of the search; 1 is greedy."""
    max_new_tokens: NonNegativeInt = 0
    """Most tokens of the answer; 0 for as many as the model can write."""
    truncate: bool = False
    """Cut a text that is longer than the model reads, rather than refuse it."""


class EmbeddingOptions(Config):
    """Options of a sentence embedding."""

    normalize: bool = True
    """Scale every embedding to length 1, so that a dot product is the cosine."""
    truncate: bool = False
    """Cut a text that is longer than the model reads, rather than refuse it."""
