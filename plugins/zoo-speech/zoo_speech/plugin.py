"""What zoo-speech brings: models that hear, losses, data and tasks. Imports nothing heavy."""

from __future__ import annotations

from zoo_core.contract import DataSpec, LossSpec, ModelSpec, TaskSpec, hookimpl
from zoo_speech.specs.data import DATA
from zoo_speech.specs.losses import LOSSES

zoo_api = (2, 0)

_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aif", ".aiff", ".aifc", ".g722", ".722", ".m4a", ".mp4", ".aac",
    ".webm", ".mka", ".mkv", ".amr",
)  # fmt: skip

_WAV2VEC2 = ModelSpec(
    name="wav2vec2",
    summary="convolutions over the waveform and a Transformer over their frames, pretrained by masking",
    target="zoo_speech.models.wav2vec2:build",
    config="zoo_speech.configs.models:Wav2Vec2Config",
    modality="speech",
    sizes={
        "nano": {
            "conv_widths": (32, 32, 32, 32, 48, 48, 64), "hidden_size": 128, "layers": 3, "heads": 4,
            "feed_forward": 512, "position_kernel": 32, "codes": 64, "code_size": 64,
        },
        "tiny": {
            "conv_widths": (32, 32, 64, 64, 64, 64, 64), "hidden_size": 192, "layers": 4, "heads": 4,
            "feed_forward": 768, "position_kernel": 32, "codes": 64, "code_size": 64,
        },
        "small": {"conv_widths": (256,) * 7, "hidden_size": 384, "layers": 6, "heads": 6, "feed_forward": 1536},
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
    gradient_checkpointing="zoo_speech.models.common:checkpoint_activations",
    interop="zoo_speech.interop.wav2vec2:Wav2Vec2Interop",
    license="Apache-2.0",
    paper="wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations, NeurIPS 2020, arXiv 2006.11477",
)  # fmt: skip

_WHISPER = ModelSpec(
    name="whisper",
    summary="an encoder of log-mel frames and a decoder of text",
    target="zoo_speech.models.whisper:build",
    config="zoo_speech.configs.models:WhisperConfig",
    modality="speech",
    sizes={
        "tiny_en": {},
        "tiny": {"vocab_size": 51865, "start_id": 50258, "eos_id": 50257},
        "base": {
            "vocab_size": 51865, "start_id": 50258, "eos_id": 50257, "hidden_size": 512, "encoder_layers": 6,
            "decoder_layers": 6, "heads": 8, "feed_forward": 2048,
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
    gradient_checkpointing="zoo_speech.models.common:checkpoint_activations",
    interop="zoo_speech.interop.whisper:WhisperInterop",
    checkpoints={"whisper_tiny_en.openai": "zoo_speech.interop.packaged:whisper_tiny_en"},
    license="Apache-2.0",
    paper="Robust Speech Recognition via Large-Scale Weak Supervision, 2022, arXiv 2212.04356",
)  # fmt: skip

_TASKS: list[TaskSpec] = [
    TaskSpec(
        name="automatic-speech-recognition",
        summary="recordings of any length to text, by an encoder and a decoder",
        target="zoo_speech.tasks.whisper_recognition:Recognition",
        config="zoo_speech.configs.tasks:RecognitionConfig",
        modality="speech",
        data=("transcribed-speech",),
        labelled=True,
        loss="cross-entropy",
        loss_inputs=("logits", "labels"),
        predict="zoo_speech.configs.tasks:RecognitionOptions",
        outputs=("text", "segments", "language", "file", "picture"),
        input_suffixes=_SUFFIXES,
    ),
    TaskSpec(
        name="wav2vec2-pretraining",
        summary="tell the quantised frame behind a mask from others, without transcripts",
        target="zoo_speech.tasks.wav2vec2_pretraining:Wav2Vec2Pretraining",
        config="zoo_speech.configs.tasks:Wav2Vec2PretrainingConfig",
        modality="speech",
        data=("speech", "transcribed-speech", "labelled-speech"),
        labelled=False,
        loss="wav2vec2-contrastive",
        loss_inputs=("predictions", "targets", "distractors", "probabilities"),
    ),
    TaskSpec(
        name="ctc-speech-recognition",
        summary="recordings to text, by an encoder whose frames are characters or blanks",
        target="zoo_speech.tasks.ctc_recognition:CTCRecognition",
        config="zoo_speech.configs.tasks:CTCConfig",
        modality="speech",
        data=("transcribed-speech",),
        labelled=True,
        loss="ctc",
        loss_inputs=("log_probs", "lengths", "targets", "target_lengths"),
        predict="zoo_speech.configs.tasks:CTCOptions",
        outputs=("text", "segments", "file", "picture"),
        input_suffixes=_SUFFIXES,
    ),
    TaskSpec(
        name="audio-classification",
        summary="recordings to one of several classes: words, languages, speakers",
        target="zoo_speech.tasks.audio_classification:AudioClassification",
        config="zoo_speech.configs.tasks:AudioClassificationConfig",
        modality="speech",
        data=("labelled-speech",),
        labelled=True,
        loss="cross-entropy",
        loss_inputs=("logits", "labels"),
        predict="zoo_speech.configs.tasks:AudioClassificationOptions",
        outputs=("label", "score", "scores", "picture"),
        input_suffixes=_SUFFIXES,
    ),
    TaskSpec(
        name="speaker-verification",
        summary="whether one voice speaks in two recordings, by embeddings of voices",
        target="zoo_speech.tasks.speaker_verification:SpeakerVerification",
        config="zoo_speech.configs.tasks:SpeakerVerificationConfig",
        modality="speech",
        data=("labelled-speech",),
        labelled=True,
        loss="additive-angular-margin",
        loss_inputs=("cosines", "labels"),
        predict="zoo_speech.configs.tasks:SpeakerVerificationOptions",
        outputs=("same", "score", "embedding"),
        input_suffixes=_SUFFIXES,
    ),
    TaskSpec(
        name="speech-feature-extraction",
        summary="embeddings of recordings: the mean of an encoder's states",
        target="zoo_speech.tasks.feature_extraction:FeatureExtraction",
        modality="speech",
        data=("speech", "transcribed-speech", "labelled-speech"),
        labelled=False,
        predict="zoo_speech.configs.tasks:EmbeddingOptions",
        outputs=("embedding", "frames"),
        input_suffixes=_SUFFIXES,
    ),
]


@hookimpl
def zoo_models() -> list[ModelSpec]:
    """Families that hear."""
    return [_WHISPER, _WAV2VEC2]


@hookimpl
def zoo_data() -> list[DataSpec]:
    """Users' recordings, and named sets that packages ship."""
    return DATA


@hookimpl
def zoo_losses() -> list[LossSpec]:
    """Losses of sequences and of pretraining."""
    return LOSSES


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    """Pretraining, recognition, classification and embeddings."""
    return _TASKS
