"""The speech losses, as the plugin offers them; free of torch."""

from __future__ import annotations

from zoo_core.contract import LossSpec

LOSSES: list[LossSpec] = [
    LossSpec(
        name="ctc",
        summary="negative log-likelihood of the symbols over all their alignments with the frames; class 0 is the blank",
        target="zoo_speech.losses:ctc",
        inputs=("log_probs", "lengths", "targets", "target_lengths"),
        paper=(
            "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks, "
            "Graves et al., ICML 2006, equation 3 and section 4.1"
        ),
    ),
    LossSpec(
        name="transducer",
        summary="negative log-likelihood over all alignments of a joint network (RNN-T); class 0 is the blank",
        target="zoo_speech.losses:transducer",
        inputs=("logits", "lengths", "targets", "target_lengths"),
        paper="Sequence Transduction with Recurrent Neural Networks, Graves 2012, section 2.4, arXiv 1211.3711",
    ),
    LossSpec(
        name="wav2vec2-contrastive",
        summary="tell the quantised frame behind each mask from distractors, and use all codewords",
        target="zoo_speech.losses:wav2vec2_contrastive",
        config="zoo_speech.configs.losses:Wav2Vec2ContrastiveConfig",
        inputs=("predictions", "targets", "distractors", "probabilities"),
        paper=(
            "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations, Baevski et al., "
            "NeurIPS 2020, equations 2 to 4, arXiv 2006.11477"
        ),
    ),
    LossSpec(
        name="additive-angular-margin",
        summary="cross-entropy over cosines with classes, the angle to the true one made wider by a margin",
        target="zoo_speech.losses:additive_angular_margin",
        config="zoo_speech.configs.losses:AdditiveAngularMarginConfig",
        inputs=("cosines", "labels"),
        paper=(
            "ArcFace: Additive Angular Margin Loss for Deep Face Recognition, Deng et al., CVPR 2019, equation 3, "
            "arXiv 1801.07698"
        ),
    ),
]
