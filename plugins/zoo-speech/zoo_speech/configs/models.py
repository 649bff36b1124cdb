"""What a recipe or a caller may set of speech models and of what prepares their input; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from zoo_core.contract import require_layers, require_sizes


@dataclass(frozen=True, kw_only=True)
class WhisperConfig:
    """An encoder of log-mel frames and a decoder of text (Radford et al., 2022); the defaults are tiny.en's."""

    vocab_size: int = 51864
    """Tokens of the decoder; 51,865 and more in multilingual models."""
    n_mels: int = 80
    """Mel bands of the input."""
    hidden_size: int = 384
    """Width of both sides."""
    encoder_layers: int = 4
    """Blocks of the encoder."""
    decoder_layers: int = 4
    """Blocks of the decoder."""
    heads: int = 6
    """Attention heads per block."""
    feed_forward: int = 1536
    """Inner width of a block's feed-forward part."""
    max_frames: int = 3000
    """Most frames of an input, 100 a second; the encoder halves them."""
    max_length: int = 448
    """Most tokens of a transcript with its prompt: rows of the decoder's position table."""
    dropout: float = 0.0
    """Dropout after embeddings, attention and feed-forward."""
    start_id: int = 50257
    """Token that decoding starts from."""
    eos_id: int = 50256
    """Token that ends a transcript; also fills up short ones."""

    def __post_init__(self) -> None:
        """Refuse what no model could be built from."""
        require_layers(self, "encoder_layers", "decoder_layers")
        require_sizes(self, "vocab_size", "n_mels", "hidden_size", "feed_forward", "max_frames", "max_length")
        for name in ("n_mels", "hidden_size", "encoder_layers", "decoder_layers", "heads", "feed_forward"):
            require(self, name, "at least 1", getattr(self, name) >= 1)
        require(self, "hidden_size", f"a multiple of {self.heads} heads, and even", self.hidden_size % self.heads == 0)
        require(self, "hidden_size", "even", self.hidden_size % 2 == 0)
        require(self, "max_frames", "even and at least 2", self.max_frames >= 2 and self.max_frames % 2 == 0)
        require(self, "max_length", "at least 2", self.max_length >= 2)
        require(self, "dropout", "from 0 to below 1", 0 <= self.dropout < 1)
        for name in ("start_id", "eos_id"):
            require(
                self, name, f"a token below vocab_size {self.vocab_size}", 0 <= getattr(self, name) < self.vocab_size
            )


@dataclass(frozen=True, kw_only=True)
class Wav2Vec2Config:
    """A convolutional encoder of the waveform and a Transformer over its frames; the default sizes are the paper's base model's."""

    layout: Literal["large", "base"] = "large"
    """`large`: convolutions are normalised by frame and have biases, blocks normalise what they are given, as the authors'
    larger models do; `base`: the first convolution is normalised over time, blocks normalise what they give."""
    vocab_size: int = 32
    """Symbols that a CTC head tells apart, blank included."""
    conv_widths: tuple[int, ...] = (512, 512, 512, 512, 512, 512, 512)
    """Channels of the convolutions over the waveform."""
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    """Their kernels in frames."""
    conv_strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    """Their strides; together they are the samples from one frame to the next, 320 here, 20 ms at 16 kHz."""
    hidden_size: int = 768
    """Width of the Transformer."""
    layers: int = 12
    """Its blocks."""
    heads: int = 12
    """Attention heads per block."""
    feed_forward: int = 3072
    """Inner width of a block's feed-forward part."""
    position_kernel: int = 128
    """Kernel in frames of the convolution that tells positions."""
    position_groups: int = 16
    """Its groups."""
    dropout: float = 0.1
    """Dropout after projections, in blocks and before a head."""
    attention_dropout: float = 0.1
    """Dropout of attention weights."""
    layer_drop: float = 0.0
    """Probability of leaving a block out while training (Fan et al., 2020)."""
    code_groups: int = 2
    """Codebooks of the quantizer, for pretraining."""
    codes: int = 320
    """Entries of each codebook."""
    code_size: int = 256
    """Width of a quantized frame, all codebooks together, and of the space where it is compared."""
    embedding_size: int = 192
    """Width of the embedding of a voice, for speaker verification."""

    def __post_init__(self) -> None:
        """Refuse what no model could be built from."""
        require_layers(self, "layers")
        require_sizes(self, "vocab_size", "hidden_size", "feed_forward", "position_kernel", "codes", "code_size")
        require_sizes(self, "conv_widths", "conv_kernels", "conv_strides", "embedding_size")
        counts = {len(self.conv_widths), len(self.conv_kernels), len(self.conv_strides)}
        require(self, "conv_widths", "as many as conv_kernels and conv_strides, at least one", len(counts) == 1)
        every = (*self.conv_widths, *self.conv_kernels, *self.conv_strides)
        require(self, "conv_widths", "above 0, as are kernels and strides", bool(every) and min(every) >= 1)
        for name in (
            "vocab_size",
            "hidden_size",
            "layers",
            "heads",
            "feed_forward",
            "position_kernel",
            "codes",
            "embedding_size",
        ):
            require(self, name, "at least 1", getattr(self, name) >= 1)
        require(self, "hidden_size", f"a multiple of {self.heads} heads", self.hidden_size % self.heads == 0)
        groups = max(1, self.position_groups)
        require(self, "position_groups", "a divisor of hidden_size", self.hidden_size % groups == 0)
        require(self, "code_groups", "a divisor of code_size", self.code_size % max(1, self.code_groups) == 0)
        for name in ("dropout", "attention_dropout", "layer_drop"):
            require(self, name, "from 0 to below 1", 0 <= getattr(self, name) < 1)

    @property
    def hop(self) -> int:
        """Samples of the waveform from one frame to the next."""
        product = 1
        for stride in self.conv_strides:
            product *= stride
        return product


@dataclass(frozen=True, kw_only=True)
class SpeechReaderConfig:
    """How recordings and transcripts become what a model reads."""

    sampling_rate: int = 16_000
    """Samples a second; recordings of another rate are resampled."""
    max_seconds: float = 30.0
    """Longest recording that is read in one piece."""
    text: Literal["characters", "none"] = "characters"
    """How transcripts are spelled: `characters` learns the symbols of the training split; `none` for unlabelled audio."""
    case: Literal["lower", "keep"] = "lower"
    """Whether transcripts are written in small letters."""
    punctuation: Literal["remove", "keep"] = "remove"
    """Whether anything but letters, digits, apostrophes and spaces is left out of transcripts."""

    def __post_init__(self) -> None:
        """Refuse rates and lengths out of range."""
        require(self, "sampling_rate", "from 4000 to 48000", 4000 <= self.sampling_rate <= 48_000)
        require(self, "max_seconds", "from 0.1 to 3600", 0.1 <= self.max_seconds <= 3600)


@dataclass(frozen=True, kw_only=True)
class WhisperReaderConfig:
    """What Whisper was trained with; a recipe may change the prompt."""

    sampling_rate: int = 16_000
    """Samples a second; recordings of another rate are resampled."""
    max_seconds: float = 30.0
    """Longest recording that is read in one piece; longer ones are read piece by piece."""
    prompt: tuple[str, ...] = ("<|startoftranscript|>", "<|notimestamps|>")
    """Tokens that every transcript begins with; multilingual models name the language and the task in between."""
    multilingual: bool = False
    """Whether the prompt names a language."""
    suppressed: tuple[int, ...] = ()
    """Tokens that are never written, as those of noises and brackets."""
    suppressed_first: tuple[int, ...] = ()
    """Tokens that no transcript begins with, as its end."""
    timestamps: bool = True
    """Whether the model has learned to say when it is said; false for what is fine-tuned here, from texts without times."""

    def __post_init__(self) -> None:
        """Refuse rates and lengths that no Whisper has."""
        require(self, "sampling_rate", "16000, as all of Whisper's models need", self.sampling_rate == 16_000)
        require(self, "max_seconds", "above 0 and at most 30", 0 < self.max_seconds <= 30)
        require(self, "prompt", "at least one token", bool(self.prompt))


def require(config: Any, name: str, wanted: str, holds: bool) -> None:
    """Raise `ValueError` naming the field unless it is as wanted."""
    if not holds:
        raise ValueError(f"{name}: must be {wanted}, found {getattr(config, name)}")
