"""What a recipe or a caller may set of speech models and of what prepares their input; free of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from zoo_core.contract import Alias, Config, Interval, Layers, MinLen, MultipleOf, PositiveInt, ProperShare, Size, Sizes


class WhisperConfig(Config):
    """An encoder of log-mel frames and a decoder of text (Radford et al., 2022); the defaults are tiny.en's."""

    vocab_size: Size = 51864
    """Tokens of the decoder; 51,865 and more in multilingual models."""
    n_mels: Size = 80
    """Mel bands of the input."""
    hidden_size: Annotated[Size, MultipleOf(2)] = 384
    """Width of both sides."""
    encoder_layers: Layers = 4
    """Blocks of the encoder."""
    decoder_layers: Layers = 4
    """Blocks of the decoder."""
    num_heads: Annotated[PositiveInt, Alias("heads")] = 6
    """Attention heads per block."""
    intermediate_size: Annotated[Size, Alias("feed_forward")] = 1536
    """Inner width of a block's feed-forward part."""
    max_frames: Annotated[Size, MultipleOf(2)] = 3000
    """Most frames of an input, 100 a second; the encoder halves them."""
    max_length: Annotated[Size, Interval(ge=2)] = 448
    """Most tokens of a transcript with its prompt: rows of the decoder's position table."""
    dropout: ProperShare = 0.0
    """Dropout after embeddings, attention and feed-forward."""
    start_id: int = 50257
    """Token that decoding starts from."""
    eos_id: int = 50256
    """Token that ends a transcript; also fills up short ones."""

    def check(self) -> None:
        """Heads share the width evenly, and special tokens are tokens."""
        self.require("hidden_size", f"a multiple of num_heads {self.num_heads}", self.hidden_size % self.num_heads == 0)
        for name in ("start_id", "eos_id"):
            token = getattr(self, name)
            self.require(name, f"a token below vocab_size {self.vocab_size}", 0 <= token < self.vocab_size)


class Wav2Vec2Config(Config):
    """A convolutional encoder of the waveform and a Transformer over its frames; the default sizes are the paper's base model's."""

    layout: Literal["large", "base"] = "large"
    """`large`: convolutions are normalised by frame and have biases, blocks normalise what they are given, as the authors'
    larger models do; `base`: the first convolution is normalised over time, blocks normalise what they give."""
    vocab_size: Size = 32
    """Symbols that a CTC head tells apart, blank included."""
    conv_widths: Annotated[Sizes, MinLen(1)] = (512, 512, 512, 512, 512, 512, 512)
    """Channels of the convolutions over the waveform."""
    conv_kernels: Sizes = (10, 3, 3, 3, 3, 2, 2)
    """Their kernels in frames."""
    conv_strides: Sizes = (5, 2, 2, 2, 2, 2, 2)
    """Their strides; together they are the samples from one frame to the next, 320 here, 20 ms at 16 kHz."""
    hidden_size: Size = 768
    """Width of the Transformer."""
    num_layers: Annotated[Layers, Alias("layers")] = 12
    """Its blocks."""
    num_heads: Annotated[PositiveInt, Alias("heads")] = 12
    """Attention heads per block."""
    intermediate_size: Annotated[Size, Alias("feed_forward")] = 3072
    """Inner width of a block's feed-forward part."""
    position_kernel: Size = 128
    """Kernel in frames of the convolution that tells positions."""
    position_groups: PositiveInt = 16
    """Its groups."""
    dropout: ProperShare = 0.1
    """Dropout after projections, in blocks and before a head."""
    attention_dropout: ProperShare = 0.1
    """Dropout of attention weights."""
    layer_drop: ProperShare = 0.0
    """Probability of leaving a block out while training (Fan et al., 2020)."""
    code_groups: PositiveInt = 2
    """Codebooks of the quantizer, for pretraining."""
    codes: Size = 320
    """Entries of each codebook."""
    code_size: Size = 256
    """Width of a quantized frame, all codebooks together, and of the space where it is compared."""
    embedding_size: Size = 192
    """Width of the embedding of a voice, for speaker verification."""

    def check(self) -> None:
        """Every convolution has a width, a kernel and a stride; heads and groups share widths evenly."""
        counts = {len(self.conv_widths), len(self.conv_kernels), len(self.conv_strides)}
        self.require("conv_widths", "as many as conv_kernels and conv_strides", len(counts) == 1)
        self.require("hidden_size", f"a multiple of num_heads {self.num_heads}", self.hidden_size % self.num_heads == 0)
        self.require("position_groups", "a divisor of hidden_size", self.hidden_size % self.position_groups == 0)
        self.require("code_groups", "a divisor of code_size", self.code_size % self.code_groups == 0)

    @property
    def hop(self) -> int:
        """Samples of the waveform from one frame to the next."""
        product = 1
        for stride in self.conv_strides:
            product *= stride
        return product


class SpeechReaderConfig(Config):
    """How recordings and transcripts become what a model reads."""

    sampling_rate: Annotated[int, Interval(ge=4000, le=48_000)] = 16_000
    """Samples a second; recordings of another rate are resampled."""
    max_seconds: Annotated[float, Interval(ge=0.1, le=3600)] = 30.0
    """Longest recording that is read in one piece."""
    text: Literal["characters", "none"] = "characters"
    """How transcripts are spelled: `characters` learns the symbols of the training split; `none` for unlabelled audio."""
    case: Literal["lower", "keep"] = "lower"
    """Whether transcripts are written in small letters."""
    punctuation: Literal["remove", "keep"] = "remove"
    """Whether anything but letters, digits, apostrophes and spaces is left out of transcripts."""


class WaveformReaderConfig(SpeechReaderConfig):
    """For encoders that have nothing to do with transcripts."""

    text: Literal["characters", "none"] = "none"


class WhisperReaderConfig(Config):
    """What Whisper was trained with; a recipe may change the prompt."""

    sampling_rate: Literal[16_000] = 16_000
    """Samples a second; recordings of another rate are resampled."""
    max_seconds: Annotated[float, Interval(gt=0, le=30)] = 30.0
    """Longest recording that is read in one piece; longer ones are read piece by piece."""
    prompt: Annotated[tuple[str, ...], MinLen(1)] = ("<|startoftranscript|>", "<|notimestamps|>")
    """Tokens that every transcript begins with; multilingual models name the language and the task in between."""
    multilingual: bool = False
    """Whether the prompt names a language."""
    suppressed: tuple[int, ...] = ()
    """Tokens that are never written, as those of noises and brackets."""
    suppressed_first: tuple[int, ...] = ()
    """Tokens that no transcript begins with, as its end."""
    timestamps: bool = True
    """Whether the model has learned to say when it is said; false for what is fine-tuned here, from texts without times."""
