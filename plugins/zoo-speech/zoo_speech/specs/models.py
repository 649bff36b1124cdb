"""Families of models, with their sizes."""

from __future__ import annotations

from zoo_core.contract import ModelSpec

_WAV2VEC2 = ModelSpec(
    name="wav2vec2",
    summary="convolutions over the waveform and a Transformer over their frames, pretrained by masking",
    target="zoo_speech.models.wav2vec2:build",
    config="zoo_speech.configs.models:Wav2Vec2Config",
    sizes={
        "nano": {
            "conv_widths": (32, 32, 32, 32, 48, 48, 64), "hidden_size": 128, "num_layers": 3, "num_heads": 4,
            "intermediate_size": 512, "position_kernel": 32, "codes": 64, "code_size": 64,
        },
        "tiny": {
            "conv_widths": (32, 32, 64, 64, 64, 64, 64), "hidden_size": 192, "num_layers": 4, "num_heads": 4,
            "intermediate_size": 768, "position_kernel": 32, "codes": 64, "code_size": 64,
        },
        "small": {"conv_widths": (256,) * 7, "hidden_size": 384, "num_layers": 6, "num_heads": 6, "intermediate_size": 1536},
        "base": {"layout": "base"},
    },
    tasks=(
        "wav2vec2-pretraining", "ctc-speech-recognition", "audio-classification", "speaker-verification",
        "speech-feature-extraction",
    ),
    preprocessor="zoo_speech.preprocessor:SpeechReader",
    preprocessor_config="zoo_speech.configs.models:SpeechReaderConfig",
    backbone="wav2vec2.",
    head=("lm_head.", "quantizer.", "project_hid.", "project_q.", "projector.", "classifier.", "embedder."),
    layers=r"encoder\.layers\.(\d+)\.",
    gradient_checkpointing="zoo_transformers.building:checkpoint_activations",
    interop="zoo_speech.interop.wav2vec2:Wav2Vec2Interop",
    license="Apache-2.0",
    paper="wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations, NeurIPS 2020, arXiv 2006.11477",
)  # fmt: skip

_WHISPER = ModelSpec(
    name="whisper",
    summary="an encoder of log-mel frames and a decoder of text",
    target="zoo_speech.models.whisper:build",
    config="zoo_speech.configs.models:WhisperConfig",
    sizes={
        "tiny_en": {},
        "tiny": {"vocab_size": 51865, "start_id": 50258, "eos_id": 50257},
        "base": {
            "vocab_size": 51865, "start_id": 50258, "eos_id": 50257, "hidden_size": 512, "encoder_layers": 6,
            "decoder_layers": 6, "num_heads": 8, "intermediate_size": 2048,
        },
    },
    tasks=(
        "automatic-speech-recognition", "audio-classification", "speaker-verification", "speech-feature-extraction",
    ),
    preprocessor="zoo_speech.preprocessor:WhisperReader",
    preprocessor_config="zoo_speech.configs.models:WhisperReaderConfig",
    backbone="model.",
    # The decoder is recognition's head: whatever else is learned starts from the encoder.
    head=("model.decoder.", "proj_out.", "projector.", "classifier.", "embedder."),
    layers=r"layers\.(\d+)\.",
    adapt="zoo_speech.models.whisper:adapt",
    gradient_checkpointing="zoo_transformers.building:checkpoint_activations",
    interop="zoo_speech.interop.whisper:WhisperInterop",
    checkpoints={"whisper_tiny_en.openai": "zoo_speech.interop.packaged:TINY_EN"},
    license="Apache-2.0",
    paper="Robust Speech Recognition via Large-Scale Weak Supervision, 2022, arXiv 2212.04356",
)  # fmt: skip

MODELS = [_WHISPER, _WAV2VEC2]
