"""Damaged files at the strict readers: every one is read or one typed error, within bounds, whatever bytes it has."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import resource
import signal
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from zoo_core import CardError, ZooError
from zoo_core.contract import parse_yaml, read_object
from zoo_core.testing import INDEX, ForeignFolder, parquet_rows, parquet_schema, parse_card, read_archive, tensors

TRIALS = 1_000_000
TOGETHER = 2_000
"""Mutants of one child process."""
MEMORY = 1 << 30
"""Bytes that a child may have beyond what it starts with."""
SECONDS = 20
"""CPU time of one mutant."""

Reader = Callable[[bytes, Path], None]


class Kind(NamedTuple):
    """What is mutated, and who reads it."""

    seeds: Sequence[bytes]
    read: Reader
    share: int
    """Weight among the kinds: a slow reader gets fewer, and what is tried in a process of its own fewest."""


def mutants(trials: int | None, seed: int, folder: Path) -> dict[str, Any]:
    """A million mutants of safetensors, indices, cards, configurations, tokenizers, Parquet files and archives."""
    wanted, kinds = trials or TRIALS, kinds_of()
    weight = sum(kind.share for kind in kinds.values())
    counts: dict[str, Counter[str]] = {}
    bad: list[str] = []
    for name, kind in kinds.items():
        counts[name] = Counter()
        left = max(1, wanted * kind.share // weight)
        batch = 0
        while left > 0:
            size = min(left, TOGETHER)
            found, wrong = in_child(kind, f"{seed}/{name}/{batch}", size, folder)
            counts[name].update(found)
            bad += [f"{name}: {line}" for line in wrong]
            left -= size
            batch += 1
        print(name, dict(counts[name]), flush=True)
    tried = sum(sum(counter.values()) for counter in counts.values())
    return {
        "mutants": tried,
        "kinds": {name: dict(sorted(counter.items())) for name, counter in counts.items()},
        "bad": bad[:50],
        "holds": not bad,
    }


def in_child(kind: Kind, seed: str, size: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """Read `size` mutants in a process of its own; gives what came of them and what should not have."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            with os.fdopen(writing, "w") as out:
                _limit()
                _read_all(kind, seed, size, folder, out)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as lines:
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
    _, status = os.waitpid(child, 0)
    counts = Counter(row["came"] for row in rows if "came" in row)
    wrong = [row["wrong"] for row in rows if "wrong" in row]
    if status:
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status >> 8}"
        at = rows[-1].get("next", len(rows)) if rows else 0
        counts[how] += 1
        wrong.append(f"the process ended with {how} at mutant {at} of {seed}")
    return counts, wrong


def _limit() -> None:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        pages = int(file.read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _read_all(kind: Kind, seed: str, size: int, folder: Path, out: io.TextIOBase) -> None:
    draws = random.Random(seed)
    for number in range(size):
        data = mutated(draws.choice(kind.seeds), draws)
        out.write(json.dumps({"next": number}) + "\n")
        out.flush()
        signal.alarm(SECONDS)
        try:
            kind.read(data, folder)
            came = "read"
        except ZooError as error:
            came = type(error).__name__
            if "Traceback" in str(error):
                out.write(json.dumps({"wrong": f"a traceback in {str(error)[:200]}"}) + "\n")
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what this proof looks for
            came = f"! {type(error).__name__}"
            out.write(json.dumps({"wrong": f"{type(error).__name__}: {str(error)[:200]} at {number} of {seed}"}) + "\n")
        signal.alarm(0)
        out.write(json.dumps({"came": came}) + "\n")


def mutated(data: bytes, draws: random.Random) -> bytes:
    """Bytes changed, cut, doubled, inserted, or numbers made large."""
    found = bytearray(data)
    for _ in range(draws.choice((1, 1, 2, 4))):
        place = draws.randrange(len(found) + 1)
        match draws.randrange(7):
            case 0 if found:
                found[place % len(found)] = draws.randrange(256)
            case 1:
                del found[place : place + draws.choice((1, 2, 8, 64, len(found)))]
            case 2:
                found[place:place] = draws.choice(_PIECES)
            case 3:
                end = place + draws.randrange(64)
                found[place:place] = found[place:end] * draws.choice((1, 2, 50))
            case 4 if found:
                found[place % len(found)] ^= 1 << draws.randrange(8)
            case 5:
                digits = [index for index, byte in enumerate(found) if 48 <= byte < 58]
                if digits:
                    at = draws.choice(digits)
                    found[at : at + 1] = draws.choice((b"-1", b"0", b"4294967296", b"9" * 20, b"1e9", b"null"))
            case 6:
                del found[place:]
    return bytes(found)


_PIECES = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\0", b"\xff" * 8, b"[" * 3000, b"&a ", b"*a", b"!!python/object:os.system "),
    *(b'"\\ud800"', b"NaN", b"1e999", b"../", b"(a+)+$", b"x" * 5000),
)  # fmt: skip


def kinds_of() -> Mapping[str, Kind]:
    """Every reader with small sound files to start from."""
    kinds = {
        "safetensors": Kind([_weights()], _read_weights, 300),
        "index": Kind([_index()], _read_index, 100),
        "card": Kind([_CARD], _read_card, 150),
        "json": Kind([_CONFIG], _read_json, 150),
        "zip": Kind([_zip()], lambda data, folder: _read_archive(data, folder, ".zip"), 100),
        "tgz": Kind([gzip.compress(_tar()), _tar()], lambda data, folder: _read_archive(data, folder, ".tgz"), 80),
        "tar": Kind([_tar()], lambda data, folder: _read_archive(data, folder, ".tar"), 100),
        "parquet": Kind([_parquet()], _read_parquet, 20),
    }
    return {**kinds, **_of_plugins()}


def _of_plugins() -> dict[str, Kind]:
    """Folders and tokenizers of text models, where their plugin is installed."""
    try:
        from zoo_nlp.interop.families import BertInterop
        from zoo_nlp.preprocessor import TextPreprocessor
    except ImportError:
        return {}
    files = _text_files()
    own = {name: files[name] for name in ("tokenizer.json", "preprocessor.json")}

    def folder_with(name: str) -> Reader:
        def read(data: bytes, folder: Path) -> None:
            found = BertInterop().read({**files, name: data}).preprocessor
            assert found is None or isinstance(found, TextPreprocessor)
            if found is not None:
                found.encode(["the good movie [MASK]", ""], 9)

        return read

    def read_own(data: bytes, folder: Path) -> None:
        made = TextPreprocessor.from_files({**own, "tokenizer.json": data})
        made.decode(made.encode(["the good movie", "é"], 9).rows()[0])

    return {
        "config.json": Kind([files["config.json"]], folder_with("config.json"), 60),
        "tokenizer_config.json": Kind([files["tokenizer_config.json"]], folder_with("tokenizer_config.json"), 60),
        "tokenizer.json": Kind([files["tokenizer.json"]], folder_with("tokenizer.json"), 1),
        "own tokenizer": Kind([own["tokenizer.json"], _PATTERNS], read_own, 1),
    }


def _text_files() -> dict[str, bytes]:
    from zoo_nlp.configs.models import BertTokenizerConfig
    from zoo_nlp.interop.families import BertInterop
    from zoo_nlp.preprocessor import TextPreprocessor

    from zoo_core.contract import ForeignCheckpoint, Head

    made = TextPreprocessor.fit(
        BertTokenizerConfig(vocab_size=60, max_length=12), ["the good movie", "a bad movie"] * 3
    )
    config = {
        "hidden_size": 8,
        "num_layers": 1,
        "num_heads": 2,
        "intermediate_size": 8,
        "max_length": 12,
        **made.model_config(),
    }
    head = Head(task="text-classification", labels=2)
    written = BertInterop().write(ForeignCheckpoint(config=config, head=head, labels=("a", "b"), preprocessor=made))
    return {**written, "preprocessor.json": made.files()["preprocessor.json"]}


_PATTERNS = json.dumps(
    {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "post_processor": None,
        "decoder": None,
        "normalizer": {"type": "Replace", "pattern": {"Regex": "[!-/]+"}, "content": ""},
        "pre_tokenizer": {
            "type": "Split", "pattern": {"Regex": "\\s+(?!\\S)|\\w+"}, "behavior": "Isolated", "invert": False,
        },
        "model": {"type": "WordLevel", "vocab": {"[PAD]": 0, "[UNK]": 1, "good": 2}, "unk_token": "[UNK]"},
    }
).encode()  # fmt: skip
_CARD = b"""schema_version: 1
name: toy_tiny.data
version: 1
plugin: zoo-toys
model: zoo-toys/toy
config: {width: 8, names: [a, b]}
labels: [good, "bad"]
files:
  - path: model.safetensors
    sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    size: 12
metrics:
  - {name: accuracy, value: 0.5, data: toys, split: test}
"""
_CONFIG = json.dumps({"a": [1, 2.5, None], "b": {"c": "d"}, "e": True}).encode()


def _weights() -> bytes:
    made = {
        "a.weight": torch.ones(3, 2),
        "a.bias": torch.zeros(2, dtype=torch.float16),
        "b": torch.tensor([True, False]),
    }
    return b"".join(bytes(chunk) for chunk in tensors.dump(made, metadata={"format": "pt"}))


def _index() -> bytes:
    placed = dict.fromkeys(("a.weight", "a.bias", "b"), "model-1-of-1.safetensors")
    return json.dumps({"metadata": {"total_size": 30}, "weight_map": placed}).encode()


def _zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("package/a.txt", "hello" * 50)
        archive.writestr("package/b.txt", "x")
    return data.getvalue()


def _tar() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("package/a.txt", "package/" + "long" * 40 + ".txt"):
            info = tarfile.TarInfo(name)
            info.size = 5
            archive.addfile(info, io.BytesIO(b"hello"))
    return data.getvalue()


def _parquet() -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.table({"text": ["good", "bad"] * 20, "label": [0, 1] * 20}), data)
    return data.getvalue()


def _read_weights(data: bytes, folder: Path) -> None:
    path = folder / f"{os.getpid()}.safetensors"
    path.write_bytes(data)
    tensors.load(tensors.read_file(path), where="mutant")


def _read_index(data: bytes, folder: Path) -> None:
    place = folder / f"index-{os.getpid()}"
    place.mkdir(exist_ok=True)
    (place / "model-1-of-1.safetensors").write_bytes(_weights())
    (place / INDEX).write_bytes(data)
    ForeignFolder(place).weights().load(most=1 << 20)


def _read_card(data: bytes, folder: Path) -> None:
    document = parse_yaml(data, where="mutant", error=CardError)
    parse_card(document.data, document.where, document.lines)


def _read_json(data: bytes, folder: Path) -> None:
    read_object({"config.json": data}, "config.json")


def _read_archive(data: bytes, folder: Path, suffix: str) -> None:
    path = folder / f"{os.getpid()}{suffix}"
    path.write_bytes(data)
    read_archive(path)


def _read_parquet(data: bytes, folder: Path) -> None:
    path = folder / f"{os.getpid()}.parquet"
    path.write_bytes(data)
    parquet_schema(path)
    for _ in parquet_rows(path, ["text", "label"], together=16):
        pass


PROOFS = (mutants,)
