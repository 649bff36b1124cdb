"""What models learn and answer."""

from __future__ import annotations

from zoo_core.contract import InterfaceSpec, TaskSpec
from zoo_speech.specs.samples import LABELLED_SPEECH, SPEECH, TRANSCRIBED_SPEECH

SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".aif", ".aiff", ".aifc", ".g722", ".722", ".m4a", ".mp4", ".aac",
    ".webm", ".mka", ".mkv", ".amr",
)  # fmt: skip
"""Files that the inputs of tasks are."""

INTERFACES = [
    InterfaceSpec(
        name="speech-encoder",
        summary="forward(samples, lengths) gives logits for audio-classification and num_features features for other tasks; a "
        "preprocessor with sampling_rate, most_samples, waveform and standardised",
        target="zoo_speech.interfaces:SpeechEncoder",
        preprocessor_protocol="zoo_speech.interfaces:StandardisedPreprocessor",
        preprocessor="zoo_speech.preprocessor:SpeechReader",
        preprocessor_config="zoo_speech.configs.models:WaveformReaderConfig",
    ),
    InterfaceSpec(
        name="speech-frames",
        summary="forward(samples, lengths) gives logits of symbols for each frame and the frames of each recording, a frame for "
        "hop samples; a SpeechReader with characters",
        target="zoo_speech.interfaces:SpeechFrames",
        preprocessor="zoo_speech.preprocessor:SpeechReader",
        preprocessor_config="zoo_speech.configs.models:SpeechReaderConfig",
    ),
]

TASKS: list[TaskSpec] = [
    TaskSpec(
        name="automatic-speech-recognition",
        summary="recordings of any length to text, by an encoder and a decoder",
        target="zoo_speech.tasks.whisper_recognition:Recognition",
        config="zoo_speech.configs.tasks:RecognitionConfig",
        reads=(TRANSCRIBED_SPEECH,),
        labelled=True,
        loss="cross-entropy",
        loss_inputs=("logits", "labels"),
        predict="zoo_speech.configs.tasks:RecognitionOptions",
        outputs=("text", "segments", "language", "file", "plot"),
    ),
    TaskSpec(
        name="wav2vec2-pretraining",
        summary="tell the quantised frame behind a mask from others, without transcripts",
        target="zoo_speech.tasks.wav2vec2_pretraining:Wav2Vec2Pretraining",
        config="zoo_speech.configs.tasks:Wav2Vec2PretrainingConfig",
        reads=(SPEECH,),
        labelled=False,
        loss="wav2vec2-contrastive",
        loss_inputs=("predictions", "targets", "distractors", "probabilities"),
    ),
    TaskSpec(
        name="ctc-speech-recognition",
        interface="speech-frames",
        summary="recordings to text, by an encoder whose frames are characters or blanks",
        target="zoo_speech.tasks.ctc_recognition:CTCRecognition",
        config="zoo_speech.configs.tasks:CTCConfig",
        reads=(TRANSCRIBED_SPEECH,),
        labelled=True,
        loss="ctc",
        loss_inputs=("log_probs", "lengths", "targets", "target_lengths"),
        predict="zoo_speech.configs.tasks:CTCOptions",
        outputs=("text", "segments", "file", "plot"),
    ),
    TaskSpec(
        name="audio-classification",
        interface="speech-encoder",
        summary="recordings to one of several classes: words, languages, speakers",
        target="zoo_speech.tasks.audio_classification:AudioClassification",
        config="zoo_speech.configs.tasks:AudioClassificationConfig",
        reads=(LABELLED_SPEECH,),
        labelled=True,
        loss="cross-entropy",
        loss_inputs=("logits", "labels"),
        predict="zoo_speech.configs.tasks:AudioClassificationOptions",
        outputs=("label", "score", "scores", "plot"),
    ),
    TaskSpec(
        name="speaker-verification",
        interface="speech-encoder",
        summary="whether one voice speaks in two recordings, by embeddings of voices",
        target="zoo_speech.tasks.speaker_verification:SpeakerVerification",
        config="zoo_speech.configs.tasks:SpeakerVerificationConfig",
        reads=(LABELLED_SPEECH,),
        labelled=True,
        loss="additive-angular-margin",
        loss_inputs=("cosines", "labels"),
        predict="zoo_speech.configs.tasks:SpeakerVerificationOptions",
        outputs=("same", "score", "embedding"),
    ),
    TaskSpec(
        name="speech-feature-extraction",
        interface="speech-encoder",
        summary="embeddings of recordings: the mean of an encoder's states",
        target="zoo_speech.tasks.feature_extraction:FeatureExtraction",
        reads=(SPEECH,),
        labelled=False,
        predict="zoo_speech.configs.tasks:EmbeddingOptions",
        outputs=("embedding", "frames"),
    ),
]
