"""What makes a library panic or abort costs one line, in a real process, with its backtraces switched on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification

from zoo_core.errors import CorruptFile
from zoo_core.storage.rehearsal import rehearse

PLAIN: dict[str, Any] = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"[PAD]": 0, "[UNK]": 1, "good": 2, "a": 3}, "unk_token": "[UNK]"},
}  # fmt: skip
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {},
}
PANICS: dict[str, dict[str, Any]] = {
    "no entry found for key": {"post_processor": TEMPLATE},
    "Cannot parse precompiled_charsmap": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
    "index out of bounds": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "CAAAAAEAAAD/////YWJj"}},
    "chunk size must be non-zero": {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
    "out of range for slice": {
        "model": {
            "type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]],
            "continuing_subword_prefix": "abcdefgh",
        }
    },
    "ended its process with SIGABRT": {
        "model": {
            "type": "BPE", "vocab": {"a": 0, "é": 1, "aé": 2}, "merges": [["a", "é"]], "continuing_subword_prefix": "#",
        }
    },
}  # fmt: skip


def tried(changes: dict[str, Any]) -> None:
    text = json.dumps({**PLAIN, **changes})
    settle = ("no_truncation", "no_padding")
    rehearse("tokenizers:Tokenizer", "from_str", settle, "encode", text, error=CorruptFile, what="t.json")


@pytest.mark.parametrize("reason", PANICS)
def test_what_panics_or_aborts_is_one_error(reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CorruptFile, match=rf"^t\.json: its library failed: .*{reason}"):
        tried(PANICS[reason])
    assert capfd.readouterr() == ("", "")


def test_what_answers_passes_and_what_is_no_json_needs_no_process() -> None:
    tried({})
    # A stride beyond the length is never used, because nothing is cut; an unknown word without a token for it is an answer.
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 5}
    tried({"truncation": cut, "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}})
    with pytest.raises(CorruptFile, match=r"^t\.json: not JSON: "):
        rehearse("nothing:there", "is", (), "asked", "{", error=CorruptFile, what="t.json")


def test_an_import_says_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    config = BertConfig(
        vocab_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=16, id2label={0: "neg", 1: "pos"},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    Tokenizer.from_str(json.dumps(PLAIN)).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer.json").write_text(json.dumps({**PLAIN, "post_processor": TEMPLATE}))
    environ = {**os.environ, "RUST_BACKTRACE": "1", "ZOO_HOME": str(tmp_path / "home"), "NO_COLOR": "1"}
    words = ["import", str(folder), "--model", "bert", "--name", "bert_tiny.theirs"]
    done = subprocess.run(
        [sys.executable, "-m", "zoo_core", *words],
        capture_output=True,
        text=True,
        env=environ,
        timeout=120,
        check=False,
    )
    lines = done.stderr.splitlines()
    assert done.returncode not in (0, 70) and done.stdout == ""
    assert len(lines) == 1 and "tokenizer.json: its library failed: no entry found for key" in lines[0]
