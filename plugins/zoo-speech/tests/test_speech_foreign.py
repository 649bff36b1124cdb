"""Fields of Transformers' folders: each is known, and those that change the answer are read or refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, WhisperConfig, WhisperFeatureExtractor
from zoo_speech.interop.fields import SPECTROGRAMS, WAV2VEC2, WAVEFORMS, WHISPER
from zoo_speech.interop.wav2vec2 import Wav2Vec2Interop
from zoo_transformers import labels_of

from zoo_core import UsageError
from zoo_core.contract import FieldRules


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        (WHISPER, WhisperConfig().to_dict()),
        (WAV2VEC2, Wav2Vec2Config().to_dict()),
        (SPECTROGRAMS, WhisperFeatureExtractor().to_dict()),
        (WAVEFORMS, Wav2Vec2FeatureExtractor().to_dict()),
    ],
)
def test_every_field_that_the_library_writes_is_known(rules: FieldRules, names: dict[str, Any]) -> None:
    """A new version of the library that adds a field fails here, and somebody decides what the field means."""
    known = {*rules.read, *rules.fixed, *rules.harmless, *rules.advice}
    assert {name for name in names if name not in known and not name.startswith("_")} == set()


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"quantization_config": {"bits": 4}}, "config.json: quantization_config: expected null"),
        ("config.json", {"auto_map": {"AutoModel": "x.Y"}}, "config.json: auto_map: expected a class"),
        ("config.json", {"problem_type": "regression"}, 'problem_type: expected one of .*found "regression"'),
        ("config.json", {"id2label": {"0": "one"}}, "problem_type: expected one of .*no word, and 1 output"),
        ("preprocessor_config.json", {"feature_size": 2}, "feature_size: expected 1, found 2"),
        ("preprocessor_config.json", {"padding_value": 1.0}, "padding_value: expected 0.0, found 1.0"),
        ("tokenizer_config.json", {"do_lower_case": True}, "do_lower_case: expected false, found true"),
    ],
)
def test_fields_that_change_the_answer_are_refused_by_name(file: str, changes: dict[str, Any], message: str) -> None:
    config = Wav2Vec2Config(architectures=["Wav2Vec2ForSequenceClassification"], classifier_proj_size=768).to_dict()
    files = {"config.json": config, "preprocessor_config.json": {}, "tokenizer_config.json": {}}
    files[file] |= changes
    with pytest.raises(UsageError, match=message):
        Wav2Vec2Interop().read({name: json.dumps(content).encode() for name, content in files.items()})


def test_labels_that_share_a_name_are_told_apart() -> None:
    assert labels_of({"id2label": {0: "x", 1: "x"}}) == ("x (0)", "x (1)")
