from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.utils import logging
from zoo_nlp.configs import models as configs
from zoo_nlp.interop.families import BertInterop, GPT2Interop, MarianInterop, TextInterop
from zoo_nlp.models import bert, gpt2, marian
from zoo_nlp.preprocessor import TextPreprocessor

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import ForeignCheckpoint, Head, to_data
from zoo_core.testing import PluginHost, build

HOST = PluginHost.discover({})
TEXTS = ["hello world, how are you?", "well said: the Quick brown Föx", "numbers 123 and 日本"] * 3
SMALL = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "max_length": 24}
FAMILIES: dict[str, tuple[type[TextInterop], Any, Any, Any]] = {
    "bert": (BertInterop, configs.BertConfig, configs.BertTokenizerConfig, bert.build),
    "gpt2": (GPT2Interop, configs.GPT2Config, configs.GPT2TokenizerConfig, gpt2.build),
    "marian": (MarianInterop, configs.MarianConfig, configs.MarianTokenizerConfig, marian.build),
}
CASES = [
    ("bert", Head(task="feature-extraction"), AutoModel),
    ("bert", Head(task="fill-mask"), AutoModelForMaskedLM),
    ("bert", Head(task="text-classification", labels=3), AutoModelForSequenceClassification),
    ("gpt2", Head(task="text-generation"), AutoModelForCausalLM),
    ("gpt2", Head(task="text-classification", labels=3), AutoModelForSequenceClassification),
    ("marian", Head(task="translation"), AutoModelForSeq2SeqLM),
    ("marian", Head(task="summarization"), AutoModelForSeq2SeqLM),
]
LABELS = ("bad", "fair", "good")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


def ours(family: str, head: Head) -> tuple[nn.Module, ForeignCheckpoint]:
    _, config_type, tokenizer_config, builder = FAMILIES[family]
    preprocessor = TextPreprocessor.fit(tokenizer_config(vocab_size=300, max_length=20), TEXTS)
    wide = {} if family == "gpt2" else {"intermediate_size": 64}
    config = config_type(**{**SMALL, **wide, **preprocessor.model_config()})
    torch.manual_seed(0)
    model = builder(config, head).eval()
    labels = LABELS if head.labels else ()
    return model, ForeignCheckpoint(config=to_data(config), head=head, labels=labels, preprocessor=preprocessor)


def write(folder: Path, family: str, model: nn.Module, foreign: ForeignCheckpoint) -> None:
    for name, data in FAMILIES[family][0]().write(foreign).items():
        (folder / name).write_bytes(data)
    save_file(build.weights(model), folder / "model.safetensors", metadata={"format": "pt"})


def small_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".json", ".txt")}


def read(folder: Path, family: str) -> tuple[nn.Module, ForeignCheckpoint]:
    """As the core reads a folder: every tensor has to fit."""
    interop = FAMILIES[family][0]()
    foreign = interop.read(small_files(folder))
    loaded = load_file(folder / "model.safetensors")
    tensors = interop.convert(loaded, foreign)
    config = FAMILIES[family][1](**foreign.config)
    model, _ = build.build_from(HOST, HOST.find("model", family), config, foreign.head, tensors, adaptable=False)
    return model.eval(), foreign


def outputs(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    extra = {"decoder_input_ids": ids} if hasattr(model, "final_logits_bias") else {}
    with torch.no_grad():
        output = model(input_ids=ids, **extra)
    return output.logits if hasattr(output, "logits") else output.last_hidden_state


@pytest.mark.parametrize(("family", "head", "auto"), CASES)
def test_transformers_opens_what_we_write(family: str, head: Head, auto: Any, tmp_path: Path) -> None:
    model, foreign = ours(family, head)
    write(tmp_path, family, model, foreign)
    theirs, info = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    preprocessor = foreign.preprocessor
    assert isinstance(preprocessor, TextPreprocessor)
    encode = preprocessor.encode_ended if family == "marian" else preprocessor.encode
    texts = ["well said, world", "Föx!"]
    assert tokenizer(texts)["input_ids"] == encode(texts, 99).rows()
    assert tokenizer.pad_token_id == preprocessor.special_id("pad")
    ids = torch.tensor(encode(texts[:1], 99).rows())
    assert torch.allclose(outputs(theirs.eval(), ids), outputs(model, ids), atol=1e-6)
    if head.labels:
        assert tuple(theirs.config.id2label.values()) == LABELS


@pytest.mark.parametrize(("family", "head", "auto"), CASES[:-1])
def test_we_open_what_transformers_writes(family: str, head: Head, auto: Any, tmp_path: Path) -> None:
    model, foreign = ours(family, head)
    (tmp_path / "ours").mkdir()
    write(tmp_path / "ours", family, model, foreign)
    theirs = auto.from_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    AutoTokenizer.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    again, found = read(tmp_path / "theirs", family)
    assert found.head == head and found.labels == foreign.labels
    assert found.config == foreign.config
    assert isinstance(found.preprocessor, TextPreprocessor) and isinstance(foreign.preprocessor, TextPreprocessor)
    assert found.preprocessor.max_length == 20 and found.preprocessor.kind == foreign.preprocessor.kind
    text = ["well said, world"]
    plain = [p.encode_plain(text).rows() for p in (found.preprocessor, foreign.preprocessor)]
    assert plain[0] == plain[1]
    ids = torch.tensor(plain[0])
    assert torch.allclose(outputs(again, ids), outputs(model, ids), atol=1e-6)


def test_our_own_files_read_back_equal(tmp_path: Path) -> None:
    for family, head, _ in CASES[:-1]:
        foreign = ours(family, head)[1]
        interop = FAMILIES[family][0]()
        back = interop.read(interop.write(foreign))
        assert (back.config, back.head, back.labels) == (foreign.config, foreign.head, foreign.labels)


def test_googles_vocabulary_file_is_read() -> None:
    files = BertInterop().write(ours("bert", Head(task="fill-mask"))[1])
    vocabulary = json.loads(files.pop("tokenizer.json"))["model"]["vocab"]
    del files["tokenizer_config.json"]
    files["vocab.txt"] = "\n".join(sorted(vocabulary, key=vocabulary.__getitem__)).encode()
    old = BertInterop().read(files).preprocessor
    new = ours("bert", Head(task="fill-mask"))[1].preprocessor
    assert isinstance(old, TextPreprocessor) and isinstance(new, TextPreprocessor)
    assert old.special == new.special and old.max_length == 24
    assert old.encode(TEXTS, 20).rows() == new.encode(TEXTS, 20).rows()


def test_openais_vocabulary_files_are_read() -> None:
    files = GPT2Interop().write(ours("gpt2", Head(task="text-generation"))[1])
    model = json.loads(files.pop("tokenizer.json"))["model"]
    del files["tokenizer_config.json"]
    model["vocab"]["<|endoftext|>"] = model["vocab"].pop("<eos>")
    files["vocab.json"] = json.dumps(model["vocab"]).encode()
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    files["merges.txt"] = "\n".join(["#version: 0.2", *merges, ""]).encode()
    found = GPT2Interop().read(files)
    old, new = found.preprocessor, ours("gpt2", Head(task="text-generation"))[1].preprocessor
    assert isinstance(old, TextPreprocessor) and isinstance(new, TextPreprocessor)
    assert old.special == {"pad": "<|endoftext|>", "eos": "<|endoftext|>"}
    assert found.config["pad_id"] == found.config["eos_id"] == 1
    assert old.encode_plain(TEXTS).rows() == new.encode_plain(TEXTS).rows()


def test_a_folder_without_a_tokenizer_is_read() -> None:
    for family, head, _ in CASES[:-1]:
        config = {"config.json": FAMILIES[family][0]().write(ours(family, head)[1])["config.json"]}
        found = FAMILIES[family][0]().read(config)
        assert found.preprocessor is None
        FAMILIES[family][1](**found.config)


def test_a_limit_that_means_none_is_the_models_own() -> None:
    files = BertInterop().write(ours("bert", Head(task="fill-mask"))[1])
    settings = json.loads(files["tokenizer_config.json"])
    files["tokenizer_config.json"] = json.dumps({**settings, "model_max_length": 10**30}).encode()
    found = BertInterop().read(files).preprocessor
    assert isinstance(found, TextPreprocessor) and found.max_length == 24


@pytest.mark.parametrize(
    ("family", "task", "names"),
    [
        (
            "bert",
            "fill-mask",
            {
                "bert.embeddings.LayerNorm.gamma": "bert.embeddings.LayerNorm.weight",
                "bert.embeddings.position_ids": None,
                "cls.predictions.decoder.weight": None,
                "cls.predictions.bias": "cls.predictions.bias",
                "cls.seq_relationship.weight": None,
                "bert.pooler.dense.weight": None,
            },
        ),
        ("bert", "text-classification", {"bert.pooler.dense.weight": "bert.pooler.dense.weight"}),
        (
            "gpt2",
            "text-generation",
            {
                "h.0.attn.bias": None,
                "h.0.attn.c_attn.bias": "transformer.h.0.attn.c_attn.bias",
                "transformer.h.0.ln_1.bias": "transformer.h.0.ln_1.bias",
                "lm_head.weight": None,
                "score.weight": "score.weight",
            },
        ),
        (
            "marian",
            "translation",
            {"model.encoder.embed_positions.weight": None, "model.shared.weight": "model.shared.weight"},
        ),
    ],
)
def test_names_of_older_checkpoints(family: str, task: str, names: dict[str, str | None]) -> None:
    keys = FAMILIES[family][0]().keys_of(task)
    for theirs, expected in names.items():
        assert list(keys.ours({theirs: torch.zeros(1)})) == ([expected] if expected else [])
        if expected:
            assert list(keys.theirs({expected: torch.zeros(1)})) == [expected]  # old names are not written


@pytest.mark.parametrize(
    ("family", "changes", "error", "message"),
    [
        (
            "bert",
            {"architectures": ["BertForQuestionAnswering"]},
            UsageError,
            "architectures: expected one of BertModel",
        ),
        ("bert", {"hidden_act": "relu"}, UsageError, 'hidden_act: expected "gelu", found "relu"'),
        ("bert", {"position_embedding_type": "relative_key"}, UsageError, "position_embedding_type"),
        ("bert", {"hidden_size": "x"}, CorruptFile, "hidden_size: expected a number, found 'x'"),
        ("bert", {"hidden_size": None}, CorruptFile, "hidden_size: expected a number, found None"),
        ("gpt2", {"n_inner": 100}, UsageError, "n_inner is 100"),
        ("gpt2", {"tie_word_embeddings": False}, UsageError, "tie_word_embeddings: expected true, found false"),
        ("marian", {"decoder_layers": 5}, UsageError, "encoder_layers and decoder_layers differ"),
        ("marian", {"scale_embedding": False}, UsageError, "scale_embedding: expected true, found false"),
    ],
)
def test_what_ours_cannot_express_is_refused(
    family: str, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    head = next(head for name, head, _ in CASES if name == family)
    files = FAMILIES[family][0]().write(ours(family, head)[1])
    files["config.json"] = json.dumps({**json.loads(files["config.json"]), **changes}).encode()
    with pytest.raises(error, match=message):
        FAMILIES[family][0]().read(files)


def test_labels_must_be_numbered_from_zero() -> None:
    head = Head(task="text-classification", labels=3)
    files = BertInterop().write(ours("bert", head)[1])
    for named in ({"0": "a", "2": "b"}, {"x": "a"}, ["a"], None):
        files["config.json"] = json.dumps({**json.loads(files["config.json"]), "id2label": named}).encode()
        with pytest.raises(CorruptFile, match="id2label"):
            BertInterop().read(files)


def test_broken_folders_are_named() -> None:
    with pytest.raises(CorruptFile, match=r"config.json is missing"):
        BertInterop().read({})
    files = GPT2Interop().write(ours("gpt2", Head(task="text-generation"))[1])
    with pytest.raises(CorruptFile, match=r"tokenizer.json: "):
        GPT2Interop().read({**files, "tokenizer.json": b"{}"})
    del files["tokenizer.json"]
    with pytest.raises(CorruptFile, match=r"merges.txt: "):
        GPT2Interop().read({**files, "vocab.json": b'{"a": 0}', "merges.txt": b"x y"})
    with pytest.raises(CorruptFile, match=r"the token <\|endoftext\|> is missing"):
        GPT2Interop().read({**files, "vocab.json": b'{"a": 0}', "merges.txt": b""})
